"""The recorded form of a function: steps in the order in which they ran, each an operation on variables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..core.define import Op


@dataclass(eq=False, repr=False, slots=True)
class Var:
    """A value of a program; shape and dtype are known before a call."""

    number: int
    shape: tuple[int, ...]
    dtype: Any
    kind: str = "result"  # of a step; "input", "state" (read from outside at each call), "constant" or "generator"
    value: Any = None  # the array or number of a constant
    weak: bool = False  # a Python number, which leaves the dtype of arrays alone (NEP 50)
    name: str = ""  # what the emitted code calls it, once names are given; before, a wish or nothing

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the elements take."""
        return self.size * int(self.dtype.itemsize)

    @property
    def scalar(self) -> bool:
        """Whether it has no axes: a NumPy scalar or a Python number, never an array to write to."""
        return not self.shape

    def __repr__(self) -> str:
        return f"{self.name or '%' + str(self.number)}: {self.dtype}{list(self.shape)}"


def spec(x: Var) -> str:
    """Dtype and shape, for a message."""
    return f"{'Python ' if x.weak else ''}{x.dtype}[{', '.join(map(str, x.shape))}]"


@dataclass(eq=False, repr=False, slots=True)
class Step:
    """One application of an operation."""

    op: Op
    inputs: tuple[Any, ...]  # variables and numbers
    params: dict[str, Any]  # settings
    outputs: tuple[Var, ...]
    line: tuple[str, int] | None = None  # file and line of the user's code that it came from
    several: bool = False  # whether the op gives a tuple, which may hold a single result

    def __post_init__(self) -> None:
        self.several = self.several or len(self.outputs) > 1

    @property
    def name(self) -> str:
        """The op's name; of a user's op with its module before it, as it may be called like one of the library's."""
        return self.op.name if self.op.own else f"{self.op.__module__}.{self.op.name}"

    @property
    def out(self) -> Var:
        """The only result."""
        return self.outputs[0]

    @property
    def reads(self) -> Iterator[Var]:
        """The variables among the inputs."""
        return (x for x in self.inputs if type(x) is Var)

    @property
    def pure(self) -> bool:
        """Whether it gives the same for the same inputs and changes nothing else."""
        return self.name != "sample"

    def __repr__(self) -> str:
        settings = "".join(f", {k}={v!r}" for k, v in self.params.items())
        return f"{', '.join(map(repr, self.outputs))} = {self.op.name}({', '.join(map(repr, self.inputs))}{settings})"


class Program:
    """A recorded function."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: list[Var] = []  # what each call is given, in order
        self.state: list[Var] = []  # what is read from outside at the start of each call
        self.steps: list[Step] = []
        self.results: list[Var] = []  # what the call gives back
        self.writes: dict[Var, Var] = {}  # what it leaves in the place of a state variable: result by state
        self._count = 0

    def var(self, shape: tuple[int, ...], dtype: Any, kind: str = "result", **more: Any) -> Var:
        """A new variable."""
        self._count += 1
        return Var(self._count, shape, dtype, kind, **more)

    def constant(self, value: Any) -> Var:
        """A new variable that is the same in every call."""
        return self.var(np.shape(value), np.asarray(value).dtype, "constant", value=value)

    @property
    def needed(self) -> list[Var]:
        """What must be there in the end: results, and new values of the state."""
        return [*self.results, *self.writes.values()]

    def users(self) -> dict[Var, list[Step]]:
        """By variable, the steps that read it."""
        results: dict[Var, list[Step]] = {}
        for step in self.steps:
            for x in dict.fromkeys(step.reads):
                results.setdefault(x, []).append(step)
        return results

    def reads(self, var: Var) -> bool:
        """Whether a step reads a variable, or it is a result."""
        return var in self.results or any(var in step.reads for step in self.steps)

    def producers(self) -> dict[Var, Step]:
        """By variable, the step that makes it."""
        return {out: step for step in self.steps for out in step.outputs}

    def __repr__(self) -> str:
        body = [f"program {self.name}({', '.join(map(repr, [*self.inputs, *self.state]))})"]
        body += [f"  {step!r}" for step in self.steps]
        body.append(f"  return {', '.join(map(repr, self.results))}")
        body += [f"  {old!r} ← {new!r}" for old, new in self.writes.items()]
        return "\n".join(body)


class MalformedProgram(AssertionError):
    """A program breaks a rule that all rewriting must keep: a fault of this library."""


def check(program: Program, after: str = "") -> None:
    """Raise unless a program is well formed, and each that its steps hold.

    Each variable is made once and before it is read; inputs and state are not made by steps; numbers of inputs fit the
    ops; settings are known to them; what is needed in the end exists; states are written in their own shape and dtype.
    The message names the step, and with `after` the pass that made the program.
    """
    where = f"{program.name}, after {after}" if after else program.name
    known: set[Var] = {*program.inputs, *program.state}
    if len(known) != len(program.inputs) + len(program.state):
        raise MalformedProgram(f"{where}: an input stands twice in the list of inputs and state")
    check_steps(program.steps, known, where)
    for needed in program.needed:
        if needed.kind != "constant" and needed not in known:
            raise MalformedProgram(f"{where}: {needed!r} is to be returned, but nothing makes it")
    for old, new in program.writes.items():
        if old not in program.state:
            raise MalformedProgram(f"{where}: {old!r} is written to, but it is no state")
        if old.kind == "state" and not old.weak and (old.shape, old.dtype) != (new.shape, new.dtype):
            raise MalformedProgram(f"{where}: {new!r} is to replace {old!r}")


#: What a pass does, in words, and the function: it changes a program, or gives another one.
Pass = tuple[str, Callable[[Program], Program | None]]


def run_passes(program: Program, passes: Iterable[Pass]) -> Program:
    """What passes make of a program, checked after each."""
    for what, rewrite in passes:
        program = rewrite(program) or program
        check(program, what)
    return program


def check_steps(steps: Iterable[Step], known: set[Var], where: str) -> None:
    """Raise unless steps can run in their order, given what there is before them; adds what they make."""
    for position, step in enumerate(steps):
        fault = _fault_of(step, known)
        if fault:
            raise MalformedProgram(f"{where}, step {position}: {step!r}: {fault}")
        known.update(step.outputs)
        for setting in step.params.values():
            if isinstance(setting, Program):
                check(setting, where.partition(", after ")[2])


def _fault_of(step: Step, known: set[Var]) -> str:
    """What is wrong with a step, given the variables that there are before it; empty if nothing is."""
    op = step.op
    for x in step.inputs:
        if type(x) is Var:
            if x.kind != "constant" and x not in known:
                return f"{x!r} is read before it is made"
        elif not isinstance(x, bool | int | float | complex | np.generic):
            return f"an input is a {type(x).__name__}, neither variable nor number"
    least = len(op.input_names) - op.variadic
    if len(step.inputs) < least or (len(step.inputs) > least and not op.variadic):
        return f"{len(step.inputs)} inputs for the {least} of {op.name}"
    if not step.params.keys() <= set(op.setting_names):
        return f"{op.name} has no setting {sorted(step.params.keys() - set(op.setting_names))}"
    if not step.outputs:
        return "a step without result"
    for out in step.outputs:
        if out in known or out.kind != "result":
            return f"{out!r} is made a second time"
    if op.elementwise and len(step.outputs) == 1:
        shapes = [x.shape for x in step.reads]
        if any(shape != step.out.shape for shape in shapes) and np.broadcast_shapes(*shapes) != step.out.shape:
            return f"shapes {shapes} do not give {step.out.shape}"
    return ""


def run(program: Program, values: Iterable[Any], known: dict[Var, Any] | None = None) -> list[Any]:
    """`Program.needed` for other inputs and state, step by step with the ops' own kernels: slow, and plainly right.

    With a dict as `known` all variables are left in it; else each value is let go after its last use.
    """
    keep, known = known is not None, {} if known is None else known
    known.update(zip([*program.inputs, *program.state], values, strict=True))
    last = {} if keep else {x: step for step in program.steps for x in (*step.outputs, *step.reads)}
    needed = set(program.needed)
    with np.errstate(all="ignore"):
        for step in program.steps:
            inputs = [value_of(x, known) for x in step.inputs]
            if all(type(x) in (bool, int, float) for x in inputs):  # Python's, computed with as NumPy does
                inputs = [np.asarray(x)[()] for x in inputs]
            out = step.op.kernel(*inputs, **step.params)
            out = out.item() if step.outputs[0].weak else out
            known.update(zip(step.outputs, out if step.several else (out,), strict=True))
            for x in (*step.outputs, *step.reads) if last else ():
                if last[x] is step and x not in needed:
                    known.pop(x, None)
    return [value_of(x, known) for x in program.needed]


def value_of(x: Any, known: dict[Var, Any]) -> Any:
    """The value of an input of a step, given those of all variables that are not constant."""
    if type(x) is not Var:
        return x
    return x.value if x.kind == "constant" else known[x]
