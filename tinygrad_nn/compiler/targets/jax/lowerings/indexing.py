"""Lowerings for picking elements by index, and for writing to them."""

from __future__ import annotations

from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np

from .....ops.shapes.indexing import ARRAY, _distinct
from .table import Call, NoCounterpart, cast, dtype_of, formula, lowering, varies

Shape = tuple[int, ...]


def _axes_of_arrays(key: tuple[Any, ...], arrays: tuple[Any, ...], ndim: int) -> list[int]:
    """The axis that each index array goes along; the first one for a mask."""
    rest = iter(np.ndim(x) if dtype_of(x).kind == "b" else 1 for x in arrays)
    steps = [next(rest) if _is_array(part) else 0 if part is None or part is Ellipsis else 1 for part in key]
    axes, axis = [], 0
    for part, step in zip(key, steps, strict=True):
        if _is_array(part):
            axes.append(axis)
        axis += ndim - sum(steps) if part is Ellipsis else step
    return axes


def _is_array(part: Any) -> bool:
    return isinstance(part, str) and part == ARRAY


def _filled(key: tuple[Any, ...], arrays: Any) -> tuple[Any, ...]:
    """A key with the index arrays at their places."""
    rest = iter(arrays)
    return tuple(next(rest) if _is_array(part) else part for part in key)


def _key(call: Call, key: tuple[Any, ...], arrays: tuple[Any, ...], shape: Shape) -> tuple[Any, ...]:
    """An index of an array of some shape, whose numbers are checked where they differ from call to call."""
    results = []
    for x, axis in zip(arrays, _axes_of_arrays(key, arrays, len(shape)), strict=True):
        if dtype_of(x).kind == "b":
            if varies(x):
                raise NoCounterpart
            results.append(x)
            continue
        if varies(x):  # JAX would go on with some other element
            length = shape[axis]
            call.refuse(
                (x < -length) | (x >= length),
                IndexError,
                f"{call.step.op.name}: an index is out of range for axis {axis} of shape {shape}, "
                f"which takes {-length} … {length - 1}",
            )
        results.append(cast(x, np.int64))
    return _filled(key, results)


def _plainly(arrays: tuple[Any, ...]) -> bool:
    """Whether it is known beforehand that no place is written to twice."""
    if any(map(varies, arrays)):
        return all(np.shape(x) == () for x in arrays)
    return not arrays or bool(_distinct(arrays))


def _places(shape: Shape, key: tuple[Any, ...]) -> Any:
    """The numbers of the elements that an index picks, in the flattened array."""
    return jnp.arange(prod(shape)).reshape(shape)[key]


def _last_ones(places: Any, size: int) -> Any:
    """Whether nothing is written later to the same place: the last write counts."""
    numbers = jnp.arange(places.size).reshape(places.shape)
    return jnp.full(size, -1).at[places].max(numbers)[places] == numbers


@lowering("index")
def _index(call: Call, x: Any, *arrays: Any, key: tuple[Any, ...]) -> Any:
    return jnp.asarray(x)[_key(call, key, arrays, np.shape(x))]


@lowering("scatter_add")
def _scatter_add(call: Call, g: Any, *arrays: Any, key: tuple[Any, ...], shape: Shape) -> Any:
    dtype = np.dtype(np.float32) if call.out.dtype.char == "e" else call.out.dtype
    places = jnp.zeros(shape, dtype).at[_key(call, key, arrays, shape)]
    return places.set(cast(g, dtype)) if _plainly(arrays) else places.add(cast(g, dtype))


@lowering("index_update")
def _index_update(call: Call, x: Any, value: Any, *arrays: Any, key: tuple[Any, ...]) -> Any:
    shape = np.shape(x)
    new = cast(value, call.out.dtype)
    if any(varies(i) and i.dtype.kind == "b" for i in arrays):
        return _masked(x, new, arrays, key)
    place = _key(call, key, arrays, shape)
    zeros = (np.zeros(np.shape(i), int) if varies(i) else i for i in arrays)
    picked = np.broadcast_to(np.int8(0), shape)[_filled(key, zeros)].shape
    if np.ndim(value) > len(picked):
        new = jnp.reshape(new, np.shape(value)[np.ndim(value) - len(picked) :])
    if _plainly(arrays):
        return jnp.asarray(x).at[place].set(new)
    places = _places(shape, place)
    last = jnp.where(_last_ones(places, prod(shape)), places, prod(shape))  # what loses is written nowhere
    return jnp.ravel(x).at[last].set(new, mode="drop").reshape(shape)


def _masked(x: Any, new: Any, arrays: tuple[Any, ...], key: tuple[Any, ...]) -> Any:
    """One value wherever a mask over the first axes is true."""
    if key != (ARRAY,) or np.shape(new):
        raise NoCounterpart
    (mask,) = arrays
    return jnp.where(jnp.reshape(mask, mask.shape + (1,) * (np.ndim(x) - mask.ndim)), new, x)


@lowering("wins")
def _wins(call: Call, *arrays: Any, key: tuple[Any, ...], shape: Shape) -> Any:
    return _last_ones(_places(shape, _key(call, key, arrays, shape)), prod(shape))


@formula("fill_diagonal")
def _fill_diagonal(g: Any, *, shape: Shape, offset: int, axis1: int, axis2: int) -> Any:
    places = np.arange(prod(shape)).reshape(shape).diagonal(offset, axis1, axis2)
    return jnp.zeros(prod(shape), g.dtype).at[places].set(g).reshape(shape)
