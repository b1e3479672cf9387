"""The forward pass: tangents carried from inputs to results along a recorded graph, oldest node first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.adjoint import broadcast_to, keep_zeros
from ..core.define import Op, part
from ..core.graph import FREED, Node, mode, modes, reachable
from ..core.reverse import args_as_tensors, conform, reverse, stale
from ..core.values import leaf
from ..tensor.tensor import Tensor, plain_tensor


def push_forward(results: Sequence[Node], tangents: Mapping[Node, Any], since: int) -> dict[Node, Any]:
    """Tangents of all nodes between those of `tangents` and `results`; one that no tangent reaches is missing.

    They are Tensors, and the pass is recorded, if the graph goes further back than the creation number `since`, beyond
    which it is not read.
    """
    order, older = reachable(results, since)
    connected = any(isinstance(t, Tensor) and t._node is not None for t in tangents.values())
    record = modes.recording and (older or connected)
    pushed = {node: _as(tangent, record) for node, tangent in tangents.items()}
    with np.errstate(all="ignore"), mode("recording", True):
        for node in order:
            if node not in pushed and node.op is not None:
                incoming = [pushed.get(source) if type(source) is Node else None for source in node.inputs]
                if any(tangent is not None for tangent in incoming):
                    pushed[node] = _push(node, node.op, incoming, record)
    return pushed


def _as(tangent: Any, record: bool) -> Any:
    if record:
        return tangent if isinstance(tangent, Tensor) else plain_tensor(tangent)
    return tangent._value if isinstance(tangent, Tensor) else tangent


def _push(node: Node, op: Op, incoming: list[Any], record: bool) -> Any:
    """The tangent of one node's result from those of its inputs, None where an input has none."""
    if node.a is FREED:
        raise RuntimeError(stale(node))
    params = node.params or {}
    for value in node.value if type(node.value) is tuple else (node.value,):
        if value.dtype.kind == "c":
            raise TypeError(
                f"forward mode met complex numbers, in the result of {op.name}: derivatives are defined for real "
                "floating-point Tensors; compute real and imaginary parts by themselves"
            )
    args, out = args_as_tensors(node) if record else (node.args, node.value)
    if op is part:
        return incoming[0][params["index"]]
    if op.forward_rule is not None:
        tangent = op.forward_rule(incoming, out, *args, **params)
    elif op.elementwise and op.rules is not None:
        tangent = _push_elementwise(op, incoming, out, args, params)
    elif op.linear == "jointly":
        whole = [np.zeros(v.shape, v.dtype) if t is None else t for t, v in zip(incoming, _shapes(node))]
        tangent = op(*whole, **params)
    elif op.linear == "separately":
        terms = [op(*args[:i], t, *args[i + 1 :], **params) for i, t in enumerate(incoming) if t is not None]
        tangent = sum(terms[1:], terms[0])
    else:
        return _push_transposed(node, op, incoming, out, args, record)
    if type(node.value) is tuple:
        return tuple(_conform(t, value, record) for t, value in zip(tangent, node.value))
    return _conform(tangent, node.value, record)


def _shapes(node: Node) -> list[Any]:
    """For each input something that has its shape and dtype."""
    return [source.value if isinstance(source, Node) else np.asarray(source) for source in node.inputs]


def _push_elementwise(op: Op, incoming: list[Any], out: Any, args: Any, params: dict[str, Any]) -> Any:
    """Local derivatives of an elementwise op are diagonal: each rule carries a tangent as it carries a gradient."""
    total = None
    for tangent, rule in zip(incoming, op.rules or ()):
        if tangent is None or rule is None:
            continue
        if tangent.shape != out.shape:
            tangent = broadcast_to(tangent, shape=out.shape)
        term = rule(tangent, out, *args, **params)
        if op.singular:
            term = keep_zeros(tangent, term)
        total = term if total is None else total + term
    return np.zeros(out.shape, out.dtype) if total is None else total


def _push_transposed(node: Node, op: Op, incoming: list[Any], out: Any, args: Any, record: bool) -> Any:
    """Forward mode of any op, from its reverse rules alone.

    With a dummy gradient u the rules give Jᵀu, which is linear in u; the derivative of ⟨Jᵀu, t⟩ in u is then J t.
    Source: J. Townsend, "A new trick for calculating Jacobian vector products", 2017.
    """
    if not record:  # constants, but Tensors: an array on the left of u would take the longer way through NumPy
        args, out = [_as_constant(x) for x in args], _as_constant(out)
    several = type(node.value) is tuple
    dummies = []
    for value in node.value if several else (node.value,):
        dummy = plain_tensor(np.zeros(value.shape, value.dtype)[()])
        if value.dtype.kind == "f":
            dummy._node = leaf(dummy)
        dummies.append(dummy)
    g: Any = tuple(dummies) if several else dummies[0]
    total: Any = None
    for value, tangent, gradient in zip(_shapes(node), incoming, _pull(node, op, g, out, args, incoming)):
        if tangent is not None and gradient is not None:
            if not isinstance(gradient, Tensor):
                continue  # does not depend on u: zero
            term = (conform(gradient, value, op, record=True) * tangent).sum()
            total = term if total is None else total + term
    targets = [dummy._node for dummy in dummies if dummy._node is not None]
    pushed: dict[Any, Any] = {}
    if total is not None and total._node is not None:
        pushed = reverse({total._node: total.dtype.type(1)}, targets=targets, record=record)
    tangents = [_as(pushed.get(d._node, np.zeros(d.shape, d.dtype)[()]), record) for d in dummies]
    return tuple(tangents) if several else tangents[0]


def _as_constant(x: Any) -> Any:
    return plain_tensor(x) if isinstance(x, np.ndarray | np.generic) else x


def _pull(node: Node, op: Op, g: Any, out: Any, args: Any, incoming: list[Any]) -> Any:
    params = node.params or {}
    if op.joint is not None:
        return op.joint(tuple(t is not None for t in incoming), g, out, *args, **params)
    if op.rules is None:
        raise RuntimeError(f"{op.name} has no derivatives; give them with {op.name}.derivatives(...)")
    return [None if t is None or rule is None else rule(g, out, *args, **params) for t, rule in zip(incoming, op.rules)]


def _conform(tangent: Any, value: Any, record: bool) -> Any:
    """A tangent in the shape, dtype and kind that belong to a result."""
    tangent = _as(tangent, record)
    if tangent.shape != value.shape:
        tangent = broadcast_to(tangent, shape=value.shape)
    return tangent.astype(value.dtype) if tangent.dtype != value.dtype else tangent
