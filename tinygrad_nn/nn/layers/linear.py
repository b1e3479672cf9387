"""Layers that are affine maps, and the change of shape that leads to them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ops.shapes import reshape, shape_of
from .. import functional as F
from .. import init
from ..checks import check_sizes
from ..function_layer import FunctionLayer
from ..module import Module, Parameter

__all__ = ["Bilinear", "Flatten", "Identity", "Linear", "Unflatten"]


class Linear(Module):
    """x·Wᵀ + b on the last axis.

    Parameters
    ----------
    in_features, out_features : int
        Lengths of the last axis before and after.
    bias : bool
        Whether there is a b.
    dtype : dtype
        Of the parameters.
    generator : numpy.random.Generator, optional
        For the starting values; the default one (`tinygrad_nn.manual_seed`) unless given.

    Attributes
    ----------
    weight : Parameter
        Shape (out_features, in_features); starts evenly spread over ±1/√in_features.
    bias : Parameter or None
        Shape (out_features,); starts so too.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> layer = nn.Linear(3, 2)
    >>> layer(tg.ones((5, 3))).shape
    (5, 2)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        dtype: npt.DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        check_sizes("Linear", in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        bound = 1 / math.sqrt(in_features)
        self.weight = init.uniform_(Parameter(np.empty((out_features, in_features), dtype)), -bound, bound, generator)
        self.bias = init.uniform_(Parameter(np.empty(out_features, dtype)), -bound, bound, generator) if bias else None

    def forward(self, x: Any) -> Any:
        """The map x·Wᵀ + b, from shape (…, in_features) to (…, out_features)."""
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The settings."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """The input as it is; any arguments are taken and ignored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        """The input."""
        return x


class Flatten(FunctionLayer, function=F.flatten):
    """The axes from `start_dim` to `end_dim` as one.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.Flatten()(tg.zeros((10, 28, 28))).shape
    (10, 784)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def extra_repr(self) -> str:
        """The settings, where they are not the usual ones."""
        return "" if (self.start_dim, self.end_dim) == (1, -1) else super().extra_repr()


class Unflatten(Module):
    """One axis as several: the reverse of `Flatten`.

    Parameters
    ----------
    dim : int
        The axis.
    unflattened_size : tuple of int
        Lengths of the axes in its place; one may be −1, for what is left.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.Unflatten(1, (3, -1))(tg.zeros((2, 12))).shape
    (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...] | list[int]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, x: Any) -> Any:
        """The input with more axes."""
        shape = shape_of(x)
        dim = range(len(shape))[self.dim]
        count, sizes = shape[dim], list(self.unflattened_size)
        if sizes.count(-1) == 1:
            known = -math.prod(sizes)
            sizes[sizes.index(-1)] = count // known if known else 0
        if math.prod(sizes) != count or min(sizes, default=0) < 0:
            raise ValueError(f"Unflatten: axis {self.dim} of {shape} has {count} elements, not {self.unflattened_size}")
        return reshape(x, shape=(*shape[:dim], *sizes, *shape[dim + 1 :]))

    def extra_repr(self) -> str:
        """The settings."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Bilinear(Module):
    """x₁ᵀ·W·x₂ + b on the last axes, with a matrix W for each output.

    Parameters
    ----------
    in1_features, in2_features, out_features : int
        Lengths of the last axes of both inputs, and of the result.
    bias : bool
        Whether there is a b.
    dtype : dtype
    generator : numpy.random.Generator, optional
        For the starting values; the default one (`tinygrad_nn.manual_seed`) unless given.

    Attributes
    ----------
    weight : Parameter
        Shape (out_features, in1_features, in2_features); starts evenly spread over ±1/√in1_features.
    bias : Parameter or None
        Shape (out_features,); starts so too.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.Bilinear(2, 3, 4)(tg.ones((5, 2)), tg.ones((5, 3))).shape
    (5, 4)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        dtype: npt.DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        check_sizes("Bilinear", in1_features=in1_features, in2_features=in2_features, out_features=out_features)
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        bound = 1 / math.sqrt(in1_features)
        self.weight = init.uniform_(
            Parameter(np.empty((out_features, in1_features, in2_features), dtype)), -bound, bound, generator
        )
        self.bias = init.uniform_(Parameter(np.empty(out_features, dtype)), -bound, bound, generator) if bias else None

    def forward(self, input1: Any, input2: Any) -> Any:
        """The forms, from shapes (…, in1_features) and (…, in2_features) to (…, out_features)."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
