"""A function seen as a checker sees it: flat lists of floating-point Tensors in, flat lists out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..core.adjoint import alias
from ..core.define import Op, part
from ..core.graph import Node, reachable
from ..core.reverse import reverse, seeds_of
from ..core.tree import flatten, paths, unflatten
from ..core.values import leaf
from ..tensor.tensor import Tensor, as_array, plain_tensor

Array: TypeAlias = npt.NDArray[Any]


class Problem:
    """A function to check, at a point: `values` are the inputs to differentiate in, those of nests one by one."""

    def __init__(self, f: Callable[..., Any], inputs: Sequence[Any]) -> None:
        self.f = f
        self.name: str = f.name if isinstance(f, Op) else getattr(f, "__name__", type(f).__name__)
        leaves, self._structure = flatten(tuple(inputs))
        self._leaves = [_value(x) for x in leaves]
        self._where = [i for i, x in enumerate(self._leaves) if is_float(x)]
        self.values: list[Array] = [np.asarray(self._leaves[i]) for i in self._where]
        labels = _labels(f, inputs)
        self.labels = [labels[i] for i in self._where]
        if not self.values:
            raise TypeError(f"check_gradients: {self.name} was given no floating-point input to differentiate")

    @classmethod
    def of_op(cls, op: Op, inputs: Sequence[Any], settings: Mapping[str, Any]) -> Problem:
        """One op with its settings."""
        problem = cls(op, inputs)
        problem.f = partial(op, **settings)
        return problem

    def __call__(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The floating-point results for Tensors in the place of `values`."""
        full = list(self._leaves)
        for i, tensor in zip(self._where, tensors, strict=True):
            full[i] = tensor
        outs, _ = flatten(self.f(*unflatten(self._structure, full)))
        for out in outs:
            if not isinstance(out, Tensor):
                raise TypeError(
                    f"check_gradients: {self.name} returned {type(out).__name__}, not a Tensor; compute the result "
                    "from the inputs with Tensor operations, without float(), item() or numpy()"
                )
        return [out for out in outs if out.dtype.kind in "fc"]

    def magnitude(self, outs: Sequence[Tensor], cotangents: Sequence[Array]) -> float:
        """How large the terms of ⟨cotangents, results⟩ are: their sum may cancel, their rounding does not."""
        return sum(float(np.sum(abs(u * out._value))) for u, out in zip(cotangents, outs, strict=True))

    def at(self, values: Sequence[Array]) -> Problem:
        """The same function at another point."""
        moved: Problem = object.__new__(type(self))
        moved.__dict__.update(self.__dict__)
        moved.values = list(values)
        return moved

    def in_double(self) -> Problem:
        """The same point in float64."""
        return self.at([x.astype(np.float64) for x in self.values])


class DirectionalGradient(Problem):
    """⟨w, Jᵀu⟩ as a function of x and u, for fixed directions w: its gradient has the second derivatives.

    u, the gradient that comes in, is an input too: so the derivative of a rule in its `g` is checked as well.
    """

    def __init__(self, base: Problem, cotangents: Sequence[Array], directions: Sequence[Array]) -> None:
        self.base = base
        self.name = base.name
        self.values = [*base.values, *cotangents]
        self.labels = [*base.labels, *(["the gradient g that comes in"] * len(cotangents))]
        self.directions = list(directions)
        self._terms = 0.0

    def __call__(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        count = len(self.base.values)
        gradients = pull(self.base, tensors[:count], tensors[count:], record=True)
        terms = [g * w.astype(g.dtype) for g, w in zip(gradients, self.directions, strict=True)]
        self._terms = sum(float(np.sum(abs(term._value))) for term in terms)
        total = terms[0].sum()
        for term in terms[1:]:
            total = total + term.sum()
        return [total]

    def magnitude(self, outs: Sequence[Tensor], cotangents: Sequence[Array]) -> float:
        """That of the terms of the last call."""
        return self._terms * float(abs(cotangents[0]))


def pull(problem: Problem, tensors: Sequence[Tensor], cotangents: Sequence[Any], *, record: bool) -> list[Any]:
    """Gradients of ⟨cotangents, results⟩ in each input, by the reverse pass; recorded as Tensors if asked for."""
    # Complex values are welcome: so an analytic gradient can itself be checked by a complex step.
    inputs: list[Tensor] = [as_leaf(x._value) if x._node is None else alias(x) for x in tensors]
    seeds = seeds_of(problem(inputs), cotangents)
    nodes = [x._node for x in inputs if x._node is not None]
    by_node = reverse(seeds, targets=nodes, record=record) if seeds else {}
    zeros = [np.zeros(x.shape, x.dtype)[()] for x in inputs]
    gradients = [by_node.get(node, zero) for node, zero in zip(nodes, zeros, strict=True)]
    return [g if isinstance(g, Tensor) or not record else plain_tensor(g) for g in gradients]


def as_leaf(value: Any) -> Tensor:
    """A leaf that records, of any dtype."""
    tensor = plain_tensor(np.asarray(value)[()] if np.ndim(value) == 0 else value)
    tensor._node = leaf(tensor)
    return tensor


def unconformed(problem: Problem, cotangents: Sequence[Any]) -> list[Array] | None:
    """What the rules of a function of a single op give, as they are, though the engine refuse their shapes.

    None if they raise too, or the function has several ops.
    """
    inputs = [as_leaf(x) for x in problem.values]
    nodes = [node for node in recorded(problem(inputs)) if node.op is not None]
    if len(nodes) != 1 or nodes[0].op is None or nodes[0].op.rules is None:
        return None
    node, rules = nodes[0], nodes[0].op.rules
    try:
        gradients = {
            source: np.asarray(rule(cotangents[0][()], node.value, *node.args, **(node.params or {})))
            for source, rule in zip(node.inputs, rules, strict=True)
            if isinstance(source, Node) and rule is not None
        }
        return [gradients[x._node] if x._node in gradients else np.zeros(x.shape) for x in inputs]
    except Exception:
        return None


def recorded(outs: Sequence[Tensor]) -> list[Node]:
    """All nodes that some results were made from, oldest first."""
    nodes, _ = reachable([out._node for out in outs if out._node is not None])
    return nodes


def is_analytic(nodes: Sequence[Node]) -> bool:
    """Whether every op of a graph takes complex input and is complex differentiable."""
    return all(node.op is None or node.op.analytic or node.op is part for node in nodes)


def is_float(x: Any) -> bool:
    """Whether this is an array or a NumPy scalar of floating point."""
    return getattr(x, "dtype", np.dtype(bool)).kind == "f"


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape that some shapes broadcast to, or None."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None


def _value(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x._value
    if isinstance(x, float):
        return np.float64(x)
    return as_array(x, copy=False) if isinstance(x, np.ndarray) else x


def _labels(f: Callable[..., Any], inputs: Sequence[Any]) -> list[str]:
    """A name for each leaf of the inputs: ``input 0 (x)``, ``input 1['weight']``."""
    names: Sequence[str] = ()
    if isinstance(f, Op):
        names = f.input_names[: len(f.input_names) - f.variadic]
    elif hasattr(f, "__code__"):
        names = f.__code__.co_varnames[: f.__code__.co_argcount]
    labels = []
    for i, tree in enumerate(inputs):
        stem = f"input {i} ({names[i]})" if i < len(names) else f"input {i}"
        labels += [stem + path for path in paths(flatten(tree)[1])]
    return labels
