"""Formulas of the variables of a program in terms of those that have names, for comments in emitted code."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir import Step, Var
from .naming import Namer

#: Longer ones say less than the code.
LONGEST = 64

_FORMULAS = {
    "add": "{0} + {1}",
    "subtract": "{0} − {1}",
    "multiply": "{0}·{1}",
    "divide": "{0}/{1}",
    "negative": "−{0}",
    "reciprocal": "1/{0}",
    "matmul": "{0}·{1}",
    "matrix_transpose": "{0}ᵀ",
    "power": "{0}^{1}",
    "sum": "Σ {0}",
    "max": "max {0}",
    "sqrt": "√{0}",
    "maximum": "max({0}, {1})",
    "minimum": "min({0}, {1})",
    "absolute": "|{0}|",
    "reshape": "{0}",
    "broadcast_to": "{0}",
    "less": "{0} < {1}",
    "greater": "{0} > {1}",
}
#: Formulas whose operands need no brackets.
_CLOSED = frozenset(("maximum", "minimum", "absolute", "reshape", "broadcast_to"))


class Formulas:
    """Writes formulas, with what has no name written out.

    Parameters
    ----------
    steps : list of Step
    names : Namer
    """

    def __init__(self, steps: list[Step], names: Namer) -> None:
        self._producer = {step.out: step for step in steps if len(step.outputs) == 1}
        self._names = names

    def of(self, step: Step) -> str:
        """The formula of what a step makes; empty if it says nothing new, or too much."""
        text = self._text(step, 5)
        return text if text and len(text) <= LONGEST else ""

    def _text(self, step: Step, depth: int) -> str:
        operands = [self._operand(x, depth) for x in step.inputs]
        if not all(operands):
            return ""
        name = step.op.name
        if name in _FORMULAS:
            if name not in _CLOSED:
                tight = name != "add"
                operands = [_bracketed(x, tight and (i > 0 or name != "subtract")) for i, x in enumerate(operands)]
            if name in ("matrix_transpose", "power", "reciprocal", "sqrt"):
                operands = [f"({x})" if "·" in x and not _closed(x) else x for x in operands]
            return _FORMULAS[name].format(*operands)
        return f"{name}({', '.join(operands)})"

    def _operand(self, x: Any, depth: int) -> str:
        if type(x) is not Var:
            return f"{float(x):.6g}" if isinstance(x, float | np.floating) else str(x)
        if x.name or x.kind != "result" or x not in self._producer:
            return self._names(x)
        return self._text(self._producer[x], depth - 1) if depth else ""


def _bracketed(text: str, tight: bool) -> str:
    return f"({text})" if tight and (" " in text or "/" in text or text.startswith("−")) and not _closed(text) else text


def _closed(text: str) -> bool:
    """Whether a text is one call or bracket, which needs no other around it."""
    if not text.endswith(")") or "(" not in text or " " in text[: text.index("(")]:
        return False
    depth = 0
    for i, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and character == ")" and i < len(text) - 1:
            return False
    return True
