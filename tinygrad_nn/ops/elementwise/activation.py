"""Activation functions, element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .choice import where
from .kinds import elementwise, singular

float64 = np.float64
zero = np.float64(0)

#: σ is computed as eˣ/(eˣ + 1), with x bounded so that eˣ stays finite: beyond the bound σ(x) rounds to 1.
#: Arrays of the same dtype, as a Python number costs NumPy a conversion in each call.
_BOUND_AND_ONE: dict[Any, tuple[Any, Any]] = {
    np.dtype(kind): (np.array(bound, kind), np.array(1, kind)) for kind, bound in (("e", 11), ("f", 20), ("d", 40))
}


@singular(formula="σ({x})")
def sigmoid(x):
    """Elementwise logistic function σ(x) = 1/(1 + e⁻ˣ), with derivative σ(x)·(1 − σ(x)).

    Exact to a few units in the last place for every x, without overflow.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.sigmoid(tg.tensor([0.0, -1000.0, 1000.0]))
    tensor([0.5, 0. , 1. ])
    """
    if type(x) is float64:  # NumPy's own way costs five times as much for a scalar
        e = math.exp(40.0 if x > 40.0 else x)  # noqa: FURB136 (min() costs twice as much)
        return float64(e / (e + 1.0))
    bound, one = _BOUND_AND_ONE.get(getattr(x, "dtype", None), (40.0, 1.0))
    e = np.exp(np.minimum(x, bound))
    above = e + one
    e /= above
    return e


# In this order NumPy reuses the one temporary array for all three steps, which a training step's peak memory shows.
sigmoid.derivatives(lambda g, out, x: g * ((1 - out) * out), formulas=["{out}·(1 − {out})"])


@elementwise(singular=True, formula="log(1 + exp({x}))")
def softplus(x):
    """Elementwise log(1 + eˣ) without overflow, with derivative σ(x).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.softplus(tg.tensor([0.0, -1000.0, 1000.0]))
    tensor([6.93147181e-01, 0.00000000e+00, 1.00000000e+03])
    """
    return np.logaddexp(x, 0.0)


@elementwise(singular=True, formula="log σ({x})")
def log_sigmoid(x):
    """Elementwise log σ(x) = −log(1 + e⁻ˣ) without overflow, with derivative σ(−x).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.log_sigmoid(tg.tensor([0.0, -1000.0, 1000.0]))
    tensor([-6.93147181e-01, -1.00000000e+03, -0.00000000e+00])
    """
    return -np.logaddexp(-x, 0.0)


softplus.derivatives(lambda g, out, x: g * sigmoid(x), formulas=["σ({x})"])
log_sigmoid.derivatives(lambda g, out, x: g * sigmoid(-x), formulas=["σ(−{x})"])


@elementwise(formula="relu({x})")
def relu(x):
    """Elementwise max(x, 0), with derivative 1 for x > 0 and 0 elsewhere, also at 0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.relu(tg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if type(x) is float64:  # NumPy's own way costs ten times as much for a scalar
        return zero if x <= 0 else x
    return np.maximum(x, 0)


relu.derivatives(lambda g, out, x: where(out > 0, g, 0), formulas=["1 where {x} > 0, else 0"])
sigmoid.role = softplus.role = relu.role = "activation"

__all__ = ["log_sigmoid", "relu", "sigmoid", "softplus"]
