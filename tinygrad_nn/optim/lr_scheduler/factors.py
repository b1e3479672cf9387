"""Schedules by functions of the user's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..optimizer import Optimizer
from .base import LRScheduler, checked_optimizer, for_each_group

Factor = Callable[[int], float]


class _Factors(LRScheduler):
    """What the two share: a function for each group."""

    _functions = ("lr_lambdas",)

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1) -> None:
        functions = for_each_group("lr_lambda", checked_optimizer(self, optimizer), lr_lambda)
        for function in functions:
            if not callable(function):
                raise TypeError(f"lr_lambda must be a function of the epoch, not a {type(function).__name__}")
        self.lr_lambdas: list[Factor] = functions
        super().__init__(optimizer, last_epoch)


class LambdaLR(_Factors):
    """The first rate times a function of the epoch: lrₜ = lr₀·f(t).

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable, or list of callable
        f, or one for each group.
    last_epoch : int
        See `LRScheduler`.
    """

    def get_lr(self) -> list[float]:
        """The first rates, times what the functions give."""
        return [lr * factor(self.last_epoch) for lr, factor in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(_Factors):
    """The last rate times a function of the epoch: lrₜ = lrₜ₋₁·f(t).

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable, or list of callable
        f, or one for each group.
    last_epoch : int
        See `LRScheduler`.
    """

    def get_lr(self) -> list[float]:
        """Those before, times what the functions give."""
        if self._is_initial:
            return self._current()
        return [lr * factor(self.last_epoch) for lr, factor in zip(self._current(), self.lr_lambdas, strict=False)]
