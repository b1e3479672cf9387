"""Domain rows of normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....ops.layers import normalization  # noqa: F401  (else registered only with networks)
from ...rows import REAL, Domain, Row


def _normalized(x: Any, scale: Any, shift: Any, axis: Any, eps: float) -> Any:
    mean, var = np.mean(x, axis=axis, keepdims=True), np.var(x, axis=axis, keepdims=True)
    return scale * (x - mean) / np.sqrt(var + eps) + shift, mean, var


SPREAD = Domain(-2.0, 2.0, distinct=True)

# fmt: off
ROWS = [
    Row("normalize", (SPREAD, REAL, REAL), (
        ((4, 3), (1, 3), (1, 3), {"axis": (0,), "eps": 1e-5}),
        ((4, 3), (3,), (3,), {"axis": (1,), "eps": 0.5}),
        ((2, 3, 4), (1, 3, 1), (1, 3, 1), {"axis": (0, 2), "eps": 0.1}),
        ((2, 3, 4), (3, 4), (), {"axis": (-2, -1), "eps": 0.1}),
        ((2, 3, 4), (), (4,), {"axis": (2,), "eps": 0.1}),
        ((0, 3), (), (), {"axis": (1,), "eps": 0.1}),
        ((3,), (3,), (1,), {"axis": (0,), "eps": 0.3}),
    ), _normalized, ulps=64),
]
