"""Losses as single operations: fewer steps than their compositions, and stable where those overflow.

Each takes predictions and targets of one shape, and reduces to the mean, to the sum or not at all. What `nn.functional`
checks and converts before is not repeated here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.define import op
from ..elementwise import log, log1p, maximum, sigmoid
from ..reductions import softmax
from ..reductions.axes import share
from .neural import one_hot, outside

#: PyTorch limits the logarithms of binary cross-entropy, and the divisor of its derivative, by these.
LOWEST_LOG = -100.0
LEAST_VARIANCE = 1e-12

_quietly = np.errstate(divide="ignore", invalid="ignore")  # as a decorator it costs half of what `with` does


def _reduced(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    if reduction not in ("mean", "sum"):
        raise ValueError(f'reduction must be "mean", "sum" or "none", not {reduction!r}')
    if losses.dtype.char == "e":  # a sum of many in float16 overflows, and so does their count
        return losses.mean() if reduction == "mean" else losses.sum()
    total = np.add.reduce(losses, None)
    return total / losses.dtype.type(losses.size) if reduction == "mean" else total


def _share(g: Any, reduction: str, size: int) -> Any:
    """The gradient of each sample's loss."""
    return share(g, size) if reduction == "mean" else g


def _same_shape(x: Any, target: Any) -> None:
    shape, other = getattr(x, "shape", ()), getattr(target, "shape", ())
    if shape != other:
        raise ValueError(shape_message(shape, other))


def shape_message(shape: tuple[int, ...], other: tuple[int, ...]) -> str:
    """What to say of predictions and targets of different shapes."""
    same_count = np.prod(shape, dtype=int) == np.prod(other, dtype=int)
    remedy = f"reshape the targets: target.reshape({shape})" if same_count else "give one target for each prediction"
    return (
        f"predictions have shape {shape} but targets {other}; they are not broadcast, "
        f"as that would compare each prediction with the targets of others: {remedy}"
    )


def _slope(each: str, of_mean: str) -> Callable[..., str]:
    """The formula of a loss's derivative, and that for a mean over n samples, as many as there are targets."""

    def formula(*shapes: tuple[int, ...], reduction: str) -> str:
        count = math.prod(shapes[-1]) if reduction == "mean" else 1
        return of_mean.replace("{n}", str(count)) if count > 1 else each

    return formula


@op(formula="mse({x}, {target})")
def mse_loss(x, target, *, reduction="mean"):
    """Squared error (x − t)², with ∂/∂x = 2(x − t)."""
    _same_shape(x, target)
    difference = x - target
    return _reduced(difference * difference, reduction)


mse_loss.derivatives(
    lambda g, out, x, target, *, reduction: (x - target) * _share(2 * g, reduction, x.size),
    lambda g, out, x, target, *, reduction: (target - x) * _share(2 * g, reduction, x.size),
    formulas=[
        _slope("2·({x} − {target})", "2/{n}·({x} − {target})"),
        _slope("2·({target} − {x})", "2/{n}·({target} − {x})"),
    ],
)


@op(formula="bce({x}, {target})")
def binary_cross_entropy(x, target, *, reduction="mean"):
    """−t·log x − (1 − t)·log(1 − x) of probabilities x, with ∂/∂x = (x − t)/(x(1 − x)).

    As in PyTorch each logarithm is at least −100 and x(1 − x), the divisor, at least 1e-12, so that a certain and
    wrong prediction has a finite loss and derivative.
    """
    _same_shape(x, target)
    losses, total = _unlimited(x, target)
    # The common case needs no limits: where all losses together are within one, so is each. NaN is not.
    if not total <= -LOWEST_LOG:
        _check_probabilities(np.asarray(x))
        losses, total = _limited(x, target)
    if reduction == "mean":
        return total / losses.dtype.type(losses.size)
    return total if reduction == "sum" else _reduced(losses, reduction)


@_quietly
def _unlimited(x: Any, target: Any) -> tuple[Any, Any]:
    """Binary cross-entropy as it is defined, and its sum."""
    losses = (target - 1) * np.log1p(-x) - target * np.log(x)
    return losses, np.add.reduce(losses, None)


@_quietly
def _limited(x: Any, target: Any) -> tuple[Any, Any]:
    """Binary cross-entropy with limited logarithms, and its sum."""
    yes, no = np.maximum(np.log(x), LOWEST_LOG), np.maximum(np.log1p(-x), LOWEST_LOG)
    losses = (target - 1) * no - target * yes
    return losses, np.add.reduce(losses, None)


def _check_probabilities(x: Any) -> None:
    bad = x[~((x >= 0) & (x <= 1))]
    if bad.size:
        raise ValueError(
            f"predictions must be probabilities in [0, 1], but {bad.size} of {x.size} are not, such as {bad[0]}; "
            "put a Sigmoid before, or give the scores as they are to BCEWithLogitsLoss"
        )


def _at_least(x: Any, bound: float) -> Any:
    """The op `maximum`, and on arrays its kernel: the way through the op would double its time on a small batch."""
    return np.maximum(x, bound) if type(x) is np.ndarray else maximum(x, bound)


binary_cross_entropy.derivatives(
    lambda g, out, x, target, *, reduction: (
        (x - target) / _at_least(x * (1 - x), LEAST_VARIANCE) * _share(g, reduction, x.size)
    ),
    lambda g, out, x, target, *, reduction: (
        (maximum(log1p(-x), LOWEST_LOG) - maximum(log(x), LOWEST_LOG)) * _share(g, reduction, x.size)
    ),
    formulas=[
        _slope("({x} − {target})/({x}·(1 − {x}))", "1/{n}·({x} − {target})/({x}·(1 − {x}))"),
        _slope("log(1 − {x}) − log({x})", "1/{n}·(log(1 − {x}) − log({x}))"),
    ],
)


@op(formula="bce_with_logits({x}, {target})")
def binary_cross_entropy_with_logits(x, target, *, reduction="mean"):
    """Binary cross-entropy of σ(x), as max(x, 0) − x·t + log(1 + e^−|x|), which never overflows; ∂/∂x = σ(x) − t."""
    _same_shape(x, target)
    return _reduced(np.maximum(x, 0) - x * target + np.log1p(np.exp(-np.abs(x))), reduction)


binary_cross_entropy_with_logits.derivatives(
    lambda g, out, x, target, *, reduction: (sigmoid(x) - target) * _share(g, reduction, x.size),
    lambda g, out, x, target, *, reduction: -x * _share(g, reduction, x.size),
    formulas=[_slope("σ({x}) − {target}", "1/{n}·(σ({x}) − {target})"), _slope("−{x}", "−1/{n}·{x}")],
)


@op(differentiable=False)
def checked_labels(labels, *, classes, name, ignore_index=None):
    """The labels, with 0 for those that are ignored, if all others are of the classes that there are."""
    bad = outside(labels, classes)
    if ignore_index is not None and (bad is not None or ignore_index >= 0):
        labels = np.where(labels == ignore_index, 0, labels)
        bad = outside(labels, classes)
    if bad is not None:
        raise ValueError(
            f"{name}: labels must be in 0 … {classes - 1}, as there are {classes} classes, "
            f"but {bad.size} of {labels.size} are not, such as {bad.flat[0]}"
        )
    return labels


@op(analytic=True, formula="{x}")
def checked(x, holds, *, message):
    """`x` itself, if `holds` is true everywhere; else a ValueError with a message."""
    if not np.all(holds):
        raise ValueError(message)
    return x


checked.derivatives(lambda g, out, x, holds, *, message: g, None, formulas=["1", None])


@op(differentiable=False)
def kept_labels(labels, *, ignore_index, name, some):
    """Which labels are not ignored; with `some` there must be one."""
    kept = labels != ignore_index
    if some and not kept.any():
        raise ValueError(f"{name}: there is no sample to take the mean of: every label is ignore_index={ignore_index}")
    return kept


@op(formula="cross_entropy({x}, {labels})")
def cross_entropy(x, labels, *, reduction="mean"):
    """−log softmax(x) at the label, over the last axis, with ∂/∂x = softmax(x) − one_hot(label)."""
    if x.dtype.char == "e":  # sums in float16 overflow at 65504
        return cross_entropy.kernel(x.astype(np.float32), labels, reduction=reduction).astype(x.dtype)
    shifted = x - x.max(-1, keepdims=True)
    flat = shifted.reshape(-1, x.shape[-1])
    picked = flat[np.arange(len(flat)), np.asarray(labels).ravel()].reshape(x.shape[:-1])
    losses = np.log(np.add.reduce(np.exp(shifted), -1)) - picked
    return _reduced(losses, reduction)


def _cross_entropy_gradient(g: Any, x: Any, labels: Any, reduction: str) -> Any:
    error = softmax(x, axis=-1) - one_hot(labels, num_classes=x.shape[-1], dtype=x.dtype)
    return error * (g[..., None] if reduction == "none" else _share(g, reduction, labels.size))


cross_entropy.derivatives(
    lambda g, out, x, labels, *, reduction: _cross_entropy_gradient(g, x, labels, reduction),
    None,
    formulas=[_slope("softmax({x}) − onehot({labels})", "1/{n}·(softmax({x}) − onehot({labels}))"), None],
)
