"""Domain rows of adaptive pooling. The references go window by window."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ....ops.layers import adaptive  # noqa: F401  (else registered only with networks)
from ...rows import DISTINCT, REAL, Row
from .pooling import Windows, first_largest, largest, maxima, mean_of_chosen, shared
from .window import adjoint


def adaptive_windows(x: Any, counts: Any) -> Windows:
    """For each window of adaptive pooling the places of its elements in the array."""
    windows = {}
    for at in np.ndindex(*counts):
        bounds = [(i * n // m, -((-(i + 1) * n) // m)) for i, n, m in zip(at, x.shape[2:], counts)]
        windows[at] = list(product(*(range(a, b) for a, b in bounds)))
    return windows


def adaptive_avg_reference(x: Any, *, counts: Any) -> Any:
    """The mean of each window, window by window."""
    out = np.empty((*x.shape[:2], *counts))
    for at, elements in adaptive_windows(x, counts).items():
        out[(..., *at)] = np.mean([x[(..., *e)] for e in elements], axis=0)
    return out


#: Shapes of x and settings.
_ADAPTIVE: tuple[Any, ...] = (
    ((1, 2, 3, 2), {"counts": (2, 3)}),
    ((2, 1, 5), {"counts": (3,)}),
)
_COUNTED: tuple[Any, ...] = tuple(((*x[:2], *s["counts"]), {"space": x[2:]}) for x, s in _ADAPTIVE)

ROWS = [
    Row("adaptive_avg_pool", (REAL,), _ADAPTIVE, adaptive_avg_reference, ulps=16),
    Row("spread_adaptively", (REAL,), _COUNTED, lambda g, space: adjoint(
        g, space, lambda x: adaptive_avg_reference(x, counts=g.shape[2:])), ulps=16),
    Row("adaptive_max_pool", (DISTINCT,), _ADAPTIVE, lambda x, counts: largest(x, adaptive_windows(x, counts))),
    Row("adaptive_max_pool_indices", (DISTINCT,), _ADAPTIVE,
        lambda x, counts: first_largest(x, adaptive_windows(x, counts)), derivatives=False),
    Row("spread_to_adaptive_maxima", cases=maxima(True, _ADAPTIVE, adaptive_windows),
        reference=lambda g, x, out: shared(g, x, out, adaptive_windows(x, out.shape[2:])), ulps=16),
    Row("mean_at_adaptive_maxima", cases=maxima(False, _ADAPTIVE, adaptive_windows),
        reference=lambda h, x, out: mean_of_chosen(h, x, out, adaptive_windows(x, out.shape[2:])), ulps=16),
]  # fmt: skip
