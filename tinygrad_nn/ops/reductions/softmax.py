"""Sums of exponentials over axes, and the softmax: stable where the textbook form overflows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.define import op
from ..elementwise.choice import where
from ..elementwise.exponential import exp
from .axes import as_float, keep_axes
from .sums import sum

inf = float("inf")


def _largest(x: Any, axis: Any) -> Any:
    """What to subtract before exponentials: the largest element along `axis`, with the axes kept."""
    if x.size:
        return np.maximum.reduce(x, axis=axis, keepdims=True)
    return np.maximum.reduce(x, axis=axis, keepdims=True, initial=-inf)


@op(analytic=True, formula="log Σ exp({x})")
def logsumexp(x, *, axis=None, keepdims=False):
    """Logarithm of the sum of exponentials over axes, without overflow.

    Parameters
    ----------
    x : array_like
    axis : int, tuple of int or None
        What to sum over; None for all.
    keepdims : bool
        Keep the reduced axes, with length 1.

    Returns
    -------
    Tensor
        ∂/∂x = exp(x − out), the softmax. Where all elements are −inf the result is −inf, with gradient 0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.logsumexp(tg.tensor([1000.0, 1000.0]))
    tensor(1000.69314718)
    """
    x = as_float(x)
    if x.dtype.char == "e":  # sums in float16 overflow at 65504
        return logsumexp.kernel(x.astype(np.float32), axis=axis, keepdims=keepdims).astype(x.dtype)
    largest = _largest(x, axis)
    largest = np.where(np.isfinite(largest), largest, 0)
    with np.errstate(divide="ignore"):
        out = np.log(np.add.reduce(np.exp(x - largest), axis=axis, keepdims=True)) + largest
    return out[()] if keepdims else out.reshape(np.add.reduce(x, axis=axis).shape)[()]


def _logsumexp_rule(g: Any, out: Any, x: Any, *, axis: Any, keepdims: bool) -> Any:
    parts = exp(x - keep_axes(where(out == -inf, 0, out), x.shape, axis, keepdims))
    # Their sum is 1 up to the rounding of `out`, which can be large; where all are 0 they stay so.
    total = sum(parts, axis=axis, keepdims=True)
    return keep_axes(g, x.shape, axis, keepdims) * (parts / where(total == 0, 1, total))


logsumexp.derivatives(
    _logsumexp_rule,
    formulas=["exp({x} − {out})"],
)


@op(analytic=True, formula="softmax({x})")
def softmax(x, *, axis=-1):
    """Exponentials divided by their sum along an axis: exp(x) / Σ exp(x), without overflow.

    Parameters
    ----------
    x : array_like
    axis : int, tuple of int or None
        Along which the results sum to 1; None for all.

    Returns
    -------
    Tensor
        Of the shape of `x`, with ∂out_i/∂x_j = out_i·(δ_ij − out_j).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.softmax(tg.tensor([1000.0, 1000.0, 0.0]))
    tensor([0.5, 0.5, 0. ])
    """
    x = as_float(x)
    if x.dtype.char == "e":  # sums in float16 overflow at 65504
        return softmax.kernel(x.astype(np.float32), axis=axis).astype(x.dtype)
    e = np.exp(x - _largest(x, axis))
    e /= np.add.reduce(e, axis=axis, keepdims=True)
    return e


def _softmax_rule(g: Any, out: Any, x: Any, *, axis: Any) -> Any:
    weighted = g * out
    return weighted - out * sum(weighted, axis=axis, keepdims=True)


softmax.derivatives(_softmax_rule, reads=["out"], formulas=["{out}·(1 − {out})"])


@op(analytic=True, formula="log softmax({x})")
def log_softmax(x, *, axis=-1):
    """Logarithm of the softmax along an axis, x − log Σ exp(x), without overflow.

    Parameters
    ----------
    x : array_like
    axis : int, tuple of int or None
        Along which the exponentials of the results sum to 1; None for all.

    Returns
    -------
    Tensor
        Of the shape of `x`, with ∂out_i/∂x_j = δ_ij − exp(out_j).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.log_softmax(tg.tensor([1000.0, 1000.0, 0.0]))
    tensor([-6.93147181e-01, -6.93147181e-01, -1.00069315e+03])
    """
    x = as_float(x)
    if x.dtype.char == "e":  # sums in float16 overflow at 65504
        return log_softmax.kernel(x.astype(np.float32), axis=axis).astype(x.dtype)
    distance = x - _largest(x, axis)
    if x.size:  # nothing has no logarithm to warn of
        distance -= np.log(np.add.reduce(np.exp(distance), axis=axis, keepdims=True))
    return distance


log_softmax.derivatives(
    lambda g, out, x, *, axis: g - exp(out) * sum(g, axis=axis, keepdims=True),
    formulas=["1 − exp({out})"],
)
softmax.role = log_softmax.role = "activation"

__all__ = ["log_softmax", "logsumexp", "softmax"]
