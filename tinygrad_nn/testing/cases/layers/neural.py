"""Domain rows of linear layers, activations, and what reads rows of a table or labels."""

from __future__ import annotations

import math

import numpy as np

from ....ops.layers import neural  # noqa: F401  (else registered only with networks)
from ...rows import LABELS, NONZERO, REAL, Row, unary

# fmt: off
ROWS = [
    Row("linear_map", (REAL,), (
        ((2, 3), (4, 3)), ((3,), (2, 3)), ((2, 2, 3), (4, 3)), ((0, 3), (2, 3)), ((3, 3), (3, 3)),
    ), lambda x, weight: x @ weight.T, ulps=8),
    Row("linear", (REAL,), (
        ((2, 3), (4, 3), (4,)), ((3,), (2, 3), (2,)), ((2, 2, 3), (4, 3), (4,)), ((0, 3), (2, 3), (2,)),
        ((3, 3), (3, 3), (3,)),
    ), lambda x, weight, bias: x @ weight.T + bias, ulps=8),
    Row("one_hot", (LABELS,), (((3,), {"num_classes": 3}), ((2, 2), {"num_classes": 4})),
        lambda labels, num_classes: np.eye(num_classes, dtype=int)[labels], derivatives=False),
    unary(
        "leaky_relu", NONZERO, lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
        cases=((), (3,), ((2, 3), {"negative_slope": 0.3}), ((9,), {"negative_slope": 2.0}), (0,)),
    ),
    unary(
        "elu", NONZERO, lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)),
        cases=((), (3,), ((2, 3), {"alpha": 0.3}), ((9,), {"alpha": 2.0}), (0,)),
    ),
    unary("normal_cdf", reference=np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)), otypes=[float])),
    Row("checked_rows", (LABELS,), (((3,), {"rows": 3}), ((2, 2), {"rows": 4}), ((0,), {"rows": 1})),
        lambda numbers, rows: numbers, derivatives=False),
]
