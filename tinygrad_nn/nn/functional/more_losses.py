"""The rarer losses of `nn.functional`, and the distances that some of them take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...ops.elementwise import (
    absolute,
    exp,
    greater,
    less,
    log,
    log_sigmoid,
    maximum,
    minimum,
    relu,
    softplus,
    sqrt,
    where,
)
from ...ops.layers.neural import one_hot
from ...ops.linalg.products import vector_norm
from ...ops.shapes import broadcast_arrays, expand_dims
from ...ops.shapes.indexing import index
from ...tensor.tensor import Tensor
from ..checks import as_operand, is_recorded
from .loss import (
    check_range,
    check_reduction,
    check_shapes,
    class_numbers,
    class_weight,
    difference_of,
    matched,
    reduced,
)

#: Added to the squared lengths that `cosine_embedding_loss` divides by, as in PyTorch.
_LEAST_LENGTH = 1e-12


def smooth_l1_loss(input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """½d²/beta for an error d = x − t within ±beta, |d| − ½beta beyond: `huber_loss` divided by beta (Girshick, 2015).

    The derivative is d/beta limited to ±1. Parameters, errors: as for `mse_loss`.
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, it is {beta}")
    difference = difference_of("smooth_l1_loss", input, target)
    size = absolute(difference)
    if beta == 0:
        return reduced(size, reduction)
    return reduced(where(less(size, beta), 0.5 / beta * difference * difference, size - 0.5 * beta), reduction)


def soft_margin_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """log(1 + exp(−t·x)) of scores x and targets t of 1 or −1, without overflow; ∂/∂x = −t·σ(−t·x)."""
    input, target = matched("soft_margin_loss", input, target)
    _check_signs("soft_margin_loss", target)
    return reduced(softplus(-target * input), reduction)


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, *, reduction: str = "mean") -> Any:
    """A distance x for the target 1, max(0, margin − x) for −1. Of one shape, and not broadcast."""
    input, target = matched("hinge_embedding_loss", input, target)
    _check_signs("hinge_embedding_loss", target)
    return reduced(where(greater(target, 0), input, relu(margin - input)), reduction)


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean") -> Any:
    """max(0, margin − t·(x₁ − x₂)): the first score is to be larger by `margin` for t = 1, the second for t = −1."""
    difference = difference_of("margin_ranking_loss", input1, input2)
    difference, target = matched("margin_ranking_loss", difference, target)
    _check_signs("margin_ranking_loss", target)
    return reduced(relu(margin - target * difference), reduction)


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean"
) -> Any:
    """1 − cos for the target 1, max(0, cos − margin) for −1, with the cosine between vectors along the last axis.

    Parameters
    ----------
    input1, input2 : array_like
        Shape (N, D) or (D,).
    target : array_like
        1 or −1, shape (N,) or ().
    margin : float
    reduction : {"mean", "sum", "none"}
    """
    input1, input2 = matched("cosine_embedding_loss", input1, input2)
    target = as_operand(target)
    _check_labels("cosine_embedding_loss", input1.shape, target.shape)
    _check_signs("cosine_embedding_loss", target)
    lengths = ((input1 * input1).sum(-1) + _LEAST_LENGTH) * ((input2 * input2).sum(-1) + _LEAST_LENGTH)
    cosine = (input1 * input2).sum(-1) / sqrt(lengths)
    return reduced(where(greater(target, 0), 1 - cosine, relu(cosine - margin)), reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Any:
    """max(0, margin + |a − p| − |a − n|): the positive is to be nearer to the anchor than the negative by `margin`.

    Parameters
    ----------
    anchor, positive, negative : array_like
        Shape (…, D), the same for all.
    margin : float
    p : float
        Of the norm along the last axis; see `pairwise_distance`.
    eps : float
        Added to each difference.
    swap : bool
        Take the distance from negative to positive where it is the smaller one (Balntas et al., 2016).
    reduction : {"mean", "sum", "none"}
    """
    if not margin > 0:
        raise ValueError(f"triplet_margin_loss: margin must be positive, it is {margin}")
    check_shapes("triplet_margin_loss", anchor, positive)
    check_shapes("triplet_margin_loss", anchor, negative)
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(relu(margin + near - far), reduction)


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
) -> Any:
    """Negative log-likelihood of counts t under Poisson distributions.

    Parameters
    ----------
    input, target : array_like
        Expected counts x, or their logarithms, and counts t of one shape.
    log_input : bool
        The input holds logarithms: eˣ − t·x; else x − t·log(x + eps).
    full : bool
        Add Stirling's formula for log t!, t·log t − t + ½·log(2πt), where t > 1.
    eps : float
    reduction : {"mean", "sum", "none"}
    """
    input, target = matched("poisson_nll_loss", input, target)
    losses = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        many = greater(target, 1)
        counts = where(many, target, 1)
        losses = losses + where(many, counts * log(counts) - counts + 0.5 * log(2 * math.pi * counts), 0)
    return reduced(losses, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """Negative log-likelihood ½·(log v + (x − t)²/v) of targets under normal distributions of mean x and variance v.

    Parameters
    ----------
    input, target : array_like
        Of one shape.
    var : array_like
        Variances: a number, the shape of `input`, or that with a last axis of length 1, or without it.
    full : bool
        Add ½·log 2π.
    eps : float
        The least variance; the derivative takes no notice of this bound.
    reduction : {"mean", "sum", "none"}
    """
    difference = difference_of("gaussian_nll_loss", input, target)
    if not eps > 0:
        raise ValueError(f"gaussian_nll_loss: eps must be positive, it is {eps}")
    var = as_operand(var)
    shape, given = difference.shape, var.shape
    if given and given == shape[:-1] and given != shape:
        var = expand_dims(var, axis=-1)
    elif given not in ((), shape, (*shape[:-1], 1)):
        raise ValueError(f"gaussian_nll_loss: var must have shape {shape}, {(*shape[:-1], 1)} or (), not {given}")
    if not is_recorded(var) and np.any(np.asarray(var.detach() if isinstance(var, Tensor) else var) < 0):
        raise ValueError("gaussian_nll_loss: a variance is negative")
    plain = var.detach() if isinstance(var, Tensor) else var
    var = var + (maximum(plain, eps) - plain)
    losses = 0.5 * (log(var) + difference * difference / var)
    return reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, *, reduction: str = "mean"
) -> Any:
    """Σ max(0, margin − x_y + x_i)ᵖ / C over the classes i other than the labelled y: a hinge for several classes.

    Parameters
    ----------
    input : array_like
        Scores, shape (N, C) or (C,).
    target : array_like of int
        Labels 0 … C − 1, shape (N,) or ().
    p : {1, 2}
    margin : float
    weight : array_like, optional
        Factor for each class.
    reduction : {"mean", "sum", "none"}
    """
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p must be 1 or 2, not {p!r}")
    check_reduction(reduction)
    input = as_operand(input)
    codes, _ = class_numbers("multi_margin_loss", target)
    _check_labels("multi_margin_loss", input.shape, codes.shape)
    classes = input.shape[-1]
    codes = check_range("multi_margin_loss", codes, classes)
    labelled = one_hot(codes, num_classes=classes, dtype=np.bool_)
    own = where(labelled, input, 0).sum(-1, keepdims=True)
    losses = where(labelled, 0, relu(margin - own + input))
    losses = (losses if p == 1 else losses * losses).sum(-1) / classes
    weight = class_weight(weight, classes)
    return reduced(losses if weight is None else losses * index(weight, codes), reduction)


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """−t·log σ(x) − (1 − t)·log σ(−x), averaged over the classes, the last axis, each with a factor in `weight`."""
    input, target = matched("multilabel_soft_margin_loss", input, target)
    weight = class_weight(weight, input.shape[-1])
    losses = -(target * log_sigmoid(input) + (1 - target) * log_sigmoid(-input))
    return reduced((losses if weight is None else losses * weight).mean(-1), reduction)


# --- distances -------------------------------------------------------------------------------------------------------


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of x₁ − x₂ + eps along the last axis.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.pairwise_distance(tg.tensor([3.0, 4.0]), tg.tensor([0.0, 0.0]), eps=0.0)
    tensor(5.)
    """
    return vector_norm(as_operand(x1) - as_operand(x2) + eps, axis=-1, keepdims=keepdim, ord=p)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along `dim`: x₁·x₂ over the product of lengths, each at least `eps`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.cosine_similarity(tg.tensor([3.0, 4.0]), tg.tensor([4.0, 3.0]), dim=0)
    tensor(0.96)
    """
    # Broadcast before, as the lengths along `dim` are those of what is multiplied.
    x1, x2 = broadcast_arrays(as_operand(x1), as_operand(x2))
    first, second = (maximum(vector_norm(x, axis=dim), eps) for x in (x1, x2))
    return (x1 * x2).sum(dim) / (first * second)


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """Vectors along `dim` divided by their p-norm, which is taken as at least `eps`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.normalize(tg.tensor([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    input = as_operand(input)
    return input / maximum(vector_norm(input, axis=dim, keepdims=True, ord=p), eps)


# --- what is checked -------------------------------------------------------------------------------------------------


def _check_signs(name: str, target: Any) -> None:
    """Refuse targets other than 1 and −1, where they are known."""
    if not is_recorded(target):
        values = np.asarray(target.detach() if isinstance(target, Tensor) else target)
        if values.dtype.kind == "b" or not np.all(abs(values) == 1):
            raise ValueError(f"{name}: targets must be 1 or −1; for targets of 0 and 1 give 2·t − 1")


def _check_labels(name: str, shape: tuple[int, ...], labels: tuple[int, ...]) -> None:
    if len(shape) not in (1, 2) or labels != shape[:-1]:
        raise ValueError(f"{name}: for inputs (N, C) or (C,), here {shape}, targets are (N,) or (), not {labels}")
