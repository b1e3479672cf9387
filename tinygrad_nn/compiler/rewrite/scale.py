"""Scalar factors moved to where they meet the smallest array, so that a learning rate costs next to nothing.

A gradient is linear in what it started from: where all that is made of an array is multiplied by one number in the end,
as by a learning rate in the update of every parameter, the array can be multiplied instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.define import registry
from ..ir import Program, Step, Var


def move_scales(program: Program, gradients: set[Var], free: list[Var]) -> None:
    """Let scalar factors stand as early as they can, in place; of two that could take the scale, a gradient takes it.

    Results among `free` may come out scaled.
    """
    gradients = set(gradients)
    for step in program.steps:
        if any(x in gradients for x in step.reads):
            gradients.update(step.outputs)
    demands, carriers = _demands(program, gradients, free)
    results = {step.out for step in program.steps if len(step.outputs) == 1 and step.pure}
    # From here on each of these variables holds what it held times its scale: nothing reads it otherwise.
    scaled = {
        var: next(iter(scales))
        for var, scales in demands.items()
        if len(scales) == 1 and None not in scales and var in results
    }
    _leave_large(program, scaled, carriers)
    if not scaled:
        return
    same: dict[Var, Var] = {}
    steps: list[Step] = []
    for step in program.steps:
        step.inputs = tuple([same.get(x, x) if type(x) is Var else x for x in step.inputs])
        result = _scale_of(step)
        if result is not None and scaled.get(step.inputs[result[0]]) is result[1] and step.out not in scaled:
            same[step.out] = step.inputs[result[0]]
        elif len(step.outputs) == 1 and step.out in scaled:
            steps += _scaled(program, step, carriers.get(step), scaled)
        else:
            steps.append(step)
    program.steps = steps
    program.results = [same.get(x, x) for x in program.results]
    program.writes = {old: same.get(new, new) for old, new in program.writes.items()}


def _leave_large(program: Program, scaled: dict[Var, Any], carriers: dict[Step, int]) -> None:
    """Take out variables that would be multiplied themselves, though all that is made of them is smaller together."""
    users = program.users()
    for step in program.steps:
        scale = scaled.get(step.out) if len(step.outputs) == 1 else None
        source = step.inputs[carriers[step]] if step in carriers else None
        if scale is None or (type(source) is Var and scaled.get(source) is scale) or step.name == "multiply":
            continue
        own = min(step.out.size, source.size if source is not None else step.out.size)
        if own > sum(user.out.size for user in users.get(step.out, ())):
            del scaled[step.out]


def _scaled(program: Program, step: Step, carrier: int | None, scaled: dict[Var, Any]) -> list[Step]:
    """The steps that make a variable times its scale."""
    out = step.out
    scale = scaled[out]
    operand = None if carrier is None else step.inputs[carrier]
    if operand is not None and scaled.get(operand) is scale:
        return [step]
    if step.name == "multiply":
        for x, y in (step.inputs, step.inputs[::-1]):
            if isinstance(y, np.floating | float) and type(x) is Var and x.dtype == out.dtype:
                factor = program.var((), np.dtype(np.float64), weak=True)
                own = np.asarray(y).dtype == out.dtype
                short = float(str(y)) if own else float(y)  # 0.01, not what float32 makes of it
                merged = Step(registry["multiply"], (scale, short), {}, (factor,), step.line)
                return [merged, Step(step.op, (x, factor), step.params, (out,), step.line)]
    if operand is not None and operand.size < out.size:
        smaller = program.var(operand.shape, operand.dtype)
        step.inputs = tuple([smaller if i == carrier else x for i, x in enumerate(step.inputs)])
        return [Step(registry["multiply"], (operand, scale), {}, (smaller,), step.line), step]
    plain = program.var(out.shape, out.dtype)
    step.outputs = (plain,)
    return [step, Step(registry["multiply"], (plain, scale), {}, (out,), step.line)]


def _demands(program: Program, gradients: set[Var], free: list[Var]) -> tuple[dict[Var, set[Any]], dict[Step, int]]:
    """By variable, the scales that its uses ask for (None: as it is); by step, which operand would carry one on."""
    needed = [*program.results[: len(program.results) - len(free)], *program.writes.values()]
    demands: dict[Var, set[Any]] = {x: {None} for x in needed}
    carriers: dict[Step, int] = {}
    for step in reversed(program.steps):
        wanted = demands.get(step.out, {None})
        scale = next(iter(wanted)) if len(wanted) == 1 else None
        number = _scale_of(step)
        for i, x in enumerate(step.inputs):
            if type(x) is not Var:
                continue
            ask = None
            if number is not None and scale is None and i == number[0] and x in gradients:
                ask = number[1]
            elif scale is not None and number is None and i == _carrier(step, gradients):
                ask = scale
                carriers[step] = i
            demands.setdefault(x, set()).add(ask)
    return demands, carriers


def _scale_of(step: Step) -> tuple[int, Any] | None:
    """Position of the array and the scale, for a product of an array and a number from outside."""
    if step.name != "multiply" or step.out.dtype.char not in "fd":  # in float16 early products would vanish
        return None
    for i, (x, y) in enumerate((step.inputs, step.inputs[::-1])):
        fixed = type(y) is Var and y.weak and y.kind in ("state", "input")
        if fixed and type(x) is Var and x.shape and x.dtype == step.out.dtype:
            return i, y
    return None


def _carrier(step: Step, gradients: set[Var]) -> int | None:
    """Which operand of a linear step would carry a scale: one that is computed, a gradient before others."""
    if len(step.outputs) > 1:
        return None
    places = [
        i
        for i in step.op.linear_in
        if type(step.inputs[i]) is Var
        and step.inputs[i].kind == "result"
        and step.inputs[i].shape
        and step.inputs[i].dtype == step.out.dtype
    ]
    if step.name == "multiply" and any(type(x) is not Var or x.weak for x in step.inputs):
        return None  # the two numbers are multiplied with each other there
    if not places:
        return None
    return max(places, key=lambda i: (step.inputs[i] in gradients, step.inputs[i].number))
