"""The activations of `nn.functional`.

`inplace` is taken where PyTorch has it, so that code written for PyTorch runs; the result is a new Tensor all the same,
as the values in a recorded graph never change.
"""

from __future__ import annotations

import math
from typing import Any

from ...ops import elementwise
from ...ops import reductions as reduction
from ...ops.elementwise import absolute, clip, greater, greater_equal, where
from ...ops.elementwise.comparison import less_equal, logical_and
from ...ops.layers import neural
from ...ops.shapes import astype, reshape, shape_of, split
from ..checks import as_operand

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
]

_relu, _leaky_relu, _elu = elementwise.relu.apply, neural.leaky_relu.apply, neural.elu.apply
_sigmoid, _tanh = elementwise.sigmoid.apply, elementwise.tanh.apply

#: With these a network of SELUs keeps mean 0 and variance 1 (Klambauer, Unterthiner, Mayr and Hochreiter, 2017).
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def relu(input: Any, inplace: bool = False) -> Any:
    """Elementwise max(x, 0), with derivative 1 for x > 0 and 0 elsewhere, also at 0; see `tinygrad_nn.relu`."""
    return _relu(input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """Elementwise x where x > 0, else negative_slope·x.

    The derivative is 1 where x > 0, else `negative_slope`, at 0 too.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.leaky_relu(tg.tensor([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """
    return _leaky_relu(input, negative_slope=negative_slope)


def prelu(input: Any, weight: Any) -> Any:
    """Elementwise x where x > 0, else weight·x, with a weight that is learned (He, Zhang, Ren and Sun, 2015).

    Parameters
    ----------
    input : array_like
    weight : array_like
        One number, or one for each channel, which is the second axis of `x`.

    Returns
    -------
    Tensor
        ∂/∂x = 1 where x > 0, else weight; ∂/∂weight = 0 where x > 0, else x.
    """
    shape, size = shape_of(input), math.prod(shape_of(weight))
    channels = shape[1] if len(shape) > 1 else 1
    if size not in (1, channels) or len(shape_of(weight)) > 1:
        raise ValueError(f"prelu: weight must have shape (1,) or ({channels},), not {shape_of(weight)}")
    weight = reshape(weight, shape=(size, *(1,) * (len(shape) - 2)) if shape else ())
    return where(greater(input, 0), input, weight * input)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Elementwise x where x > 0, else alpha·(eˣ − 1) (Clevert, Unterthiner and Hochreiter, 2015).

    The derivative is 1 where x > 0, else alpha·eˣ, at 0 too.
    """
    return _elu(input, alpha=alpha)


def selu(input: Any, inplace: bool = False) -> Any:
    """Elementwise 1.0507·elu(x, 1.6733), which keeps mean 0 and variance 1 from layer to layer (Klambauer et al.)."""
    return SELU_SCALE * _elu(input, alpha=SELU_ALPHA)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Elementwise x where x > 0, else alpha·(exp(x/alpha) − 1) (Barron, 2017).

    The derivative is 1 where x > 0, else exp(x/alpha): without a jump at 0.
    """
    if not alpha > 0:
        raise ValueError(f"celu: alpha must be positive, it is {alpha}")
    return alpha * _elu(as_operand(input) / alpha, alpha=1.0)


def gelu(input: Any, approximate: str = "none") -> Any:
    """Elementwise x·Φ(x), Φ the normal distribution function (Hendrycks and Gimpel, 2016).

    Parameters
    ----------
    input : array_like
    approximate : {"none", "tanh"}
        The second for x·½(1 + tanh(√(2/π)·(x + 0.044715·x³))), which is quicker and differs by up to 5e-4.

    Notes
    -----
    The derivative is Φ(x) + x·exp(−x²/2)/√(2π).
    """
    if approximate == "tanh":
        input = as_operand(input)
        return 0.5 * input * (1 + _tanh(math.sqrt(2 / math.pi) * (input + 0.044715 * input * input * input)))
    if approximate != "none":
        raise ValueError(f'gelu: approximate must be "none" or "tanh", not {approximate!r}')
    return input * neural.normal_cdf(input)


def silu(input: Any, inplace: bool = False) -> Any:
    """Elementwise x·σ(x), also called swish, with derivative σ(x) + x·σ(x)·(1 − σ(x))."""
    return input * _sigmoid(input)


def mish(input: Any, inplace: bool = False) -> Any:
    """Elementwise x·tanh(log(1 + eˣ)) (Misra, 2019)."""
    return input * _tanh(elementwise.softplus(input))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Elementwise log(1 + e^(beta·x))/beta, a smooth `relu`, with derivative σ(beta·x).

    Parameters
    ----------
    input : array_like
    beta : float
    threshold : float
        Below 20: where beta·x is above it, the result is x. From 20 on it changes nothing: the function is computed
        without overflow, and differs there from x by less than 3e-9/beta.
    """
    scaled = input if beta == 1 else as_operand(input) * beta
    out = elementwise.softplus(scaled)
    out = out if beta == 1 else out / beta
    return out if threshold >= 20 else where(greater(scaled, threshold), input, out)


def sigmoid(input: Any) -> Any:
    """Elementwise 1/(1 + e⁻ˣ), with derivative σ(x)·(1 − σ(x)); see `tinygrad_nn.sigmoid`."""
    return _sigmoid(input)


def tanh(input: Any) -> Any:
    """Elementwise tanh x, with derivative 1 − tanh²x; see `tinygrad_nn.tanh`."""
    return _tanh(input)


def logsigmoid(input: Any) -> Any:
    """Elementwise log σ(x) without overflow, with derivative σ(−x); see `tinygrad_nn.log_sigmoid`."""
    return elementwise.log_sigmoid(input)


def softsign(input: Any) -> Any:
    """Elementwise x/(1 + |x|), with derivative 1/(1 + |x|)²."""
    return input / (1 + absolute(input))


def tanhshrink(input: Any) -> Any:
    """Elementwise x − tanh x, with derivative tanh²x."""
    return input - _tanh(input)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """Elementwise x limited to [min_val, max_val]; the derivative is 1 strictly between them, else 0."""
    if not min_val <= max_val:
        raise ValueError(f"hardtanh: min_val={min_val} is above max_val={max_val}")
    return where(less_equal(input, min_val), min_val, where(greater_equal(input, max_val), max_val, input))


def relu6(input: Any, inplace: bool = False) -> Any:
    """Elementwise x limited to [0, 6]; the derivative is 1 strictly between them, else 0."""
    return hardtanh(input, 0.0, 6.0)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """Elementwise x/6 + ½ limited to [0, 1], with derivative 1/6 for |x| < 3, else 0."""
    return hardtanh(as_operand(input) + 3, 0.0, 6.0) / 6


def hardswish(input: Any, inplace: bool = False) -> Any:
    """Elementwise x·hardsigmoid(x) (Howard et al., 2019); derivative (2x + 3)/6 for |x| < 3, 0 below, 1 above."""
    input = as_operand(input)
    return where(less_equal(input, -3), 0.0, where(greater_equal(input, 3), input, input * (input + 3) / 6))


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """Elementwise x, but 0 where |x| ≤ lambd; the derivative is 1 beyond, else 0."""
    return where(logical_and(greater_equal(input, -lambd), less_equal(input, lambd)), 0.0, input)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """Elementwise x moved towards 0 by `lambd`, and 0 where |x| ≤ lambd; the derivative is 1 beyond, else 0."""
    if lambd < 0:
        raise ValueError(f"softshrink: lambd must not be negative, it is {lambd}")
    return input - clip(input, -lambd, lambd)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """Elementwise x where x > threshold, else `value`; the derivative is 1 or 0."""
    return where(less_equal(input, threshold), value, input)


def glu(input: Any, dim: int = -1) -> Any:
    """The first half of x along `dim` times σ of the second (Dauphin, Fan, Auli and Grangier, 2016).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.glu(tg.tensor([3.0, 0.0]))
    tensor([1.5])
    """
    shape = shape_of(input)
    if not -len(shape) <= dim < len(shape):
        raise ValueError(f"glu: the input has shape {shape}, and so no axis dim={dim}")
    if shape[dim] % 2:
        raise ValueError(f"glu: the length along dim={dim} must be even, to be halved; the input has shape {shape}")
    first, second = split(input, indices_or_sections=2, axis=dim)
    return first * _sigmoid(second)


def softmax(input: Any, dim: int = -1, *, dtype: Any = None) -> Any:
    """eˣ divided by its sum along `dim`; see `tinygrad_nn.softmax`. Computed in `dtype`, if it is given."""
    return reduction.softmax(_in(dtype, input), axis=dim)


def softmin(input: Any, dim: int = -1, *, dtype: Any = None) -> Any:
    """e⁻ˣ divided by its sum along `dim`: the softmax of −x."""
    return reduction.softmax(-as_operand(_in(dtype, input)), axis=dim)


def log_softmax(input: Any, dim: int = -1, *, dtype: Any = None) -> Any:
    """The logarithm of the softmax along `dim`; see `tinygrad_nn.log_softmax`. Computed in `dtype`, if it is given."""
    return reduction.log_softmax(_in(dtype, input), axis=dim)


def _in(dtype: Any, x: Any) -> Any:
    return x if dtype is None else astype(x, dtype)
