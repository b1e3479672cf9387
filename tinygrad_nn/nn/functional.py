"""Layers, activations and losses as functions, under PyTorch's names. They take arrays and Tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..draws import sampled
from ..ops import elementwise, neural, reduction
from ..ops.elementwise import relu, sigmoid, tanh
from ..ops.shape import flatten
from ..random import as_generator
from ..values import plain_tensor
from ._losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    check_probability,
    check_range,
    class_numbers,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
)

# --- layers ----------------------------------------------------------------------------------------------------------

_linear = neural.linear.apply


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x·Wᵀ + b on the last axis.

    Parameters
    ----------
    x : array_like
        Shape (…, in).
    weight : array_like
        Shape (out, in).
    bias : array_like, optional
        Shape (out,).

    Returns
    -------
    Tensor
        Shape (…, out). ∂L/∂x = g·W, ∂L/∂W = gᵀ·x and ∂L/∂b = g, summed over the samples.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.linear(tg.tensor([[1.0, 2.0]]), tg.tensor([[3.0, 4.0]]))
    tensor([[11.]])
    """
    return neural.linear_map(x, weight) if bias is None else _linear(x, weight, bias)


def dropout(x: Any, p: float = 0.5, training: bool = True, generator: np.random.Generator | None = None) -> Any:
    """Each element set to 0 with probability `p`, the others scaled by 1/(1 − p), if `training`; else x.

    The derivative is the same factor: 0 or 1/(1 − p).
    """
    check_probability(p)
    if not training or p == 0:
        return x
    generator = as_generator(generator)
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
    kept = sampled(generator, "random", x.shape, np.float32) >= p
    return x * plain_tensor((kept * dtype.type(1 / (1 - p) if p < 1 else 0))[()])


def one_hot(labels: Any, num_classes: int = -1) -> Any:
    """Rows of zeros with a one at each label: integers of shape (…) to integers of shape (…, num_classes).

    Parameters
    ----------
    labels : array_like of int
    num_classes : int
        The largest label and one unless given.
    """
    codes, _ = class_numbers("one_hot", labels)
    if num_classes == -1:
        num_classes = int(codes.max(initial=-1)) + 1
    check_range("one_hot", codes, num_classes)
    return neural.one_hot(labels, num_classes=num_classes)


# --- activations -----------------------------------------------------------------------------------------------------


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """Elementwise x where x > 0, else negative_slope·x.

    The derivative is 1 where x > 0, else `negative_slope`, at 0 too.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.leaky_relu(tg.tensor([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """
    return neural.leaky_relu(x, negative_slope=negative_slope)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Elementwise x where x > 0, else alpha·(eˣ − 1) (Clevert, Unterthiner and Hochreiter, 2015).

    The derivative is 1 where x > 0, else alpha·eˣ, at 0 too.
    """
    return neural.elu(x, alpha=alpha)


def gelu(x: Any, approximate: str = "none") -> Any:
    """Elementwise x·Φ(x), Φ the normal distribution function (Hendrycks and Gimpel, 2016).

    Parameters
    ----------
    x : array_like
    approximate : {"none", "tanh"}
        The second for x·½(1 + tanh(√(2/π)·(x + 0.044715·x³))), which is quicker and differs by up to 5e-4.

    Notes
    -----
    The derivative is Φ(x) + x·exp(−x²/2)/√(2π).
    """
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    if approximate != "none":
        raise ValueError(f'gelu: approximate must be "none" or "tanh", not {approximate!r}')
    return x * neural.normal_cdf(x)


def silu(x: Any) -> Any:
    """Elementwise x·σ(x), also called swish, with derivative σ(x) + x·σ(x)·(1 − σ(x))."""
    return x * sigmoid(x)


def softplus(x: Any, beta: float = 1.0) -> Any:
    """Elementwise log(1 + e^(beta·x))/beta, a smooth `relu`, with derivative σ(beta·x)."""
    return elementwise.softplus(x) if beta == 1 else elementwise.softplus(x * beta) / beta


def softmax(x: Any, dim: int = -1) -> Any:
    """eˣ divided by its sum along `dim`; see `tinygrad_nn.softmax`."""
    return reduction.softmax(x, axis=dim)


def log_softmax(x: Any, dim: int = -1) -> Any:
    """The logarithm of the softmax along `dim`; see `tinygrad_nn.log_softmax`."""
    return reduction.log_softmax(x, axis=dim)


__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "elu",
    "flatten",
    "gelu",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "leaky_relu",
    "linear",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
