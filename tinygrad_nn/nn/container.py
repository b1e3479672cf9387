"""Modules made of modules or of parameters: in a row, in a list, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast, overload

from .module import Module, Parameter

if TYPE_CHECKING:
    from ..tensor.tensor import ArrayLike

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]

Member = TypeVar("Member")


class _Row(Module):
    """Modules numbered from 0, held under the attributes "0", "1" and so on."""

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._selected(list(self.named_children())[index])
        return self.__dict__[self._name(index)]

    def _selected(self, items: list[tuple[str, Module]]) -> _Row:
        return ModuleList(module for _, module in items)

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(self._name(index), module)

    def __delitem__(self, index: int) -> None:
        object.__delattr__(self, self._name(index))
        self._renumber(list(self.children()))

    def append(self, module: Module) -> Self:
        """Add a module at the end; returns the container."""
        number = len(self)
        while str(number) in self.__dict__:
            number += 1
        self.add_module(str(number), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end; returns the container."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Add a module before the one at `index`; those after it are renumbered."""
        modules = list(self.children())
        modules.insert(index, module)
        self._renumber(modules)

    def _name(self, index: int) -> str:
        names = [name for name, _ in self.named_children()]
        try:
            return names[index]
        except IndexError:
            raise IndexError(f"index {index} into a {type(self).__name__} of {len(names)} modules") from None

    def _renumber(self, modules: list[Module]) -> None:
        """Hold `modules` instead of those of now, numbered from 0; each that had a name of its own keeps it."""
        names = {module: name for name, module in self.named_children() if not name.isdigit()}
        for name, _ in list(self.named_children()):
            object.__delattr__(self, name)
        for index, module in enumerate(modules):
            self.add_module(names.get(module, str(index)), module)


class Sequential(_Row):
    """Modules in a row, each applied to the result of the one before.

    Parameters
    ----------
    *modules : Module, or one dict of names to Modules
        Named "0", "1" and so on, or by the dict.

    Examples
    --------
    >>> from tinygrad_nn import nn
    >>> nn.Sequential(nn.Linear(784, 30), nn.Sigmoid(), nn.Linear(30, 10), nn.Sigmoid())
    Sequential(
      (0): Linear(in_features=784, out_features=30, bias=True)  23,550
      (1): Sigmoid()
      (2): Linear(in_features=30, out_features=10, bias=True)      310
      (3): Sigmoid()
    )  23,860 parameters
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        named: Any = enumerate(modules)
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = modules[0].items()
        for name, module in named:
            self.add_module(str(name), module)

    def forward(self, x: Any) -> Any:
        """The result of the last module."""
        for name, module in list(self.__dict__.items()):
            if isinstance(module, Module):
                try:
                    x = module(x)
                except Exception as error:
                    if notes := getattr(error, "__notes__", None):
                        notes[-1] += f", module {name!r} of the Sequential"
                    raise
        return x

    def _selected(self, items: list[tuple[str, Module]]) -> _Row:
        return Sequential(dict(items))  # under the names they have, so that a part of a network keeps its keys


class ModuleList(_Row):
    """A list of modules, whose parameters are found. It has no `forward`: use its modules as the network needs them.

    Examples
    --------
    >>> from tinygrad_nn import nn
    >>> layers = nn.ModuleList(nn.Linear(n, n + 1) for n in range(1, 4))
    >>> len(layers), layers[-1].out_features
    (3, 4)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)


class _Named(Module, Generic[Member]):
    """Parts of one kind by name, held under attributes of these names."""

    _kind: type[Any]

    def update(self, parts: Any) -> None:
        """Add parts, a mapping or pairs of a name and a part, or replace those of the same name."""
        for name, value in dict(parts).items():
            self[name] = value

    def __getitem__(self, name: str) -> Member:
        part = self.__dict__.get(name)
        if not isinstance(part, self._kind):
            raise KeyError(f"no {self._kind.__name__.lower()} {name!r}; there are {self.keys()}")
        return cast("Member", part)

    def __setitem__(self, name: str, value: Any) -> None:
        raise NotImplementedError

    def __delitem__(self, name: str) -> None:
        self[name]  # raises where there is none
        delattr(self, name)

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def keys(self) -> list[str]:
        """The names, in the order in which they were added."""
        return [name for name, value in self.__dict__.items() if isinstance(value, self._kind)]

    def values(self) -> list[Member]:
        """The parts."""
        return [self[name] for name in self.keys()]

    def items(self) -> list[tuple[str, Member]]:
        """Names and parts."""
        return [(name, self[name]) for name in self.keys()]


class ModuleDict(_Named[Any]):
    """Modules by name, whose parameters are found. It has no `forward`.

    Examples
    --------
    >>> from tinygrad_nn import nn
    >>> choices = nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()})
    >>> choices["tanh"]
    Tanh()
    """

    _kind = Module

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        super().__init__()
        self.update(modules)

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)


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

    def append(self, value: ArrayLike) -> Self:
        """Add a parameter at the end; returns the list."""
        setattr(self, str(len(self)), _parameter(value))
        return self

    def extend(self, values: Iterable[ArrayLike]) -> Self:
        """Add parameters at the end; returns the list."""
        for value in list(values):
            self.append(value)
        return self

    def __len__(self) -> int:
        return len(self._list())

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._list())

    def __getitem__(self, index: int | slice) -> Any:
        selected = self._list()[index]
        return ParameterList(selected) if isinstance(index, slice) else selected

    def __setitem__(self, index: int, value: ArrayLike) -> None:
        setattr(self, str(range(len(self))[index]), _parameter(value))

    def _list(self) -> list[Parameter]:
        return [value for value in self.__dict__.values() if isinstance(value, Parameter)]

    def extra_repr(self) -> str:
        """The shapes."""
        return ", ".join(str(p.shape) for p in self)


class ParameterDict(_Named[Parameter]):
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
