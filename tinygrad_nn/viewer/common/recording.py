"""A recording as people are told of it: its nodes, each with a name and as much of its value as is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...core.define import part
from ...core.errors import show
from ...core.expression import derivative, expression
from ...core.formula import Formula, constant, symbol
from ...core.graph import Constant, Node, Spec, reachable
from ...tensor.tensor import Tensor
from .calls import find_calls
from .names import Holders, distinct, numbered
from .values import clean


def check_recorded(t: object, reader: str, purpose: str) -> None:
    """Refuse what has no recording that a function could read: no Tensor, a leaf, or what was computed without."""
    if not isinstance(t, Tensor):
        raise TypeError(f"{reader} takes a Tensor, not {type(t).__name__}; results of arrays alone are not recorded")
    if t._node is None or t._node.op is None:
        what = "is a leaf" if t._node is not None else "recorded nothing"
        raise ValueError(
            f"{reader}: this Tensor, {show(t._value)}, {what}: there is nothing to {purpose}. Give a result that was "
            "computed, outside no_grad(), from a Tensor with requires_grad=True"
        )


class Recording:
    """The graph that a Tensor was computed by.

    Attributes
    ----------
    root : Node
    nodes : list of Node
        All that the Tensor was computed from, constants included, oldest first.
    same : dict of Node to Node
        For a constant that stands for the same array as an earlier one, that one.
    calls, made_in
        The module calls, and for each node made in one the index of the innermost.
    names : dict of Node to str
        No two the same.
    """

    def __init__(self, tensor: Tensor, holders: Holders) -> None:
        assert tensor._node is not None
        self.root = tensor._node
        self.tensor = tensor
        self.holders = holders
        self.nodes, self.same = _all_nodes(self.root)
        self.kept = _kept_for_rules(self.nodes)
        self.calls, self.made_in = find_calls(self.nodes, holders)
        self.names = _name_all(self.nodes, holders)

    def value(self, node: Node) -> Any:
        """The value of a node: its own, that kept for a derivative, or that of the Tensor which still holds it."""
        value = self.kept.get(node, node.value)
        if isinstance(value, Spec):
            holder = self.holder(node)
            if holder is not None and (holder._node is node or (type(node) is Constant and _still_holds(holder, node))):
                return holder._value
        return value

    def holder(self, node: Node) -> Tensor | None:
        """The Tensor of a node, as far as it is still there."""
        if node is self.root:
            return self.tensor
        held = self.holders.tensor(node)
        return node.tensor() if held is None and node.op is None else held

    def operand(self, source: Any) -> Formula:
        """What an operation was applied to, by its name; a plain number as it is."""
        if isinstance(source, Node):
            return symbol(self.names[self.same.get(source, source)])
        plain = isinstance(source, bool | int | float | complex | np.generic)
        return constant(source) if plain else Formula("text", str(source))

    def expression(self, node: Node) -> Formula:
        """What made a node, as a formula of its inputs."""
        assert node.op is not None
        return expression(node.op, list(map(self.operand, node.inputs)), node.params or {})

    def derivative(self, node: Node, position: int, **settings: Any) -> Formula | None:
        """The local derivative of a node to one of its inputs, None if the operation tells no formula of it."""
        assert node.op is not None
        inputs, out = list(map(self.operand, node.inputs)), symbol(self.names[node])
        return derivative(node.op, position, inputs, shapes_of(node), out, {**(node.params or {}), **settings})


def _all_nodes(root: Node) -> tuple[list[Node], dict[Node, Node]]:
    """Nodes and constants, oldest first, and for a constant that stands for the same array as another one that one."""
    nodes, _ = reachable([root])
    constants = {source: None for node in nodes for source in node.inputs if type(source) is Constant}
    first: dict[tuple[str, int], Node] = {}
    same: dict[Node, Node] = {}
    for one in sorted(constants, key=lambda node: node.order):
        known = first.setdefault(_identity(one), one)
        if known is not one:
            same[one] = known
    return sorted([*nodes, *first.values()], key=lambda node: node.order), same


def _kept_for_rules(nodes: list[Node]) -> dict[Node, Any]:
    """Values that the operations using them have kept: of large results, and of arrays that the user could change."""
    kept: dict[Node, Any] = {}
    for node in nodes:
        if node.op is not None and node.op is not part:
            for source, value in zip(node.inputs, node.args):
                if isinstance(value, np.ndarray) and isinstance(source, Node):
                    changeable = type(source) is Constant and source.tensor() is None
                    if changeable or isinstance(source.value, Spec):
                        kept[source] = value
    return kept


def _identity(constant: Constant) -> tuple[str, int]:
    """What makes two constants one: an array without a record of its own is noted anew wherever it is used."""
    holder = constant.tensor()
    if isinstance(constant.value, np.ndarray):
        return "value", id(constant.value)
    if holder is not None and getattr(holder, "_constant", None) is None and _still_holds(holder, constant):
        return "tensor", id(holder)
    return "node", id(constant)


def _still_holds(holder: Tensor, constant: Constant) -> bool:
    """Whether a Tensor has the value that a constant was noted for."""
    known = getattr(holder, "_constant", None)
    if known is not None or holder._node is not None:
        return known is constant
    return bool(holder.shape == constant.value.shape and holder.dtype == constant.value.dtype)


def _name_all(nodes: list[Node], holders: Holders) -> dict[Node, str]:
    """A name for each node, no two the same: the user's, else one from its position among those of its kind."""
    names: dict[Node, str] = {}
    taken: set[str] = set()
    count = {"v": 0, "x": 0, "c": 0}
    for node in nodes:
        letter = "v" if node.op is not None else "c" if type(node) is Constant else "x"
        if node.op is not None and type(node.value) is tuple:
            names[node] = ""  # its several results have names
            continue
        count[letter] += 1
        names[node] = distinct(clean(holders.name(node)) or numbered(letter, count[letter]), taken)
    return names


def shapes_of(node: Node) -> list[tuple[int, ...]]:
    """The shapes of what an operation was applied to."""
    values = [source.value if isinstance(source, Node) else source for source in node.inputs]
    return [() if isinstance(value, tuple) else np.shape(value) for value in values]


def local_derivative(node: Node, position: int) -> float | None:
    """The number ∂(result)/∂(input) where all are scalars, by the operation's own rule; None where it is not known."""
    values = list(_scalars(node))
    out, op = node.value, node.op
    assert op is not None
    if any(value is None for value in values) or isinstance(out, Spec | tuple) or np.ndim(out) != 0:
        return None
    if np.asarray(out).dtype.kind != "f":
        return None
    seed = np.asarray(out).dtype.type(1)
    try:
        with np.errstate(all="ignore"):
            if op.rules is not None:
                rule = op.rules[position]
                result = rule(seed, out, *values, **(node.params or {})) if rule is not None else None
            elif op.joint is not None:
                needed = tuple(i == position for i in range(len(values)))
                result = op.joint(needed, seed, out, *values, **(node.params or {}))[position]
            else:
                result = None
            return None if result is None else float(result)
    except Exception:  # a user's rule can fail in any way; the formula is then shown alone
        return None


def _scalars(node: Node) -> Iterator[Any]:
    """The values of all inputs, None for one that is no scalar."""
    for source in node.inputs:
        value = source.value if isinstance(source, Node) else source
        yield None if isinstance(value, Spec | tuple) or np.ndim(value) != 0 else value
