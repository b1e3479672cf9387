"""Schedules of rate and momentum together, by batches: cycles, and a single one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..optimizer import Optimizer
from ..settings import check_count
from .base import LRScheduler, checked_optimizer, for_each_group


class _WithMomentum(LRScheduler):
    """What both share: a momentum, or the first of betas, that goes down where the rate goes up."""

    cycle_momentum: bool
    use_beta1: bool

    def _take_momentum(self, base: Any, highest: Any, last_epoch: int) -> tuple[list[float], list[float]]:
        """Lowest and highest momentum of each group; from now on compiled steps read momenta anew."""
        optimizer = self.optimizer
        if not {"momentum", "betas"} & optimizer.defaults.keys():
            raise ValueError(
                f"{type(self).__name__} changes the momentum too, and {type(optimizer).__name__} has none: "
                "give cycle_momentum=False"
            )
        self.use_beta1 = "betas" in optimizer.defaults
        optimizer.changing = optimizer.changing | {"betas" if self.use_beta1 else "momentum"}
        bases = for_each_group("base_momentum", optimizer, base)
        tops = for_each_group("max_momentum", optimizer, highest)
        if last_epoch == -1:
            for group, low, high in zip(optimizer.param_groups, bases, tops, strict=True):
                group["base_momentum"], group["max_momentum"] = low, high
                self._set_momentum(group, high)
        return bases, tops

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (float(momentum), *group["betas"][1:])
        else:
            group["momentum"] = float(momentum)


class CyclicLR(_WithMomentum):
    """Linearly from `base_lr` to `max_lr` and back, again and again (Smith, 2017).

    Parameters
    ----------
    optimizer : Optimizer
    base_lr, max_lr : float, or list of float
        Lowest and highest rate, of all groups or of each.
    step_size_up : int
        Steps from the lowest rate to the highest.
    step_size_down : int, optional
        Steps back; as many unless given.
    mode : str
        ``"triangular"``: always as high; ``"triangular2"``: half as high in each cycle; ``"exp_range"``: the height
        times `gamma` in each step.
    gamma : float
        For ``"exp_range"`` only.
    scale_fn : callable, optional
        What the height is multiplied with, instead of `mode`: of the number of the cycle, or of the step.
    scale_mode : str
        ``"cycle"`` or ``"iterations"``: what `scale_fn` is given.
    cycle_momentum : bool
        Let the momentum, or the first of betas, go from `max_momentum` to `base_momentum` and back.
    base_momentum, max_momentum : float, or list of float
        Lowest and highest momentum, of all groups or of each.
    last_epoch : int
        See `LRScheduler`; steps are counted here.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> w = tg.tensor(1.0, requires_grad=True)
    >>> optimizer = tg.optim.SGD([w], momentum=0.9)
    >>> scheduler = tg.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.25, max_lr=1.0, step_size_up=2)
    >>> for batch in range(5):
    ...     print(scheduler.get_last_lr()[0], end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    0.25 0.625 1.0 0.625 0.25
    """

    _functions = ("_scale_fn_custom",)

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked_optimizer(self, optimizer)
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f"mode must be 'triangular', 'triangular2' or 'exp_range', not {mode!r}; or give scale_fn")
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"scale_mode must be 'cycle' or 'iterations', not {scale_mode!r}")
        base_lrs = for_each_group("base_lr", optimizer, base_lr)
        self.max_lrs = for_each_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                group["lr"] = lr
        down = step_size_up if step_size_down is None else step_size_down
        if not step_size_up > 0 or not down > 0:
            raise ValueError(f"step_size_up and step_size_down must be above 0, given {step_size_up} and {down}")
        self.total_size = float(step_size_up) + float(down)
        self.step_ratio = step_size_up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode if scale_fn else "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = self._take_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def get_lr(self) -> list[float]:
        """The rates of this place in the cycle; the momenta are set."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        place = 1.0 + self.last_epoch / self.total_size - cycle
        height = place / self.step_ratio if place <= self.step_ratio else (place - 1) / (self.step_ratio - 1)
        height *= self._scale(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            pairs = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, pairs, strict=False):
                self._set_momentum(group, high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=False)]

    def _scale(self, x: int) -> float:
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "exp_range":
            return float(self.gamma**x)
        return 1.0 if self.mode == "triangular" else 0.5 ** (x - 1)


class OneCycleLR(_WithMomentum):
    """Up to `max_lr` and down far below the first rate, once in a training (Smith and Topin, 2019).

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float, or list of float
        The highest rate, of all groups or of each.
    total_steps : int, optional
        All steps of the training; or give `epochs` and `steps_per_epoch`.
    epochs, steps_per_epoch : int, optional
        Their product is the number of steps.
    pct_start : float
        Share of the steps in which the rate goes up.
    anneal_strategy : str
        ``"cos"`` or ``"linear"``.
    cycle_momentum : bool
        Let the momentum, or the first of betas, go from `max_momentum` to `base_momentum` and back.
    base_momentum, max_momentum : float, or list of float
        Lowest and highest momentum, of all groups or of each.
    div_factor : float
        The first rate is max_lr/div_factor.
    final_div_factor : float
        The last rate is the first one over this.
    three_phase : bool
        Go down as fast as up, to the first rate, and only then to the last.
    last_epoch : int
        See `LRScheduler`; steps are counted here.

    Raises
    ------
    ValueError
        From `step`, after the last of the steps.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> w = tg.tensor(1.0, requires_grad=True)
    >>> optimizer = tg.optim.Adam([w])
    >>> scheduler = tg.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.6)
    >>> for batch in range(4):
    ...     print(f"{scheduler.get_last_lr()[0]:.2f}", end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    0.04 0.52 1.00 0.50
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked_optimizer(self, optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
            check_count("epochs", epochs)
            check_count("steps_per_epoch", steps_per_epoch)
            total_steps = epochs * steps_per_epoch
        check_count("total_steps", total_steps)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"pct_start must be in [0, 1], not {pct_start!r}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}")
        self.total_steps = total_steps
        self._schedule_phases = self._phases(float(pct_start), three_phase)
        self._anneal_func_type = anneal_strategy
        if last_epoch == -1:
            for group, highest in zip(optimizer.param_groups, for_each_group("max_lr", optimizer, max_lr), strict=True):
                group["initial_lr"] = highest / div_factor
                group["max_lr"] = highest
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._take_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _phases(self, share: float, three: bool) -> list[dict[str, Any]]:
        """The last step of each phase, and from and to which rate and momentum it goes; in PyTorch's layout."""
        up, end = share * self.total_steps - 1, self.total_steps - 1
        rise = _phase(up, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        if not three:
            return [rise, _phase(end, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        fall = _phase(2 * up, "max_lr", "initial_lr", "base_momentum", "max_momentum")
        return [rise, fall, _phase(end, "initial_lr", "min_lr", "max_momentum", "max_momentum")]

    def get_lr(self) -> list[float]:
        """The rates of this step; the momenta are set."""
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(f"OneCycleLR was made for {self.total_steps} steps, this is step {step}")
        phases = self._schedule_phases
        number = next((i for i, phase in enumerate(phases) if step <= phase["end_step"]), len(phases) - 1)
        phase = phases[number]
        start, end = (phases[number - 1]["end_step"] if number else 0.0), phase["end_step"]
        share = (step - start) / (end - start) if end != start else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            if self.cycle_momentum:
                momenta = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._between(*momenta, share))
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], share))
        return rates

    def _between(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


def _phase(end: float, *names: str) -> dict[str, Any]:
    return {"end_step": end, **dict(zip(("start_lr", "end_lr", "start_momentum", "end_momentum"), names, strict=True))}
