"""Figures that tell how good a network is, beside its loss."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn
from ..core.modes import no_grad
from ..ops.elementwise import equal, greater
from ..ops.reductions import argmax, mean
from ..ops.shapes import astype
from ..tensor.creation import asarray
from ..tensor.tensor import Tensor


def accuracy(outputs: Any, targets: Any, *, threshold: float | None = None) -> Tensor:
    """The share of samples whose class is found.

    Parameters
    ----------
    outputs : Tensor or array
        Of shape (N, C, …), a number for each class: the largest is the answer. Or, for two classes, of the shape of
        `targets`, one number for each sample: above `threshold` is the answer 1.
    targets : Tensor or array
        The classes, of shape (N, …): integers below C. Or one column for each class as in `outputs`, with the largest
        number in the right one. For two classes 0 and 1.
    threshold : float, optional
        For two classes with one number each: 0.5 if that is a probability, 0 if it is a logit. A `Trainer` tells it by
        the loss: 0 for `nn.BCEWithLogitsLoss` and `nn.SoftMarginLoss`, 0.5 for `nn.BCELoss`. Elsewhere it must be
        given, ``functools.partial(accuracy, threshold=0.0)`` as a metric; outputs that are integers or booleans are
        taken as answers.

    Returns
    -------
    Tensor
        A number in [0, 1].

    Raises
    ------
    ValueError
        If the shapes do not fit together, or the threshold is missing.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> outputs = tg.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    >>> print(f"{tg.training.accuracy(outputs, tg.tensor([1, 0, 0])):.3f}")
    0.667
    >>> tg.training.accuracy(tg.tensor([-1.2, 0.3]), tg.tensor([0, 1]), threshold=0.0)
    tensor(1.)
    """
    outputs, targets = asarray(outputs), asarray(targets)
    shape = outputs.shape
    with no_grad():
        if outputs.ndim >= 2 and shape[1] > 1 and targets.shape in (shape, shape[:1] + shape[2:]):
            if targets.shape == shape:
                targets = argmax(targets, axis=1)
            elif targets.dtype.kind not in "iu":
                raise ValueError(
                    f"accuracy: the numbers of classes are integers, the targets are {targets.dtype} of shape "
                    f"{targets.shape}; convert them, or give one column for each class: {shape}"
                )
            right = equal(argmax(outputs, axis=1), targets)
        elif targets.shape == shape:
            if threshold is None:
                if outputs.dtype.kind == "f":
                    raise ValueError(
                        f"accuracy: the outputs, {outputs.dtype} of shape {shape}, have one number for each sample, "
                        "which is the answer 1 above 0.5 if it is a probability, above 0 if it is a logit: give "
                        "threshold=0.5 or threshold=0.0, as functools.partial(accuracy, threshold=0.0) does in a "
                        "Trainer whose loss does not tell"
                    )
                threshold = 0.5
            right = equal(greater(outputs, threshold), greater(targets, 0.5))
        else:
            raise ValueError(
                f"accuracy: outputs of shape {shape} do not fit targets of shape {targets.shape}; needed are (N, C) "
                "and (N,), or two equal shapes"
            )
        return mean(astype(right, np.float64))  # type: ignore[no-any-return]


#: Losses of two classes that tell what one output for each sample is, and the number above which the answer is 1.
_THRESHOLDS: tuple[tuple[type, Any, float], ...] = (
    (nn.BCEWithLogitsLoss, nn.functional.binary_cross_entropy_with_logits, 0.0),
    (nn.SoftMarginLoss, nn.functional.soft_margin_loss, 0.0),
    (nn.BCELoss, nn.functional.binary_cross_entropy, 0.5),
)


def told(metric: Callable[..., Any], loss_of: Any) -> Callable[..., Any]:
    """A metric; `accuracy` with the threshold that the loss implies, if it does."""
    if metric is accuracy:
        while isinstance(loss_of, functools.partial):
            loss_of = loss_of.func
        for kind, function, threshold in _THRESHOLDS:
            if isinstance(loss_of, kind) or loss_of is function:
                return functools.partial(accuracy, threshold=threshold)
    return metric
