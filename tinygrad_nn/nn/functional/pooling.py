"""Pooling as functions, under PyTorch's names."""

from __future__ import annotations

from math import prod
from typing import Any

from ...core.op import Op
from ...ops.elementwise.arithmetic import root
from ...ops.layers import adaptive
from ...ops.layers import pooling as ops
from ...ops.layers.window import Ints, Pairs
from ..windows import Batch, batched, check_fits, plainly, whole_numbers

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "lp_pool1d",
    "lp_pool2d",
    "max_pool1d",
    "max_pool2d",
]


def _settings(
    name: str, n: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Batch, Ints, Ints, Pairs, Pairs, Ints]:
    """The input with a batch axis, window, stride, padding without and with what rounding up adds, and dilation."""
    batch = batched(name, x, n)
    space = tuple(batch.x.shape[2:])
    window = whole_numbers(name, "kernel_size", kernel_size, n)
    stride = window if stride is None else whole_numbers(name, "stride", stride, n)
    padding = whole_numbers(name, "padding", padding, n, 0)
    dilation = whole_numbers(name, "dilation", dilation, n)
    if any(2 * p > k for p, k in zip(padding, window)):
        raise ValueError(
            f"{name}: padding may be at most half the window, else windows would hold padding alone; "
            f"padding={padding} with kernel_size={window}"
        )
    pairs = whole = tuple((p, p) for p in padding)
    if ceil_mode:
        whole = tuple(
            (p, p + _rounded_up(length + 2 * p - d * (k - 1) - 1, s, length + p))
            for length, p, k, s, d in zip(space, padding, window, stride, dilation)
        )
    check_fits(name, space, window, whole, dilation)
    return batch, window, stride, pairs, whole, dilation


def _rounded_up(room: int, stride: int, end: int) -> int:
    """How much more padding a last, partial window needs, if it begins before the padding after the input."""
    if room < 0 or room % stride == 0:
        return 0
    count = room // stride + 1
    return (count * stride - room) if count * stride < end else 0


def _max_pool(n: int, x: Any, return_indices: bool, *windows: Any) -> Any:
    batch, window, stride, _, whole, dilation = _settings(f"max_pool{n}d", n, x, *windows)
    settings = {**plainly(stride, whole, dilation), "window": window}
    if stride == window:
        settings["stride"] = None
    out = batch.restore(ops.max_pool(batch.x, **settings))
    if not return_indices:
        return out
    return out, batch.restore(ops.max_pool_indices(batch.x, **settings))


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window along one axis; see `max_pool2d`."""
    return _max_pool(1, input, return_indices, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window.

    Parameters
    ----------
    input : array_like
        The x, shape (batch, channels, height, width), or without the batch.
    kernel_size : int or tuple of int
        The window.
    stride : int or tuple of int, optional
        How far apart windows are; as long as the window unless given, so that they do not overlap.
    padding : int or tuple of int
        What is added around, and never the largest; at most half the window.
    dilation : int or tuple of int
        How far apart the elements of a window are.
    ceil_mode : bool
        Take also a last window that reaches beyond the end, where it begins inside.
    return_indices : bool
        Return also where each one was, as the number of the element in its plane, counted row by row: the first of
        several.

    Returns
    -------
    Tensor, or a pair of them
        The gradient of each window goes to its largest element, in equal shares if there are several. A window that
        holds NaN gives NaN, and passes no gradient on.

    Raises
    ------
    ValueError
        If the window is larger than the padded input, or the padding than half the window.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.max_pool2d(tg.zeros((10, 20, 24, 24)), 2).shape
    (10, 20, 12, 12)
    """
    return _max_pool(2, input, return_indices, kernel_size, stride, padding, dilation, ceil_mode)


def _check_fractions(name: str, x: Any) -> None:
    if x.dtype.kind not in "fc":
        raise TypeError(
            f"{name}: means are fractions, and the input has dtype {x.dtype}; convert it with astype before"
        )


def _avg_pool(
    name: str, n: int, x: Any, *windows: Any, count_include_pad: bool = True, divisor_override: int | None = None
) -> Any:
    batch, window, stride, pairs, whole, _ = _settings(name, n, x, *windows)
    _check_fractions(name, batch.x)
    if divisor_override is not None:
        (divisor_override,) = whole_numbers(name, "divisor_override", divisor_override, 1)
    out = ops.avg_pool(
        batch.x,
        window=window,
        stride=None if stride == window else stride,
        padding=whole if any(map(any, whole)) else 0,
        counted=pairs if count_include_pad and any(map(any, pairs)) else 0,
        divisor=divisor_override,
    )
    return batch.restore(out)


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window along one axis; see `avg_pool2d`."""
    windows = (kernel_size, stride, padding, 1, ceil_mode)
    return _avg_pool("avg_pool1d", 1, input, *windows, count_include_pad=count_include_pad)


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window.

    Parameters
    ----------
    input : array_like
        The x, shape (batch, channels, height, width), or without the batch.
    kernel_size, stride, padding, ceil_mode
        As in `max_pool2d`, with zeros as padding.
    count_include_pad : bool
        Whether the zeros around the input are counted in the mean. What a window of `ceil_mode` has beyond them is not.
    divisor_override : int, optional
        What sums are divided by, instead of the number of elements.

    Returns
    -------
    Tensor
        The gradient of each window goes to its elements in equal shares.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.avg_pool2d(tg.tensor([[[1.0, 2.0], [3.0, 6.0]]]), 2)
    tensor([[[3.]]])
    """
    windows = (kernel_size, stride, padding, 1, ceil_mode)
    settings: Any = {"count_include_pad": count_include_pad, "divisor_override": divisor_override}
    return _avg_pool("avg_pool2d", 2, input, *windows, **settings)


def _lp_pool(n: int, x: Any, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Any:
    name = f"lp_pool{n}d"
    if isinstance(norm_type, bool) or not isinstance(norm_type, int | float) or not 0 < norm_type < float("inf"):
        raise ValueError(
            f"{name}: norm_type must be a positive number, not {norm_type!r}; for infinity use max pooling"
        )
    window = whole_numbers(name, "kernel_size", kernel_size, n)
    means = _avg_pool(name, n, x**norm_type, window, stride, 0, 1, ceil_mode)
    return root(means * prod(window), p=float(norm_type))


def lp_pool1d(input: Any, norm_type: float, kernel_size: int, stride: Any = None, ceil_mode: bool = False) -> Any:
    """The norm (Σ xᵖ)^(1/p) of each window along one axis; see `lp_pool2d`."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """The norm (Σ xᵖ)^(1/p) of each window: for p = 2 the root of the sum of squares.

    Parameters
    ----------
    input : array_like
        The x, shape (batch, channels, height, width), or without the batch.
    norm_type : float
        The p. Powers are of x itself, not of |x|, as in PyTorch: where their sum is negative the result is NaN.
    kernel_size, stride, ceil_mode
        As in `max_pool2d`; the sum of a window that reaches beyond the end is scaled up to a whole one's.

    Returns
    -------
    Tensor
        ∂out/∂x = (x/out)ᵖ⁻¹, and 0 in a window whose sum is 0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.lp_pool2d(tg.tensor([[[3.0, 0.0], [0.0, 4.0]]]), 2, 2)
    tensor([[[5.]]])
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


# --- a given number of windows ---------------------------------------------------------------------------------------


def _counts(name: str, n: int, x: Any, output_size: Any) -> tuple[Batch, Ints]:
    """The input with a batch axis, and how many windows are asked for; None keeps a length."""
    batch = batched(name, x, n)
    space = tuple(batch.x.shape[2:])
    counts = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size,) * n
    if len(counts) == n:
        counts = tuple(length if m is None else m for m, length in zip(counts, space))
    counts = whole_numbers(name, "output_size", counts, n)
    if not all(space):
        raise ValueError(f"{name}: there is nothing to pool in an input of shape {tuple(batch.x.shape)}")
    return batch, counts


def _adaptive_pool(batch: Batch, counts: Ints, even: Op, uneven: Op) -> Any:
    """Pooling over so many windows: by `even` if all have one length."""
    space = batch.x.shape[2:]
    if any(length % m for length, m in zip(space, counts)):
        return batch.restore(uneven(batch.x, counts=counts))
    return batch.restore(even(batch.x, window=tuple(length // m for length, m in zip(space, counts))))


def _adaptive_avg_pool(n: int, x: Any, output_size: Any) -> Any:
    name = f"adaptive_avg_pool{n}d"
    batch, counts = _counts(name, n, x, output_size)
    _check_fractions(name, batch.x)
    return _adaptive_pool(batch, counts, ops.avg_pool, adaptive.adaptive_avg_pool)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """The mean of each of `output_size` windows along one axis; see `adaptive_avg_pool2d`."""
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The mean of each of so many windows, whatever the size of the input.

    Parameters
    ----------
    input : array_like
        The x, shape (batch, channels, height, width), or without the batch.
    output_size : int or tuple
        How many windows; None for as many as there are elements. The i-th of m windows on n elements goes from
        ⌊i·n/m⌋ to ⌈(i + 1)·n/m⌉.

    Returns
    -------
    Tensor
        Shape (batch, channels, *output_size). Each window's gradient goes to its elements in equal shares.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.adaptive_avg_pool2d(tg.zeros((1, 8, 10, 9)), (5, 7)).shape
    (1, 8, 5, 7)
    """
    return _adaptive_avg_pool(2, input, output_size)


def _adaptive_max_pool(n: int, x: Any, output_size: Any, return_indices: bool) -> Any:
    batch, counts = _counts(f"adaptive_max_pool{n}d", n, x, output_size)
    out = _adaptive_pool(batch, counts, ops.max_pool, adaptive.adaptive_max_pool)
    if not return_indices:
        return out
    return out, batch.restore(adaptive.adaptive_max_pool_indices(batch.x, counts=counts))


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element of each of `output_size` windows along one axis; see `adaptive_max_pool2d`."""
    return _adaptive_max_pool(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element of each of so many windows; windows as in `adaptive_avg_pool2d`, the rest as in `max_pool2d`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.adaptive_max_pool2d(tg.zeros((1, 8, 10, 9)), 5).shape
    (1, 8, 5, 5)
    """
    return _adaptive_max_pool(2, input, output_size, return_indices)
