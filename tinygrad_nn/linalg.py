"""Linear algebra, under the names of `numpy.linalg`."""

from __future__ import annotations

from typing import Any

from .core.moved import publish
from .ops.linalg import dot, einsum, matmul, norm, outer, tensordot, vecdot, vector_norm
from .ops.reductions import sum as sum_over
from .ops.shapes.indexing import diagonal as diagonal_of
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


def diagonal(x: Any, *, offset: int = 0) -> Any:
    """The diagonals of matrices in the last two axes, as in `numpy.linalg`; for other axes see `tinygrad_nn.diagonal`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.linalg.diagonal(tg.ones((5, 2, 3))).shape
    (5, 2)
    """
    return diagonal_of(x, offset=offset, axis1=-2, axis2=-1)


def trace(x: Any, *, offset: int = 0) -> Any:
    """Sums of the diagonals of matrices in the last two axes, as `numpy.linalg.trace` has them.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.linalg.trace(tg.ones((5, 2, 3)))
    tensor([2., 2., 2., 2., 2.])
    """
    return sum_over(diagonal(x, offset=offset), axis=-1)


publish(globals())
