"""Losses of numbers that are predicted, as modules. What each computes is said at the function of `nn.functional`."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..functional.loss_regression import check_delta
from .loss import Loss

__all__ = ["GaussianNLLLoss", "HuberLoss", "L1Loss", "MSELoss", "PoissonNLLLoss", "SmoothL1Loss"]


class MSELoss(Loss, function=F.mse_loss):
    """Mean squared error of predictions and targets of the same shape; see `nn.functional.mse_loss`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.MSELoss()(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0]))
    tensor(2.)
    """


class L1Loss(Loss, function=F.l1_loss):
    """Mean absolute error of predictions and targets of the same shape; see `nn.functional.l1_loss`."""


class HuberLoss(Loss, function=F.huber_loss):
    """Squared error near 0, absolute error beyond `delta`; see `nn.functional.huber_loss`.

    Predictions and targets have the same shape.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        check_delta(delta)
        self.delta = delta


class SmoothL1Loss(Loss, function=F.smooth_l1_loss):
    """Squared error near 0, absolute error beyond `beta`, of slope 1 there; see `nn.functional.smooth_l1_loss`.

    Predictions and targets have the same shape.
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta


class PoissonNLLLoss(Loss, function=F.poisson_nll_loss):
    """Negative log-likelihood of counts; see `nn.functional.poisson_nll_loss`.

    Expected counts, or their logarithms, and counts have the same shape.
    """

    def __init__(
        self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps


class GaussianNLLLoss(Loss, function=F.gaussian_nll_loss):
    """Negative log-likelihood with a variance; see `nn.functional.gaussian_nll_loss`."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Any, target: Any, var: Any) -> Any:  # type: ignore[override]
        """The loss of means, targets of the same shape and variances."""
        return self._result(input, target, var)
