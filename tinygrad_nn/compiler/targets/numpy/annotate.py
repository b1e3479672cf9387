"""Formulas of the variables of a program in terms of those that have names, for comments in emitted code."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....core.expression import filled
from ....core.formula import Formula, call, constant, symbol
from ...ir import Step, Var
from .naming import Namer

#: Longer ones say less than the code.
LONGEST = 64

#: They give the same numbers in another shape, which stands beside the formula.
_SAME = frozenset(("reshape", "broadcast_to"))


class Formulas:
    """Writes formulas, with what has no name written out."""

    def __init__(self, steps: list[Step], names: Namer) -> None:
        self._producer = {step.out: step for step in steps if len(step.outputs) == 1}
        self._names = names

    def of(self, step: Step) -> str:
        """The formula of what a step makes; empty if it says nothing new, or too much."""
        text = str(self._formula(step, 5) or "")
        return text if len(text) <= LONGEST else ""

    def _formula(self, step: Step, depth: int) -> Formula | None:
        operands = [result for x in step.inputs if (result := self._operand(x, depth)) is not None]
        if len(operands) < len(step.inputs):
            return None
        if step.name in _SAME:
            return operands[0]
        return filled(step.op, step.op.formula, operands, step.params) or call(step.op.name, *operands)

    def _operand(self, x: Any, depth: int) -> Formula | None:
        if type(x) is not Var:
            return constant(x) if isinstance(x, int | float | np.number) else Formula("text", str(x))
        if x.name or x.kind != "result" or x not in self._producer:
            return symbol(self._names(x))
        return self._formula(self._producer[x], depth - 1) if depth else None
