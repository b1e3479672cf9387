"""Domain rows of convolutions. The references are their definitions, place by place."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ....ops.layers import convolution  # noqa: F401  (else registered only with networks)
from ...rows import REAL, Row
from .window import WINDOWS, along_line, counts_of, places, where


def _products(x: Any, weight: Any, groups: int, **where: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Indices of x, weight and result for each product of the sum that convolutions are, over whole batches."""
    counts = counts_of(x[2:], weight[2:], where["stride"], where["padding"], where["dilation"])
    for at, j, element in places(x[2:], counts, weight[2:], **where):
        for f, c in product(range(weight[0]), range(weight[1])):
            channel = f // (weight[0] // groups) * weight[1] + c
            yield (slice(None), channel, *element), (f, c, *j), (slice(None), f, *at)


def conv_reference(x: Any, weight: Any, *, groups: int, **where: Any) -> Any:
    """Convolution by its definition."""
    counts = counts_of(x.shape[2:], weight.shape[2:], where["stride"], where["padding"], where["dilation"])
    out = np.zeros((x.shape[0], weight.shape[0], *counts))
    for a, w, b in _products(x.shape, weight.shape, groups, **where):
        out[b] += x[a] * weight[w]
    return out


def transpose_reference(y: Any, weight: Any, *, space: Any, groups: int, **where: Any) -> Any:
    """Transposed convolution by its definition."""
    out = np.zeros((y.shape[0], weight.shape[1] * groups, *space))
    for a, w, b in _products(out.shape, weight.shape, groups, **where):
        out[a] += y[b] * weight[w]
    return out


def weight_reference(x: Any, y: Any, *, window: Any, groups: int, **where: Any) -> Any:
    """The convolution's adjoint in its weight by its definition."""
    out = np.zeros((y.shape[1], x.shape[1] // groups, *window))
    for a, w, b in _products(x.shape, out.shape, groups, **where):
        out[w] += (x[a] * y[b]).sum()
    return out


def unfold_reference(x: Any, *, window: Any, **where: Any) -> Any:
    """Elements of windows, one by one."""
    counts = counts_of(x.shape[2:], window, **where)
    out = np.zeros((*x.shape[:2], *window, *counts))
    for at, j, element in places(x.shape[2:], counts, window, **where):
        out[(..., *j, *at)] = x[(..., *element)]
    return out


def fold_reference(y: Any, *, space: Any, window: Any, **where: Any) -> Any:
    """Elements of windows added up, one by one."""
    out = np.zeros((*y.shape[:2], *space))
    for at, j, element in places(space, y.shape[2 + len(space) :], window, **where):
        out[(..., *element)] += y[(..., *j, *at)]
    return out


def _folds() -> tuple[Any, ...]:
    """Shapes of elements of windows, and settings of `fold`."""
    cases = []
    for x, settings in WINDOWS:
        where = {key: value for key, value in settings.items() if key != "window"}
        counts = counts_of(x[2:], settings["window"], **where)
        cases.append(((*x[:2], *settings["window"], *counts), settings | {"space": x[2:]}))
    return tuple(cases)


#: Shapes of x, of the weight and of y, and settings.
_CONVOLUTIONS: tuple[Any, ...] = (
    ((2, 1, 4, 4), (2, 1, 2, 2), (2, 2, 3, 3), where(groups=1)),
    ((1, 2, 5, 4), (3, 2, 3, 2), (1, 3, 2, 2), where((2, 2), ((0, 0), (0, 1)), groups=1)),
    ((2, 2, 5, 3), (4, 1, 2, 2), (2, 4, 5, 3), where((1, 1), ((1, 1), (0, 1)), (2, 1), groups=2)),
    ((2, 2, 6), (2, 2, 3), (2, 2, 3), along_line(2, (1, 0), groups=1)),
    ((0, 1, 3, 3), (2, 1, 2, 2), (0, 2, 2, 2), where(groups=1)),
)

ROWS = [
    Row("conv_map", (REAL,), tuple((x, w, s) for x, w, _, s in _CONVOLUTIONS), conv_reference, ulps=16),
    Row("conv", (REAL,), tuple((x, w, w[:1], s) for x, w, _, s in _CONVOLUTIONS),
        lambda x, w, b, **s: conv_reference(x, w, **s) + b.reshape(-1, *(1,) * (w.ndim - 2)), ulps=16),
    Row("conv_transpose", (REAL,), tuple((y, w, s | {"space": x[2:]}) for x, w, y, s in _CONVOLUTIONS),
        transpose_reference, ulps=16),
    Row("conv_weight", (REAL,), tuple((x, y, s | {"window": w[2:]}) for x, w, y, s in _CONVOLUTIONS),
        weight_reference, ulps=32),
    Row("unfold", (REAL,), WINDOWS, unfold_reference),
    Row("fold", (REAL,), _folds(), fold_reference, ulps=16),
]  # fmt: skip
