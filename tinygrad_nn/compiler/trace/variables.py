"""The variables outside a function that it reads: its own, and those of the functions that it calls by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from ...core.define import Op
from ...nn.module import Module
from ...tensor.tensor import Tensor

#: Larger containers are data, whose entries are not looked at one by one.
_MOST_ITEMS = 64

_PACKAGE = __name__.partition(".")[0]


class Variable(NamedTuple):
    """A variable, or what one holds.

    `holder` is a cell, with an empty `key`; the dict of a module or a class; an object, with a dot and the attribute's
    name for `key`; a list, tuple or dict, with ``"*"``, and `value` is then the list of all that it holds; or a
    function, with ``"()"``, and `value` is then its code and its defaults.
    """

    name: str
    holder: Any
    key: str
    value: Any


def variables(function: Callable[..., Any], objects: Sequence[Any] = ()) -> Iterator[Variable]:
    """What a function of the user's can read besides the numbers in its arguments.

    Closure variables and globals, of it and of other functions that can be reached from it: through variables, through
    classes and methods that are named in the code, and in modules of networks; what lists, tuples and dicts among the
    variables hold; those attributes of plain objects that are named in the code; and each function's code and defaults.
    `objects` are what the function is given as it is, and modules that it calls.
    """
    reach = _Reach()
    for root in (function, *objects):
        reach.visit(root)
    functions = reach.all()
    names = reach.names
    owners = [getattr(x, "__self__", x) for x in (getattr(function, "func", function), *objects)]
    if isinstance(function, partial):
        owners += [*function.args, *function.keywords.values()]
    for owner in owners:
        yield from _inside(Variable("self", owner, "", owner), names)
    for inner in functions:
        yield Variable(inner.__name__, inner, "()", signature_of(inner))
        for variable in _own(inner):
            if not isinstance(variable.value, ModuleType):
                yield variable
                yield from _inside(variable, names)
    for owner in reach.classes:
        known = vars(owner)  # as it is there: a class method is another object each time it is asked for
        for name in names & known.keys():
            yield Variable(f"{owner.__name__}.{name}", known, name, known[name])


def signature_of(function: Any) -> tuple[Any, ...]:
    """What decides, besides variables and arguments, what a function does: its code and its defaults."""
    keywords = function.__kwdefaults__ or {}
    return function.__code__, function.__defaults__, *keywords, *keywords.values()


class _Reach:
    """The user's functions that can be called from some roots, and the user's classes whose methods are among them."""

    def __init__(self) -> None:
        self.names: set[str] = {"__init__", "__call__", "forward"}
        self.classes: list[type] = []
        self._functions: dict[int, FunctionType] = {}
        self._followed: set[int] = set()
        self._seen: set[int] = set()

    def all(self) -> list[FunctionType]:
        """The functions, once what they name has been followed in turn."""
        while len(self._followed) < len(self._functions):
            for function in list(self._functions.values()):
                if id(function) not in self._followed:
                    self._followed.add(id(function))
                    self.names.update(_names(function.__code__))
                    for variable in _own(function):
                        self.visit(variable.value)
            for owner in list(self.classes):
                for name in self.names & vars(owner).keys():
                    self.visit(vars(owner)[name])
        return list(self._functions.values())

    def visit(self, x: Any) -> None:
        """Note what can be called of an object."""
        if id(x) in self._seen or isinstance(x, _OPAQUE):
            return
        self._seen.add(id(x))
        x = x.__func__ if isinstance(x, MethodType | staticmethod | classmethod) else x
        if isinstance(x, FunctionType):
            wrapped = getattr(x, "__wrapped__", None)
            if _is_users(x):
                self._functions[id(x)] = x
            if wrapped is not None:
                self.visit(wrapped)
        elif isinstance(x, partial):
            for part in (x.func, *x.args, *x.keywords.values()):
                self.visit(part)
        elif isinstance(x, list | tuple | set | frozenset | dict):
            if len(x) <= _MOST_ITEMS:
                for part in x.values() if isinstance(x, dict) else x:
                    self.visit(part)
        elif isinstance(x, property):
            self.visit(x.fget)
        else:
            function = vars(x).get("function") if type(x).__name__ == "Compiled" else None
            if function is not None:
                self.visit(function)
            for owner in (x if isinstance(x, type) else type(x)).__mro__:
                if _is_users(owner) and not _is_installed(owner) and owner not in self.classes:
                    self.classes.append(owner)


#: What calls nothing of the user's.
_OPAQUE = (ModuleType, BuiltinFunctionType, Op, Tensor, np.ndarray, np.generic, str, bytes, int, float, complex)


def _is_users(x: Any) -> bool:
    """Whether a function or class is neither of this library nor of NumPy or Python itself."""
    module = (getattr(x, "__module__", None) or "").partition(".")[0]
    return module not in (_PACKAGE, "numpy") and module not in sys.stdlib_module_names


def _is_installed(owner: type) -> bool:
    """Whether a class is of a package that was installed, whose counters and caches are no variables of the user's."""
    path = getattr(sys.modules.get(owner.__module__), "__file__", None) or ""
    return "site-packages" in path or "dist-packages" in path


def _inside(variable: Variable, names: Collection[str]) -> Iterator[Variable]:
    """What a container holds, if that counts, and a plain object's attributes of these names."""
    name, _, _, value = variable
    if isinstance(value, list | tuple | dict):
        items = list(value.values() if isinstance(value, dict) else value)
        counts = any(isinstance(x, Tensor | Module | np.ndarray) or callable(x) for x in items)
        if len(items) <= _MOST_ITEMS and counts:
            yield Variable(name, value, "*", items)
    elif not isinstance(value, Tensor | Module | FunctionType | ModuleType | type | BuiltinFunctionType | Op):
        for attribute, content in list(getattr(value, "__dict__", {}).items()):
            if attribute in names:
                yield Variable(f"{name}.{attribute}", value, f".{attribute}", content)


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
