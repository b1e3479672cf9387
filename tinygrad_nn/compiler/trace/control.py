"""Loops and branches in recorded programs: each is one step, whose bodies are programs among its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ...core.define import Op, define
from ...core.graph import mode, modes
from ...tensor.tensor import Tensor
from ..ir import Program, Var, check, run
from .inner import Inner, close, sample_of
from .replay import as_tensor, pull, push, replay

#: Gives the results of a body, from Tensors for its inputs.
Flat = Callable[..., Iterable[Any]]


class History(list[tuple[Any, ...]]):
    """The values that a `while_loop` carried, before each of its steps: opaque to everything but `unwind`."""

    shape = ()
    dtype = np.dtype(object)
    size = 1


# --- the operations --------------------------------------------------------------------------------------------------


def _scan_definition(
    *inputs: Any, body: Program, consts: int, carry: int, length: int, reverse: bool, history: tuple[int, ...]
) -> Any:
    """A loop of fixed length.

    Inputs: `consts` values that every step reads, `carry` values that go from step to step, and arrays of which step t
    reads the t-th slice. `body` takes the consts, the carry and the slices, in this order, and gives the next carry and
    then what is stacked. With `reverse`, t runs from ``length - 1`` down to 0; results still stand at their t.

    Results: the last carry; one array of `length` rows for each further result of the body; and, for each number in
    `history`, an array of `length` rows with that value of the carry before step t. A history that nobody reads can be
    left out of `history` and of the results.
    """
    fixed, state, xs = inputs[:consts], list(inputs[consts : consts + carry]), inputs[consts + carry :]
    ys = [np.empty((length, *var.shape), var.dtype) for var in body.results[carry:]]
    pasts = [np.empty((length, *state[i].shape), state[i].dtype) for i in history]
    for t in reversed(range(length)) if reverse else range(length):
        for past, i in zip(pasts, history):
            past[t] = state[i]
        out = run(body, [*fixed, *state, *(x[t] for x in xs)])
        state = out[:carry]
        for y, row in zip(ys, out[carry:]):
            y[t] = row
    return _results([*state, *ys, *pasts])


def _cond_definition(pred: Any, *operands: Any, then: Program, otherwise: Program) -> Any:
    """One of two branches.

    Inputs: a bool, and the operands, which both programs `then` and `otherwise` take. Results: those of the program
    that was chosen; both have the same shapes and dtypes.
    """
    return _results(run(then if pred else otherwise, operands))


def _while_definition(*inputs: Any, test: Program, body: Program, consts: int, history: bool) -> Any:
    """A loop that goes on as long as a condition holds.

    Inputs: `consts` values that every step reads, then the values that go from step to step. Both programs take all of
    them, in this order: `test` gives a bool, and `body` the next values. Results: the last values, and with `history` a
    `History` of the values before each step.
    """
    fixed, state = inputs[:consts], list(inputs[consts:])
    past = History()
    while run(test, [*fixed, *state])[0]:
        if history:
            past.append(tuple(state))
        state = run(body, [*fixed, *state])
    return _results([*state, past] if history else state)


def _unwind_definition(history: History, *inputs: Any, body: Program, consts: int) -> Any:
    """The way back through a `while_loop`, newest entry of its history first.

    Inputs: the history, `consts` values that every step reads, then the values that go from step to step. `body` takes
    the consts, the carry, and the values of one entry of the history, and gives the next carry. Results: the last one.
    """
    fixed, state = inputs[:consts], list(inputs[consts:])
    for entry in reversed(history):
        state = run(body, [*fixed, *state, *entry])
    return _results(state)


def _results(values: Sequence[Any]) -> Any:
    return tuple(values) if len(values) > 1 else values[0]


#: Registered nowhere: their settings are programs, which only a recording makes.
scan = define(_scan_definition, name="scan")
cond = define(_cond_definition, name="cond")
while_loop = define(_while_definition, name="while_loop")
unwind = define(_unwind_definition, name="unwind")


# --- recording them --------------------------------------------------------------------------------------------------


def record_scan(
    step: Flat, init: Sequence[Any], xs: Sequence[Any], length: int, reverse: bool
) -> tuple[list[Any], list[Any]]:
    """Record a loop of fixed length: the last carry, and what is stacked.

    ``step(carry, slices)``, both lists of Tensors, gives the next carry and then what is stacked.
    """
    init, xs = [modes.store.operand(x) for x in init], [modes.store.operand(x) for x in xs]
    inner = Inner(modes.store, "scan")
    states = [inner.placeholder(x.shape, x.dtype, sample_of(x)) for x in init]
    slices = [inner.placeholder(x.shape[1:], x.dtype, _first(x)) for x in xs]
    carried, rows = _variables(states), _variables(slices)
    results = inner.run(step, states, slices)
    moving, fixed = _moving(carried, results)
    read = [i for i, row in enumerate(rows) if inner.program.reads(row)]
    values, (names,) = close([inner])
    if not moving and len(results) == len(init):
        return list(init), []
    body = inner.program
    body.inputs = [*names, *(carried[i] for i in (*fixed, *moving)), *(rows[i] for i in read)]
    body.results = [*(results[i] for i in moving), *results[len(init) :]]
    check(body)
    inputs = [*values, *(init[i] for i in (*fixed, *moving)), *(xs[i] for i in read)]
    outs = _apply(
        scan,
        inputs,
        body=body,
        consts=len(values) + len(fixed),
        carry=len(moving),
        length=length,
        reverse=reverse,
        history=tuple(range(len(moving))) if _connected(inputs) else (),
    )
    return _with(init, moving, outs), outs[len(moving) : len(body.results)]


def record_cond(pred: Any, then: Flat, otherwise: Flat, compare: Callable[[], None] = lambda: None) -> list[Any]:
    """Record a choice between two functions without arguments, whose results have the same shapes and dtypes.

    `compare` is called after both, to raise where they have not.
    """
    inners = [Inner(modes.store, "cond") for _ in range(2)]
    for inner, branch in zip(inners, (then, otherwise)):
        inner.run(branch)
    compare()
    values, names = close(inners)
    for inner, inputs in zip(inners, names):
        inner.program.inputs = inputs
        check(inner.program)
    if not inners[0].program.results:
        return []
    return _apply(cond, [modes.store.operand(pred), *values], then=inners[0].program, otherwise=inners[1].program)


def record_while(test: Flat, step: Flat, init: Sequence[Any]) -> list[Any]:
    """Record a loop that goes on while ``test(carry)`` gives a true number: the last carry."""
    init = [modes.store.operand(x) for x in init]
    inners = [Inner(modes.store, "while_loop") for _ in range(2)]
    carried = []
    for inner, function in zip(inners, (test, step)):
        states = [inner.placeholder(x.shape, x.dtype, sample_of(x)) for x in init]
        carried.append(_variables(states))
        results = inner.run(function, states)
    moving, fixed = _moving(carried[1], results)
    if not moving:  # a loop that carries nothing on ends at once or never; it is still a step
        moving, fixed = fixed[:1], fixed[1:]
    values, names = close(inners)
    for inner, variables, inputs in zip(inners, carried, names):
        inner.program.inputs = [*inputs, *(variables[i] for i in (*fixed, *moving))]
    inners[1].program.results = [results[i] for i in moving]
    for inner in inners:
        check(inner.program)
    inputs = [*values, *(init[i] for i in (*fixed, *moving))]
    outs = _apply(
        while_loop,
        inputs,
        test=inners[0].program,
        body=inners[1].program,
        consts=len(values) + len(fixed),
        history=_connected(inputs),
    )
    return _with(init, moving, outs)


def _record_unwind(step: Flat, init: Sequence[Any], history: Any, entry: Sequence[Any]) -> list[Any]:
    """Record the way back through a `while_loop`: ``step(carry, values of an entry)`` gives the next carry."""
    init = [modes.store.operand(x) for x in init]
    inner = Inner(modes.store, "while_loop")
    states = [inner.placeholder(x.shape, x.dtype, sample_of(x)) for x in init]
    parts = [inner.placeholder(x.shape, x.dtype, sample_of(x)) for x in entry]
    inputs = [*_variables(states), *_variables(parts)]
    inner.run(step, states, parts)
    values, (names,) = close([inner])
    inner.program.inputs = [*names, *inputs]
    check(inner.program)
    return _apply(unwind, [history, *values, *init], body=inner.program, consts=len(values))


def _first(x: Any) -> Any:
    sample = sample_of(x)
    return sample[0] if len(sample) else np.zeros(sample.shape[1:], sample.dtype)[()]


def _variables(tensors: Sequence[Tensor]) -> list[Var]:
    return [tensor._value.variable for tensor in tensors]


def _moving(carried: Sequence[Var], results: Sequence[Var]) -> tuple[list[int], list[int]]:
    """Which values of a carry change from step to step, and which a body hands on as they are."""
    moving = [i for i, (old, new) in enumerate(zip(carried, results)) if new is not old]
    return moving, [i for i in range(len(carried)) if i not in moving]


def _with(values: Sequence[Any], places: Sequence[int], news: Sequence[Any]) -> list[Any]:
    """The values, with others at some places."""
    result = list(values)
    for i, new in zip(places, news):
        result[i] = new
    return result


def _connected(inputs: Sequence[Any]) -> bool:
    return modes.recording and any(isinstance(x, Tensor) and x._node is not None for x in inputs)


def _apply(op: Op, inputs: Sequence[Any], **settings: Any) -> list[Any]:
    out = op(*map(as_tensor, inputs), **settings)
    return list(out) if type(out) is tuple else [out]


# --- their derivatives -----------------------------------------------------------------------------------------------


def _pull_scan(
    needed: tuple[bool, ...],
    g: Any,
    out: Any,
    *inputs: Any,
    body: Program,
    consts: int,
    carry: int,
    length: int,
    reverse: bool,
    history: tuple[int, ...],
) -> list[Any]:
    """A loop the other way: gradients of the carry go from step to step, those of the consts are summed up."""
    args = [as_tensor(x) for x in inputs]
    fixed, xs = args[:consts], args[consts + carry :]
    gradients = _present(g)
    end, rows, past = gradients[:carry], gradients[carry : len(body.results)], gradients[len(body.results) :]
    floats = _floats(body, consts, carry)
    wanted = _wanted(needed, consts, carry, floats)
    summed = wanted[: len(wanted) - len(floats) - sum(needed[consts + carry :])]
    row_gradients = [row for row in (*rows, *past) if row is not None]
    variables = [body.inputs[consts + i] for i in floats]
    result: list[Any] = []

    def step(states: list[Any], slices: list[Any]) -> list[Any]:
        rest = iter(slices)
        x, h = [next(rest) for _ in xs], [next(rest) for _ in range(carry)]
        row, before = ([None if part is None else next(rest) for part in parts] for parts in (rows, past))
        seeds = _with([None] * carry, floats, states)
        result[:] = pull(body, [*fixed, *h, *x], wanted, [*seeds, *row])
        sums = [_add(old, part) for old, part in zip(states[len(floats) :], result)]
        back = [_add(part, before[i]) for i, part in zip(floats, result[len(summed) :])]
        return [
            *_or_zeros(back, variables),
            *sums,
            *(part for part in result[len(summed) + len(floats) :] if part is not None),
        ]

    with mode("recording", _recorded(g, inputs)):
        start = _or_zeros([end[i] for i in floats], variables) + [_zeros(body.inputs[i]) for i in summed]
        pasts = [as_tensor(x) for x in _parts(out)[len(body.results) :]]
        last, stacked = record_scan(step, start, [*xs, *pasts, *row_gradients], length, not reverse)
    ready = iter(stacked)
    moved = [None if part is None else next(ready) for part in result[len(summed) + len(floats) :]]
    results = dict(zip([*(consts + i for i in floats), *summed], last))
    results.update(zip(wanted[len(summed) + len(floats) :], moved))
    for i, part in zip(summed, result):
        if part is None:
            results[i] = None
    return [results.get(i) if n else None for i, n in enumerate(needed)]


def _pull_cond(
    needed: tuple[bool, ...], g: Any, out: Any, pred: Any, *operands: Any, then: Program, otherwise: Program
) -> list[Any]:
    """The choice between the derivatives of the branches."""
    inputs, seeds = [as_tensor(x) for x in operands], _present(g)
    wanted = [i for i, n in enumerate(needed[1:]) if n]

    def back(program: Program) -> Flat:
        def branch() -> list[Any]:
            return _or_zeros(pull(program, inputs, wanted, seeds), [program.inputs[i] for i in wanted])

        return branch

    with mode("recording", _recorded(g, operands)):
        result = dict(zip(wanted, record_cond(pred, back(then), back(otherwise))))
    return [None, *(result.get(i) for i in range(len(operands)))]


def _pull_while(
    needed: tuple[bool, ...],
    g: Any,
    out: Any,
    *inputs: Any,
    test: Program,
    body: Program,
    consts: int,
    history: bool,
) -> list[Any]:
    """The way back through the history, with the derivative of the body at each entry."""
    args = [as_tensor(x) for x in inputs]
    carry = len(body.results)
    floats = _floats(body, consts, carry)
    wanted = _wanted(needed, consts, carry, floats)
    summed = wanted[: len(wanted) - len(floats)]
    end = _present(g)
    variables = [body.inputs[consts + i] for i in floats]

    def step(states: list[Any], entry: list[Any]) -> list[Any]:
        seeds = _with([None] * carry, floats, states)
        result = pull(body, [*args[:consts], *entry], wanted, seeds)
        sums = [_add(old, part) for old, part in zip(states[len(floats) :], result)]
        return [*_or_zeros(result[len(summed) :], variables), *sums]

    with mode("recording", _recorded(g, inputs)):
        start = _or_zeros([end[i] for i in floats], variables) + [_zeros(body.inputs[i]) for i in summed]
        last = _record_unwind(step, start, out[-1], args[consts:])
    result = dict(zip([*(consts + i for i in floats), *summed], last))
    return [result.get(i) if n else None for i, n in enumerate(needed)]


def _pull_unwind(needed: tuple[bool, ...], g: Any, out: Any, *inputs: Any, body: Program, consts: int) -> list[Any]:
    raise RuntimeError(
        "while_loop: in a compiled function its gradient cannot be differentiated a second time; use tg.scan, whose "
        "length is fixed, or take second derivatives outside tg.compile"
    )


scan.derivatives(jointly=_pull_scan)
cond.derivatives(jointly=_pull_cond)
while_loop.derivatives(jointly=_pull_while)
unwind.derivatives(jointly=_pull_unwind)


def _push_while(
    tangents: Sequence[Any], out: Any, *inputs: Any, test: Program, body: Program, consts: int, history: bool
) -> Any:
    """The loop once more, with the tangents of what it carries."""
    args, along = [as_tensor(x) for x in inputs], [as_tensor(x) for x in tangents]
    carry = len(body.results)
    floats = _floats(body, consts, carry)

    def step(states: list[Any]) -> list[Any]:
        directions = [*along[:consts], *_with([None] * carry, floats, states[carry:])]
        outs, pushed = push(body, [*args[:consts], *states[:carry]], directions)
        return [*outs, *_or_zeros([pushed[i] for i in floats], [body.results[i] for i in floats])]

    with mode("recording", _recorded(tangents, inputs)):
        start = _or_zeros([along[consts + i] for i in floats], [body.inputs[consts + i] for i in floats])
        last = record_while(
            lambda states: replay(test, [*args[:consts], *states[:carry]]), step, [*args[consts:], *start]
        )
    pushed = dict(zip(floats, last[carry:]))
    result = tuple([pushed[i] if i in pushed else np.zeros(var.shape, var.dtype) for i, var in enumerate(body.results)])
    return result if carry > 1 or history else result[0]


while_loop.forward_derivative(_push_while)


def _parts(x: Any) -> tuple[Any, ...]:
    return x if type(x) is tuple else (x,)


def _present(g: Any) -> list[Any]:
    """The gradients of all results, as Tensors or arrays; None where nothing flows."""
    return [None if _is_zero(x) else as_tensor(x) for x in _parts(g)]


def _is_zero(x: Any) -> bool:
    """Whether a gradient is zero in every call: the plain array that the pass gives where it met nothing."""
    return isinstance(x, np.ndarray | np.generic) and not np.any(x)


def _floats(body: Program, consts: int, carry: int) -> list[int]:
    """Which values of a carry have a gradient."""
    return [i for i in range(carry) if body.inputs[consts + i].dtype.kind in "fc"]


def _wanted(needed: Sequence[bool], consts: int, carry: int, floats: Sequence[int]) -> list[int]:
    """The inputs of a body to differentiate with respect to: consts, all of the carry, slices."""
    return [
        *(i for i in range(consts) if needed[i]),
        *(consts + i for i in floats),
        *(i for i in range(consts + carry, len(needed)) if needed[i]),
    ]


def _recorded(gradients: Any, inputs: Sequence[Any]) -> bool:
    """Whether a rule is to be differentiated again."""
    return any(isinstance(x, Tensor) and x._node is not None for x in (*_parts(gradients), *inputs))


def _zeros(var: Var) -> Any:
    return np.zeros(var.shape, var.dtype)[()]


def _or_zeros(values: Sequence[Any], variables: Sequence[Var]) -> list[Any]:
    """The values, with zeros of the variables' shapes and dtypes for those that are None."""
    return [_zeros(var) if x is None else x for x, var in zip(values, variables)]


def _add(x: Any, y: Any) -> Any:
    return y if x is None else x if y is None else x + y
