"""Starting values for parameters. Each function gives a Tensor new values, and returns it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..tensor.random import as_generator
from ..tensor.tensor import Tensor

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


def _draw(tensor: T, sample: Callable[..., Any], scale: float, shift: float) -> T:
    """Give the Tensor numbers of a generator's method, scaled and shifted; drawn as float32 where it is that."""
    values = sample(tensor.shape, np.float32 if tensor.dtype == np.float32 else np.float64)
    values *= scale
    values += shift
    return _give(tensor, values)


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> T:
    """Values spread evenly over [a, b)."""
    return _draw(tensor, as_generator(generator).random, b - a, a)


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> T:
    """Values of a normal distribution."""
    return _draw(tensor, as_generator(generator).standard_normal, std, mean)


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
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """Normal values with standard deviation gain·√(2/(fan_in + fan_out)); see `xavier_uniform_`."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor.shape))), generator)


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
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: T,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> T:
    """Normal values with standard deviation gain/√fan; see `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def lecun_uniform_(tensor: T, generator: Generator | None = None) -> T:
    """Values spread evenly over ±√(3/fan_in): variance 1/fan_in, so that sums of inputs keep variance 1.

    LeCun, Bottou, Orr and Müller, 1998, "Efficient BackProp"; the start that `SELU` is made for.
    """
    bound = math.sqrt(3 / fans(tensor.shape)[0])
    return uniform_(tensor, -bound, bound, generator)


def lecun_normal_(tensor: T, generator: Generator | None = None) -> T:
    """Normal values with standard deviation 1/√fan_in; see `lecun_uniform_`."""
    return normal_(tensor, 0.0, 1 / math.sqrt(fans(tensor.shape)[0]), generator)


def lesson_uniform_(tensor: T, generator: Generator | None = None) -> T:
    """Values spread evenly over ±√6/(fan_in + fan_out), a form of Glorot's bound that is met in lessons.

    Between layers of S_l and S_{l+1} units that is ±√6/(S_l + S_{l+1}). Glorot's own bound, that of `xavier_uniform_`,
    has the sum under the root too: ±√(6/(S_l + S_{l+1})), which is √(S_l + S_{l+1}) times as wide and keeps the
    variance of signals from layer to layer. With the narrow one signals shrink at each layer.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn import nn
    >>> weight = nn.Parameter(np.empty((30, 70)))
    >>> bound = lambda start: round(float(np.abs(start(weight, generator=np.random.default_rng(0))).max()), 3)
    >>> bound(nn.init.lesson_uniform_), bound(nn.init.xavier_uniform_)
    (0.024, 0.245)
    """
    bound = math.sqrt(6) / sum(fans(tensor.shape))
    return uniform_(tensor, -bound, bound, generator)


def trunc_normal_(
    tensor: T, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Generator | None = None
) -> T:
    """Values of a normal distribution cut off outside of [a, b].

    Parameters
    ----------
    tensor : Tensor
    mean, std : float
        Of the distribution before it is cut.
    a, b : float
        Bounds of the values, not multiples of `std`.
    generator : numpy.random.Generator, optional
    """
    from statistics import NormalDist

    if not (std > 0 and a < b):
        raise ValueError(f"trunc_normal_: std must be positive and a below b; here std={std}, a={a}, b={b}")
    generator = as_generator(generator)
    low, high = (a - mean) / std, (b - mean) / std
    sign = -1 if low > 0 else 1  # probabilities of the lower tail keep their digits
    low, high = (-high, -low) if sign < 0 else (low, high)
    normal = NormalDist()
    first, last = normal.cdf(low), normal.cdf(high)
    if last - first > 0.1:  # draw, and draw again what is outside
        values = generator.standard_normal(tensor.shape)
        while (outside := (values < low) | (values > high)).any():
            values[outside] = generator.standard_normal(int(outside.sum()))
    else:
        if not first < last:
            raise ValueError(f"trunc_normal_: [{a}, {b}] is too far from the mean {mean} for std={std}")
        shares = first + (last - first) * (1 - generator.random(tensor.shape))
        values = np.reshape([normal.inv_cdf(min(p, 1 - 2**-53)) for p in shares.ravel()], tensor.shape)
    return _give(tensor, np.clip(values * (sign * std) + mean, a, b))


def orthogonal_(tensor: T, gain: float = 1, generator: Generator | None = None) -> T:
    """A random matrix with orthonormal rows or columns, whichever are fewer, times `gain`.

    A weight of more axes counts as the matrix (out, in·k₁·k₂…). Saxe, McClelland and Ganguli, 2014, "Exact solutions to
    the nonlinear dynamics of learning in deep linear neural networks".
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: the weight must have two or more axes, not shape {tensor.shape}")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    drawn = as_generator(generator).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q = q * np.where(np.diagonal(r) < 0, -1, 1)  # else the signs would not be evenly spread
    return _give(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def sparse_(tensor: T, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> T:
    """Normal values of mean 0, but in each column the share `sparsity`, rounded up, zero (Martens, 2010)."""
    rows, columns = _matrix("sparse_", tensor)
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: sparsity must be in [0, 1], not {sparsity!r}")
    generator = as_generator(generator)
    values = generator.standard_normal((rows, columns)) * std
    order = generator.permuted(np.broadcast_to(np.arange(rows)[:, None], (rows, columns)), axis=0)
    values[order < math.ceil(sparsity * rows)] = 0
    return _give(tensor, values)


def eye_(tensor: T) -> T:
    """The identity: ones on the diagonal of a matrix, and zeros."""
    return _give(tensor, np.eye(*_matrix("eye_", tensor)))


def dirac_(tensor: T, groups: int = 1) -> T:
    """The weight of a convolution that passes its channels on as they are, as many as it can, in each of the groups.

    Parameters
    ----------
    tensor : Tensor
        Shape (out, in/groups, k₁, …), with one to three axes for the window.
    groups : int
    """
    if not 3 <= tensor.ndim <= 5 or tensor.shape[0] % groups:
        raise ValueError(f"dirac_: the weight must be (out, in, k₁, …) with {groups} dividing out, not {tensor.shape}")
    values: Any = np.zeros(tensor.shape)
    size = tensor.shape[0] // groups
    middle = tuple(n // 2 for n in tensor.shape[2:])
    for channel in range(min(size, tensor.shape[1])):
        values[(slice(channel, None, size), channel, *middle)] = 1
    return _give(tensor, values)


def _matrix(name: str, tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim != 2:
        raise ValueError(f"{name}: the weight must have two axes, not shape {tensor.shape}")
    rows, columns = tensor.shape
    return rows, columns


#: The same starts under their inventors' names.
glorot_uniform_, glorot_normal_ = xavier_uniform_, xavier_normal_
he_uniform_, he_normal_ = kaiming_uniform_, kaiming_normal_
