"""Domain rows of losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....ops.layers import loss  # noqa: F401  (else registered only with networks)
from ...rows import LABELS, PROBABILITY, REAL, Domain, Row

TARGET = Domain(0.15, 0.85)


def _reduced(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    return np.mean(losses) if reduction == "mean" else np.sum(losses)


def _bce(x: Any, target: Any, reduction: str = "mean") -> Any:
    return _reduced(-target * np.log(x) - (1 - target) * np.log(1 - x), reduction)


def _cross_entropy(x: Any, labels: Any, reduction: str = "mean") -> Any:
    probabilities = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    return _reduced(-np.log(np.take_along_axis(probabilities, labels[..., None], -1)[..., 0]), reduction)


def _losses(*shapes: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple((*shapes, {"reduction": reduction}) for reduction in ("mean", "sum", "none"))


# fmt: off
ROWS = [
    Row("checked_labels", (LABELS,), (((3,), {"classes": 3, "name": "f"}), ((2, 2), {"classes": 4, "name": "f"})),
        lambda labels, classes, name: labels, derivatives=False),
    Row("kept_labels", (LABELS,),
        tuple((shape, {"ignore_index": 1, "name": "f", "some": False}) for shape in ((3,), (2, 2))),
        lambda labels, ignore_index, name, some: labels != 1, derivatives=False),
    Row("checked", (REAL, Domain(kind="bool", make=lambda rng, shape: np.ones(shape, bool))),
        (((3,), (3,), {"message": "m"}), ((2, 2), (), {"message": "m"})), lambda x, holds, message: x),
    Row("mse_loss", (REAL, REAL), (*_losses((2, 3), (2, 3)), *_losses((3,), (3,)), *_losses((), ())),
        lambda x, target, reduction="mean": _reduced((x - target) ** 2, reduction)),
    Row("binary_cross_entropy", (PROBABILITY, TARGET), (*_losses((2, 3), (2, 3)), *_losses((3,), (3,))), _bce, ulps=8),
    Row("binary_cross_entropy_with_logits", (Domain(-4.0, 4.0, avoid=(0.0,)), TARGET),
        (*_losses((2, 3), (2, 3)), *_losses((3,), (3,))),
        lambda x, target, reduction="mean": _bce(1 / (1 + np.exp(-x)), target, reduction), ulps=32),
    Row("cross_entropy", (REAL, LABELS), (*_losses((2, 3), (2,)), *_losses((3,), ()), *_losses((2, 2, 3), (2, 2))),
        _cross_entropy, ulps=16),
]
