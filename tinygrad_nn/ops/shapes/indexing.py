"""Operations that pick elements by index or by order, and those that put them back."""

from __future__ import annotations

import operator
from functools import partial
from typing import Any

import numpy as np

from ...core.define import op
from ...core.graph import Recorded
from ...core.store import compiling, looked_at
from ...core.views import Sharing, view_of
from ..elementwise import where
from .layout import ravel, shape_of
from .rows import are_rows, sums_of_rows

asarray = np.asarray
ndarray = np.ndarray
discrete = partial(op, differentiable=False)

#: Stands in the setting `key` of an op for each index array, which are inputs.
ARRAY = "array"


# --- what an index is made of ----------------------------------------------------------------------------------------


def _parse(key: Any, caller: str) -> tuple[tuple[Any, ...], list[Any]]:
    """An index as a tuple of fixed parts, with `ARRAY` for each index array, and the arrays."""
    parts: list[Any] = []
    arrays: list[Any] = []
    for part in key if type(key) is tuple else (key,):
        kind = type(part)
        if kind is int or part is None or part is Ellipsis:
            parts.append(part)
        elif kind is slice:
            parts.append(_fixed(part))
        elif isinstance(part, np.integer):
            parts.append(int(part))
        else:
            parts.append(ARRAY)
            arrays.append(_index_array(part, caller))
    return tuple(parts), arrays


def _fixed(part: slice) -> slice:
    """A slice with plain numbers for bounds, which no later write can change."""
    bounds = (part.start, part.stop, part.step)
    if all(bound is None or type(bound) is int for bound in bounds):
        return part
    try:
        return slice(*(bound if bound is None else operator.index(bound) for bound in bounds))
    except TypeError as error:
        if "compile:" in str(error):  # a number that differs from call to call
            raise
        raise TypeError(f"{part} has bounds that are neither integers nor None") from None


def _index_array(part: Any, caller: str) -> Any:
    array = part
    if not hasattr(part, "dtype"):
        try:
            array = asarray(part)
        except ValueError as error:
            raise IndexError(f"{caller}: {part!r} is no array of indices: {error}") from None
        if array.size == 0 and array.dtype == np.float64:  # an empty list
            array = array.astype(np.intp)
    if array.dtype.kind not in "iub":
        what = f"{array.dtype}{list(array.shape)}" if array.ndim else repr(part)
        raise IndexError(
            f"{caller}: an index is made of integers, slices, None, ... and arrays of integers or bools, not {what}; "
            "convert it with astype(int), or compare to get a mask"
        )
    return array


def _filled(key: tuple[Any, ...], indices: tuple[Any, ...]) -> tuple[Any, ...]:
    """The index that NumPy takes."""
    if not indices:
        return key
    rest = iter(indices)
    return tuple(next(rest) if type(part) is str else part for part in key)


def _distinct(indices: tuple[Any, ...]) -> bool:
    """Whether it is plain, at little cost, that no place is named twice.

    So it is if along each axis of the broadcast indices one of them has only different values, as rows and columns of
    `numpy.ix_` have, or the ``arange`` beside labels.
    """
    arrays = [asarray(i) for i in indices]
    kinds = {i.dtype.kind for i in arrays}
    if "b" in kinds:
        return kinds == {"b"}  # a mask names each place once; masks are not looked at beside integers
    wanted: set[int] = set()
    covered: set[int] = set()
    for i in arrays:
        axes = {axis - i.ndim for axis, length in enumerate(i.shape) if length != 1}
        wanted |= axes
        if not axes <= covered and _rises(i.ravel()):
            covered |= axes
    return wanted <= covered


def _known_distinct(indices: tuple[Any, ...]) -> bool:
    """Whether no place is named twice, and that is plain already while a program is recorded."""
    return all(isinstance(i, ndarray | np.generic | int) for i in indices) and _distinct(indices)


def _rises(i: Any) -> bool:
    # Of one sign, as -1 and the last place are the same.
    return not i.size or bool((i[0] >= 0 or i[-1] < 0) and (i[1:] > i[:-1]).all())


def _places(shape: tuple[int, ...], place: tuple[Any, ...]) -> Any:
    """The number, in row-major order, of each element that an index names."""
    return np.arange(np.prod(shape, dtype=np.intp)).reshape(shape)[place]


# --- read ------------------------------------------------------------------------------------------------------------


@op(name="index", linear="separately", analytic=True, formula="{x}[{key}]")
def _index(x, *indices, key):
    if len(indices) == 1 and key[-1] == ARRAY and all(part == slice(None) for part in key[:-1]):
        only = asarray(indices[0])
        if only.dtype.kind != "b" and np.ndim(x) >= len(key):  # NumPy takes along one axis faster than it indexes
            return asarray(x).take(asarray(only, np.intp), len(key) - 1)
    out = asarray(x)[_filled(key, indices)]
    return out if out.ndim else out[()]


@op(linear="separately", analytic=True, formula="{g} put at [{key}]")
def scatter_add(g, *indices, key, shape):
    """Zeros of `shape` with `g` added at an index, as often as it names a place: the adjoint of `index`."""
    if g.dtype.char == "e":  # sums in float16 stop growing at 2048
        return scatter_add.kernel(g.astype(np.float32), *indices, key=key, shape=shape).astype(g.dtype)
    out = np.zeros(shape, g.dtype)
    place = _filled(key, indices)
    if not indices or _distinct(indices):
        out[place] = g
    elif are_rows(g, indices, key):
        out = sums_of_rows(g, indices[0], shape)
    elif g.dtype.itemsize <= 8 and g.dtype.kind == "f" and out.size < 16 * g.size > 2000:
        places = _places(shape, place).ravel()  # bincount adds up to five times faster than add.at
        out = np.bincount(places, g.ravel(), out.size).reshape(shape).astype(g.dtype, copy=False)
    else:
        np.add.at(out, place, g)
    return out if out.ndim else out[()]


def _no_more(gradient: Any, indices: tuple[Any, ...]) -> tuple[Any, ...]:
    """Gradients of the first input and of index arrays, which have none."""
    return gradient, *(None,) * len(indices)


_index.derivatives(
    jointly=lambda needed, g, out, x, *indices, key: _no_more(
        scatter_add(g, *indices, key=key, shape=x.shape), indices
    ),
    reads=("indices",),
    formulas=["1"],
)
_index.shaped_by_numbers = "by masks"
scatter_add.derivatives(
    jointly=lambda needed, h, out, g, *indices, key, shape: _no_more(_index(h, *indices, key=key), indices),
    reads=("indices",),
    formulas=["1"],
)
scatter_add.hands_on = (0,)


def index(x: Any, key: Any) -> Any:
    """Elements of `x` at an index of any kind that NumPy has; what ``x[key]`` does.

    Parameters
    ----------
    x : array_like
    key : int, slice, None, Ellipsis, array_like of int or bool, or a tuple of these
        Tensors serve as index arrays too.

    Returns
    -------
    Tensor
        The gradient is added up at the places that the elements came from.

    Raises
    ------
    IndexError
        For an index out of range, a mask of another shape, or an index that is no integer.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> x[[0, 0, 2]].sum().backward()
    >>> x.grad
    tensor([2., 0., 1.])
    """
    parts, arrays = _parse(key, "index")
    if arrays and compiling():
        parts, arrays = _without_known_masks(parts, arrays)
    out = _index.apply(x, *arrays, key=parts)
    if not arrays and isinstance(x, Recorded) and not _is_number(parts, x):
        BASIC.link(out, x, {"key": parts})
    return out


def _is_number(key: tuple[Any, ...], x: Any) -> bool:
    """Whether an index names one element, which NumPy gives as a number rather than as a view."""
    return len(key) == len(x.shape) and all(type(part) is int for part in key)


def is_at(view: Any, x: Any, key: Any) -> bool:
    """Whether a Tensor is the view ``x[key]``."""
    known = view_of(view)
    if known is None or known.parent is not x or known.sharing is not BASIC:
        return False
    parts, arrays = _parse(key, "index")
    return not arrays and parts == known.settings["key"]


def _without_known_masks(key: tuple[Any, ...], arrays: list[Any]) -> tuple[tuple[Any, ...], list[Any]]:
    """Masks whose numbers are the same in every call of what is recorded as the places where they are true."""
    parts: list[Any] = []
    places: list[Any] = []
    rest = iter(arrays)
    for part in key:
        if part is not ARRAY:
            parts.append(part)
            continue
        array = next(rest)
        value = array._value if isinstance(array, Recorded) else array
        known = type(value) is ndarray and value.dtype.kind == "b" and value.ndim
        if known:
            looked_at(array)
        here = np.nonzero(value) if known else (array,)
        places += here
        parts += [ARRAY] * len(here)
    return tuple(parts), places


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Elements at `indices` along `axis`, or of the flattened array if `axis` is None.

    Parameters
    ----------
    x : array_like
    indices : array_like of int
        Of any shape, which stands in the result in place of `axis`.
    axis : int, optional

    Returns
    -------
    Tensor
        The gradient is added up at the places that the elements came from.

    Raises
    ------
    IndexError
        For an index out of range, or one that is no integer.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.take(tg.tensor([1.0, 2.0, 3.0]), [2, 0])
    tensor([3., 1.])
    """
    indices = _index_array(indices, "take")
    if indices.dtype.kind == "b":
        raise IndexError("take: indices are integers, not bools; index with a mask: x[mask]")
    if axis is None:
        x, axis = ravel(x), 0
    ndim = len(shape_of(x))
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim, "take")
    return _index(x, indices, key=(slice(None),) * (axis % ndim) + (ARRAY,))


def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Any:
    """For each place along the other axes, the elements at `indices` along `axis`.

    Parameters
    ----------
    x : array_like
    indices : array_like of int
        With as many axes as `x`; the other axes broadcast against its.
    axis : int

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.take_along_axis(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), [[1], [0]])
    tensor([[2.],
            [3.]])
    """
    shape = shape_of(x)
    indices = _index_array(indices, "take_along_axis")
    ndim = len(shape)
    if indices.ndim != ndim or indices.dtype.kind == "b":
        raise IndexError(
            f"take_along_axis: indices must be integers with the {ndim} axes of the array of shape {shape}, "
            f"not {indices.dtype}{list(indices.shape)}"
        )
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim, "take_along_axis")
    key = [
        indices if i == axis % ndim else np.arange(n).reshape((n,) + (1,) * (ndim - 1 - i)) for i, n in enumerate(shape)
    ]
    return _index(x, *key, key=(ARRAY,) * ndim)


# --- write -----------------------------------------------------------------------------------------------------------


@op(name="index_update", formula="{x}[{key}] ← {value}")
def _update(x, value, *indices, key):
    x = asarray(x)
    dtype = np.result_type(x.dtype, value) if isinstance(value, int | float | complex) else value.dtype
    if not np.can_cast(dtype, x.dtype, "same_kind"):
        raise TypeError(f"elements of {x.dtype} cannot take {dtype} values; convert one of them with astype")
    out = x.copy()
    place = _filled(key, indices)
    if not indices or _distinct(indices):
        out[place] = value
    else:  # one after the other, so that the last of several values for a place wins, as the gradient has it
        places = _places(out.shape, place)
        value = asarray(value)
        if value.ndim > places.ndim and value.size:  # NumPy lets a value have more axes, of length 1
            value = value.reshape(value.shape[value.ndim - places.ndim :])
        out.reshape(-1)[places.ravel()] = np.broadcast_to(value, places.shape).ravel()
    return out if out.ndim else out[()]


@discrete(name="wins")
def _wins(*indices, key, shape):
    """Whether each value written at an index stays, and is not overwritten by a later one for the same place."""
    places = _places(shape, _filled(key, indices))
    numbers = np.arange(places.size)
    last = np.empty(np.prod(shape, dtype=np.intp), np.intp)
    last[places.ravel()] = numbers
    return (last[places.ravel()] == numbers).reshape(places.shape)


def _update_gradients(needed: Any, g: Any, out: Any, x: Any, value: Any, *indices: Any, key: Any) -> Any:
    in_x = in_value = None
    if needed[0]:
        in_x = _update(g, 0, *indices, key=key)
    if needed[1]:
        in_value = _index(g, *indices, key=key)
        if indices and not _known_distinct(tuple(getattr(i, "_value", i) for i in indices)):
            in_value = where(_wins(*indices, key=key, shape=x.shape), in_value, 0)
        if len(value.shape) > in_value.ndim:  # as NumPy lets it; the engine sums over axes that are too many
            in_value = in_value.reshape((1,) * len(value.shape) + in_value.shape)
    return in_x, in_value, *(None,) * len(indices)


def _update_forward(tangents: Any, out: Any, x: Any, value: Any, *indices: Any, key: Any) -> Any:
    base = np.zeros(out.shape, out.dtype) if tangents[0] is None else tangents[0]
    return _update(base, 0 if tangents[1] is None else tangents[1], *indices, key=key)


_update.derivatives(jointly=_update_gradients, reads=("indices",), formulas=["1", "1"])
_update.forward_derivative(_update_forward)


#: A basic index: integers, slices, None and ``...``.
BASIC = Sharing(_index, lambda x, *, key: x[key], lambda x, value, *, key: _update(x, value, key=key))


def index_update(x: Any, value: Any, index: Any) -> Any:
    """`x` with `value` in place of the elements at an index; `x` itself stays as it is.

    Parameters
    ----------
    x : array_like
    value : array_like
        Broadcast to the shape of ``x[index]``. Where the index names a place twice the last value stays.
    index : int, slice, None, Ellipsis, array_like of int or bool, or a tuple of these

    Returns
    -------
    Tensor
        Of the shape and dtype of `x`. The gradient of `x` is zero at the index; that of `value` is what is there, and
        zero for values that were overwritten.

    Raises
    ------
    TypeError
        If values would lose more than precision: complex to float, float to integer.
    ValueError
        If `value` does not broadcast.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.index_update(tg.zeros(3), 5.0, 1)
    tensor([0., 5., 0.])
    """
    parts, arrays = _parse(index, "index_update")
    return _update(x, value, *arrays, key=parts)


# --- diagonals -------------------------------------------------------------------------------------------------------


@op(linear="jointly", analytic=True, formula="diag({x})")
def diagonal(x, *, offset=0, axis1=0, axis2=1):
    """Elements on a diagonal of two axes, along a new last axis.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.diagonal(tg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 4.])
    """
    return np.diagonal(x, offset, axis1, axis2)


@op(linear="jointly", analytic=True, formula="diag({g})")
def fill_diagonal(g, *, shape, offset=0, axis1=0, axis2=1):
    """Zeros of `shape` with `g` on a diagonal: the adjoint of `diagonal`."""
    out = np.zeros(shape, g.dtype)
    view = out.diagonal(offset, axis1, axis2)
    view.flags.writeable = True
    view[...] = g
    return out


diagonal.derivatives(
    lambda g, out, x, *, offset, axis1, axis2: fill_diagonal(g, shape=x.shape, offset=offset, axis1=axis1, axis2=axis2),
    formulas=["1"],
)
fill_diagonal.derivatives(
    lambda h, out, g, *, shape, offset, axis1, axis2: diagonal(h, offset=offset, axis1=axis1, axis2=axis2),
    formulas=["1"],
)


def diag(x: Any, k: int = 0) -> Any:
    """The diagonal `k` of a matrix, or for a vector the matrix that has it there and is zero elsewhere.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.diag(tg.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    shape = shape_of(x)
    if len(shape) == 2:
        return diagonal(x, offset=k)
    if len(shape) != 1:
        raise ValueError(f"diag: takes a vector or a matrix, not shape {shape}; see diagonal")
    n = shape[0] + abs(k)
    return fill_diagonal(x, shape=(n, n), offset=k)


@discrete
def nonzero(x):
    """Where `x` is not zero: a tuple of index arrays, one for each axis.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.nonzero(tg.tensor([0.0, 2.0, 3.0]))
    (tensor([1, 2]),)
    """
    return tuple(np.nonzero(x))


nonzero.shaped_by_numbers = "always"


__all__ = ["diag", "diagonal", "index", "index_update", "nonzero", "take", "take_along_axis"]
