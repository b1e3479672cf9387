"""Steps of optimizers in a recording: settings that are read, and what is remembered of each parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...core.values import precise
from ...tensor.tensor import Tensor
from ..ir import Var
from .guards import EntriesGuard, Guard, SettingsGuard
from .state import EntryPlace, Place, SettingPlace
from .traced import Traced

#: Makes a stand-in for a number or an array read from a place, under a name.
Lift = Callable[[Place, Any, str], Traced]


class Optimizers:
    """What recorded steps read and write."""

    def __init__(self) -> None:
        self.guards: list[Guard] = []
        self._settings: dict[tuple[int, int, str, int | None], Traced] = {}
        self._memories: dict[int, Memory] = {}

    def groups(self, optimizer: Any, lift: Lift) -> Iterator[dict[str, Any]]:
        """The settings of its groups: those that change from step to step stand for what they then are."""
        for number, group in enumerate(optimizer.param_groups):
            settings = dict(group)
            self.guards.append(SettingsGuard(optimizer, number))
            for name in optimizer.changing & settings.keys():
                value = settings[name]
                if isinstance(value, tuple):
                    places = (SettingPlace(optimizer, number, name, i) for i in range(len(value)))
                    settings[name] = tuple(self._setting(place, x, lift) for place, x in zip(places, value))
                else:
                    settings[name] = self._setting(SettingPlace(optimizer, number, name), value, lift)
            yield settings

    def _setting(self, place: SettingPlace, value: Any, lift: Lift) -> Traced:
        key = (id(place.holder), place.group, place.name, place.index)
        if key not in self._settings:
            self._settings[key] = lift(place, float(value), place.name)
        return self._settings[key]

    def memory(self, optimizer: Any, lift: Lift) -> Memory:
        """What it remembers by parameter, in the place of its `state`."""
        known = self._memories.get(id(optimizer))
        if known is None:
            known = self._memories[id(optimizer)] = Memory(optimizer, lift)
        return known

    def _entries(self) -> list[Entries]:
        return [entries for memory in self._memories.values() for entries in memory.values()]

    def release(self, settled: Callable[[Any], Any]) -> None:
        """Let the stand-ins go: what follows speaks of variables alone, which `settled` gives."""
        self._settings.clear()
        for memory in self._memories.values():
            memory.release(settled)

    def forget(self) -> None:
        """After a recording that failed: take back what was prepared for later calls."""
        for entries in self._entries():
            entries.forget()

    def finish(self, write: Callable[[Var | None, Place, Var], None] | None) -> None:
        """Guard what is remembered, and tell what is to be written."""
        for entries in self._entries():
            self.guards.append(EntriesGuard(entries.optimizer, entries.parameter))
            if write is not None:
                entries.finish(write)


class Memory(dict[Tensor, "Entries"]):
    """What an optimizer remembers, while a step is recorded: entries stand for what they are at each call."""

    def __init__(self, optimizer: Any, lift: Lift) -> None:
        super().__init__()
        self._source: tuple[Any, ...] = optimizer, optimizer.state, lift

    def __missing__(self, p: Tensor) -> Entries:
        self[p] = result = Entries(p, *self._source)
        return result

    def release(self, settled: Callable[[Any], Any]) -> None:
        """Let the stand-ins go, and the recorder with them."""
        self._source = ()
        for entries in self.values():
            entries.release(settled)


class Entries(dict[str, Any]):
    """What an optimizer remembers of one parameter, as it stands in the program so far."""

    def __init__(self, parameter: Tensor, optimizer: Any, state: Any, lift: Lift) -> None:
        super().__init__()
        self.parameter = parameter
        self.optimizer = optimizer
        self._state = state
        self._lift: Lift | None = lift
        self._starts: dict[str, Var] = {}
        self._started: list[str] = []
        for name in state.get(parameter, ()):
            self._read(name)

    def _read(self, name: str) -> None:
        entries, dtype = self._state[self.parameter], precise(self.parameter.dtype)
        value = entries[name]
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.dtype != dtype:
            value = entries[name] = value.astype(dtype)  # the parameter was converted since
        self[name] = value
        if isinstance(value, np.ndarray | np.generic | int | float) and not isinstance(value, bool):
            assert self._lift is not None
            self[name] = result = self._lift(EntryPlace(self.optimizer, self.parameter, name), value, name)
            result.shared = True
            self._starts[name] = result.variable

    def setdefault(self, name: str, start: Any = None) -> Any:
        """One of the entries; where there is none yet, `start` is put there for all later calls too."""
        if self.get(name) is None:
            self._started.append(name)  # first: an interrupt may come before the next line
            self._state[self.parameter][name] = start
            self._read(name)
        return self[name]

    def release(self, settled: Callable[[Any], Any]) -> None:
        """Keep variables alone."""
        self._lift = None
        self.update([(name, settled(x)) for name, x in self.items()])

    def forget(self) -> None:
        """Take back what was prepared for later calls."""
        for name in self._started:
            self._state[self.parameter].pop(name, None)
        if self._started and not self._state[self.parameter]:
            del self._state[self.parameter]

    def finish(self, write: Callable[[Var | None, Place, Var], None]) -> None:
        """Tell what is written, once all values are variables."""
        outside = self._state.get(self.parameter, {})
        for name, value in self.items():
            start = self._starts.get(name)
            if type(value) is Var and value is not start:
                write(start, EntryPlace(self.optimizer, self.parameter, name), value)
            elif type(value) is not Var and value is not outside.get(name):
                raise TypeError(
                    f"compile: {type(self.optimizer).__name__} sets {name!r} to {value!r} in a step; what a compiled "
                    "step remembers must be computed from Tensors and from what it remembers"
                )
