"""Kernels as text: the source of a function with all that it uses, for modules that import only NumPy."""

from __future__ import annotations

import dis
import inspect
import operator
import re
import sys
import textwrap
from functools import cache
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numpy.lib import array_utils

from ....core.define import Op
from ....core.operators import OPERATORS
from ...quote import NotWritable, identifier, literal


class Kernels:
    """Collects the source of kernels, each once, in an order in which it can be run."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.modules: dict[str, str] = {}
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []

    def add(self, function: Any, wish: str) -> str:
        """The name under which a kernel can be called, its source added to `parts`.

        Raises
        ------
        NotWritable
            Where it, or something that it uses, has no source.
        """
        known = self._names.get(id(function))
        if known is not None:
            return known
        numpy_name = _in_numpy(function)
        if numpy_name is not None:
            return numpy_name
        function = getattr(function, "__wrapped__", function)
        if isinstance(function, Op):
            return self.add(function.kernel, function.name)
        if not isinstance(function, FunctionType) or function.__closure__ or function.__name__ == "<lambda>":
            raise NotWritable(f"{getattr(function, '__qualname__', function)!r} has no source of its own")
        name = "_" + identifier(function.__name__)  # apart from NumPy's function of that name
        while name in self.parts:
            name += "_"
        self._names[id(function)] = name
        self._kept.append(function)
        self.parts[name] = ""  # keeps the place: what it uses may use it too
        try:
            text = self._text(function, name)
        except NotWritable:
            del self.parts[name], self._names[id(function)]
            raise
        del self.parts[name]
        self.parts[name] = text
        return name

    def _text(self, function: FunctionType, name: str) -> str:
        text = _source(function)
        replaced: dict[str, str] = {}
        for used in sorted(_globals_of(function) & function.__globals__.keys()):
            value = self._value(function.__globals__[used], used)
            if value != used:
                replaced[used] = value
        for used, value in replaced.items():
            text = re.sub(rf"(?<![\w.]){used}(?!\w)", value, text)
        if name != function.__name__:
            text = text.replace(f"def {function.__name__}(", f"def {name}(", 1)
        return text

    def _of_module(self, module: str, name: str) -> str:
        alias = module.replace(".", "_")
        self.modules[alias] = module
        return f"{alias}.{name}"

    def _value(self, value: Any, name: str) -> str:
        """How a global of a kernel is written; functions are added."""
        if isinstance(value, ModuleType):
            self.modules[name] = value.__name__
            return name
        if isinstance(value, Op):
            return self.add(value.kernel, value.name)
        if callable(value) and _in_numpy(value) is not None:
            return str(_in_numpy(value))
        if getattr(value, "__self__", None) is not None and isinstance(value.__self__, Op):
            return self.add(value.__self__.kernel, name)
        if isinstance(value, FunctionType):
            if value.__name__ == "apply" and value.__closure__:
                op = next((c.cell_contents for c in value.__closure__ if isinstance(c.cell_contents, Op)), None)
                if op is not None:
                    return self.add(op.kernel, op.name)
            return self.add(value, name)
        if isinstance(value, BuiltinFunctionType) and value.__module__ in ("math", "operator", "_operator"):
            return self._of_module(value.__module__.lstrip("_"), value.__name__)
        standard = sys.stdlib_module_names - {"builtins"}
        if isinstance(value, type) and value.__module__.partition(".")[0] in standard:
            return self._of_module(value.__module__, value.__name__)
        text = literal(value)
        if name not in self.parts:
            self.parts[name] = f"{name} = {text}"
        return name


def _in_numpy(function: Any) -> str | None:
    """The name of a function of NumPy's or Python's own."""
    name = getattr(function, "__name__", "")
    for holder, prefix in ((np, "np."), (np.linalg, "np.linalg."), (array_utils, "np.lib.array_utils.")):
        if name and getattr(holder, name, None) is function:
            return prefix + name
    if type(function) is BuiltinFunctionType and function in OPERATORS:
        return f"np.{OPERATORS[function].ufunc.__name__}"
    if isinstance(function, operator.attrgetter) and function.__reduce__()[1] == ("mT",):
        return "np.matrix_transpose"
    return None


def _globals_of(function: FunctionType | CodeType) -> set[str]:
    """Names that a function looks up outside itself, in what is defined inside it too."""
    code = function if isinstance(function, CodeType) else function.__code__
    found = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _globals_of(constant)
    return found


@cache
def _source(function: FunctionType) -> str:
    """The text of a function without decorators, annotations' imports and docstring."""
    try:
        lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    except (OSError, TypeError) as error:
        raise NotWritable(f"the source of {function.__qualname__} is not at hand") from error
    start = next((i for i, line in enumerate(lines) if line.startswith("def ")), None)
    if start is None:
        raise NotWritable(f"{function.__qualname__} is no plain function")
    text = "\n".join(lines[start:])
    return _without_annotations(text)


def _without_annotations(text: str) -> str:
    import ast

    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in (*node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg):
                if argument is not None:
                    argument.annotation = None
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(node.body) > 1:
                node.body = node.body[1:]
    return ast.unparse(tree)
