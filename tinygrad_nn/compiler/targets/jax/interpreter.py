"""Programs as JAX computes them: one loop over the steps, which JAX traces and compiles in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from ...ir import Program, Step, Var, spec
from ...quote import one_line
from .lowerings import Call, NoCounterpart, cast, dtype_of, lowering_of

#: Something that must not be true after a call: where, the error, its message.
Check = tuple[Any, type[Exception], str]


class Interpreter:
    """Computes steps on JAX's values."""

    def __init__(self, known: dict[Var, Any]) -> None:
        self.known = known  # what there is before the steps, and afterwards what they made too
        self.checks: list[Check] = []  # conditions under which NumPy would have raised

    def run(self, steps: Sequence[Step]) -> int:
        """Compute steps, in order, up to one that JAX has no counterpart for; how many."""
        for count, step in enumerate(steps):
            try:
                self._compute(step)
            except NoCounterpart:
                return count
        return len(steps)

    def value(self, x: Any) -> Any:
        """The value of an input of a step."""
        if type(x) is not Var:
            return x
        if x not in self.known:
            self.known[x] = _constant(x)
        return self.known[x]

    def _compute(self, step: Step) -> None:
        if step.name == "sample":  # by NumPy, before the call
            return
        lowering = lowering_of(step.op)
        if lowering is None:
            raise NoCounterpart
        checks: list[Check] = []
        call = Call(step, lambda *check: checks.append(check), _function)
        result = lowering(call, *map(self.value, step.inputs), **step.params)
        results = result if isinstance(result, tuple | list) else (result,)
        self.known.update((x, _as_recorded(value, x)) for x, value in zip(step.outputs, results, strict=True))
        self.checks += checks


def _constant(x: Var) -> Any:
    value = x.value if x.weak else np.asarray(x.value, x.dtype)
    return value if x.weak or x.shape else value[()]


def _as_recorded(value: Any, x: Var) -> Any:
    """What a lowering made, in the dtype that was recorded, which NumPy's rules gave."""
    if np.shape(value) != x.shape or (dtype_of(value).kind == "c" and x.dtype.kind != "c"):
        raise AssertionError(f"JAX gives {dtype_of(value)}{list(np.shape(value))} for {x!r}; please report this")
    return cast(value, x.dtype)


def _function(program: Program) -> Callable[..., tuple[Any, ...]]:
    """The body of a loop or a branch."""

    def function(*values: Any) -> tuple[Any, ...]:
        inner = Interpreter(dict(zip(program.inputs, values, strict=True)))
        if inner.run(program.steps) < len(program.steps) or inner.checks:
            raise NoCounterpart
        return tuple(cast(inner.value(x), x.dtype) for x in program.results)

    return function


# --- pieces ----------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Pieces:
    """A program, in pieces that JAX compiles and steps between them that only their ops' own kernels compute.

    Mostly all is one piece. Where a piece ends is known when it has been traced. A call is given `arguments`: inputs,
    state, and what is drawn from random generators; `replicated` is how new state lies on several devices.
    """

    program: Program
    arguments: list[Var]
    replicated: Any = None
    _parts: list[Piece | OnHost] = field(default_factory=list)
    _done: int = 0  # steps that are in them

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """The values of ``program.needed``."""
        known = dict(zip(self.arguments, values, strict=True))
        for part in self._all():
            part.run(known)
        return [known[x] if x in known else _constant(x) for x in self.program.needed]

    @property
    def text(self) -> str:
        """The jaxpr of each piece, and a line for each step between them."""
        return "\n\n".join(part.text for part in self._all()) + "\n"

    def _all(self) -> Iterator[Piece | OnHost]:
        """The pieces and what is between them; a new one has to be run or printed before the next is asked for."""
        yield from self._parts
        steps = self.program.steps
        while self._done < len(steps) or not self._parts:
            start = self._done
            if not steps or lowering_of(steps[start].op) is not None or steps[start].name == "sample":
                piece = Piece(self, start)
                yield piece
                if piece.end > start or not steps:
                    self._parts.append(piece)
                    self._done = piece.end
            if self._done < len(steps):
                host = OnHost(steps[self._done])
                yield host
                self._parts.append(host)
                self._done += 1


class Piece:
    """Steps from `start` on that JAX compiles together."""

    def __init__(self, whole: Pieces, start: int) -> None:
        self.program, self.start = whole.program, start
        self.replicated = whole.replicated
        self.inputs = whole.arguments
        if start:
            results = [out for step in self.program.steps[:start] for out in step.outputs]
            read = {x for step in self.program.steps[start:] for x in step.reads}
            self.inputs = [x for x in (*whole.arguments, *results) if x in read and x.dtype.kind != "O"]
        self.end = start
        self.outputs: list[Var] = []
        self.errors: list[tuple[type[Exception], str]] = []
        self._compiled = jax.jit(self._traced)

    def run(self, known: dict[Var, Any]) -> None:
        """Compute, and raise what NumPy would have raised."""
        out, wrong = self._compiled(*(known[x] for x in self.inputs))
        if wrong is not None:
            for result, (error, message) in zip(np.asarray(wrong), self.errors, strict=True):
                if result:
                    raise error(message)
        known.update(zip(self.outputs, out, strict=True))

    @property
    def text(self) -> str:
        """The jaxpr."""
        specs = [x.dtype.type().item() if x.weak else jax.ShapeDtypeStruct(x.shape, x.dtype) for x in self.inputs]
        return str(jax.make_jaxpr(self._traced)(*specs))

    def _traced(self, *values: Any) -> tuple[list[Any], Any]:
        """What is needed later, and which checks failed."""
        steps = self.program.steps
        interpreter = Interpreter(dict(zip(self.inputs, values, strict=True)))
        with np.errstate(all="ignore"):
            self.end = self.start + interpreter.run(steps[self.start :])
        self.errors = [(error, message) for _, error, message in interpreter.checks]
        if self.end - self.start == len(steps):
            self.outputs = self.program.needed
        else:
            later = {*self.program.needed, *(x for step in steps[self.end :] for x in step.reads)}
            here = [step for step in steps[self.start : self.end] if step.name != "sample"]
            self.outputs = [x for step in here for x in step.outputs if x in later]
        written = set(self.program.writes.values()) if self.replicated is not None else ()
        results = [
            jax.lax.with_sharding_constraint(interpreter.value(x), self.replicated)
            if x in written  # so that the next call finds it on all devices
            else interpreter.value(x)
            for x in self.outputs
        ]
        wrong = [jax.numpy.any(condition) for condition, _, _ in interpreter.checks]
        return results, jax.numpy.stack(wrong) if wrong else None


class OnHost:
    """A step that its op's own kernel computes, on NumPy arrays, between pieces that JAX compiles."""

    def __init__(self, step: Step) -> None:
        self.step = step

    @np.errstate(all="ignore")  # as where JAX computes, and in NumPy's emitted code
    def run(self, known: dict[Var, Any]) -> None:
        """Compute, and raise if a result has another shape or dtype than was recorded."""
        step = self.step
        inputs = [_for_numpy(x, known) for x in step.inputs]
        if step.out.weak:
            known[step.out] = np.asarray(step.op.kernel(*(np.asarray(x)[()] for x in inputs), **step.params)).item()
            return
        out = step.op.kernel(*inputs, **step.params)
        for result, var in zip(out if isinstance(out, tuple) else (out,), step.outputs, strict=True):
            if result.shape != var.shape or result.dtype != var.dtype:
                raise TypeError(
                    f"{step.op.name} gave {spec(var)} when the function was recorded, and now gives "
                    f"{result.dtype}[{', '.join(map(str, result.shape))}]; shapes must not depend on numbers"
                )
            known[var] = result

    @property
    def text(self) -> str:
        """What is computed, and of what."""
        outputs = ", ".join(map(spec, self.step.outputs))
        inputs = ", ".join(spec(x) if type(x) is Var else str(x) for x in self.step.inputs)
        return f"{outputs} = {one_line(self.step.op.name)}({inputs}), by NumPy"


def _for_numpy(x: Any, known: dict[Var, Any]) -> Any:
    if type(x) is not Var:
        return x
    if x.kind == "constant":
        return x.value
    value = known[x]
    if x.dtype.kind == "O":  # what only kernels hand to each other
        return value
    value = np.asarray(value)
    return value.item() if x.weak else value if x.shape else value[()]
