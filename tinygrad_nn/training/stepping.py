"""One step of training or evaluation on a batch: compiled where it can be, ordinary where not."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..core.modes import no_grad
from ..core.tree import flatten, map_leaves
from ..nn.utils import clip_grad_norm_
from ..tensor.tensor import Tensor
from .checkpoint import Kept, held_by

#: How much of a step is compiled, from all to nothing.
WHOLE, WITHOUT_METRICS, ORDINARY = "whole", "without metrics", "ordinary"
_LEVELS = (WHOLE, WITHOUT_METRICS, ORDINARY)

#: When a step is looked at: early on, after code of others has run, and once more if that made a difference.
FIRST, ONCE, AGAIN = "first", "once", "again"

#: Relative difference of two losses that rounding explains.
_ROUNDING = 2e-5


class Stepper:
    """What a `Trainer` does with one batch.

    Parameters
    ----------
    model, loss_of, optimizer, metrics, clip_norm, step
        As for `Trainer`.
    compiled : bool
        Whether to compile at all.
    """

    def __init__(
        self,
        model: Any,
        loss_of: Callable[..., Any] | None,
        optimizer: Any,
        metrics: Mapping[str, Callable[..., Any]],
        clip_norm: float | None,
        step: Callable[..., Any] | None,
        compiled: bool,
    ) -> None:
        self.model = model
        self.loss_of = loss_of
        self.optimizer = optimizer
        self.metrics = dict(metrics)
        self.clip_norm = clip_norm
        self.step = step
        self.level = WHOLE if compiled else ORDINARY
        self._by_closure = takes_closure(optimizer)
        self._made: dict[tuple[str, str, bool], Any] = {}
        self._calls = 0
        self._look = FIRST

    def begin(self) -> None:
        """Before a run: no gradients are left of anything else, and one of the first steps will be looked at."""
        self.optimizer.zero_grad()
        self.model.zero_grad()
        own = set(map(id, held_by(self.optimizer)))
        self._others = [p for p in self.model.parameters() if id(p) not in own and p.requires_grad]
        self._calls = 0
        self._look = FIRST

    def look(self) -> None:
        """Compare the next compiled step with an ordinary one: others' code has run, and may have changed something."""
        if self._look != AGAIN:
            self._look = ONCE

    # --- what is done with a batch -----------------------------------------------------------------------------------

    def train(self, batch: Any) -> tuple[float, list[Any]]:
        """Move the parameters by one batch; its loss and metrics."""
        self._calls += 1
        if self._look and self._calls > 1 and self.level != ORDINARY and not self._by_closure:
            return self._looked_at(batch)
        return self._run("train", batch)

    def evaluate(self, batch: Any) -> tuple[float, list[Any]]:
        """Loss and metrics of a batch, with all as it is."""
        with no_grad():
            return self._run("evaluate", batch)

    def _run(self, what: str, batch: Any) -> tuple[float, list[Any]]:
        if what == "train" and self._by_closure:
            result = self._by_closure_step(batch)
        else:
            result = self._call(what, batch)
        loss = result[0].item()
        rest = self._measured(*result[1:]) if self.metrics and self.level != WHOLE else result[1:]
        return loss, [x.item() if hasattr(x, "item") else float(x) for x in rest]

    def _call(self, what: str, batch: Any) -> tuple[Any, ...]:
        """Run the program of the level; where that cannot be, of the next lower one."""
        while True:
            function, args = self._function(what, batch)
            if self.level == ORDINARY:
                return function(*args)  # type: ignore[no-any-return]
            before = function._recorded
            try:
                return function(*args)  # type: ignore[no-any-return]
            except Exception as error:
                if function._recorded == before:  # it was recorded earlier: an error of this batch
                    raise
                reason = error
            lower = _LEVELS[_LEVELS.index(self.level) + 1]
            if lower == WITHOUT_METRICS and not self.metrics:
                lower = ORDINARY
            level, self.level = self.level, lower
            try:
                result = self._call(what, batch)
                if self.level == WITHOUT_METRICS:  # what is wrong with them otherwise too is no reason for a warning
                    self._measured(*result[1:])
            except Exception:
                self.level = level
                raise
            if self.level == lower:
                part = "the metrics are" if lower == WITHOUT_METRICS else "the step is"
                _warn(f"{part} not compiled, so training is slower; compile=False does without this warning.\n{reason}")
            return result

    def _measured(self, outputs: Any, targets: Any) -> list[Any]:
        with no_grad():
            return [metric(outputs, targets) for metric in self.metrics.values()]

    def _function(self, what: str, batch: Any) -> tuple[Any, tuple[Any, ...]]:
        """The function for a kind of batch, and its arguments: the entries of a tuple or list one by one."""
        many = type(batch) in (tuple, list)
        key = (what, self.level, many)
        result = self._made.get(key)
        if result is None:
            result = self._made[key] = self._make(*key)
        return result, tuple(batch) if many else (batch,)

    def _make(self, what: str, level: str, many: bool) -> Any:
        body = {"train": self._training, "evaluate": self._evaluation, "gradients": self._gradients}[what]
        measured = level == WHOLE

        def training_step(*batch: Any) -> Any:
            return body(batch if many else batch[0], measured)

        if level == ORDINARY:
            return training_step
        from ..compiler import compile

        return compile(training_step)

    def _training(self, batch: Any, measured: bool) -> tuple[Any, ...]:
        loss, outputs, targets = self._forward(batch)
        loss.backward()
        if self.clip_norm is not None:
            clip_grad_norm_(held_by(self.optimizer), self.clip_norm)
        self.optimizer.step()
        self._forget_gradients()
        return self._answer(loss, outputs, targets, measured)

    def _evaluation(self, batch: Any, measured: bool) -> tuple[Any, ...]:
        return self._answer(*self._forward(batch), measured)

    def _gradients(self, batch: Any, measured: bool) -> tuple[Any, ...]:
        self._forget_gradients()
        loss, outputs, targets = self._forward(batch)
        loss.backward()
        return self._answer(loss, outputs, targets, measured)

    def _by_closure_step(self, batch: Any) -> tuple[Any, ...]:
        """A step of an optimizer that evaluates the loss several times; what it reports is of the first."""
        first: list[tuple[Any, ...]] = []

        def closure() -> Any:
            if self._by_closure == "graph":  # for derivatives of the second order
                result = self._evaluation(batch, self.level == WHOLE)
            else:
                result = self._call("gradients", batch)
            if not first:
                first.append((result[0].detach(), *result[1:]))
            return result[0]

        self.optimizer.step(closure)
        self._forget_gradients()
        return first[0]

    def _forget_gradients(self) -> None:
        self.optimizer.zero_grad()
        for p in self._others:
            p.grad = None

    def _forward(self, batch: Any) -> tuple[Any, Any, Any]:
        if self.step is not None:
            result = self.step(self.model, batch)
            loss, outputs, targets = result if type(result) is tuple and len(result) == 3 else (result, None, None)
            if self.metrics and outputs is None:
                raise ValueError("Trainer: with metrics, step(model, batch) must return (loss, outputs, targets)")
        else:
            inputs, targets = inputs_and_target(batch)
            outputs = self.model(*inputs)
            loss = self.loss_of(outputs, targets)  # type: ignore[misc]
        if not isinstance(loss, Tensor) or loss.ndim:
            what = f"a Tensor of shape {loss.shape}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
            raise TypeError(f"Trainer: the loss must be a Tensor without axes, as .mean() makes one, not {what}")
        return loss, outputs, targets

    def _answer(self, loss: Any, outputs: Any, targets: Any, measured: bool) -> tuple[Any, ...]:
        if not self.metrics:
            return (loss,)
        with no_grad():
            if measured:
                return (loss, *self._measured(outputs, targets))
            return (loss, map_leaves(_detached, outputs), targets)

    # --- a look at whether both are the same -------------------------------------------------------------------------

    def _looked_at(self, batch: Any) -> tuple[float, list[Any]]:
        """A compiled step, but an ordinary one if the compiled code does not do what the functions now do.

        Some things cannot be noticed in compiled code: `numpy.random`, numbers in containers. So the loss is computed
        in the ordinary way first; if it differs, the step is recorded anew. If that makes no difference, the formula
        is merely more exact. If it does, something was changed since, by a callback say; or it changes with each call,
        and then the function is not one that can be compiled.
        """
        kept = Kept(self.model, self.optimizer, self.loss_of, self.step)
        with no_grad() if self.step is None else nullcontext():  # a step of one's own may take derivatives
            expected = self._forward(batch)[0].item()
        kept.restore(parameters=False)
        before = _recordings_of(self._made)
        result = self._run("train", batch)
        if _recordings_of(self._made) != before:  # for this very call: a later one tells
            return result
        look, self._look = self._look, ""
        if _close(result[0], expected):
            return result
        kept.restore()
        self._made.clear()
        again = self._run("train", batch)
        if again[0] == result[0]:
            return again
        if look == ONCE and _close(again[0], expected):
            self._look = AGAIN
            return again
        kept.restore()
        self.level = ORDINARY
        _warn(
            f"the compiled step gave the loss {result[0]:.6g} where the ordinary one gives {expected:.6g}: it computes "
            "something that compiled code does not notice (random numbers of numpy.random, numbers in lists and dicts, "
            "counters; see the page on compiling). The step is not compiled, so training is slower."
        )
        return self._run("train", batch)


def _recordings_of(made: Mapping[Any, Any]) -> int:
    return sum(getattr(function, "_recorded", 0) for (what, _, _), function in made.items() if what == "train")


def takes_closure(optimizer: Any) -> str | None:
    """What the closure of an optimizer's step must leave, ``"gradients"`` or the ``"graph"``; None if it needs none."""
    leaves: str | None = getattr(optimizer, "_closure_leaves", None)
    return leaves


def inputs_and_target(batch: Any) -> tuple[tuple[Any, ...], Any]:
    """What the model is called with, and what the loss compares with."""
    if not isinstance(batch, tuple | list):
        if isinstance(batch, Tensor | np.ndarray):
            return (batch,), batch
        raise TypeError(
            f"Trainer: a batch is (inputs…, target), not a {type(batch).__name__}; say what to do with it: "
            "step=lambda model, batch: loss"
        )
    if not batch:
        raise ValueError("Trainer: a batch without entries")
    return (tuple(batch[:-1]), batch[-1]) if len(batch) > 1 else ((batch[0],), batch[0])


def samples_in(batch: Any) -> int:
    """How many samples a batch has: the length of its first array."""
    first = batch[0] if type(batch) is tuple else batch
    if isinstance(first, Tensor) and first.ndim:
        return first.shape[0]
    for leaf in flatten(batch)[0]:
        if isinstance(leaf, Tensor | np.ndarray) and leaf.ndim:
            return int(leaf.shape[0])
    return 1


def _detached(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) else x


def _close(x: float, y: float) -> bool:
    return not (math.isfinite(x) and math.isfinite(y)) or abs(x - y) <= _ROUNDING * max(abs(x), abs(y), 1e-3)


def _warn(message: str) -> None:
    warnings.warn(f"Trainer: {message}", RuntimeWarning, stacklevel=2)
