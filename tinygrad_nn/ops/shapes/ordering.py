"""Operations that bring elements into order, and find places in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.define import op
from .indexing import discrete, take_along_axis
from .layout import ravel


def _order(x: Any, axis: int, descending: bool) -> Any:
    if not descending:
        return np.argsort(x, axis, stable=True)
    # From behind, so that equal elements keep their order.
    return np.shape(x)[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, stable=True), axis)


@discrete
def argsort(x, *, axis=-1, descending=False, stable=True):
    """Indices that sort `x` along `axis`, or the flattened array if `axis` is None.

    Equal elements keep their order, whatever `stable` says.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.argsort(tg.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    return _order(np.ravel(x), 0, descending) if axis is None else _order(x, axis, descending)


@op(name="sort", formula="sort({x})")
def _sort(x, *, axis=-1, descending=False):
    return np.take_along_axis(x, _order(x, axis, True), axis) if descending else np.sort(x, axis, stable=True)


def _unsort(g: Any, x: Any, axis: int, descending: bool) -> Any:
    rank = argsort(argsort(x, axis=axis, descending=descending), axis=axis)
    return take_along_axis(g, rank, axis)


_sort.derivatives(lambda g, out, x, *, axis, descending: _unsort(g, x, axis, descending))
_sort.forward_derivative(
    lambda tangents, out, x, *, axis, descending: take_along_axis(
        tangents[0], argsort(x, axis=axis, descending=descending), axis
    )
)


def sort(x: Any, axis: int | None = -1, *, descending: bool = False, stable: bool = True) -> Any:
    """`x` sorted along `axis`, or flattened and sorted if `axis` is None. NaN comes last.

    Parameters
    ----------
    x : array_like
    axis : int or None
    descending : bool
    stable : bool
        Equal elements keep their order in any case.

    Returns
    -------
    Tensor
        Each element's gradient goes back to where the element came from.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.sort(tg.tensor([3.0, 1.0, 2.0]))
    tensor([1., 2., 3.])
    """
    return _sort(ravel(x) if axis is None else x, axis=0 if axis is None else axis, descending=descending)


@discrete
def searchsorted(x1, x2, *, side="left"):
    """Where each element of `x2` belongs in the sorted vector `x1`; on the ``"left"`` or ``"right"`` of equal ones.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.searchsorted(tg.tensor([1.0, 2.0, 3.0]), 2.5)
    tensor(2)
    """
    return np.searchsorted(x1, x2, side)


__all__ = ["argsort", "searchsorted", "sort"]
