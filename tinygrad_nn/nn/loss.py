"""Losses as modules. What each computes is said at the function of `nn.functional`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import functional as F
from ._losses import check_delta, check_probability, check_reduction
from .module import Module

if TYPE_CHECKING:
    from ..tensor import ArrayLike, Tensor


class _Loss(Module):
    def __init__(self, reduction: str = "mean", weight: ArrayLike | None = None) -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction = reduction
        if weight is not None:
            self.register_buffer("weight", weight)

    weight: Tensor | None = None

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
            self.register_buffer("pos_weight", pos_weight)

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
        super().__init__(reduction, weight)
        self.ignore_index = ignore_index

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
        super().__init__(reduction, weight)
        check_probability(label_smoothing, "label_smoothing")
        self.ignore_index = ignore_index
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
