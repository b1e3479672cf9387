"""A recorded graph computed again, from its ops and settings alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.define import Op, part
from ..core.graph import Node, Spec
from ..tensor.tensor import Tensor
from .problem import recorded


def replay(outs: Sequence[Tensor], inputs: Mapping[Tensor, Any] | None = None) -> list[Any]:
    """The values of some results, computed again from the graph that they recorded.

    Parameters
    ----------
    outs : sequence of Tensor
    inputs : mapping of Tensor to array
        New values for some leaves; the others keep theirs.

    Raises
    ------
    ValueError
        If the graph did not keep the value of a constant that is needed: one that is large, and that no derivative
        reads.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn.testing import replay
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> y = tg.exp(x * x)
    >>> replay([y], {x: 0.0})
    [np.float64(1.0)]
    """
    values = _values(recorded(outs), {tensor._node: value for tensor, value in (inputs or {}).items()})
    return [out._value if out._node is None else values[out._node] for out in outs]


def _values(nodes: Sequence[Node], inputs: Mapping[Any, Any]) -> dict[Node, Any]:
    values: dict[Node, Any] = {}
    for node in nodes:
        if node in inputs:
            values[node] = inputs[node]
        elif node.op is None:
            values[node] = _known(node.value, node.value, "leaf")
        elif node.op is part:
            values[node] = values[node.x][(node.params or {})["index"]]
        else:
            values[node] = node.op.kernel(*_arguments(node, values), **(node.params or {}))
    return values


def _arguments(node: Node, values: Mapping[Node, Any]) -> list[Any]:
    """The values that a node was applied to, from those of the nodes before it."""
    return [
        values[source] if type(source) is Node else _known(getattr(source, "value", source), arg, "constant")
        for source, arg in zip(node.inputs, node.args, strict=True)
    ]


def _known(value: Any, arg: Any, what: str) -> Any:
    for candidate in (value, arg):
        if type(candidate) is not Spec:
            return candidate
    raise ValueError(f"the graph did not keep the value of a {what} of shape {value.shape}, so it cannot be replayed")


def single_ops(outs: Sequence[Tensor]) -> list[tuple[Op, list[Any], dict[str, Any]]]:
    """Each application of an op in a graph, with the values it was applied to; empty if they were not all kept."""
    nodes = recorded(outs)
    try:
        values = _values(nodes, {})
        return [
            (node.op, _arguments(node, values), node.params or {})
            for node in nodes
            if node.op is not None and node.op is not part
        ]
    except ValueError:
        return []
