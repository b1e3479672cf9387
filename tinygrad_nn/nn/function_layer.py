"""Layers that are a function of `nn.functional` with its settings kept."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from .module import Module


class FunctionLayer(Module):
    """A layer of one function, ``class ELU(FunctionLayer, function=F.elu)``.

    What its constructor takes is kept under attributes of the same names, which the function is given and `repr` shows.
    """

    _function: Callable[..., Any]
    _settings: tuple[str, ...] = ()
    _unshown: tuple[str, ...] = ("inplace", "return_indices")
    _arguments: Callable[[Any], tuple[Any, ...]]

    def __init_subclass__(cls, function: Callable[..., Any] | None = None, **others: Any) -> None:
        super().__init_subclass__(**others)
        if function is not None:  # classes that users derive keep the settings, whatever their constructors take
            cls._function = staticmethod(function)
            cls._settings = _parameters(vars(cls).get("__init__", cls.__init__))
            cls._arguments = staticmethod(_values([name for name in _parameters(function) if name in cls._settings]))

    def forward(self, x: Any) -> Any:
        """What the function gives for x and the settings."""
        return self._function(x, *self._arguments(self))

    def extra_repr(self) -> str:
        """The settings."""
        shown = {name: getattr(self, name) for name in self._settings if name not in self._unshown}
        return ", ".join(
            f"{name}={value!r}" if type(value) is str else f"{name}={value}" for name, value in shown.items()
        )


def _parameters(function: Any) -> tuple[str, ...]:
    """The names of a Python function's parameters after the first; `inspect` would cost the import too much."""
    code = getattr(function, "__code__", None)
    return code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount] if code else ()


def _values(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """What gets these attributes of an object, as a tuple; the function of each count that costs a call least."""
    if not names:
        return lambda layer: ()
    if len(names) > 1:
        return attrgetter(*names)
    value = attrgetter(*names)
    return lambda layer: (value(layer),)
