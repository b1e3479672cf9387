"""Operations of network layers: the affine map, and activations that the elementwise operations lack."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.define import op
from ..elementwise import exp, where


def _check_shapes(x: Any, weight: Any) -> None:
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
        fits = weight.ndim == 2 and x.ndim > 2 and math.prod(x.shape[1:]) == weight.shape[1]
        raise ValueError(
            f"the last axis of x must be as long as that of weight, which has shape (out, in); "
            f"here x has shape {x.shape} and weight {weight.shape}"
            + ("; nn.Flatten() before makes one axis of all but the first, which would fit" if fits else "")
        )


def _project(x: Any, weight: Any) -> Any:
    """x·Wᵀ, as one matrix product whatever axes `x` has before its last."""
    if x.ndim == 2:
        return x.dot(weight.T)
    return x.reshape(-1, x.shape[-1]).dot(weight.T).reshape(*x.shape[:-1], weight.shape[0])


# Between matrices `dot` is `@`, and takes NumPy half the time to get to the product.


def _input_gradient(g: Any, weight: Any) -> Any:
    """The product g·W."""
    return g.dot(weight) if g.ndim == 2 else g @ weight


def _weight_gradient(g: Any, x: Any) -> Any:
    """The product gᵀ·x over all samples: made in the weight's own layout, so that no copy follows."""
    if g.ndim == 2:
        return g.T.dot(x)
    return g.reshape(-1, g.shape[-1]).T.dot(x.reshape(-1, x.shape[-1]))


def _bias_gradient(g: Any) -> Any:
    """The sum of g over a batch; other shapes are left to the engine, whose own way takes twice as long."""
    if g.ndim != 2:
        return g
    return np.add.reduce(g) if type(g) is np.ndarray else g.sum(0)


@op(linear="separately", analytic=True, formula="{x}·{weight}ᵀ")
def linear_map(x, weight):
    """x·Wᵀ: a linear layer without bias.

    Parameters
    ----------
    x : array_like
        Shape (…, in).
    weight : array_like
        Shape (out, in).

    Returns
    -------
    Tensor
        Shape (…, out). ∂L/∂x = g·W and ∂L/∂W = gᵀ·x, summed over the samples.
    """
    _check_shapes(x, weight)
    return _project(x, weight)


linear_map.derivatives(
    lambda g, out, x, weight: _input_gradient(g, weight),
    lambda g, out, x, weight: _weight_gradient(g, x),
    formulas=["{weight}", "{x}"],
)
linear_map.hands_on = (0, 1)


@op(analytic=True, formula="{x}·{weight}ᵀ + {bias}")
def linear(x, weight, bias):
    """x·Wᵀ + b: a linear layer.

    Parameters
    ----------
    x : array_like
        Shape (…, in).
    weight : array_like
        Shape (out, in).
    bias : array_like
        Shape (out,).

    Returns
    -------
    Tensor
        Shape (…, out). ∂L/∂x = g·W, ∂L/∂W = gᵀ·x and ∂L/∂b = g, summed over the samples.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.linear(tg.tensor([[1.0, 2.0]]), tg.tensor([[3.0, 4.0]]), tg.tensor([5.0]))
    tensor([[16.]])
    """
    _check_shapes(x, weight)
    if bias.shape != weight.shape[:1]:
        raise ValueError(f"bias must have shape {weight.shape[:1]}, one for each output; it has {bias.shape}")
    if x.ndim == 2 and x.dtype.char == "f" and x.shape[0] <= 16 and x.shape[1] >= 128:
        # OpenBLAS takes a tenth to a quarter less time in float32 for a few long samples if they are columns.
        return np.add(weight.dot(x.T).T, bias, order="C")
    out = _project(x, weight)
    if out.dtype == bias.dtype and out.ndim:
        out += bias
        return out
    return out + bias


linear.derivatives(
    lambda g, out, x, weight, bias: _input_gradient(g, weight),
    lambda g, out, x, weight, bias: _weight_gradient(g, x),
    lambda g, out, x, weight, bias: _bias_gradient(g),
    formulas=["{weight}", "{x}", "1"],
)
linear.role = linear_map.role = "product"


@linear.forward_derivative
def _push_linear(tangents: Any, out: Any, x: Any, weight: Any, bias: Any) -> Any:
    of_x, of_weight, of_bias = tangents
    terms = [] if of_x is None else [linear_map(of_x, weight)]
    terms += [] if of_weight is None else [linear_map(x, of_weight)]
    terms += [] if of_bias is None else [of_bias]
    return sum(terms[1:], terms[0])


@op(elementwise=True, formula="leaky_relu({x})")
def leaky_relu(x, *, negative_slope=0.01):
    """Elementwise x where x > 0, else negative_slope·x.

    The derivative is 1 where x > 0, else `negative_slope`, at 0 too.
    """
    return np.where(x > 0, x, x * negative_slope)[()]


leaky_relu.derivatives(
    lambda g, out, x, *, negative_slope: where(x > 0, g, g * negative_slope),
    formulas=["1 where {x} > 0, else {negative_slope}"],
)


@op(elementwise=True, formula="elu({x})")
def elu(x, *, alpha=1.0):
    """Elementwise x where x > 0, else alpha·(eˣ − 1).

    The derivative is 1 where x > 0, else alpha·eˣ, at 0 too.
    """
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)) * alpha)[()]


elu.derivatives(
    lambda g, out, x, *, alpha: where(x > 0, g, g * alpha * exp(where(x > 0, 0, x))),
    formulas=["1 where {x} > 0, else {alpha}·exp({x})"],
)
leaky_relu.role = elu.role = "activation"


@op(elementwise=True, formula="Φ({x})")
def normal_cdf(x):
    """Elementwise probability that a standard normal variable is below x, with derivative exp(−x²/2)/√(2π).

    NumPy has no error function, and Python's own, which is exact to the last digits, takes 0.1 µs for an element.
    """
    values = np.asarray(x)
    halves = map(math.erfc, (values.ravel() * -math.sqrt(0.5)).tolist())
    dtype = values.dtype if values.dtype.kind == "f" else np.float64
    return (0.5 * np.fromiter(halves, np.float64, values.size)).astype(dtype).reshape(values.shape)[()]


normal_cdf.derivatives(
    lambda g, out, x: g * exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi)),
    formulas=["exp(−{x}²/2)/√(2π)"],
)


@op(differentiable=False)
def one_hot(labels, *, num_classes, dtype=np.int64):
    """Rows of zeros with a one at each label: from shape (…) to (…, num_classes)."""
    labels = np.asarray(labels)
    return (labels[..., None] == np.arange(num_classes)).astype(dtype)


def outside(numbers: Any, count: int) -> Any:
    """Those of some whole numbers that are not in 0 … count − 1; None if all are."""
    # Seen as unsigned, negative numbers are large: one pass finds both kinds.
    if numbers.size and np.asarray(numbers, np.intp).view(np.uintp).max() >= count:
        return numbers[(numbers < 0) | (numbers >= count)]
    return None


@op(differentiable=False)
def checked_rows(numbers, *, rows):
    """The numbers of rows themselves, if there are all these rows."""
    bad = outside(numbers, rows)
    if bad is not None:
        raise IndexError(
            f"embedding: the numbers of rows must be in 0 … {rows - 1}, as there are {rows} rows, "
            f"but {bad.size} of {numbers.size} are not, such as {bad.flat[0]}"
        )
    return numbers
