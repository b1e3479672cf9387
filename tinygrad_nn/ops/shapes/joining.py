"""Operations that join arrays along an axis, and those that cut them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ...core.graph import Recorded
from .indexing import BASIC
from .layout import atleast_1d, atleast_2d, linear, ravel, shape_of


@linear(name="concat", formula="concat({arrays})")
def _concat(*arrays, axis):
    return np.concatenate(arrays, axis)


@linear(name="stack", formula="stack({arrays})")
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
    shape = np.shape(x)
    axis = normalize_axis_index(axis, len(shape))
    length = shape[axis]
    if isinstance(indices_or_sections, int | np.integer):
        count = int(indices_or_sections)
        if count < 1 or length % count:
            raise ValueError(
                f"{length} elements along axis {axis} cannot be cut into {count} equal parts; see array_split"
            )
        bounds = list(range(0, length + 1, length // count)) if length else [0] * (count + 1)
    else:
        bounds = [0, *(min(max(i + length if i < 0 else i, 0), length) for i in indices_or_sections), length]
        if sorted(bounds) != bounds:
            raise ValueError(f"the cuts {indices_or_sections} are not in rising order, so that parts would overlap")
    before = (slice(None),) * axis
    return tuple(x[(*before, slice(start, stop))] for start, stop in pairwise(bounds))


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


def _share(parts: Sequence[Any], x: Any, axis: int, keys: Sequence[Any]) -> None:
    """Let the parts of a Tensor be views of it, at `keys` along `axis`; numbers are none."""
    if isinstance(x, Recorded):
        before = (slice(None),) * (axis % len(x.shape))
        for part, key in zip(parts, keys):
            if part.shape or type(key) is slice:
                BASIC.link(part, x, {"key": (*before, key)})


def _shared_split(x: Any, indices_or_sections: Any, axis: int = 0) -> tuple[Any, ...]:
    parts: tuple[Any, ...] = _split(x, indices_or_sections=indices_or_sections, axis=axis)
    if isinstance(x, Recorded):
        ends = list(accumulate((part.shape[axis] for part in parts), initial=0))
        _share(parts, x, axis, [slice(*bounds) for bounds in pairwise(ends)])
    return parts


_split = split.apply
split.apply = _shared_split


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
    inputs = list(arrays)
    if not inputs:
        raise ValueError("concat: needs at least one array")
    if axis is None:
        inputs, axis = [ravel(x) for x in inputs], 0
    return _concat(*inputs, axis=axis)


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
    inputs = list(arrays)
    if not inputs:
        raise ValueError("stack: needs at least one array")
    return _stack(*inputs, axis=axis)


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
    _share(parts, x, axis, range(len(parts)))
    return parts


def vstack(arrays: Iterable[Any]) -> Any:
    """Arrays joined along the first axis, vectors as rows."""
    return concat([atleast_2d(x) for x in arrays])


def hstack(arrays: Iterable[Any]) -> Any:
    """Arrays joined along the second axis, vectors along their only one."""
    inputs = [atleast_1d(x) for x in arrays]
    return concat(inputs, axis=0 if inputs and len(shape_of(inputs[0])) == 1 else 1)


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


__all__ = [
    "array_split",
    "concat",
    "concatenate",
    "hstack",
    "split",
    "stack",
    "unstack",
    "vstack",
]
