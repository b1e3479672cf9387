"""Layers that slide filters over their input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ops.shapes import pad
from .. import functional as F
from .. import init
from ..function_layer import FunctionLayer
from ..functional.convolution import check_groups, paddings
from ..module import Parameter
from ..windows import whole_numbers

__all__ = ["Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d", "Fold", "Unfold"]

#: PyTorch's names of what is added around the input, and those of `tinygrad_nn.pad`.
_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class _Conv(FunctionLayer):
    """What convolutions of any number of axes share."""

    _axes: int
    _transposed = False

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: npt.DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        name, n = type(self).__name__, self._axes
        (self.in_channels,) = whole_numbers(name, "in_channels", in_channels, 1)
        (self.out_channels,) = whole_numbers(name, "out_channels", out_channels, 1)
        self.kernel_size = whole_numbers(name, "kernel_size", kernel_size, n)
        self.stride = whole_numbers(name, "stride", stride, n)
        self.dilation = whole_numbers(name, "dilation", dilation, n)
        self.padding = padding if isinstance(padding, str) else whole_numbers(name, "padding", padding, n, 0)
        self._pairs = paddings(name, padding, self.kernel_size, self.stride, self.dilation)
        check_groups(name, in_channels, out_channels, groups)
        self.groups = groups
        if padding_mode not in _MODES:
            raise ValueError(f"{name}: padding_mode must be one of {sorted(_MODES)}, not {padding_mode!r}")
        self.padding_mode = padding_mode
        channels = (in_channels, out_channels) if self._transposed else (out_channels, in_channels)
        shape = (channels[0], channels[1] // groups, *self.kernel_size)
        bound = 1 / math.sqrt(init.fans(shape)[0])
        self.weight = init.uniform_(Parameter(np.empty(shape, dtype)), -bound, bound, generator)
        self.bias = init.uniform_(Parameter(np.empty(out_channels, dtype)), -bound, bound, generator) if bias else None

    def forward(self, x: Any) -> Any:
        """The convolution of x."""
        padding: Any = self.padding
        if self.padding_mode != "zeros" and any(map(any, self._pairs)):
            widths = ((0, 0),) * (len(x.shape) - self._axes) + self._pairs
            x, padding = pad(x, widths, _MODES[self.padding_mode]), 0
        return self._function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """The settings, those that are usual left out."""
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        usual = (0,) * self._axes
        parts += [f"padding={self.padding!r}"] if self.padding != usual else []
        parts += [f"dilation={self.dilation}"] if self.dilation != (1,) * self._axes else []
        parts += [f"groups={self.groups}"] if self.groups != 1 else []
        parts += ["bias=False"] if self.bias is None else []
        parts += [f"padding_mode={self.padding_mode!r}"] if self.padding_mode != "zeros" else []
        return ", ".join(parts)


class Conv1d(_Conv, function=F.conv1d):
    """Convolution along one axis, from (batch, in_channels, length) to (batch, out_channels, windows); see `Conv2d`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.Conv1d(3, 8, 5)(tg.zeros((10, 3, 100))).shape
    (10, 8, 96)
    """

    _axes = 1


class Conv2d(_Conv, function=F.conv2d):
    """Filters that slide over pictures; see `nn.functional.conv2d`.

    Parameters
    ----------
    in_channels, out_channels : int
        How many channels come in (1 for grey pictures, 3 for colours), and how many filters there are.
    kernel_size : int or tuple of int
        The window that a filter sees.
    stride, padding, dilation, groups
        See `nn.functional.conv2d`.
    bias : bool
        Whether each filter adds a number of its own.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What is added around the picture: zeros, its mirror image, its edge, or its other side.
    dtype : dtype
        Of the parameters.
    generator : numpy.random.Generator, optional
        For the starting values; the default one (`tinygrad_nn.manual_seed`) unless given.

    Attributes
    ----------
    weight : Parameter
        Shape (out_channels, in_channels/groups, *kernel_size); starts evenly spread over ±1/√fan_in, where fan_in is
        how many inputs a filter sees, in_channels/groups · window.
    bias : Parameter or None
        Shape (out_channels,); starts so too.

    Examples
    --------
    Twenty 5×5 filters with shared weights have 520 parameters, however large the picture is:

    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> layer = nn.Conv2d(1, 20, 5)
    >>> layer(tg.zeros((10, 1, 28, 28))).shape
    (10, 20, 24, 24)
    >>> sum(p.size for p in layer.parameters())
    520
    """

    _axes = 2


class _ConvTranspose(_Conv):
    """What transposed convolutions of any number of axes share."""

    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        dtype: npt.DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        name = type(self).__name__
        if padding_mode != "zeros":
            raise ValueError(f'{name}: padding_mode must be "zeros", not {padding_mode!r}')
        padding = whole_numbers(name, "padding", padding, self._axes, 0)
        extra = whole_numbers(name, "output_padding", output_padding, self._axes, 0)
        settings = (kernel_size, stride, padding, dilation, groups, bias, padding_mode, dtype, generator)
        super().__init__(in_channels, out_channels, *settings)
        self.output_padding = extra

    def forward(self, x: Any, output_size: Any = None) -> Any:
        """The transposed convolution of x, of a given size along each axis if there are several."""
        extra = self._output_padding(x, output_size)
        settings = (self.stride, self.padding, extra, self.groups, self.dilation)
        return self._function(x, self.weight, self.bias, *settings)

    def _output_padding(self, x: Any, output_size: Any) -> Any:
        """What makes the result as large as is asked for."""
        if output_size is None:
            return self.output_padding
        name, n = type(self).__name__, self._axes
        wanted = whole_numbers(name, "output_size", tuple(output_size)[-n:], n)
        padding: Any = self.padding
        least = tuple(
            (m - 1) * s - 2 * p + d * (k - 1) + 1
            for m, s, p, d, k in zip(x.shape[-n:], self.stride, padding, self.dilation, self.kernel_size)
        )
        extra = tuple(w - m for w, m in zip(wanted, least))
        if any(not 0 <= e < s for e, s in zip(extra, self.stride)):
            most = tuple(m + s - 1 for m, s in zip(least, self.stride))
            raise ValueError(f"{name}: output_size must be from {least} to {most} here, not {wanted}")
        return extra

    def extra_repr(self) -> str:
        """The settings, those that are usual left out."""
        text = super().extra_repr()
        usual = self.output_padding == (0,) * self._axes
        return text if usual else f"{text}, output_padding={self.output_padding}"


class ConvTranspose1d(_ConvTranspose, function=F.conv_transpose1d):
    """Transposed convolution along one axis; see `ConvTranspose2d`."""

    _axes = 1


class ConvTranspose2d(_ConvTranspose, function=F.conv_transpose2d):
    """The way back from a small picture to a large one; see `nn.functional.conv_transpose2d`.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, groups, bias, dilation, dtype, generator
        As in `Conv2d`; the settings are those of the convolution that this one transposes.
    output_padding : int or tuple of int
        How much larger the result is.
    padding_mode : {"zeros"}

    Attributes
    ----------
    weight : Parameter
        Shape (in_channels, out_channels/groups, *kernel_size).
    bias : Parameter or None
        Shape (out_channels,).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.ConvTranspose2d(8, 4, 2, stride=2)(tg.zeros((1, 8, 7, 7))).shape
    (1, 4, 14, 14)
    """

    _axes = 2


class Unfold(FunctionLayer, function=F.unfold):
    """The elements of all windows as columns; see `nn.functional.unfold`."""

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride


class Fold(Unfold, function=F.fold):
    """Columns of windows added up where they overlap; see `nn.functional.fold`."""

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size
