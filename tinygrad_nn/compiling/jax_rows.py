"""How jax.numpy computes each operation: a row for each op, which writes a step of it as an expression.

What a row writes gives what the op's kernel gives: the same shape, the same dtype (NumPy's rules, which are not JAX's),
and the same numbers up to rounding, for infinities and NaN too.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..ops.axes import reduced_count
from ..ops.indexing import ARRAY, _distinct
from .program import Step, Var


class Writer(Protocol):
    """What rows write with."""

    def of(self, x: Any) -> str:
        """An input as it is."""

    def array(self, x: Any) -> str:
        """An input as a JAX array, which has methods that a number or a constant lacks."""

    def cast(self, x: Any, dtype: Any, *, exactly: bool = False) -> str:
        """An input in a dtype; a Python number, which takes any dtype that it meets, stays one unless `exactly`."""

    def use(self, helper: str) -> str:
        """The name of one of the `HELPERS`, which is then defined."""

    def refuse(self, condition: str, error: type[Exception], message: str) -> None:
        """Have the call raise if `condition` holds: NumPy would have raised there."""


#: The text of an expression for a step; None where jax.numpy has nothing that gives the same.
Row = Callable[[Writer, Step], str | None]

#: Definitions that expressions use, by name.
HELPERS = {
    "sigmoid": """
def sigmoid(x, bound):
    e = jnp.exp(jnp.minimum(x, bound))
    return e / (e + 1)
""",
    "log_sum_exp": """
def log_sum_exp(x, axis, keepdims):
    largest = jnp.max(x, axis=axis, keepdims=True, initial=-jnp.inf)
    largest = jnp.where(jnp.isfinite(largest), largest, 0)
    out = jnp.log(jnp.sum(jnp.exp(x - largest), axis=axis, keepdims=True)) + largest
    return out if keepdims else jnp.squeeze(out, axis)
""",
    "softmax": """
def softmax(x, axis):
    e = jnp.exp(x - jnp.max(x, axis=axis, keepdims=True, initial=-jnp.inf))
    return e / jnp.sum(e, axis=axis, keepdims=True)
""",
    "log_softmax": """
def log_softmax(x, axis):
    distance = x - jnp.max(x, axis=axis, keepdims=True, initial=-jnp.inf)
    return distance - jnp.log(jnp.sum(jnp.exp(distance), axis=axis, keepdims=True))
""",
    "variance": """
def variance(x, axis, keepdims, count, freedom):
    distance = x - jnp.sum(x, axis=axis, keepdims=True) / count
    return jnp.sum(jnp.real(distance * jnp.conj(distance)), axis=axis, keepdims=keepdims) / freedom
""",
    "divide_down": """
def divide_down(x, y):
    if jnp.issubdtype(jnp.result_type(x, y), jnp.integer):
        return jnp.where(y == 0, 0, jnp.floor_divide(x, jnp.where(y == 0, 1, y)))
    return jnp.where(y == 0, x / y, jnp.floor_divide(x, y))
""",
    "remainder": """
def remainder(x, y):
    if jnp.issubdtype(jnp.result_type(x, y), jnp.integer):
        return jnp.where(y == 0, 0, jnp.remainder(x, jnp.where(y == 0, 1, y)))
    return jnp.remainder(x, y)
""",
    "descending": """
def descending(x, axis):
    return x.shape[axis] - 1 - jnp.flip(jnp.argsort(jnp.flip(x, axis), axis, stable=True), axis)
""",
    "binary_cross_entropy": """
def binary_cross_entropy(x, target):
    losses = (target - 1) * jnp.log1p(-x) - target * jnp.log(x)
    yes, no = jnp.maximum(jnp.log(x), -100.0), jnp.maximum(jnp.log1p(-x), -100.0)
    return jnp.where(jnp.sum(losses) <= 100.0, losses, (target - 1) * no - target * yes)
""",
    "cross_entropy": """
def cross_entropy(x, labels):
    shifted = x - jnp.max(x, -1, keepdims=True)
    picked = jnp.take_along_axis(shifted, labels[..., None], -1)[..., 0]
    return jnp.log(jnp.sum(jnp.exp(shifted), -1)) - picked
""",
    "wins": """
def wins(places, size):
    # Whether nothing is written later to the same place: the last write counts.
    numbers = jnp.arange(places.size).reshape(places.shape)
    return jnp.full(size, -1).at[places].max(numbers)[places] == numbers
""",
    "update": """
def update(x, places, value):
    last = jnp.where(wins(places, x.size), places, x.size)  # what loses is written nowhere
    return x.reshape(-1).at[last].set(value, mode="drop").reshape(x.shape)
""",
}
#: Helpers that others use.
NEEDS = {"update": "wins"}


# --- literals --------------------------------------------------------------------------------------------------------


def dtype_text(dtype: Any) -> str:
    """A dtype as Python source."""
    name = np.dtype(dtype).name
    return "jnp.bool_" if name == "bool" else f"jnp.{name}"


def number_text(x: Any) -> str:
    """A number as Python source, NumPy's as such; in parentheses where an operator would take it apart."""
    if isinstance(x, np.generic):
        inner = x.item()
        plain = isinstance(inner, bool | int) or (isinstance(inner, float) and np.isfinite(inner))
        return f"np.{x.dtype.name.replace('bool', 'bool_')}({inner!r})" if plain else f"np.{x.dtype.name}({str(x)!r})"
    if isinstance(x, float) and not np.isfinite(x):
        return "jnp.nan" if x != x else "jnp.inf" if x > 0 else "(-jnp.inf)"
    text = repr(x)
    return f"({text})" if text[0] == "-" else text


def setting_text(x: Any) -> str:
    """A setting as Python source: a number, None, a string, or a nest of them."""
    if isinstance(x, np.ndarray):
        return setting_text(x.tolist())
    if isinstance(x, np.generic):
        return setting_text(x.item())
    if isinstance(x, tuple | list):
        inner = ", ".join(map(setting_text, x))
        return f"({inner}{',' * (len(x) == 1)})" if isinstance(x, tuple) else f"[{inner}]"
    return repr(x) if x is None or isinstance(x, str) else number_text(x).strip("()")


def _settings(step: Step, *names: str) -> str:
    """Settings that are not the default, as arguments by name."""
    chosen = [(name, step.params[name]) for name in names if name in step.params]
    return "".join(
        f", {name}={setting_text(value)}" for name, value in chosen if value is not step.op.defaults.get(name, ...)
    )


# --- element by element ----------------------------------------------------------------------------------------------


def _dtype_of_all(inputs: tuple[Any, ...]) -> Any:
    """The dtype in which NumPy compares."""
    ones = [x if type(x) is not Var else x.dtype.type(1).item() if x.weak else x.dtype for x in inputs]
    return np.result_type(*ones)


def _infix(operator: str, function: str) -> Row:
    def row(w: Writer, step: Step) -> str:
        x, y = (w.cast(x, step.out.dtype) for x in step.inputs)
        return _applied(step, operator, function, x, y)

    return row


def _compared(operator: str, function: str) -> Row:
    def row(w: Writer, step: Step) -> str:
        dtype = _dtype_of_all(step.inputs)
        x, y = (w.cast(x, dtype) for x in step.inputs)
        return _applied(step, operator, function, x, y)

    return row


def _applied(step: Step, operator: str, function: str, x: str, y: str) -> str:
    """The operator where one side is an array for sure, else the function, which takes Python's numbers too."""
    arrays = any(type(x) is Var and not x.weak and x.kind != "constant" for x in step.inputs)
    return f"{x} {operator} {y}" if arrays else f"jnp.{function}({x}, {y})"


def _function(name: str) -> Row:
    """A function of jax.numpy that computes in the dtype of its result."""
    return lambda w, step: f"jnp.{name}({', '.join(w.cast(x, step.out.dtype) for x in step.inputs)})"


def _test(name: str) -> Row:
    """A function of jax.numpy that takes any dtype."""
    return lambda w, step: f"jnp.{name}({', '.join(map(w.of, step.inputs))})"


def _of_parts(name: str) -> Row:
    """One that takes complex numbers to real ones."""

    def row(w: Writer, step: Step) -> str:
        x = step.inputs[0]
        given = x.dtype if type(x) is Var else np.asarray(x).dtype
        return f"jnp.{name}({w.of(x) if given.kind == 'c' else w.cast(x, step.out.dtype)})"

    return row


def _rounded(name: str) -> Row:
    def row(w: Writer, step: Step) -> str:
        x = w.cast(step.inputs[0], step.out.dtype)
        return x if step.out.dtype.kind in "biu" else f"jnp.{name}({x})"

    return row


def _round(w: Writer, step: Step) -> str | None:
    x, decimals = w.cast(step.inputs[0], step.out.dtype), step.params["decimals"]
    if step.out.dtype.kind in "biu":
        return x if decimals >= 0 else None
    if decimals == 0:
        return f"jnp.round({x})"
    factor = number_text(10.0 ** abs(decimals))
    return f"jnp.round({x} * {factor}) / {factor}" if decimals > 0 else f"jnp.round({x} / {factor}) * {factor}"


def _signbit(w: Writer, step: Step) -> str:
    x = step.inputs[0]
    given = x.dtype if type(x) is Var else np.asarray(x).dtype
    return f"jnp.signbit({w.of(x) if given.kind == 'f' else w.cast(x, np.float64, exactly=True)})"


def _power(w: Writer, step: Step) -> str:
    x, y = step.inputs
    if step.out.dtype.kind in "iu" and type(y) is Var and y.dtype.kind == "i":
        w.refuse(f"jnp.any({w.of(y)} < 0)", ValueError, "power: integers have no negative powers that are integers")
    return _infix("**", "power")(w, step) or ""


def _whole(helper: str) -> Row:
    """A division of integers by zero gives 0."""

    def row(w: Writer, step: Step) -> str:
        x, y = (w.cast(x, step.out.dtype, exactly=True) for x in step.inputs)
        return f"{w.use(helper)}({x}, {y})"

    return row


def _where(w: Writer, step: Step) -> str:
    condition, x, y = step.inputs
    chosen = ", ".join(w.cast(x, step.out.dtype) for x in (x, y))
    return f"jnp.where({w.cast(condition, np.bool_)}, {chosen})"


def _clip(w: Writer, step: Step) -> str:
    x, least, most = (w.cast(x, step.out.dtype) for x in step.inputs)
    return f"jnp.minimum(jnp.maximum({x}, {least}), {most})"


def _sigmoid(w: Writer, step: Step) -> str | None:
    if step.out.dtype.kind == "c":
        return None
    x = step.inputs[0]
    own = type(x) is not Var or x.dtype == step.out.dtype
    bound = {"e": 11.0, "f": 20.0}.get(step.out.dtype.char, 40.0) if own else 40.0
    return f"{w.use('sigmoid')}({w.cast(x, step.out.dtype)}, {bound})"


def _zero_where_zero(w: Writer, step: Step) -> str:
    g, r, x = step.inputs
    zero = f"jnp.zeros((), {dtype_text(step.out.dtype)})"
    guarded = f"({w.of(g)} == 0) & ~jnp.isfinite({w.of(r)})"
    return f"jnp.where({guarded}, {zero}, {w.cast(x, step.out.dtype, exactly=True)})"


def _normal_cdf(w: Writer, step: Step) -> str:
    (x,) = step.inputs
    given = x.dtype if type(x) is Var else np.asarray(x).dtype
    x = w.cast(x, given if given.kind == "f" else np.float64, exactly=True)
    ratio = f"({x} * {number_text(-(0.5**0.5))}).astype(jnp.float64)"
    return f"(0.5 * jax.scipy.special.erfc({ratio})).astype({dtype_text(step.out.dtype)})"


def _formula(text: str) -> Row:
    """A formula with ``{x}`` for the input and names of settings for those."""

    def row(w: Writer, step: Step) -> str:
        settings = {name: number_text(value) for name, value in step.params.items()}
        return text.format(x=w.cast(step.inputs[0], step.out.dtype), **settings)

    return row


# --- reductions ------------------------------------------------------------------------------------------------------


def _reduction(name: str) -> Row:
    """Sum or product, in the dtype of the result."""

    def row(w: Writer, step: Step) -> str:
        (x,) = step.inputs
        own = type(x) is Var and x.dtype == step.out.dtype
        dtype = "" if own else f", dtype={dtype_text(step.out.dtype)}"
        return f"jnp.{name}({w.of(x)}{_settings(step, 'axis', 'keepdims', 'include_initial')}{dtype})"

    return row


def _extreme(w: Writer, step: Step) -> str:
    return f"jnp.{step.op.name}({w.of(step.inputs[0])}{_settings(step, 'axis', 'keepdims')})"


def _counted(w: Writer, step: Step) -> str:
    return f"{_extreme(w, step)}.astype({dtype_text(step.out.dtype)})"


def _size(x: Any, axis: Any) -> int:
    return reduced_count(x.shape if type(x) is Var else (), axis)


def _mean(w: Writer, step: Step) -> str:
    (x,) = step.inputs
    settings = _settings(step, "axis", "keepdims")
    if step.out.dtype.char == "e":
        return f"jnp.mean({w.of(x)}{settings})"
    count = _size(x, step.params["axis"])
    return f"jnp.sum({w.cast(x, step.out.dtype, exactly=True)}{settings}) / {count}"


def _variance(w: Writer, step: Step) -> str:
    (x,) = step.inputs
    axis, keepdims = step.params["axis"], step.params["keepdims"]
    count = _size(x, axis)
    given = x.dtype if type(x) is Var else np.asarray(x).dtype
    half = given.char == "e"
    text = w.cast(x, np.float32 if half else given if given.kind in "fc" else np.float64, exactly=True)
    freedom = number_text(max(count - step.params["correction"], 0))
    text = f"{w.use('variance')}({text}, {setting_text(axis)}, {keepdims!r}, {count}, {freedom})"
    text = f"{text}.astype(jnp.float16)" if half else text
    return f"jnp.sqrt({text})" if step.op.name == "std" else text


def _sum_to(w: Writer, step: Step) -> str:
    (x,) = step.inputs
    shape = step.params["shape"]
    given = x.shape if type(x) is Var else ()
    lead = len(given) - len(shape)
    axes = (*range(lead), *(i + lead for i, n in enumerate(shape) if n == 1 and given[i + lead] != 1))
    if not axes:
        return w.cast(x, step.out.dtype, exactly=True)
    own = type(x) is Var and x.dtype == step.out.dtype
    text = f"jnp.sum({w.of(x)}, axis={setting_text(axes)}{'' if own else f', dtype={dtype_text(step.out.dtype)}'})"
    return text if len(axes) == lead else f"{text}.reshape({setting_text(shape)})"


def _in_float(helper: str, *settings: str) -> Row:
    def row(w: Writer, step: Step) -> str:
        chosen = ", ".join(setting_text(step.params[name]) for name in settings)
        return f"{w.use(helper)}({w.cast(step.inputs[0], step.out.dtype, exactly=True)}, {chosen})"

    return row


# --- shape and order -------------------------------------------------------------------------------------------------


def _same(w: Writer, step: Step) -> str:
    return w.cast(step.inputs[0], step.out.dtype, exactly=True)


def _reshape(w: Writer, step: Step) -> str:
    return f"{w.array(step.inputs[0])}.reshape({setting_text(step.out.shape)})"


def _broadcast_to(w: Writer, step: Step) -> str:
    return f"jnp.broadcast_to({_same(w, step)}, {setting_text(step.out.shape)})"


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


def _searchsorted(w: Writer, step: Step) -> str:
    dtype = _dtype_of_all(step.inputs)
    x, y = (w.cast(x, dtype, exactly=True) for x in step.inputs)
    return f"jnp.searchsorted({x}, {y}, side={step.params['side']!r}).astype({dtype_text(step.out.dtype)})"


# --- indices ---------------------------------------------------------------------------------------------------------


def _shape(x: Any) -> tuple[int, ...]:
    return x.shape if type(x) is Var else ()


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
        dtype = x.dtype if type(x) is Var else np.asarray(x).dtype
        if dtype.kind == "b":
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
        "..." if part is Ellipsis else _slice_text(part) if isinstance(part, slice) else
        next(rest) if isinstance(part, str) else repr(part)
        for part in key
    ]
    return ", ".join(parts) or "()"


def _plainly(step: Step, arrays: tuple[Any, ...]) -> bool:
    """Whether it is known beforehand that no place is written to twice."""
    if any(type(x) is Var and x.kind != "constant" for x in arrays):
        return all(_shape(x) == () for x in arrays)
    return not arrays or bool(_distinct(tuple(x.value if type(x) is Var else x for x in arrays)))


def _indexed_shape(step: Step, arrays: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what an index picks."""
    values = [
        np.zeros(_shape(x), int) if type(x) is not Var or x.kind != "constant" else np.asarray(x.value) for x in arrays
    ]
    rest = iter(values)
    place = tuple(next(rest) if isinstance(part, str) else part for part in step.params["key"])
    return np.broadcast_to(np.int8(0), shape)[place].shape


def _places(shape: tuple[int, ...], key: str) -> str:
    """The numbers of the elements that an index picks, in the flattened array."""
    return f"jnp.arange({prod(shape)}).reshape({setting_text(shape)})[{key}]"


def _index(w: Writer, step: Step) -> str | None:
    x, *arrays = step.inputs
    key = _key(w, step, tuple(arrays), _shape(x))
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
    arrays, dtype, shape = tuple(rest), step.out.dtype, _shape(x)
    new = w.cast(value, dtype, exactly=True)
    key = _key(w, step, arrays, shape)
    if key is None:
        return _masked(w, step, new)
    picked = _indexed_shape(step, arrays, shape)
    if len(_shape(value)) > len(picked):
        new = f"{new}.reshape({setting_text(_shape(value)[len(_shape(value)) - len(picked) :])})"
    if _plainly(step, arrays):
        return f"{w.array(x)}.at[{key}].set({new})"
    return f"{w.use('update')}({w.array(x)}, {_places(shape, key)}, {new})"


def _masked(w: Writer, step: Step, new: str) -> str | None:
    """One value wherever a mask over the first axes is true."""
    x, value, *arrays = step.inputs
    mask = arrays[0]
    if step.params["key"] != (ARRAY,) or type(mask) is not Var or _shape(value):
        return None
    wide = (1,) * (len(_shape(x)) - mask.ndim)
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


# --- products --------------------------------------------------------------------------------------------------------


def _matmul(w: Writer, step: Step) -> str | None:
    if step.out.dtype.kind == "b":
        return None
    x, y = (w.cast(x, step.out.dtype) for x in step.inputs)
    return f"{x} @ {y}"


def _vecdot(w: Writer, step: Step) -> str | None:
    if step.out.dtype.kind == "b":
        return None
    x, y = (w.cast(x, step.out.dtype, exactly=True) for x in step.inputs)
    return f"jnp.vecdot({x}, {y}, axis={step.params['axis']})"


def _tensordot(w: Writer, step: Step) -> str | None:
    axes = step.params["axes"]
    x, y = step.inputs
    if step.out.dtype.kind == "b":
        return None
    if isinstance(axes, int | np.integer):
        ndim = len(_shape(x))
        in_x, in_y = tuple(range(ndim - int(axes), ndim)), tuple(range(int(axes)))
    else:
        in_x, in_y = (normalize_axis_tuple(a, len(_shape(z))) for a, z in zip(axes, (x, y), strict=True))
    x, y = (w.cast(x, step.out.dtype, exactly=True) for x in (x, y))
    return f"jnp.tensordot({x}, {y}, axes={setting_text((in_x, in_y))})"


def _einsum(w: Writer, step: Step) -> str | None:
    if step.out.dtype.kind == "b":
        return None
    operands = ", ".join(w.cast(x, step.out.dtype, exactly=True) for x in step.inputs)
    return f"jnp.einsum({step.params['subscripts']!r}, {operands})"


def _linear_map(w: Writer, step: Step) -> str:
    x, weight = step.inputs[:2]
    dtype = np.result_type(x.dtype, weight.dtype)
    text = f"{w.cast(x, dtype)} @ {w.cast(weight, dtype)}.T"
    if len(step.inputs) == 2:
        return text
    text = text if dtype == step.out.dtype else f"({text}).astype({dtype_text(step.out.dtype)})"
    return f"{text} + {w.cast(step.inputs[2], step.out.dtype)}"


def _vector_norm(w: Writer, step: Step) -> str:
    (x,) = step.inputs
    given = x.dtype if type(x) is Var else np.asarray(x).dtype
    text = w.of(x) if given.kind == "c" else w.cast(x, step.out.dtype, exactly=True)
    return f"jnp.linalg.vector_norm({text}{_settings(step, 'axis', 'keepdims', 'ord')})"


# --- losses and layers -----------------------------------------------------------------------------------------------


def _one_hot(w: Writer, step: Step) -> str:
    text = f"{w.array(step.inputs[0])}[..., None] == jnp.arange({step.params['num_classes']})"
    return f"({text}).astype({dtype_text(step.out.dtype)})"


def _reduced(losses: str, step: Step, size: int) -> str:
    reduction = step.params["reduction"]
    if reduction == "none":
        return losses
    if reduction == "sum":
        return f"jnp.sum({losses})"
    return f"jnp.mean({losses})" if step.out.dtype.char == "e" else f"jnp.sum({losses}) / {size}"


def _mse_loss(w: Writer, step: Step) -> str:
    x, target = (w.cast(x, step.out.dtype, exactly=True) for x in step.inputs)
    return _reduced(f"jnp.square({x} - {target})", step, prod(_shape(step.inputs[0])))


def _binary_cross_entropy(w: Writer, step: Step) -> str:
    x, target = (w.cast(x, step.out.dtype, exactly=True) for x in step.inputs)
    w.refuse(
        f"~jnp.all(({x} >= 0) & ({x} <= 1))",
        ValueError,
        "binary_cross_entropy: predictions must be probabilities in [0, 1], but some are not; put a Sigmoid before, or "
        "give the scores as they are to BCEWithLogitsLoss",
    )
    return _reduced(f"{w.use('binary_cross_entropy')}({x}, {target})", step, prod(_shape(step.inputs[0])))


def _with_logits(w: Writer, step: Step) -> str:
    x, target = (w.cast(x, step.out.dtype, exactly=True) for x in step.inputs)
    losses = f"jnp.maximum({x}, 0) - {x} * {target} + jnp.log1p(jnp.exp(-jnp.abs({x})))"
    return _reduced(losses, step, prod(_shape(step.inputs[0])))


def _cross_entropy(w: Writer, step: Step) -> str:
    x, labels = step.inputs
    classes = _shape(x)[-1]
    if type(labels) is Var and labels.kind != "constant":
        name = w.of(labels)
        w.refuse(
            f"jnp.any(({name} < {-classes}) | ({name} >= {classes}))",
            IndexError,
            f"cross_entropy: a label is out of range for {classes} classes",
        )
    losses = f"{w.use('cross_entropy')}({w.cast(x, step.out.dtype)}, {w.cast(labels, np.int64, exactly=True)})"
    return _reduced(losses, step, prod(_shape(labels)))


# --- all rows --------------------------------------------------------------------------------------------------------

_SAME_NAME = (
    "sqrt cbrt hypot sign copysign exp exp2 expm1 log log2 log10 log1p logaddexp sin cos tan arcsin arccos arctan "
    "arctan2 sinh cosh tanh arcsinh arccosh arctanh deg2rad rad2deg maximum minimum fmax fmin left_shift right_shift"
)

#: By name of the op. An op without a row is computed by its own kernel, outside of what JAX compiles.
ROWS: dict[str, Row] = {
    **{name: _function(name) for name in _SAME_NAME.split()},
    **{name: _test(name) for name in ("isfinite", "isinf", "isnan", "logical_and", "logical_or", "logical_xor")},
    **{name: _test(name) for name in ("logical_not", "invert")},
    **{name: _of_parts(name) for name in ("absolute", "real", "imag", "conjugate")},
    **{name: _rounded(name) for name in ("floor", "ceil", "trunc")},
    "add": _infix("+", "add"),
    "subtract": _infix("-", "subtract"),
    "multiply": _infix("*", "multiply"),
    "divide": _infix("/", "divide"),
    "power": _power,
    "bitwise_and": _infix("&", "bitwise_and"),
    "bitwise_or": _infix("|", "bitwise_or"),
    "bitwise_xor": _infix("^", "bitwise_xor"),
    "equal": _compared("==", "equal"),
    "not_equal": _compared("!=", "not_equal"),
    "less": _compared("<", "less"),
    "less_equal": _compared("<=", "less_equal"),
    "greater": _compared(">", "greater"),
    "greater_equal": _compared(">=", "greater_equal"),
    "negative": _function("negative"),
    "positive": _same,
    "reciprocal": _formula("1 / {x}"),
    "square": _function("square"),
    "floor_divide": _whole("divide_down"),
    "remainder": _whole("remainder"),
    "round": _round,
    "signbit": _signbit,
    "where": _where,
    "clip": _clip,
    "nan_to_num": lambda w, step: f"jnp.nan_to_num({w.of(step.inputs[0])}{_settings(step, 'nan', 'posinf', 'neginf')})",
    "sigmoid": _sigmoid,
    "softplus": _formula("jnp.logaddexp({x}, 0.0)"),
    "log_sigmoid": _formula("-jnp.logaddexp(-{x}, 0.0)"),
    "relu": _formula("jnp.maximum({x}, 0)"),
    "leaky_relu": _formula("jnp.where({x} > 0, {x}, {x} * {negative_slope})"),
    "elu": _formula("jnp.where({x} > 0, {x}, jnp.expm1(jnp.minimum({x}, 0)) * {alpha})"),
    "normal_cdf": _normal_cdf,
    "zero_where_zero": _zero_where_zero,
    # reductions
    "sum": _reduction("sum"),
    "prod": _reduction("prod"),
    "cumulative_sum": _reduction("cumulative_sum"),
    "cumulative_prod": _reduction("cumulative_prod"),
    "mean": _mean,
    "var": _variance,
    "std": _variance,
    "max": _extreme,
    "min": _extreme,
    "any": _extreme,
    "all": _extreme,
    "argmax": _counted,
    "argmin": _counted,
    "count_nonzero": _counted,
    "logsumexp": _in_float("log_sum_exp", "axis", "keepdims"),
    "softmax": _in_float("softmax", "axis"),
    "log_softmax": _in_float("log_softmax", "axis"),
    "sum_to": _sum_to,
    # shape and order
    "alias": _same,
    "copy": _same,
    "astype": _astype,
    "discretize": _astype,
    "reshape": _reshape,
    "broadcast_to": _broadcast_to,
    "permute_dims": lambda w, step: f"jnp.transpose({w.of(step.inputs[0])}{_settings(step, 'axes')})",
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
    # indices
    "index": _index,
    "scatter_add": _scatter_add,
    "index_update": _index_update,
    "wins": _wins,
    "fill_diagonal": _fill_diagonal,
    # products, layers and losses
    "matmul": _matmul,
    "vecdot": _vecdot,
    "tensordot": _tensordot,
    "einsum": _einsum,
    "linear_map": _linear_map,
    "linear": _linear_map,
    "vector_norm": _vector_norm,
    "one_hot": _one_hot,
    "mse_loss": _mse_loss,
    "binary_cross_entropy": _binary_cross_entropy,
    "binary_cross_entropy_with_logits": _with_logits,
    "cross_entropy": _cross_entropy,
}
