"""Formulas as the library writes them, ``1/(2·√x)``, turned into LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

#: What the engine's formulas are made of: operands (see `Symbols`), words, numbers, runs of raised or lowered signs.
_TOKEN = re.compile(
    r"\ue000\d+\ue001|\d[\d.]*(?:e−?\d+)?|[^\W\d_ᵀ⁰¹²³⁴-⁹₀-₉][^\W_ᵀ⁰¹²³⁴-⁹₀-₉]*(?:[_.]\w+)*"
    r"|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+|[₀₁₂₃₄₅₆₇₈₉]+|'[^']*'|\s+|.",
    re.DOTALL,
)
_OPERAND = re.compile(r"\ue000(\d+)\ue001")

_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")

_FUNCTIONS = frozenset(
    ("sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "log", "exp", "min", "max")
)
#: Words of the language between formulas; any other word before a bracket is a function's name.
_WORDS = frozenset(
    (
        *("where", "else", "of", "at", "is", "finite", "axis", "axes", "and", "or", "not", "xor", "mod"),
        *("by", "the", "rule", "applied", "to", "put", "product", "others", "running"),
    )
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
#: Signs of a formula that mean something else to LaTeX; ``^``, √ and ∛ are seen to in `formula`.
_ESCAPED = {"\\": r"\backslash ", "~": r"\sim ", **{sign: "\\" + sign for sign in "#$%&_{}"}}


def formula(template: str, operands: Sequence[Callable[[], str]]) -> str:
    """A formula in LaTeX, with these operands in the places that are marked."""
    tokens = _TOKEN.findall(template)
    written = []
    while tokens:
        written.append(_next(tokens, operands))
    return re.sub(r" +", " ", "".join(_around_fractions(written))).strip()


def _around_fractions(pieces: list[str]) -> list[str]:
    """Brackets as high as the fractions in them."""
    opened: list[int] = []
    for i, piece in enumerate(pieces):
        if piece == "(":
            opened.append(i)
        elif piece == ")" and opened:
            start = opened.pop()
            if any("frac{" in inner for inner in pieces[start:i]):
                pieces[start], pieces[i] = r"\left(", r"\right)"
    return pieces


def _next(tokens: list[str], operands: Sequence[Callable[[], str]]) -> str:
    """The first token in LaTeX, with what it takes of those that follow."""
    token = tokens.pop(0)
    if token in ("√", "∛"):
        return (r"\sqrt" if token == "√" else r"\sqrt[3]") + f"{{{_argument(tokens, operands)}}}"
    if token == "^":
        return f"^{{{_argument(tokens, operands)}}}"
    if found := _OPERAND.fullmatch(token):
        return operands[int(found[1])]()
    if token[0].isdecimal():
        mantissa, e, exponent = token.replace("−", "-").partition("e")
        return mantissa + (rf" \cdot 10^{{{exponent}}}" if e else "")
    if token[0] in "⁰¹²³⁴⁵⁶⁷⁸⁹⁻":
        return f"^{{{token.translate(_RAISED)}}}"
    if token[0] in "₀₁₂₃₄₅₆₇₈₉":
        return f"_{{{token.translate(_LOWERED)}}}"
    if token[0].isalpha() or token[0] == "'":
        return _word(token, tokens)
    return _SIGNS.get(token) or _ESCAPED.get(token) or (token if token.isascii() else rf"\text{{{token}}}")


def _word(word: str, following: Sequence[str]) -> str:
    if word in _SIGNS:
        return _SIGNS[word]
    if word in _GREEK:
        return _GREEK[word] + " "
    if word in _FUNCTIONS:
        return f"\\{word} "
    if word == "inf":
        return r"\infty "
    if word not in _WORDS and following and following[0] == "(":
        return rf"\operatorname{{{text(word)}}}"
    return rf"\text{{ {text(word)} }}" if word in _WORDS else rf"\text{{{text(word)}}}"


def _argument(tokens: list[str], operands: Sequence[Callable[[], str]]) -> str:
    """What a root or a power is applied to: the next token, or all between brackets."""
    if not tokens:
        return ""
    if tokens[0] == "−":
        return tokens.pop(0).replace("−", "-") + _argument(tokens, operands)
    if tokens[0] != "(":
        return _next(tokens, operands)
    tokens.pop(0)
    written, depth = [], 1
    while tokens:
        depth += {"(": 1, ")": -1}.get(tokens[0], 0)
        if not depth:
            tokens.pop(0)
            break
        written.append(_next(tokens, operands))
    return "".join(written)


def text(words: str) -> str:
    r"""Words as they stand inside ``\text{...}``."""
    return "".join(_IN_TEXT.get(sign, sign) for sign in words)


_SHORT = re.compile(r"([^\W\d_])(?:_?(\w{1,2}|[₀-₉]+))?")


def is_short(name: str) -> bool:
    """Whether a name is a letter, with an index perhaps: ``b``, ``W1``, ``w_12``, ``v₃``."""
    found = _SHORT.fullmatch(name)
    return found is not None and (found[2] is None or "_" in name[1:2] or not found[2].isalpha())


def symbol(name: str) -> str:
    """A name as a symbol: a letter with an index, else upright."""
    found = _SHORT.fullmatch(name)
    if found is None or not is_short(name):
        return rf"\text{{{text(name)}}}"
    letter = _GREEK.get(found[1]) or (found[1] if found[1].isascii() else rf"\text{{{found[1]}}}")
    index = (found[2] or "").translate(_LOWERED)
    if index and not (index.isascii() and index.isalnum()):
        return rf"\text{{{text(name)}}}"
    return f"{letter}_{{{index}}}" if index else letter + (" " if letter in _GREEK.values() else "")


def fraction(of: str, by: str, sign: str, apart: bool) -> str:
    """A derivative, its names set apart from the d where that would be read as one of their letters."""
    d = r"\partial " if sign == "∂" else r"d\," if apart else "d"
    return rf"\frac{{{d}{symbol(of)}}}{{{d}{symbol(by)}}}"
