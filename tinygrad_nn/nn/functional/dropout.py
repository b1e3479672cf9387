"""The dropouts of `nn.functional`: factors drawn by chance, in training only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.store import sample
from ...tensor.random import as_generator
from ...tensor.tensor import plain_tensor
from ..checks import as_operand, check_probability
from .activation import SELU_ALPHA, SELU_SCALE

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d"]

#: What a dropped element of `alpha_dropout` is: the limit of SELU at −∞.
_SATURATED = -SELU_SCALE * SELU_ALPHA


def dropout(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: np.random.Generator | None = None,
) -> Any:
    """Each element set to 0 with probability `p`, the others scaled by 1/(1 − p), if `training`; else x.

    The derivative is the same factor: 0 or 1/(1 − p). `inplace` is taken for PyTorch's sake; the result is new.
    """
    _check(p, inplace)
    if not training or p == 0:
        return input
    input = as_operand(input)
    return _dropped(input, input.shape, p, generator)


def dropout1d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: np.random.Generator | None = None,
) -> Any:
    """Whole channels of x, of shape (N, C, L) or (C, L), set to 0 with probability `p`; see `dropout`."""
    _check(p, inplace)
    return _channels_dropped(1, input, p, training, generator, {2: "(C, L)", 3: "(N, C, L)"})


def dropout2d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: np.random.Generator | None = None,
) -> Any:
    """Whole channels of x, of shape (N, C, H, W), set to 0 with probability `p`; see `dropout`.

    Neighbours in a picture are alike, so that dropping single pixels would take little away (Tompson, Goroshin, Jain,
    LeCun and Bregler, 2015).
    """
    _check(p, inplace)
    return _channels_dropped(2, input, p, training, generator, {4: "(N, C, H, W)"})


def alpha_dropout(
    input: Any,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    generator: np.random.Generator | None = None,
) -> Any:
    """Elements set to SELU's limit −1.758 with probability `p`, then all moved so that mean 0 and variance 1 stay.

    Klambauer, Unterthiner, Mayr and Hochreiter, 2017, "Self-normalizing neural networks".
    """
    _check(p, inplace)
    if not training or p == 0:
        return input
    input = as_operand(input)
    if p == 1:
        return input * 0.0
    mask = _keep_mask(input.shape, p, generator)
    scale = 1 / math.sqrt((1 - p) * (1 + p * _SATURATED**2))
    dtype = _dtype(input)
    factor = mask * dtype.type(scale)
    rest = ~mask * dtype.type(scale * _SATURATED) + dtype.type(-scale * p * _SATURATED)
    return input * plain_tensor(factor[()]) + plain_tensor(rest[()])


def _channels_dropped(n: int, x: Any, p: float, training: bool, generator: Any, forms: dict[int, str]) -> Any:
    x = as_operand(x)
    if x.ndim not in forms:
        raise ValueError(f"dropout{n}d: the input must have shape {' or '.join(forms.values())}, not {x.shape}")
    if not training or p == 0:
        return x
    return _dropped(x, (*x.shape[:-n], *(1,) * n), p, generator)


def _check(p: float, inplace: bool) -> None:
    check_probability(p)
    if not isinstance(inplace, bool):
        raise TypeError(f"dropout: inplace is a bool, not {inplace!r}; give generator= by name")


def _dropped(x: Any, shape: tuple[int, ...], p: float, generator: Any) -> Any:
    """The input times factors of a shape, each 0 or 1/(1 − p)."""
    scale = _dtype(x).type(1 / (1 - p) if p < 1 else 0)
    return x * plain_tensor((_keep_mask(shape, p, generator) * scale)[()])


def _keep_mask(shape: tuple[int, ...], p: float, generator: Any) -> Any:
    """Where nothing is dropped."""
    return sample(as_generator(generator), "random", shape, np.float32) >= p


def _dtype(x: Any) -> np.dtype[Any]:
    return x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
