"""Largest and smallest elements over axes, where they are, and what holds for any or all elements."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ...core.define import op
from ...core.values import precise
from ..elementwise.choice import where
from .axes import keep_axes
from .sums import sum

indexing = partial(op, differentiable=False)  # results without a derivative: indices, counts and truth values


@op(formula="max({x})")
def max(x, *, axis=None, keepdims=False):
    """Largest element over axes; NaN if one is NaN.

    Parameters
    ----------
    x : array_like
    axis : int, tuple of int or None
        What to reduce over; None for all.
    keepdims : bool
        Keep the reduced axes, with length 1.

    Returns
    -------
    Tensor
        The gradient goes to the largest element, in equal shares if there are several; to none if one is NaN.

    Raises
    ------
    ValueError
        If there is no element to choose from.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.max(tg.tensor([[1.0, 5.0], [3.0, 2.0]]), axis=1)
    tensor([5., 3.])
    """
    return np.maximum.reduce(x, axis=axis, keepdims=keepdims)


@op(formula="min({x})")
def min(x, *, axis=None, keepdims=False):
    """Smallest element over axes; NaN if one is NaN.

    Parameters
    ----------
    x : array_like
    axis : int, tuple of int or None
        What to reduce over; None for all.
    keepdims : bool
        Keep the reduced axes, with length 1.

    Returns
    -------
    Tensor
        The gradient goes to the smallest element, in equal shares if there are several; to none if one is NaN.

    Raises
    ------
    ValueError
        If there is no element to choose from.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.min(tg.tensor([[1.0, 5.0], [3.0, 2.0]]), axis=1)
    tensor([1., 2.])
    """
    return np.minimum.reduce(x, axis=axis, keepdims=keepdims)


def _to_chosen(g: Any, out: Any, x: Any, *, axis: Any, keepdims: bool) -> Any:
    """The gradient of an extreme in equal shares to the elements that reach it."""
    chosen = x == keep_axes(out, x.shape, axis, keepdims)
    count = sum(chosen, axis=axis, keepdims=True, dtype=precise(g.dtype))
    share = keep_axes(g, x.shape, axis, keepdims) / count
    return where(chosen, share, 0)


max.derivatives(_to_chosen, formulas=["1 at the maximum, else 0"])
min.derivatives(_to_chosen, formulas=["1 at the minimum, else 0"])
max.reduces = np.maximum
min.reduces = np.minimum


@indexing(formula="argmax({x})")
def argmax(x, *, axis=None, keepdims=False):
    """Index of the largest element along `axis`, the first of several; of the flattened array for None.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.argmax(tg.tensor([[1.0, 5.0], [3.0, 2.0]]), axis=1)
    tensor([1, 0])
    """
    return np.argmax(x, axis=axis, keepdims=keepdims)


@indexing(formula="argmin({x})")
def argmin(x, *, axis=None, keepdims=False):
    """Index of the smallest element along `axis`, the first of several; of the flattened array for None.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.argmin(tg.tensor([[1.0, 5.0], [3.0, 2.0]]), axis=1)
    tensor([0, 1])
    """
    return np.argmin(x, axis=axis, keepdims=keepdims)


# --- truth and counts ------------------------------------------------------------------------------------------------


@indexing(formula="any({x})")
def any(x, *, axis=None, keepdims=False):
    """Whether any element along `axis` is nonzero; False without elements.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.any(tg.tensor([[True, False], [False, False]]), axis=1)
    tensor([ True, False])
    """
    return np.logical_or.reduce(x, axis=axis, keepdims=keepdims)


any.reduces = np.logical_or


@indexing(formula="all({x})")
def all(x, *, axis=None, keepdims=False):
    """Whether all elements along `axis` are nonzero; True without elements.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.all(tg.tensor([[True, False], [True, True]]), axis=1)
    tensor([False,  True])
    """
    return np.logical_and.reduce(x, axis=axis, keepdims=keepdims)


all.reduces = np.logical_and


@indexing(formula="count({x} ≠ 0)")
def count_nonzero(x, *, axis=None, keepdims=False):
    """How many elements along `axis` are nonzero.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.count_nonzero(tg.tensor([[1.0, 0.0], [3.0, 2.0]]), axis=1)
    tensor([1, 2])
    """
    return np.add.reduce(np.not_equal(x, 0), axis=axis, keepdims=keepdims, dtype=np.intp)


amax = max
amin = min

__all__ = ["all", "amax", "amin", "any", "argmax", "argmin", "count_nonzero", "max", "min"]
