"""A second way to differentiate, as plain as can be: each value carries its whole Jacobian with respect to every leaf.

Nothing is recorded and nothing goes backwards, so that it shares no idea with the library, and no mistake. It also
keeps account of which operations a backward pass has used up. For tests only: time and memory are wasted freely.
"""

import itertools

import numpy as np

UNARY = {
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda x: -np.sin(x)),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    "negative": (np.negative, lambda x: -np.ones_like(x)),
    "square": (np.square, lambda x: 2 * x),
    "absolute": (np.abs, np.sign),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
}
BINARY = {
    "add": (np.add, lambda x, y: 1.0, lambda x, y: 1.0),
    "subtract": (np.subtract, lambda x, y: 1.0, lambda x, y: -1.0),
    "multiply": (np.multiply, lambda x, y: y, lambda x, y: x),
    "divide": (np.divide, lambda x, y: 1 / y, lambda x, y: -x / y**2),
    "maximum": (
        np.maximum,
        lambda x, y: (x > y) + 0.5 * (x == y),
        lambda x, y: (y > x) + 0.5 * (x == y),
    ),
}


class Naive:
    """A value, its Jacobian for each leaf (shape of the value, then that of the leaf), and the operations behind it."""

    numbers = itertools.count()

    def __init__(self, value, jacobians=None, behind=frozenset()):
        self.value = np.asarray(value, float)
        self.jacobians = jacobians or {}
        self.behind = behind | {next(self.numbers)} if jacobians else frozenset()

    @classmethod
    def leaf(cls, value, name):
        made = cls(value)
        size = made.value.size
        made.jacobians = {name: np.eye(size).reshape(made.value.shape * 2)}
        return made

    @property
    def requires_grad(self):
        return bool(self.jacobians)

    def linear(self, change):
        """The result of a linear change of the axes: it acts on the Jacobian's first axes as on the value."""
        jacobians = {}
        for name, j in self.jacobians.items():
            shape = j.shape[self.value.ndim :]
            columns = j.reshape((*self.value.shape, -1))
            done = [change(columns[..., k]) for k in range(columns.shape[-1])]
            jacobians[name] = np.stack(done, -1).reshape((*np.shape(done[0]), *shape))
        return Naive(change(self.value), jacobians, self.behind)


def unary(name, x):
    f, slope = UNARY[name]
    return Naive(f(x.value), {k: _times(slope(x.value), j) for k, j in x.jacobians.items()}, x.behind)


def binary(name, x, y):
    f, *slopes = BINARY[name]
    value = f(x.value, y.value)
    jacobians = {}
    for operand, slope in zip((x, y), slopes, strict=True):
        for k, j in operand.jacobians.items():
            leaf = j.shape[operand.value.ndim :]
            spread = j.reshape((1,) * (value.ndim - operand.value.ndim) + j.shape)
            term = _times(slope(x.value, y.value) * np.ones(value.shape), np.broadcast_to(spread, value.shape + leaf))
            jacobians[k] = jacobians.get(k, 0) + term
    return Naive(value, jacobians, x.behind | y.behind)


def stack(items):
    shapes = {k: j.shape[x.value.ndim :] for x in items for k, j in x.jacobians.items()}
    jacobians = {
        k: np.stack([x.jacobians.get(k, np.zeros(x.value.shape + leaf)) for x in items]) for k, leaf in shapes.items()
    }
    return Naive(np.stack([x.value for x in items]), jacobians, frozenset().union(*(x.behind for x in items)))


def put(x, row, value):
    """`x` with `value` broadcast into row `row` of its first axis."""
    keep = np.ones(x.value.shape)
    keep[row] = 0
    there = binary("multiply", Naive(1 - keep), value)
    return binary("add", binary("multiply", x, Naive(keep)), there)


def pull(x, gradient):
    """⟨gradient, Jacobian⟩ for each leaf."""
    return {k: np.tensordot(gradient, j, x.value.ndim) for k, j in x.jacobians.items()}


def _times(slope, j):
    return slope.reshape(slope.shape + (1,) * (j.ndim - slope.ndim)) * j
