"""Long elementwise chains on large arrays, run piece by piece: what a step makes is in the cache for the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....core.define import define
from ...ir import Program, Step, Var, check_steps
from .lowering import form_of

#: Arrays of at least this many bytes are worth it: smaller ones stay in the cache as they are.
LEAST_BYTES = 1 << 19
#: Bytes of an array's piece: a handful of them fit into a core's own cache.
PIECE_BYTES = 1 << 16
#: Chains of fewer steps gain nothing.
LEAST_STEPS = 3


@dataclass(eq=False)
class Chain:
    """Steps that are run together on one piece after the other."""

    steps: list[Step]  # elementwise ones and sums over all elements
    size: int  # elements of the arrays
    piece: int  # elements of a piece
    inputs: list[Var] = field(default_factory=list)  # arrays that are read, all of one size
    numbers: list[Var] = field(default_factory=list)  # numbers that are read
    outputs: list[Var] = field(default_factory=list)  # arrays that something else reads
    sums: list[Var] = field(default_factory=list)


def _run_chain(*inputs: Any, chain: Chain) -> Any:
    """The results of a chain, on whole arrays."""
    known: dict[Var, Any] = dict(zip([*chain.inputs, *chain.numbers], inputs, strict=True))
    for step in chain.steps:
        args = [known.get(x, x) if type(x) is Var else x for x in step.inputs]
        known[step.out] = step.op.kernel(*args, **step.params)
    result = tuple(known[x] for x in (*chain.outputs, *chain.sums))
    return result if len(result) > 1 else result[0]


#: Stands for a chain among the steps of a program that is planned.
chain_op = define(_run_chain, name="chain", differentiable=False)


def _square_sum(x: Any) -> Any:
    """Σ x²: finite only if all of x is, but for what overflows."""
    return np.vdot(x, x)


#: Looks at a piece while it is in the cache.
look = define(_square_sum, name="look", differentiable=False)


def in_blocks(program: Program, written: set[Var], witnesses: list[Var]) -> list[Var]:
    """Put chains in the place of their steps, but for those that give new values of the state.

    Gives the witnesses to look at now: a number in the place of each array that a chain has looked at.
    """
    shapes = {s.out.shape for s in program.steps if len(s.outputs) == 1 and s.out.nbytes >= LEAST_BYTES}
    for shape in sorted(shapes):
        program.steps = _with_chains([*program.needed, *witnesses], program.steps, shape, written)
    looked: dict[Var, Var] = {}
    for step in program.steps:
        if step.op is chain_op:
            step.outputs += tuple(
                [_look(program, step.params["chain"], x, looked) for x in witnesses if x in step.outputs]
            )
            chain: Chain = step.params["chain"]
            check_steps(chain.steps, {*chain.inputs, *chain.numbers}, f"{program.name}, in a chain")
    return [looked.get(x, x) for x in witnesses]


def _look(program: Program, chain: Chain, x: Var, looked: dict[Var, Var]) -> Var:
    result = looked[x] = program.var((), x.dtype)
    chain.steps.append(Step(look, (x,), {}, (result,)))
    chain.sums.append(result)
    return result


def _with_chains(needed: list[Var], steps: list[Step], shape: tuple[int, ...], written: set[Var]) -> list[Step]:
    before: list[Step] = []
    chain: list[Step] = []
    after: list[Step] = []
    late: set[Var] = set()  # made by the chain's sums or by what comes after it
    results: set[Var] = set()
    closed = False
    for step in steps:
        reads = set(step.reads)
        if closed or reads & late or (not _fits(step, shape, written) and reads & results):
            after.append(step)
            late.update(step.outputs)
            # What comes later would be computed too early in this chain, and lie about.
            closed = closed or any(not x.scalar for x in step.outputs)
        elif not _fits(step, shape, written):
            before.append(step)
        else:
            chain.append(step)
            (late if step.out.scalar else results).add(step.out)
    if not chain:
        return steps
    rest = _with_chains(needed, after, shape, written) if after else []
    if sum(not step.out.scalar for step in chain) < LEAST_STEPS:
        return [*before, *chain, *rest]
    outside = {x for step in (*before, *rest) for x in step.reads}.union(needed)
    return [*before, _as_step(chain, outside), *rest]


def _fits(step: Step, shape: tuple[int, ...], written: set[Var]) -> bool:
    """Whether a step works element by element on arrays of a shape, or sums one up."""
    if len(step.outputs) != 1 or step.out in written:
        return False
    if step.name == "sum" and step.out.scalar:
        x = step.inputs[0]
        return type(x) is Var and x.shape == shape and form_of(step).kind == "number" and x.dtype == step.out.dtype
    return (
        step.out.shape == shape
        and step.out.nbytes >= LEAST_BYTES
        and form_of(step).kind == "elementwise"
        and all((x.shape == shape and x.kind != "constant") or x.scalar for x in step.reads)
    )


def _as_step(steps: list[Step], outside: set[Var]) -> Step:
    results = {step.out for step in steps}
    read = list(dict.fromkeys(x for step in steps for x in step.reads if x not in results))
    first = next(step.out for step in steps if not step.out.scalar)
    itemsize = max(step.out.dtype.itemsize for step in steps)
    chain = Chain(
        steps,
        first.size,
        PIECE_BYTES // itemsize,
        inputs=[x for x in read if not x.scalar],
        numbers=[x for x in read if x.scalar],
        outputs=[step.out for step in steps if step.out in outside and not step.out.scalar],
        sums=[step.out for step in steps if step.out.scalar],
    )
    return Step(
        chain_op, (*chain.inputs, *chain.numbers), {"chain": chain}, (*chain.outputs, *chain.sums), steps[0].line
    )
