"""What of a compiled row no planning can save: the matrix products of a step, the transcendental functions of H."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..measure import OURS, Workload
from . import compiled, elementwise, mlp
from .mlp import Sizes

ALONE = "NumPy, that part alone"


def products(sizes: Sizes) -> Callable[[], Any]:
    """The five products of a training step, into buffers."""
    x, _, w1, _, w2, _ = mlp.data(sizes)
    a1, dz1 = (np.full((sizes.batch, sizes.hidden), 0.01, np.float32) for _ in range(2))
    dz2 = np.full((sizes.batch, sizes.outputs), 0.01, np.float32)
    z1, da1, z2 = np.empty_like(a1), np.empty_like(a1), np.empty_like(dz2)
    dw1, dw2 = np.empty_like(w1), np.empty_like(w2)
    columns = np.empty((sizes.hidden, sizes.batch), np.float32)

    def step() -> Any:
        if sizes.batch <= 16:  # as our code does it, which is quicker for few samples
            np.dot(w1, x.T, out=columns)
        else:
            np.dot(x, w1.T, out=z1)
        np.dot(a1, w2.T, out=z2)
        np.dot(dz2, w2, out=da1)
        np.dot(dz2.T, a1, out=dw2)
        np.dot(dz1.T, x, out=dw1)

    return step


def functions() -> Callable[[], Any]:
    """One tanh and two exponentials of the million elements, in pieces that stay in the cache."""
    x = elementwise.data()
    out = np.empty(elementwise.BLOCK, np.float32)

    def step() -> Any:
        for start in range(0, x.size, elementwise.BLOCK):
            piece = x[start : start + elementwise.BLOCK]
            into = out[: piece.size]
            np.tanh(piece, out=into)
            np.exp(piece, out=into)
            np.exp(piece, out=into)

    return step


def products_row(key: str, sizes: Sizes) -> Workload:
    return Workload(
        key=f"{key} products",
        title=f"matrix products of row {key} alone, beside the whole compiled step",
        unit="µs",
        scale=1e6,
        columns={OURS: partial(compiled.ours, sizes), ALONE: partial(products, sizes)},
        tolerance=None,
        subject=ALONE,
        note="what BLAS takes of the step; the rest is for NumPy's other calls",
    )


WORKLOADS = [
    products_row("A", Sizes(784, 30, 10, 10)),
    products_row("B", Sizes(784, 512, 10, 128)),
    products_row("C", Sizes(784, 512, 10, 1024)),
    Workload(
        key="H functions",
        title="tanh and two exponentials of row H alone, beside the whole compiled function",
        unit="ms",
        scale=1e3,
        columns={OURS: compiled.function_of_many, ALONE: functions},
        tolerance=None,
        subject=ALONE,
        note="what NumPy's own tanh and exp take of it",
    ),
]
