"""Pooling: the largest element of each window, or their mean, with adjoints that are operations too."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ...core.define import op
from .window import cropped, every, padded, sliding, window_counts


def _lowest(dtype: Any) -> Any:
    """What is never larger than an element."""
    if dtype.kind == "f":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min


def _reduced(ufunc: Any, x: Any, window: Any, stride: Any, dilation: Any) -> Any:
    """A ufunc over the elements of each window, one axis after the other: the last one last, as its rows are short."""
    for axis in range(-len(window), 0):
        k, s, d = window[axis], stride[axis], dilation[axis]
        count = (x.shape[axis] - d * (k - 1) - 1) // s + 1
        if k == 1:
            x = x[every(axis, 0, count, s)]
            continue
        out = ufunc(x[every(axis, 0, count, s)], x[every(axis, d, count, s)])
        for j in range(2, k):
            ufunc(out, x[every(axis, j * d, count, s)], out=out)
        x = out
    return x


def _places(counts: Any, window: Any, stride: Any, dilation: Any) -> Any:
    """For each element of a window, the index of where it lies in all windows."""
    axes = [
        [slice(j * d, j * d + (n - 1) * s + 1 if n > 0 else j * d, s) for j in range(k)]
        for n, k, s, d in zip(counts, window, stride, dilation)
    ]
    return [(..., *slices) for slices in product(*axes)]


# --- the largest -----------------------------------------------------------------------------------------------------


@op(formula="max_pool({x})")
def max_pool(x, *, window, stride=None, padding=0, dilation=1):
    """The largest element of each window; NaN if one is NaN. What is padded is never the largest."""
    stride, padding, dilation = sliding(window, stride, padding, dilation)
    out = _reduced(np.maximum, padded(x, padding, _lowest(x.dtype)), window, stride, dilation)
    return out if max(window) > 1 else out.copy()


@op
def spread_to_maxima(g, x, out, *, window, stride=None, padding=0, dilation=1):
    """A gradient of each window in equal shares to those of its elements that are the largest, the adjoint of
    `mean_at_maxima`; to none if one is NaN.
    """
    stride, padding, dilation = sliding(window, stride, padding, dilation)
    chosen, count = _chosen(x, out, window, stride, padding, dilation)
    share = g if _at_most_one(count) else g / np.maximum(count, 1).astype(g.dtype)
    whole = np.zeros((*x.shape[:2], *[n + a + b for n, (a, b) in zip(x.shape[2:], padding)]), share.dtype)
    disjoint = all(map(int.__gt__, stride, [d * (k - 1) for k, d in zip(window, dilation)]))
    for place, is_chosen in zip(_places(out.shape[2:], window, stride, dilation), chosen):
        if disjoint:
            _where(is_chosen, share, whole[place])
        else:
            whole[place] += _where(is_chosen, share, None)
    return cropped(whole, padding)


def _where(chosen: Any, x: Any, out: Any) -> Any:
    """`x` where it is chosen, else 0: times 0 or 1 as integers, in a fraction of the time that `numpy.where` takes."""
    if x.dtype.char not in "efd":
        result = np.where(chosen, x, x.dtype.type(0))
        return result if out is None else np.copyto(out, result)
    bits = np.dtype(f"i{x.itemsize}")
    if out is None:
        return np.multiply(x.view(bits), chosen).view(x.dtype)
    return np.multiply(x.view(bits), chosen, out=out.view(bits))


def _at_most_one(count: Any) -> bool:
    """Whether no window has more than one largest element, or fewer."""
    return not count.size or (count.max() <= 1)


@op
def mean_at_maxima(h, x, out, *, window, stride=None, padding=0, dilation=1):
    """For each window the mean of `h` over the places where `x` is the largest; 0 if one is NaN."""
    stride, padding, dilation = sliding(window, stride, padding, dilation)
    chosen, count = _chosen(x, out, window, stride, padding, dilation)
    h = padded(h, padding)
    total = np.zeros(out.shape, h.dtype)
    for place, is_chosen in zip(_places(out.shape[2:], window, stride, dilation), chosen):
        total += _where(is_chosen, h[place], None)
    return total if _at_most_one(count) else total / np.maximum(count, 1).astype(h.dtype)


def _chosen(x: Any, out: Any, window: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """For each element of a window whether it is the largest, and how many are."""
    places = _places(out.shape[2:], window, stride, dilation)
    whole = padded(x, padding, _lowest(x.dtype))
    chosen = [whole[place] == out for place in places]
    if any(map(any, padding)):  # what is padded is as small as −inf, and has no share beside it
        inside = padded(np.ones((1, 1, *x.shape[2:]), bool), padding, False)
        chosen = [is_chosen & inside[place] for is_chosen, place in zip(chosen, places)]
    count = np.zeros(out.shape, np.int8 if len(chosen) < 128 else np.int64)
    for is_chosen in chosen:
        count += is_chosen.view(np.int8)
    return chosen, count


max_pool.derivatives(
    lambda g, out, x, *, window, stride, padding, dilation: spread_to_maxima(
        g, x, out, window=window, stride=stride, padding=padding, dilation=dilation
    ),
    formulas=["1 at the maximum, else 0"],
)
max_pool.forward_derivative(
    lambda tangents, out, x, *, window, stride, padding, dilation: mean_at_maxima(
        tangents[0], x, out, window=window, stride=stride, padding=padding, dilation=dilation
    )
)
spread_to_maxima.derivatives(
    lambda h, result, g, x, out, *, window, stride, padding, dilation: mean_at_maxima(
        h, x, out, window=window, stride=stride, padding=padding, dilation=dilation
    ),
    None,
    None,
)
mean_at_maxima.derivatives(
    lambda g, result, h, x, out, *, window, stride, padding, dilation: spread_to_maxima(
        g, x, out, window=window, stride=stride, padding=padding, dilation=dilation
    ),
    None,
    None,
)


@op(differentiable=False)
def max_pool_indices(x, *, window, stride=None, padding=0, dilation=1):
    """Where in its plane, counted row by row, the first of the largest elements of each window lies; or a NaN."""
    stride, padding, dilation = sliding(window, stride, padding, dilation)
    space = x.shape[2:]
    whole = padded(x, padding, _lowest(x.dtype))
    order = padded(np.arange(np.prod(space, dtype=np.intp)).reshape(1, 1, *space), padding, -1)
    counts = window_counts(whole.shape[2:], window, stride, ((0, 0),) * len(space), dilation)
    best = np.zeros((*x.shape[:2], *counts), x.dtype)
    result = np.full(best.shape, -1, np.int64)
    for place in _places(counts, window, stride, dilation):
        value, index = whole[place], order[place]
        better = ((result < 0) | (value > best) | ((value != value) & (best == best))) & (index >= 0)
        best = np.where(better, value, best)
        result = np.where(better, index, result)
    return result


# --- the mean --------------------------------------------------------------------------------------------------------


@op(linear="jointly", analytic=True, formula="avg_pool({x})")
def avg_pool(x, *, window, stride=None, padding=0, counted=0, divisor=None):
    """The mean of each window, padding being 0.

    Divided by how many of its elements lie in the array and in what is `counted` around it, pairs as of the padding, or
    by `divisor`.
    """
    wide = x.astype(np.float32) if x.dtype.char == "e" else x
    stride, padding, ones = sliding(window, stride, padding, 1)
    total = _reduced(np.add, padded(wide, padding), window, stride, ones)
    return _shared(total, x.shape[2:], window, stride, padding, counted, divisor).astype(x.dtype, copy=False)


@op(linear="jointly", analytic=True)
def spread_over_windows(g, *, space, window, stride=None, padding=0, counted=0, divisor=None):
    """The adjoint of `avg_pool`: each window's gradient in equal shares to its elements."""
    stride, padding, _ = sliding(window, stride, padding, 1)
    share = _shared(g, space, window, stride, padding, counted, divisor)
    for axis in range(-len(window), 0):
        shape = list(share.shape)
        shape[axis] = space[axis] + sum(padding[axis])
        whole = np.zeros(shape, share.dtype)
        for j in range(window[axis]):
            place = whole[every(axis, j, share.shape[axis], stride[axis])]
            np.add(place, share, out=place)
        share = whole
    return cropped(share, padding)


def _shared(x: Any, space: Any, window: Any, stride: Any, padding: Any, counted: Any, divisor: Any) -> Any:
    """Something of each window divided by what its mean is divided by."""
    if divisor is not None:
        return x / x.dtype.type(divisor)
    _, counted, _ = sliding(window, None, counted, 1)
    counts = np.ones((), np.int64)
    for n, k, s, (start, _), (before, after), many in zip(space, window, stride, padding, counted, x.shape[2:]):
        first = np.arange(many) * s - start
        inside = np.minimum(first + k, n + after) - np.maximum(first, -before)
        counts = counts[..., None] * inside
    if (counts == counts.flat[0]).all() if counts.size else False:
        return x / x.dtype.type(counts.flat[0])
    return x / counts.astype(x.dtype)


avg_pool.derivatives(
    lambda g, out, x, *, window, stride, padding, counted, divisor: spread_over_windows(
        g, space=x.shape[2:], window=window, stride=stride, padding=padding, counted=counted, divisor=divisor
    ),
    formulas=["1/count"],
)
spread_over_windows.derivatives(
    lambda g, out, x, *, space, window, stride, padding, counted, divisor: avg_pool(
        g, window=window, stride=stride, padding=padding, counted=counted, divisor=divisor
    ),
)
