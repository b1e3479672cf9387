"""Losses as modules. What each computes is said at the function of `nn.functional`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...tensor.tensor import Tensor
from .. import functional as F
from ..checks import check_probability
from ..functional.loss import check_delta, check_reduction
from ..module import Module

if TYPE_CHECKING:
    from ...tensor.tensor import ArrayLike


def _factors(weight: ArrayLike) -> ArrayLike:
    """Weights; lists and Python numbers in float32, as parameters are, so that losses keep the dtype of the model."""
    return weight if hasattr(weight, "dtype") else Tensor(weight, np.float32)


class _Loss(Module):
    def __init__(self, reduction: str = "mean", weight: ArrayLike | None = None) -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction = reduction
        if weight is not None:
            if isinstance(weight, Tensor) and not weight.is_leaf:
                raise self._called_too_early(f"weight must be given numbers, not a result, of shape {weight.shape}")
            self.register_buffer("weight", _factors(weight))

    weight: Tensor | None = None

    def _class_weight(self, weight: ArrayLike | None) -> ArrayLike | None:
        """A factor for each class, as given."""
        if weight is not None and (np.ndim(weight) != 1 or np.asarray(weight).dtype.kind not in "fiu"):
            raise self._called_too_early(f"weight must be a number for each class, not of shape {np.shape(weight)}")
        return weight

    def _label(self, ignore_index: int) -> int:
        if isinstance(ignore_index, bool) or not isinstance(ignore_index, int | np.integer):
            raise self._called_too_early(f"ignore_index must be a label, not {type(ignore_index).__name__}")
        return int(ignore_index)

    def _called_too_early(self, problem: str) -> TypeError:
        name = type(self).__name__
        return TypeError(f"{name}: {problem}; the module is made before it is called: nn.{name}()(input, target)")

    def extra_repr(self) -> str:
        """The settings, where they are not the usual ones."""
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class MSELoss(_Loss):
    """Mean squared error; see `nn.functional.mse_loss`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.MSELoss()(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of predictions and targets of the same shape."""
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """Mean absolute error; see `nn.functional.l1_loss`."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of predictions and targets of the same shape."""
        return F.l1_loss(input, target, reduction=self.reduction)


class HuberLoss(_Loss):
    """Squared error near 0, absolute error beyond `delta`; see `nn.functional.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        check_delta(delta)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of predictions and targets of the same shape."""
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class BCELoss(_Loss):
    """Binary cross-entropy of probabilities; see `nn.functional.binary_cross_entropy`.

    Parameters
    ----------
    weight : array_like, optional
        Factor on each element's loss, of a shape that broadcasts.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.BCELoss()(tg.tensor([0.5, 0.5]), tg.tensor([0.0, 1.0]))
    tensor(0.69314718)
    """

    def __init__(self, weight: ArrayLike | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction, weight)

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of probabilities and targets of the same shape."""
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of scores; see `nn.functional.binary_cross_entropy_with_logits`.

    Parameters
    ----------
    weight : array_like, optional
        Factor on each element's loss, of a shape that broadcasts.
    reduction : {"mean", "sum", "none"}
    pos_weight : array_like, optional
        Factor on the loss where the target is 1, of a shape that broadcasts.
    """

    def __init__(
        self, weight: ArrayLike | None = None, reduction: str = "mean", pos_weight: ArrayLike | None = None
    ) -> None:
        super().__init__(reduction, weight)
        if pos_weight is not None:
            self.register_buffer("pos_weight", _factors(pos_weight))

    pos_weight: Tensor | None = None

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of scores and targets of the same shape."""
        return F.binary_cross_entropy_with_logits(
            input, target, weight=self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class NLLLoss(_Loss):
    """Negative log-likelihood: minus the log-probability at the label; see `nn.functional.nll_loss`.

    Parameters
    ----------
    weight : array_like, optional
        Factor for each class.
    ignore_index : int
        A label whose samples count for nothing.
    reduction : {"mean", "sum", "none"}
        The mean is that weighted by `weight`.
    """

    def __init__(self, weight: ArrayLike | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction, self._class_weight(weight))
        self.ignore_index = self._label(ignore_index)

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of log-probabilities of shape (N, C, …) and labels of shape (N, …)."""
        return F.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class CrossEntropyLoss(_Loss):
    """Cross-entropy of the softmax of scores; see `nn.functional.cross_entropy`.

    Parameters
    ----------
    weight : array_like, optional
        Factor for each class.
    ignore_index : int
        A label whose samples count for nothing.
    reduction : {"mean", "sum", "none"}
        The mean is that weighted by `weight`.
    label_smoothing : float
        The share, in [0, 1], of each target that is spread evenly over the classes.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.CrossEntropyLoss()(tg.zeros((2, 4)), tg.tensor([0, 3]))
    tensor(1.38629436)
    """

    def __init__(
        self,
        weight: ArrayLike | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction, self._class_weight(weight))
        check_probability(label_smoothing, "label_smoothing")
        self.ignore_index = self._label(ignore_index)
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of scores of shape (N, C, …), and labels of shape (N, …) or probabilities of the scores' shape."""
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class KLDivLoss(_Loss):
    """Kullback–Leibler divergence from log-probabilities; see `nn.functional.kl_div`."""

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        Module.__init__(self)
        check_reduction(reduction, "batchmean")
        self.reduction = reduction
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        """The divergence of log-probabilities and target probabilities of the same shape."""
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class SmoothL1Loss(_Loss):
    """Squared error near 0, absolute error beyond `beta`, of slope 1 there; see `nn.functional.smooth_l1_loss`."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of predictions and targets of the same shape."""
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class SoftMarginLoss(_Loss):
    """log(1 + exp(−t·x)) of scores against 1 and −1; see `nn.functional.soft_margin_loss`."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of scores and targets of the same shape."""
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class HingeEmbeddingLoss(_Loss):
    """Distances for 1, max(0, margin − x) for −1; see `nn.functional.hinge_embedding_loss`."""

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of distances and targets of the same shape."""
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """Scores that are to be in order; see `nn.functional.margin_ranking_loss`."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        """The loss of two sets of scores and targets, all of the same shape."""
        return F.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """Vectors that are to be alike, or not; see `nn.functional.cosine_embedding_loss`."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        """The loss of vectors of shape (N, D) and targets of shape (N,)."""
        return F.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """A positive that is to be nearer than a negative; see `nn.functional.triplet_margin_loss`."""

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        """The loss of anchors, positives and negatives of the same shape."""
        return F.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class PoissonNLLLoss(_Loss):
    """Negative log-likelihood of counts; see `nn.functional.poisson_nll_loss`."""

    def __init__(
        self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of expected counts, or their logarithms, and counts of the same shape."""
        return F.poisson_nll_loss(
            input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(_Loss):
    """Negative log-likelihood with a variance; see `nn.functional.gaussian_nll_loss`."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Any, target: Any, var: Any) -> Any:
        """The loss of means, targets of the same shape and variances."""
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class MultiMarginLoss(_Loss):
    """The hinge loss of several classes; see `nn.functional.multi_margin_loss`."""

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: ArrayLike | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction, self._class_weight(weight))
        self.p = p
        self.margin = margin

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of scores of shape (N, C) and labels of shape (N,)."""
        return F.multi_margin_loss(
            input, target, p=self.p, margin=self.margin, weight=self.weight, reduction=self.reduction
        )


class MultiLabelSoftMarginLoss(_Loss):
    """Binary cross-entropy of each class's score; see `nn.functional.multilabel_soft_margin_loss`."""

    def __init__(self, weight: ArrayLike | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction, self._class_weight(weight))

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of scores and targets of 0 or 1 of the same shape."""
        return F.multilabel_soft_margin_loss(input, target, weight=self.weight, reduction=self.reduction)


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
