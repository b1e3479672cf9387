"""Formulas as LaTeX, as KaTeX and MathJax take it."""

from __future__ import annotations

import re

from ...core.formula import SHORT, Formula, Printer, is_short

#: What signs and settings are made of: numbers, words, lowered figures, quoted text.
_TOKEN = re.compile(
    r"(?P<number>\d[\d.]*(?:e−?\d+)?)|(?P<word>[^\W\d_ᵀ⁰¹²³⁴-⁹₀-₉][^\W_ᵀ⁰¹²³⁴-⁹₀-₉]*(?:[_.]\w+)*)|(?P<lowered>[₀₁₂₃₄₅₆₇₈₉]+)"
    r"|(?P<quoted>'[^']*')|(?P<sign>.)",
    re.DOTALL,
)

_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")

_FUNCTIONS = frozenset(
    ("sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "log", "exp", "min", "max")
)
_LETTERS = (
    *("alpha", "beta", "gamma", "delta", "varepsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu"),
    *("xi", "pi", "rho", "sigma", "tau", "upsilon", "varphi", "chi", "psi", "omega", "Gamma", "Delta", "Theta"),
    *("Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega"),
)
_GREEK = {sign: "\\" + letter for sign, letter in zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ", _LETTERS, strict=True)}
_SIGNS = {
    "·": r"\cdot ",
    "∗": r"\ast ",
    "⋆": r"\star ",
    "⊗": r"\otimes ",
    "−": "-",
    "→": r"\to ",
    "←": r"\leftarrow ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "∂": r"\partial ",
    "Σ": r"\sum ",
    "Π": r"\prod ",
    "∞": r"\infty ",
    "‖": r"\|",
    "⟨": r"\langle ",
    "⟩": r"\rangle ",
    "⌊": r"\lfloor ",
    "⌋": r"\rfloor ",
    "⌈": r"\lceil ",
    "⌉": r"\rceil ",
    "ᵀ": r"^{\top}",
    "…": r"\ldots ",
    "′": "'",
}
_IN_TEXT = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: "\\" + sign for sign in "#$%&_{}"},
}
#: Signs that mean something else to LaTeX.
_ESCAPED = {"\\": r"\backslash ", "^": r"\wedge ", "~": r"\sim ", **{sign: "\\" + sign for sign in "#$%&_{}"}}


class Latex(Printer):
    """Writes formulas as LaTeX."""

    def whole(self, formula: Formula) -> str:
        """A formula that stands alone."""
        return re.sub(r" +", " ", self(formula)).strip()

    def bracketed(self, text: str) -> str:
        return rf"\left({text}\right)" if "frac{" in text else f"({text})"

    def words(self, text: str) -> str:
        return "".join(_written(result, text) for result in _TOKEN.finditer(text))

    def symbol(self, whole: Formula) -> str:
        return symbol(whole.sign)

    def call(self, whole: Formula) -> str:
        known = whole.sign in _FUNCTIONS or not whole.sign.isascii()
        name = self.words(whole.sign) if known else rf"\operatorname{{{escaped(whole.sign)}}}"
        return name + self.bracketed(self.list(whole))

    def prefix(self, whole: Formula) -> str:
        if whole.sign in ("√", "∛"):
            return (r"\sqrt" if whole.sign == "√" else r"\sqrt[3]") + f"{{{self(whole.parts[0])}}}"
        return super().prefix(whole)

    def postfix(self, whole: Formula) -> str:
        hat = whole.sign == "\N{COMBINING CIRCUMFLEX ACCENT}"
        return rf"\hat{{{self.operand(whole, 0)}}}" if hat else super().postfix(whole)

    def power(self, whole: Formula) -> str:
        base = self.operand(whole, 0)
        base = f"{{{base}}}" if whole.parts[0].kind == "postfix" else base  # which is raised itself
        return f"{base}^{{{self(whole.parts[1])}}}"

    def derivative(self, whole: Formula) -> str:
        of, by = self.operands(whole)
        spaced = any(part.kind == "symbol" and not is_short(part.sign) for part in whole.parts)
        d = self.words(whole.sign) if whole.sign != "d" else r"d\," if spaced else "d"
        return rf"\frac{{{d}{of}}}{{{d}{by}}}"


def _written(found: re.Match[str], text: str) -> str:
    """A number, a word or a sign that stands in a text beside others."""
    token = found[0]
    if found["number"]:
        mantissa, e, exponent = token.replace("−", "-").partition("e")
        return mantissa + (rf" \cdot 10^{{{exponent}}}" if e else "")
    if found["lowered"]:
        return f"_{{{token.translate(_LOWERED)}}}"
    if found["sign"] and token not in _SIGNS:
        return _ESCAPED.get(token) or (token if token.isascii() else rf"\text{{{token}}}")
    if token in _FUNCTIONS:
        return f"\\{token} "
    known = _SIGNS.get(token) or _GREEK.get(token)
    if known is not None:
        return known if known[-1] == " " or token in _SIGNS else f"{known} "
    start = " " if text[: found.start()].endswith(" ") else ""
    end = " " if text[found.end() :].startswith(" ") else ""
    return r"\infty " if token == "inf" else rf"\text{{{start}{escaped(token)}{end}}}"


def escaped(words: str) -> str:
    r"""Words as they stand inside ``\text{...}``."""
    return "".join(_IN_TEXT.get(sign, sign) for sign in words)


def symbol(name: str) -> str:
    """A name as a symbol: a letter with an index, else upright."""
    result = SHORT.fullmatch(name)
    if result is None or not is_short(name):
        return rf"\text{{{escaped(name)}}}"
    letter = _GREEK.get(result[1]) or (result[1] if result[1].isascii() else rf"\text{{{result[1]}}}")
    index = (result[2] or "").translate(_LOWERED)
    if index and not (index.isascii() and index.isalnum()):
        return rf"\text{{{escaped(name)}}}"
    return f"{letter}_{{{index}}}" if index else letter + (" " if letter in _GREEK.values() else "")


LATEX = Latex()
