"""The variables outside a function that it reads: its own, and those of the functions that it calls by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple

from ..op import Op

#: What a program cannot depend on, or what nobody binds anew.
_IGNORED = (ModuleType, type, BuiltinFunctionType, Op)

_PACKAGE = __name__.partition(".")[0]


class Variable(NamedTuple):
    """A variable: `holder` is a cell, then `key` is empty, or a module's dict of globals."""

    name: str
    holder: Any
    key: str
    value: Any


def variables(function: Callable[..., Any]) -> Iterator[Variable]:
    """Closure variables and globals of a function of the user's, and of other such functions that they hold."""
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
