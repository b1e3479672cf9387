"""What of a compiled row no planning can save: the matrix products of a step, the transcendental functions of H."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..measure import OURS, Workload
from . import cnn, compiled, elementwise, mlp
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


def convolution_products(batch: int) -> Callable[[], Any]:
    """The eight products of a step of the convolutional network, into buffers."""
    _, _, w1, _, w2, _, w3, _ = cnn.data(batch)
    rng = np.random.default_rng(1)
    places = (2 * cnn.POOLED) ** 2 * batch
    columns = rng.random((cnn.WINDOW**2 + 1, places), dtype=np.float32)
    w1 = rng.random((cnn.FILTERS, len(columns)), dtype=np.float32)
    flat = rng.random((w2.shape[1], batch), dtype=np.float32)
    a2, dz3 = (rng.random((batch, n), dtype=np.float32) for n in (cnn.HIDDEN, cnn.CLASSES))
    pairs = [(w1, columns), (w2, flat), (a2, w3.T), (dz3, w3), (dz3.T, a2), (a2.T, flat.T), (w2.T, a2.T)]
    pairs.append((np.dot(w1, columns), columns.T))
    made = [np.empty((len(a), b.shape[1]), np.float32) for a, b in pairs]

    def step() -> Any:
        for (a, b), out in zip(pairs, made):
            np.dot(a, b, out=out)

    return step


def products_row(key: str, ours: Callable[[], Any], alone: Callable[[], Any]) -> Workload:
    return Workload(
        key=f"{key} products",
        title=f"matrix products of row {key} alone, beside the whole compiled step",
        unit="µs",
        scale=1e6,
        columns={OURS: ours, ALONE: alone},
        tolerance=None,
        subject=ALONE,
        note="what BLAS takes of the step; the rest is for NumPy's other calls",
    )


WORKLOADS = [
    *(
        products_row(key, partial(compiled.ours, sizes), partial(products, sizes))
        for key, sizes in (
            ("A", Sizes(784, 30, 10, 10)),
            ("B", Sizes(784, 512, 10, 128)),
            ("C", Sizes(784, 512, 10, 1024)),
        )
    ),
    *(
        products_row(key, partial(cnn.compiled, batch), partial(convolution_products, batch))
        for key, batch in (("D", 10), ("E", 64))
    ),
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
