"""What all schedulers share: the optimizer, the count of epochs, and how learning rates are set."""

from __future__ import annotations

import types
import warnings
from collections.abc import Mapping
from typing import Any

from ..optimizer import Optimizer


class LRScheduler:
    """Base of all schedulers. Derive from it and write `get_lr`.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rates are set.
    last_epoch : int
        Epochs gone by before: −1 at the start. Else each group must hold its ``"initial_lr"``, as one does that a
        scheduler has seen.

    Attributes
    ----------
    base_lrs : list of float
        The learning rate of each group at the start.
    last_epoch : int
        How many steps were made, the first being made on construction.

    Raises
    ------
    TypeError
        If `optimizer` is none.
    KeyError
        If training is to go on (`last_epoch` ≥ 0) and a group has no ``"initial_lr"``.

    Notes
    -----
    Call `step` after the optimizer's own, once in each epoch or, where a schedule counts batches, after each batch.
    """

    optimizer: Optimizer
    last_epoch: int
    _step_count = 0
    #: Whether the rate being computed is the first.
    _is_initial = False
    #: Attributes that are functions, which a `state_dict` cannot hold.
    _functions: tuple[str, ...] = ()

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked_optimizer(self, optimizer)
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__} is to go on after epoch {last_epoch}, but group {number} of the optimizer "
                    "has no 'initial_lr': load the optimizer's state first, or start with last_epoch=-1"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._start()

    def _start(self) -> None:
        """Make the first step, which sets the rates of epoch 0."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def _restart(self) -> None:
        """Set the rates of epoch 0, from the first rates."""
        self.last_epoch = -1
        self._start()

    def _take_back(self) -> None:
        """Take back the first step, that of construction."""
        self.last_epoch -= 1

    def get_lr(self) -> list[float]:
        """The rate of each group in epoch `last_epoch`, computed from those before; for `step` alone."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def _closed_form(self) -> list[float]:
        """The rate of each group in epoch `last_epoch`, computed from `base_lrs`."""
        return self.get_lr()

    def get_last_lr(self) -> list[float]:
        """The rate of each group as the last step set it."""
        return self._last_lr

    def _current(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _scaled(self, factor: float) -> list[float]:
        return [lr * factor for lr in self._current()]

    def _based(self, factor: float) -> list[float]:
        return [lr * factor for lr in self.base_lrs]

    def step(self, epoch: int | None = None) -> None:
        """Set the rates of the next epoch.

        Parameters
        ----------
        epoch : int, optional
            Which epoch it is, if it is not the next one; PyTorch's use of it has been deprecated.

        Warns
        -----
        UserWarning
            If the optimizer has made no step yet: the first rate of the schedule would never be used.
        """
        if self._step_count == 1 and type(self.optimizer).step is Optimizer.step and not self.optimizer._stepped:
            warnings.warn(
                f"{type(self).__name__}.step() was called before optimizer.step(), so the first learning rate is never "
                "used; call the optimizer's step first",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        self._set_epoch(epoch)

    def _set_epoch(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._set_rates(self.get_lr() if epoch is None else self._closed_form())

    def _set_rates(self, rates: list[float]) -> None:
        groups = self.optimizer.param_groups
        if len(rates) != len(groups):
            raise ValueError(
                f"{type(self).__name__} was made for {len(rates)} groups of parameters, the optimizer has "
                f"{len(groups)} now: add groups before the scheduler is made"
            )
        for group, lr in zip(groups, rates, strict=True):
            group["lr"] = float(lr)
        self._last_lr = self._current()

    def state_dict(self) -> dict[str, Any]:
        """All but the optimizer, for `tinygrad_nn.save`; of functions only what is kept in them as attributes."""
        state = {name: value for name, value in self.__dict__.items() if name != "optimizer"}
        for name in self._functions:
            own = state[name]
            state[name] = [_inside(f) for f in own] if isinstance(own, list) else _inside(own)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a `state_dict`. The optimizer's own state, with the rates, is loaded by itself.

        Raises
        ------
        ValueError
            If it is that of another kind of scheduler.
        """
        if not isinstance(state_dict, Mapping) or "last_epoch" not in state_dict:
            raise ValueError(f"this is not the state of a {type(self).__name__}: {state_dict!r}")
        missing = [
            name for name in self.__dict__ if name not in state_dict and name not in ("optimizer", "_is_initial")
        ]
        if missing:
            raise ValueError(f"the state is of another scheduler: {type(self).__name__} needs {', '.join(missing)}")
        for name, value in state_dict.items():
            if name not in self._functions:
                setattr(self, name, value)
                continue
            own = getattr(self, name)
            for function, inside in zip(own, value, strict=True) if isinstance(own, list) else [(own, value)]:
                if inside is not None:
                    function.__dict__.update(inside)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(last_epoch={self.last_epoch}, lr={self._current()})"


def _inside(function: Any) -> dict[str, Any] | None:
    """What an object that can be called keeps; None of a plain function."""
    if function is None or isinstance(function, types.FunctionType | types.BuiltinFunctionType | type):
        return None
    return dict(getattr(function, "__dict__", {}))


def checked_optimizer(scheduler: object, optimizer: object) -> Optimizer:
    """The optimizer, if it is one."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(scheduler).__name__} needs an Optimizer, not a {type(optimizer).__name__}")
    return optimizer


def for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """A setting for each group: the one given for all, or those given."""
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name} has {len(value)} values, the optimizer {count} groups of parameters")
    return list(value)
