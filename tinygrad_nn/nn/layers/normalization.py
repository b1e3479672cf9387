"""Layers that free their input of its mean and variance. What each computes is said at its function."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.modes import no_grad
from ...ops.shapes import astype, shape_of
from ...tensor.tensor import Tensor
from .. import functional as F
from ..checks import check_sizes
from ..functional.normalization import as_shape
from ..module import Module, Parameter

__all__ = ["BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm", "RMSNorm"]


class _Scaled(Module):
    """A layer with a weight of ones, and maybe a bias of zeros."""

    weight: Parameter | None
    bias: Parameter | None

    def _make_parameters(self, shape: tuple[int, ...], dtype: npt.DTypeLike, weight: bool, bias: bool) -> None:
        self.weight = Parameter(np.ones(shape, dtype)) if weight else None
        self.bias = Parameter(np.zeros(shape, dtype)) if bias else None

    def _without_bias(self, affine: bool) -> str:
        """What `repr` adds where there is a weight alone."""
        return ", bias=False" if affine and self.bias is None else ""


class _BatchNorm(_Scaled):
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    _axes: tuple[int, ...] = ()
    _form = ""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: npt.DTypeLike = np.float32,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_sizes(name, num_features=num_features)
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(f"{name}: momentum must be in [0, 1], or None for the plain average, not {momentum!r}")
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self._make_parameters((num_features,), dtype, affine, affine and bias)
        self.register_buffer("running_mean", np.zeros(num_features, dtype) if track_running_stats else None)
        self.register_buffer("running_var", np.ones(num_features, dtype) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", np.int64(0) if track_running_stats else None)

    def forward(self, x: Any) -> Any:
        """The normalized input; in training the running values move."""
        shape = shape_of(x)
        if len(shape) not in self._axes or shape[1] != self.num_features:
            name = type(self).__name__
            raise ValueError(f"{name}: the input must be {self._form} with C = {self.num_features}, not {shape}")
        count = self.num_batches_tracked if self.training else None
        momentum: Any = self.momentum
        if momentum is None:
            momentum = 0.0 if count is None else 1 / (astype(count, np.float32) + 1)
        out = F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum,
            self.eps,
        )
        if count is not None:
            with no_grad():
                count += 1
        return out

    def reset_running_stats(self) -> None:
        """Forget the batches: mean 0, variance 1, none counted."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            with no_grad():
                self.running_mean[...] = 0.0
                self.running_var[...] = 1.0
                self.num_batches_tracked[...] = 0

    def extra_repr(self) -> str:
        """The settings."""
        bias = self._without_bias(self.affine)
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}{bias}"
        )


class BatchNorm1d(_BatchNorm):
    """Each feature freed of the mean and variance of its batch; see `nn.functional.batch_norm`.

    Parameters
    ----------
    num_features : int
        C, of inputs of shape (N, C) or (N, C, L).
    eps : float
        Added to the variance.
    momentum : float or None
        Weight of a batch in the running mean and variance; None for the plain average of all batches.
    affine : bool
        Whether a weight and a bias are learned.
    track_running_stats : bool
        Whether there are running values; without, evaluation takes those of its batch too.
    dtype : dtype
        Of the parameters and running values.
    bias : bool
        Whether there is a bias beside the weight.

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape (C,); start at 1 and 0.
    running_mean, running_var : Tensor or None
        Shape (C,); start at 0 and 1. What evaluation normalizes with; training moves them, compiled steps too.
    num_batches_tracked : Tensor or None
        How many batches training has seen, an int64.

    Notes
    -----
    Ioffe and Szegedy, 2015, "Batch normalization". In training each channel needs more than one value.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> layer = nn.BatchNorm1d(1, momentum=None)
    >>> layer(tg.tensor([[1.0], [3.0]])).shape
    (2, 1)
    >>> layer.running_mean, layer.running_var
    (tensor([2.], dtype=float32), tensor([2.], dtype=float32))
    >>> list(layer.state_dict())
    ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """

    _axes = (2, 3)
    _form = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Each channel of pictures freed of its mean and variance over the batch; see `BatchNorm1d`.

    Inputs have shape (N, C, H, W).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.BatchNorm2d(3)(tg.random.normal(size=(8, 3, 4, 4))).shape
    (8, 3, 4, 4)
    """

    _axes = (4,)
    _form = "(N, C, H, W)"


class LayerNorm(_Scaled):
    """Each sample freed of the mean and variance over its last axes; see `nn.functional.layer_norm`.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        Lengths of the last axes.
    eps : float
        Added to the variance.
    elementwise_affine : bool
        Whether a weight and a bias are learned.
    bias : bool
        Whether there is a bias beside the weight.
    dtype : dtype

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape `normalized_shape`; start at 1 and 0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.LayerNorm(2)(tg.tensor([[1.0, 3.0]], dtype=tg.float32))
    tensor([[-0.999995,  0.999995]], dtype=float32, op=normalize)
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...] | list[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.normalized_shape = as_shape("LayerNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._make_parameters(self.normalized_shape, dtype, elementwise_affine, elementwise_affine and bias)

    def forward(self, x: Any) -> Any:
        """The normalized input."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The settings."""
        bias = self._without_bias(self.elementwise_affine)
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}{bias}"


class RMSNorm(_Scaled):
    """Each sample divided by its root mean square over the last axes; see `nn.functional.rms_norm`.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        Lengths of the last axes.
    eps : float, optional
        Added to the mean square; the dtype's own distance from 1 to the next number unless given.
    elementwise_affine : bool
        Whether a weight is learned.
    dtype : dtype

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.RMSNorm(4)(tg.ones((2, 4))).shape
    (2, 4)
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...] | list[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.normalized_shape = as_shape("RMSNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._make_parameters(self.normalized_shape, dtype, elementwise_affine, False)

    def forward(self, x: Any) -> Any:
        """The normalized input."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(_Scaled):
    """Groups of channels freed of their mean and variance, sample by sample; see `nn.functional.group_norm`.

    Parameters
    ----------
    num_groups : int
        Divides `num_channels`.
    num_channels : int
        C, of inputs of shape (N, C) or (N, C, …).
    eps : float
        Added to the variance.
    affine : bool
        Whether a weight and a bias for each channel are learned.
    dtype : dtype
    bias : bool
        Whether there is a bias beside the weight.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.GroupNorm(2, 6)(tg.ones((5, 6, 4, 4))).shape
    (5, 6, 4, 4)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: npt.DTypeLike = np.float32,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_sizes("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} does not divide num_channels={num_channels}")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._make_parameters((num_channels,), dtype, affine, affine and bias)

    def forward(self, x: Any) -> Any:
        """The normalized input."""
        if shape_of(x)[1:2] != (self.num_channels,):
            form = f"(N, {self.num_channels}, …)"
            raise ValueError(f"GroupNorm: the input must have shape {form}, not {shape_of(x)}")
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The settings."""
        bias = self._without_bias(self.affine)
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}{bias}"
