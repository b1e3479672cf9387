"""Rows of `jax_rows` for operations that rearrange elements, put them in order, or pick them by index."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ....ops.shapes.indexing import ARRAY, _distinct
from ...ir import Step, Var
from .text import Row, Writer, dtype_of, dtype_of_all, dtype_text, setting_text, settings_text, shape_of

# --- shape and order -------------------------------------------------------------------------------------------------


def same(w: Writer, step: Step) -> str:
    return w.cast(step.inputs[0], step.out.dtype, exactly=True)


def _reshape(w: Writer, step: Step) -> str:
    return f"{w.array(step.inputs[0])}.reshape({setting_text(step.out.shape)})"


def _broadcast_to(w: Writer, step: Step) -> str:
    return f"jnp.broadcast_to({same(w, step)}, {setting_text(step.out.shape)})"


def _astype(w: Writer, step: Step) -> str | None:
    (x,) = step.inputs
    if type(x) is Var and x.dtype.kind == "c" and step.out.dtype.kind not in "cb":
        return None
    return w.cast(x, step.out.dtype, exactly=True)


def _arguments(name: str, *settings: str) -> Row:
    """A function of jax.numpy of one input and settings by position."""

    def row(w: Writer, step: Step) -> str:
        chosen = "".join(f", {setting_text(step.params[name])}" for name in settings)
        return f"jnp.{name}({w.of(step.inputs[0])}{chosen})"

    return row


def _triangle(name: str) -> Row:
    def row(w: Writer, step: Step) -> str | None:
        x = step.inputs[0]
        return _arguments(name, "k")(w, step) if type(x) is Var and x.ndim >= 2 else None

    return row


def _pad(w: Writer, step: Step) -> str:
    constant = setting_text(step.params["constant_values"])
    return f"jnp.pad({w.of(step.inputs[0])}, {setting_text(step.params['pad_width'])}, constant_values={constant})"


def _joined(name: str) -> Row:
    def row(w: Writer, step: Step) -> str:
        arrays = ", ".join(w.cast(x, step.out.dtype, exactly=True) for x in step.inputs)
        return f"jnp.{name}([{arrays}], axis={step.params['axis']})"

    return row


def _split(w: Writer, step: Step) -> str:
    x = step.inputs[0]
    axis = normalize_axis_index(step.params["axis"], x.ndim)
    ends = [0]
    for out in step.outputs:
        ends.append(ends[-1] + out.shape[axis])
    cuts = step.params["indices_or_sections"]
    if not isinstance(cuts, int | np.integer):
        length = x.shape[axis]
        ends = [0, *(min(max(i + length if i < 0 else i, 0), length) for i in cuts), length]
    lead = ":, " * axis
    parts = ", ".join(f"{w.array(x)}[{lead}{start}:{stop}]" for start, stop in pairwise(ends))
    return parts if len(step.outputs) > 1 else f"({parts},)"


def _unstack(w: Writer, step: Step) -> str:
    return f"jnp.unstack({w.of(step.inputs[0])}, axis={step.params['axis']})"


def _argsort(w: Writer, step: Step) -> str:
    x, axis = step.inputs[0], step.params["axis"]
    text = w.array(x)
    if axis is None:
        text, axis = f"{text}.reshape(-1)", 0
    if step.params["descending"]:
        return f"{w.use('descending')}({text}, {axis}).astype({dtype_text(step.out.dtype)})"
    return f"jnp.argsort({text}, axis={axis}, stable=True).astype({dtype_text(step.out.dtype)})"


def _sort(w: Writer, step: Step) -> str:
    x, axis = w.array(step.inputs[0]), step.params["axis"]
    if step.params["descending"]:
        return f"jnp.take_along_axis({x}, {w.use('descending')}({x}, {axis}), {axis})"
    return f"jnp.sort({x}, axis={axis}, stable=True)"


def _searchsorted(w: Writer, step: Step) -> str | None:
    dtype = dtype_of_all(step.inputs)
    if dtype is None:
        return None
    x, y = (w.cast(x, dtype, exactly=True) for x in step.inputs)
    return f"jnp.searchsorted({x}, {y}, side={step.params['side']!r}).astype({dtype_text(step.out.dtype)})"


# --- indices ---------------------------------------------------------------------------------------------------------


def _axes_of_arrays(key: tuple[Any, ...], arrays: tuple[Any, ...], ndim: int) -> list[int]:
    """The axis that each index array goes along; the first one for a mask."""
    lengths = [x.ndim if type(x) is Var and x.dtype.kind == "b" else 1 for x in arrays]
    rest = iter(lengths)
    steps = [next(rest) if part == ARRAY else 0 if part is None or part is Ellipsis else 1 for part in map(_part, key)]
    axes, axis = [], 0
    for part, step in zip(map(_part, key), steps, strict=True):
        if part == ARRAY:
            axes.append(axis)
        axis += ndim - sum(steps) if part is Ellipsis else step
    return axes


def _part(part: Any) -> Any:
    """A part of a key that can be compared with a string."""
    return 0 if isinstance(part, slice | np.integer | int) else part


def _slice_text(part: slice) -> str:
    start, stop, step = ("" if x is None else str(x) for x in (part.start, part.stop, part.step))
    return f"{start}:{stop}" + (f":{step}" if step else "")


def _key(w: Writer, step: Step, arrays: tuple[Any, ...], shape: tuple[int, ...]) -> str | None:
    """The index of a step as source; None for a mask whose truth values differ from call to call."""
    key = step.params["key"]
    texts = []
    for x, axis in zip(arrays, _axes_of_arrays(key, arrays, len(shape)), strict=True):
        if dtype_of(x).kind == "b":
            if type(x) is not Var or x.kind != "constant":
                return None
            texts.append(w.of(x))
            continue
        if type(x) is Var and x.kind != "constant":  # JAX would go on with some other element
            name, length = w.of(x), shape[axis]
            w.refuse(
                f"jnp.any(({name} < {-length}) | ({name} >= {length}))",
                IndexError,
                f"{step.op.name}: an index is out of range for axis {axis} of shape {shape}, "
                f"which takes {-length} … {length - 1}",
            )
        texts.append(w.cast(x, np.int64, exactly=True))
    rest = iter(texts)
    parts = [
        "..."
        if part is Ellipsis
        else _slice_text(part)
        if isinstance(part, slice)
        else next(rest)
        if isinstance(part, str)
        else repr(part)
        for part in key
    ]
    return ", ".join(parts) or "()"


def _plainly(step: Step, arrays: tuple[Any, ...]) -> bool:
    """Whether it is known beforehand that no place is written to twice."""
    if any(type(x) is Var and x.kind != "constant" for x in arrays):
        return all(shape_of(x) == () for x in arrays)
    return not arrays or bool(_distinct(tuple(x.value if type(x) is Var else x for x in arrays)))


def _indexed_shape(step: Step, arrays: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what an index picks."""
    values = [
        np.zeros(shape_of(x), int) if type(x) is not Var or x.kind != "constant" else np.asarray(x.value)
        for x in arrays
    ]
    rest = iter(values)
    place = tuple(next(rest) if isinstance(part, str) else part for part in step.params["key"])
    found: tuple[int, ...] = np.broadcast_to(np.int8(0), shape)[place].shape
    return found


def _places(shape: tuple[int, ...], key: str) -> str:
    """The numbers of the elements that an index picks, in the flattened array."""
    return f"jnp.arange({prod(shape)}).reshape({setting_text(shape)})[{key}]"


def _index(w: Writer, step: Step) -> str | None:
    x, *arrays = step.inputs
    key = _key(w, step, tuple(arrays), shape_of(x))
    return None if key is None else f"{w.array(x)}[{key}]"


def _scatter_add(w: Writer, step: Step) -> str | None:
    g, *arrays = step.inputs
    shape = step.params["shape"]
    key = _key(w, step, tuple(arrays), shape)
    if key is None:
        return None
    half = step.out.dtype.char == "e"
    dtype = np.dtype(np.float32) if half else step.out.dtype
    zeros = f"jnp.zeros({setting_text(shape)}, {dtype_text(dtype)})"
    method = "set" if _plainly(step, tuple(arrays)) else "add"
    text = f"{zeros}.at[{key}].{method}({w.cast(g, dtype, exactly=True)})"
    return f"{text}.astype(jnp.float16)" if half else text


def _index_update(w: Writer, step: Step) -> str | None:
    x, value, *rest = step.inputs
    arrays, dtype, shape = tuple(rest), step.out.dtype, shape_of(x)
    new = w.cast(value, dtype, exactly=True)
    key = _key(w, step, arrays, shape)
    if key is None:
        return _masked(w, step, new)
    picked = _indexed_shape(step, arrays, shape)
    if len(shape_of(value)) > len(picked):
        new = f"{new}.reshape({setting_text(shape_of(value)[len(shape_of(value)) - len(picked) :])})"
    if _plainly(step, arrays):
        return f"{w.array(x)}.at[{key}].set({new})"
    return f"{w.use('update')}({w.array(x)}, {_places(shape, key)}, {new})"


def _masked(w: Writer, step: Step, new: str) -> str | None:
    """One value wherever a mask over the first axes is true."""
    x, value, *arrays = step.inputs
    mask = arrays[0]
    if step.params["key"] != (ARRAY,) or type(mask) is not Var or shape_of(value):
        return None
    wide = (1,) * (len(shape_of(x)) - mask.ndim)
    name = f"{w.of(mask)}.reshape({setting_text(mask.shape + wide)})" if wide else w.of(mask)
    return f"jnp.where({name}, {new}, {w.of(x)})"


def _wins(w: Writer, step: Step) -> str | None:
    shape = step.params["shape"]
    key = _key(w, step, step.inputs, shape)
    return None if key is None else f"{w.use('wins')}({_places(shape, key)}, {prod(shape)})"


def _fill_diagonal(w: Writer, step: Step) -> str:
    (g,) = step.inputs
    shape, offset, axis1, axis2 = (step.params[name] for name in ("shape", "offset", "axis1", "axis2"))
    places = f"np.arange({prod(shape)}).reshape({setting_text(shape)}).diagonal({offset}, {axis1}, {axis2})"
    zeros = f"jnp.zeros({prod(shape)}, {dtype_text(step.out.dtype)})"
    return f"{zeros}.at[{places}].set({w.of(g)}).reshape({setting_text(shape)})"


SHAPE_ROWS: dict[str, Row] = {
    "alias": same,
    "copy": same,
    "astype": _astype,
    "discretize": _astype,
    "reshape": _reshape,
    "broadcast_to": _broadcast_to,
    "permute_dims": lambda w, step: f"jnp.transpose({w.of(step.inputs[0])}{settings_text(step, 'axes')})",
    "matrix_transpose": lambda w, step: f"{w.array(step.inputs[0])}.mT",
    "flip": _arguments("flip", "axis"),
    "roll": _arguments("roll", "shift", "axis"),
    "tile": _arguments("tile", "repetitions"),
    "repeat": _arguments("repeat", "repeats", "axis"),
    "diagonal": _arguments("diagonal", "offset", "axis1", "axis2"),
    "tril": _triangle("tril"),
    "triu": _triangle("triu"),
    "pad": _pad,
    "concat": _joined("concatenate"),
    "stack": _joined("stack"),
    "split": _split,
    "unstack": _unstack,
    "argsort": _argsort,
    "sort": _sort,
    "searchsorted": _searchsorted,
    "index": _index,
    "scatter_add": _scatter_add,
    "index_update": _index_update,
    "wins": _wins,
    "fill_diagonal": _fill_diagonal,
}
