"""Losses of embeddings, which bring like things near each other, and the distances that they take."""

from __future__ import annotations

from typing import Any

from ...ops.elementwise import greater, maximum, minimum, relu, sqrt, where
from ...ops.linalg.products import vector_norm
from ...ops.shapes import broadcast_arrays
from ..checks import as_operand
from .loss import check_labels, check_shapes, checked_signs, difference_of, matched, reduced

__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "normalize",
    "pairwise_distance",
    "triplet_margin_loss",
]

#: Added to the squared lengths that `cosine_embedding_loss` divides by, as in PyTorch.
_LEAST_LENGTH = 1e-12


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, *, reduction: str = "mean") -> Any:
    """A distance x for the target 1, max(0, margin − x) for −1. Of one shape, and not broadcast."""
    input, target = matched("hinge_embedding_loss", input, target)
    target = checked_signs("hinge_embedding_loss", target)
    return reduced(where(greater(target, 0), input, relu(margin - input)), reduction)


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean") -> Any:
    """max(0, margin − t·(x₁ − x₂)): the first score is to be larger by `margin` for t = 1, the second for t = −1."""
    difference = difference_of("margin_ranking_loss", input1, input2)
    difference, target = matched("margin_ranking_loss", difference, target)
    target = checked_signs("margin_ranking_loss", target)
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
    check_labels("cosine_embedding_loss", input1.shape, target.shape)
    target = checked_signs("cosine_embedding_loss", target)
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
