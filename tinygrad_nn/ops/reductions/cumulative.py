"""Running sums and products along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ...core.define import op
from ..shapes.joining import concat
from ..shapes.layout import reshape
from .axes import check_dtype
from .sums import linear

BACKWARDS = slice(None, None, -1)


def _running_axis(ndim: int, axis: int | None) -> int:
    if axis is None and ndim != 1:
        raise ValueError(f"an array of {ndim} axes needs axis=, along which to go")
    return normalize_axis_index(0 if axis is None else axis, ndim)


def _along(x: Any, axis: int, part: slice) -> Any:
    return x[(slice(None),) * axis + (part,)]


def _accumulate(ufunc: np.ufunc, x: Any, axis: int | None, dtype: Any, include_initial: bool) -> Any:
    """Running results of `ufunc`; those of nothing first, where asked for."""
    x = np.asarray(x)
    check_dtype(x, dtype)
    axis = _running_axis(x.ndim, axis)
    out = ufunc.accumulate(x, axis=axis, dtype=dtype)
    if not include_initial:
        return out
    first = np.full_like(out, ufunc.identity, shape=(*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    return np.concatenate([first, out], axis=axis)


@linear(formula="running Σ {x}")
def cumulative_sum(x, *, axis=None, include_initial=False, dtype=None):
    """Running sums along an axis.

    Parameters
    ----------
    x : array_like
    axis : int, optional
        Needed unless `x` has one axis.
    include_initial : bool
        Start with the sum of nothing, 0: the result is one longer.
    dtype : dtype, optional
        To sum in; small integers and bools are summed as int64.

    Returns
    -------
    Tensor
        The gradient of an element is the sum of those of all running sums that it is in.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.cumulative_sum(tg.tensor([1.0, 2.0, 4.0]))
    tensor([1., 3., 7.])
    """
    return _accumulate(np.add, x, axis, dtype, include_initial)


def _sum_rule(g: Any, out: Any, x: Any, *, axis: Any, include_initial: bool, dtype: Any) -> Any:
    axis = _running_axis(x.ndim, axis)
    if include_initial:
        g = _along(g, axis, slice(1, None))
    return _along(cumulative_sum(_along(g, axis, BACKWARDS), axis=axis), axis, BACKWARDS)


cumulative_sum.derivatives(_sum_rule, formulas=["1"])


@op(analytic=True, formula="running Π {x}")
def cumulative_prod(x, *, axis=None, include_initial=False, dtype=None):
    """Running products along an axis.

    Parameters
    ----------
    x : array_like
    axis : int, optional
        Needed unless `x` has one axis.
    include_initial : bool
        Start with the product of nothing, 1: the result is one longer.
    dtype : dtype, optional
        To multiply in.

    Returns
    -------
    Tensor
        The derivative is found without a division: right with any number of zeros.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.cumulative_prod(tg.tensor([2.0, 3.0, 4.0]))
    tensor([ 2.,  6., 24.])
    """
    return _accumulate(np.multiply, x, axis, dtype, include_initial)


def _prod_rule(g: Any, out: Any, x: Any, *, axis: Any, include_initial: bool, dtype: Any) -> Any:
    """The product of what comes before each element, times Σ over the running products after it.

    That sum obeys tail_i = g_i + x_(i+1)·tail_(i+1), solved for all i at once in log n steps, each of which doubles the
    number of terms that every tail has.
    """
    axis = _running_axis(x.ndim, axis)
    n = x.shape[axis]
    tail = _along(g, axis, slice(1, None)) if include_initial else g
    between = _along(x, axis, slice(1, None))  # product of the `terms` elements after each
    terms = 1
    while terms < n:
        longer = _along(tail, axis, slice(n - terms)) + between * _along(tail, axis, slice(terms, None))
        tail = concat([longer, _along(tail, axis, slice(n - terms, None))], axis=axis)
        if n > 2 * terms:
            between = _along(between, axis, slice(n - 2 * terms)) * _along(between, axis, slice(terms, None))
        terms *= 2
    before = _along(cumulative_prod(x, axis=axis, include_initial=True), axis, slice(n))
    return before * tail


cumulative_prod.derivatives(_prod_rule, formulas=["{out}/{x}"])


def _flattened(x: Any, axis: int | None) -> tuple[Any, int]:
    return (reshape(x, shape=(-1,)), 0) if axis is None else (x, axis)


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Running sums as `cumulative_sum` gives them, of the flattened array where no axis is given.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.cumsum(tg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([ 1.,  3.,  6., 10.])
    """
    x, axis = _flattened(x, axis)
    return cumulative_sum(x, axis=axis, dtype=dtype)


def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Running products as `cumulative_prod` gives them, of the flattened array where no axis is given.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.cumprod(tg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([ 1.,  2.,  6., 24.])
    """
    x, axis = _flattened(x, axis)
    return cumulative_prod(x, axis=axis, dtype=dtype)


__all__ = ["cumprod", "cumsum", "cumulative_prod", "cumulative_sum"]
