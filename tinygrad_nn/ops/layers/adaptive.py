"""Pooling to a given number of windows, as equal in length as they can be; they overlap where it does not divide."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ...core.define import op


def _bounds(length: int, count: int) -> list[tuple[int, int]]:
    """Where each of `count` windows begins and ends: ⌊i·length/count⌋ and ⌈(i + 1)·length/count⌉."""
    return [(i * length // count, -((-(i + 1) * length) // count)) for i in range(count)]


def _cells(space: Any, counts: Any) -> Any:
    """Each window's place among the windows, and the index of its elements."""
    axes = [list(enumerate(_bounds(n, m))) for n, m in zip(space, counts)]
    for cell in product(*axes):
        yield (..., *[i for i, _ in cell]), (..., *[slice(a, b) for _, (a, b) in cell])


def _last(count: int) -> tuple[int, ...]:
    return tuple(range(-count, 0))


# --- the mean --------------------------------------------------------------------------------------------------------


@op(linear="jointly", analytic=True, formula="adaptive_avg_pool({x})")
def adaptive_avg_pool(x, *, counts):
    """The mean of each of so many windows along each of the last axes."""
    dtype = x.dtype
    x = x.astype(np.float32) if dtype.char == "e" else x
    for axis, count in zip(_last(len(counts)), counts):
        x = np.moveaxis(x, axis, 0)
        out = np.empty((count, *x.shape[1:]), x.dtype)
        for i, (a, b) in enumerate(_bounds(len(x), count)):
            np.divide(np.add.reduce(x[a:b], 0), x.dtype.type(b - a), out=out[i])
        x = np.moveaxis(out, 0, axis)
    return np.ascontiguousarray(x.astype(dtype, copy=False))


@op(linear="jointly", analytic=True)
def spread_adaptively(g, *, space):
    """The adjoint of `adaptive_avg_pool`: each window's gradient in equal shares to its elements."""
    for axis, length in zip(_last(len(space)), space):
        g = np.moveaxis(g, axis, 0)
        out = np.zeros((length, *g.shape[1:]), g.dtype)
        for i, (a, b) in enumerate(_bounds(length, len(g))):
            out[a:b] += g[i] / g.dtype.type(b - a)
        g = np.moveaxis(out, 0, axis)
    return np.ascontiguousarray(g)


adaptive_avg_pool.derivatives(
    lambda g, out, x, *, counts: spread_adaptively(g, space=x.shape[2:]),
    formulas=["1/count"],
)
spread_adaptively.derivatives(lambda h, out, g, *, space: adaptive_avg_pool(h, counts=g.shape[2:]))


# --- the largest -----------------------------------------------------------------------------------------------------


@op(formula="adaptive_max_pool({x})")
def adaptive_max_pool(x, *, counts):
    """The largest element of each of so many windows along each of the last axes; NaN if one is NaN."""
    out = np.empty((*x.shape[: -len(counts)], *counts), x.dtype)
    for cell, elements in _cells(x.shape[2:], counts):
        out[cell] = x[elements].max(_last(len(counts)))
    return out


@op(differentiable=False)
def adaptive_max_pool_indices(x, *, counts):
    """Where in its plane, counted row by row, the first of the largest elements of each window lies; or a NaN."""
    out = np.empty((*x.shape[: -len(counts)], *counts), np.int64)
    order = np.arange(np.prod(x.shape[2:], dtype=np.intp)).reshape(x.shape[2:])
    for cell, elements in _cells(x.shape[2:], counts):
        window = x[elements]
        out[cell] = order[elements].ravel()[window.reshape(*x.shape[:2], -1).argmax(-1)]
    return out


def _chosen(x: Any, out: Any, cell: Any, elements: Any) -> tuple[Any, Any]:
    """Which elements of a window are the largest, and how many."""
    last = _last(x.ndim - 2)
    chosen = x[elements] == np.expand_dims(out[cell], last)
    return chosen, np.maximum(np.count_nonzero(chosen, last, keepdims=True), 1)


@op
def spread_to_adaptive_maxima(g, x, out):
    """The gradient of each window in equal shares to its largest elements: the adjoint of `mean_at_adaptive_maxima`."""
    whole = np.zeros(x.shape, g.dtype)
    for cell, elements in _cells(x.shape[2:], out.shape[2:]):
        chosen, count = _chosen(x, out, cell, elements)
        share = np.expand_dims(g[cell], _last(x.ndim - 2)) / count.astype(g.dtype)
        whole[elements] += np.where(chosen, share, g.dtype.type(0))
    return whole


@op
def mean_at_adaptive_maxima(h, x, out):
    """For each window the mean of `h` over the places where `x` is the largest; 0 if one is NaN."""
    means = np.empty(out.shape, h.dtype)
    for cell, elements in _cells(x.shape[2:], out.shape[2:]):
        chosen, count = _chosen(x, out, cell, elements)
        total = np.where(chosen, h[elements], h.dtype.type(0)).sum(_last(x.ndim - 2), keepdims=True)
        means[cell] = (total / count.astype(h.dtype)).reshape(x.shape[:2])
    return means


adaptive_max_pool.derivatives(
    lambda g, out, x, *, counts: spread_to_adaptive_maxima(g, x, out), formulas=["1 at the maximum, else 0"]
)
adaptive_max_pool.forward_derivative(lambda tangents, out, x, *, counts: mean_at_adaptive_maxima(tangents[0], x, out))
spread_to_adaptive_maxima.derivatives(lambda h, result, g, x, out: mean_at_adaptive_maxima(h, x, out), None, None)
mean_at_adaptive_maxima.derivatives(lambda g, result, h, x, out: spread_to_adaptive_maxima(g, x, out), None, None)
