"""Programs run again through the dispatch, on Tensors: so they are recorded anew, and differentiated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...autodiff.forward import push_forward
from ...core.adjoint import alias
from ...core.graph import mode, modes, next_order
from ...core.reverse import reverse, seeds_of
from ...core.store import read
from ...core.values import leaf
from ...tensor.tensor import Tensor, plain_tensor
from ..ir import Program, Var, value_of
from .traced import Traced


def replay(program: Program, values: Sequence[Any]) -> list[Any]:
    """The results of a program on Tensors, through the dispatch, so that they are recorded and differentiable."""
    known: dict[Var, Any] = dict(zip(program.inputs, values, strict=True))
    for step in program.steps:
        out = step.op(*(value_of(x, known) for x in step.inputs), **step.params)
        known.update(zip(step.outputs, out if len(step.outputs) > 1 else (out,), strict=True))
    return [value_of(x, known) for x in program.results]


def pull(program: Program, inputs: Sequence[Any], wanted: Sequence[int], seeds: Sequence[Any]) -> list[Any]:
    """Gradients of the wanted inputs of a program, given those of its results; None where there is none."""
    start = next_order()
    args = list(inputs)
    for i in wanted:
        args[i] = _differentiable(args[i])
    with mode("recording", True):
        outs = replay(program, args)
    grads = seeds_of(outs, seeds)
    record = modes.recording and any(isinstance(seed, Tensor) and seed._node is not None for seed in grads.values())
    nodes = [args[i]._node for i in wanted]
    result = reverse(grads, targets=nodes, record=record, since=start) if grads else {}
    return [as_tensor(result.get(node)) for node in nodes]


def push(program: Program, inputs: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Results of a program, and their derivatives along tangents of its inputs; None where there is none."""
    start = next_order()
    args = [x if t is None else _differentiable(x) for x, t in zip(inputs, tangents, strict=True)]
    with mode("recording", True):
        outs = replay(program, args)
    roots = [out._node if isinstance(out, Tensor) else None for out in outs]
    seeds: dict[Any, Any] = {x._node: t for x, t in zip(args, tangents, strict=True) if t is not None}
    pushed = push_forward([root for root in roots if root is not None], seeds, start)
    return outs, [None if root is None else as_tensor(pushed.get(root)) for root in roots]


def _differentiable(x: Any) -> Tensor:
    """A Tensor of the same value, to differentiate with respect to."""
    if modes.recording and x._node is not None:
        result: Tensor = alias(x)
        return result
    tensor = plain_tensor(read(x))
    tensor._node = leaf(tensor)
    return tensor


def as_tensor(x: Any) -> Any:
    """A Tensor around a stand-in; anything else is as it was."""
    return plain_tensor(x) if type(x) is Traced else x
