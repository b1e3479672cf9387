"""What functions and layers are given: lists as arrays, and settings that must be of a kind."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.graph import StandIn
from ..tensor.tensor import as_array, plain_tensor


def as_operand(x: Any) -> Any:
    """A Tensor or an array as it is, anything else as an array."""
    return x if hasattr(x, "dtype") and hasattr(x, "ndim") else as_array(x, copy=False)


#: Arrays, scalars among them, and what stands for one.
ARRAYS = (np.ndarray, np.generic, StandIn)


def as_result(x: Any) -> Any:
    """An array that a module without parameters made of an array, as a Tensor; anything else as it is."""
    return plain_tensor(as_array(x, copy=False)) if isinstance(x, ARRAYS) and x.dtype.kind in "biufc" else x


def is_recorded(x: Any) -> bool:
    """Whether a value stands for those of every call, while a program is recorded."""
    return isinstance(getattr(x, "_value", x), StandIn)


def broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether what has a shape can be broadcast to another, and no further."""
    return len(shape) <= len(target) and all(a in (1, b) for a, b in zip(shape[::-1], target[::-1]))


def check_sizes(what: str, **sizes: Any) -> None:
    """Refuse sizes that are not positive whole numbers."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{what}: {name} must be a positive whole number, not {value!r}")


def check_probability(p: float, name: str = "p") -> None:
    """Refuse what is not in [0, 1]."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name} must be in [0, 1], not {p!r}")
