"""Operations on the layout of an array: its shape, the order of its axes, its dtype."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ...core.adjoint import broadcast_to
from ...core.define import op
from ...core.values import holds_tensor, several
from ...core.views import array_like, shares, view_of

asarray = np.asarray
linear = partial(op, linear="jointly", analytic=True)


def shape_of(x: Any) -> tuple[int, ...]:
    """Shape of an array, a Tensor or anything that can be made an array."""
    if hasattr(x, "shape"):
        return x.shape  # type: ignore[no-any-return]
    if isinstance(x, list | tuple) and holds_tensor(x):
        raise TypeError(several(x))
    return np.shape(x)


# --- the same elements in another shape ------------------------------------------------------------------------------


@linear(formula="reshape({x})")
def reshape(x, *, shape):
    """The same elements, in row-major order, in another shape.

    Parameters
    ----------
    x : array_like
    shape : int or tuple of int
        With as many elements as `x`. One length may be -1: it is found from the others.

    Returns
    -------
    Tensor
        The gradient is reshaped back.

    Raises
    ------
    ValueError
        If the number of elements differs.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.reshape(tg.tensor([1.0, 2.0, 3.0, 4.0]), (2, -1)).shape
    (2, 2)
    """
    return asarray(x).reshape(shape)[()]


reshape.derivatives(lambda g, out, x, *, shape: reshape(g, shape=x.shape), formulas=["1"])
reshape.hands_on = (0,)
_flat = reshape.apply  # whose result shares nothing, as if it were copied


def _stays(x: Any, *, shape: Any) -> bool:
    """Whether NumPy would not copy: always where `x` is no view, as it is in row-major order then."""
    if view_of(x) is None:
        return True
    array = array_like(x)
    return np.may_share_memory(array, array.reshape(shape))


shares(
    reshape,
    lambda x, *, shape: x.reshape(shape),
    lambda x, value, *, shape: reshape(value, shape=x.shape),
    when=_stays,
)


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The axes from `start_dim` to `end_dim`, both included, as one; a number becomes an array of one element.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.flatten(tg.ones((2, 3, 4)), 1).shape
    (2, 12)
    """
    shape = shape_of(x)
    if not shape:
        return _flat(x, shape=(1,))
    first = normalize_axis_index(start_dim, len(shape), "flatten")
    last = normalize_axis_index(end_dim, len(shape), "flatten")
    if first > last:
        raise ValueError(f"flatten: start_dim={start_dim} comes after end_dim={end_dim} in shape {shape}")
    return _flat(x, shape=(*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :]))


def ravel(x: Any) -> Any:
    """All elements along one axis, in row-major order."""
    return reshape(x, shape=(-1,))


def expand_dims(x: Any, axis: int | tuple[int, ...]) -> Any:
    """`x` with new axes of length 1, at the places `axis` of the result.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.expand_dims(tg.ones((2, 3)), 1).shape
    (2, 1, 3)
    """
    shape = iter(shape_of(x))
    places = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = len(shape_of(x)) + len(places)
    new = normalize_axis_tuple(places, ndim, "expand_dims")
    return reshape(x, shape=tuple(1 if i in new else next(shape) for i in range(ndim)))


def squeeze(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """`x` without the axes of length 1: those named, or all.

    Raises
    ------
    ValueError
        If an axis that is named has another length.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.squeeze(tg.ones((1, 3, 1)), 0).shape
    (3, 1)
    """
    shape = shape_of(x)
    if axis is None:
        return reshape(x, shape=tuple(n for n in shape if n != 1))
    gone = normalize_axis_tuple(axis, len(shape), "squeeze")
    if any(shape[i] != 1 for i in gone):
        raise ValueError(f"squeeze: axis {axis} of shape {shape} is not of length 1, so it cannot be left out")
    return reshape(x, shape=tuple(n for i, n in enumerate(shape) if i not in gone))


def atleast_1d(x: Any) -> Any:
    """`x`, a number as an array of one element."""
    return reshape(x, shape=(1,)) if not shape_of(x) else x


def atleast_2d(x: Any) -> Any:
    """`x` with at least two axes: a vector as a matrix of one row."""
    shape = shape_of(x)
    return x if len(shape) > 1 else reshape(x, shape=(1, *shape) if shape else (1, 1))


# --- order of the axes -----------------------------------------------------------------------------------------------


@linear(formula="{x}ᵀ")
def permute_dims(x, *, axes=None):
    """`x` with its axes in another order.

    Parameters
    ----------
    x : array_like
    axes : tuple of int, optional
        Which axis of `x` stands at each place of the result; all in reverse order unless given.

    Returns
    -------
    Tensor
        The gradient's axes are put back.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.permute_dims(tg.ones((2, 3, 4)), (1, 0, 2)).shape
    (3, 2, 4)
    """
    if axes is not None and len(axes) != np.ndim(x):
        exchange = f"; to exchange two of them: swapaxes{axes}" if len(axes) == 2 else ""
        raise ValueError(f"each of the {np.ndim(x)} axes must be named once{exchange}")
    return asarray(x).transpose(axes)[()]


def _inverse(axes: Sequence[int] | None) -> tuple[int, ...] | None:
    if axes is None:
        return None
    places = [axis % len(axes) for axis in axes]
    return tuple(sorted(range(len(axes)), key=places.__getitem__))


permute_dims.derivatives(
    lambda g, out, x, *, axes: permute_dims(g, axes=_inverse(axes)),
    formulas=["1"],
)
permute_dims.hands_on = (0,)
shares(
    permute_dims,
    lambda x, *, axes=None: x.transpose(axes),
    lambda x, value, *, axes=None: permute_dims(value, axes=_inverse(axes)),
)
transpose = permute_dims


@linear(kernel=operator.attrgetter("mT"), formula="{x}ᵀ")
def matrix_transpose(x):
    """The last two axes exchanged.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.matrix_transpose(tg.ones((5, 2, 3))).shape
    (5, 3, 2)
    """


matrix_transpose.derivatives(lambda g, out, x: g.mT, formulas=["1"])
matrix_transpose.hands_on = (0,)
shares(matrix_transpose, lambda x: x.mT, lambda x, value: matrix_transpose(value))


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """`x` with two axes exchanged."""
    ndim = len(shape_of(x))
    a, b = (normalize_axis_index(axis, ndim, "swapaxes") for axis in (axis1, axis2))
    axes = list(range(ndim))
    axes[a], axes[b] = b, a
    return permute_dims(x, axes=tuple(axes))


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """`x` with the axes `source` at the places `destination`; the others keep their order.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.moveaxis(tg.ones((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    ndim = len(shape_of(x))
    sources = normalize_axis_tuple(source, ndim, "moveaxis: source")
    places = normalize_axis_tuple(destination, ndim, "moveaxis: destination")
    if len(sources) != len(places):
        raise ValueError(f"moveaxis: {len(sources)} source axes but {len(places)} destinations")
    axes = [i for i in range(ndim) if i not in sources]
    for place, axis in sorted(zip(places, sources)):
        axes.insert(place, axis)
    return permute_dims(x, axes=tuple(axes))


shares(broadcast_to, lambda x, *, shape: np.broadcast_to(x, shape), None)


def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """All arrays broadcast to one shape."""
    shape = np.broadcast_shapes(*map(shape_of, arrays))
    return tuple(broadcast_to(x, shape=shape) for x in arrays)


# --- dtype and identity ----------------------------------------------------------------------------------------------


@op(linear="jointly", name="astype", formula="{x}")
def _convert(x, *, dtype):
    return np.array(x, dtype)[()]


# The engine brings each gradient to its input's dtype.
_convert.derivatives(lambda g, out, x, *, dtype: g, formulas=["1"])


@op(differentiable=False, name="discretize")
def _discretize(x, *, dtype):
    return asarray(x).astype(dtype)[()]


def astype(x: Any, dtype: Any, *, copy: bool = True) -> Any:
    """`x` in another dtype.

    Parameters
    ----------
    x : array_like
    dtype : dtype
        NumPy's. To integers and bools nothing is recorded, as there is no derivative.
    copy : bool
        False: `x` itself if it has that dtype already.

    Returns
    -------
    Tensor
        The gradient comes back in the dtype of `x`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.astype(tg.tensor([1.5, 2.5]), tg.int64)
    tensor([1, 2])
    """
    wanted = np.dtype(dtype)
    if not copy and getattr(x, "dtype", None) == wanted:
        return x
    if wanted.kind in "fc":
        return _convert(x, dtype=wanted)
    if wanted.kind not in "biu":
        raise TypeError(f"astype: a Tensor holds numbers or bools, not {wanted}")
    return _discretize(x, dtype=wanted)


@linear(formula="{x}")
def copy(x):
    """A copy of `x`, through which the gradient passes."""
    return np.array(x)[()]


copy.derivatives(lambda g, out, x: g, formulas=["1"])

__all__ = [
    "astype",
    "atleast_1d",
    "atleast_2d",
    "broadcast_arrays",
    "broadcast_to",
    "copy",
    "expand_dims",
    "flatten",
    "matrix_transpose",
    "moveaxis",
    "permute_dims",
    "ravel",
    "reshape",
    "squeeze",
    "swapaxes",
    "transpose",
]
