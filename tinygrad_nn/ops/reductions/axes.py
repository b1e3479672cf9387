"""What all reductions need: which axes are meant, and results that broadcast back against what they were made from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ...core.adjoint import broadcast_to

asarray = np.asarray


def reduced_axes(ndim: int, axis: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """The axes that `axis` names, counted from 0: all for None."""
    if axis is None or (not ndim and axis in (0, -1)):  # which NumPy takes of a number, too
        return tuple(range(ndim))
    return normalize_axis_tuple(axis, ndim)


def keep_axes(value: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """A result of reducing `shape` that broadcasts against it: with the reduced axes back, of length 1."""
    if keepdims or axis is None:
        return value
    axes = reduced_axes(len(shape), axis)
    return value.reshape(tuple(1 if i in axes else n for i, n in enumerate(shape)))


def spread(value: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """A result of reducing `shape` repeated along the reduced axes: the adjoint of a sum."""
    return broadcast_to(keep_axes(value, shape, axis, keepdims), shape=shape)


def reduced_count(shape: tuple[int, ...], axis: Any) -> int:
    """How many elements of `shape` go into one of the result."""
    count = 1
    for i in reduced_axes(len(shape), axis):
        count *= shape[i]
    return count


def as_float(x: Any) -> Any:
    """An array that can hold fractions: integers and bools become float64."""
    x = asarray(x)
    return x if x.dtype.kind in "fc" else x.astype(np.float64)


def are_safe(out: Any) -> bool:
    """Whether no roots of sums of squares are so small or so large that the squares lost digits or overflowed."""
    limits = np.finfo(out.dtype)
    least = np.sqrt(limits.tiny / limits.eps)
    return not np.size(out) or bool(np.min(out) > least and np.max(out) < 1 / least)


def scale_of(x: Any, axis: Any) -> Any:
    """The largest |x| along the axes, by which it is divided before squares overflow; 1 where that is no use."""
    largest = np.max(np.abs(x), axis=axis, keepdims=True, initial=0)
    return np.where((largest > 0) & np.isfinite(largest), largest, 1)


def check_dtype(x: Any, dtype: Any) -> None:
    """Refuse to reduce fractions in integers: the result would have no derivative."""
    if dtype is not None and asarray(x).dtype.kind in "fc" and np.dtype(dtype).kind not in "fc":
        raise TypeError(f"dtype={np.dtype(dtype)} has no fractions; convert the result with astype instead")


def share(g: Any, count: float) -> Any:
    """A mean's gradient, g / count, also for a count that float16 cannot hold."""
    if count >= 65504 and g.dtype == np.float16:
        return (g.astype(np.float32) / count).astype(np.float16)
    return g / count
