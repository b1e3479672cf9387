"""Layers that take one number of each window of their input."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..function_layer import FunctionLayer

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "LPPool1d",
    "LPPool2d",
    "MaxPool1d",
    "MaxPool2d",
]


class _MaxPool(FunctionLayer):
    """What max pooling of any number of axes shares."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode


class MaxPool1d(_MaxPool, function=F.max_pool1d):
    """The largest element of each window along one axis; see `nn.functional.max_pool2d`."""


class MaxPool2d(_MaxPool, function=F.max_pool2d):
    """The largest element of each window; see `nn.functional.max_pool2d`.

    Parameters
    ----------
    kernel_size, stride, padding, dilation, return_indices, ceil_mode
        See `nn.functional.max_pool2d`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.MaxPool2d(2)(tg.zeros((10, 20, 24, 24))).shape
    (10, 20, 12, 12)
    """


class AvgPool1d(FunctionLayer, function=F.avg_pool1d):
    """The mean of each window along one axis; see `nn.functional.avg_pool2d`."""

    _unshown = ("ceil_mode", "count_include_pad", "divisor_override")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad


class AvgPool2d(AvgPool1d, function=F.avg_pool2d):
    """The mean of each window; see `nn.functional.avg_pool2d`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.AvgPool2d(2)(tg.zeros((10, 20, 24, 24))).shape
    (10, 20, 12, 12)
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override


class LPPool1d(FunctionLayer, function=F.lp_pool1d):
    """The norm of each window along one axis; see `nn.functional.lp_pool2d`."""

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode


class LPPool2d(LPPool1d, function=F.lp_pool2d):
    """The norm of each window, for `norm_type` 2 the root of the sum of squares; see `nn.functional.lp_pool2d`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.LPPool2d(2, 2)(tg.zeros((10, 20, 24, 24))).shape
    (10, 20, 12, 12)
    """


class AdaptiveAvgPool1d(FunctionLayer, function=F.adaptive_avg_pool1d):
    """The mean of each of `output_size` windows along one axis; see `nn.functional.adaptive_avg_pool2d`."""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size


class AdaptiveAvgPool2d(AdaptiveAvgPool1d, function=F.adaptive_avg_pool2d):
    """The mean of each of so many windows, whatever the size of the input; see `nn.functional.adaptive_avg_pool2d`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.AdaptiveAvgPool2d((5, None))(tg.zeros((1, 8, 10, 9))).shape
    (1, 8, 5, 9)
    """


class AdaptiveMaxPool1d(AdaptiveAvgPool1d, function=F.adaptive_max_pool1d):
    """The largest element of each of `output_size` windows along one axis; see `nn.functional.adaptive_max_pool2d`."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool2d(AdaptiveMaxPool1d, function=F.adaptive_max_pool2d):
    """The largest element of each of so many windows; see `nn.functional.adaptive_max_pool2d`."""
