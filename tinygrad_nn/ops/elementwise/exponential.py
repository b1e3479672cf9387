"""Exponentials and logarithms, element by element."""

from __future__ import annotations

import math

import numpy as np

from .activation import sigmoid
from .choice import where
from .comparison import isinf
from .kinds import elementwise, singular


@singular(kernel=np.exp, formula="exp({x})")
def exp(x):
    """Elementwise eˣ, its own derivative.

    Parameters
    ----------
    x : array_like

    Returns
    -------
    Tensor
        Of the shape of `x`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.exp(tg.tensor([0.0, 1.0]))
    tensor([1.        , 2.71828183])
    """


@singular(kernel=np.exp2, formula="2^{x}")
def exp2(x):
    """Elementwise 2ˣ, with derivative 2ˣ·log 2.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.exp2(tg.tensor([0.0, 3.0]))
    tensor([1., 8.])
    """


@singular(kernel=np.expm1, formula="exp({x}) − 1")
def expm1(x):
    """Elementwise eˣ − 1, exact for small x, with derivative eˣ.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.expm1(tg.tensor([0.0, 1.0]))
    tensor([0.        , 1.71828183])
    """


@singular(kernel=np.log, formula="log({x})")
def log(x):
    """Elementwise natural logarithm, with derivative 1/x; −inf at 0 and NaN below.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.log(tg.tensor([1.0, 2.0]))
    tensor([0.        , 0.69314718])
    """


@singular(kernel=np.log2, formula="log₂({x})")
def log2(x):
    """Elementwise logarithm to base 2, with derivative 1/(x·log 2).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.log2(tg.tensor([1.0, 8.0]))
    tensor([0., 3.])
    """


@singular(kernel=np.log10, formula="log₁₀({x})")
def log10(x):
    """Elementwise logarithm to base 10, with derivative 1/(x·log 10).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.log10(tg.tensor([1.0, 1000.0]))
    tensor([0., 3.])
    """


@singular(kernel=np.log1p, formula="log(1 + {x})")
def log1p(x):
    """Elementwise log(1 + x), exact for small x, with derivative 1/(1 + x).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.log1p(tg.tensor([0.0, 1.0]))
    tensor([0.        , 0.69314718])
    """


exp.derivatives(lambda g, out, x: g * out, formulas=["{out}"])
exp2.derivatives(lambda g, out, x: g * out * math.log(2), formulas=["{out}·log 2"])
# Not out + 1, which would lose the digits of a small e^x.
expm1.derivatives(lambda g, out, x: g * exp(x), formulas=["exp({x})"])
log.derivatives(lambda g, out, x: g / x, formulas=["1/{x}"])
log2.derivatives(lambda g, out, x: g / (x * math.log(2)), formulas=["1/({x}·log 2)"])
log10.derivatives(lambda g, out, x: g / (x * math.log(10)), formulas=["1/({x}·log 10)"])
log1p.derivatives(lambda g, out, x: g / (1 + x), formulas=["1/(1 + {x})"])


@elementwise(kernel=np.logaddexp, singular=True, formula="log(exp({x}) + exp({y}))")
def logaddexp(x, y):
    """Elementwise log(eˣ + eʸ) without overflow, with ∂/∂x = σ(x − y) and ∂/∂y = σ(y − x).

    Where both are −inf, so that the result is too, each has half of the gradient.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.logaddexp(tg.tensor([0.0, 1000.0]), 0.0)
    tensor([6.93147181e-01, 1.00000000e+03])
    """


def _distance(x, y):
    """The difference x − y, and 0 for equal infinities."""
    return where((x == y) & isinf(x), 0.0, x - y)


logaddexp.derivatives(
    lambda g, out, x, y: g * sigmoid(_distance(x, y)),
    lambda g, out, x, y: g * sigmoid(_distance(y, x)),
    formulas=["σ({x} − {y})", "σ({y} − {x})"],
)

__all__ = [
    "exp",
    "exp2",
    "expm1",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
]
