"""What a derivation says in words, the same in every form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

from ...core.formula import Formula, added, constant, times
from .model import Explanation, Path
from .terms import Math

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


def sides(path: Path) -> list[Math]:
    """A path's product in symbols, as formulas, in numbers, and its value: each side that says something new."""
    value = Math(constant(path.value if path.value is not None else 0.0))
    if len(path.factors) >= LONGEST:
        words = f"the product of {len(path.factors):,} local derivatives"
        return [Math.written(words, rf"\text{{{words}}}"), value]
    rows = [
        [factor.symbol.formula for factor in path.factors],
        [factor.formula.formula for factor in path.factors],
        [constant(factor.number) for factor in path.factors],
    ]
    written = [*(Math(product(row)) for row in rows if row or row is rows[0]), value]
    return [side for i, side in enumerate(written) if not i or side.text != written[i - 1].text]


def product(factors: Sequence[Formula]) -> Formula:
    """Factors next to each other."""
    return reduce(lambda first, second: times(first, " · ", second), factors) if factors else constant(1)


def total(explanation: Explanation) -> list[Math]:
    """The sum over the paths, and what it comes to."""
    values = [constant(path.value) for path in explanation.paths if path.value is not None]
    return [Math(added(values)), Math(constant(float(explanation.value)))]


def shortened(path: Path) -> tuple[Math, ...]:
    """What lies on a path, the middle of a long one left out."""
    if len(path.nodes) <= LONGEST:
        return path.nodes
    return *path.nodes[:3], Math(Formula("name", "…")), *path.nodes[-3:]
