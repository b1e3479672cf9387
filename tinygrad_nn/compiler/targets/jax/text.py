"""The parts of Python source that jax.numpy computes with: numbers, settings, and functions that expressions use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ...ir import Program, Step, Var
from .window_text import WINDOW_HELPERS, WINDOW_NEEDS


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

    def define(self, program: Program) -> str | None:
        """The name of a function for the body of a loop or a branch; None where something in it cannot be written."""

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
    whole = jnp.where(y == 0, x / y, jnp.floor_divide(x, y))
    return jnp.where(whole == 0, jnp.copysign(whole, x / y), whole)
""",
    "remainder": """
def remainder(x, y):
    if jnp.issubdtype(jnp.result_type(x, y), jnp.integer):
        return jnp.where(y == 0, 0, jnp.remainder(x, jnp.where(y == 0, 1, y)))
    rest = jnp.remainder(x, y)
    return jnp.where(rest == 0, jnp.copysign(rest, y), rest)
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
    "scan": """
def scan(body, fixed, state, xs, length, reverse, history):
    def step(state, x):
        out = body(*fixed, *state, *x)
        return out[: len(state)], (*out[len(state) :], *(state[i] for i in history))

    last, stacked = jax.lax.scan(step, state, xs, length, reverse)
    return (*last, *stacked)
""",
    "while_loop": """
def while_loop(test, body, fixed, state):
    return jax.lax.while_loop(lambda state: test(*fixed, *state)[0], lambda state: body(*fixed, *state), state)
""",
    **WINDOW_HELPERS,
}
#: Helpers that others use.
NEEDS = {"update": "wins", **WINDOW_NEEDS}


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


def settings_text(step: Step, *names: str) -> str:
    """Settings that are not the default, as arguments by name."""
    chosen = [(name, step.params[name]) for name in names if name in step.params]
    return "".join(
        f", {name}={setting_text(value)}" for name, value in chosen if value is not step.op.defaults.get(name, ...)
    )


def dtype_of(x: Any) -> Any:
    """The dtype of an input."""
    return x.dtype if type(x) is Var else np.asarray(x).dtype


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an input."""
    return x.shape if type(x) is Var else ()


def dtype_of_all(inputs: tuple[Any, ...]) -> Any:
    """The dtype in which NumPy compares; None where it does so otherwise than by bringing all to one dtype."""
    ones = [x if type(x) is not Var else x.dtype.type(1).item() if x.weak else x.dtype for x in inputs]
    try:
        common = np.result_type(*ones)
    except OverflowError:  # a Python integer that the others' dtype does not hold
        return None
    kinds = {dtype_of(x).kind for x in inputs if type(x) is not Var or not x.weak}
    return None if {"i", "u"} <= kinds and common.kind == "f" else common
