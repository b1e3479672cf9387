"""Losses of classes as modules. What each computes is said at the function of `nn.functional`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import functional as F
from ..checks import check_probability
from .loss import Loss, WeightedLoss, factors

if TYPE_CHECKING:
    from ...tensor.tensor import ArrayLike, Tensor

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "KLDivLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "SoftMarginLoss",
]


class BCELoss(WeightedLoss, function=F.binary_cross_entropy):
    """Binary cross-entropy of probabilities; see `nn.functional.binary_cross_entropy`.

    Probabilities and targets have the same shape.

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

    def forward(self, input: Any, target: Any) -> Any:  # type: ignore[override]
        """The loss of probabilities and targets."""
        # In small networks' steps it would show if the settings were collected.
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(WeightedLoss, function=F.binary_cross_entropy_with_logits):
    """Binary cross-entropy of scores; see `nn.functional.binary_cross_entropy_with_logits`.

    Scores and targets have the same shape.

    Parameters
    ----------
    weight : array_like, optional
        Factor on each element's loss, of a shape that broadcasts.
    reduction : {"mean", "sum", "none"}
    pos_weight : array_like, optional
        Factor on the loss where the target is 1, of a shape that broadcasts.
    """

    pos_weight: Tensor | None = None

    def __init__(
        self, weight: ArrayLike | None = None, reduction: str = "mean", pos_weight: ArrayLike | None = None
    ) -> None:
        super().__init__(weight, reduction)
        if pos_weight is not None:
            self.register_buffer("pos_weight", factors(pos_weight))


class NLLLoss(WeightedLoss, function=F.nll_loss):
    """Negative log-likelihood: minus the log-probability at the label; see `nn.functional.nll_loss`.

    Log-probabilities have shape (N, C, …), labels (N, …).

    Parameters
    ----------
    weight : array_like, optional
        Factor for each class.
    ignore_index : int
        A label whose samples count for nothing.
    reduction : {"mean", "sum", "none"}
        The mean is that weighted by `weight`.
    """

    _by_class = True

    def __init__(self, weight: ArrayLike | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)
        self.ignore_index = self._label(ignore_index)


class CrossEntropyLoss(WeightedLoss, function=F.cross_entropy):
    """Cross-entropy of the softmax of scores; see `nn.functional.cross_entropy`.

    Scores have shape (N, C, …), targets are labels of shape (N, …) or probabilities of the scores' shape.

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

    _by_class = True

    def __init__(
        self,
        weight: ArrayLike | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction)
        check_probability(label_smoothing, "label_smoothing")
        self.ignore_index = self._label(ignore_index)
        self.label_smoothing = label_smoothing


class KLDivLoss(Loss, function=F.kl_div):
    """Kullback–Leibler divergence from log-probabilities; see `nn.functional.kl_div`.

    Log-probabilities and target probabilities have the same shape.
    """

    _more_reductions = ("batchmean",)

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target


class SoftMarginLoss(Loss, function=F.soft_margin_loss):
    """log(1 + exp(−t·x)) of scores against 1 and −1 of the same shape; see `nn.functional.soft_margin_loss`."""


class MultiMarginLoss(WeightedLoss, function=F.multi_margin_loss):
    """The hinge loss of several classes; see `nn.functional.multi_margin_loss`.

    Scores have shape (N, C), labels (N,).
    """

    _by_class = True

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: ArrayLike | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction)
        self.p = p
        self.margin = margin


class MultiLabelSoftMarginLoss(WeightedLoss, function=F.multilabel_soft_margin_loss):
    """Binary cross-entropy of each class's score; see `nn.functional.multilabel_soft_margin_loss`.

    Targets are 0 or 1, of the shape of the scores.
    """

    _by_class = True
