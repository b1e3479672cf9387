"""Sums, means, variances and products over axes."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ...core.define import op
from ..elementwise.choice import kinked, where
from ..shapes.joining import concat
from ..shapes.layout import permute_dims, reshape
from .axes import are_safe, as_float, check_dtype, keep_axes, reduced_axes, reduced_count, scale_of, share, spread

linear = partial(op, linear="jointly", analytic=True)

# --- sums and means --------------------------------------------------------------------------------------------------


@linear(formula="Σ {x}")
def sum(x, *, axis=None, keepdims=False, dtype=None):
    """Sum over axes.

    Parameters
    ----------
    x : array_like
    axis : int, tuple of int or None
        What to sum over; None for all.
    keepdims : bool
        Keep the reduced axes, with length 1.
    dtype : dtype, optional
        To sum in; that of `x` unless given, but small integers and bools are summed as int64.

    Returns
    -------
    Tensor
        The gradient of each element is that of its sum. Without elements the sum is 0.

    Raises
    ------
    AxisError
        If `x` has no such axis.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.sum(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """
    if dtype is not None:
        check_dtype(x, dtype)
    return np.add.reduce(x, axis=axis, dtype=dtype, keepdims=keepdims)


@linear(formula="mean({x})")
def mean(x, *, axis=None, keepdims=False):
    """Arithmetic mean over axes.

    Parameters
    ----------
    x : array_like
        Integers are averaged as float64.
    axis : int, tuple of int or None
        What to average over; None for all.
    keepdims : bool
        Keep the reduced axes, with length 1.

    Returns
    -------
    Tensor
        ∂/∂x = 1/n for n elements. Without elements the mean is NaN.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.mean(tg.tensor([[1.0, 2.0], [3.0, 5.0]]), axis=0)
    tensor([2. , 3.5])
    """
    x = np.asarray(x)
    if x.dtype.char == "e":  # sums in float16 overflow at 65504
        return np.mean(x, axis=axis, keepdims=keepdims)
    wide = np.float64 if x.dtype.kind in "iub" else None  # sums of integers overflow
    total = np.add.reduce(x, axis=axis, keepdims=keepdims, dtype=wide)
    return total / (x.size if axis is None else reduced_count(x.shape, axis))


sum.derivatives(lambda g, out, x, *, axis, keepdims, dtype: spread(g, x.shape, axis, keepdims), formulas=["1"])
sum.hands_on = (0,)
sum.reduces = np.add
mean.derivatives(
    lambda g, out, x, *, axis, keepdims: spread(share(g, reduced_count(x.shape, axis)), x.shape, axis, keepdims),
    formulas=["1/n"],
)


# --- spread ----------------------------------------------------------------------------------------------------------


def _variance(x: Any, axis: Any, correction: float, keepdims: Any) -> Any:
    """The mean of squared distances to the mean, in two passes: one pass would lose the digits of a small variance."""
    x = as_float(x)
    freedom = reduced_count(x.shape, axis) - correction
    if x.dtype.char == "e":  # sums in float16 overflow at 65504
        return _variance(x.astype(np.float32), axis, correction, keepdims).astype(x.dtype)
    if freedom <= 0:
        return np.var(x, axis=axis, ddof=correction, keepdims=keepdims)
    distance = x - np.add.reduce(x, axis=axis, keepdims=True) / reduced_count(x.shape, axis)
    squares = distance * distance if x.dtype.kind == "f" else (distance * distance.conj()).real
    return np.add.reduce(squares, axis=axis, keepdims=keepdims) / freedom


def _centred(x: Any, axis: Any) -> Any:
    return x - mean(x, axis=axis, keepdims=True)


@op(formula="var({x})")
def var(x, *, axis=None, correction=0, keepdims=False):
    """Variance over axes: Σ (x − mean)² / (n − correction).

    Parameters
    ----------
    x : array_like
    axis : int, tuple of int or None
        What to reduce over; None for all.
    correction : float
        0 for the variance of the numbers themselves, 1 to estimate that of what they were drawn from.
    keepdims : bool
        Keep the reduced axes, with length 1.

    Returns
    -------
    Tensor
        ∂/∂x = 2·(x − mean) / (n − correction).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.var(tg.tensor([1.0, 2.0, 3.0, 6.0]))
    tensor(3.5)
    """
    return _variance(x, axis, correction, keepdims)


@op(formula="std({x})")
def std(x, *, axis=None, correction=0, keepdims=False):
    """Standard deviation over axes: the square root of `var`.

    Parameters
    ----------
    x : array_like
    axis : int, tuple of int or None
        What to reduce over; None for all.
    correction : float
        0 for the deviation of the numbers themselves, 1 to estimate that of what they were drawn from.
    keepdims : bool
        Keep the reduced axes, with length 1.

    Returns
    -------
    Tensor
        ∂/∂x = (x − mean) / (std·(n − correction)), and 0 where all elements are equal.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.std(tg.tensor([1.0, 1.0, 3.0, 3.0]))
    tensor(1.)
    """
    x = as_float(x)
    if x.dtype.char == "e":
        return std.kernel(x.astype(np.float32), axis=axis, correction=correction, keepdims=keepdims).astype(x.dtype)
    with np.errstate(over="ignore", under="ignore"):  # it is looked at
        out = np.sqrt(_variance(x, axis, correction, keepdims))
    if are_safe(out):
        return out
    # Squares of distances that overflow or vanish: they are scaled before.
    distance = x - mean.kernel(x, axis=axis, keepdims=True)
    scale = scale_of(distance, axis)
    out = np.sqrt(_variance(distance / scale, axis, correction, True)) * scale
    return out[()] if keepdims else out.reshape(np.sum(x, axis=axis).shape)[()]


def _over_deviation(distance: Any, out: Any) -> Any:
    return kinked(distance / out, out == 0)


var.derivatives(
    lambda g, out, x, *, axis, correction, keepdims: (
        keep_axes(share(2 * g, reduced_count(x.shape, axis) - correction), x.shape, axis, keepdims) * _centred(x, axis)
    ),
    formulas=["2·({x} − mean)/n"],
)
std.derivatives(
    lambda g, out, x, *, axis, correction, keepdims: (
        keep_axes(share(g, reduced_count(x.shape, axis) - correction), x.shape, axis, keepdims)
        * _over_deviation(_centred(x, axis), keep_axes(out, x.shape, axis, keepdims))
    ),
    formulas=["({x} − mean)/(n·{out})"],
)


# --- products --------------------------------------------------------------------------------------------------------


@op(analytic=True, formula="Π {x}")
def prod(x, *, axis=None, keepdims=False, dtype=None):
    """Product over axes.

    Parameters
    ----------
    x : array_like
    axis : int, tuple of int or None
        What to multiply over; None for all.
    keepdims : bool
        Keep the reduced axes, with length 1.
    dtype : dtype, optional
        To multiply in.

    Returns
    -------
    Tensor
        ∂/∂x is the product of the other elements, found without a division: right with any number of zeros.
        Without elements the product is 1.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.prod(tg.tensor([2.0, 3.0, 4.0]))
    tensor(24.)
    """
    if dtype is not None:
        check_dtype(x, dtype)
    return np.multiply.reduce(x, axis=axis, dtype=dtype, keepdims=keepdims)


def _product_of_others(x: Any) -> Any:
    """For each element along the last axis the product of all the others, in O(n) multiplications and no division.

    The first half is multiplied with the second; what lies outside a pair is the same question on half the length.
    """
    n = x.shape[-1]
    if n < 2:
        return where(False, x, 1) if n else x
    half = (n + 1) // 2
    first, alone, second = x[..., : n - half], x[..., n - half : half], x[..., half:]
    outside = _product_of_others(concat([first * second, alone], axis=-1))
    paired = outside[..., : n - half]
    return concat([paired * second, outside[..., n - half :], paired * first], axis=-1)


def _prod_rule(g: Any, out: Any, x: Any, *, axis: Any, keepdims: bool, dtype: Any) -> Any:
    axes = reduced_axes(x.ndim, axis)
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    order = kept + axes
    moved = permute_dims(x, axes=order)
    flat = reshape(moved, shape=(*(x.shape[i] for i in kept), reduced_count(x.shape, axes)))
    others = reshape(_product_of_others(flat), shape=moved.shape)
    back = tuple(order.index(i) for i in range(x.ndim))
    return keep_axes(g, x.shape, axis, keepdims) * permute_dims(others, axes=back)


prod.derivatives(_prod_rule, formulas=["product of the others"])
prod.reduces = np.multiply

__all__ = ["mean", "prod", "std", "sum", "var"]
