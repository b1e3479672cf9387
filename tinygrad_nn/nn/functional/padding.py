"""Padding of the last axes: `pad` of `nn.functional`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops.shapes import repeating
from ..checks import as_operand

__all__ = ["pad"]

#: PyTorch's modes under NumPy's names.
MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """The input with elements added at the ends of its last axes.

    Parameters
    ----------
    input : array_like
    pad : sequence of int
        How many before and after the last axis, then the last but one, and so on: (left, right, top, bottom) for
        pictures. Negative numbers take elements away, with ``mode="constant"``.
    mode : {"constant", "reflect", "replicate", "circular"}
        What is added: `value`, or elements of the input mirrored at the end, repeated from the end, or from the other
        end; these get their share of the gradient.
    value : float, optional
        0 unless given.

    Raises
    ------
    ValueError
        If the numbers are not pairs, or an axis is too short for what is asked for.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.pad(tg.tensor([[1.0, 2.0]]), (1, 0, 0, 1))
    tensor([[0., 1., 2.],
            [0., 0., 0.]])
    """
    x = as_operand(input)
    if mode not in MODES:
        raise ValueError(f"pad: mode must be one of {', '.join(map(repr, MODES))}, not {mode!r}")
    if value and mode != "constant":
        raise ValueError(f"pad: value={value} belongs to mode='constant', not {mode!r}")
    widths = tuple(pad)
    known = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in widths)
    if not known or len(widths) % 2 or len(widths) > 2 * x.ndim:
        raise ValueError(f"pad: give a pair of whole numbers for each of the last axes of {x.shape}, not {pad!r}")
    pairs = [(0, 0)] * (x.ndim - len(widths) // 2) + list(zip(widths[::2], widths[1::2]))[::-1]
    for length, pair in zip(x.shape, pairs):
        _check_room(mode, length, pair)
    if any(n < 0 for n in widths):
        x = x[tuple(slice(max(-a, 0), length - max(-b, 0)) for length, (a, b) in zip(x.shape, pairs))]
        pairs = [(max(a, 0), max(b, 0)) for a, b in pairs]
    return repeating.pad(x, pairs, MODES[mode], value or 0)


def _check_room(mode: str, length: int, pair: tuple[int, int]) -> None:
    """Refuse what an axis of this length has no elements for."""
    if mode == "constant":
        if length + min(pair[0], 0) + min(pair[1], 0) < 0:
            raise ValueError(f"pad: {pair} takes away more than the axis has, {length}")
        return
    most = {"reflect": length - 1, "circular": length, "replicate": max(pair) if length else 0}[mode]
    if min(pair) < 0 or max(pair) > most:
        raise ValueError(
            f"pad: mode={mode!r} can add from 0 to {most} elements at an end of length {length}, not {pair}"
        )
