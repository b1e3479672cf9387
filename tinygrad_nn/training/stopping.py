"""When to stop: as soon as a figure has not become better for some epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Parts of names that tell what is better, more or less.
_MORE = ("acc", "auc", "f1", "precision", "recall", "score", "r2")
_LESS = ("loss", "error", "mse", "mae", "rmse", "perplexity")

#: What `EarlyStopping` has seen, by the names of its attributes.
_SEEN = ("best", "best_epoch", "epoch", "waited", "stopped")


def better_is(monitor: str, mode: str) -> str:
    """``"min"`` or ``"max"``, from the name of the figure if `mode` is ``"auto"``.

    Raises
    ------
    ValueError
        For another mode, or a name that does not tell.
    """
    if mode in ("min", "max"):
        return mode
    if mode != "auto":
        raise ValueError(f'mode must be "min", "max" or "auto", not {mode!r}')
    name = monitor.lower()
    if any(part in name for part in _LESS):
        return "min"
    if any(part in name for part in _MORE):
        return "max"
    raise ValueError(f'is more or less of {monitor!r} better? The name does not tell: give mode="max" or mode="min"')


def monitored(monitor: str, row: Mapping[str, Any]) -> float:
    """A figure of an epoch: that of the validation if there is one, of the training if not or by ``"train_…"``.

    Raises
    ------
    ValueError
        If the epoch has no such figure.
    """
    for name in (f"val_{monitor}", monitor, monitor.removeprefix("train_")):
        if row.get(name) is not None:
            return float(row[name])
    raise ValueError(f"there is no figure {monitor!r} to watch; there are {', '.join(map(repr, row))}")


class EarlyStopping:
    """Stops a training when a figure has not become better for `patience` epochs in a row.

    Parameters
    ----------
    monitor : str
        Which figure: ``"loss"``, or the name of a metric. With validation that of the validation, unless it begins with
        ``"train_"``.
    patience : int
        Epochs without an improvement after which to stop.
    min_delta : float
        By how much at least a better figure must be better.
    mode : {"auto", "min", "max"}
        Whether less or more is better; by the name unless given.
    restore_best : bool
        Whether a `Trainer` ends with the parameters of the best epoch. In a loop of your own call `restore`.

    Attributes
    ----------
    best : float or None
        The best figure so far.
    best_epoch : int
        When it was, the first epoch being 1.
    epoch : int
        How many have been looked at.
    waited : int
        Epochs since the best one.
    stopped : bool

    Notes
    -----
    L. Prechelt, "Early Stopping – But When?", 1998. NaN is never better.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> stop = tg.training.EarlyStopping("accuracy", patience=2)
    >>> for accuracy in (0.5, 0.8, 0.7, 0.8, 0.9):
    ...     if stop(accuracy):
    ...         break
    >>> stop.epoch, stop.best_epoch, stop.best
    (4, 2, 0.8)
    """

    def __init__(
        self,
        monitor: str = "loss",
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = False,
    ) -> None:
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise ValueError(f"EarlyStopping: patience is a number of epochs, 1 at least, not {patience!r}")
        if not min_delta >= 0:
            raise ValueError(f"EarlyStopping: min_delta must not be negative, not {min_delta!r}")
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.mode = better_is(monitor, mode)
        self.restore_best = restore_best
        self.reset()

    def reset(self) -> None:
        """Forget all epochs."""
        self.best: float | None = None
        self.best_epoch = 0
        self.epoch = 0
        self.waited = 0
        self.stopped = False
        self._best_state: dict[str, Any] | None = None

    def __call__(self, value: Any, model: Any = None) -> bool:
        """Look at the figure of one more epoch, and say whether to stop.

        Parameters
        ----------
        value : float, Tensor or dict
            The figure, or a dict that has it under its name.
        model : Module, optional
            Its parameters and buffers are remembered where the figure is the best so far.
        """
        figure = monitored(self.monitor, value) if isinstance(value, Mapping) else float(value)
        self.epoch += 1
        if self.is_better(figure):
            self.best, self.best_epoch, self.waited = figure, self.epoch, 0
            self._best_state = None if model is None else model.state_dict()
        else:
            self.waited += 1
        self.stopped = self.waited >= self.patience
        return self.stopped

    def is_better(self, figure: float) -> bool:
        """Whether a figure is better than the best so far, by more than `min_delta`."""
        if figure != figure:
            return False
        if self.best is None:
            return True
        gain = figure - self.best if self.mode == "max" else self.best - figure
        return gain > self.min_delta

    def restore(self, model: Any) -> None:
        """Give a module the parameters and buffers that it had in the best epoch.

        Raises
        ------
        RuntimeError
            If none were remembered.
        """
        if self._best_state is None:
            raise RuntimeError("EarlyStopping has no parameters to restore: give it the model, stop(value, model)")
        model.load_state_dict(self._best_state)

    def state_dict(self) -> dict[str, Any]:
        """What has been seen so far; for `tinygrad_nn.save`."""
        return {**{name: getattr(self, name) for name in _SEEN}, "best_state": self._best_state}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`."""
        for name in _SEEN:
            setattr(self, name, state_dict[name])
        self._best_state = state_dict["best_state"]

    def __repr__(self) -> str:
        return (
            f"EarlyStopping({self.monitor!r}, patience={self.patience}, min_delta={self.min_delta}, "
            f"mode={self.mode!r}, restore_best={self.restore_best})"
        )
