"""What a derivation says in words, the same in every form."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..common.values import number
from . import latex
from .builder import added
from .model import Explanation, Path
from .terms import Math, bracketed

#: A path with more names than this is not written out in full.
LONGEST = 16


def heading(explanation: Explanation) -> str:
    """How many paths there are, and what is done with them."""
    count, ends = explanation.count, f"from {explanation.variable} to {explanation.result}"
    if count == 1:
        return f"One path leads {ends}{':' if explanation.paths else '.'}"
    if not explanation.paths:
        return f"{count_of(count)} paths lead {ends}: too many to write out."
    if not explanation.scalar:
        return f"{count_of(count)} paths lead {ends}:"
    return f"{count_of(count)} paths lead {ends}; the local derivatives along each are multiplied, the products added:"


def count_of(count: int) -> str:
    """A number of paths: exact up to fifteen digits, else about."""
    if count < 10**15:
        return f"{count:,}"
    digits = math.log10(count)
    return f"About {10 ** (digits % 1):.2f}·10^{int(digits):,}"


def plain(text: str) -> Math:
    """A formula without names, in both forms."""
    return Math(text, latex.formula(text, ()))


def sides(path: Path) -> list[Math]:
    """A path's product in symbols, as formulas, in numbers, and its value: each side that says something new."""
    value = plain(number(path.value if path.value is not None else 0.0))
    if len(path.factors) >= LONGEST:
        words = f"the product of {len(path.factors):,} local derivatives"
        return [Math(words, rf"\text{{{words}}}"), value]
    alone = len(path.factors) < 2
    rows = [
        [factor.symbol for factor in path.factors] or [plain("1")],
        [factor.formula if alone else _in_product(factor.formula, not i) for i, factor in enumerate(path.factors)],
        [_in_product(plain(number(factor.number)), not i) for i, factor in enumerate(path.factors)],
        [value],
    ]
    written = [product(row) for row in rows if row]
    return [side for i, side in enumerate(written) if not i or side.text != written[i - 1].text]


def _in_product(formula: Math, first: bool) -> Math:
    if bracketed(formula.text) != formula.text or (not first and formula.text.startswith("−")):
        return Math(f"({formula.text})", rf"\left({formula.latex}\right)")
    return formula


def product(factors: Sequence[Math]) -> Math:
    """Factors next to each other."""
    return Math(" · ".join(x.text for x in factors), r" \cdot ".join(x.latex for x in factors))


def total(explanation: Explanation) -> list[Math]:
    """The sum over the paths, and what it comes to."""
    values = [number(path.value) for path in explanation.paths if path.value is not None]
    return [plain(added(values)), plain(number(float(explanation.value)))]


def shortened(path: Path) -> tuple[Math, ...]:
    """What lies on a path, the middle of a long one left out."""
    if len(path.nodes) <= LONGEST:
        return path.nodes
    return *path.nodes[:3], Math("…", r"\ldots "), *path.nodes[-3:]
