"""Operations that move, repeat, pad and blank out elements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ...core.adjoint import sum_to
from ...core.define import op
from .indexing import take
from .layout import asarray, copy, linear, ravel, reshape, shape_of

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


@op(name="pad", analytic=True, formula="pad({x})")
def _pad(x, *, pad_width, constant_values=0):
    if np.ndim(constant_values):
        return np.pad(x, pad_width, constant_values=constant_values)
    # The common case in a tenth of the time that np.pad takes.
    out = np.full([n + before + after for n, (before, after) in zip(x.shape, pad_width)], constant_values, x.dtype)
    out[_inner(pad_width, x.shape)] = x
    return out


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
        What is added, as in `numpy.pad`: `constant_values`, or elements of `x`, which then get their share of the
        gradient.
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


__all__ = [
    "flip",
    "pad",
    "repeat",
    "roll",
    "tile",
    "tril",
    "triu",
]
