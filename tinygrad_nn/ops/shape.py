"""Operations that rearrange elements: shapes and axes, joining and splitting, repeating, padding, converting."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..op import op
from .adjoint import broadcast_to, sum_to
from .indexing import take

asarray = np.asarray
linear = partial(op, linear="jointly", analytic=True)


def shape_of(x: Any) -> tuple[int, ...]:
    """Shape of an array, a Tensor or anything that can be made an array."""
    shape: tuple[int, ...] = x.shape if hasattr(x, "shape") else np.shape(x)
    return shape


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
        return reshape(x, shape=(1,))
    first = normalize_axis_index(start_dim, len(shape), "flatten")
    last = normalize_axis_index(end_dim, len(shape), "flatten")
    if first > last:
        raise ValueError(f"flatten: start_dim={start_dim} comes after end_dim={end_dim} in shape {shape}")
    return reshape(x, shape=(*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :]))


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


def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """All arrays broadcast to one shape."""
    shape = np.broadcast_shapes(*map(shape_of, arrays))
    return tuple(broadcast_to(x, shape=shape) for x in arrays)


# --- joining and splitting -------------------------------------------------------------------------------------------


@linear(name="concat", formula="concat(…)")
def _concat(*arrays, axis):
    return np.concatenate(arrays, axis)


@linear(name="stack", formula="stack(…)")
def _stack(*arrays, axis):
    return np.stack(arrays, axis)


@linear(formula="split({x})")
def split(x, *, indices_or_sections, axis=0):
    """`x` cut into several arrays along `axis`.

    Parameters
    ----------
    x : array_like
    indices_or_sections : int or sequence of int
        The number of equal parts, or where to cut.
    axis : int

    Returns
    -------
    tuple of Tensor
        The gradient joins those of the parts, with zeros for a part that was not used.

    Raises
    ------
    ValueError
        If a number of parts does not divide the length; `array_split` takes it.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> a, b = tg.split(tg.tensor([1.0, 2.0, 3.0]), [1])
    >>> b
    tensor([2., 3.])
    """
    parts = np.split(x, indices_or_sections, axis)
    if sum(part.shape[axis] for part in parts) != x.shape[axis]:
        raise ValueError(f"the cuts {indices_or_sections} are not in rising order, so parts would overlap or leave gaps")
    return tuple(parts)


@linear(name="unstack", formula="unstack({x})")
def _unstack(x, *, axis):
    return tuple(np.moveaxis(x, axis, 0))


def _cuts(arrays: Sequence[Any], axis: int) -> tuple[int, ...]:
    """Where an array joined from `arrays` is cut to get them back."""
    cuts, end = [], 0
    for x in arrays[:-1]:
        end += x.shape[axis]
        cuts.append(end)
    return tuple(cuts)


_concat.derivatives(
    jointly=lambda needed, g, out, *arrays, axis: split(g, indices_or_sections=_cuts(arrays, axis), axis=axis),
    reads=(),
    formulas=["1"],
)
split.derivatives(
    lambda g, out, x, *, indices_or_sections, axis: _concat(*g, axis=axis),
    formulas=["1"],
)
_stack.derivatives(
    jointly=lambda needed, g, out, *arrays, axis: _unstack(g, axis=axis),
    reads=(),
    formulas=["1"],
)
_unstack.derivatives(lambda g, out, x, *, axis: _stack(*g, axis=axis), formulas=["1"])


def concat(arrays: Iterable[Any], axis: int | None = 0) -> Any:
    """Arrays joined along an axis that they have.

    Parameters
    ----------
    arrays : sequence of array_like
        Of one shape but for the length of `axis`.
    axis : int or None
        None: each is flattened first.

    Returns
    -------
    Tensor
        Each array's gradient is its part of the result's.

    Raises
    ------
    ValueError
        If the shapes do not fit, or nothing is given.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.concat([tg.tensor([1.0]), tg.tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """
    given = list(arrays)
    if not given:
        raise ValueError("concat: needs at least one array")
    if axis is None:
        given, axis = [ravel(x) for x in given], 0
    return _concat(*given, axis=axis)


concatenate = concat


def stack(arrays: Iterable[Any], axis: int = 0) -> Any:
    """Arrays of one shape joined along a new axis.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.stack([tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0])], axis=1)
    tensor([[1., 3.],
            [2., 4.]])
    """
    given = list(arrays)
    if not given:
        raise ValueError("stack: needs at least one array")
    return _stack(*given, axis=axis)


def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The arrays that `x` is a stack of, along `axis`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> a, b = tg.unstack(tg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> b
    tensor([3., 4.])
    """
    parts: tuple[Any, ...] = _unstack(x, axis=axis)
    return parts


def vstack(arrays: Iterable[Any]) -> Any:
    """Arrays joined along the first axis, vectors as rows."""
    return concat([atleast_2d(x) for x in arrays])


def hstack(arrays: Iterable[Any]) -> Any:
    """Arrays joined along the second axis, vectors along their only one."""
    given = [atleast_1d(x) for x in arrays]
    return concat(given, axis=0 if given and len(shape_of(given[0])) == 1 else 1)


def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> tuple[Any, ...]:
    """As `split`, but a number of parts need not divide the length: the first ones are longer by one then."""
    parts: tuple[Any, ...]
    if not isinstance(indices_or_sections, int | np.integer):
        parts = split(x, indices_or_sections=indices_or_sections, axis=axis)
        return parts
    count = int(indices_or_sections)
    if count < 1:
        raise ValueError(f"array_split: the number of parts must be at least 1, not {count}")
    shape = shape_of(x)
    least, longer = divmod(shape[normalize_axis_index(axis, len(shape), "array_split")], count)
    cuts = tuple(i * least + min(i, longer) for i in range(1, count))
    parts = split(x, indices_or_sections=cuts, axis=axis)
    return parts


# --- order and repetition of the elements ----------------------------------------------------------------------------


@linear(formula="flip({x})")
def flip(x, *, axis=None):
    """The elements in reverse order along `axis`: an int, a tuple, or None for all.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.flip(tg.tensor([1.0, 2.0, 3.0]))
    tensor([3., 2., 1.])
    """
    return np.flip(x, axis)[()]


flip.derivatives(lambda g, out, x, *, axis: flip(g, axis=axis), formulas=["1"])


@linear(formula="roll({x})")
def roll(x, *, shift, axis=None):
    """The elements moved on by `shift` places along `axis`, those beyond the end to the start.

    Parameters
    ----------
    x : array_like
    shift : int or tuple of int
    axis : int or tuple of int, optional
        None: of the flattened array.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.roll(tg.tensor([1.0, 2.0, 3.0]), 1)
    tensor([3., 1., 2.])
    """
    return np.roll(x, shift, axis)[()]


def _back(shift: Any) -> Any:
    return tuple(-n for n in shift) if isinstance(shift, tuple | list) else -shift


roll.derivatives(lambda g, out, x, *, shift, axis: roll(g, shift=_back(shift), axis=axis), formulas=["1"])


@linear(formula="tile({x})")
def tile(x, *, repetitions):
    """`x` repeated as a whole, like tiles.

    Parameters
    ----------
    x : array_like
    repetitions : int or tuple of int
        How often along each axis, counted from the last.

    Returns
    -------
    Tensor
        The gradient sums over the repetitions.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.tile(tg.tensor([1.0, 2.0]), 2)
    tensor([1., 2., 1., 2.])
    """
    return np.tile(x, repetitions)


def _sum_tiles(g: Any, shape: tuple[int, ...], repetitions: Any) -> Any:
    counts = tuple(repetitions) if isinstance(repetitions, Iterable) else (repetitions,)
    ndim = max(len(shape), len(counts))
    counts = (1,) * (ndim - len(counts)) + counts
    lengths = (1,) * (ndim - len(shape)) + shape
    tiles = tuple(n for pair in zip(counts, lengths) for n in pair)
    one = tuple(n for length in lengths for n in (1, length))
    return reshape(sum_to(reshape(g, shape=tiles), shape=one), shape=shape)


tile.derivatives(lambda g, out, x, *, repetitions: _sum_tiles(g, x.shape, repetitions), formulas=["1"])


@linear(name="repeat", formula="repeat({x})")
def _repeat(x, *, repeats, axis):
    return np.repeat(x, repeats, axis)


def _sum_repeats(g: Any, shape: tuple[int, ...], repeats: int, axis: int) -> Any:
    axis = axis % len(shape)
    before, after = shape[: axis + 1], shape[axis + 1 :]
    return reshape(sum_to(reshape(g, shape=(*before, repeats, *after)), shape=(*before, 1, *after)), shape=shape)


_repeat.derivatives(lambda g, out, x, *, repeats, axis: _sum_repeats(g, x.shape, repeats, axis), formulas=["1"])


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element, or each slice along `axis`, repeated.

    Parameters
    ----------
    x : array_like
    repeats : int or sequence of int
        How often: all alike, or one number for each.
    axis : int, optional
        None: of the flattened array.

    Returns
    -------
    Tensor
        The gradient sums over the repetitions.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.repeat(tg.tensor([1.0, 2.0]), 2)
    tensor([1., 1., 2., 2.])
    """
    if axis is None:
        x, axis = ravel(x), 0
    counts = asarray(repeats)
    if counts.dtype.kind not in "iu" or counts.ndim > 1 or np.any(counts < 0):
        raise ValueError(f"repeat: repeats must be a count or a sequence of counts, not {repeats!r}")
    shape = shape_of(x)
    length = shape[normalize_axis_index(axis, len(shape), "repeat")]
    if counts.size == 1:
        return _repeat(x, repeats=int(counts.ravel()[0]), axis=axis)
    if len(counts) != length:
        raise ValueError(f"repeat: {len(counts)} counts for {length} elements along axis {axis} of shape {shape}")
    return take(x, np.repeat(np.arange(length), counts), axis=axis)


# --- padding and triangles -------------------------------------------------------------------------------------------


@op(name="pad", formula="pad({x})")
def _pad(x, *, pad_width, constant_values=0):
    return np.pad(x, pad_width, constant_values=constant_values)


def _inner(pad_width: Sequence[tuple[int, int]], shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(before, before + n) for (before, _), n in zip(pad_width, shape))


_pad.derivatives(
    lambda g, out, x, *, pad_width, constant_values: g[_inner(pad_width, x.shape)],
    formulas=["1"],
)
_pad.forward_derivative(lambda tangents, out, x, *, pad_width, constant_values: _pad(tangents[0], pad_width=pad_width))


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    """`x` with elements added before and after, along each axis.

    Parameters
    ----------
    x : array_like
    pad_width : int or sequence
        How many: one number for all, (before, after) for all axes, or such a pair for each axis.
    mode : {"constant", "edge", "reflect", "symmetric", "wrap"}
        What is added, as in `numpy.pad`: `constant_values`, or elements of `x`, which then get their share of the gradient.
    constant_values : number
        As in `numpy.pad`; they get no gradient.

    Raises
    ------
    ValueError
        For a negative width, or an unknown mode.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.pad(tg.tensor([1.0, 2.0]), (1, 2))
    tensor([0., 1., 2., 0., 0.])
    """
    shape = shape_of(x)
    widths = asarray(pad_width)
    if widths.dtype.kind not in "iu" or np.any(widths < 0):
        raise ValueError(f"pad: pad_width must be counts of elements, not {pad_width!r}")
    try:
        pairs = tuple((int(a), int(b)) for a, b in np.broadcast_to(widths, (len(shape), 2)))
    except ValueError:
        raise ValueError(
            f"pad: pad_width of shape {widths.shape} for an array of {len(shape)} axes: give one number, one pair "
            "(before, after), or one pair for each axis"
        ) from None
    if not shape:
        return copy(x)
    if mode == "constant":
        if getattr(constant_values, "requires_grad", False):
            raise TypeError("pad: constant_values get no gradient; use tg.concat, or add them with tg.where")
        return _pad(x, pad_width=pairs, constant_values=constant_values)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ValueError(f"pad: unknown mode {mode!r}; there are constant, edge, reflect, symmetric and wrap")
    for axis, pair in enumerate(pairs):
        if any(pair):
            x = take(x, np.pad(np.arange(shape[axis]), pair, mode), axis=axis)  # type: ignore[call-overload]
    return x


@linear(formula="tril({x})")
def tril(x, *, k=0):
    """`x` with zeros above the diagonal `k` of its last two axes.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.tril(tg.ones((2, 2)))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return np.tril(x, k)


@linear(formula="triu({x})")
def triu(x, *, k=0):
    """`x` with zeros below the diagonal `k` of its last two axes.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.triu(tg.ones((2, 2)))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return np.triu(x, k)


tril.derivatives(lambda g, out, x, *, k: tril(g, k=k))
triu.derivatives(lambda g, out, x, *, k: triu(g, k=k))


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
    "array_split",
    "astype",
    "atleast_1d",
    "atleast_2d",
    "broadcast_arrays",
    "broadcast_to",
    "concat",
    "concatenate",
    "copy",
    "expand_dims",
    "flatten",
    "flip",
    "hstack",
    "matrix_transpose",
    "moveaxis",
    "pad",
    "permute_dims",
    "ravel",
    "repeat",
    "reshape",
    "roll",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "tile",
    "transpose",
    "tril",
    "triu",
    "unstack",
    "vstack",
]
