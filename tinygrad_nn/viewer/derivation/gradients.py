"""Numbers of a derivation: one reverse pass by the engine, on a copy of the graph, so that nothing is left behind."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.define import part
from ...core.graph import FREED, Constant, Node, Spec
from ...core.reverse import ones_seed, reverse
from ..common.recording import Recording
from .paths import Paths


class NotKeptError(Exception):
    """A value that a derivative needs was let go by an earlier pass."""


def gradients(recording: Recording, paths: Paths) -> dict[Node, Any]:
    """The gradient of each node on the paths, as far as it is small, and that of their start.

    Raises
    ------
    NotKeptError
        Where an earlier ``backward()`` has let go of a value that is needed and that nobody else holds.
    """
    copies: dict[Node, Node] = {}
    for node in paths.nodes:
        copies[node] = _copy(node, copies, recording, leaf=node is paths.start)
    start, end = copies[paths.start], copies[paths.end]
    result = reverse({end: ones_seed(end)}, targets=[start], retain_graph=True)
    known = {node: copy.grad for node, copy in copies.items() if hasattr(copy, "grad")}
    value: Any = start.value
    known[paths.start] = result.get(start, np.zeros(value.shape, value.dtype)[()])
    return known


def _copy(node: Node, copies: dict[Node, Node], recording: Recording, leaf: bool) -> Node:
    """The node as the engine reads it, without hooks; of its inputs only those that lie on a path."""
    copy = Node()
    copy.op, copy.params, copy.order, copy.value = node.op, node.params, node.order, node.value
    copy.extra = None
    copy.x, copy.y, copy.a, copy.b = node.x, node.y, node.a, getattr(node, "b", None)  # unset for one input
    if node.op is None or leaf:
        copy.op = copy.x = copy.y = copy.a = copy.b = None
        return copy
    sources = tuple(_copied(source, copies) for source in node.inputs)
    if type(node.x) is tuple:
        copy.x = sources
    else:
        copy.x, copy.y = sources if len(sources) == 2 else (*sources, None)
    if node.args and node.args[0] is FREED:
        _restore(copy, node, recording)
    return copy


def _copied(source: Any, copies: dict[Node, Node]) -> Any:
    """The copy of an input, or for one that lies on no path a constant: it is not asked for."""
    if isinstance(source, Node) and source not in copies and type(source) is not Constant:
        copy = Constant()
        copy.value, copy.order = source.value, source.order
        copy.op = copy.params = copy.extra = copy.x = copy.y = copy.a = copy.b = None
        return copy
    return copies.get(source, source) if isinstance(source, Node) else source


def _restore(copy: Node, node: Node, recording: Recording) -> None:
    """Put back what an earlier pass let go, from the values that are still known."""
    op = node.op
    assert op is not None
    if op is part:
        copy.a, copy.b = tuple(node.x.value), None
        return
    args = tuple(_known(source, recording) for source in node.inputs)
    copy.value = _value(node, recording)
    if any(isinstance(value, Spec) for value in (*args, copy.value)) and not _unread(copy, args):
        raise NotKeptError
    if type(node.x) is tuple:
        copy.a, copy.b = args, None
    else:
        copy.a, copy.b = args if len(args) == 2 else (*args, None)


def _unread(copy: Node, args: tuple[Any, ...]) -> bool:
    """Whether no rule that the pass will run reads the numbers of a value that is missing."""
    op = copy.op
    assert op is not None
    if op.variadic:
        return False
    needed = sum(1 << i for i, source in enumerate(copy.inputs) if type(source) is Node)
    reads = op.reads[needed]
    return not any(read and isinstance(value, Spec) for read, value in zip(reads, (*args, copy.value), strict=True))


def _known(source: Any, recording: Recording) -> Any:
    return _value(source, recording) if isinstance(source, Node) else source


def _value(node: Node, recording: Recording) -> Any:
    if type(node.value) is tuple:
        return node.value
    if type(node) is Constant and isinstance(node.value, Spec):
        holder = node.tensor()
        return holder._value if holder is not None and getattr(holder, "_constant", None) is node else node.value
    return recording.value(node)
