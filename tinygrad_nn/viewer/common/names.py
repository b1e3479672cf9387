"""Names of what is drawn: the user's own, those of the variables that hold the Tensors, parameters' paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType, FunctionType, ModuleType
from typing import Any

import numpy as np

from ...core.graph import Node
from ...tensor.tensor import Tensor

#: Containers and objects are looked into for this many entries, so that a variable with a data set costs little.
_LOOKED_INTO = 256

_HIDDEN = frozenset(("In", "Out"))  # where IPython keeps past results

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Holders:
    """What the variables of the frames around a call hold, to be asked for the name of a node.

    Frames are read from the caller outwards, each one's locals before its globals; of several variables that hold
    the same Tensor the first one counts, in the order in which they were defined. Names with a leading underscore
    are left out. What no variable holds directly is looked for in modules (``fc1.weight``), and then in lists,
    tuples, dicts and attributes (``W[0]``, ``net.W``).
    """

    def __init__(self, frame: FrameType | None) -> None:
        self._variables: dict[int, str] = {}
        self._paths: dict[int, tuple[str, str]] = {}  # variable of the module, path in it
        self._contained: dict[int, str] = {}
        self._modules: dict[int, str] = {}
        self._tensors: dict[int, Tensor] = {}
        self._alive: list[Any] = []  # keeps what is known by its id from being replaced by something else
        scopes = list(_scopes(frame))
        for scope in scopes:
            for name, held in scope:
                self._note(self._variables, name, held)
        modules = [(name, held) for scope in scopes for name, held in scope if is_module(held)]
        for name, module in sorted(modules, key=lambda named: named[0] == "self"):  # last what is no name of its own
            with suppress(Exception):  # one that is not set up yet, or another library's: it names nothing
                self.add_module(name if name != "self" else "", module)
        for scope in scopes[:2]:  # the caller's own: around them stand other people's programs
            for name, held in scope:
                for path, entry in _entries(name, held):
                    self._note(self._contained, path, entry)

    def add_module(self, name: str, module: Any) -> None:
        """Name a module, and its parameters and buffers by their paths in it."""
        if id(module) in self._modules:
            return
        self._modules[id(module)] = name
        self._alive.append(module)
        for members in ("named_parameters", "named_buffers"):
            listing: Callable[[], Any] | None = getattr(module, members, None)
            for path, member in listing() if listing is not None else ():
                for key in self._known_as(member):
                    known = self._paths.get(key)  # of two modules that have it, the one around the other names it
                    if known is None or path.count(".") > known[1].count("."):
                        self._paths[key] = name, path

    def module_name(self, module: Any) -> str:
        """The variable that holds a module, empty if none does."""
        return self._modules.get(id(module), "")

    def is_module_member(self, node: Node) -> bool:
        """Whether a node stands for a parameter or buffer of a module."""
        return any(key in self._paths for key in _keys(node))

    def tensor(self, node: Node) -> Tensor | None:
        """The Tensor of a node, if one of the frames holds it."""
        return next((self._tensors[key] for key in _keys(node) if key in self._tensors), None)

    def name(self, node: Node) -> str:
        """The name of a node, empty if it has none but its position."""
        name = (node.extra or {}).get("name")
        if name:
            return str(name)
        for key in _keys(node):
            if key in self._variables:
                return self._variables[key]
            if key in self._paths:
                return self._qualified(*self._paths[key])
            if key in self._contained:
                return self._contained[key]
        return str((node.extra or {}).get("role", ""))

    def _qualified(self, module: str, path: str) -> str:
        """A parameter's path, with the module's variable before it where the path alone would not do."""
        modules = {module for module, other in self._paths.values() if other == path}
        return f"{module}.{path}" if module and (len(modules) > 1 or path[0].isdigit()) else path

    def _note(self, names: dict[int, str], name: str, held: Any) -> None:
        for key in self._known_as(held):
            names.setdefault(key, name)

    def _known_as(self, held: Any) -> tuple[int, ...]:
        """Keys of a Tensor or array, the same that `_keys` finds for its node; none for anything else."""
        if issubclass(type(held), Tensor):  # not isinstance, which would ask a stranger's object for its class
            node = held._node if held._node is not None else getattr(held, "_constant", None)
            keys = (id(held),) if node is None else (id(node), id(held))
            self._tensors.setdefault(keys[0], held)
        elif issubclass(type(held), np.ndarray):
            keys = (id(held),)
        else:
            return ()
        self._alive.append(held)
        return keys


def _keys(node: Node) -> Iterator[int]:
    """What a node can be known by: itself, the Tensor it stands for, or the array that was used as it is."""
    yield id(node)
    if node.op is None:
        holder = node.tensor()
        if holder is not None:
            yield id(holder)
        if isinstance(node.value, np.ndarray):
            yield id(node.value)


def _scopes(frame: FrameType | None) -> Iterator[list[tuple[str, Any]]]:
    """Variables of a frame and of those around it: locals, then globals, each namespace once."""
    seen: set[int] = set()
    while frame is not None:
        for namespace in (frame.f_locals, frame.f_globals):
            if id(namespace) not in seen:
                if namespace is frame.f_globals:
                    seen.add(id(namespace))
                # a copy: the namespace of a module can grow while it is read, in another thread
                yield [
                    (name, held)
                    for name, held in list(namespace.items())
                    if isinstance(name, str) and name.isidentifier() and name[0] != "_" and name not in _HIDDEN
                ]
        frame = frame.f_back


def is_module(held: Any) -> bool:
    """Whether something is a neural network module: known by what it offers, so that readers need no ``nn``."""
    return not issubclass(type(held), type) and all(
        callable(getattr(type(held), method, None)) for method in ("named_parameters", "named_modules")
    )


def _entries(name: str, held: Any) -> Iterator[tuple[str, Any]]:
    """What a container or an object holds, two levels deep, under the expressions that reach it."""
    for path, entry in _members(name, held):
        yield path, entry
        yield from _members(path, entry)


def _members(name: str, held: Any) -> Iterator[tuple[str, Any]]:
    if type(held) is list or type(held) is tuple:
        for position in range(min(len(held), _LOOKED_INTO)):
            yield f"{name}[{position}]", held[position]
    elif type(held) is dict:
        for key, entry in list(held.items())[:_LOOKED_INTO]:
            if isinstance(key, str | int):
                yield f"{name}[{key!r}]", entry
    elif not issubclass(type(held), type | ModuleType | FunctionType | Tensor | np.ndarray | np.generic):
        try:
            attributes = object.__getattribute__(held, "__dict__")  # runs no code of the object's own
        except AttributeError:
            return
        if type(attributes) is dict:
            for key, entry in list(attributes.items())[:_LOOKED_INTO]:
                if isinstance(key, str) and not key.startswith("_"):
                    yield f"{name}.{key}", entry


def numbered(letter: str, position: int) -> str:
    """A name from a position: ``v₃``. No variable of a user's can be called so."""
    return f"{letter}{position}".translate(_SUBSCRIPTS)


def distinct(name: str, taken: set[str]) -> str:
    """`name`, or with the first free subscript where it is taken; notes it as taken."""
    free, count = name, 1
    while free in taken:
        count += 1
        free = name + str(count).translate(_SUBSCRIPTS)
    taken.add(free)
    return free
