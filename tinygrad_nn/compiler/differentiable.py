"""Compiled functions whose results are differentiated outside: their pullback is recorded and compiled too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ..core.define import define
from ..core.graph import Node, mode, modes
from ..core.reverse import reverse, seeds_of
from ..core.tree import flatten, unflatten
from ..core.values import leaf
from ..tensor.tensor import Tensor, plain_tensor
from .call import MISS
from .trace.guards import VariableGuard, all_hold
from .trace.recording import Recording
from .trace.state import ArrayPlace, GeneratorPlace, TensorPlace
from .trace.traced import Traced


class Connection:
    """Connects the results of one recording's calls to the graph around them; `compile` compiles the pullback."""

    def __init__(self, function: Callable[..., Any], recording: Recording, compile: Callable[..., Any]) -> None:
        self.function = function
        self.recording = recording
        self._compile = compile
        self._pullback: Any = None

    def call(self, inner: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """What is called instead of `inner`, which knows nothing of graphs."""

        def connected(args: Any, kwargs: Any) -> Any:
            if not modes.recording:
                return inner(args, kwargs)
            if self.recording.writes:  # it would leave things behind a second time in the pass back
                return self.function(*args, **kwargs)
            call = _Call(self, args, kwargs)
            out = inner(args, kwargs)
            return out if out is MISS else call.results(out)

        return connected

    def pullback(self, call: _Call) -> Any:
        """The compiled pullback; the first call tells what is fixed of all."""
        if self._pullback is None:
            self._pullback = self._compile(partial(pull, call))
        return self._pullback


def generator_states(recording: Recording) -> list[tuple[Any, Any]]:
    """Where the random generators stand that a program draws from."""
    return [(p.holder, p.holder.bit_generator.state) for p in recording.places if isinstance(p, GeneratorPlace)]


class _Call:
    """One call: what it was given and read, to be differentiated later."""

    def __init__(self, connection: Connection, args: Any, kwargs: Any) -> None:
        self.connection = connection
        self.recording = recording = connection.recording
        self.states = generator_states(recording)
        self.leaves, self.structure = flatten((args, kwargs))
        self.live = [i for i, alive in enumerate(recording.live) if alive]
        self.differentiated = [i for i, x in enumerate(self.leaves) if isinstance(x, Tensor) and x._node is not None]
        holders = (p.holder for p in recording.places if type(p) is TensorPlace and p.holder._node is not None)
        inside = {id(self.leaves[i]) for i in self.differentiated}
        self.read: list[Tensor] = [tensor for tensor in dict.fromkeys(holders) if id(tensor) not in inside]
        # As they are now: what is bound to them later is not what this call computed with.
        self.read_values = [tensor._value for tensor in self.read]
        self.nodes = [x._node for x in (*(self.leaves[i] for i in self.differentiated), *self.read)]
        self.leaves = [x.copy() if isinstance(x, np.ndarray) else x for x in self.leaves]
        self.values = [x._value if isinstance(x, Tensor) else x for x in self.leaves]
        #: What was read besides, and is not to be another in the pass back.
        read = {id(tensor) for tensor in self.read}
        self.seen = [
            (p, _snapshot(p.read(), type(p) is ArrayPlace))
            for p in recording.places
            if type(p) in (TensorPlace, ArrayPlace) and id(p.holder) not in read
        ]

    def results(self, out: Any) -> Any:
        """`out` with its live Tensors made results of one op on everything that was read."""
        outs, structure = flatten(out)
        values = tuple(outs[i]._value for i in self.live)
        self.results_given = values if len(values) > 1 else values[0]
        results = _COMPILED(*(self.leaves[i] for i in self.differentiated), *self.read, call=self)
        for i, result in zip(self.live, results if len(values) > 1 else (results,), strict=True):
            outs[i] = result
        return unflatten(structure, outs)

    def _check_unchanged(self) -> None:
        """Raise unless the function would compute what it computed, apart from what it was given as Tensors."""
        guards = [x for x in self.recording.guards if x.seldom or isinstance(x, VariableGuard)]
        same = all(_is_same(value, p.read()) for p, value in self.seen)
        if not same or not all_hold(guards):
            raise RuntimeError(
                f"compile: something that {self.recording.program.name} reads was changed between the call and "
                "backward(): an array, a Tensor, a variable or a module's setting; change it afterwards"
            )

    def __repr__(self) -> str:
        return self.recording.program.name

    def pull(self, g: Any) -> list[Any]:
        """Gradients for what was differentiated and what was read."""
        self._check_unchanged()
        gradients = list(g) if isinstance(g, tuple) else [g]
        after = [(generator, generator.bit_generator.state) for generator, _ in self.states]
        for generator, state in self.states:
            generator.bit_generator.state = state
        try:
            if any(isinstance(x, Tensor | Traced) for x in gradients):
                return self._pull_recorded(gradients)
            result = self.connection.pullback(self)(list(self.values), list(self.read_values), gradients)
        finally:
            for generator, state in after:
                generator.bit_generator.state = state
        return list(result)

    def _pull_recorded(self, gradients: list[Any]) -> list[Any]:
        """The gradients by an ordinary run that is recorded itself, for higher derivatives."""
        record = any(isinstance(x, Tensor) for x in gradients)
        with _standing_for(self.read, self.read_values, self.nodes[len(self.differentiated) :]):
            return self.gradients(self.leaves, self.nodes, gradients, retain_graph=True, record=record)

    def gradients(self, leaves: list[Any], nodes: list[Any], gradients: list[Any], **how: bool) -> list[Any]:
        """Run the function on `leaves`, and carry the gradients of its live results back to `nodes`."""
        with mode("recording", True):
            outs = self._run(leaves)
            result = reverse(seeds_of([outs[i] for i in self.live], gradients), targets=nodes, **how)
        return [result.get(node) for node in nodes]

    def _run(self, leaves: list[Any]) -> list[Any]:
        args, kwargs = unflatten(self.structure, leaves)
        return flatten(self.connection.function(*args, **kwargs))[0]


def _snapshot(value: Any, shared: bool) -> Any:
    """A value to compare with later: what somebody else can write to is copied."""
    return value.copy() if type(value) is np.ndarray and (shared or value.base is not None) else value


def _is_same(old: Any, new: Any) -> bool:
    return old is new or bool(np.array_equal(old, new, equal_nan=np.asarray(old).dtype.kind in "fc"))


@contextmanager
def _standing_for(tensors: list[Tensor], values: list[Any], nodes: list[Any] | None = None) -> Iterator[None]:
    """Tensors with other values for a while, at given places of a graph or as new leaves."""
    saved = [(tensor, tensor._value, tensor._node) for tensor in tensors]
    try:
        for i, (tensor, value) in enumerate(zip(tensors, values, strict=True)):
            tensor._value = value
            tensor._node = leaf(tensor) if nodes is None else nodes[i]
        yield
    finally:
        for tensor, value, node in saved:
            tensor._value, tensor._node = value, node


def _compiled(*inputs: Any, call: _Call) -> Any:
    """A compiled function, seen from outside as one operation."""
    return call.results_given


# One for all calls: an op for each would be garbage that is found late, with all that it holds.
_COMPILED = define(_compiled, name="compiled")
_COMPILED.derivatives(jointly=lambda needed, g, out, *inputs, call: call.pull(g), reads=())


def pull(call: _Call, values: list[Any], read: list[Any], gradients: list[Any]) -> list[Any]:
    """Gradients of the results of a call with respect to what it was given and what it read.

    Recorded once: which Tensors take part is fixed, their values are arguments.
    """
    leaves: list[Any] = [plain_tensor(v) if isinstance(x, Tensor) else v for x, v in zip(call.leaves, values)]
    nodes: list[Node] = []
    for i in call.differentiated:
        leaves[i]._node = leaf(leaves[i])
        nodes.append(leaves[i]._node)
    store: Any = modes.store
    store.read_only = True  # running a second time must not leave anything behind a second time
    for tensor in call.read:
        store.write(tensor)
    with _standing_for(call.read, read):
        nodes += [tensor._node for tensor in call.read if tensor._node is not None]
        return call.gradients(leaves, nodes, gradients)
