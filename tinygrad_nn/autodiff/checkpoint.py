"""Trading time for memory: a part of a computation that keeps nothing and is run again in the reverse pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, wraps
from operator import attrgetter
from typing import Any

import numpy as np

from ..core.define import define
from ..core.graph import Node, mode, modes, next_order, reachable
from ..core.reverse import label, reverse, seeds_of
from ..core.store import Store, compiling
from ..core.tree import flatten, map_leaves, unflatten
from ..tensor.tensor import Tensor, alias_of, plain_tensor, tensor_of


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function `f`, which keeps no intermediate value for the reverse pass but is run again there.

    The gradient is that of `f`, also for what it reads from outside, such as parameters of a module. Random numbers
    from the default generator are the same in both runs.

    Parameters
    ----------
    f : callable
        Takes anything, returns a Tensor or a nest of them. It must do the same when it is run again.

    Raises
    ------
    RuntimeError
        In the reverse pass, if something that `f` reads from outside was bound to another value in between.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> x = tg.tensor(3.0, requires_grad=True)
    >>> tg.checkpoint(lambda x: tg.exp(x * x) / tg.exp(x))(x).backward()
    >>> round(x.grad.item(), 6) == round(5 * tg.exp(6.0).item(), 6)
    True

    Source: T. Chen et al., "Training deep nets with sublinear memory cost", 2016.
    """

    @wraps(f, updated=())
    def recomputed(*args: Any, **kwargs: Any) -> Any:
        if not modes.recording or compiling():  # a compiled program plans its memory itself
            return f(*args, **kwargs)
        return _Segment(f, args, kwargs).record()

    return recomputed


class _Segment:
    """One call of a checkpointed function."""

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.f = f
        # The Tensors as they are now: a later `x += 1` binds the caller's to something else.
        self.args, self.kwargs = map_leaves(_snapshot, (args, kwargs))

    def record(self) -> Any:
        """Run the function, let its graph go, and record one node in its place."""
        from ..tensor.random import get_state

        self.random_state = get_state()
        outs, structure, recorded, self.outside = self._run()
        if not recorded:
            return unflatten(structure, outs)
        self.values = values = tuple(outs[i]._value for i in recorded)
        results = _RERUN(*(tensor_of(node) for node in self.outside), segment=self)
        for i, result in zip(recorded, results if len(values) > 1 else (results,), strict=True):
            outs[i] = result
        return unflatten(structure, outs)

    def _run(self) -> tuple[list[Any], Any, list[int], list[Node]]:
        """Results, their structure, which of them have a gradient, and the nodes outside that they depend on."""
        start = next_order()
        args, kwargs = map_leaves(_snapshot, (self.args, self.kwargs))  # the function may bind its arguments anew
        outs, structure = flatten(self.f(*args, **kwargs))
        nodes = [out._node if isinstance(out, Tensor) else None for out in outs]
        recorded = [i for i, node in enumerate(nodes) if node is not None and node.order > start]
        return outs, structure, recorded, _boundary((outs[i]._node for i in recorded), start)

    def __repr__(self) -> str:
        return getattr(self.f, "__name__", "f")

    def pull(self, needed: tuple[bool, ...], g: Any) -> list[Any]:
        """Run the function again, recorded, and carry the gradients through; what it writes is taken back."""
        from ..tensor.random import get_state, set_state

        now = get_state()
        set_state(self.random_state)
        store = _TakingBack()
        try:
            with mode("recording", True), mode("store", store):
                outs, _structure, recorded, outside = self._run()
        finally:
            store.take_back()
            set_state(now)
        self._compare([outs[i]._value for i in recorded], outside)
        gradients = g if isinstance(g, tuple) else (g,)
        targets = [node for node, wanted in zip(self.outside, needed, strict=True) if wanted]
        seeds = seeds_of([outs[i] for i in recorded], gradients)
        record = any(isinstance(gradient, Tensor) for gradient in gradients)
        by_node = reverse(seeds, targets=targets, record=record)
        return [by_node.get(node) for node in self.outside]

    def _compare(self, values: list[Any], outside: list[Node]) -> None:
        """Raise unless the second run read the same Tensors and gave the same results as the first."""
        if outside == self.outside and all(map(partial(np.array_equal, equal_nan=True), values, self.values)):
            return
        changed = next((node for node in self.outside if node not in outside), None)
        raise RuntimeError(
            f"checkpoint: {self} "
            + ("reads other Tensors than" if outside != self.outside else "gives other values than")
            + " it did at first"
            + (f" (not {label(changed)} any more)" if changed is not None else "")
            + "; do not change what it reads between the call and backward(), and draw random numbers from the "
            "default generator"
        )


class _TakingBack(Store):
    """Writes to Tensors and buffers are made, and taken back in the end."""

    def __init__(self) -> None:
        self._tensors: dict[int, tuple[Any, Any, Any]] = {}
        self._buffers: list[tuple[Any, str, Any]] = []

    def write(self, tensor: Any) -> None:
        self._tensors.setdefault(id(tensor), (tensor, tensor._value, tensor._node))

    def rebind(self, module: Any, name: str, value: Any) -> bool:
        self._buffers.append((module, name, getattr(module, name)))
        return False

    def take_back(self) -> None:
        for tensor, value, node in self._tensors.values():
            tensor._value, tensor._node = value, node
        for module, name, buffer in reversed(self._buffers):
            setattr(module, name, buffer)


def _run_again(*inputs: Any, segment: _Segment) -> Any:
    """A function that is run again in the reverse pass."""
    return segment.values if len(segment.values) > 1 else segment.values[0]


# Registered nowhere. One for all calls: an op for each would be garbage that is found late, with all that it holds.
_RERUN = define(_run_again, name="checkpoint")
_RERUN.derivatives(jointly=lambda needed, g, out, *inputs, segment: segment.pull(needed, g), reads=())


def _snapshot(x: Any) -> Any:
    if isinstance(x, Tensor):
        return alias_of(x) if x._node is not None else plain_tensor(np.copy(x._value)[()])
    return x.copy() if isinstance(x, np.ndarray) else x


def _boundary(roots: Iterable[Node], start: int) -> list[Node]:
    """The nodes older than `start` that are inputs of newer ones, oldest first."""
    nodes, _ = reachable(roots, start)
    older = {source for node in nodes for source in node.inputs if type(source) is Node and source.order < start}
    return sorted(older, key=attrgetter("order"))
