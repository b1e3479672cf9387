"""Module calls found in a recording: which nodes each one made, and how they lie in one another."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.graph import Node
from .names import Holders
from .values import clean


@dataclass
class Call:
    """One call of a module, with the calls inside it.

    Attributes
    ----------
    label : str
        ``fc1: Linear(4, 3)``.
    path, class_name : str
    parent : int or None
        Index of the call around it.
    level : int
        1 for an outermost call.
    """

    label: str
    path: str
    class_name: str
    parent: int | None
    level: int


def find_calls(nodes: Sequence[Node], holders: Holders) -> tuple[list[Call], dict[Node, int]]:
    """The calls of modules that a graph was made in, and for each node made in one the innermost such call.

    A call is noted in ``extra["module"]`` of what it returned, as ``(module, start, end)`` with the creation numbers
    before and after it. What it made are the nodes that its results depend on with ``start < order <= end``.
    """
    results: dict[tuple[int, int], list[Node]] = {}
    result: dict[tuple[int, int], tuple[Any, int]] = {}
    for node in nodes:
        for module, start, end in (node.extra or {}).get("module", ()):
            key = (start, id(module))
            results.setdefault(key, []).append(node)
            result[key] = module, max(end, result.get(key, (module, end))[1])
    calls: list[Call] = []
    made_in: dict[Node, int] = {}
    around: list[tuple[int, int, Any]] = []  # calls that the one at hand may lie in: index, end, outermost module
    for key in sorted(result, key=lambda key: (key[0], -result[key][1])):
        start, (module, end) = key[0], result[key]
        members = _made_by(results[key], start, end)
        if not members:
            continue  # it gave its input back
        while around and around[-1][1] < end:
            around.pop()
        parent, _, outermost = around[-1] if around else (None, end, module)
        if parent is None:
            holders.add_module("", module)
        path = _path(outermost, module) if outermost is not module else holders.module_name(module)
        made_in.update(dict.fromkeys(members, len(calls)))
        around.append((len(calls), end, outermost))
        label = clean(f"{path}: {describe(module)}" if path else describe(module))
        level = 1 if parent is None else calls[parent].level + 1
        calls.append(Call(label, path, type(module).__name__, parent, level))
    return calls, made_in


def _made_by(results: Iterable[Node], start: int, end: int) -> list[Node]:
    stack = [node for node in results if start < node.order <= end]
    seen = set(stack)
    for node in stack:  # grows while it is walked
        for source in node.inputs:
            if isinstance(source, Node) and source.op is not None and source not in seen and source.order > start:
                seen.add(source)
                stack.append(source)
    return stack


def _path(outermost: Any, module: Any) -> str:
    return next((path for path, inner in outermost.named_modules() if inner is module), "")


def describe(module: Any) -> str:
    """Class of a module and what it was made with, defaults left out: ``Linear(4, 3)``, ``Dropout(p=0.2)``."""
    kind = type(module)
    settings = module.extra_repr() if callable(getattr(module, "extra_repr", None)) else ""
    if not settings:
        return str(kind.__name__)
    parameters = inspect.signature(kind.__init__).parameters
    words = []
    for item in re.split(r", (?![^(\[]*[)\]])", settings):
        key, equals, value = item.partition("=")
        parameter = parameters.get(key)
        if equals and parameter is not None:
            if parameter.default is inspect.Parameter.empty:
                item = value
            elif value in (repr(parameter.default), str(parameter.default)):
                continue
        words.append(item)
    return f"{kind.__name__}({', '.join(words)})" if words else str(kind.__name__)
