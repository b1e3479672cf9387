"""What a run leaves behind, or makes for itself, that later calls of compiled code would not: each of it raises."""

from __future__ import annotations

import gc
import linecache
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...core.references import is_held_elsewhere
from ...tensor.tensor import Tensor
from ..ir import Program, Var
from .state import Place


def check_escapes(program: Program, stand_ins: Sequence[Any]) -> None:
    """Raise if something outside holds on to a stand-in of the recording: it would stand for nothing there."""
    if not any(one() is not None for one in stand_ins):
        return
    gc.collect()
    lines = {out: step.line for step in program.steps for out in step.outputs}
    alive = [escaped for escaped in (one() for one in reversed(stand_ins)) if escaped is not None]
    # First the last that a Tensor holds: others may be held by its graph alone.
    alive.sort(key=lambda x: not any(isinstance(y, Tensor) for y in gc.get_referrers(x)))
    for escaped in alive[:1]:
        raise TypeError(
            f"compile: a Tensor of shape {escaped.shape} is kept outside {program.name}, in an attribute, a list or a "
            f"variable; later calls would leave it there as it is now{_place('made at', lines.get(escaped.variable))}\n"
            "  Return it, and keep it outside; or register it as a buffer of a module, which a compiled function "
            "updates."
        )


def check_generators(program: Program, places: Iterable[tuple[Var, Place]]) -> None:
    """Raise if a random generator was made inside: it would go on from call to call instead of starting anew."""
    for var, place in places:  # the recorder holds each generator twice besides the place
        if not is_held_elsewhere(place, "holder", 3):
            lines = (step.line for step in program.steps if var in step.inputs)
            raise TypeError(
                f"compile: {program.name} makes a random generator of its own, which would start anew at each ordinary "
                f"call but not in compiled code{_place('at', next(filter(None, lines), None))}\n  Make it outside."
            )


def _place(what: str, line: tuple[str, int] | None) -> str:
    """A line of the user's code, as a line of a message."""
    return f"\n  {what} {line[0]}:{line[1]}: {linecache.getline(*line).strip()}" if line else ""


def is_shared(var: Var) -> bool:
    """Whether something else holds the array of a constant, which the recorder holds too, or the memory it shows."""
    return is_held_elsewhere(var, "value", 2) or _shows_other(var.value)


def _shows_other(array: Any) -> bool:
    """Whether an array is a view of memory that something besides it holds."""
    if array.base is None:
        return False
    return type(array.base) is not np.ndarray or is_held_elsewhere(array, "base", 1) or _shows_other(array.base)
