"""Affine maps: of one input and of two, and the change of shape that leads to them."""

from __future__ import annotations

from typing import Any

from ...ops.layers import neural
from ...ops.linalg.contraction import einsum
from ...ops.shapes import flatten, shape_of

__all__ = ["bilinear", "flatten", "linear"]

_linear = neural.linear.apply


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """x·Wᵀ + b on the last axis.

    Parameters
    ----------
    input : array_like
        The x, shape (…, in).
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
    return neural.linear_map(input, weight) if bias is None else _linear(input, weight, bias)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """x₁ᵀ·W·x₂ + b on the last axes.

    Parameters
    ----------
    input1, input2 : array_like
        Shapes (…, in₁) and (…, in₂).
    weight : array_like
        Shape (out, in₁, in₂).
    bias : array_like, optional
        Shape (out,).

    Returns
    -------
    Tensor
        Shape (…, out). ∂/∂x₁ = W·x₂, ∂/∂x₂ = Wᵀ·x₁, ∂/∂W = x₁·x₂ᵀ.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.bilinear(tg.tensor([2.0]), tg.tensor([3.0]), tg.tensor([[[4.0]]]))
    tensor([24.])
    """
    first, second, of_weight = shape_of(input1), shape_of(input2), shape_of(weight)
    if not first or not second or first[:-1] != second[:-1] or (first[-1], second[-1]) != of_weight[1:]:
        raise ValueError(
            f"bilinear: x₁ is (…, in₁), x₂ (…, in₂) and W (out, in₁, in₂), not {first}, {second}, {of_weight}"
        )
    out = einsum("...i,oij,...j->...o", input1, weight, input2)
    return out if bias is None else out + bias
