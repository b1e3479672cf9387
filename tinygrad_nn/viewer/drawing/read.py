"""Reads a recording into the plain model of a drawing."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.define import part
from ...core.expression import changed
from ...core.formula import number
from ...core.graph import FREED, Constant, Node, Spec
from ...tensor.tensor import Tensor
from ..common.names import Holders
from ..common.recording import Recording, local_derivative
from ..common.values import clean, summarise
from .model import Box, Edge, Graph, Kind, Result


def read(tensor: Tensor, holders: Holders) -> Graph:
    """The graph that `tensor` was computed by, complete: every leaf, operation, edge and module call."""
    return _Reader(tensor, holders).graph()


_NOT_KEPT = "not kept: large; retain_grad() or tg.keep_values() before backward() keeps it"


class _Reader(Recording):
    """One pass over a recording, oldest node first, so that inputs are known before what is made from them."""

    def __init__(self, tensor: Tensor, holders: Holders) -> None:
        super().__init__(tensor, holders)
        root = self.root
        self.backward = hasattr(root, "grad") or root.a is FREED
        self.boxes: list[Box] = []
        self.edges: list[Edge] = []
        self.place: dict[Node, tuple[Box, int]] = {}  # the box of a node, and which of its results it is
        self.reaching: dict[Node, list[float | None]] = {}  # what each edge adds to a gradient, None where unknown

    def graph(self) -> Graph:
        parts: dict[Node, list[Node]] = {}
        for node in self.nodes:
            if node.op is part:
                parts.setdefault(node.x, []).append(node)
        for node in self.nodes:
            if node.op is None:
                self._add_leaf(node)
            elif node.op is not part:
                self._add_operation(node, parts.get(node, []))
        self._check_gradients()
        graph = Graph(self.boxes, self.edges, self.calls, self.place[self.root][0].id, self.backward)
        self._put_leaves_inside(graph)
        return graph

    # --- leaves ------------------------------------------------------------------------------------------------------

    def _add_leaf(self, node: Node) -> None:
        kind: Kind = "constant" if type(node) is Constant else "variable"
        if self.holders.is_module_member(node) and kind == "variable":
            kind = "parameter"
        name = self.names[node]
        box = Box(f"n{len(self.boxes) + 1}", kind, name, node.order, source=_source(node))
        box.results.append(self._result(node))
        self.boxes.append(box)
        self.place[node] = box, 0

    def _check_gradients(self) -> None:
        """Tell apart the derivative of what is drawn and what other passes have left or added."""
        for node, contributions in self.reaching.items():
            box, index = self.place[node]
            result = box.results[index]
            reached = [part for part in contributions if part is not None]
            if node is self.root or len(reached) < len(contributions) or result.gradient is None:
                continue
            whole = float(result.gradient.numbers)
            if abs(whole - sum(reached)) > 1e-4 * max(abs(whole), sum(map(abs, reached))):
                result.gradient_name = _undirected(node, result.name)
                result.gradient_note = (
                    f"not by this graph's last backward() alone, which gives {number(sum(reached))}: "
                    "other passes added to it or came later, or a hook changed it"
                )

    # --- operations --------------------------------------------------------------------------------------------------

    def _add_operation(self, node: Node, parts: list[Node]) -> None:
        op = node.op
        assert op is not None
        box = Box(f"n{len(self.boxes) + 1}", "operation", clean(str(self.expression(node))), node.order)
        box.op = clean(op.name.lstrip("_"))
        box.settings = {key: clean(value) for key, value in changed(op, node.params or {}).items()}
        box.source = _source(node)
        box.call = self.made_in.get(node)
        self.boxes.append(box)
        for result in parts or [node]:
            self.place[result] = box, len(box.results)
            box.results.append(self._result(result))
            box.results[-1].is_root = result is self.root
            box.is_root = box.is_root or result is self.root
            if box.call is None:
                box.call = self.made_in.get(result)
        box.outputs = _outputs(node, parts, self.names)
        for position, source in enumerate(node.inputs):
            if isinstance(source, Node):
                self._add_edge(node, box, position, self.same.get(source, source))

    def _add_edge(self, node: Node, target: Box, position: int, source: Node) -> None:
        op = node.op
        assert op is not None
        box, result = self.place[source]
        edge = Edge(box.id, target.id, result, position)
        self.edges.append(edge)
        if type(source) is Constant or (op.rules is not None and op.rules[position] is None):
            return
        edge.differentiable = True
        edge.symbol = f"∂{target.name}/∂{self.names[source]}"
        if node not in self.place:  # one of several results, each with derivatives of its own
            edge.symbol = f"∂({target.outputs})/∂{self.names[source]}"
        else:
            edge.formula = clean(str(self.derivative(node, position) or ""))
            edge.derivative = local_derivative(node, position)
            outgoing = _gradient(node)
            if edge.derivative is not None and outgoing is not None and self.backward:
                edge.contribution = edge.derivative * float(outgoing)
        self.reaching.setdefault(source, []).append(edge.contribution)

    # --- values ------------------------------------------------------------------------------------------------------

    def _result(self, node: Node) -> Result:
        name = self.names[node]
        result = Result(name, summarise(self.value(node)))
        if type(node) is Constant:
            return result
        seed = getattr(self.root, "grad", None)
        derived = seed is None or (np.ndim(seed) == 0 and float(seed) == 1.0)
        result.gradient_name = f"∂{self.names[self.root]}/∂{name}" if derived else _undirected(node, name)
        if not derived:
            result.gradient_note = f"of what backward() was called on, which is not {self.names[self.root]}"
        gradient = self._gradient(node)
        if not self.backward:
            if gradient is not None:
                result.gradient_note = f"{name}.grad is set, but not by a backward() from {self.names[self.root]}"
        elif gradient is not None:
            result.gradient = summarise(gradient)
        else:
            large = isinstance(node.value, Spec) and node.op is not None
            result.gradient_note = _NOT_KEPT if large else "no gradient came here, or it was cleared"
        return result

    def _gradient(self, node: Node) -> Any:
        gradient = _gradient(node)
        if gradient is None:
            holder = self.holder(node)
            if holder is not None and holder._node is node and holder.grad is not None:
                return holder.grad._value
        return gradient

    # --- module calls ------------------------------------------------------------------------------------------------

    def _put_leaves_inside(self, graph: Graph) -> None:
        """Draw parameters, buffers and arrays of a module's own in the innermost call that all their users lie in."""
        by_id = {box.id: box for box in graph.boxes}
        users: dict[str, list[int | None]] = {}
        entered: set[int] = set()  # calls that something computed, or held by a variable, goes into
        leaves = {self.place[node][0].id: node for node in self.nodes if node.op is None}
        members = {id_ for id_, node in leaves.items() if self.holders.is_module_member(node)}
        unheld = {id_ for id_, node in leaves.items() if type(node) is Constant and self._is_unheld(node)} - members
        for edge in graph.edges:
            call = by_id[edge.target].call
            if edge.source in members or edge.source in unheld:
                users.setdefault(edge.source, []).append(call)
            else:
                entered.update(set(graph.around(call)) - set(graph.around(by_id[edge.source].call)))
        for id_, calls in users.items():
            call = graph.common(calls)
            # an array that nobody holds is the module's own, a mask say, if it was given something else to work on
            if id_ in members or call in entered:
                by_id[id_].call = call

    def _is_unheld(self, constant: Node) -> bool:
        return constant.tensor() is None and not self.holders.name(constant)


def _outputs(node: Node, parts: list[Node], names: dict[Node, str]) -> str:
    """Left-hand side of the operation's formula: names of its results, an underscore for one that is not used here."""
    if not parts:
        return names[node]
    by_index = {part.params["index"]: names[part] for part in parts if part.params}
    written = [by_index.get(index, "_") for index in range(len(node.value))]
    return ", ".join(written if len(written) <= 4 else [*written[:2], "…", written[-1]])


def _undirected(node: Node, name: str) -> str:
    """How to call a gradient of something else than what is drawn."""
    return f"gradient of {name}" if node.op is not None else f"{name}.grad"


def _gradient(node: Node) -> Any:
    """The gradient that a node or the Tensor it stands for has kept, None if there is none."""
    tensor = getattr(node, "tensor", None)
    holder = tensor() if tensor is not None else None
    if holder is not None and holder.grad is not None:
        return holder.grad._value
    gradient = getattr(node, "grad", None)
    return None if isinstance(gradient, tuple) else gradient


def _source(node: Node) -> str:
    return clean(str((node.extra or {}).get("source", "")))
