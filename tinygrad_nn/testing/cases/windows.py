"""Domain rows of operations on sliding windows. The references are their definitions, place by place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from ..rows import DISTINCT, REAL, Row

Settings = dict[str, Any]


def _places(space: Any, counts: Any, window: Any, stride: Any, padding: Any, dilation: Any) -> Iterator[Any]:
    """Each window, each place in it, and the element there, for those that are in the array."""
    for at in np.ndindex(*counts):
        for j in np.ndindex(*window):
            element = tuple(i * s + k * d - p for i, s, k, d, (p, _) in zip(at, stride, j, dilation, padding))
            if all(0 <= e < n for e, n in zip(element, space)):
                yield at, j, element


def _counts(space: Any, window: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, ...]:
    return tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(space, window, stride, padding, dilation)
    )


def _trilinear(x: Any, weight: Any, groups: int, visit: Callable[..., None], **where: Any) -> None:
    """`visit` for each product of the sum that convolutions are made of, over whole batches."""
    counts = _counts(x[2:], weight[2:], where["stride"], where["padding"], where["dilation"])
    for at, j, element in _places(x[2:], counts, weight[2:], **where):
        for f, c in product(range(weight[0]), range(weight[1])):
            channel = f // (weight[0] // groups) * weight[1] + c
            visit((slice(None), channel, *element), (f, c, *j), (slice(None), f, *at))


def conv_reference(x: Any, weight: Any, *, groups: int, **where: Any) -> Any:
    """Convolution by its definition."""
    counts = _counts(x.shape[2:], weight.shape[2:], where["stride"], where["padding"], where["dilation"])
    out = np.zeros((x.shape[0], weight.shape[0], *counts))

    def visit(a: Any, w: Any, b: Any) -> None:
        out[b] += x[a] * weight[w]

    _trilinear(x.shape, weight.shape, groups, visit, **where)
    return out


def transpose_reference(y: Any, weight: Any, *, space: Any, groups: int, **where: Any) -> Any:
    """Transposed convolution by its definition."""
    out = np.zeros((y.shape[0], weight.shape[1] * groups, *space))

    def visit(a: Any, w: Any, b: Any) -> None:
        out[a] += y[b] * weight[w]

    _trilinear(out.shape, weight.shape, groups, visit, **where)
    return out


def weight_reference(x: Any, y: Any, *, window: Any, groups: int, **where: Any) -> Any:
    """The convolution's adjoint in its weight by its definition."""
    out = np.zeros((y.shape[1], x.shape[1] // groups, *window))

    def visit(a: Any, w: Any, b: Any) -> None:
        out[w] += (x[a] * y[b]).sum()

    _trilinear(x.shape, out.shape, groups, visit, **where)
    return out


def unfold_reference(x: Any, *, window: Any, **where: Any) -> Any:
    """Elements of windows, one by one."""
    counts = _counts(x.shape[2:], window, **where)
    out = np.zeros((*x.shape[:2], *window, *counts))
    for at, j, element in _places(x.shape[2:], counts, window, **where):
        out[(..., *j, *at)] = x[(..., *element)]
    return out


def fold_reference(y: Any, *, space: Any, window: Any, **where: Any) -> Any:
    """Elements of windows added up, one by one."""
    out = np.zeros((*y.shape[:2], *space))
    for at, j, element in _places(space, y.shape[2 + len(space) :], window, **where):
        out[(..., *element)] += y[(..., *j, *at)]
    return out


def windows_reference(x: Any, *, window: Any, **where: Any) -> dict[Any, Any]:
    """For each window the places of its elements in the array."""
    found: dict[Any, Any] = {}
    for at, _, element in _places(x.shape[2:], _counts(x.shape[2:], window, **where), window, **where):
        found.setdefault(at, []).append(element)
    return found


def max_reference(x: Any, **where: Any) -> Any:
    """The largest element of each window, window by window."""
    windows = windows_reference(x, **where)
    out = np.empty((*x.shape[:2], *np.max(list(windows), axis=0) + 1))
    for at, elements in windows.items():
        out[(..., *at)] = np.max([x[(..., *e)] for e in elements], axis=0)
    return out


def _spread(g: Any, x: Any, out: Any, windows: Any) -> Any:
    """Each window's gradient shared among its largest elements."""
    result = np.zeros(x.shape)
    for at, elements in windows:
        chosen = np.array([x[(..., *e)] == out[(..., *at)] for e in elements])
        for one, element in zip(chosen, elements):
            result[(..., *element)] += np.where(one, g[(..., *at)] / np.maximum(chosen.sum(0), 1), 0)
    return result


def _mean_of_chosen(h: Any, x: Any, out: Any, windows: Any) -> Any:
    """The mean over each window's largest elements."""
    result = np.zeros(out.shape)
    for at, elements in windows:
        chosen = np.array([x[(..., *e)] == out[(..., *at)] for e in elements])
        total = np.sum([np.where(one, h[(..., *e)], 0) for one, e in zip(chosen, elements)], axis=0)
        result[(..., *at)] = total / np.maximum(chosen.sum(0), 1)
    return result


def spread_reference(g: Any, x: Any, out: Any, **where: Any) -> Any:
    """Each window's gradient shared among its largest elements."""
    return _spread(g, x, out, windows_reference(x, **where).items())


def mean_reference(h: Any, x: Any, out: Any, **where: Any) -> Any:
    """The mean over each window's largest elements."""
    return _mean_of_chosen(h, x, out, windows_reference(x, **where).items())


def indices_reference(x: Any, **where: Any) -> Any:
    """The number of the first largest element of each window."""
    windows = windows_reference(x, **where)
    out = np.empty((*x.shape[:2], *np.max(list(windows), axis=0) + 1), np.int64)
    for at, elements in windows.items():
        best = np.argmax([x[(..., *e)] for e in elements], axis=0)
        out[(..., *at)] = np.ravel_multi_index(np.array(elements).T, x.shape[2:])[best]
    return out


def avg_reference(x: Any, *, window: Any, stride: Any, padding: Any, counted: Any, divisor: Any) -> Any:
    """The mean of each window, window by window."""
    counts = _counts(x.shape[2:], window, stride, padding, (1,) * len(window))
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


def spread_average_reference(g: Any, *, space: Any, **where: Any) -> Any:
    """The adjoint of the mean, by what it is for each element alone."""
    return _adjoint(g, space, lambda x: avg_reference(x, **where))


def _adjoint(g: Any, space: Any, function: Callable[[Any], Any]) -> Any:
    """The adjoint of a linear function of planes, element by element."""
    out = np.zeros((*g.shape[:2], *space))
    for place in np.ndindex(*space):
        one = np.zeros((1, 1, *space))
        one[(0, 0, *place)] = 1
        out[(..., *place)] = (g * function(one)).sum(tuple(range(2, g.ndim)))
    return out


def _adaptive(x: Any, counts: Any) -> Iterator[tuple[Any, Any]]:
    """Each window of adaptive pooling, and its elements."""
    for at in np.ndindex(*counts):
        bounds = [(i * n // m, -((-(i + 1) * n) // m)) for i, n, m in zip(at, x.shape[2:], counts)]
        yield at, list(product(*(range(a, b) for a, b in bounds)))


def adaptive_avg_reference(x: Any, *, counts: Any) -> Any:
    """The mean of each window, window by window."""
    out = np.empty((*x.shape[:2], *counts))
    for at, elements in _adaptive(x, counts):
        out[(..., *at)] = np.mean([x[(..., *e)] for e in elements], axis=0)
    return out


def adaptive_max_reference(x: Any, *, counts: Any) -> Any:
    """The largest element of each window, window by window."""
    out = np.empty((*x.shape[:2], *counts))
    for at, elements in _adaptive(x, counts):
        out[(..., *at)] = np.max([x[(..., *e)] for e in elements], axis=0)
    return out


def adaptive_indices_reference(x: Any, *, counts: Any) -> Any:
    """The number of the first largest element of each window."""
    out = np.empty((*x.shape[:2], *counts), np.int64)
    for at, elements in _adaptive(x, counts):
        best = np.argmax([x[(..., *e)] for e in elements], axis=0)
        out[(..., *at)] = np.ravel_multi_index(np.array(elements).T, x.shape[2:])[best]
    return out


# --- settings --------------------------------------------------------------------------------------------------------


def _where(stride: Any = (1, 1), padding: Any = ((0, 0), (0, 0)), dilation: Any = (1, 1), **more: Any) -> Settings:
    return {"stride": stride, "padding": padding, "dilation": dilation, **more}


def _line(stride: int = 1, padding: Any = (0, 0), dilation: int = 1, **more: Any) -> Settings:
    return {"stride": (stride,), "padding": (padding,), "dilation": (dilation,), **more}


def _mean(window: Any, stride: Any, padding: Any, counted: Any = None, divisor: Any = None) -> Settings:
    counted = ((0, 0),) * len(window) if counted is None else counted
    return {"window": window, "stride": stride, "padding": padding, "counted": counted, "divisor": divisor}


#: Shapes of x, of the weight and of y, and settings.
_CONVOLUTIONS: tuple[Any, ...] = (
    ((2, 1, 4, 4), (2, 1, 2, 2), (2, 2, 3, 3), _where(groups=1)),
    ((1, 2, 5, 4), (3, 2, 3, 2), (1, 3, 2, 2), _where((2, 2), ((0, 0), (0, 1)), groups=1)),
    ((2, 2, 5, 3), (4, 1, 2, 2), (2, 4, 5, 3), _where((1, 1), ((1, 1), (0, 1)), (2, 1), groups=2)),
    ((2, 2, 6), (2, 2, 3), (2, 2, 3), _line(2, (1, 0), groups=1)),
    ((0, 1, 3, 3), (2, 1, 2, 2), (0, 2, 2, 2), _where(groups=1)),
)
#: Shapes of x and settings.
_WINDOWS: tuple[Any, ...] = (
    ((2, 1, 4, 4), _where((2, 2), window=(2, 2))),
    ((1, 2, 5, 4), _where((2, 1), ((1, 1), (0, 1)), window=(3, 2))),
    ((1, 1, 5, 5), _where(dilation=(2, 1), window=(2, 3))),
    ((1, 1, 3, 3), _where(window=(1, 1))),
    ((2, 2, 6), _line(2, (1, 2), window=(3,))),
)
_MEANS: tuple[Any, ...] = (
    ((2, 1, 4, 4), _mean((2, 2), (2, 2), ((0, 0), (0, 0)))),
    ((1, 2, 5, 4), _mean((3, 2), (2, 1), ((1, 1), (1, 1)), counted=((1, 1), (1, 1)))),
    ((1, 1, 5, 5), _mean((3, 3), (2, 2), ((1, 1), (1, 2)))),
    ((1, 1, 4, 4), _mean((2, 3), (1, 1), ((0, 0), (0, 0)), divisor=5)),
    ((2, 2, 6), _mean((3,), (2,), ((1, 2),), counted=((1, 1),))),
)


def _folds() -> tuple[Any, ...]:
    """Shapes of elements of windows, and settings of `fold`."""
    cases = []
    for x, settings in _WINDOWS:
        where = {key: value for key, value in settings.items() if key != "window"}
        counts = _counts(x[2:], settings["window"], **where)
        cases.append(((*x[:2], *settings["window"], *counts), settings | {"space": x[2:]}))
    return tuple(cases)


def _spread_means() -> tuple[Any, ...]:
    cases = []
    for x, settings in _MEANS:
        counts = _counts(x[2:], settings["window"], settings["stride"], settings["padding"], (1,) * len(x[2:]))
        cases.append(((*x[:2], *counts), settings | {"space": x[2:]}))
    return tuple(cases)


def _maxima(of_windows: bool, cases: Any = _WINDOWS, largest: Any = max_reference) -> tuple[Any, ...]:
    """Gradients or tangents beside an x of few whole numbers, so that there are ties, and its maxima."""

    def case(shape: Any, settings: Settings) -> Callable[[np.random.Generator], Any]:
        def make(rng: np.random.Generator) -> Any:
            x = rng.integers(0, 3, shape)
            out = largest(x, **settings).astype(x.dtype)
            more = {} if "counts" in settings else settings
            return [rng.uniform(-2, 2, out.shape if of_windows else shape), x, out], more

        return make

    return tuple(case(*entry) for entry in cases)


_ADAPTIVE: tuple[Any, ...] = (
    ((1, 2, 3, 2), {"counts": (2, 3)}),
    ((2, 1, 5), {"counts": (3,)}),
)
_COUNTED: tuple[Any, ...] = tuple(((*x[:2], *s["counts"]), {"space": x[2:]}) for x, s in _ADAPTIVE)


ROWS = [
    Row("conv_map", (REAL,), tuple((x, w, s) for x, w, _, s in _CONVOLUTIONS), conv_reference, ulps=16),
    Row("conv", (REAL,), tuple((x, w, w[:1], s) for x, w, _, s in _CONVOLUTIONS),
        lambda x, w, b, **s: conv_reference(x, w, **s) + b.reshape(-1, *(1,) * (w.ndim - 2)), ulps=16),
    Row("conv_transpose", (REAL,), tuple((y, w, s | {"space": x[2:]}) for x, w, y, s in _CONVOLUTIONS),
        transpose_reference, ulps=16),
    Row("conv_weight", (REAL,), tuple((x, y, s | {"window": w[2:]}) for x, w, y, s in _CONVOLUTIONS),
        weight_reference, ulps=32),
    Row("unfold", (REAL,), _WINDOWS, unfold_reference),
    Row("fold", (REAL,), _folds(), fold_reference, ulps=16),
    Row("max_pool", (DISTINCT,), _WINDOWS, max_reference),
    Row("spread_to_maxima", cases=_maxima(True), reference=spread_reference, ulps=16),
    Row("mean_at_maxima", cases=_maxima(False), reference=mean_reference, ulps=16),
    Row("max_pool_indices", (DISTINCT,), _WINDOWS, indices_reference, derivatives=False),
    Row("adaptive_avg_pool", (REAL,), _ADAPTIVE, adaptive_avg_reference, ulps=16),
    Row("spread_adaptively", (REAL,), _COUNTED, lambda g, space: _adjoint(
        g, space, lambda x: adaptive_avg_reference(x, counts=g.shape[2:])), ulps=16),
    Row("adaptive_max_pool", (DISTINCT,), _ADAPTIVE, adaptive_max_reference),
    Row("adaptive_max_pool_indices", (DISTINCT,), _ADAPTIVE, adaptive_indices_reference, derivatives=False),
    Row("spread_to_adaptive_maxima", cases=_maxima(True, _ADAPTIVE, adaptive_max_reference),
        reference=lambda g, x, out: _spread(g, x, out, _adaptive(x, out.shape[2:])), ulps=16),
    Row("mean_at_adaptive_maxima", cases=_maxima(False, _ADAPTIVE, adaptive_max_reference),
        reference=lambda h, x, out: _mean_of_chosen(h, x, out, _adaptive(x, out.shape[2:])), ulps=16),
    Row("avg_pool", (REAL,), _MEANS, avg_reference, ulps=16),
    Row("spread_over_windows", (REAL,), _spread_means(), spread_average_reference, ulps=16),
]  # fmt: skip
