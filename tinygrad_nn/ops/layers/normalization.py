"""Normalization: elements freed of the mean and the variance over some axes, as batch, layer and group norm need it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.adjoint import broadcast_to
from ...core.define import op
from ..elementwise import sqrt
from ..reductions import sum
from ..reductions.axes import as_float, reduced_axes, reduced_count


@op(formula="{scale}·({x} − mean)/√(var + {eps}) + {shift}")
def normalize(x, scale, shift, *, axis, eps):
    """scale·(x − mean)/√(var + eps) + shift, with the mean and the variance of x over axes.

    Parameters
    ----------
    x : array_like
    scale, shift : array_like
        Shapes that broadcast to that of `x`.
    axis : tuple of int
    eps : float
        Added to the variance.

    Returns
    -------
    out, mean, var : Tensor
        The mean and the variance (with divisor n) keep the reduced axes, with length 1. With r = 1/√(var + eps),
        x̂ = r·(x − mean) and h = g·scale: ∂L/∂x = r·(h − mean(h) − x̂·mean(h·x̂)), ∂L/∂scale = g·x̂, ∂L/∂shift = g.

    Notes
    -----
    The variance is that of x − mean, and what rounding left in their mean is taken off: of float32 numbers around
    10 000 the first digits of the spread are right, where the mean of squares less the square of the mean has none.
    """
    x = as_float(x)
    dtype = np.result_type(x, scale, shift)
    count = reduced_count(x.shape, axis)
    mean = np.add.reduce(x, axis=axis, dtype=dtype, keepdims=True) / count
    distance = x - mean
    rest = np.add.reduce(distance, axis=axis, keepdims=True) / count
    var = np.maximum(np.add.reduce(distance * distance, axis=axis, keepdims=True) / count - rest * rest, 0)
    factor = scale / np.sqrt(var + eps)
    distance *= factor
    distance += shift - rest * factor
    return distance, mean + rest, var


def _normalize_rule(needed: Any, g: Any, out: Any, x: Any, scale: Any, shift: Any, *, axis: Any, eps: float) -> Any:
    g, of_mean, of_var = g
    _, mean, var = out
    count = reduced_count(x.shape, axis)
    distance = x - mean
    of_x = of_scale = of_shift = None
    if g is not None:
        inverse = 1 / sqrt(var + eps)
        if _are_constant((scale, shift), x.ndim, axis):  # then two sums serve all three gradients
            total, product = sum(g, axis=axis, keepdims=True), sum(g * distance, axis=axis, keepdims=True)
            factor = scale * inverse
            of_x = g * factor - distance * (factor * inverse * inverse * product / count) - factor * total / count
            of_scale, of_shift = product * inverse, total
        else:
            h = g * scale
            total, product = sum(h, axis=axis, keepdims=True), sum(h * distance, axis=axis, keepdims=True)
            of_x = (h - distance * (inverse * inverse * product / count) - total / count) * inverse
            of_scale, of_shift = g * distance * inverse, g
    if of_mean is not None:
        of_x = _plus(of_x, broadcast_to(of_mean / count, shape=x.shape))
    if of_var is not None:
        of_x = _plus(of_x, distance * (2 * of_var / count))
    return of_x, of_scale, of_shift


def _plus(x: Any, y: Any) -> Any:
    return y if x is None else x + y


def _are_constant(inputs: Any, ndim: int, axis: Any) -> bool:
    """Whether none of the inputs changes along the axes."""
    shapes = [(1,) * (ndim - getattr(x, "ndim", 0)) + getattr(x, "shape", ()) for x in inputs]
    return all(shape[i] == 1 for shape in shapes for i in reduced_axes(ndim, axis))


normalize.derivatives(
    jointly=_normalize_rule,
    reads=["out", "x", "scale"],
    formulas=["{scale}·(δ − 1/n − {x}̂·{x}̂/n)/√(var + {eps})", "({x} − mean)/√(var + {eps})", "1"],
)
