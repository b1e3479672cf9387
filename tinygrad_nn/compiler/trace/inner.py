"""Recording a function inside a recording: the body of a loop or a branch, as a program closed over nothing."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import numpy as np

from ...core.adjoint import alias
from ...core.define import Op, define
from ...core.errors import user_line
from ...core.graph import Node, mode, modes, next_order, reachable
from ...core.values import leaf, new
from ...tensor.tensor import Tensor, plain_tensor, tensor_at
from ..ir import Program, Step, Var
from ..rewrite.builder import remove_dead
from .recorder import Recorder
from .traced import Traced


def _cut_definition(x: Any) -> Any:
    """The input itself, with derivative zero."""
    return x


#: Stands where a body lets go of the graph (`detach`, `no_grad`), so that the program tells what has a derivative.
cut = define(_cut_definition, name="stop_gradient", differentiable=False, elementwise=True)


class Body(Program):
    """The program of a body: it reads only its inputs, draws nothing and writes nothing."""

    def __repr__(self) -> str:
        return f"<body {self.name}: {len(self.steps)} steps>"

    def __str__(self) -> str:
        return super().__repr__()


class Inner(Recorder):
    """Records a body while `outer` waits: whatever the body reads from outside becomes an input of its program.

    It has the name of the control flow that it is a part of.
    """

    def __init__(self, outer: Recorder, name: str) -> None:
        super().__init__(name, outer.control)
        self.program = Body(name)
        self.outer = outer
        self.root: Recorder = outer.root if isinstance(outer, Inner) else outer
        self.start = next_order()
        #: For each variable of the body, whether a derivative passes through it to the body's inputs.
        self.flows: dict[Var, bool] = {}
        #: What was read from outside: by its variable in `outer` and its node, its stand-ins there and here.
        self.captured: dict[tuple[Var, Node | None], tuple[Traced, Traced]] = {}
        self._cuts: dict[Var, Traced] = {}
        self._roots: list[Node] = []
        self._outside_lines: dict[int, str] = {}

    # --- running the body --------------------------------------------------------------------------------------------

    def placeholder(self, shape: tuple[int, ...], dtype: Any, sample: Any) -> Tensor:
        """A Tensor that stands for an input, connected to a graph if it can be and graphs are recorded."""
        var = self.program.var(shape, dtype, "input")
        tensor = plain_tensor(Traced(var, sample))
        self.flows[var] = modes.recording and dtype.kind in "fc"
        if self.flows[var]:
            tensor._node = _result_node(tensor)
        return tensor

    def run(self, function: Callable[..., Iterable[Any]], *args: Any) -> list[Var]:
        """Run the body; the variables of its results."""
        try:
            with mode("store", self), np.errstate(all="ignore"):
                results = [self._result(x) for x in function(*args)]
        finally:
            self.restore()
        self._check_writes()
        self._check_hooks()
        self.program.results = results
        remove_dead(self.program)
        return results

    def _result(self, x: Any) -> Var:
        if isinstance(x, np.ndarray):
            return self._array(x)
        if not isinstance(x, Tensor | Traced):
            var = self.program.constant(np.asarray(x)[()])
            self.flows[var] = False
            return var
        if isinstance(x, Tensor) and x._node is not None:
            self._roots.append(x._node)
        seen: Traced = self._seen(x, x._value if isinstance(x, Tensor) else x)
        return seen.variable  # type: ignore[no-any-return]

    # --- what is read ------------------------------------------------------------------------------------------------

    def compute(self, op: Op, inputs: Sequence[Any], values: Sequence[Any], settings: dict[str, Any]) -> Any:
        """As `Recorder.compute`, with what comes from outside captured, and cut where the graph was let go."""
        values, out = super().compute(op, inputs, [self._seen(x, v) for x, v in zip(inputs, values)], settings)
        flows = op.differentiable and any(type(x) is Traced and self.flows[x.variable] for x in values)
        for result in out if type(out) is tuple else (out,):
            self.flows[result.variable] = flows and result.variable.dtype.kind in "fc"
        return values, out

    def read(self, tensor: Any) -> Traced:
        """What stands for the value of a Tensor in the body."""
        value = tensor._value
        return self.capture(value if type(value) is Traced else self.root.read(tensor), tensor._node)

    def capture(self, traced: Traced, node: Node | None) -> Traced:
        """What stands in the body for a value from outside; a value of the body stands for itself."""
        if traced.variable in self.flows:
            return traced
        if isinstance(self.outer, Inner):
            traced = self.outer.capture(traced, node)
        key = traced.variable, node
        if key not in self.captured:
            old = traced.variable
            var = self.program.var(old.shape, old.dtype, "input", weak=old.weak, name=old.name)
            self.flows[var] = node is not None and not self._is_own_leaf(node) and old.dtype.kind in "fc"
            self.captured[key] = traced, Traced(var, traced.value)
        return self.captured[key][1]

    def _seen(self, x: Any, value: Any) -> Any:
        """What an operation of the body computes with."""
        if isinstance(x, Tensor):
            traced = self.read(x)
            if x._node is not None and modes.recording and not self._is_own_leaf(x._node):
                return traced
        elif type(value) is Traced:
            traced = self.capture(value, None)
        else:
            return value
        return self._cut(traced) if self.flows[traced.variable] else traced

    def _is_own_leaf(self, node: Node) -> bool:
        """Whether a derivative ends here: a transform inside the body began with this very Tensor."""
        return node.op is None and node.order > self.start

    def _cut(self, traced: Traced) -> Traced:
        known = self._cuts.get(traced.variable)
        if known is None:
            var = self.program.var(traced.shape, traced.dtype)
            self._append(Step(cut, (traced.variable,), {}, (var,)))
            self.flows[var] = False
            known = self._cuts[traced.variable] = Traced(var, traced.value)
        return known

    def _array(self, array: Any) -> Var:
        var: Var = self.capture(Traced(self.root._array(array), array), None).variable
        return var

    def operand(self, x: Any) -> Any:
        """An input of control flow inside: what is read from outside stays that until the inner body is closed."""
        return self.root.operand(x)

    def looked_at(self, x: Any) -> None:
        """Python took the numbers of a Tensor or an array."""
        self.root.looked_at(x)

    def saw(self, module: Any) -> None:
        """A module was called."""
        self.root.saw(module)

    # --- what a body cannot do ---------------------------------------------------------------------------------------

    def write(self, tensor: Tensor) -> None:
        """Remember what a Tensor is before it is bound anew: if it outlives the body, that was a write to outside."""
        if type(tensor._value) is Traced and tensor._value.variable in self.flows:
            return
        if id(tensor) not in self._originals:
            self._originals[id(tensor)] = (tensor, tensor._value, tensor._node, getattr(tensor, "_constant", None))
            self._outside_lines[id(tensor)] = user_line()

    def _check_writes(self) -> None:
        if any(holder() is not None for holder, *_ in self._bound):
            gc.collect()  # a Tensor of the body may be held by a cycle alone
        for holder, *_ in self._bound:
            tensor = holder()
            if tensor is not None:
                self._refuse(
                    f"binds a Tensor from outside (shape {tensor.shape}) to a new value",
                    "carry the value from step to step and give it back as a result",
                    self._outside_lines.get(id(tensor)),
                )

    def _check_hooks(self) -> None:
        nodes, _ = reachable(self._roots, self.start)
        self._roots.clear()
        if any(node.extra and ("hooks" in node.extra or "retain" in node.extra) for node in nodes):
            self._refuse(
                "asks for the gradient of a Tensor inside, with a hook or retain_grad()",
                "register the hook on a Tensor that goes in or comes out",
            )

    def gradient(self, tensor: Tensor) -> Tensor | None:
        """The gradient of a Tensor: of one made in the body, or what the recording outside has so far."""
        return super().gradient(tensor) if self._is_local(tensor) else self.outer.gradient(tensor)

    def bind_gradient(self, tensor: Tensor, gradient: Tensor | None) -> None:
        """Bind the gradient of a Tensor made in the body anew."""
        if not self._is_local(tensor):
            self._refuse(
                f"sets the gradient of a Tensor from outside (shape {tensor.shape}), as backward() and zero_grad() do",
                "take gradients inside with tg.grad, or call backward() on what comes out",
            )
        super().bind_gradient(tensor, gradient)

    def _is_local(self, tensor: Tensor) -> bool:
        return type(tensor._value) is Traced and tensor._value.variable in self.flows

    def sample(self, generator: Any, method: str, *args: Any) -> Traced:
        """Refuse: the derivative of a body computes it again, and would draw other numbers."""
        self._refuse(
            f"draws random numbers ({method})",
            "draw before it, for all steps at once, and scan over the numbers or give them as operands",
        )

    def groups(self, optimizer: Any) -> NoReturn:
        """Refuse: an optimizer writes to its parameters."""
        self._refuse(
            f"makes a step of an optimizer ({type(optimizer).__name__})",
            "make it after, or carry the parameters and update them with operations",
        )

    def _name_gradient(self, node: Any, gradient: Any) -> None:
        """Name a gradient in the body after what it belongs to there."""
        recorded = (node.extra or {}).get("recorded")
        value = gradient._value if isinstance(gradient, Tensor) else gradient
        if recorded is not None and type(value) is Traced and {recorded, value.variable} <= self.flows.keys():
            super()._name_gradient(node, gradient)

    def _refuse(self, what: str, instead: str, line: str | None = None) -> NoReturn:
        raise TypeError(
            f"{self.program.name}: the function inside {what}, which cannot be recorded as a part of it\n"
            f"  at {line or user_line()}\n  Instead, {instead}."
        )


def _result_node(tensor: Tensor) -> Node:
    """A node that passes for that of a computed result, so that the body may bind the Tensor anew."""
    node = new(Node)
    node.op = alias
    node.x = leaf(tensor)
    node.y = node.b = node.params = node.extra = None
    node.a = node.value = tensor._value
    node.order = next_order()
    return node


def close(inners: Sequence[Inner]) -> tuple[list[Any], list[list[Var]]]:
    """What bodies read from outside, all of them the same: the values there, and for each body the inputs here."""
    read = {x for inner in inners for step in inner.program.steps for x in step.reads}
    read.update(x for inner in inners for x in inner.program.results)
    results: dict[Any, Traced] = {}
    for inner in inners:
        results.update((key, outer) for key, (outer, here) in inner.captured.items() if here.variable in read)
    values = [traced if node is None else tensor_at(node, traced) for (_, node), traced in results.items()]
    inputs = []
    for inner in inners:
        known = inner.captured
        make = inner.program.var
        inputs.append(
            [
                known[key][1].variable if key in known else make(x.shape, x.dtype, "input", weak=x.variable.weak)
                for key, x in results.items()
            ]
        )
    return values, inputs


def sample_of(x: Any) -> Any:
    """What an input is in the call that is being recorded."""
    value = x._value if isinstance(x, Tensor) else x
    return value.value if type(value) is Traced else value
