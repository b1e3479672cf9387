"""Makes the model of a derivation from a recording."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.formula import Formula, symbol
from ...core.graph import Node
from ..common.recording import Recording
from .arrays import ArrayBuilder
from .model import Explanation
from .numbers import NumberBuilder, local_derivatives
from .paths import Paths
from .terms import Math

#: Of more results between numbers the formulas would not be read.
_MOST = 100


def build(recording: Recording, start: Node, limit: int) -> Explanation:
    """The derivation of the recording's result with respect to one of its nodes."""
    paths = Paths(recording.nodes, start, recording.root)
    if not paths.nodes:
        zero = np.zeros(start.value.shape, start.value.dtype)[()]
        return independent(recording.names[recording.root], recording.names[start], zero)
    locals = local_derivatives(paths)
    if locals is None:
        return ArrayBuilder(recording, paths).explanation(limit)
    numbers = NumberBuilder(recording, paths, locals)
    result = numbers.explanation(limit)
    between = paths.nodes[1:-1]
    if len(between) <= _MOST and any(map(numbers.is_unnamed, between)):
        formulas = ArrayBuilder(recording, paths)
        formulas.known = numbers.known
        result.formulas = formulas.steps()
    return result


def independent(result: str, variable: str, zero: Any) -> Explanation:
    """The derivation where the result was not computed from the variable."""
    slope = Formula("derivative", "d", (symbol(result), symbol(variable)))
    return Explanation(result, variable, Math(slope), np.ndim(zero) == 0, zero, 0)
