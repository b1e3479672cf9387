"""Windows that slide over the last axes of an array: where they lie, their elements gathered, and put back.

Arrays have the shape (batch, channels, *space). What slides is given for each axis of the space, by these settings of
the operations on windows: `window`, its length; `stride`, from one window to the next; `padding`, a pair of how many
elements are added before and after; `dilation`, from one element of a window to its next. Instead of a tuple a number
stands for all axes, so that usual settings are plain ones. Plain NumPy throughout.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Ints: TypeAlias = tuple[int, ...]
Pairs: TypeAlias = tuple[tuple[int, int], ...]


def sliding(window: Ints, stride: Any, padding: Any, dilation: Any) -> tuple[Ints, Pairs, Ints]:
    """Stride, padding and dilation for each axis; without a stride windows follow one another."""
    n = len(window)
    return (
        window if stride is None else _along(stride, n),
        padding if type(padding) is tuple else ((padding, padding),) * n,
        _along(dilation, n),
    )


def _along(value: Any, n: int) -> Any:
    return value if type(value) is tuple else (value,) * n


def extent(window: int, dilation: int) -> int:
    """From the first element of a window to its last, both included."""
    return dilation * (window - 1) + 1


def window_counts(space: Ints, window: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Ints:
    """How many windows there are along each axis."""
    return tuple(
        [
            (n + before + after - extent(k, d)) // s + 1
            for n, k, s, (before, after), d in zip(space, window, stride, padding, dilation)
        ]
    )


def padded(x: Any, padding: Pairs, value: Any = 0) -> Any:
    """`x` with `value` around its space; itself where nothing is added."""
    if not any(map(any, padding)):
        return x
    space = x.shape[2:]
    out = np.full((*x.shape[:2], *[n + a + b for n, (a, b) in zip(space, padding)]), value, x.dtype)
    inner: Any = (..., *[slice(a, a + n) for n, (a, _) in zip(space, padding)])
    out[inner] = x
    return out


def cropped(x: Any, padding: Pairs) -> Any:
    """What lies inside the padding: a view."""
    if not any(map(any, padding)):
        return x
    return x[(..., *[slice(a, n - b) for n, (a, b) in zip(x.shape[2:], padding)])]


def every(axis: int, first: int, count: int, step: int) -> tuple[Any, ...]:
    """The index of `count` places along an axis counted from the end (-1 for the last), `step` apart."""
    stop = first + (count - 1) * step + 1 if count > 0 else first
    return (..., slice(first, stop, step), *(slice(None),) * (-1 - axis))


def gathered(x: Any, window: Ints, stride: Any = 1, padding: Any = 0, dilation: Any = 1, out: Any = None) -> Any:
    """The elements of all windows, as (batch, channels, *window, *counts).

    One axis after the other, the last one first: what is copied then are whole rows, and with a stride of 1 whole
    planes, instead of the few elements that a window has in a row.
    """
    n = len(window)
    stride, padding, dilation = sliding(window, stride, padding, dilation)
    x = padded(x, padding)
    counts = window_counts(x.shape[2:], window, stride, ((0, 0),) * n, dilation)
    for axis in range(-1, -1 - n, -1):
        k, s, d, count = window[axis], stride[axis], dilation[axis], counts[axis]
        shape, strides = list(x.shape), list(x.strides)
        place = len(shape) + axis
        step = strides[place]
        shape[place], strides[place] = count, step * s
        view = np.lib.stride_tricks.as_strided(x, (*shape[:2], k, *shape[2:]), (*strides[:2], step * d, *strides[2:]))
        if out is not None and axis == -n:
            np.copyto(out, view)
            return out
        x = view if k == 1 and axis != -n else np.ascontiguousarray(view)
    return x


def put_back(y: Any, space: Ints, window: Ints, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Any:
    """Elements of windows, each added at the place it was gathered from: the adjoint of `gathered`."""
    n = len(window)
    stride, padding, dilation = sliding(window, stride, padding, dilation)
    for axis in range(-n, 0):
        k, s, d, count = window[axis], stride[axis], dilation[axis], y.shape[axis]
        length = space[axis] + sum(padding[axis])
        shape = [*y.shape[:2], *y.shape[3:]]
        shape[axis] = length
        whole = np.zeros(shape, y.dtype)
        for j in range(k):
            place = whole[every(axis, j * d, count, s)]
            np.add(place, y[:, :, j], out=place)
        y = whole
    return cropped(y, padding)
