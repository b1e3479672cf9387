"""Formulas as MathML, as browsers show it without a script."""

from __future__ import annotations

import re
from html import escape

from ...core.formula import SHORT, Formula, Printer, is_short

_TOKEN = re.compile(r"(?P<mn>\d[\d.]*(?:e−?\d+)?)|(?P<mi>[^\W\d]\w*(?:\.\w+)*)|(?P<mtext>'[^']*')|(?P<mo>\S)")


class MathMl(Printer):
    """Writes formulas as MathML."""

    def whole(self, formula: Formula) -> str:
        """A formula that stands alone."""
        return f'<math xmlns="http://www.w3.org/1998/Math/MathML">{self(formula)}</math>'

    def bracketed(self, text: str) -> str:
        return f"<mrow><mo>(</mo>{text}<mo>)</mo></mrow>"

    def words(self, text: str) -> str:
        return "".join(_element(result, text) for result in _TOKEN.finditer(text))

    def symbol(self, whole: Formula) -> str:
        result = SHORT.fullmatch(whole.sign)
        if result is None or not is_short(whole.sign) or not result[2]:
            return f"<mi>{escape(whole.sign)}</mi>"
        return f"<msub><mi>{result[1]}</mi><mn>{result[2].translate(_LOWERED)}</mn></msub>"

    def prefix(self, whole: Formula) -> str:
        if whole.sign == "√":
            return f"<msqrt>{self(whole.parts[0])}</msqrt>"
        if whole.sign == "∛":
            return f"<mroot>{_row(self(whole.parts[0]))}<mn>3</mn></mroot>"
        return super().prefix(whole)

    def postfix(self, whole: Formula) -> str:
        base = _row(self.operand(whole, 0))
        return f"<msup>{base}<mo>⊤</mo></msup>" if whole.sign == "ᵀ" else f"<mover>{base}<mo>^</mo></mover>"

    def power(self, whole: Formula) -> str:
        return f"<msup>{_row(self.operand(whole, 0))}{_row(self(whole.parts[1]))}</msup>"

    def derivative(self, whole: Formula) -> str:
        d = f"<mo>{escape(whole.sign)}</mo>"
        of, by = (_row(d + operand) for operand in self.operands(whole))
        return f"<mfrac>{of}{by}</mfrac>"


def _row(text: str) -> str:
    """What counts as one element."""
    return f"<mrow>{text}</mrow>"


def _element(found: re.Match[str], text: str) -> str:
    kind, sign = found.lastgroup, found[0]
    before, after = text[: found.start()].endswith(" "), text[found.end() :].startswith(" ")
    if kind == "mi" and (before or after):
        kind, sign = "mtext", "\N{NO-BREAK SPACE}" * before + sign + "\N{NO-BREAK SPACE}" * after
    return f"<{kind}>{escape(sign)}</{kind}>"


_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")

MATHML = MathMl()
