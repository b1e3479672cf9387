"""Starting values for parameters. Each function gives a Tensor new values, and returns it."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from ..random import as_generator
from ..tensor import Tensor

T = TypeVar("T", bound=Tensor)
Generator = np.random.Generator


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many inputs each output of a layer has, and how many outputs each input.

    A weight of shape (out, in, k₁, k₂, …) has in·k₁·k₂… inputs for each output and out·k₁·k₂… outputs for each input.

    Parameters
    ----------
    shape : tuple of int
        Of the weight; at least two axes.

    Returns
    -------
    fan_in, fan_out : int

    Examples
    --------
    >>> from tinygrad_nn import nn
    >>> nn.init.fans((20, 1, 5, 5))
    (25, 500)
    """
    if len(shape) < 2:
        raise ValueError(f"fans are defined for weights of two or more axes, not for shape {shape}")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Factor on the standard deviation of weights that makes up for what the following activation takes away.

    Parameters
    ----------
    nonlinearity : str
        ``"linear"`` (or a layer's name), ``"sigmoid"``: 1. ``"tanh"``: 5/3. ``"relu"``: √2.
        ``"leaky_relu"``: √(2/(1+a²)) with its slope a, `param`, 0.01 unless given. ``"selu"``: 3/4.
    """
    gains = {"sigmoid": 1.0, "linear": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    gains |= dict.fromkeys((f"conv{'_transpose' * t}{n}d" for n in (1, 2, 3) for t in (0, 1)), 1.0)
    gains["leaky_relu"] = math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in gains:
        raise ValueError(f"no gain is known for {nonlinearity!r}; there are {sorted(gains)}")
    return gains[nonlinearity]


def _give(tensor: T, value: Any) -> T:
    """Make `value` the Tensor's, in its dtype; a recorded graph keeps the old one."""
    if not tensor.is_leaf:
        raise RuntimeError("starting values are for parameters; this Tensor is the result of a computation")
    value = np.asarray(value, tensor.dtype)
    tensor._assign(value if value.ndim else value[()])
    return tensor


def _uniform(tensor: T, low: float, high: float, generator: Generator | None) -> T:
    generator = as_generator(generator)
    dtype: Any = np.float32 if tensor.dtype == np.float32 else np.float64
    values = generator.random(tensor.shape, dtype)
    values *= high - low
    values += low
    return _give(tensor, values)


def _normal(tensor: T, mean: float, std: float, generator: Generator | None) -> T:
    generator = as_generator(generator)
    dtype: Any = np.float32 if tensor.dtype == np.float32 else np.float64
    values = generator.standard_normal(tensor.shape, dtype)
    values *= std
    values += mean
    return _give(tensor, values)


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> T:
    """Values spread evenly over [a, b)."""
    return _uniform(tensor, a, b, generator)


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> T:
    """Values of a normal distribution."""
    return _normal(tensor, mean, std, generator)


def constant_(tensor: T, val: float) -> T:
    """One value everywhere."""
    return _give(tensor, np.full(tensor.shape, val))


def zeros_(tensor: T) -> T:
    """Zero everywhere. Weights that start so stay equal for ever; biases may."""
    return constant_(tensor, 0.0)


def ones_(tensor: T) -> T:
    """One everywhere."""
    return constant_(tensor, 1.0)


def xavier_uniform_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """Values spread evenly over ±gain·√(6/(fan_in + fan_out)).

    So that signals keep their variance forward and backward through linear layers
    (Glorot and Bengio, 2010, "Understanding the difficulty of training deep feedforward neural networks").
    """
    bound = gain * math.sqrt(6 / sum(fans(tensor.shape)))
    return _uniform(tensor, -bound, bound, generator)


def xavier_normal_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """Normal values with standard deviation gain·√(2/(fan_in + fan_out)); see `xavier_uniform_`."""
    return _normal(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor.shape))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f'mode must be "fan_in" or "fan_out", not {mode!r}')
    return calculate_gain(nonlinearity, a) / math.sqrt(fans(tensor.shape)[mode == "fan_out"])


def kaiming_uniform_(
    tensor: T,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> T:
    """Values spread evenly over ±gain·√(3/fan), for layers followed by a rectifier.

    Parameters
    ----------
    tensor : Tensor
    a : float
        Slope of the leaky ReLU below zero.
    mode : {"fan_in", "fan_out"}
        Keep the variance of the signals going forward, or of the gradients going back.
    nonlinearity : str
        See `calculate_gain`.
    generator : numpy.random.Generator, optional

    Notes
    -----
    He, Zhang, Ren and Sun, 2015, "Delving deep into rectifiers".
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return _uniform(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: T,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> T:
    """Normal values with standard deviation gain/√fan; see `kaiming_uniform_`."""
    return _normal(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)
