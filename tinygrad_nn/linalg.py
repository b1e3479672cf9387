"""Linear algebra, under the names of `numpy.linalg`."""

from __future__ import annotations

from .core.moved import publish
from .ops.linalg import dot, einsum, matmul, norm, outer, tensordot, trace, vecdot, vector_norm
from .ops.shapes.indexing import diagonal
from .ops.shapes.layout import matrix_transpose

__all__ = [
    "diagonal",
    "dot",
    "einsum",
    "matmul",
    "matrix_transpose",
    "norm",
    "outer",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]

publish(globals())
