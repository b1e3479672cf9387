"""Lowerings for losses and labels."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from .table import Call, cast, lowering, varies


def _reduced(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    if reduction == "sum":
        return jnp.sum(losses)
    return jnp.mean(losses) if losses.dtype.char == "e" else jnp.sum(losses) / losses.size


@lowering("one_hot")
def _one_hot(call: Call, labels: Any, *, num_classes: int, dtype: Any) -> Any:
    return jnp.asarray(labels)[..., None] == jnp.arange(num_classes)


@lowering("mse_loss")
def _mse_loss(call: Call, x: Any, target: Any, *, reduction: str) -> Any:
    return _reduced(jnp.square(cast(x, call.out.dtype) - cast(target, call.out.dtype)), reduction)


@lowering("binary_cross_entropy")
def _binary_cross_entropy(call: Call, x: Any, target: Any, *, reduction: str) -> Any:
    x, target = cast(x, call.out.dtype), cast(target, call.out.dtype)
    call.refuse(
        ~((x >= 0) & (x <= 1)),
        ValueError,
        "binary_cross_entropy: predictions must be probabilities in [0, 1], but some are not; put a Sigmoid before, or "
        "give the scores as they are to BCEWithLogitsLoss",
    )
    losses = (target - 1) * jnp.log1p(-x) - target * jnp.log(x)
    yes, no = jnp.maximum(jnp.log(x), -100.0), jnp.maximum(jnp.log1p(-x), -100.0)
    return _reduced(jnp.where(jnp.sum(losses) <= 100.0, losses, (target - 1) * no - target * yes), reduction)


@lowering("binary_cross_entropy_with_logits")
def _with_logits(call: Call, x: Any, target: Any, *, reduction: str) -> Any:
    x, target = cast(x, call.out.dtype), cast(target, call.out.dtype)
    return _reduced(jnp.maximum(x, 0) - x * target + jnp.log1p(jnp.exp(-jnp.abs(x))), reduction)


@lowering("checked_labels")
def _checked_labels(call: Call, labels: Any, *, name: str, classes: int, ignore_index: int | None = None) -> Any:
    if ignore_index is not None:
        labels = jnp.where(labels == ignore_index, 0, labels)
    message = f"{name}: labels must be in 0 … {classes - 1}, as there are {classes} classes"
    call.refuse((labels < 0) | (labels >= classes), ValueError, message)
    return labels


@lowering("kept_labels")
def _kept_labels(call: Call, labels: Any, *, ignore_index: int, name: str, some: bool) -> Any:
    keep = labels != ignore_index
    if some:
        message = f"{name}: there is no sample to take the mean of: every label is ignore_index={ignore_index}"
        call.refuse(~jnp.any(keep), ValueError, message)
    return keep


@lowering("checked")
def _checked(call: Call, x: Any, holds: Any, *, message: str) -> Any:
    call.refuse(~jnp.asarray(holds), ValueError, message)
    return x


@lowering("cross_entropy")
def _cross_entropy(call: Call, x: Any, labels: Any, *, reduction: str) -> Any:
    classes = np.shape(x)[-1]
    if varies(labels):
        call.refuse(
            (labels < -classes) | (labels >= classes),
            IndexError,
            f"cross_entropy: a label is out of range for {classes} classes",
        )
    x, labels = cast(x, call.out.dtype), cast(labels, np.int64)
    shifted = x - jnp.max(x, -1, keepdims=True)
    picked = jnp.take_along_axis(shifted, labels[..., None], -1)[..., 0]
    return _reduced(jnp.log(jnp.sum(jnp.exp(shifted), -1)) - picked, reduction)
