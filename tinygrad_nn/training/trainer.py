"""Trainer: epochs of steps, with validation, checkpoints, early stopping and a history."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..nn.module import Module
from .checkpoint import Folder, load_network, network_state, random_state, restore_random
from .checks import check_fit, check_parts, check_watched, named
from .history import History
from .interrupt import Interrupt
from .metrics import told
from .progress import Bar
from .stepping import ORDINARY, Stepper, samples_in
from .stopping import EarlyStopping, better_is, monitored


class Trainer:
    """Trains a network, and tells how good it is.

    Parameters
    ----------
    model : Module
    loss_of : callable
        ``loss_of(outputs, target)`` gives the loss of a batch, a Tensor without axes, as modules such as `nn.BCELoss`
        do. None if `step` is given.
    optimizer : Optimizer
        Of the parameters of `model`, or of some of them.
    metrics : dict, optional
        By name, functions of ``(outputs, target)`` that give a number for a batch, such as `accuracy`, which learns
        from the loss whether outputs are probabilities or logits.
    scheduler : learning rate scheduler, optional
        Its ``step()`` is called after each epoch; one that watches a figure is given what `fit` watches.
    clip_norm : float, optional
        Gradients are scaled so that their norm together is at most this.
    compile : bool
        Run each step as compiled code (`tinygrad_nn.compile`). What cannot be compiled is run in the ordinary way, and
        a warning says why.
    step : callable, optional
        ``step(model, batch)`` gives the loss of a batch, or ``(loss, outputs, target)``, where it is not
        ``loss_of(model(*inputs), target)``. The rest (pass back, optimizer) is the Trainer's.
    scheduler_every : {"epoch", "batch"}
        When the scheduler's step is.

    Attributes
    ----------
    history : History
        Of the last `fit`.
    epoch : int
        Epochs that it has completed.
    steps : int
        Batches that it has trained on.

    Raises
    ------
    TypeError, ValueError
        For arguments that are not as said here, and an optimizer that holds nothing of the model that can be trained.

    Notes
    -----
    A batch is ``(inputs…, target)``, as a `DataLoader` of a `TensorDataset` gives them; a batch of one array, or of one
    entry, is its own target, for autoencoders. Figures of an epoch are means over its samples; for those of the
    training every batch counts as it was before its step, with dropout and the like.

    The optimizers that evaluate the loss several times in a step, `LBFGS` and `NewtonCG`, get their closure; the latter
    is not compiled.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> from tinygrad_nn import data, nn, optim
    >>> _ = tg.manual_seed(0)
    >>> x = np.random.default_rng(0).standard_normal((200, 2)).astype(np.float32)
    >>> y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    >>> model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    >>> trainer = tg.training.Trainer(
    ...     model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.02), {"accuracy": tg.training.accuracy}
    ... )
    >>> history = trainer.fit(data.DataLoader(data.TensorDataset(x, y), 20, shuffle=True), epochs=20)
    >>> history["accuracy"][-1] > 0.9
    True
    """

    def __init__(
        self,
        model: Module,
        loss_of: Callable[..., Any] | None,
        optimizer: Any,
        metrics: Mapping[str, Callable[..., Any]] | None = None,
        scheduler: Any = None,
        clip_norm: float | None = None,
        compile: bool = True,
        *,
        step: Callable[..., Any] | None = None,
        scheduler_every: str = "epoch",
    ) -> None:
        self.metrics = named(metrics)
        check_parts(model, loss_of, optimizer, clip_norm, step, scheduler_every)
        self.model = model
        self.loss_of = loss_of
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.scheduler_every = scheduler_every
        self.step = step
        self.history = History()
        self.epoch = self.steps = 0
        measures = {name: told(metric, loss_of) for name, metric in self.metrics.items()}
        self._stepper = Stepper(model, loss_of, optimizer, measures, clip_norm, step, compile)
        self._folder: Folder | None = None
        self._position = 0
        self._sums: list[float] = []
        self._best: tuple[float, int] | None = None
        #: Whether the batches of the epoch are done, and what is left is to evaluate.
        self._trained = False
        self._watched = "loss", "min"

    # --- what users call ---------------------------------------------------------------------------------------------

    def fit(
        self,
        loader: Iterable[Any],
        epochs: int,
        validation: Iterable[Any] | None = None,
        *,
        checkpoint: Any = None,
        resume: bool = False,
        every_steps: int | None = None,
        every_seconds: float | None = None,
        early_stopping: EarlyStopping | None = None,
        monitor: str | None = None,
        mode: str = "auto",
        callbacks: Callable[..., Any] | Sequence[Callable[..., Any]] = (),
        progress: bool = True,
    ) -> History:
        """Train for some epochs.

        Parameters
        ----------
        loader : DataLoader
            Or anything that gives the batches of an epoch each time it is iterated over.
        epochs : int
            How many, with those of the run that is resumed.
        validation : DataLoader, optional
            Batches to evaluate on after each epoch.
        checkpoint : path-like, optional
            A folder to keep ``last.safetensors`` in, all that is needed to resume, and ``best.safetensors``, the best
            network: at the end of each epoch, and when it is interrupted.
        resume : bool
            Go on where the run that kept `checkpoint` stood, if there is one. Else a new run takes its place.
        every_steps, every_seconds : optional
            Keep ``last.safetensors`` within an epoch too, after so many steps or so much time.
        early_stopping : EarlyStopping, optional
            Asked after each epoch.
        monitor, mode : str, optional
            Which figure tells the best epoch, as for `EarlyStopping`; that of `early_stopping`, else the loss.
        callbacks : callable or sequence of callable
            Called after each epoch with the trainer and the dict of its figures, to which they may add; training stops
            if one returns True.
        progress : bool
            Show a bar, where there is a terminal or a notebook, and tqdm is installed.

        Returns
        -------
        History
            A row for each epoch: ``epoch``, ``loss`` and the metrics of the training, the same with ``val_`` of the
            validation, ``lr``.

        Raises
        ------
        ValueError
            If there is no figure of the name that `monitor` or `early_stopping` watches: at once, or, where there are
            callbacks, which may add it, after the first epoch.
        FloatingPointError
            If the loss becomes NaN or infinite. The checkpoint is then of before.
        KeyboardInterrupt
            After Ctrl-C, when the step that runs is done and the checkpoint is kept. A second Ctrl-C does not wait.

        Notes
        -----
        A run that is killed at any moment and resumed gives the same numbers to the last bit as one that is not:
        parameters, what the optimizer remembers, random streams (those of NumPy and Python too), history. What else
        callbacks, datasets and models change is theirs to keep. To resume within an epoch, the loader must have a
        ``state_dict``, or be a list of batches.
        """
        check_fit(loader, epochs, every_steps, every_seconds)
        calls = [callbacks] if callable(callbacks) else list(callbacks)
        if monitor is None:
            monitor = "loss" if early_stopping is None else early_stopping.monitor
            mode = mode if early_stopping is None or mode != "auto" else early_stopping.mode
        if not calls:  # which could add figures
            watched = [monitor] if early_stopping is None else [monitor, early_stopping.monitor]
            check_watched(watched, self.metrics, validation is not None)
        self._watched = monitor, better_is(monitor, mode)
        self._parts = (loader, validation, early_stopping)
        self._folder = None if checkpoint is None else Folder(checkpoint)
        self._due = every_steps, every_seconds
        self._written = time.monotonic()
        self._begin(resume)
        with _modes_kept(self.model), Interrupt() as interrupt:
            while self.epoch < epochs and not self._stopped:
                self._one_epoch(interrupt, epochs, calls, progress)
            if interrupt.wanted:
                interrupt.now()
        if early_stopping is not None and early_stopping.restore_best and early_stopping.best is not None:
            early_stopping.restore(self.model)
        return self.history

    def evaluate(self, loader: Iterable[Any]) -> dict[str, float]:
        """Loss and metrics over all batches, in evaluation mode, with nothing changed.

        Returns
        -------
        dict
            ``"loss"`` and the metrics, means over the samples.
        """
        return self._evaluated(loader, None)

    def load_best(self) -> dict[str, Any]:
        """Give the model the parameters of the best epoch of the last run, from its checkpoint.

        Returns
        -------
        dict
            The figures of that epoch.
        """
        if self._folder is None:
            raise RuntimeError("Trainer: there is no best network to load; give fit() a checkpoint folder")
        result = self._folder.read_best()
        self.model.load_state_dict(result["model"])
        row: dict[str, Any] = result["row"]
        return row

    # --- an epoch ----------------------------------------------------------------------------------------------------

    def _one_epoch(self, interrupt: Interrupt, epochs: int, calls: Sequence[Any], progress: bool) -> None:
        loader, validation, early_stopping = self._parts
        self.model.train()
        bar = Bar(progress, f"epoch {self.epoch + 1}/{epochs}", _length(loader), self._position)
        try:
            if not self._trained:
                self._train(loader, interrupt, bar)
                self._trained = True
            row: dict[str, Any] = {"epoch": self.epoch + 1, **self._means(self._sums)}
            if validation is not None:
                before = self._state() if self._folder is not None else None
                try:
                    result = self._evaluated(validation, interrupt)
                except KeyboardInterrupt:
                    self._write(before)
                    raise
                row |= {f"val_{name}": value for name, value in result.items()}
                del before
            row["lr"] = float(self.optimizer.param_groups[0]["lr"]) if "lr" in self.optimizer.param_groups[0] else None
            bar.note(row)
        finally:
            bar.close()
        self.epoch += 1
        self._position, self._sums, self._trained = 0, [], False
        if self.scheduler is not None and self.scheduler_every == "epoch":
            self._schedule(row)
        stop = [call(self, row) for call in calls]
        if calls:
            self._stepper.look()
        self.history.append(row)
        row = self.history[-1]
        self._keep_best(row)
        if early_stopping is not None:
            stop.append(early_stopping(row, self.model if early_stopping.restore_best else None))
        self._stopped = any(x is True for x in stop)
        self._write()

    def _train(self, loader: Any, interrupt: Interrupt, bar: Bar) -> None:
        """The batches that are left of an epoch."""
        train, shown = self._stepper.train, bar.step
        by_batch = self.scheduler if self.scheduler_every == "batch" else None
        steps, seconds = self._due
        sums = self._sums or [0.0] * (2 + len(self.metrics))
        self._sums = sums
        batches = iter(loader)
        if not hasattr(loader, "state_dict"):
            for _ in range(self._position):
                next(batches)
        for batch in batches:
            loss, values = train(batch)
            if not math.isfinite(loss):
                raise FloatingPointError(self._advice(loss))
            _add(sums, samples_in(batch), loss, values)
            self._position += 1
            self.steps += 1
            if by_batch is not None:
                by_batch.step()
            shown()
            if interrupt.wanted:
                self._write()
                interrupt.now()
            if (steps and not self.steps % steps) or (
                seconds is not None and time.monotonic() - self._written >= seconds
            ):
                self._write()
        if not sums[0]:
            raise ValueError("Trainer: the loader gave no samples; an iterator can be passed through once only")

    def _evaluated(self, loader: Iterable[Any], interrupt: Interrupt | None) -> dict[str, float]:
        sums = [0.0] * (2 + len(self.metrics))
        with _modes_kept(self.model):
            self.model.eval()
            for batch in loader:
                loss, values = self._stepper.evaluate(batch)
                _add(sums, samples_in(batch), loss, values)
                if interrupt is not None and interrupt.wanted:
                    interrupt.now()
        if not sums[0]:
            raise ValueError("Trainer: there are no samples to evaluate on")
        return self._means(sums)

    def _means(self, sums: list[float]) -> dict[str, float]:
        return {name: total / sums[0] for name, total in zip(("loss", *self.metrics), sums[1:])}

    def _schedule(self, row: Mapping[str, Any]) -> None:
        if _watches(self.scheduler):
            self.scheduler.step(monitored(self._watched[0], row))
        else:
            self.scheduler.step()

    def _advice(self, loss: float) -> str:
        kept = "" if self._folder is None else f" The checkpoint in {str(self._folder.path)!r} is of before."
        return (
            f"Trainer: the loss is {loss} in epoch {self.epoch + 1}, batch {self._position + 1}.{kept}\n"
            "  A smaller learning rate, clip_norm=1.0, or inputs of mean 0 and deviation 1 often help. Which operation "
            "makes the first such number, and in which line, tells the same run inside of `with tg.detect_anomaly():`."
        )

    # --- state -------------------------------------------------------------------------------------------------------

    def _begin(self, resume: bool) -> None:
        self._stepper.begin()
        state = self._folder.read() if resume and self._folder is not None else None
        if resume and self._folder is None:
            raise ValueError("Trainer: resume=True takes a checkpoint folder to resume from")
        if state is not None:
            self._load(state)
            return
        if self._folder is not None:
            self._folder.start_anew()
        self.history = History()
        self.epoch = self.steps = self._position = 0
        self._sums, self._best, self._stopped, self._trained = [], None, False, False
        if self._parts[2] is not None:
            self._parts[2].reset()

    def _holders(self) -> tuple[Any, ...]:
        plain = [part for part in self._parts[:2] if not hasattr(part, "state_dict")]
        return (self.model, self.loss_of, self.step, *self.metrics.values(), *plain)

    def _named_parts(self) -> dict[str, Any]:
        """What may have a state of its own, by its name in a checkpoint."""
        loader, validation, early_stopping = self._parts
        return {
            "scheduler": self.scheduler,
            "early_stopping": early_stopping,
            "loader": loader,
            "validation": validation,
        }

    def _state(self) -> dict[str, Any]:
        return {
            "progress": {
                "epoch": self.epoch,
                "steps": self.steps,
                "position": self._position,
                "sums": list(self._sums),
                "best": None if self._best is None else list(self._best),
                "stopped": self._stopped,
                "trained": self._trained,
                "level": self._stepper.level,
            },
            "history": list(self.history.rows),
            **network_state(self.model, self.optimizer),
            **{name: _state_of(part) for name, part in self._named_parts().items()},
            "random": random_state(*self._holders()),
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        load_network(state, self.model, self.optimizer)
        for name, part in self._named_parts().items():
            if (state[name] is None) is not (_state_of(part) is None):
                there, here = ("a", "no") if state[name] is not None else ("no", "a")
                raise ValueError(f"Trainer: the checkpoint has {there} state of {name}, this run {here} such part")
            if state[name] is not None:
                part.load_state_dict(state[name])
        restore_random(state["random"], *self._holders())
        progress = state["progress"]
        self.epoch, self.steps, self._position = progress["epoch"], progress["steps"], progress["position"]
        self._sums, self._stopped, self._trained = list(progress["sums"]), progress["stopped"], progress["trained"]
        self.optimizer._stepped = self.steps > 0  # what its scheduler asks
        self._best = None if progress["best"] is None else (progress["best"][0], progress["best"][1])
        if self._stepper.level != ORDINARY:
            self._stepper.level = progress["level"]
        self.history = History(state["history"])

    def _write(self, state: dict[str, Any] | None = None) -> None:
        if self._folder is not None:
            self._folder.write(self._state() if state is None else state)
            self._written = time.monotonic()

    def _keep_best(self, row: dict[str, Any]) -> None:
        monitor, mode = self._watched
        figure = monitored(monitor, row)
        if math.isnan(figure):
            return
        if self._best is None or (figure > self._best[0] if mode == "max" else figure < self._best[0]):
            self._best = figure, self.epoch
            if self._folder is not None:
                self._folder.write_best({"model": self.model.state_dict(), "row": row})


@contextmanager
def _modes_kept(model: Module) -> Iterator[None]:
    """Afterwards every module is in the mode, training or evaluation, that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module._set("training", training)


def _add(sums: list[float], count: int, loss: float, values: Sequence[float]) -> None:
    """Take a batch into the sums that an epoch's figures are computed from: how many samples, loss, metrics."""
    for place, value in enumerate((1.0, loss, *values)):
        sums[place] += value * count


def _state_of(part: Any) -> Any:
    return part.state_dict() if hasattr(part, "state_dict") else None


def _length(loader: Any) -> int | None:
    try:
        return len(loader)
    except TypeError:
        return None


def _watches(scheduler: Any) -> bool:
    """Whether a scheduler's step needs a figure."""
    from inspect import Parameter, signature

    result = list(signature(scheduler.step).parameters.values())
    return bool(result) and result[0].default is Parameter.empty and result[0].kind is not Parameter.VAR_POSITIONAL
