"""The variables outside a function that it reads: its own, and those of the functions that it calls by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..nn.module import Module
from ..op import Op
from ..tensor import Tensor

#: Larger containers are data, whose entries are not looked at one by one.
_MOST_ITEMS = 64

#: What a program cannot depend on, or what nobody binds anew.
_IGNORED = (ModuleType, type, BuiltinFunctionType, Op)

_PACKAGE = __name__.partition(".")[0]


class Variable(NamedTuple):
    """A variable, or what one holds.

    `holder` is a cell, with an empty `key`; a module's dict of globals; an object, with a dot and the attribute's name
    for `key`; or a list, tuple or dict, with ``"*"``, and `value` is then the list of all that it holds.
    """

    name: str
    holder: Any
    key: str
    value: Any


def variables(function: Callable[..., Any]) -> Iterator[Variable]:
    """Closure variables and globals of a function of the user's, and of other such functions that they hold."""
    owner = getattr(function, "__self__", None)
    if owner is not None:
        yield from inside(Variable("self", owner, "", owner))
    seen: set[int] = set()
    functions = [_plain(function)]
    for inner in functions:  # which grows meanwhile
        if inner is None or id(inner) in seen or (inner.__module__ or "").partition(".")[0] in (_PACKAGE, "numpy"):
            continue
        seen.add(id(inner))
        for variable in _own(inner):
            if isinstance(variable.value, FunctionType):
                functions.append(_plain(variable.value))
            elif not isinstance(variable.value, _IGNORED):
                yield variable
                yield from inside(variable)


def inside(variable: Variable) -> Iterator[Variable]:
    """Tensors, arrays and modules that a container or a plain object of the user's holds."""
    name, _, _, value = variable
    if isinstance(value, list | tuple | dict):
        items = list(value.values() if isinstance(value, dict) else value)
        if len(items) <= _MOST_ITEMS and any(map(_counts, items)):
            yield Variable(name, value, "*", items)
    elif not isinstance(value, Tensor | Module) and not callable(value):
        for attribute, held in list(getattr(value, "__dict__", {}).items())[:_MOST_ITEMS]:
            if _counts(held):
                yield Variable(f"{name}.{attribute}", value, f".{attribute}", held)


def _counts(value: Any) -> bool:
    return isinstance(value, Tensor | Module | np.ndarray)


def _plain(function: Any) -> FunctionType | None:
    """The function behind decorators, methods and modules."""
    function = getattr(function, "__wrapped__", function)
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType):
        function = getattr(type(function), "forward", None)
    return function if isinstance(function, FunctionType) else None


def _own(function: FunctionType) -> Iterator[Variable]:
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield Variable(name, cell, "", cell.cell_contents)
        except ValueError:  # not bound yet
            continue
    known = function.__globals__
    for name in dict.fromkeys(_names(code)):
        if name in known:
            yield Variable(name, known, name, known[name])


def _names(code: Any) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            yield from _names(constant)
