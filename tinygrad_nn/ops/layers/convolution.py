"""Convolution and its two adjoints, each an operation whose derivatives are the other two.

With x of shape (batch, channels, *space), weight (filters, channels/groups, *window) and y (batch, filters, *counts)
all three belong to one sum over b, c, f, the windows i and the places j inside a window,

    Σ x[b, c, i·stride + j·dilation − padding] · weight[f, c, j] · y[b, f, i],

which is linear in each of them: `conv_map` is its derivative in y, `conv_transpose` that in x, `conv_weight` that in
the weight. So the set is closed under differentiation of any order. (As in all of deep learning, it is the correlation
that is called convolution: the window is not flipped.)
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from ...core.define import op
from ..reductions import sum
from .window import gathered, put_back, sliding, window_counts

#: Bytes of columns that are made at once: a few samples after the other, so that they stay in the cache.
TOGETHER = 1 << 20


def _parts(size: int, nbytes: int) -> Iterator[slice]:
    """A batch in parts of as many samples as are worked on together, given the bytes of one sample's columns."""
    step = max(TOGETHER // max(nbytes, 1), 1)
    return (slice(i, min(i + step, size)) for i in range(0, size, step))


def _columns(x: Any, window: Any, where: tuple[Any, Any, Any], groups: int) -> Iterator[tuple[slice, Any]]:
    """For parts of the batch a matrix for each sample and group, with a column for each window."""
    counts = window_counts(x.shape[2:], window, *where)
    rows, width = x.shape[1] // groups * prod(window), prod(counts)
    buffer: Any = None
    for part in _parts(x.shape[0], groups * rows * width * x.itemsize):
        some = x[part]
        # Of windows of one element the columns may be the input itself, which is nothing to write into.
        own = buffer is not None and buffer.base is None
        out = buffer if own and len(some) == len(buffer) else None
        buffer = gathered(some, window, *where, out=out)
        yield part, buffer.reshape(len(some), groups, rows, width)


def _wide(*arrays: Any) -> tuple[Any, ...]:
    """Arrays in a dtype whose sums are exact enough: half precision is computed in single."""
    return tuple([x.astype(np.float32) if x.dtype.char == "e" else x for x in arrays])


def _convolved(x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    dtype = np.result_type(x.dtype, weight.dtype)
    x, weight = _wide(x, weight)
    size, filters, window = x.shape[0], weight.shape[0], weight.shape[2:]
    where = sliding(window, stride, padding, dilation)
    counts = window_counts(x.shape[2:], window, *where)
    rows = weight.reshape(groups, filters // groups, weight.shape[1] * prod(window))
    out = np.empty((size, groups, filters // groups, prod(counts)), np.result_type(x, weight))
    for part, columns in _columns(x, window, where, groups):
        np.matmul(rows, columns, out=out[part])
    out = out.reshape(size, filters, *counts).astype(dtype, copy=False)
    if bias is None:
        return out
    bias = bias.reshape(-1, *(1,) * len(counts))
    return np.add(out, bias, out=out) if bias.dtype == dtype else out + bias


@op(linear="separately", analytic=True, formula="{x} ⋆ {weight}")
def conv_map(x, weight, *, stride=1, padding=0, dilation=1, groups=1):
    """Convolution without bias: from (batch, channels, *space) to (batch, filters, *counts)."""
    return _convolved(x, weight, None, stride, padding, dilation, groups)


@op(linear="separately", analytic=True, formula="{y} ⋆ᵀ {weight}")
def conv_transpose(y, weight, *, space, stride=1, padding=0, dilation=1, groups=1):
    """The adjoint of `conv_map` in x: from (batch, filters, *counts) to (batch, channels, *space)."""
    dtype = np.result_type(y.dtype, weight.dtype)
    y, weight = _wide(y, weight)
    size, filters, counts = y.shape[0], y.shape[1], y.shape[2:]
    channels, window = weight.shape[1], weight.shape[2:]
    rows = weight.reshape(groups, filters // groups, channels * prod(window)).swapaxes(1, 2)
    y = y.reshape(size, groups, filters // groups, prod(counts))
    out = np.empty((size, groups * channels, *space), dtype)
    for part in _parts(size, groups * rows.shape[1] * prod(counts) * y.itemsize):
        columns = np.matmul(rows, y[part])
        columns = columns.reshape(len(columns), groups * channels, *window, *counts)
        out[part] = put_back(columns, space, window, stride, padding, dilation)
    return out


@op(linear="separately", analytic=True, formula="{x} ⋆ {y}")
def conv_weight(x, y, *, window, stride=1, padding=0, dilation=1, groups=1):
    """The adjoint of `conv_map` in the weight: (filters, channels/groups, *window), summed over the batch."""
    dtype = np.result_type(x.dtype, y.dtype)
    x, y = _wide(x, y)
    size, filters, counts = y.shape[0], y.shape[1], y.shape[2:]
    channels = x.shape[1] // groups
    y = y.reshape(size, groups, filters // groups, prod(counts))
    total = np.zeros((groups, filters // groups, channels * prod(window)), np.result_type(x, y))
    for part, columns in _columns(x, window, sliding(window, stride, padding, dilation), groups):
        total += np.add.reduce(np.matmul(y[part], columns.swapaxes(2, 3)), 0)
    return total.reshape(filters, channels, *window).astype(dtype, copy=False)


conv_map.derivatives(
    lambda g, out, x, weight, *, stride, padding, dilation, groups: conv_transpose(
        g, weight, space=x.shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    lambda g, out, x, weight, *, stride, padding, dilation, groups: conv_weight(
        x, g, window=weight.shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    formulas=["{weight}", "{x}"],
)
conv_transpose.derivatives(
    lambda g, out, y, weight, *, space, stride, padding, dilation, groups: conv_map(
        g, weight, stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    lambda g, out, y, weight, *, space, stride, padding, dilation, groups: conv_weight(
        g, y, window=weight.shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    formulas=["{weight}", "{y}"],
)
conv_weight.derivatives(
    lambda g, out, x, y, *, window, stride, padding, dilation, groups: conv_transpose(
        y, g, space=x.shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    lambda g, out, x, y, *, window, stride, padding, dilation, groups: conv_map(
        x, g, stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    formulas=["{y}", "{x}"],
)


@op(analytic=True, formula="{x} ⋆ {weight} + {bias}")
def conv(x, weight, bias, *, stride=1, padding=0, dilation=1, groups=1):
    """Convolution with a bias for each filter."""
    return _convolved(x, weight, bias, stride, padding, dilation, groups)


conv.derivatives(
    lambda g, out, x, weight, bias, *, stride, padding, dilation, groups: conv_transpose(
        g, weight, space=x.shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    lambda g, out, x, weight, bias, *, stride, padding, dilation, groups: conv_weight(
        x, g, window=weight.shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    lambda g, out, x, weight, bias, *, stride, padding, dilation, groups: sum(g, axis=(0, *range(2, g.ndim))),
    formulas=["{weight}", "{x}", "1"],
)


@conv.forward_derivative
def _push_conv(tangents: Any, out: Any, x: Any, weight: Any, bias: Any, **settings: Any) -> Any:
    of_x, of_weight, of_bias = tangents
    terms = [] if of_x is None else [conv_map(of_x, weight, **settings)]
    terms += [] if of_weight is None else [conv_map(x, of_weight, **settings)]
    if of_bias is not None:
        terms.append(of_bias.reshape(-1, *(1,) * (len(out.shape) - 2)))
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


# --- the windows themselves ------------------------------------------------------------------------------------------


@op(linear="jointly", analytic=True, kernel=gathered, formula="windows of {x}")
def unfold(x, *, window, stride=1, padding=0, dilation=1):
    """The elements of all windows: from (batch, channels, *space) to (batch, channels, *window, *counts)."""


@op(linear="jointly", analytic=True, formula="fold({y})")
def fold(y, *, space, window, stride=1, padding=0, dilation=1):
    """Elements of windows added up where they overlap: from (batch, channels, *window, *counts) to (…, *space)."""
    return put_back(y, space, window, stride, padding, dilation)


unfold.derivatives(
    lambda g, out, x, *, window, stride, padding, dilation: fold(
        g, space=x.shape[2:], window=window, stride=stride, padding=padding, dilation=dilation
    ),
    formulas=["1"],
)
fold.derivatives(
    lambda g, out, y, *, space, window, stride, padding, dilation: unfold(
        g, window=window, stride=stride, padding=padding, dilation=dilation
    ),
    formulas=["1"],
)
