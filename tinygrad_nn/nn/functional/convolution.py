"""Convolutions and windows as functions, under PyTorch's names."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...ops.layers import convolution as ops
from ...ops.layers.window import Ints, Pairs, extent, window_counts
from ...ops.shapes import pad, reshape
from ..windows import batched, check_fits, plainly, whole_numbers

__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "fold", "unfold"]


def paddings(name: str, padding: Any, window: Ints, stride: Ints, dilation: Ints) -> Pairs:
    """How much is added before and after each axis; for ``"same"`` the odd one comes after."""
    n = len(window)
    if padding == "valid":
        return ((0, 0),) * n
    if padding == "same":
        if any(s != 1 for s in stride):
            raise ValueError(f'{name}: padding="same" is for stride 1, not {stride}; give the padding as numbers')
        total = [extent(k, d) - 1 for k, d in zip(window, dilation)]
        return tuple((t // 2, t - t // 2) for t in total)
    if isinstance(padding, str):
        raise ValueError(f'{name}: padding must be "valid", "same" or numbers, not {padding!r}')
    return tuple((p, p) for p in whole_numbers(name, "padding", padding, n, 0))


def check_groups(name: str, channels: int, filters: int, groups: Any) -> None:
    """Refuse groups that do not divide the channels."""
    whole_numbers(name, "groups", groups, 1)
    if channels % groups or filters % groups:
        raise ValueError(
            f"{name}: groups must divide the channels of the input and of the output, "
            f"but groups={groups} with {channels} and {filters}"
        )


def _weight(name: str, weight: Any, n: int, layout: str) -> Any:
    """The weight as an array or a Tensor, with as many axes as it must have."""
    if not hasattr(weight, "shape"):
        weight = np.asarray(weight)
    if len(weight.shape) != n + 2:
        raise ValueError(f"{name}: weight must have {n + 2} axes {layout}; it has shape {tuple(weight.shape)}")
    return weight


def _bias(name: str, bias: Any, filters: int) -> Any:
    """The bias as an array or a Tensor, with a number for each filter; or None."""
    if bias is not None and not hasattr(bias, "shape"):
        bias = np.asarray(bias)
    if bias is not None and tuple(bias.shape) != (filters,):
        raise ValueError(f"{name}: bias must have shape ({filters},), one for each filter; it has {tuple(bias.shape)}")
    return bias


def _conv(n: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    name = f"conv{n}d"
    batch = batched(name, x, n)
    x = batch.x
    weight = _weight(name, weight, n, "(filters, channels/groups, *window)")
    filters, window = weight.shape[0], tuple(weight.shape[2:])
    stride = whole_numbers(name, "stride", stride, n)
    dilation = whole_numbers(name, "dilation", dilation, n)
    pairs = paddings(name, padding, window, stride, dilation)
    channels = x.shape[1]
    check_groups(name, channels, filters, groups)
    if channels != weight.shape[1] * groups:
        raise ValueError(
            f"{name}: the input has {channels} channels, but a weight of shape {tuple(weight.shape)} with "
            f"groups={groups} takes {weight.shape[1] * groups}; its shape is {tuple(x.shape)}, (batch, channels, ...)"
        )
    bias = _bias(name, bias, filters)
    check_fits(name, tuple(x.shape[2:]), window, pairs, dilation)
    settings = {**plainly(stride, pairs, dilation), "groups": groups}
    out = ops.conv_map(x, weight, **settings) if bias is None else ops.conv(x, weight, bias, **settings)
    return batch.restore(out)


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolution along one axis; see `conv2d`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> x = tg.tensor([[[1.0, 2.0, 4.0, 8.0]]])
    >>> nn.functional.conv1d(x, tg.tensor([[[-1.0, 1.0]]]))
    tensor([[[1., 2., 4.]]])
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolution of pictures: each filter slides over the picture, and at each place sums what it covers, weighted.

    out[b, f, i, j] = bias[f] + Σ x[b, c, i·stride + u·dilation − padding, j·… + v·…] · weight[f, c, u, v], over the
    channels c and the places u, v in the window. As in all of deep learning the filters are not flipped.

    Parameters
    ----------
    input : array_like
        The x, shape (batch, channels, height, width), or without the batch.
    weight : array_like
        Shape (filters, channels/groups, window height, window width).
    bias : array_like, optional
        Shape (filters,).
    stride : int or tuple of int
        How far apart windows are.
    padding : int, tuple of int, "valid" or "same"
        Zeros around the picture: none for ``"valid"``, as many as keep its size for ``"same"`` (at stride 1; an odd one
        comes after).
    dilation : int or tuple of int
        How far apart the places in a window are.
    groups : int
        Channels and filters are divided into as many groups, and each filter sees those of its own group alone.

    Returns
    -------
    Tensor
        Shape (batch, filters, ⌊(height + 2·padding − dilation·(window − 1) − 1)/stride⌋ + 1, the same for the width).
        The gradient of x is the transposed convolution of g with the weight, that of the weight the convolution of x
        with g, summed over the batch, and that of the bias g, summed over batch and places.

    Raises
    ------
    ValueError
        If channels, groups or window do not fit.

    Notes
    -----
    LeCun et al., 1989, "Backpropagation applied to handwritten zip code recognition".

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.conv2d(tg.zeros((10, 1, 28, 28)), tg.zeros((20, 1, 5, 5))).shape
    (10, 20, 24, 24)
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(
    n: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    name = f"conv_transpose{n}d"
    batch = batched(name, x, n)
    x = batch.x
    weight = _weight(name, weight, n, "(channels, filters/groups, *window)")
    window = tuple(weight.shape[2:])
    stride = whole_numbers(name, "stride", stride, n)
    dilation = whole_numbers(name, "dilation", dilation, n)
    padding = whole_numbers(name, "padding", padding, n, 0)
    extra = whole_numbers(name, "output_padding", output_padding, n, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
        raise ValueError(
            f"{name}: output_padding must be smaller than stride or dilation, but output_padding={extra} with "
            f"stride={stride} and dilation={dilation}"
        )
    check_groups(name, x.shape[1], weight.shape[1] * groups, groups)
    if x.shape[1] != weight.shape[0]:
        raise ValueError(
            f"{name}: the input has {x.shape[1]} channels, but a weight of shape {tuple(weight.shape)} takes "
            f"{weight.shape[0]}; the input has shape {tuple(x.shape)}, (batch, channels, ...)"
        )
    filters = weight.shape[1] * groups
    bias = _bias(name, bias, filters)
    whole = tuple((m - 1) * s + extent(k, d) for m, s, k, d in zip(x.shape[2:], stride, window, dilation))
    if any(length - 2 * p + e < 1 for length, p, e in zip(whole, padding, extra)):
        raise ValueError(
            f"{name}: an input of {tuple(x.shape[2:])} with windows of {window} reaches over {whole}, of which "
            f"padding={padding} on both sides leaves nothing; take less padding"
        )
    # What `output_padding` adds is less padding at the end first; beyond that no window reaches.
    pairs = tuple((p, max(p - e, 0)) for p, e in zip(padding, extra))
    space = tuple(length - a - b for length, (a, b) in zip(whole, pairs))
    out = ops.conv_transpose(x, weight, space=space, **plainly(stride, pairs, dilation), groups=groups)
    beyond = tuple((0, max(e - p, 0)) for p, e in zip(padding, extra))
    if any(map(any, beyond)):
        out = pad(out, ((0, 0), (0, 0), *beyond))
    if bias is not None:
        out = out + reshape(bias, shape=(filters, *(1,) * n))
    return batch.restore(out)


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution along one axis; see `conv_transpose2d`."""
    return _conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution: each element of x puts down the filter, weighted, and where they overlap they add up.

    It is the derivative of `conv2d` in its input, with the same settings, and so its way from small to large.

    Parameters
    ----------
    input : array_like
        The x, shape (batch, channels, height, width), or without the batch.
    weight : array_like
        Shape (channels, filters/groups, window height, window width).
    bias : array_like, optional
        Shape (filters,).
    stride, padding, dilation, groups
        Those of the convolution that this one transposes.
    output_padding : int or tuple of int
        How much larger the result is: with a stride, convolutions of several sizes have the same result.

    Returns
    -------
    Tensor
        Shape (batch, filters, (height − 1)·stride − 2·padding + dilation·(window − 1) + output_padding + 1, …).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.conv_transpose2d(tg.zeros((1, 8, 7, 7)), tg.zeros((8, 4, 2, 2)), stride=2).shape
    (1, 4, 14, 14)
    """
    return _conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def _windows(
    name: str, space: Ints, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[Ints, Ints, Pairs, Ints]:
    """Window, stride, padding and dilation, once they are known to fit into a space."""
    window = whole_numbers(name, "kernel_size", kernel_size, 2)
    stride = whole_numbers(name, "stride", stride, 2)
    dilation = whole_numbers(name, "dilation", dilation, 2)
    pairs = tuple((p, p) for p in whole_numbers(name, "padding", padding, 2, 0))
    check_fits(name, space, window, pairs, dilation)
    return window, stride, pairs, dilation


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The elements of all windows as columns.

    From (batch, channels, height, width) to (batch, channels·window, windows).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.unfold(tg.zeros((10, 1, 28, 28)), 5).shape
    (10, 25, 576)
    """
    batch = batched("unfold", input, 2)
    space = tuple(batch.x.shape[2:])
    window, stride, pairs, dilation = _windows("unfold", space, kernel_size, dilation, padding, stride)
    patches = ops.unfold(batch.x, window=window, **plainly(stride, pairs, dilation))
    size, channels = patches.shape[:2]
    columns = reshape(patches, shape=(size, channels * prod(window), prod(patches.shape[4:])))
    return batch.restore(columns)


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Columns of windows added up where they overlap: the adjoint of `unfold`.

    From (batch, channels·window, windows) to (batch, channels, *output_size).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.fold(tg.ones((1, 4, 4)), (3, 3), 2)
    tensor([[[[1., 2., 1.],
              [2., 4., 2.],
              [1., 2., 1.]]]])
    """
    if not hasattr(input, "shape") or len(input.shape) not in (2, 3):
        raise ValueError(
            f"fold: the input must have 3 axes (batch, channels·window, windows), or 2 without the batch; "
            f"it has shape {getattr(input, 'shape', type(input))}"
        )
    space = whole_numbers("fold", "output_size", output_size, 2)
    window, stride, pairs, dilation = _windows("fold", space, kernel_size, dilation, padding, stride)
    counts = window_counts(space, window, stride, pairs, dilation)
    rows, columns = input.shape[-2:]
    if rows % prod(window) or columns != prod(counts):
        raise ValueError(
            f"fold: an output of {space} has {counts} windows of {window}, so the input must have shape "
            f"(…, channels·{prod(window)}, {prod(counts)}); it has {tuple(input.shape)}"
        )
    size = input.shape[0] if len(input.shape) == 3 else 1
    y = reshape(input, shape=(size, rows // prod(window), *window, *counts))
    out = ops.fold(y, space=space, window=window, **plainly(stride, pairs, dilation))
    return out if len(input.shape) == 3 else reshape(out, shape=out.shape[1:])
