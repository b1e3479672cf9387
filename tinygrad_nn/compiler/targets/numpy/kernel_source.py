"""Kernels as text: the source of a function with all that it uses, for modules that import only NumPy."""

from __future__ import annotations

import ast
import inspect
import operator
import sys
import textwrap
from collections.abc import Mapping, Sequence
from functools import cache
from types import BuiltinFunctionType, FunctionType, ModuleType
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
        self._references: list[Any] = []

    def add(self, function: Any, wish: str) -> str:
        """The name under which a kernel can be called, its source added to `parts`.

        Raises `NotWritable` where it, or something that it uses, has no source.
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
        self._references.append(function)
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
        tree = ast.parse(_source(function))
        reading = Linker()
        reading.visit(tree)
        used = sorted(reading.free & function.__globals__.keys())
        linking = Linker({key: self._value(function.__globals__[key], key) for key in used})
        (definition,) = linking.visit(tree).body
        put = {text.partition(".")[0] for key, text in linking.texts.items() if text != key}
        hidden = sorted(linking.bound & put)
        if hidden:
            raise NotWritable(f"{function.__qualname__} has variables of its own called {', '.join(hidden)}")
        definition.name = name
        return ast.unparse(tree)

    def _module(self, module: str, wish: str) -> str:
        """The name that a module is imported under."""
        while self.modules.setdefault(wish, module) != module:
            wish += "_"
        return wish

    def _value(self, value: Any, name: str) -> str:
        """How a global of a kernel is written; functions are added."""
        if isinstance(value, ModuleType):
            return self._module(value.__name__, name)
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
            module = value.__module__.lstrip("_")
            return f"{self._module(module, module)}.{value.__name__}"
        standard = sys.stdlib_module_names - {"builtins"}
        if isinstance(value, type) and value.__module__.partition(".")[0] in standard:
            return f"{self._module(value.__module__, value.__module__.replace('.', '_'))}.{value.__name__}"
        text = literal(value)
        while self.parts.setdefault(name, f"{name} = {text}") != f"{name} = {text}":  # another module's of that name
            name += "_"
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


class Linker(ast.NodeTransformer):
    """Puts texts in the place of the names that a function reads from its module; what it binds itself stays."""

    def __init__(self, texts: Mapping[str, str] | None = None) -> None:
        self.texts = dict(texts or {})  # by name, an expression
        self.free: set[str] = set()  # names that were read and are bound nowhere in the function
        self.bound: set[str] = set()  # those that it binds, in what is defined inside it too
        self._scopes: list[set[str]] = []

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if any(node.id in scope for scope in self._scopes):
            return node
        self.free.add(node.id)
        return ast.parse(self.texts[node.id], mode="eval").body if node.id in self.texts else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        return self._function(node, node.body)

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        return self._function(node, [node.body])

    def _function(self, node: Any, body: Sequence[ast.AST]) -> Any:
        """Defaults and decorators are read where the function is defined, its body inside it."""
        arguments = node.args
        arguments.defaults = [self.visit(x) for x in arguments.defaults]
        arguments.kw_defaults = [x and self.visit(x) for x in arguments.kw_defaults]
        if not isinstance(node, ast.Lambda):
            node.decorator_list = [self.visit(x) for x in node.decorator_list]
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
        self._enter({x.arg for x in every if x is not None} | _bound_in(body))
        results = [self.visit(x) for x in body]
        node.body = results[0] if isinstance(node, ast.Lambda) else results
        self._scopes.pop()
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        raise NotWritable(f"the class {node.name} is defined inside it")

    def visit_Global(self, node: ast.Global) -> ast.AST:
        raise NotWritable(f"it binds {', '.join(node.names)} of its module")

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.target = self.visit(node.target)
        node.value = node.value and self.visit(node.value)
        return node  # annotations inside functions are never evaluated

    def visit_ListComp(self, node: Any) -> Any:
        """The first iterable is read outside, all else with the loops' variables bound."""
        first = node.generators[0]
        first.iter = self.visit(first.iter)
        self._enter(_bound_in([x.target for x in node.generators]))
        for i, loop in enumerate(node.generators):
            loop.target = self.visit(loop.target)
            loop.iter = self.visit(loop.iter) if i else loop.iter
            loop.ifs = [self.visit(x) for x in loop.ifs]
        for field in ("elt", "key", "value"):
            if hasattr(node, field):
                setattr(node, field, self.visit(getattr(node, field)))
        self._scopes.pop()
        return node

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def _enter(self, names: set[str]) -> None:
        self.bound |= names
        self._scopes.append(names)


def _bound_in(body: Sequence[ast.AST]) -> set[str]:
    """The names that statements or expressions bind in the scope that they stand in, not in one of their own."""
    results: set[str] = set()
    stack = list(body)
    while stack:
        node = stack.pop()
        name = getattr(node, "name", None) or getattr(node, "rest", None)
        if isinstance(node, ast.alias):
            results.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            results.add(node.id)
        elif isinstance(name, str):  # of a definition, an exception or a pattern
            results.add(name)
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            stack += [x.target for x in ast.walk(node) if isinstance(x, ast.NamedExpr)]  # binds outside of it
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            stack += ast.iter_child_nodes(node)
    return results


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
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            named = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            for argument in (*named, node.args.vararg, node.args.kwarg):
                if argument is not None:
                    argument.annotation = None
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(node.body) > 1:
                node.body = node.body[1:]
    return ast.unparse(tree)
