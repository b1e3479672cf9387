"""Guards: what must be as it was when a run was recorded, for its program to be right.

Each writes its own check as source of the emitted call, and can tell by itself whether it still holds.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...tensor.tensor import Tensor
from .variables import Variable, signature_of

#: What stands for a variable that is not there.
MISSING = object()


class Code(Protocol):
    """The source of a call, which is being written."""

    def hold(self, prefix: str, value: Any) -> str:
        """A name for an object in the source."""

    def line(self, text: str) -> None:
        """Write a line."""

    def unless(self, condition: str) -> None:
        """Write that the recording does not fit unless a condition holds."""


class Guard:
    """One thing that a recording relies on."""

    #: Whether it changes only where `core.graph.changes` counts: the call then asks `holds` after a change alone.
    seldom = False

    def write(self, code: Code) -> None:
        """Write the check of a call."""

    def holds(self) -> bool:
        """Whether it is as it was."""
        raise NotImplementedError


@dataclass(eq=False)
class GradientGuard(Guard):
    """Whether a Tensor has a gradient."""

    tensor: Tensor
    absent: bool

    def write(self, code: Code) -> None:
        code.unless(f"(getattr({code.hold('g', self.tensor)}, '_grad', None) is None) is {self.absent}")

    def holds(self) -> bool:
        return (getattr(self.tensor, "_grad", None) is None) is self.absent


class SettingsGuard(Guard):
    """The settings of an optimizer's group that do not change from step to step, and its parameters."""

    def __init__(self, optimizer: Any, number: int) -> None:
        self.optimizer = optimizer
        self.number = number
        self.count = len(optimizer.param_groups)
        group = optimizer.param_groups[number]
        self.fixed = {k: v for k, v in group.items() if k != "params" and k not in optimizer.changing}
        self.params = group["params"]
        self.length = len(self.params)

    def write(self, code: Code) -> None:
        holder = code.hold("g", self.optimizer)
        code.unless(f"len({holder}.param_groups) == {self.count}")
        code.line(f"settings = {holder}.param_groups[{self.number}]")
        params = code.hold("params", self.params)
        code.unless(f"settings['params'] is {params} and len({params}) == {self.length}")
        for name, value in self.fixed.items():
            code.unless(f"settings[{name!r}] == {code.hold('setting', value)}")

    def holds(self) -> bool:
        groups = self.optimizer.param_groups
        if len(groups) != self.count:
            return False
        settings = groups[self.number]
        same = settings["params"] is self.params and len(self.params) == self.length
        return same and all(settings[name] == value for name, value in self.fixed.items())


class EntriesGuard(Guard):
    """What an optimizer remembers of a parameter, by names."""

    def __init__(self, optimizer: Any, parameter: Tensor) -> None:
        self.optimizer = optimizer
        self.parameter = parameter
        self.names = tuple(optimizer.state.get(parameter, ()))

    def write(self, code: Code) -> None:
        holder, parameter = code.hold("g", self.optimizer), code.hold("p", self.parameter)
        code.unless(f"tuple({holder}.state.get({parameter}, ())) == {self.names!r}")

    def holds(self) -> bool:
        return tuple(self.optimizer.state.get(self.parameter, ())) == self.names


class Numbers:
    """An array, with its numbers where a Tensor has them."""

    def __init__(self, array: Any) -> None:
        self._value = array


class NumberGuard(Guard):
    """The numbers of a Tensor or an array that Python looked at."""

    def __init__(self, tensor: Tensor | Numbers, numbers: Any) -> None:
        self.tensor = tensor
        self.numbers = np.copy(numbers)

    def write(self, code: Code) -> None:
        code.unless(f"{code.hold('g', self.holds)}()")

    def holds(self) -> bool:
        value, numbers = self.tensor._value, self.numbers
        same_kind = value.shape == numbers.shape and value.dtype == numbers.dtype
        return bool(same_kind and np.array_equal(value, numbers, equal_nan=value.dtype.kind in "fc"))


class VariableGuard(Guard):
    """What a variable outside holds, or what all is in a container."""

    def __init__(self, variable: Variable) -> None:
        self.holder = variable.holder
        self.key = variable.key
        self.recorded: Any = _Same(variable.value) if self.key == "*" else variable.value

    def write(self, code: Code) -> None:
        holder, key = code.hold("g", self.holder), self.key
        expected = code.hold("recorded", self.recorded)
        if key == "()":
            keywords = "" if self.holder.__kwdefaults__ is None else f" and {code.hold('g', self.holds)}()"
            now = f"{holder}.__code__ is {code.hold('code', self.recorded[0])}"
            now += f" and {holder}.__defaults__ is {code.hold('defaults', self.recorded[1])}"
            code.unless(now + (keywords or f" and {holder}.__kwdefaults__ is None"))
        elif key == "*":
            code.unless(f"{holder} == {expected}")
        elif not key:
            code.unless(f"{holder}.cell_contents is {expected}")
        elif key.startswith("."):
            code.unless(f"getattr({holder}, {key[1:]!r}, MISS) is {expected}")
        else:
            code.unless(f"{holder}.get({key!r}, MISS) is {expected}")

    def holds(self) -> bool:
        holder: Any = self.holder
        key = self.key
        if key == "()":
            parts = signature_of(holder)
            return len(parts) == len(self.recorded) and all(map(operator.is_, parts, self.recorded))
        if key == "*":
            return bool(holder == self.recorded)
        if not key:
            return holder.cell_contents is self.recorded
        now = getattr(holder, key[1:], MISSING) if key.startswith(".") else holder.get(key, MISSING)
        return now is self.recorded


class _Same:
    """Equal to a list of the very same objects."""

    def __init__(self, objects: Sequence[Any]) -> None:
        self._objects = objects

    def __eq__(self, other: object) -> bool:
        mine = self._objects
        values: Any = other.values() if isinstance(other, dict) else other
        return isinstance(values, Collection) and len(mine) == len(values) and all(map(operator.is_, mine, values))

    __hash__ = object.__hash__


class _SeldomGuard(Guard):
    """What is read of a Tensor or a module as it was when the guard was made."""

    seldom = True

    def __init__(self, holder: Any) -> None:
        self.holder = holder
        self.recorded = self._now()

    def _now(self) -> Any:
        raise NotImplementedError

    def holds(self) -> bool:
        return bool(self._now() == self.recorded)


class TensorGuard(_SeldomGuard):
    """Whether a Tensor requires gradients, and the hooks on them."""

    def _now(self) -> tuple[bool, tuple[Any, ...]]:
        node = self.holder._node
        return node is not None, tuple((node.extra or {}).get("hooks", ())) if node is not None else ()


class ModuleGuard(_SeldomGuard):
    """What a module holds, and how it is set."""

    def _now(self) -> list[tuple[str, Any]]:
        return [
            (name, tuple(value.values()) if name.endswith("_hooks") and value else value)
            for name, value in self.holder.__dict__.items()
        ]

    def holds(self) -> bool:
        """Plain settings are compared by value, hooks one by one, all else by identity."""
        now = self._now()
        return len(self.recorded) == len(now) and all(
            a == b and (x is y or (type(x) is type(y) and isinstance(x, bool | int | float | str | tuple) and x == y))
            for (a, x), (b, y) in zip(self.recorded, now)
        )


def all_hold(guards: Sequence[Guard]) -> bool:
    """Whether all of them hold."""
    return all(guard.holds() for guard in guards)
