"""Hypothesis strategies: Tensors, shapes that broadcast, cases of the domain table, and whole programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from ..core.define import Op, registry
from ..tensor.tensor import Tensor
from .cases import row_of
from .problem import Array, broadcast
from .rows import LAYOUTS, Case, Domain, Shape

__all__ = ["Program", "arrays", "broadcastable", "cases", "graphs", "shapes", "tensors"]


@st.composite
def shapes(draw: st.DrawFn, *, max_dims: int = 3, max_side: int = 4, min_side: int = 0) -> Shape:
    """Shapes of few, short axes: without axes, and with axes of length 0 and 1, too."""
    return tuple(draw(st.lists(st.integers(min_side, max_side), max_size=max_dims)))


@st.composite
def arrays(
    draw: st.DrawFn,
    shape: Shape | st.SearchStrategy[Shape] | None = None,
    *,
    domain: Domain | None = None,
    dtype: npt.DTypeLike = np.float64,
) -> Array:
    """Arrays of a shape with elements of a domain; contiguous, strided, reversed or transposed in memory."""
    where = draw(shapes()) if shape is None else draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values: Array = np.asarray((domain or Domain()).sample(rng, where)).astype(dtype)
    if not where:
        return values
    layout = draw(st.sampled_from(["C", *LAYOUTS]))
    return LAYOUTS[layout](values) if layout in LAYOUTS else values


@st.composite
def tensors(
    draw: st.DrawFn,
    shape: Shape | st.SearchStrategy[Shape] | None = None,
    *,
    domain: Domain | None = None,
    dtype: npt.DTypeLike = np.float64,
    requires_grad: bool | None = None,
) -> Tensor:
    """Tensors.

    Parameters
    ----------
    shape : tuple of int, or a strategy for one
        Random unless given.
    domain : Domain
        Of the elements: numbers in [-2, 2] unless given.
    dtype : dtype
    requires_grad : bool
        Random unless given.

    Examples
    --------
    >>> from hypothesis import given
    >>> from tinygrad_nn.testing import strategies
    >>> @given(strategies.tensors((2, 3)))
    ... def test_shape(t):
    ...     assert t.T.shape == (3, 2)
    >>> test_shape()
    """
    values = draw(arrays(shape, domain=domain, dtype=dtype))
    return Tensor(values, requires_grad=draw(st.booleans()) if requires_grad is None else requires_grad)


@st.composite
def broadcastable(draw: st.DrawFn, count: int = 2, *, max_dims: int = 3, max_side: int = 4) -> tuple[Shape, ...]:
    """So many shapes that broadcast together: with axes left out, or of length 1, at random."""
    full = draw(shapes(max_dims=max_dims, max_side=max_side))
    group = []
    for _ in range(count):
        kept = full[draw(st.integers(0, len(full))) :]
        group.append(tuple(1 if draw(st.booleans()) else n for n in kept))
    return tuple(group)


@st.composite
def cases(draw: st.DrawFn, op: str | Op) -> Case:
    """Example inputs for an op: a case of its row in the domain table, with random elements."""
    row = row_of(op)
    number = draw(st.integers(0, len(row.cases) - 1))
    return row.case(number, np.random.default_rng(draw(st.integers(0, 2**32 - 1))))


#: What random programs are made of: smooth functions that keep numbers in [-2, 2] about there.
_UNARY = ("sin", "cos", "tanh", "sigmoid", "negative", "arctan", "softplus")
_BINARY = ("add", "subtract", "multiply", "maximum", "hypot")
_REDUCE = ("sum", "mean", "logsumexp", "var")


@dataclass(frozen=True)
class Program:
    """A random program: each step applies an op to earlier values.

    Attributes
    ----------
    inputs : tuple of array
    steps : tuple of (name, positions)
        The op, and which of the inputs and earlier results it takes.
    """

    inputs: tuple[Array, ...]
    steps: tuple[tuple[str, tuple[int, ...]], ...]

    def __call__(self, *inputs: Any) -> Any:
        """Run it on Tensors or arrays; the result is the sum of what the last steps give."""
        values: list[Any] = list(inputs)
        for name, where in self.steps:
            op, operands = registry[name], [values[i] for i in where]
            values.append(op(*operands, axis=-1) if name in _REDUCE and np.ndim(operands[0]) else op(*operands))
        used = {i for _, where in self.steps for i in where}
        ends: Sequence[Any] = [registry["mean"](v) for i, v in enumerate(values) if i not in used]
        total = ends[0]
        for end in ends[1:]:
            total = total + end
        return total

    def __repr__(self) -> str:
        lines = [f"x{i} = <{x.dtype}{list(x.shape)}>" for i, x in enumerate(self.inputs)]
        for k, (name, where) in enumerate(self.steps, len(self.inputs)):
            lines.append(f"x{k} = {name}({', '.join(f'x{i}' for i in where)})")
        return "Program(\n    " + "\n    ".join(lines) + "\n)"


@st.composite
def graphs(draw: st.DrawFn, *, max_inputs: int = 3, max_steps: int = 12, max_side: int = 3) -> Program:
    """Random programs of smooth ops on arrays that broadcast, with values used once, several times, or twice at once.

    With ``max_side=0`` all values are numbers.

    Examples
    --------
    >>> from hypothesis import given
    >>> from tinygrad_nn.testing import check_gradients, strategies
    >>> @given(strategies.graphs(max_steps=4))
    ... def test_programs(program):
    ...     check_gradients(program, *program.inputs, order=1)
    >>> test_programs()
    """
    side = draw(st.integers(1, max_side)) if max_side else 0
    choices: list[Shape] = [(), (side,), (2, side), (2, 1)] if side else [()]
    count = draw(st.integers(1, max_inputs))
    shapes_of = [draw(st.sampled_from(choices)) for _ in range(count)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs = tuple(Domain(0.3, 1.7).sample(rng, shape) for shape in shapes_of)
    steps: list[tuple[str, tuple[int, ...]]] = []
    for _ in range(draw(st.integers(1, max_steps))):
        name = draw(st.sampled_from((*_UNARY, *_BINARY, *_REDUCE)))
        x = draw(st.integers(0, len(shapes_of) - 1))
        shape = shapes_of[x]
        if name in _BINARY:
            y = draw(st.sampled_from([i for i, other in enumerate(shapes_of) if broadcast(shape, other) is not None]))
            steps.append((name, (x, y)))
            shapes_of.append(np.broadcast_shapes(shape, shapes_of[y]))
        else:
            steps.append((name, (x,)))
            shapes_of.append(shape[:-1] if name in _REDUCE else shape)
    return Program(inputs, tuple(steps))
