"""What a recording is made of: nodes, the recording modes, and the order in which nodes are read."""

from __future__ import annotations

import itertools
import os
from _thread import _local, get_ident  # what `threading` gives; that would cost the import more
from collections.abc import Callable, Container, Iterable
from operator import attrgetter
from typing import Any

import numpy as np

from .op import Op

#: Values of at most this many elements stay on their node, so that a graph can be drawn with its numbers.
SMALL = 64

next_order: Callable[[], int] = itertools.count(1).__next__


class Spec:
    """Shape and dtype of a value that was not kept, because no derivative reads it or because it was let go.

    Any use of it as a number raises, so a value that is gone can never enter a gradient unseen.
    """

    __slots__ = ("dtype", "shape")
    __array_ufunc__ = None  # NumPy's operators hand over to ours, which raise

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        size = 1
        for length in self.shape:
            size *= length
        return size

    def __repr__(self) -> str:
        return f"Spec(shape={self.shape}, dtype={self.dtype})"

    def _gone(self, *_: object) -> Any:
        raise RuntimeError(
            f"a derivative read a value of shape {self.shape} that was not kept: either an earlier backward() let it "
            "go (call that one with retain_graph=True), or the rule reads an input in a way that could not be seen "
            "from its code (name the input in the rule itself)"
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _gone
    __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __neg__ = __abs__ = __getitem__ = __array__ = _gone
    __lt__ = __le__ = __gt__ = __ge__ = __len__ = __iter__ = __float__ = __bool__ = _gone
    __eq__ = __ne__ = _gone
    __hash__ = object.__hash__


class Node:
    """One application of an op, or a leaf that requires gradients (``op is None``).

    An op of one or two inputs has them in slots of their own, and none has a link to the Tensor it belongs to: so a
    node is the only object of a long graph that Python's garbage collector must walk. Readers use `inputs` and `args`.
    """

    __slots__ = ("a", "b", "extra", "grad", "op", "order", "params", "tensor", "value", "x", "y")

    op: Op | None
    #: The inputs: differentiable if a `Node`. For one input `y` is None, for more than two `x` is the tuple of all.
    x: Any
    y: Any
    #: Their values in the same layout: a `Spec` where the needed rules read shape and dtype alone, None where they do
    #: not read it at all. `a` is `FREED` once a pass let them go.
    a: Any
    b: Any
    params: dict[str, Any] | None
    value: Any  # a `Spec` if it is large and no rule reads it
    order: int  # the creation number: inputs are always older than what is made from them
    grad: Any  # the last gradient that passed, if small; unset before
    tensor: Callable[[], Any]  # of a leaf, a weak reference to the Tensor it stands for; unset on others
    #: Rare things: ``name``, ``role`` (a name for drawings where the user has none), ``hooks``, ``retain``, ``module``,
    #: ``source``.
    extra: dict[str, Any] | None

    @property
    def inputs(self) -> tuple[Any, ...]:
        """All inputs: nodes, constants and plain numbers."""
        x = self.x
        if type(x) is tuple:
            return x
        if self.y is not None:
            return (x, self.y)
        return () if x is None else (x,)

    @property
    def args(self) -> tuple[Any, ...]:
        """The values of all inputs as the rules read them."""
        # The layout is told by `x`: what `part` is applied to is itself a tuple.
        if type(self.x) is tuple:
            values: tuple[Any, ...] = self.a if self.a is not FREED else (FREED,) * len(self.x)
            return values
        return (self.a,) if self.y is None else (self.a, self.b)


class Recorded:
    """What holds a value and its node; `Tensor` gives it operators and methods."""

    __slots__ = ("__weakref__", "_constant", "_grad", "_node", "_ties", "_value")

    _value: Any
    _node: Node | None
    _constant: Constant
    _grad: Any
    _ties: Any  # what it shares its elements with, see `views`; unset where there is nothing
    shape: Any
    dtype: Any
    aside: Any
    astype: Any
    numpy: Any
    _accumulate: Any


class StandIn:
    """What stands for an array while a program is recorded; `Traced` gives it operators and methods."""

    __slots__ = ("__weakref__", "relatives", "shared", "source", "value", "variable")

    value: Any
    variable: Any
    shape: Any
    dtype: Any
    astype: Any
    numpy: Any
    #: Another stand-in of the same value, which writes to this one leave alone.
    aside: Callable[[], Any]


class Constant(Node):
    """A Tensor without gradient, seen from a graph that used it. A class of its own, so that passes skip it."""

    __slots__ = ()


#: Stands in `Node.a` once a pass has let the saved values go.
FREED = Spec((), np.dtype(np.float64))


def describe(value: Any) -> Any:
    """The value itself where it is small enough to draw, else its shape and dtype."""
    if type(value) is np.ndarray and value.size > SMALL:
        return Spec(value.shape, value.dtype)
    return value


class Modes(_local):
    """Per-thread switches. `active` on the shared `switch` tells when any thread has one out of its default."""

    recording = True
    anomaly = False
    keeping = False
    store: Any  # a `Store`: what reads and writes Tensors, or records a program that does
    transforming = 0  # how many transforms are running a function of the user's
    taken = 0  # how often Python took the numbers of what is differentiated in one


class Switch:
    """By thread, how many modes are out of their default: empty lets the dispatch skip the thread-local look-up."""

    __slots__ = ("active",)

    def __init__(self) -> None:
        self.active: dict[int, int] = {}


class Changes:
    """Counts what seldom changes: the parts and settings of modules, hooks, which Tensors require gradients.

    Whoever relies on them, as a compiled function does, looks again when the count is another.
    """

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


changes = Changes()
modes = Modes()
switch = Switch()
if hasattr(os, "register_at_fork"):  # the other threads are not in a child
    os.register_at_fork(after_in_child=lambda: _keep_only(get_ident()))


def _keep_only(thread: int) -> None:
    switch.active = {ident: count for ident, count in switch.active.items() if ident == thread}


class mode:
    """Context manager that sets one of `Modes` for this thread and restores it on any exit.

    What changes the state is in lines without a call, and all calls come before: so Ctrl-C, which Python handles where
    a function is called or returns, leaves either all of it done or nothing.
    """

    def __init__(self, name: str, value: Any) -> None:
        self._name = name
        self._value = value
        self._unusual = value is not getattr(Modes, name)
        #: By entry: the thread, its modes, and what was set before. One instance may be entered by several threads.
        self._entries: list[tuple[int, dict[str, Any], Any]] = []

    def __getstate__(self) -> dict[str, Any]:
        return {"_name": self._name, "_value": self._value}

    def __setstate__(self, state: dict[str, Any]) -> None:
        mode.__init__(self, state["_name"], state["_value"])

    def __enter__(self) -> None:
        name, thread, active = self._name, get_ident(), switch.active
        state = modes.__dict__
        entry = (thread, state, getattr(modes, name))
        count = active.get(thread, 0) + 1
        self._entries += [entry]
        state[name] = self._value
        if self._unusual:
            active[thread] = count

    def __exit__(self, *_: object) -> None:
        thread, entries, active = get_ident(), self._entries, switch.active
        last = i = len(entries) - 1
        while i >= 0 and entries[i][0] != thread:
            i -= 1
        if i < 0:  # a generator that another thread closes: what its own had is put back
            i = last
        thread, state, before = entries[i]
        count = active.get(thread, 1) - 1
        del entries[i]
        state[self._name] = before
        if self._unusual:
            if count:
                active[thread] = count
            else:
                del active[thread]

    def __del__(self) -> None:
        while self._entries:  # Ctrl-C came just as `__exit__` was called
            self.__exit__()


class HookHandle:
    """Takes a hook away again."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self._hooks = hooks
        self._id = next(self._ids)
        hooks[self._id] = hook
        changes.count += 1

    def remove(self) -> None:
        """Take the hook away; once more does nothing."""
        self._hooks.pop(self._id, None)
        changes.count += 1

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def reachable(roots: Iterable[Node], since: int = 0, leaves: Container[Node] = ()) -> tuple[list[Node], bool]:
    """The differentiable nodes that `roots` were made from, themselves included, oldest first.

    The search ends at `leaves` and at nodes older than the creation number `since`; the bool tells whether any of
    those was met.
    """
    # A growing list and a sort by creation number: no recursion, so the depth of a graph has no limit.
    seen = set(roots)
    nodes = list(seen)
    older = False
    for node in nodes:  # which grows meanwhile
        x = node.x
        if x is None:
            continue
        if node in leaves:
            older = older or any(type(source) is Node and source.order < since for source in node.inputs)
            continue
        for source in x if type(x) is tuple else (x, node.y):
            if type(source) is Node and source not in seen:
                if source.order < since:
                    older = True
                    continue
                seen.add(source)
                nodes.append(source)
    nodes.sort(key=attrgetter("order"))
    return nodes, older
