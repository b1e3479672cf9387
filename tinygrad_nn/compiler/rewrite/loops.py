"""What passes over a program need to know of its loops and branches: their bodies, and which parts nobody reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ..ir import Program, Step, Var
from ..trace.control import cond, scan, while_loop
from ..trace.inner import Body
from .builder import remove_dead

#: Settings that are programs, by their names.
BODIES = ("body", "test", "then", "otherwise")


def bodies(step: Step) -> dict[str, Program]:
    """The programs among the settings of a step, by name: none but for loops and branches."""
    return {name: step.params[name] for name in BODIES if isinstance(step.params.get(name), Program)}


def prune(step: Step, needed: Collection[Var]) -> Step:
    """The same loop or branch without results that nothing reads after it, and without inputs that then nothing reads.

    What is no loop and no branch comes back as it is. At least one result of the step is needed.
    """
    if step.op is scan:
        return _prune_scan(step, needed)
    if step.op is cond:
        return _prune_cond(step, needed)
    if step.op is while_loop and step.params["history"] and step.outputs[-1] not in needed:
        return Step(step.op, step.inputs, {**step.params, "history": False}, step.outputs[:-1], step.line)
    return step


def _prune_scan(step: Step, needed: Collection[Var]) -> Step:
    params = step.params
    body, consts, carry = params["body"], params["consts"], params["carry"]
    count = len(body.results)
    rows = [i for i in range(carry, count) if step.outputs[i] in needed]
    past = [i for i in range(count, len(step.outputs)) if step.outputs[i] in needed]
    if not carry and not rows:
        rows = [0]
    result = _with_results(body, [*range(carry), *rows])
    carried = range(consts, consts + carry)
    keep = [i for i, x in enumerate(body.inputs) if i in carried or result.reads(x)]
    result.inputs = [body.inputs[i] for i in keep]
    settings = {
        **params,
        "body": result,
        "consts": sum(i < consts for i in keep),
        "history": tuple([params["history"][i - count] for i in past]),
    }
    outputs = tuple([step.outputs[i] for i in (*range(carry), *rows, *past)])
    return Step(step.op, tuple([step.inputs[i] for i in keep]), settings, outputs, step.line)


def _prune_cond(step: Step, needed: Collection[Var]) -> Step:
    keep = [i for i, out in enumerate(step.outputs) if out in needed] or [0]
    results = {name: _with_results(program, keep) for name, program in bodies(step).items()}
    pairs = list(zip(*(step.params[name].inputs for name in results)))
    read = [i for i, xs in enumerate(pairs) if any(program.reads(x) for program, x in zip(results.values(), xs))]
    for place, program in enumerate(results.values()):
        program.inputs = [pairs[i][place] for i in read]
    inputs = (step.inputs[0], *(step.inputs[1 + i] for i in read))
    return Step(step.op, inputs, {**step.params, **results}, tuple([step.outputs[i] for i in keep]), step.line)


def _with_results(program: Program, keep: Sequence[int]) -> Any:
    """A body that computes some of another's results."""
    result = Body(program.name)
    result._count = program._count
    result.inputs, result.steps = list(program.inputs), list(program.steps)
    result.results = [program.results[i] for i in keep]
    remove_dead(result)
    return result
