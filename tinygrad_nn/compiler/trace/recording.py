"""From a call of a function to its program: stand-ins for the arguments, one run, and what came out of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...core.graph import FREED, Node, mode, modes
from ...core.interrupts import hold, release
from ...core.tree import flatten, unflatten
from ...core.values import leaf
from ...tensor.tensor import Tensor, plain_tensor
from ..ir import Program, Var, check
from . import control
from .guards import Guard
from .recorder import Recorder
from .sharing import Link, links_of, settled
from .state import Place
from .traced import Traced

#: Types whose values are compared; anything else that is fixed is the same only if it is the same object.
_COMPARED = (bool, int, str, bytes, type(None), complex, np.dtype, slice, type(Ellipsis), tuple)


@dataclass(frozen=True, eq=False)
class Argument:
    """What is fixed of one argument: its kind, and shape and dtype or the object itself.

    The kinds are ``"tensor"`` and ``"array"``, whose numbers differ from call to call, ``"number"``, a Python float,
    and ``"fixed"``: everything else, leaves that require gradients among it, which are the function's own to update.
    """

    kind: str
    shape: tuple[int, ...] = ()
    dtype: Any = None
    value: Any = None


def is_jax_array(x: Any) -> bool:
    """Whether something is an array of JAX's; without importing it."""
    return type(x).__module__.partition(".")[0] in ("jax", "jaxlib")


def describe(x: Any, fixed: bool = False) -> Argument:
    """What is fixed of an argument."""
    if not fixed:
        if isinstance(x, Tensor):
            return Argument("tensor", x.shape, x.dtype, x._node is not None)
        if type(x) is np.ndarray or isinstance(x, np.generic) or is_jax_array(x):
            if x.dtype.kind in "biufc":
                return Argument("array", x.shape, x.dtype)
        elif type(x) is float:
            return Argument("number", (), np.dtype(np.float64))
    return Argument("fixed", value=("float", x.hex()) if type(x) is float else x)


@dataclass
class Recording:
    """A program, and how a call of the function becomes a call of it."""

    program: Program
    arguments: list[Argument]  # the leaves of (args, kwargs); those not fixed are the program's inputs, in order
    structure: Any  # how these leaves are nested
    places: list[Place]  # where each variable of program.state is read
    writes: list[tuple[Var | None, Place, Var]]
    cleared: list[Tensor]
    guards: list[Guard]
    leaves: list[tuple[str, Any]]  # what is returned: a variable after "tensor", "array", "number", else "fixed"
    returned: Any  # how what is returned is nested
    forget: Callable[[], None]  # takes back what was prepared outside for the first call
    live: list[bool] = field(default_factory=list)  # which returned leaves are Tensors that can still be differentiated
    recording: bool = True  # whether gradients were recorded in the call, or it was made under no_grad
    #: What results and new values of the state were in the recorded call; emptied when it has been made use of.
    outcome: dict[Var, Any] = field(default_factory=dict)
    #: Random generators, and their states after the recorded call.
    generators: list[tuple[Any, Any]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)  # of results that share their elements with something
    hidden: int = 0  # how many results there are only for these links, after the others


def record(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    fixed: Collection[int],
    names: Sequence[str],
    name: str,
) -> Recording:
    """Run a function once, on stand-ins, and give what it did as a program.

    `fixed` are the numbers of those leaves of ``(args, kwargs)`` that are not to vary though they are numbers or
    arrays, and `names` is how to call all of them.
    """
    leaves, structure = flatten((tuple(args), kwargs))
    arguments = [describe(x, i in fixed) for i, x in enumerate(leaves)]
    fixed_values = [x for x, argument in zip(leaves, arguments, strict=True) if argument.kind == "fixed"]
    recorder = Recorder(name, control, function, fixed_values)
    program = recorder.program
    stand_ins: list[Any] = []
    stand_in: Any = None
    traced: Any = None
    tensors: dict[int, tuple[Tensor, Traced]] = {}
    for i, (x, argument) in enumerate(zip(leaves, arguments, strict=True)):
        if argument.kind == "fixed":
            stand_ins.append(x)
            continue
        weak = argument.kind == "number"
        var = program.var(argument.shape, argument.dtype, "input", weak=weak, name=names[i])
        program.inputs.append(var)
        value = x._value if isinstance(x, Tensor) else np.asarray(x) if is_jax_array(x) else x
        traced = recorder.traced(var, value)
        stand_in = traced
        if argument.kind == "tensor":
            stand_in = plain_tensor(traced)
            if argument.value:
                stand_in._node = leaf(stand_in)
            tensors[i] = (stand_in, traced)
        elif argument.kind == "array":
            traced.shared = True  # so that a change in place is seen
        stand_ins.append(stand_in)
    inputs = unflatten(structure, stand_ins)
    hold()  # but for the function itself: what it binds to stand-ins is to be whole again whatever interrupts it
    try:
        with mode("store", recorder):
            release()
            out = _run(function, inputs)
            _check_unchanged(inputs, structure, stand_ins, arguments, program, names)
            results, returned = flatten(out)
            links, hidden = links_of(results, {i: t for i, (t, _) in tensors.items()}, recorder.is_outside)
            if hidden:
                results, returned = flatten((out, hidden))
            result = [_result(x, recorder) for x in results]
            live = [_is_live(x) for x in results]
            hold()
        touched = [i for i, (t, _) in tensors.items() if recorder.touched(t) or recorder.touched(leaves[i])]
        touched = [i for i in tensors if any(leaves[i] is leaves[k] for k in touched)]
        count = len(hidden)
        del out, results, inputs, hidden
    except BaseException:
        hold()
        recorder.restore()
        recorder.forget()
        release()
        raise
    recorder.restore()
    del stand_ins, stand_in, traced, tensors
    if touched:  # what is bound anew belongs to the caller: it is recorded as state, like a parameter
        recorder.forget()
        release()
        return record(function, args, kwargs, {*fixed, *touched}, names, name)
    try:
        recorder.check()
        recorder.finish()
        program.results[:0] = [var for kind, var in result if kind != "fixed"]
        check(program)
        release()
    except BaseException:
        hold()
        recorder.forget()
        release()
        raise
    return Recording(
        program,
        arguments,
        structure,
        [recorder.places[var] for var in program.state],
        recorder.writes,
        recorder.cleared,
        recorder.guards,
        result,
        returned,
        recorder.forget,
        live,
        modes.recording,
        recorder.outcome,
        recorder.generators,
        settled(links),
        count,
    )


def _check_unchanged(
    inputs: Any,
    structure: Any,
    stand_ins: Sequence[Any],
    arguments: Sequence[Argument],
    program: Program,
    names: Sequence[str],
) -> None:
    """Raise if a function has changed what it was given, which its caller would see: compiled code does not do it."""
    leaves, nesting = flatten(inputs)
    if nesting != structure or any(x is not y for x, y in zip(leaves, stand_ins, strict=True)):
        raise TypeError(
            f"compile: {program.name} puts something into a list or dict that it was given, or takes something out; "
            "that happens while recording only. Return what is new, and put it there outside."
        )
    varying = (i for i, argument in enumerate(arguments) if argument.kind != "fixed")
    for i, var in zip(varying, program.inputs, strict=True):
        x, name = stand_ins[i], names[i]
        if type(x) is Traced and x.variable is not var:
            raise TypeError(
                f"compile: {program.name} changes its array {name!r} in place (`{name} += ...`), which its caller "
                f"would see; write `{name} = {name} + ...`, and return what is new"
            )


def _run(function: Callable[..., Any], arguments: Any) -> Any:
    args, kwargs = arguments
    return function(*args, **kwargs)


def _result(x: Any, recorder: Recorder) -> tuple[str, Any]:
    if isinstance(x, Tensor):
        return "tensor", recorder.settled(recorder.read(x))
    if type(x) is Traced:
        return "number" if x.variable.weak else "array", recorder.settled(x)
    if isinstance(x, np.ndarray):
        return "array", recorder._array(x)
    return "fixed", x


def _is_live(x: Any) -> bool:
    node: Node | None = x._node if isinstance(x, Tensor) else None
    return node is not None and node.a is not FREED
