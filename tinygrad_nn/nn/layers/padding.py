"""Padding as layers. What each computes is said at `nn.functional.pad`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ZeroPad1d",
    "ZeroPad2d",
]


class _Pad(Module):
    """Elements added at the ends of the last axes."""

    _axes = 1
    _mode = "constant"

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__()
        count = 2 * self._axes
        self.padding = (padding,) * count if isinstance(padding, int | np.integer) else tuple(padding)
        if len(self.padding) != count:
            raise ValueError(f"{type(self).__name__}: padding must be a number or {count} of them, not {padding!r}")
        self.value = 0.0

    def forward(self, input: Any) -> Any:
        """The padded input."""
        return F.pad(input, self.padding, self._mode, self.value)

    def extra_repr(self) -> str:
        """The settings."""
        return str(self.padding)


class ConstantPad1d(_Pad):
    """`value` before and after the last axis.

    Parameters
    ----------
    padding : int or tuple of int
        (left, right), or one number for both.
    value : float
    """

    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """The settings."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad2d(ConstantPad1d):
    """`value` around the last two axes.

    Parameters
    ----------
    padding : int or tuple of int
        (left, right, top, bottom), or one number for all.
    value : float
    """

    _axes = 2


class ZeroPad1d(_Pad):
    """Zeros before and after the last axis; `padding` as in `ConstantPad1d`."""


class ZeroPad2d(_Pad):
    """Zeros around the last two axes; `padding` as in `ConstantPad2d`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.ZeroPad2d(2)(tg.ones((1, 3, 4, 4))).shape
    (1, 3, 8, 8)
    """

    _axes = 2


class ReflectionPad1d(_Pad):
    """The last axis mirrored at its first and last element."""

    _mode = "reflect"


class ReflectionPad2d(ReflectionPad1d):
    """The last two axes mirrored at their first and last elements."""

    _axes = 2


class ReplicationPad1d(_Pad):
    """The first and last element of the last axis repeated."""

    _mode = "replicate"


class ReplicationPad2d(ReplicationPad1d):
    """The first and last elements of the last two axes repeated."""

    _axes = 2


class CircularPad1d(_Pad):
    """The last axis as if its ends met."""

    _mode = "circular"


class CircularPad2d(CircularPad1d):
    """The last two axes as if their ends met."""

    _axes = 2
