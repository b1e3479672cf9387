"""What functions on sliding windows are given: settings as tuples, unbatched inputs, and errors about them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..ops.layers.window import Ints, Pairs, extent
from ..ops.shapes import reshape
from .checks import as_operand

_AXES = {1: "length", 2: "height, width", 3: "depth, height, width"}


def whole_numbers(name: str, what: str, value: Any, n: int, least: int = 1) -> Ints:
    """A setting as a tuple: a number stands for all axes."""
    numbers = tuple(value) if isinstance(value, tuple | list) else (value,) * n
    if len(numbers) == 1:
        numbers *= n
    known = all(isinstance(x, int | np.integer) and not isinstance(x, bool) for x in numbers)
    if len(numbers) != n or not known or min(numbers) < least:
        kind = "a positive whole number" if least else "a whole number, 0 or more,"
        several = f" or a tuple of {n}" if n > 1 else ""
        raise ValueError(f"{name}: {what} must be {kind}{several}; not {value!r}")
    return tuple(map(int, numbers))


def plainly(stride: Ints, padding: Pairs, dilation: Ints) -> dict[str, Any]:
    """Settings of an operation on windows: the usual ones as plain numbers, which drawings need not show."""
    return {
        "stride": 1 if set(stride) == {1} else stride,
        "padding": padding if any(map(any, padding)) else 0,
        "dilation": 1 if set(dilation) == {1} else dilation,
    }


class Batch(NamedTuple):
    """An input with a batch axis, and whether it was put there."""

    x: Any
    unbatched: bool

    def restore(self, out: Any) -> Any:
        """A result as the input was: without the batch axis if it had none."""
        return reshape(out, shape=out.shape[1:]) if self.unbatched else out


def batched(name: str, x: Any, n: int, what: str = "the input") -> Batch:
    """The input with a batch axis."""
    x = as_operand(x)
    if len(x.shape) not in (n + 1, n + 2):
        raise ValueError(
            f"{name}: {what} must have {n + 2} axes (batch, channels, {_AXES[n]}), or {n + 1} without the batch; "
            f"it has shape {x.shape}"
        )
    if len(x.shape) == n + 1:
        return Batch(reshape(x, shape=(1, *x.shape)), True)
    return Batch(x, False)


def check_fits(name: str, space: Ints, window: Ints, padding: Pairs, dilation: Ints) -> None:
    """Refuse windows that are larger than the padded input."""
    reach = tuple(extent(k, d) for k, d in zip(window, dilation))
    room = tuple(n + a + b for n, (a, b) in zip(space, padding))
    if any(k > n for k, n in zip(reach, room)):
        dilated = f", which reaches over {reach} with dilation {dilation}," if reach != window else ""
        raise ValueError(
            f"{name}: a window of {window}{dilated} does not fit into an input of {space}"
            f"{f', {room} with its padding' if room != space else ''}; "
            "take a smaller window, or more padding"
        )
