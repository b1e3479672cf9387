"""Domain rows of products and norms of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..rows import REAL, Domain, Row

#: Vectors, matrices, and stacks of matrices that broadcast.
MATMUL = (
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3, 4)),
    ((2, 2), (2, 2)),
    ((2, 2, 3), (3, 2)),
    ((2, 3), (4, 3, 2)),
    ((2, 1, 2, 3), (3, 3, 2)),
    ((2, 2, 3), (3,)),
    ((3,), (2, 3, 2)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 3)),
    ((1, 3), (3, 1)),
)

#: Numbers of both signs with different magnitudes, none near 0: away from the kinks of every norm.
APART = Domain(
    make=lambda rng, shape: Domain(0.3, 2.0, distinct=True).sample(rng, shape) * rng.choice([-1.0, 1.0], shape)
)


def _einsum(subscripts: str, *shapes: tuple[int, ...]) -> Callable[..., Any]:
    return lambda rng: ([rng.uniform(-2, 2, shape) for shape in shapes], {"subscripts": subscripts})


# fmt: off
ROWS = [
    Row("matmul", (REAL,), MATMUL, np.matmul, ulps=8),
    Row("vecdot", (REAL,), (
        ((3,), (3,)), ((2, 3), (3,)), ((2, 1, 3), (4, 3)), ((3, 2), (3, 2), {"axis": 0}),
        ((2, 3, 2), (3, 1), {"axis": -2}), ((0, 3), (3,)),
    ), np.vecdot, ulps=8),
    Row("tensordot", (REAL,), (
        ((2, 3, 4), (3, 4, 2)), ((2, 3), (3, 2), {"axes": 1}), ((2,), (3,), {"axes": 0}),
        ((2, 3, 4), (4, 3), {"axes": ((1, 2), (1, 0))}), ((3, 2, 4), (2, 5, 3), {"axes": ((-3, 1), (2, 0))}),
        ((2, 3), (2, 3), {"axes": 2}), ((0, 2), (2,), {"axes": 1}),
    ), lambda x, y, axes=2: np.tensordot(x, y, axes)[()], ulps=8),
    Row("einsum", cases=(
        _einsum("ij,jk->ik", (2, 3), (3, 2)), _einsum("i,i->", (3,), (3,)), _einsum("ij->ji", (2, 3)),
        _einsum("ij->", (2, 3)), _einsum("ij->i", (2, 3)), _einsum("i,j->ij", (2,), (3,)),
        _einsum("bij,bjk->bik", (2, 2, 3), (2, 3, 2)), _einsum("ij,jk,kl->il", (2, 3), (3, 2), (2, 2)),
        _einsum("ij,j,i->", (2, 3), (3,), (2,)), _einsum("ij,kj->ik", (0, 3), (2, 3)), _einsum("ij,k->k", (2, 2), (3,)),
    ), reference=lambda *x, subscripts: np.einsum(subscripts, *x), ulps=16),
    Row("vector_norm", (APART,), (
        ((3,), {}), ((2, 3), {}), ((2, 3), {"axis": 0}), ((2, 3), {"axis": 1, "keepdims": True}), ((), {}),
        ((2, 3, 2), {"axis": (0, 2)}), *(((2, 3), {"axis": -1, "ord": p}) for p in (1, 3, 0.5, np.inf, -np.inf, 0)),
        ((0, 3), {"axis": 1}),
    ), np.linalg.vector_norm, ulps=16),
]
