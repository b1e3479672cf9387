"""Layers that are a function of `nn.functional` with its settings kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .module import Module


class FunctionLayer(Module):
    """A layer of one function, ``class ELU(FunctionLayer, function=F.elu)``.

    What its constructor takes is kept under attributes of the same names, and given to the function by these names.
    """

    _function: Callable[..., Any]
    _settings: tuple[str, ...] = ()
    _unshown: tuple[str, ...] = ("inplace", "return_indices")

    def __init_subclass__(cls, function: Callable[..., Any] | None = None, **others: Any) -> None:
        super().__init_subclass__(**others)
        if function is not None:  # classes that users derive keep the settings, whatever their constructors take
            cls._function = staticmethod(function)
            constructor = getattr(vars(cls).get("__init__", cls.__init__), "__code__", None)
            if constructor is not None:
                count = constructor.co_argcount + constructor.co_kwonlyargcount
                cls._settings = constructor.co_varnames[1:count]

    def forward(self, x: Any) -> Any:
        """What the function gives for x and the settings."""
        return self._result(x)

    def _result(self, *inputs: Any) -> Any:
        return self._function(*inputs, **{name: getattr(self, name) for name in self._settings})

    def extra_repr(self) -> str:
        """The settings."""
        shown = {name: getattr(self, name) for name in self._settings if name not in self._unshown}
        return ", ".join(
            f"{name}={value!r}" if type(value) is str else f"{name}={value}" for name, value in shown.items()
        )
