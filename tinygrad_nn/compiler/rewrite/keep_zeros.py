"""Masks of zero gradients, left out where a cheap look at the result can tell that none was needed.

The engine keeps a gradient that is zero at zero when it is multiplied by something infinite or NaN
(`zero_where_zero`). That changes something only where the product r is not finite. So a program may leave the masks
out and look whether something that r goes into is finite: if not, the careful form of the program, with all of them,
computes everything again.
"""

from __future__ import annotations

from ..ir import Program, Step, Var
from .builder import remove_dead


def leave_keep_zeros_out(program: Program) -> list[Var]:
    """Take all masks from a program; what must be finite for its results to be right, the smallest that do."""
    if not any(map(_is_mask, program.steps)):
        return []
    same: dict[Var, object] = {}
    products: list[Var] = []
    steps = []
    for step in program.steps:
        step.inputs = tuple([same.get(x, x) if type(x) is Var else x for x in step.inputs])
        if _is_mask(step):
            _, r, x = step.inputs
            same[step.out] = x
            if type(x) is Var and x.kind == "result" and not x.name:
                x.name = step.out.name
            if type(r) is Var and r.kind == "result":
                products.append(r)
        else:
            steps.append(step)
    program.steps = steps
    program.results = [_var(program, same.get(x, x), x) for x in program.results]
    program.writes = {old: _var(program, same.get(x, x), x) for old, x in program.writes.items()}
    return _witnesses(program, list(dict.fromkeys(products)))


def _is_mask(step: Step) -> bool:
    """Whether a step is a mask, and what it lets pass has the shape of its result already."""
    if step.name != "zero_where_zero":
        return False
    x, out = step.inputs[2], step.out
    return (x.shape, x.dtype) == (out.shape, out.dtype) if isinstance(x, Var) else out.scalar


def _var(program: Program, x: object, old: Var) -> Var:
    if isinstance(x, Var):
        return x
    return program.var(old.shape, old.dtype, "constant", value=x, weak=old.weak)


def _witnesses(program: Program, products: list[Var]) -> list[Var]:
    """Few and small variables, one of which is not finite if one of the products is not."""
    results = program.results
    program.results = [*results, *products]  # what is looked at must be computed
    remove_dead(program)
    program.results = results
    alive = Program(program.name)
    alive.steps, alive.results, alive.writes = list(program.steps), results, program.writes
    alive.state = list(program.state)
    remove_dead(alive)
    computed = {out for step in alive.steps for out in step.outputs} - set(program.writes.values())
    # The smallest and latest that each variable goes into, found from the last step backwards.
    best: dict[Var, Var] = {}
    for step in reversed(program.steps):
        out = step.out
        if out in computed or out in products:
            best.setdefault(out, out)
        for x in dict.fromkeys(step.reads):
            if x.kind == "result" and out in best and _hands_on(step, x):
                own = [x] if x in computed or x in products else []
                best[x] = min([best.get(x, best[out]), best[out], *own], key=_cost)
    return list(dict.fromkeys(best.get(r, r) for r in products))


def _cost(x: Var) -> tuple[int, int]:
    return x.size, -x.number


def _hands_on(step: Step, x: Var) -> bool:
    """Whether the step's result is not finite wherever `x` is not."""
    return (
        all(i in step.op.hands_on for i, y in enumerate(step.inputs) if y is x)
        and len(step.outputs) == 1
        and step.out.dtype.kind == "f"
        and step.out.size > 0
        and not step.out.weak
    )
