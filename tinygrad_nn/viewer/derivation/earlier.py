"""What derivations hold that were pickled when formulas were text: the marks that stood in it for names."""

from __future__ import annotations

import re
from functools import partial

from ...core.formula import Formula, symbol
from ...core.parsing import parse
from ..common.latex import LATEX
from .terms import Math

__all__ = ["Math", "Symbols", "fraction", "symbol"]


class Symbols:
    """The names of such a derivation, each by the number of its mark."""

    _latex: list[partial[Formula]]

    def latex(self, template: str) -> str:
        """A formula with marks as LaTeX."""
        marked = parse(re.sub("\ue000(\\d+)\ue001", r"{\1}", template))
        return LATEX.whole(marked.fill({str(i): result() for i, result in enumerate(self._latex)}))


def fraction(of: str, by: str, sign: str, _apart: bool) -> Formula:
    """A derivative."""
    return Formula("derivative", sign, (symbol(of), symbol(by)))
