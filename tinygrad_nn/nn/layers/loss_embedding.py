"""Losses of embeddings, and distances, as modules. What each computes is said at the function of `nn.functional`."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..module import Module
from .loss import Loss

__all__ = [
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "PairwiseDistance",
    "TripletMarginLoss",
]


class HingeEmbeddingLoss(Loss, function=F.hinge_embedding_loss):
    """Distances for 1, max(0, margin − x) for −1; see `nn.functional.hinge_embedding_loss`.

    Distances and targets have the same shape.
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin


class _PairLoss(Loss):
    """A loss of two inputs with a margin between them."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:  # type: ignore[override]
        """The loss of two inputs of the same shape and targets of 1 and −1."""
        return self._result(input1, input2, target)


class MarginRankingLoss(_PairLoss, function=F.margin_ranking_loss):
    """Scores that are to be in order; see `nn.functional.margin_ranking_loss`.

    Both sets of scores and the targets have the same shape.
    """


class CosineEmbeddingLoss(_PairLoss, function=F.cosine_embedding_loss):
    """Vectors that are to be alike, or not; see `nn.functional.cosine_embedding_loss`.

    Vectors have shape (N, D), targets (N,).
    """


class TripletMarginLoss(Loss, function=F.triplet_margin_loss):
    """A positive that is to be nearer than a negative; see `nn.functional.triplet_margin_loss`."""

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:  # type: ignore[override]
        """The loss of anchors, positives and negatives of the same shape."""
        return self._result(anchor, positive, negative)


class PairwiseDistance(Module):
    """The p-norm of the difference of vectors along the last axis; see `nn.functional.pairwise_distance`."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Any, x2: Any) -> Any:
        """The distances."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along `dim`; see `nn.functional.cosine_similarity`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Any, x2: Any) -> Any:
        """The cosines."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
