"""Figures that tell how good a network is, beside its loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..creation import asarray
from ..modes import no_grad
from ..ops.elementwise import equal, greater
from ..ops.reduction import argmax, mean
from ..ops.shape import astype
from ..tensor import Tensor


def accuracy(outputs: Any, targets: Any, *, threshold: float = 0.5) -> Tensor:
    """The share of samples whose class is found.

    Parameters
    ----------
    outputs : Tensor or array
        Of shape (N, C, …), a number for each class: the largest is the answer. Or, for two classes, of the shape of
        `targets`, one number for each sample: above `threshold` is the answer 1.
    targets : Tensor or array
        The classes, of shape (N, …): integers below C. Or one column for each class as in `outputs`, with the largest
        number in the right one. For two classes 0 and 1.
    threshold : float
        0 for a network that gives logits instead of probabilities, with two classes:
        ``functools.partial(accuracy, threshold=0.0)``.

    Returns
    -------
    Tensor
        A number in [0, 1].

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> outputs = tg.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    >>> print(f"{tg.training.accuracy(outputs, tg.tensor([1, 0, 0])):.3f}")
    0.667
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
            right = equal(greater(outputs, threshold), greater(targets, 0.5))
        else:
            raise ValueError(
                f"accuracy: outputs of shape {shape} do not fit targets of shape {targets.shape}; needed are (N, C) "
                "and (N,), or two equal shapes"
            )
        return mean(astype(right, np.float64))  # type: ignore[no-any-return]
