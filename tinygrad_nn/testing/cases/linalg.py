"""Domain rows of products of arrays, of network layers and of losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..rows import PROBABILITY, REAL, Domain, Row

#: Vectors, matrices, and stacks of matrices that broadcast.
MATMUL = (
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3, 4)),
    ((2, 2), (2, 2)),
    ((2, 2, 3), (3, 2)),
    ((2, 3), (4, 3, 2)),
    ((2, 1, 2, 3), (3, 3, 2)),
    ((2, 2, 3), (3,)),
    ((3,), (2, 3, 2)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 3)),
    ((1, 3), (3, 1)),
)

#: Numbers of both signs with different magnitudes, none near 0: away from the kinks of every norm.
APART = Domain(
    make=lambda rng, shape: Domain(0.3, 2.0, distinct=True).sample(rng, shape) * rng.choice([-1.0, 1.0], shape)
)
LABELS = Domain(0, 3, kind="int")
TARGET = Domain(0.15, 0.85)


def _einsum(subscripts: str, *shapes: tuple[int, ...]) -> Callable[..., Any]:
    return lambda rng: ([rng.uniform(-2, 2, shape) for shape in shapes], {"subscripts": subscripts})


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
    Row("matmul", (REAL,), MATMUL, np.matmul, ulps=8),
    Row("vecdot", (REAL,), (
        ((3,), (3,)), ((2, 3), (3,)), ((2, 1, 3), (4, 3)), ((3, 2), (3, 2), {"axis": 0}),
        ((2, 3, 2), (3, 1), {"axis": -2}), ((0, 3), (3,)),
    ), np.vecdot, ulps=8),
    Row("tensordot", (REAL,), (
        ((2, 3, 4), (3, 4, 2)), ((2, 3), (3, 2), {"axes": 1}), ((2,), (3,), {"axes": 0}),
        ((2, 3, 4), (4, 3), {"axes": ((1, 2), (1, 0))}), ((3, 2, 4), (2, 5, 3), {"axes": ((-3, 1), (2, 0))}),
        ((2, 3), (2, 3), {"axes": 2}), ((0, 2), (2,), {"axes": 1}),
    ), lambda x, y, axes=2: np.tensordot(x, y, axes)[()], ulps=8),
    Row("einsum", cases=(
        _einsum("ij,jk->ik", (2, 3), (3, 2)), _einsum("i,i->", (3,), (3,)), _einsum("ij->ji", (2, 3)),
        _einsum("ij->", (2, 3)), _einsum("ij->i", (2, 3)), _einsum("i,j->ij", (2,), (3,)),
        _einsum("bij,bjk->bik", (2, 2, 3), (2, 3, 2)), _einsum("ij,jk,kl->il", (2, 3), (3, 2), (2, 2)),
        _einsum("ij,j,i->", (2, 3), (3,), (2,)), _einsum("ij,kj->ik", (0, 3), (2, 3)), _einsum("ij,k->k", (2, 2), (3,)),
    ), reference=lambda *x, subscripts: np.einsum(subscripts, *x), ulps=16),
    Row("vector_norm", (APART,), (
        ((3,), {}), ((2, 3), {}), ((2, 3), {"axis": 0}), ((2, 3), {"axis": 1, "keepdims": True}), ((), {}),
        ((2, 3, 2), {"axis": (0, 2)}), *(((2, 3), {"axis": -1, "ord": p}) for p in (1, 3, 0.5, np.inf, -np.inf, 0)),
        ((0, 3), {"axis": 1}),
    ), np.linalg.vector_norm, ulps=16),
    Row("linear_map", (REAL,), (
        ((2, 3), (4, 3)), ((3,), (2, 3)), ((2, 2, 3), (4, 3)), ((0, 3), (2, 3)), ((3, 3), (3, 3)),
    ), lambda x, weight: x @ weight.T, ulps=8),
    Row("linear", (REAL,), (
        ((2, 3), (4, 3), (4,)), ((3,), (2, 3), (2,)), ((2, 2, 3), (4, 3), (4,)), ((0, 3), (2, 3), (2,)),
        ((3, 3), (3, 3), (3,)),
    ), lambda x, weight, bias: x @ weight.T + bias, ulps=8),
    Row("one_hot", (LABELS,), (((3,), {"num_classes": 3}), ((2, 2), {"num_classes": 4})),
        lambda labels, num_classes: np.eye(num_classes, dtype=int)[labels], derivatives=False),
    Row("checked_labels", (LABELS,), (((3,), {"classes": 3, "name": "f"}), ((2, 2), {"classes": 4, "name": "f"})),
        lambda labels, classes, name: labels, derivatives=False),
    Row("mse_loss", (REAL, REAL), (*_losses((2, 3), (2, 3)), *_losses((3,), (3,)), *_losses((), ())),
        lambda x, target, reduction="mean": _reduced((x - target) ** 2, reduction)),
    Row("binary_cross_entropy", (PROBABILITY, TARGET), (*_losses((2, 3), (2, 3)), *_losses((3,), (3,))), _bce, ulps=8),
    Row("binary_cross_entropy_with_logits", (Domain(-4.0, 4.0, avoid=(0.0,)), TARGET),
        (*_losses((2, 3), (2, 3)), *_losses((3,), (3,))),
        lambda x, target, reduction="mean": _bce(1 / (1 + np.exp(-x)), target, reduction), ulps=32),
    Row("cross_entropy", (REAL, LABELS), (*_losses((2, 3), (2,)), *_losses((3,), ()), *_losses((2, 2, 3), (2, 2))),
        _cross_entropy, ulps=16),
]
