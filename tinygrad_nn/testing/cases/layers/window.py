"""What the rows of convolution and pooling share: sliding windows, gone through place by place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Settings = dict[str, Any]


def places(space: Any, counts: Any, window: Any, stride: Any, padding: Any, dilation: Any) -> Iterator[Any]:
    """Each window, each place in it, and the element there, for those that are in the array."""
    for at in np.ndindex(*counts):
        for j in np.ndindex(*window):
            element = tuple(i * s + k * d - p for i, s, k, d, (p, _) in zip(at, stride, j, dilation, padding))
            if all(0 <= e < n for e, n in zip(element, space)):
                yield at, j, element


def counts_of(space: Any, window: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, ...]:
    """How many windows there are along each axis."""
    return tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(space, window, stride, padding, dilation)
    )


def adjoint(g: Any, space: Any, function: Callable[[Any], Any]) -> Any:
    """The adjoint of a linear function of planes, element by element."""
    out = np.zeros((*g.shape[:2], *space))
    for place in np.ndindex(*space):
        one = np.zeros((1, 1, *space))
        one[(0, 0, *place)] = 1
        out[(..., *place)] = (g * function(one)).sum(tuple(range(2, g.ndim)))
    return out


def where(stride: Any = (1, 1), padding: Any = ((0, 0), (0, 0)), dilation: Any = (1, 1), **more: Any) -> Settings:
    """Settings of windows on planes."""
    return {"stride": stride, "padding": padding, "dilation": dilation, **more}


def along_line(stride: int = 1, padding: Any = (0, 0), dilation: int = 1, **more: Any) -> Settings:
    """Settings of windows on lines."""
    return {"stride": (stride,), "padding": (padding,), "dilation": (dilation,), **more}


#: Shapes of x and settings.
WINDOWS: tuple[Any, ...] = (
    ((2, 1, 4, 4), where((2, 2), window=(2, 2))),
    ((1, 2, 5, 4), where((2, 1), ((1, 1), (0, 1)), window=(3, 2))),
    ((1, 1, 5, 5), where(dilation=(2, 1), window=(2, 3))),
    ((1, 1, 3, 3), where(window=(1, 1))),
    ((2, 2, 6), along_line(2, (1, 2), window=(3,))),
)
