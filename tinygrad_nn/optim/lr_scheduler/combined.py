"""Schedules made of schedules."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, checked_optimizer
from .plateau import ReduceLROnPlateau


class _Combined(LRScheduler):
    """What both share: the schedulers, and their state."""

    _schedulers: list[LRScheduler]

    def _take(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        name = type(self).__name__
        if not schedulers:
            raise ValueError(f"{name} needs at least one scheduler")
        for number, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(f"{name} is made of schedulers, not of a {type(scheduler).__name__} (at {number})")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"{name} cannot hold a ReduceLROnPlateau (at {number}), whose step needs a measure")
            optimizer = scheduler.optimizer if optimizer is None else optimizer
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"the schedulers of {name} must all have its optimizer; that at {number} has another")
        assert optimizer is not None
        self.optimizer = checked_optimizer(self, optimizer)
        self._schedulers = list(schedulers)

    def _start(self) -> None:
        for scheduler in self._schedulers:
            scheduler._step_count = 0  # what follows is no step of a user's
        super()._start()

    def _restart(self) -> None:
        for scheduler in self._schedulers:
            scheduler._restart()

    def _take_back(self) -> None:
        for scheduler in self._schedulers:
            scheduler._take_back()

    def _set_epoch(self, epoch: int | None = None) -> None:
        """Begin anew, where this is part of a sequence."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._restart()
        self._last_lr = self._current()

    def state_dict(self) -> dict[str, Any]:
        """All but the optimizer, with the states of the schedulers."""
        return {**super().state_dict(), "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        own = self._schedulers
        saved = state_dict.get("_schedulers", ())
        if len(saved) != len(own):
            raise ValueError(f"the state is of {len(saved)} schedulers, {type(self).__name__} has {len(own)}")
        super().load_state_dict({"last_epoch": 0, **state_dict, "_schedulers": own})
        for scheduler, state in zip(own, saved, strict=True):
            scheduler.load_state_dict(state)


class SequentialLR(_Combined):
    """One scheduler after the other, changing at the epochs given.

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : list of LRScheduler
        In their order, all of `optimizer`.
    milestones : list of int
        When each but the first begins.
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn.optim import lr_scheduler
    >>> w = tg.tensor(1.0, requires_grad=True)
    >>> optimizer = tg.optim.SGD([w], lr=1.0)
    >>> warm_up = lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> decay = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = lr_scheduler.SequentialLR(optimizer, [warm_up, decay], milestones=[3])
    >>> for epoch in range(6):
    ...     print(f"{scheduler.get_last_lr()[0]:.2f}", end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    0.25 0.50 0.75 1.00 0.50 0.25
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        self._take(schedulers, checked_optimizer(self, optimizer))
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"{len(schedulers)} schedulers need {len(schedulers) - 1} milestones between them, "
                f"not {len(milestones)}"
            )
        if list(milestones) != sorted(milestones):
            raise ValueError(f"milestones must grow, given {milestones}")
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        # Each scheduler has set the rates of its epoch 0 when it was made: only the first one's are to hold.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._take_back()
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._start()
        self._last_lr = first.get_last_lr()

    def _restart(self) -> None:
        self.last_epoch = 0
        self._schedulers[0]._restart()

    def step(self) -> None:  # type: ignore[override]
        """Set the rates of the next epoch."""
        self.last_epoch += 1
        number = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[number]
        if number and self._milestones[number - 1] == self.last_epoch:
            scheduler._set_epoch(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_Combined):
    """Several schedulers at once, whose factors multiply.

    Parameters
    ----------
    schedulers : sequence of LRScheduler
        All of one optimizer; each makes its step at each step.
    optimizer : Optimizer, optional
        That of the schedulers.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._take(schedulers, optimizer)
        self._last_lr = self._current()

    def step(self) -> None:  # type: ignore[override]
        """Let each scheduler make its step."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._current()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._schedulers})"
