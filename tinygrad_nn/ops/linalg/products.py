"""Products of matrices and vectors, trace and norms."""

from __future__ import annotations

import operator
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ...core.adjoint import broadcast_to
from ...core.define import op
from ...core.dispatch import joined
from ..elementwise import absolute, multiply, sign
from ..elementwise.choice import kinked, zeros_like_gradient
from ..reductions import max as largest
from ..reductions import min as least
from ..reductions import sum as sum_over
from ..reductions.axes import are_safe, scale_of
from ..shapes.indexing import diagonal
from ..shapes.layout import expand_dims, ravel, reshape, shape_of, squeeze
from ..shapes.layout import matrix_transpose as matrix_transpose
from .contraction import tensordot

# --- matmul ----------------------------------------------------------------------------------------------------------


@op(kernel=operator.matmul, linear="separately", analytic=True, formula="{x} @ {y}")
def matmul(x, y):
    """Matrix product, with `numpy.matmul`'s shapes.

    Parameters
    ----------
    x : array_like
        (…, n, k), or a vector (k,).
    y : array_like
        (…, k, m), or a vector (k,). Leading axes broadcast.

    Returns
    -------
    Tensor
        (…, n, m), without n or m where `x` or `y` is a vector. ∂L/∂x = ∂L/∂out @ yᵀ and ∂L/∂y = xᵀ @ ∂L/∂out.

    Raises
    ------
    ValueError
        If the lengths k differ, or an operand has no axes.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.matmul(tg.tensor([[1.0, 2.0]]), tg.tensor([[3.0], [4.0]]))
    tensor([[11.]])
    """


def _matmul_in_x(g: Any, out: Any, x: Any, y: Any) -> Any:
    if y.ndim == 1:
        return g[..., None] * y
    if x.ndim == 1:
        return y @ g if y.ndim == 2 else (y @ g[..., None])[..., 0]
    return g @ y.mT


def _matmul_in_y(g: Any, out: Any, x: Any, y: Any) -> Any:
    if x.ndim == 1:
        return x * g if y.ndim == 1 else x[:, None] * g[..., None, :]
    if y.ndim == 1:
        return g @ x if x.ndim == 2 else (g[..., None, :] @ x)[..., 0, :]
    if x.ndim > 2 == y.ndim:  # the batch axes are summed over: one product instead of one for each
        rows = prod(x.shape[:-1])
        return reshape(x, shape=(rows, x.shape[-1])).mT @ reshape(g, shape=(rows, g.shape[-1]))
    return x.mT @ g


matmul.derivatives(_matmul_in_x, _matmul_in_y, formulas=["{y}ᵀ", "{x}ᵀ"])
matmul.hands_on = (0, 1)
matmul.role = "product"


def dot(x: Any, y: Any) -> Any:
    """Product as `numpy.dot` has it: over the last axis of `x` and the last but one of `y`, or its only one.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.dot(tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0]))
    tensor(11.)
    """
    a, b = len(shape_of(x)), len(shape_of(y))
    if a == 0 or b == 0:
        return multiply(x, y)
    return matmul(x, y) if a <= 2 >= b or b == 1 else tensordot(x, y, axes=((a - 1,), (max(b - 2, 0),)))


@op(linear="separately", formula="⟨{x}, {y}⟩")
def vecdot(x, y, *, axis=-1):
    """Sum of x·y over one axis; the others broadcast.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.vecdot(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), tg.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    if axis >= 0 and np.ndim(x) != np.ndim(y):
        raise ValueError(f"axis={axis} is not the same axis in both; count it from the last: axis=-1")
    if np.shape(x)[axis] != np.shape(y)[axis]:
        raise ValueError(f"axis {axis} has length {np.shape(x)[axis]} in x and {np.shape(y)[axis]} in y")
    return np.vecdot(x, y, axis=axis)  # type: ignore[call-overload]


vecdot.derivatives(
    lambda g, out, x, y, *, axis: expand_dims(g, axis) * y,
    lambda g, out, x, y, *, axis: expand_dims(g, axis) * x,
    formulas=["{y}", "{x}"],
)


def outer(x: Any, y: Any) -> Any:
    """All products of an element of `x` and one of `y`, as a matrix; both are flattened.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.outer(tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    return multiply(reshape(x, shape=(prod(shape_of(x)), 1)), ravel(y))


# --- trace and norms -------------------------------------------------------------------------------------------------


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Sum of a diagonal of two axes.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.trace(tg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    return sum_over(diagonal(x, offset=offset, axis1=axis1, axis2=axis2), axis=-1)


@op(formula="‖{x}‖")
def vector_norm(x, *, axis=None, keepdims=False, ord=2):
    """The p-norm (Σ |x|ᵖ)^(1/p) of all elements, or along `axis`.

    Parameters
    ----------
    x : array_like
    axis : int or tuple of int, optional
    keepdims : bool
        Keep the axes that are summed over, with length 1.
    ord : float
        p: 1 for Σ |x|, inf for the largest |x|, 0 for the number of elements that are not zero.

    Returns
    -------
    Tensor
        ∂out/∂x = x / out for the 2-norm, sign(x)·(|x| / out)^(p−1) for others, and 0 where that has no value: where all
        elements are 0, and for p < 1 for each that is 0. The largest elements share equally for the inf-norm. Squares
        that would overflow or vanish are of elements that were scaled before.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.linalg.vector_norm(tg.tensor([3.0, 4.0]))
    tensor(5.)
    """
    with np.errstate(over="ignore", under="ignore"):  # it is looked at
        out = np.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord)
    if ord in (0, 1) or abs(ord) == np.inf or are_safe(out):
        return out
    scale = scale_of(x, axis)
    out = np.linalg.vector_norm(x / scale, axis=axis, keepdims=True, ord=ord) * scale
    return out[()] if keepdims else out.reshape(np.max(np.abs(x), axis=axis, initial=0).shape)[()]


def _norm_in_x(g: Any, out: Any, x: Any, *, axis: Any, keepdims: bool, ord: float) -> Any:
    if not keepdims:
        axes = tuple(range(x.ndim)) if axis is None else axis
        g, out = expand_dims(g, axes), expand_dims(out, axes)
    if ord == 0:
        return broadcast_to(zeros_like_gradient(g), shape=x.shape)
    if ord == 1:
        return g * sign(x)
    if abs(ord) == np.inf:
        chosen = abs(x) == out
        return g * sign(x) * (chosen / sum_over(chosen, axis=axis, keepdims=True))
    if ord == 2:
        return g * kinked(x / out, out == 0)
    return g * kinked(sign(x) * (abs(x) / out) ** (ord - 1), x == 0 if ord < 2 else out == 0)


vector_norm.derivatives(_norm_in_x, formulas=["{x}/{out}"])


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Norm of vectors or matrices, as `numpy.linalg.norm` has it.

    Parameters
    ----------
    x : array_like
    ord : {None, "fro"} or float
        None: the root of the sum of squares. Else the p of a vector's norm, or for matrices 1 or inf: the largest
        sum of |x| in a column or a row (-1 and -inf: the smallest).
    axis : int or pair of int, optional
        An int: vectors along it. A pair: matrices in those axes. None: the whole, which `ord` takes for a vector or
        a matrix by its number of axes.
    keepdims : bool

    Raises
    ------
    ValueError
        For the norms of a matrix that need its singular values.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.linalg.norm(tg.tensor([[1.0, -2.0], [3.0, 4.0]]), ord=1)
    tensor(6.)
    """
    x = joined(x)
    ndim = len(shape_of(x))
    if ord is None and axis is None:
        return vector_norm(x, keepdims=keepdims)
    axes = normalize_axis_tuple(range(ndim) if axis is None else axis, ndim, "norm")
    if len(axes) == 1:
        return vector_norm(x, axis=axes[0], keepdims=keepdims, ord=2 if ord is None else ord)
    if len(axes) != 2:
        raise ValueError(f"norm: ord={ord!r} is of vectors or matrices; choose one or two axes of {ndim}")
    if ord in (None, "fro"):
        return vector_norm(x, axis=axes, keepdims=keepdims)
    if ord not in (1, -1, np.inf, -np.inf):
        raise ValueError(f"norm: ord={ord!r} of a matrix is not available; there are None, 'fro', 1, -1, inf and -inf")
    row, column = axes if abs(ord) == 1 else axes[::-1]
    sums = sum_over(absolute(x), axis=row, keepdims=True)
    result = (largest if ord > 0 else least)(sums, axis=column, keepdims=True)
    return result if keepdims else squeeze(result, axes)


__all__ = ["dot", "matmul", "outer", "trace", "vecdot"]
