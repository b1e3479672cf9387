"""Building a program step by step: equal steps become one, and what is constant is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.define import Op, registry
from ..ir import Program, Step, Var

#: A pattern looks at a step that is to be added, and gives what can stand for its result, or None.
Pattern = Callable[["Builder", Step], Any]

#: What patterns of every elementwise op stand under, where those of one op stand under its name.
ELEMENTWISE = "elementwise"

#: Constants of at most this many elements are computed while a program is built, and compared by value.
SMALL = 4096


class Builder:
    """Copies a program, with patterns applied to every step; the variables are new where steps are new.

    Patterns stand under the op's name; under `ELEMENTWISE` those of every elementwise op of the library, which come
    before its own.
    """

    def __init__(self, program: Program, patterns: dict[str, list[Pattern]]) -> None:
        self.old = program
        self.new = Program(program.name)
        self.new._count = program._count
        self.patterns = patterns
        self.producer: dict[Var, Step] = {}
        self._known: dict[Any, tuple[Any, ...]] = {}
        self._substitutes: dict[Var, Any] = {}
        self._line: tuple[str, int] | None = None
        self._wish: tuple[Var, ...] = ()

    def build(self) -> Program:
        """The new program."""
        old, new = self.old, self.new
        new.inputs, new.state = list(old.inputs), list(old.state)
        for step in old.steps:
            inputs = tuple([self.substitute(x) for x in step.inputs])
            self._line = step.line
            self._wish = step.outputs
            values = self._add(Step(step.op, inputs, step.params, step.outputs, step.line, step.several))
            for out, value in zip(step.outputs, values, strict=True):
                self._substitutes[out] = value
                if type(value) is Var and value.kind == "result" and not value.name:
                    value.name = out.name
        new.results = [self._as_var(self.substitute(x), x) for x in old.results]
        new.writes = {key: self._as_var(self.substitute(x), x) for key, x in old.writes.items()}
        remove_dead(new)
        return new

    def substitute(self, x: Any) -> Any:
        """What stands in the new program for a variable of the old one; a constant without axes is a number."""
        if type(x) is not Var:
            return x
        if x.kind == "constant" and not x.shape:
            return np.asarray(x.value, x.dtype)[()] if not x.weak else x.value
        return self._substitutes.get(x, x)

    def _as_var(self, x: Any, old: Var) -> Var:
        if type(x) is Var and (x.shape, x.dtype) == (old.shape, old.dtype):
            return x
        if type(x) is not Var:
            x = x if old.weak else np.asarray(x, old.dtype)[()]
            return self.new.var(old.shape, old.dtype, "constant", value=x, weak=old.weak)
        raise AssertionError(f"{old!r} was replaced by {x!r}")

    # --- what patterns use --------------------------------------------------------------------------------------------

    def add(self, name: str, *inputs: Any, **params: Any) -> Any:
        """The result of an elementwise op on variables and numbers."""
        shape = np.broadcast_shapes(*(x.shape for x in inputs if type(x) is Var))
        return self.put(name, inputs, shape, result_dtype(registry[name], inputs, params), params)

    def put(
        self,
        name: str,
        inputs: tuple[Any, ...],
        shape: tuple[int, ...],
        dtype: Any,
        params: dict[str, Any] | None = None,
    ) -> Any:
        """The result of any op, whose shape and dtype the caller knows."""
        op = registry[name]
        weak = op.operator is not None and all(is_weak(x) for x in inputs)
        out = self.new.var(tuple(shape), np.dtype(dtype), weak=weak)
        return self._add(Step(op, inputs, {**op.defaults, **(params or {})}, (out,), self._line))[0]

    def reshape(self, x: Var, shape: tuple[int, ...]) -> Any:
        """The result of a reshape."""
        return self.put("reshape", (x,), shape, x.dtype, {"shape": shape})

    def transpose(self, x: Var) -> Any:
        """A matrix, or each of several, transposed."""
        *lead, rows, columns = x.shape
        return self.put("matrix_transpose", (x,), (*lead, columns, rows), x.dtype)

    def made_by(self, x: Any, name: str) -> Step | None:
        """The step that makes `x`, if it is one of that op."""
        step = self.producer.get(x) if type(x) is Var else None
        return step if step is not None and step.name == name else None

    def known(self, name: str, *inputs: Any) -> Any:
        """The result of an op on variables, if it is computed already."""
        op = registry[name]
        key = _key(Step(op, inputs, op.defaults, (), None))
        return self._known.get(key, (None,))[0]

    # --- adding ------------------------------------------------------------------------------------------------------

    def _add(self, step: Step) -> tuple[Any, ...]:
        general = self.patterns.get(ELEMENTWISE, ()) if step.op.elementwise and _is_registered(step.op) else ()
        for pattern in (*general, *self.patterns.get(step.name, ())):
            result = pattern(self, step)
            if result is not None:
                return result if type(result) is tuple else (result,)
        folded = self._folded(step)
        if folded is not None:
            return folded
        key = _key(step) if step.pure and step.op.own else None  # a user's op may not be a pure function
        if key is not None and key in self._known:
            return self._known[key]
        for out in step.outputs:
            if out in self.producer:  # the old variable stands for another step already
                raise AssertionError(f"{step!r} was added twice")
            self.producer[out] = step
        self.new.steps.append(step)
        if key is not None:
            self._known[key] = step.outputs
        return step.outputs

    def _folded(self, step: Step) -> tuple[Any, ...] | None:
        """The results of a step whose inputs are all constant."""
        if not step.pure or not _is_registered(step.op) or sum(out.size for out in step.outputs) > SMALL:
            return None
        if any(x.kind != "constant" or x.size > SMALL for x in step.reads):
            return None
        values = [x.value if type(x) is Var else x for x in step.inputs]
        with np.errstate(all="ignore"):
            try:
                out = step.op.kernel(*values, **step.params)
            except Exception:
                return None  # raises when called, as it should
        result = out if step.several else (out,)
        return tuple([self._constant(x, var) for x, var in zip(result, step.outputs, strict=True)])

    def _constant(self, value: Any, var: Var) -> Any:
        if var.weak:
            return value.item() if isinstance(value, np.generic) else value
        if not np.shape(value):
            return np.asarray(value, var.dtype)[()]
        return self.new.var(var.shape, var.dtype, "constant", value=value, name=var.name)


def _is_registered(op: Op) -> bool:
    """Whether an op is the library's own, under its name."""
    return registry.get(op.name) is op


def _key(step: Step) -> Any:
    """Equal for steps that give the same."""
    try:
        inputs = tuple([x if type(x) is Var and x.kind != "constant" else _by_value(x) for x in step.inputs])
        key = (step.op, inputs, tuple(sorted((k, _hashable(v)) for k, v in step.params.items())))
        hash(key)
    except TypeError:
        return None
    return key


def _by_value(x: Any) -> Any:
    if type(x) is Var:
        if x.size <= SMALL and isinstance(x.value, np.ndarray):
            return (x.shape, x.dtype.str, x.value.tobytes())
        return x
    return (type(x), repr(x))


def _hashable(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return (type(value), *map(_hashable, value))
    if isinstance(value, slice):
        return ("slice", value.start, value.stop, value.step)
    if isinstance(value, bool | int | float):
        return (type(value), repr(value))
    return value


def is_weak(x: Any) -> bool:
    """Whether something is a Python number in every call."""
    return x.weak if type(x) is Var else type(x) in (bool, int, float)


def result_dtype(op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """The dtype that an elementwise op gives: found by trying it on ones."""
    tried: list[Any] = []
    for x in inputs:
        if type(x) is not Var:
            tried.append(x)
        elif x.weak:
            tried.append(x.dtype.type(1).item())
        else:
            tried.append(np.ones((1,), x.dtype) if x.shape else x.dtype.type(1))
    if all(type(x) in (bool, int, float) for x in tried):
        tried[0] = np.asarray(tried[0])[()]
    with np.errstate(all="ignore"):
        return np.asarray(op.kernel(*tried, **params)).dtype


def remove_dead(program: Program) -> None:
    """Leave out the steps whose results nothing needs; random draws stay, as the generator goes on with each."""
    needed = set(program.needed)
    steps = []
    for step in reversed(program.steps):
        if not step.pure or any(out in needed for out in step.outputs):
            steps.append(step)
            needed.update(step.reads)
    program.steps = steps[::-1]
    program.state = [x for x in program.state if x in needed or x in program.writes or x.kind == "generator"]
