"""The variables outside a function that it reads: its own, and those of the functions that it calls by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from ...core.define import Op
from ...nn.module import Module
from ...tensor.tensor import Tensor

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


def variables(function: Callable[..., Any], held: Sequence[Any] = ()) -> Iterator[Variable]:
    """What a function of the user's can read besides the numbers in its arguments.

    Closure variables and globals, of it and of other functions that they hold; what lists, tuples and dicts among them
    hold; and those attributes of plain objects that are named in the code.

    Parameters
    ----------
    function : callable
    held : sequence
        Objects that the function is given as they are.
    """
    functions = _reached(function)
    names = {name for inner in functions for name in _names(inner.__code__)}
    owners = [getattr(x, "__self__", x) for x in (getattr(function, "func", function), *held)]
    if isinstance(function, partial):
        owners += [*function.args, *function.keywords.values()]
    for owner in owners:
        yield from _inside(Variable("self", owner, "", owner), names)
    for inner in functions:
        for variable in _own(inner):
            if not isinstance(variable.value, (*_IGNORED, FunctionType)):
                yield variable
                yield from _inside(variable, names)


def _reached(function: Any) -> list[FunctionType]:
    """The function itself, and functions of the user's that its variables hold."""
    found: list[FunctionType] = []
    queue = [_plain(function)]
    for inner in queue:  # which grows meanwhile
        if inner is None or inner in found or (inner.__module__ or "").partition(".")[0] in (_PACKAGE, "numpy"):
            continue
        found.append(inner)
        queue += [_plain(v.value) for v in _own(inner) if isinstance(v.value, FunctionType)]
    return found


def _inside(variable: Variable, names: Collection[str]) -> Iterator[Variable]:
    """What a container holds, if that counts, and a plain object's attributes of these names."""
    name, _, _, value = variable
    if isinstance(value, list | tuple | dict):
        items = list(value.values() if isinstance(value, dict) else value)
        if len(items) <= _MOST_ITEMS and any(isinstance(x, Tensor | Module | np.ndarray) for x in items):
            yield Variable(name, value, "*", items)
    elif not isinstance(value, (Tensor, Module, FunctionType, *_IGNORED)):
        for attribute, held in list(getattr(value, "__dict__", {}).items()):
            if attribute in names:
                yield Variable(f"{name}.{attribute}", value, f".{attribute}", held)


def _plain(function: Any) -> FunctionType | None:
    """The function behind decorators, methods, modules and objects that are called."""
    function = getattr(function, "func", function) if isinstance(function, partial) else function
    function = getattr(function, "__wrapped__", function)
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType):
        function = getattr(type(function), "forward", None) or vars(type(function)).get("__call__")
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
