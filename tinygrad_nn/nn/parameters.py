"""Parameters in a list or by name, so that a module finds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from .container import Named
from .module import Module, Parameter

if TYPE_CHECKING:
    from ..tensor.tensor import ArrayLike

Self = TypeVar("Self", bound="ParameterList")


def _parameter(value: Any) -> Parameter:
    return value if isinstance(value, Parameter) else Parameter(value)


class ParameterList(Module):
    """A list of parameters, which `parameters` of the module that holds it finds.

    Parameters
    ----------
    values : iterable of Parameter or array_like
        What is no Parameter becomes one.

    Examples
    --------
    >>> from tinygrad_nn import nn
    >>> powers = nn.ParameterList([1.0, [2.0, 3.0]])
    >>> len(powers), powers[-1], list(powers.state_dict())
    (2, parameter([2., 3.], dtype=float32, requires_grad=True), ['0', '1'])
    """

    def __init__(self, values: Iterable[ArrayLike] | None = None) -> None:
        super().__init__()
        self.extend(() if values is None else values)

    def append(self: Self, value: ArrayLike) -> Self:
        """Add a parameter at the end; returns the list."""
        setattr(self, str(len(self)), _parameter(value))
        return self

    def extend(self: Self, values: Iterable[ArrayLike]) -> Self:
        """Add parameters at the end; returns the list."""
        for value in list(values):
            self.append(value)
        return self

    def __len__(self) -> int:
        return len(self._list())

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._list())

    def __getitem__(self, index: int | slice) -> Any:
        found = self._list()[index]
        return ParameterList(found) if isinstance(index, slice) else found

    def __setitem__(self, index: int, value: ArrayLike) -> None:
        setattr(self, str(range(len(self))[index]), _parameter(value))

    def _list(self) -> list[Parameter]:
        return [value for value in self.__dict__.values() if isinstance(value, Parameter)]

    def extra_repr(self) -> str:
        """The shapes."""
        return ", ".join(str(p.shape) for p in self)


class ParameterDict(Named[Parameter]):
    """Parameters by name, which `parameters` of the module that holds it finds.

    Parameters
    ----------
    parameters : mapping of str to Parameter or array_like, or iterable of pairs
        What is no Parameter becomes one.

    Examples
    --------
    >>> from tinygrad_nn import nn
    >>> scales = nn.ParameterDict({"left": [1.0], "right": [2.0]})
    >>> scales["right"], "up" in scales, scales.keys()
    (parameter([2.], dtype=float32, requires_grad=True), False, ['left', 'right'])
    """

    _kind = Parameter

    def __init__(self, parameters: Mapping[str, ArrayLike] | Iterable[tuple[str, ArrayLike]] | None = None) -> None:
        super().__init__()
        self.update({} if parameters is None else parameters)

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        self.register_parameter(name, _parameter(value))

    def extra_repr(self) -> str:
        """Names and shapes."""
        return ", ".join(f"{name}: {p.shape}" for name, p in self.items())
