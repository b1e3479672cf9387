"""Domain rows of pooling over sliding windows. The references go window by window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....ops.layers import pooling  # noqa: F401  (else registered only with networks)
from ...rows import DISTINCT, REAL, Row
from .window import WINDOWS, Settings, adjoint, counts_of, places

#: For each window the places of its elements in the array.
Windows = dict[Any, Any]


def windows_of(x: Any, *, window: Any, **where: Any) -> Windows:
    """For each window the places of its elements in the array."""
    windows: Windows = {}
    for at, _, element in places(x.shape[2:], counts_of(x.shape[2:], window, **where), window, **where):
        windows.setdefault(at, []).append(element)
    return windows


def largest(x: Any, windows: Windows) -> Any:
    """The largest element of each window, window by window."""
    out = np.empty((*x.shape[:2], *np.max(list(windows), axis=0) + 1))
    for at, elements in windows.items():
        out[(..., *at)] = np.max([x[(..., *e)] for e in elements], axis=0)
    return out


def first_largest(x: Any, windows: Windows) -> Any:
    """The number of the first largest element of each window."""
    out = np.empty((*x.shape[:2], *np.max(list(windows), axis=0) + 1), np.int64)
    for at, elements in windows.items():
        best = np.argmax([x[(..., *e)] for e in elements], axis=0)
        out[(..., *at)] = np.ravel_multi_index(np.array(elements).T, x.shape[2:])[best]
    return out


def shared(g: Any, x: Any, out: Any, windows: Windows) -> Any:
    """Each window's gradient shared among its largest elements."""
    result = np.zeros(x.shape)
    for at, elements in windows.items():
        chosen = np.array([x[(..., *e)] == out[(..., *at)] for e in elements])
        for one, element in zip(chosen, elements):
            result[(..., *element)] += np.where(one, g[(..., *at)] / np.maximum(chosen.sum(0), 1), 0)
    return result


def mean_of_chosen(h: Any, x: Any, out: Any, windows: Windows) -> Any:
    """The mean over each window's largest elements."""
    result = np.zeros(out.shape)
    for at, elements in windows.items():
        chosen = np.array([x[(..., *e)] == out[(..., *at)] for e in elements])
        total = np.sum([np.where(one, h[(..., *e)], 0) for one, e in zip(chosen, elements)], axis=0)
        result[(..., *at)] = total / np.maximum(chosen.sum(0), 1)
    return result


def maxima(of_windows: bool, cases: Any, windows: Callable[..., Windows]) -> tuple[Any, ...]:
    """Gradients or tangents beside an x of few whole numbers, so that there are ties, and its maxima."""

    def case(shape: Any, settings: Settings) -> Callable[[np.random.Generator], Any]:
        def make(rng: np.random.Generator) -> Any:
            x = rng.integers(0, 3, shape)
            out = largest(x, windows(x, **settings)).astype(x.dtype)
            g = rng.uniform(-2, 2, out.shape if of_windows else shape)
            return [g, x, out], {} if "counts" in settings else settings

        return make

    return tuple(case(*entry) for entry in cases)


def avg_reference(x: Any, *, window: Any, stride: Any, padding: Any, counted: Any, divisor: Any) -> Any:
    """The mean of each window, window by window."""
    counts = counts_of(x.shape[2:], window, stride, padding, (1,) * len(window))
    out = np.zeros((*x.shape[:2], *counts))
    for at in np.ndindex(*counts):
        first = [i * s - p for i, s, (p, _) in zip(at, stride, padding)]
        inside: Any = tuple(slice(max(f, 0), f + k) for f, k in zip(first, window))
        size = [
            min(f + k, n + after) - max(f, -before)
            for f, k, n, (before, after) in zip(first, window, x.shape[2:], counted)
        ]
        out[(..., *at)] = x[(..., *inside)].sum(tuple(range(2, x.ndim))) / (divisor or np.prod(size))
    return out


def _mean(window: Any, stride: Any, padding: Any, counted: Any = None, divisor: Any = None) -> Settings:
    counted = ((0, 0),) * len(window) if counted is None else counted
    return {"window": window, "stride": stride, "padding": padding, "counted": counted, "divisor": divisor}


def _spread_means() -> tuple[Any, ...]:
    cases = []
    for x, settings in _MEANS:
        counts = counts_of(x[2:], settings["window"], settings["stride"], settings["padding"], (1,) * len(x[2:]))
        cases.append(((*x[:2], *counts), settings | {"space": x[2:]}))
    return tuple(cases)


#: Shapes of x and settings.
_MEANS: tuple[Any, ...] = (
    ((2, 1, 4, 4), _mean((2, 2), (2, 2), ((0, 0), (0, 0)))),
    ((1, 2, 5, 4), _mean((3, 2), (2, 1), ((1, 1), (1, 1)), counted=((1, 1), (1, 1)))),
    ((1, 1, 5, 5), _mean((3, 3), (2, 2), ((1, 1), (1, 2)))),
    ((1, 1, 4, 4), _mean((2, 3), (1, 1), ((0, 0), (0, 0)), divisor=5)),
    ((2, 2, 6), _mean((3,), (2,), ((1, 2),), counted=((1, 1),))),
)

ROWS = [
    Row("max_pool", (DISTINCT,), WINDOWS, lambda x, **where: largest(x, windows_of(x, **where))),
    Row("spread_to_maxima", cases=maxima(True, WINDOWS, windows_of),
        reference=lambda g, x, out, **where: shared(g, x, out, windows_of(x, **where)), ulps=16),
    Row("mean_at_maxima", cases=maxima(False, WINDOWS, windows_of),
        reference=lambda h, x, out, **where: mean_of_chosen(h, x, out, windows_of(x, **where)), ulps=16),
    Row("max_pool_indices", (DISTINCT,), WINDOWS, lambda x, **where: first_largest(x, windows_of(x, **where)),
        derivatives=False),
    Row("avg_pool", (REAL,), _MEANS, avg_reference, ulps=16),
    Row("spread_over_windows", (REAL,), _spread_means(),
        lambda g, space, **where: adjoint(g, space, lambda x: avg_reference(x, **where)), ulps=16),
]  # fmt: skip
