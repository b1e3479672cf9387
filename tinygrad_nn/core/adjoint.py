"""Operations that the engine needs: undoing a broadcast, keeping a zero gradient zero, standing in for an input."""

from __future__ import annotations

from math import isfinite, prod
from typing import Any

import numpy as np

from .define import op

#: Results of at most this many elements are filled rather than made as views.
SMALL = 4096


@op(linear="jointly", analytic=True)
def sum_to(x, *, shape):
    """Sum over the axes along which `shape` was broadcast to that of `x`: the adjoint of `broadcast_to`."""
    if x.dtype.char == "e":  # sums in float16 stop growing at 2048
        return sum_to.kernel(x.astype(np.float32), shape=shape).astype(x.dtype)
    lead = x.ndim - len(shape)
    if x.shape[lead:] == shape:  # a bias, most often
        return np.add.reduce(x, 0 if lead == 1 else tuple(range(lead)))
    axes = (*range(lead), *(i + lead for i, n in enumerate(shape) if n == 1 and x.shape[i + lead] != 1))
    return np.add.reduce(x, axes, keepdims=True).reshape(shape)[()]


@op(linear="jointly", analytic=True, formula="broadcast({x})")
def broadcast_to(x, *, shape):
    """Repeat `x` along new axes and axes of length 1, up to `shape`.

    Parameters
    ----------
    x : array_like
    shape : tuple of int

    Returns
    -------
    Tensor
        Of the given shape. The derivative sums over the repeated axes: ∂L/∂x = Σ ∂L/∂out.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.broadcast_to(tg.tensor([1.0, 2.0]), shape=(3, 2)).shape
    (3, 2)
    """
    if type(shape) is tuple and prod(shape) <= SMALL and getattr(x, "ndim", 9) <= len(shape):
        out = np.empty(shape, x.dtype)  # a fifth of the time that a view takes to make
        out[...] = x
        return out[()]
    return np.broadcast_to(x, shape)[()]


sum_to.derivatives(lambda g, out, x, *, shape: broadcast_to(g, shape=x.shape))
broadcast_to.derivatives(lambda g, out, x, *, shape: sum_to(g, shape=x.shape), formulas=["1"])
broadcast_to.hands_on = (0,)


@op
def zero_where_zero(g, r, x):
    """`x`, but 0 where `g` is 0 and `r`, a product with it, is infinite or NaN."""
    return np.where((g == 0) & ~np.isfinite(r), x.dtype.type(0), x)[()]


# Where r is finite nothing is changed, so that a mixed derivative passes there, whatever g is.
zero_where_zero.derivatives(
    None,
    None,
    lambda h, out, g, r, x: zero_where_zero(g, r, h),
    formulas=[None, None, "0 where {g} is 0 and {r} not finite, else 1"],
)


def keep_zeros(g: Any, r: Any) -> Any:
    """The gradient `r` that an elementwise rule made of `g`, with 0 · inf = 0 · NaN = 0.

    So nothing gets into a gradient from a branch that was not taken, where the incoming gradient is zero.
    """
    value = getattr(r, "_value", r)
    if not isinstance(value, np.ndarray | np.generic):  # a plain number, or what the pass will refuse
        return zero_where_zero(g, r, r) if hasattr(value, "variable") else r
    # A sum of squares is finite only if all are; it can overflow too, and then each is looked at. The pass looks first.
    flat = value.ravel()
    if isfinite(abs(flat.dot(flat))) or np.all(np.isfinite(value)):
        return r
    return zero_where_zero(g, r, r)


#: What the gradient is of a result that nothing depends on: zeros that take no memory, and are known by it.
_ZERO: Any = bytes(16)


def nothing(shape: tuple[int, ...], dtype: Any) -> Any:
    """Zeros, for a result to which no gradient came."""
    return np.ndarray(shape, dtype, _ZERO, 0, (0,) * len(shape))


def is_nothing(g: Any) -> bool:
    """Whether no gradient came, so that a rule can leave out the work."""
    return type(g) is np.ndarray and g.base is _ZERO


@op(linear="jointly", analytic=True, formula="{x}")
def alias(x):
    """The input itself, as a node of its own that a transform can differentiate with respect to."""
    return x


alias.derivatives(lambda g, out, x: g, formulas=["1"])
