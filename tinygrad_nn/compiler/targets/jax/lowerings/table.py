"""The table of how JAX computes each operation, and what its lowerings share.

What a lowering gives is what the op's kernel gives: the same shape and the same numbers up to rounding, infinities
and NaN too. Its dtype is made the recorded one by the interpreter, as NumPy's rules for dtypes are not JAX's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ....ir import Program, Step, Var

Lowering = Callable[..., Any]

#: By name of the op: ``lowering(call, *inputs, **settings)``, where inputs are JAX arrays, or NumPy arrays and numbers
#: where they are the same in each call.
LOWERINGS: dict[str, Lowering] = {}


class NoCounterpart(Exception):
    """JAX has nothing that gives the same: the op's own kernel computes the step."""


@dataclass(frozen=True)
class Call:
    """What a lowering can ask for beside its inputs and settings."""

    step: Step
    #: ``refuse(condition, error, message)`` has the call raise, as NumPy would have, if any of `condition` is true.
    refuse: Callable[[Any, type[Exception], str], None]
    #: A program as a function of JAX arrays that gives a tuple: the body of a loop or a branch.
    function: Callable[[Program], Callable[..., tuple[Any, ...]]]

    @property
    def out(self) -> Var:
        """The first result, as recorded."""
        return self.step.out


def lowering(*names: str) -> Callable[[Lowering], Lowering]:
    """Register a lowering for ops."""

    def register(f: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(names, f))
        return f

    return register


def formula(*names: str) -> Callable[[Lowering], Lowering]:
    """Register a function of inputs and settings alone: it gets its inputs in the dtype of the result."""

    def register(f: Lowering) -> Lowering:
        lowering(*names)(lambda call, *inputs, **settings: f(*(cast(x, call.out.dtype) for x in inputs), **settings))
        return f

    return register


def under_its_name(call: Call, *inputs: Any, **settings: Any) -> Any:
    """A lowering: the function of jax.numpy that has the op's name."""
    return getattr(jnp, call.step.op.name)(*inputs, **settings)


# --- values ----------------------------------------------------------------------------------------------------------


def varies(x: Any) -> bool:
    """Whether a value can differ from call to call."""
    return isinstance(x, jax.Array)


def cast(x: Any, dtype: Any) -> Any:
    """A value in a dtype, as an array or a NumPy scalar."""
    if not isinstance(x, jax.Array):
        x = np.asarray(x).astype(dtype, copy=False)
        return x if x.shape else x[()]
    return x if x.dtype == dtype and not x.weak_type else x.astype(dtype)


def dtype_of(x: Any) -> Any:
    """The dtype of a value, or of an input of a step."""
    return x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype


def common_dtype(inputs: tuple[Any, ...]) -> Any:
    """The dtype in which NumPy compares the inputs of a step, if it does so by bringing all to one."""
    ones = [x if type(x) is not Var else x.dtype.type(1).item() if x.weak else x.dtype for x in inputs]
    try:
        common = np.result_type(*ones)
    except OverflowError:  # a Python integer that the others' dtype does not hold
        raise NoCounterpart from None
    kinds = {dtype_of(x).kind for x in inputs if type(x) is not Var or not x.weak}
    if {"i", "u"} <= kinds and common.kind == "f":
        raise NoCounterpart
    return common


def no_bools(x: Any) -> None:
    """Leave products of truth values to NumPy, where they are no sums."""
    if dtype_of(x).kind == "b":
        raise NoCounterpart
