"""What a `Trainer` is given, looked at before it starts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..nn.module import Module
from .checkpoint import held_by
from .stepping import takes_closure
from .stopping import monitored


def check_parts(
    model: Any, loss_of: Any, optimizer: Any, clip_norm: float | None, step: Any, scheduler_every: str
) -> None:
    """Refuse arguments of a `Trainer` that are not what they should be."""
    if not isinstance(model, Module):
        raise TypeError(f"Trainer: model must be an nn.Module, not a {type(model).__name__}")
    if (loss_of is None) is (step is None):
        raise TypeError("Trainer: give either loss_of, or None and step=, which computes the loss itself")
    for what, function in (("loss_of", loss_of), ("step", step)):
        if function is not None and not callable(function):
            raise TypeError(f"Trainer: {what} must be callable, not a {type(function).__name__}")
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(f"Trainer: optimizer must be one of tg.optim, not a {type(optimizer).__name__}")
    if clip_norm is not None:
        if not clip_norm > 0:
            raise ValueError(f"Trainer: clip_norm must be above 0, not {clip_norm!r}")
        if takes_closure(optimizer):
            raise ValueError(
                f"Trainer: {type(optimizer).__name__} chooses its steps by the gradient; leave clip_norm out"
            )
    if scheduler_every not in ("epoch", "batch"):
        raise ValueError(f'Trainer: scheduler_every is "epoch" or "batch", not {scheduler_every!r}')
    _check_held(model, loss_of, optimizer)


def _check_held(model: Module, loss_of: Any, optimizer: Any) -> None:
    """Refuse an optimizer that would train nothing of the model; parameters that it lacks are nobody's mistake."""
    held = {id(p): p for p in held_by(optimizer)}
    loss_parameters = loss_of.parameters() if isinstance(loss_of, Module) else ()
    own = {id(p) for p in (*model.parameters(), *loss_parameters)}
    known = [p for key, p in held.items() if key in own]
    name = type(optimizer).__name__
    if not any(p.requires_grad for p in known):
        wrong = "has requires_grad=True" if known else f"is one of this {type(model).__name__}"
        raise ValueError(
            f"Trainer: none of the parameters that the optimizer holds {wrong}, so nothing would be trained; give "
            f"{name} the parameters that are to be, optim.{name}(model.parameters(), …)"
        )
    if len(known) < len(held) and isinstance(loss_of, Module):  # another function may use other networks
        warnings.warn(
            f"Trainer: {len(held) - len(known)} of the {len(held)} parameters that the optimizer holds are neither the "
            "model's nor the loss's, and will not be trained",
            RuntimeWarning,
            stacklevel=4,
        )


def named(metrics: Any) -> dict[str, Callable[..., Any]]:
    """Metrics as a dict."""
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        raise TypeError(f'Trainer: metrics is a dict of functions by name, {{"accuracy": accuracy}}, not {metrics!r}')
    for name, metric in metrics.items():
        if not callable(metric) or not isinstance(name, str) or name in ("loss", "epoch", "lr"):
            raise TypeError(f"Trainer: {name!r}: {metric!r} is not a metric: a function under a name of its own")
    return dict(metrics)


def check_fit(loader: Any, epochs: int, every_steps: int | None, every_seconds: float | None) -> None:
    """Refuse arguments of `Trainer.fit` that are not what they should be."""
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0:
        raise ValueError(f"Trainer: epochs is a whole number, not {epochs!r}")
    if every_steps is not None and every_steps < 1:
        raise ValueError(f"Trainer: every_steps is a number of steps, not {every_steps!r}")
    within = every_steps is not None or every_seconds is not None
    if within and not hasattr(loader, "state_dict") and not isinstance(loader, list | tuple):
        raise TypeError(
            "Trainer: to keep checkpoints within an epoch, the loader must be a DataLoader, a list of batches, or "
            "have a state_dict() and load_state_dict()"
        )


def check_watched(watched: Iterable[str], metrics: Iterable[str], validated: bool) -> None:
    """Refuse names of figures that no epoch will have."""
    names = ["loss", *metrics]
    names += [f"val_{name}" for name in names] if validated else []
    for monitor in watched:
        monitored(monitor, dict.fromkeys(names, 0.0))
