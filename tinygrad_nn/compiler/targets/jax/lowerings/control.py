"""Lowerings for loops and branches, whose bodies are programs themselves."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from ....ir import Program
from .table import Call, NoCounterpart, cast, dtype_of, lowering


def _exact(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """What goes round in a loop keeps its dtype: Python's numbers have one too."""
    return tuple(cast(x, dtype_of(x)) for x in inputs)


@lowering("scan")
def _scan(
    call: Call,
    *inputs: Any,
    body: Program,
    consts: int,
    carry: int,
    length: int,
    reverse: bool,
    history: tuple[int, ...],
) -> Any:
    inputs, run = _exact(inputs), call.function(body)

    def step(state: Any, x: Any) -> Any:
        out = run(*inputs[:consts], *state, *x)
        return out[:carry], (*out[carry:], *(state[i] for i in history))

    last, rows = jax.lax.scan(step, inputs[consts : consts + carry], inputs[consts + carry :], length, reverse)
    return (*last, *rows)


@lowering("cond")
def _cond(call: Call, choice: Any, *operands: Any, then: Program, otherwise: Program) -> Any:
    branches = call.function(then), call.function(otherwise)
    return jax.lax.cond(cast(choice, np.bool_), *branches, *_exact(operands))


@lowering("while_loop")
def _while_loop(call: Call, *inputs: Any, test: Program, body: Program, consts: int, history: Any) -> Any:
    if history:  # of a length that only the loop tells
        raise NoCounterpart
    inputs, going_on, run = _exact(inputs), call.function(test), call.function(body)
    fixed = inputs[:consts]
    return jax.lax.while_loop(
        lambda state: going_on(*fixed, *state)[0], lambda state: run(*fixed, *state), inputs[consts:]
    )
