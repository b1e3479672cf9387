"""The normalizations of `nn.functional`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.modes import no_grad
from ...ops.elementwise import sqrt
from ...ops.layers.normalization import normalize as _normalize
from ...ops.reductions import mean
from ...ops.shapes import astype, reshape, shape_of
from ...tensor.tensor import Tensor
from ..checks import as_operand, is_recorded

__all__ = ["batch_norm", "group_norm", "layer_norm", "rms_norm"]

Shape = tuple[int, ...]


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each channel freed of its mean and variance: weight·(x − mean)/√(var + eps) + bias.

    Parameters
    ----------
    input : array_like
        Shape (N, C) or (N, C, …), with the channels on the second axis.
    running_mean, running_var : Tensor or array, shape (C,), or None
        In evaluation the mean and the variance. In training those of the batch are mixed in, in place:
        running = (1 − momentum)·running + momentum·batch, where the batch's variance has the divisor n − 1.
    weight, bias : array_like, shape (C,), optional
    training : bool
        Take the mean and the variance (with divisor n) of the batch.
    momentum : float
        Weight of the batch in the running values.
    eps : float
        Added to the variance.

    Returns
    -------
    Tensor
        Of the shape of `input`. In training the gradient goes through mean and variance: with x̂ the normalized x,
        r = 1/√(var + eps) and h = g·weight, ∂L/∂x = r·(h − mean(h) − x̂·mean(h·x̂)); in evaluation ∂L/∂x = r·h.

    Raises
    ------
    ValueError
        If a shape does not fit, or a channel has fewer than two values in training.

    Notes
    -----
    Ioffe and Szegedy, 2015, "Batch normalization".

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.batch_norm(tg.tensor([[1.0], [3.0]]), None, None, training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]])
    """
    x = _numbers("batch_norm", input, 2)
    channels = x.shape[1]
    vectors = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    _check_vectors("batch_norm", x.shape, **vectors)
    for running in (running_mean, running_var):
        if training and not (running is None or isinstance(running, Tensor | np.ndarray)):
            raise TypeError(
                f"batch_norm: running values are written to: Tensors or arrays, not {type(running).__name__}"
            )
    scale, shift = _per_channel(weight, x.ndim), _per_channel(bias, x.ndim)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: outside of training, running_mean and running_var are needed")
        factor = (1 if scale is None else scale) / sqrt(_per_channel(running_var, x.ndim) + eps)
        out = (x - _per_channel(running_mean, x.ndim)) * factor  # the difference first: it keeps the digits of large x
        return out if shift is None else out + shift
    count = x.size // channels if channels else 0
    if not count:  # an empty batch says nothing of any channel
        out = x if scale is None else x * scale
        return out * 1 if shift is None else out + shift
    if count < 2:
        raise ValueError(
            f"batch_norm: in training each channel needs more than one value, and shape {x.shape} gives {count}: "
            "take a larger batch, or call eval() to use the running values"
        )
    out, average, variance = normalized(x, scale, shift, (0, *range(2, x.ndim)), eps)
    with no_grad():
        _mix(running_mean, average, momentum)
        _mix(running_var, variance * (count / (count - 1)), momentum)
    return out


def _mix(running: Any, batch: Any, momentum: Any) -> None:
    """Move running values towards those of a batch, in place."""
    if running is None:
        return
    if isinstance(batch, Tensor):
        batch = batch.numpy() if isinstance(running, np.ndarray) else batch.detach()
    running *= 1 - momentum
    running += astype(batch.reshape(running.shape) * momentum, running.dtype)


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Each sample freed of the mean and variance over its last axes: weight·(x − mean)/√(var + eps) + bias.

    Parameters
    ----------
    input : array_like
        Shape (…, *normalized_shape).
    normalized_shape : int or tuple of int
        The axes that mean and variance are taken over.
    weight, bias : array_like, optional
        Shape `normalized_shape`.
    eps : float
        Added to the variance, which has the divisor n.

    Returns
    -------
    Tensor
        Of the shape of `input`. With x̂ the normalized x, r = 1/√(var + eps) and h = g·weight:
        ∂L/∂x = r·(h − mean(h) − x̂·mean(h·x̂)), ∂L/∂weight = Σ g·x̂, ∂L/∂bias = Σ g.

    Notes
    -----
    Ba, Kiros and Hinton, 2016, "Layer normalization".

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.layer_norm(tg.tensor([[1.0, 3.0], [10.0, 30.0]]), (2,), eps=0.0)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    x, axes = _last_axes("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    return normalized(x, weight, bias, axes, eps)[0]


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """Each sample divided by its root mean square over the last axes: weight·x/√(mean(x²) + eps).

    Parameters
    ----------
    input : array_like
        Shape (…, *normalized_shape).
    normalized_shape : int or tuple of int
    weight : array_like, optional
        Shape `normalized_shape`.
    eps : float, optional
        The distance from 1 to the next number of the dtype unless given.

    Returns
    -------
    Tensor
        Of the shape of `input`. With r = 1/√(mean(x²) + eps) and h = g·weight: ∂L/∂x = r·(h − r²·x·mean(h·x)),
        ∂L/∂weight = Σ g·r·x.

    Notes
    -----
    Zhang and Sennrich, 2019, "Root mean square layer normalization".

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.rms_norm(tg.tensor([3.0, -3.0]), (2,))
    tensor([ 1., -1.])
    """
    x, axes = _last_axes("rms_norm", input, normalized_shape, weight=weight)
    if eps is None:
        eps = float(np.finfo(x.dtype).eps)
    wide = astype(x, np.float32) if x.dtype == np.float16 else x
    out = wide / sqrt(mean(wide * wide, axis=axes, keepdims=True) + eps)
    out = astype(out, x.dtype)
    return out if weight is None else out * weight


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Each sample's channels in groups, each group freed of its mean and variance, then scaled by channel.

    Parameters
    ----------
    input : array_like
        Shape (N, C) or (N, C, …).
    num_groups : int
        Divides C. 1 normalizes over all channels together, C each by itself.
    weight, bias : array_like, shape (C,), optional
    eps : float
        Added to the variance, which has the divisor n.

    Returns
    -------
    Tensor
        Of the shape of `input`. The derivatives are those of `layer_norm`, with the means over a group.

    Notes
    -----
    Wu and He, 2018, "Group normalization".

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.group_norm(tg.tensor([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0)
    tensor([[-1.,  1., -1.,  1.]])
    """
    x = _numbers("group_norm", input, 2)
    channels = x.shape[1]
    if not isinstance(num_groups, int | np.integer) or num_groups < 1 or channels % num_groups:
        raise ValueError(f"group_norm: num_groups={num_groups!r} does not divide the {channels} channels of {x.shape}")
    _check_vectors("group_norm", x.shape, weight=weight, bias=bias)
    size = math.prod(x.shape[2:]) * (channels // num_groups)
    grouped = reshape(x, shape=(x.shape[0], num_groups, size))
    out = reshape(normalized(grouped, None, None, (2,), eps)[0], shape=x.shape)
    out = out if weight is None else out * _per_channel(weight, x.ndim)
    return out if bias is None else out + _per_channel(bias, x.ndim)


def normalized(x: Any, scale: Any, shift: Any, axis: Shape, eps: float) -> tuple[Any, Any, Any]:
    """The normalized x, its mean and its variance; float16 is computed in float32, as its sums would overflow."""
    if x.dtype == np.float16:
        out, average, variance = normalized(astype(x, np.float32), scale, shift, axis, eps)
        return astype(out, np.float16), average, variance
    trailing = tuple(range(x.ndim - len(axis), x.ndim))
    if is_recorded(x) and tuple(i % x.ndim for i in axis) == trailing:
        return _composed(x, scale, shift, axis, eps)
    scale, shift = 1.0 if scale is None else scale, 0.0 if shift is None else shift
    return _normalize(x, scale, shift, axis=axis, eps=eps)  # type: ignore[no-any-return]


def _composed(x: Any, scale: Any, shift: Any, axis: Shape, eps: float) -> tuple[Any, Any, Any]:
    """The same of simple operations, which a compiled function fuses and makes in place.

    Along rows NumPy's sums are exact enough that nothing is left of the mean; down columns the op's care is needed.
    """
    average = mean(x, axis=axis, keepdims=True)
    distance = x - average
    variance = mean(distance * distance, axis=axis, keepdims=True)
    out = distance / sqrt(variance + eps)
    out = out if scale is None else out * scale
    return out if shift is None else out + shift, average, variance


# --- what is checked -------------------------------------------------------------------------------------------------


def as_shape(name: str, normalized_shape: Any) -> Shape:
    """The lengths of the last axes, of which there is at least one."""
    lengths = (normalized_shape,) if isinstance(normalized_shape, int | np.integer) else tuple(normalized_shape)
    if not lengths or any(not isinstance(n, int | np.integer) or n < 1 for n in lengths):
        raise ValueError(f"{name}: normalized_shape must be lengths of at least 1, not {normalized_shape!r}")
    return tuple(int(n) for n in lengths)


def _numbers(name: str, x: Any, least: int) -> Any:
    """The input as floating-point numbers, once it is known to have enough axes."""
    x = as_operand(x)
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: the input must be floating-point numbers, not {x.dtype}; convert it with astype")
    if x.ndim < least:
        form = "(N, C) or (N, C, …)" if least > 1 else "(…, *normalized_shape)"
        raise ValueError(f"{name}: the input must have shape {form}, not {x.shape}")
    return x


def _check_vectors(name: str, shape: Shape, **vectors: Any) -> None:
    for key, value in vectors.items():
        if value is not None and shape_of(value) != shape[1:2]:
            raise ValueError(
                f"{name}: {key} must have shape {shape[1:2]}, one for each channel of the input's {shape}; "
                f"it has {shape_of(value)}"
            )


def _last_axes(name: str, x: Any, normalized_shape: Any, **parameters: Any) -> tuple[Any, Shape]:
    """The input, and its axes of the given lengths, once input and parameters are known to fit."""
    shape = as_shape(name, normalized_shape)
    x = _numbers(name, x, 1)
    if x.shape[-len(shape) :] != shape:
        raise ValueError(f"{name}: the last axes of the input must be {shape}; the input has shape {x.shape}")
    for key, value in parameters.items():
        if value is not None and shape_of(value) != shape:
            raise ValueError(f"{name}: {key} must have shape {shape}, as normalized_shape; it has {shape_of(value)}")
    return x, tuple(range(-len(shape), 0))


def _per_channel(vector: Any, ndim: int) -> Any:
    """A vector of shape (C,) against the second of `ndim` axes."""
    if vector is None:
        return None
    vector = as_operand(vector)
    if ndim == 2:
        return vector
    return reshape(vector, shape=(-1, *(1,) * (ndim - 2)))
