"""What the losses share: the reduction, and targets that must fit the predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops.layers import loss as fused
from ...ops.shapes import astype, shape_of
from ...tensor.tensor import Tensor
from ..checks import as_operand, is_recorded


def check_reduction(reduction: str, *more: str) -> None:
    """Refuse a reduction that is not known."""
    known = ("mean", "sum", "none", *more)
    if not isinstance(reduction, str):
        raise TypeError(
            f"reduction must be one of {', '.join(map(repr, known))}, not {type(reduction).__name__}; a loss module is "
            "made before it is called: nn.MSELoss()(predictions, targets)"
        )
    if reduction not in known:
        raise ValueError(f"reduction must be one of {', '.join(map(repr, known))}, not {reduction!r}")


def reduced(losses: Any, reduction: str) -> Any:
    """The mean or the sum of losses, or the losses themselves."""
    check_reduction(reduction)
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def cast_target(input: Any, target: Any) -> Any:
    """Targets that are integers or bools, in the dtype of the predictions."""
    dtype = getattr(target._value if isinstance(target, Tensor) else target, "dtype", None)
    if dtype is not None and dtype.kind in "iub" and hasattr(input, "dtype"):
        return astype(target, input.dtype)
    return target


def check_shapes(name: str, input: Any, target: Any) -> None:
    """Refuse predictions and targets of different shapes."""
    if shape_of(input) != shape_of(target):
        raise ValueError(f"{name}: {fused.shape_message(shape_of(input), shape_of(target))}")


def difference_of(name: str, input: Any, target: Any) -> Any:
    """Predictions less targets of the same shape."""
    input, target = matched(name, input, target)
    return input - target


def matched(name: str, input: Any, target: Any) -> tuple[Any, Any]:
    """Predictions and targets as they can be computed with, once they are known to have one shape."""
    input = as_operand(input)
    target = cast_target(input, as_operand(target))
    check_shapes(name, input, target)
    return input, target


def checked(x: Any, holds: Any, message: str) -> Any:
    """`x`, once something is known to hold everywhere: at once, or in compiled code at each call."""
    if is_recorded(holds):
        return fused.checked(x, holds, message=message)
    if not np.all(np.asarray(holds)):
        raise ValueError(message)
    return x


def checked_signs(name: str, target: Any) -> Any:
    """Targets, which must be 1 and −1."""
    message = f"{name}: targets must be 1 or −1; for targets of 0 and 1 give 2·t − 1"
    if target.dtype.kind == "b":
        raise ValueError(message)
    return checked(target, plain(abs(target) == 1), message)


def plain(x: Any) -> Any:
    """A value without its graph."""
    return x.detach() if isinstance(x, Tensor) else x


def check_labels(name: str, shape: tuple[int, ...], labels: tuple[int, ...]) -> None:
    if len(shape) not in (1, 2) or labels != shape[:-1]:
        raise ValueError(f"{name}: for inputs (N, C) or (C,), here {shape}, targets are (N,) or (), not {labels}")
