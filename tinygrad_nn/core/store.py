"""The store: where values, gradients, optimizers' memory and random numbers are read from and written to.

One stands behind each thread, by default the eager one of this file. While a function is compiled its recorder takes
the place, so that the same code runs and is recorded. What is quick asks for the store where `switch.active` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np

from .errors import explain
from .graph import Modes, Node, Recorded, mode, modes, switch
from .op import Op

Flat: TypeAlias = "Callable[..., Iterable[Any]]"


class Store:
    """What happens at once: Tensors are read and written, operations computed, loops run."""

    #: Whether a program is being recorded, in which Python cannot look at numbers.
    compiling = False

    #: The value of a Tensor, as another may take it over.
    read: Callable[[Any], Any] = staticmethod(attrgetter("_value"))

    def write(self, tensor: Any) -> None:
        """Note that a Tensor is about to be bound to a new value."""

    def gradient(self, tensor: Any) -> Any:
        """The gradient of a Tensor, or None."""
        return getattr(tensor, "_grad", None)

    def bind_gradient(self, tensor: Any, gradient: Any) -> None:
        """Bind the gradient of a Tensor anew."""
        tensor._grad = gradient

    def looked_at(self, x: Any) -> None:
        """Note that Python takes the numbers of a Tensor or an array."""

    def constant(self, x: Any) -> Any:
        """What rules compute with, of an array that is the same in every call."""
        return x

    def compute(self, op: Op, inputs: Sequence[Any], values: Sequence[Any], settings: dict[str, Any]) -> Any:
        """Apply an op to the values of its inputs: the values as a node keeps them, and the result."""
        try:
            return values, op.kernel(*values, **settings)
        except Exception as error:
            raise explain(op, tuple(values), settings, error)  # noqa: B904 - it has set the cause

    def recorded(self, node: Node, out: Any) -> None:
        """Note what a node was recorded for."""

    def passed(self, node: Node, gradient: Any) -> Any:
        """A gradient on its way to a node, as the pass goes on with it."""
        return gradient

    def sample(self, generator: Any, method: str, *args: Any) -> Any:
        """What a generator's method samples, as an array; in a compiled function new numbers at each call."""
        return np.asarray(getattr(generator, method)(*args))

    def refuse(self, message: str, kind: type[Exception] = TypeError) -> None:
        """Raise where a program is being recorded."""

    def saw(self, module: Any) -> None:
        """Note that a module is called."""

    def rebind(self, module: Any, name: str, value: Any) -> bool:
        """Whether a module's buffer took over the value of another Tensor, instead of giving way to it."""
        return False

    def groups(self, optimizer: Any) -> Iterable[dict[str, Any]]:
        """The settings of an optimizer's groups."""
        groups: list[dict[str, Any]] = optimizer.param_groups
        return groups

    def entries(self, optimizer: Any) -> Any:
        """What an optimizer remembers, by parameter."""
        return optimizer.state

    def value_and_gradient(self, parameter: Any) -> Any:
        """The values of a parameter and of its gradient, for a step; None where there is no gradient."""
        gradient = getattr(parameter, "_grad", None)
        return None if gradient is None else (parameter._value, gradient._value)

    def operand(self, x: Any) -> Any:
        """What control flow is given: Tensors as they are, arrays copied."""
        return x if isinstance(x, Recorded) else np.array(x)[()]

    def truth(self, number: Any) -> Any:
        """Whether a number, in an array or a Tensor without axes, is not 0."""
        return bool(number._value if isinstance(number, Recorded) else number)

    def scan(
        self, step: Flat, carry: Any, rows: Any, length: int, reverse: bool, stack: Callable[[Any], Any]
    ) -> tuple[list[Any], list[Any]]:
        """Go along the rows: the last carry, and what ``step(states, slices)`` gives after the next states, stacked.

        `carry` and `rows` have `leaves` as they were given, and `tensors` that nobody else has.
        """
        states, slices = carry.tensors(), rows.tensors()
        count = len(states)
        if not length:
            with mode("recording", False), np.errstate(all="ignore"):
                _, *ys = _split(step(states, [np.zeros(x.shape[1:], x.dtype)[()] for x in slices]), count)
            return states, [np.zeros((0, *y.shape), y.dtype) for y in ys]
        stacked: list[list[Any]] = []
        for t in reversed(range(length)) if reverse else range(length):
            states, *ys = _split(step(states, [x[t] for x in slices]), count)
            stacked.append(ys)
        if reverse:
            stacked.reverse()
        return states, [stack(column) for column in zip(*stacked)]

    def cond(self, chosen: Any, then: Flat, otherwise: Flat, compare: Callable[[], None]) -> Iterable[Any]:
        """The results of one of two functions; where both are recorded, `compare` raises unless they match."""
        branch = then if chosen else otherwise
        return branch()

    def while_loop(self, test: Flat, step: Flat, carry: Any) -> Iterable[Any]:
        """The last states of a loop that goes on as long as the one result of `test` is true of them."""
        states: Iterable[Any] = carry.tensors()
        while next(iter(test(states))):
            states = step(states)
        return states


def _split(results: Iterable[Any], count: int) -> list[Any]:
    """The first `count` results of a step, as one list, and the rest."""
    results = list(results)
    return [results[:count], *results[count:]]


Modes.store = Store()  # of each thread, until it has another


def read(tensor: Any) -> Any:
    """The value of a Tensor, as another may take it over; while a program is recorded, what stands for it."""
    return modes.store.read(tensor) if switch.active else tensor._value


def compiling() -> bool:
    """Whether a program is being recorded, in which Python cannot look at numbers."""
    return bool(switch.active and modes.store.compiling)


def _method(name: str) -> Callable[..., Any]:
    """A method of the thread's store, for code that is not hot."""

    def method(*args: Any) -> Any:
        return getattr(modes.store, name)(*args)

    return method


as_constant, looked_at, sample, before_write = map(_method, ("constant", "looked_at", "sample", "write"))
saw, rebind, refuse = map(_method, ("saw", "rebind", "refuse"))
operand, truth, scan, cond, while_loop = map(_method, ("operand", "truth", "scan", "cond", "while_loop"))
