"""Layers, activations and losses as functions, under PyTorch's names. They take arrays and Tensors."""

from __future__ import annotations

from typing import Any

from ...core.moved import publish
from ...ops.layers import neural
from ...ops.linalg.contraction import einsum
from ...ops.shapes import flatten, shape_of
from .activation import (
    celu,
    elu,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    threshold,
)
from .attention import scaled_dot_product_attention
from .convolution import conv1d, conv2d, conv_transpose1d, conv_transpose2d, fold, unfold
from .dropout import alpha_dropout, dropout, dropout1d, dropout2d
from .embedding import embedding
from .loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    check_range,
    class_numbers,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
)
from .more_losses import (
    cosine_embedding_loss,
    cosine_similarity,
    gaussian_nll_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_soft_margin_loss,
    normalize,
    pairwise_distance,
    poisson_nll_loss,
    smooth_l1_loss,
    soft_margin_loss,
    triplet_margin_loss,
)
from .normalization import batch_norm, group_norm, layer_norm, rms_norm
from .padding import pad
from .pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    lp_pool1d,
    lp_pool2d,
    max_pool1d,
    max_pool2d,
)

# --- layers ----------------------------------------------------------------------------------------------------------

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


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Rows of zeros with a one at each label: integers of shape (…) to integers of shape (…, num_classes).

    Parameters
    ----------
    tensor : array_like of int
        The labels.
    num_classes : int
        The largest label and one unless given.
    """
    codes, _ = class_numbers("one_hot", tensor)
    if num_classes == -1:
        num_classes = int(codes.max(initial=-1)) + 1
    check_range("one_hot", codes, num_classes)
    return neural.one_hot(tensor, num_classes=num_classes)


__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "elu",
    "embedding",
    "flatten",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "group_norm",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
    "unfold",
]

publish(globals())
