"""Where a program reads from, and writes back to, besides its arguments: one class for each kind of place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Place:
    """A place outside a program. `holder` is what has it, and is kept alive by the compiled function."""

    holder: Any

    def read(self) -> Any:
        """The array or number there now; None where there is nothing. A place may be its holder itself."""
        return self.holder


class TensorPlace(Place):
    """The value of a Tensor: a parameter, a buffer, anything that the function found in a variable."""

    def read(self) -> Any:
        return self.holder._value


class GradientPlace(Place):
    """The gradient of a Tensor."""

    def read(self) -> Any:
        gradient = getattr(self.holder, "_grad", None)
        return None if gradient is None else gradient._value


@dataclass(frozen=True, eq=False)
class SettingPlace(Place):
    """A number among the settings of an optimizer's group, such as its learning rate."""

    group: int
    name: str
    index: int | None = None  # of one number of several, as of Adam's betas

    def read(self) -> Any:
        value = self.holder.param_groups[self.group][self.name]
        return value if self.index is None else value[self.index]


@dataclass(frozen=True, eq=False)
class EntryPlace(Place):
    """What an optimizer remembers of a parameter under a name."""

    parameter: Any
    name: str

    def read(self) -> Any:
        entries = self.holder.state.get(self.parameter)
        return None if entries is None else entries.get(self.name)


class ArrayPlace(Place):
    """An array that the function found in a variable; whoever holds it may write to it between calls."""


class GeneratorPlace(Place):
    """A random generator, which goes on from call to call."""
