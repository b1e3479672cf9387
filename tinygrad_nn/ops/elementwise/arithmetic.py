"""Arithmetic, powers and roots, signs and rounding, element by element."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ...core.values import PLAIN
from ...core.views import shares
from .choice import kinked, where, zeros_like_gradient
from .exponential import log
from .kinds import elementwise, singular, smooth

# --- sums and products -----------------------------------------------------------------------------------------------


@smooth(kernel=operator.add, linear="jointly", formula="{x} + {y}")
def add(x, y):
    """Elementwise sum.

    Parameters
    ----------
    x, y : array_like
        Shapes that broadcast together.

    Returns
    -------
    Tensor
        x + y, with ∂/∂x = 1 and ∂/∂y = 1.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.add(tg.tensor([1.0, 2.0]), 3.0)
    tensor([4., 5.])
    """


@smooth(kernel=operator.sub, linear="jointly", formula="{x} − {y}")
def subtract(x, y):
    """Elementwise difference x − y, with ∂/∂x = 1 and ∂/∂y = −1.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.subtract(tg.tensor([1.0, 2.0]), 3.0)
    tensor([-2., -1.])
    """


@singular(kernel=operator.mul, linear="separately", formula="{x}·{y}")
def multiply(x, y):
    """Elementwise product x·y, with ∂/∂x = y and ∂/∂y = x.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.multiply(tg.tensor([1.0, 2.0]), 3.0)
    tensor([3., 6.])
    """


@singular(kernel=operator.truediv, formula="{x} / {y}")
def divide(x, y):
    """Elementwise quotient x / y, with ∂/∂x = 1/y and ∂/∂y = −x/y².

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.divide(tg.tensor([1.0, 2.0]), 4.0)
    tensor([0.25, 0.5 ])
    """


add.derivatives(
    lambda g, out, x, y: g,
    lambda g, out, x, y: g,
    formulas=["1", "1"],
)
subtract.derivatives(
    lambda g, out, x, y: g,
    lambda g, out, x, y: -g,
    formulas=["1", "−1"],
)
multiply.derivatives(
    lambda g, out, x, y: g * y,
    lambda g, out, x, y: g * x,
    formulas=["{y}", "{x}"],
)
divide.derivatives(
    lambda g, out, x, y: g / y,
    lambda g, out, x, y: -g * out / y,
    formulas=["1/{y}", "−{x}/{y}²"],
)
divide.linear_in = (0,)


@elementwise(kernel=operator.floordiv, formula="⌊{x} / {y}⌋")
def floor_divide(x, y):
    """Elementwise quotient rounded down, ⌊x / y⌋, with derivative 0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.floor_divide(tg.tensor([7.0, -7.0]), 2.0)
    tensor([ 3., -4.])
    """


@elementwise(kernel=operator.mod, singular=True, formula="{x} mod {y}")
def remainder(x, y):
    """Elementwise remainder x − y·⌊x/y⌋, of the sign of y, with ∂/∂x = 1 and ∂/∂y = −⌊x/y⌋.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.remainder(tg.tensor([7.0, -7.0]), 4.0)
    tensor([3., 1.])
    """


floor_divide.derivatives(
    lambda g, out, x, y: zeros_like_gradient(g),
    lambda g, out, x, y: zeros_like_gradient(g),
    formulas=["0", "0"],
)
remainder.derivatives(
    lambda g, out, x, y: g,
    lambda g, out, x, y: -g * (x // y),
    formulas=["1", "−⌊{x}/{y}⌋"],
)


@smooth(kernel=operator.neg, linear="jointly", formula="−{x}")
def negative(x):
    """Elementwise −x, with derivative −1.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.negative(tg.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """


@smooth(kernel=operator.pos, linear="jointly", formula="+{x}")
def positive(x):
    """Elementwise +x, a copy, with derivative 1.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.positive(tg.tensor([1.0, -2.0]))
    tensor([ 1., -2.])
    """


@singular(formula="1/{x}")
def reciprocal(x):
    """Elementwise 1/x, with derivative −1/x².

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.reciprocal(tg.tensor([2.0, -4.0]))
    tensor([ 0.5 , -0.25])
    """
    return 1 / x


negative.derivatives(lambda g, out, x: -g, formulas=["−1"])
positive.derivatives(lambda g, out, x: g, formulas=["1"])
reciprocal.derivatives(lambda g, out, x: -g * out * out, formulas=["−1/{x}²"])


# --- powers and roots ------------------------------------------------------------------------------------------------


@singular(kernel=operator.pow, formula="{x}^{y}")
def power(x, y):
    """Elementwise x to the power y, with ∂/∂x = y·x^(y−1) and ∂/∂y = x^y·log x.

    x⁰ = 1 has ∂/∂x = 0 everywhere, and 0^y has ∂/∂y = 0 for y ≥ 0. For x < 0 the derivative in y is NaN: no real one
    exists.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.power(tg.tensor([1.0, 2.0]), 3)
    tensor([1., 8.])
    """


def _power_in_base(g: Any, out: Any, x: Any, y: Any) -> Any:
    if type(y) in PLAIN:  # the common x**2: whether the exponent is zero is seen at once
        return g * y * x ** (y - 1) if y != 0 else zeros_like_gradient(g)
    # y·x^(y−1) is right at y = 0, and differentiable in y there, but for 0·0^(−1).
    return g * y * x ** where((x == 0) & (y == 0), 1.0, y - 1.0)


def _power_in_exponent(g: Any, out: Any, x: Any, y: Any) -> Any:
    if type(x) in PLAIN and x > 0:
        return g * out * math.log(x)
    # 0^y is 0 or 1 and flat for y ≥ 0, and infinite for y < 0.
    return g * out * where((x == 0) & (y < 0), -math.inf, log(where(x == 0, 1.0, x)))


power.derivatives(_power_in_base, _power_in_exponent, formulas=["{y}·{x}^({y}−1)", "{out}·log {x}"])


@singular(formula="{x}²")
def square(x):
    """Elementwise x², with derivative 2x.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.square(tg.tensor([3.0, -2.0]))
    tensor([9., 4.])
    """
    return x * x


@singular(kernel=np.sqrt, formula="√{x}")
def sqrt(x):
    """Elementwise square root, with derivative 1/(2√x): infinite at 0, NaN below.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.sqrt(tg.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """


@elementwise(kernel=np.cbrt, singular=True, formula="∛{x}")
def cbrt(x):
    """Elementwise cube root, also of negative numbers, with derivative 1/(3·∛x²): infinite at 0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.cbrt(tg.tensor([8.0, -27.0]))
    tensor([ 2., -3.])
    """


square.derivatives(lambda g, out, x: g * (2 * x), formulas=["2·{x}"])
sqrt.derivatives(lambda g, out, x: g / (2 * out), formulas=["1/(2·{out})"])
cbrt.derivatives(lambda g, out, x: g / (3 * out * out), formulas=["1/(3·{out}²)"])


@elementwise(kernel=np.hypot, singular=True, formula="√({x}² + {y}²)")
def hypot(x, y):
    """Elementwise √(x² + y²) without overflow, with ∂/∂x = x/hypot and ∂/∂y = y/hypot, both 0 at the origin.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.hypot(tg.tensor([3.0, 5.0]), tg.tensor([4.0, 12.0]))
    tensor([ 5., 13.])
    """


hypot.derivatives(
    lambda g, out, x, y: g * kinked(x / out, out == 0),
    lambda g, out, x, y: g * kinked(y / out, out == 0),
    formulas=["{x}/{out}", "{y}/{out}"],
)


@elementwise(formula="{x}^(1/{p})")
def root(x, *, p=2.0):
    """Elementwise x^(1/p), with derivative out/(p·x), taken to be 0 at 0: the last step of a p-norm."""
    return x ** (1 / p)


root.derivatives(lambda g, out, x, *, p: g * kinked(out / (p * x), x == 0), formulas=["{out}/({p}·{x})"])


# --- signs and parts -------------------------------------------------------------------------------------------------


@elementwise(kernel=operator.abs, singular=True, formula="|{x}|")
def absolute(x):
    """Elementwise |x|, with derivative sign x: 0 at 0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.absolute(tg.tensor([1.0, -2.0]))
    tensor([1., 2.])
    """


@elementwise(kernel=np.sign, formula="sign({x})")
def sign(x):
    """Elementwise sign: −1, 0 or 1, with derivative 0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.sign(tg.tensor([3.0, 0.0, -2.0]))
    tensor([ 1.,  0., -1.])
    """


@elementwise(kernel=np.copysign, singular=True, formula="|{x}|·sign({y})")
def copysign(x, y):
    """Elementwise |x| with the sign of y, with ∂/∂x = ±1 (0 at x = 0) and ∂/∂y = 0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.copysign(tg.tensor([3.0, -2.0]), -1.0)
    tensor([-3., -2.])
    """


absolute.derivatives(lambda g, out, x: g * sign(x), formulas=["sign {x}"])
absolute.hands_on = (0,)
sign.derivatives(lambda g, out, x: zeros_like_gradient(g), formulas=["0"])
copysign.derivatives(
    lambda g, out, x, y: g * sign(x) * copysign(1, y),
    lambda g, out, x, y: zeros_like_gradient(g),
    formulas=["sign {x}·sign {y}", "0"],
)


@elementwise(kernel=np.conjugate, formula="conj({x})")
def conjugate(x):
    """Elementwise complex conjugate; real numbers unchanged, with derivative 1.

    Complex numbers are computed but not differentiated.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.conjugate(tg.tensor([1 + 2j]))
    tensor([1.-2.j], dtype=complex128)
    """


@elementwise(kernel=np.real, formula="Re({x})")
def real(x):
    """Elementwise real part; real numbers unchanged, with derivative 1.

    Complex numbers are computed but not differentiated.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.real(tg.tensor([1 + 2j]))
    tensor([1.])
    """


@elementwise(kernel=np.imag, formula="Im({x})")
def imag(x):
    """Elementwise imaginary part, 0 for real numbers, with derivative 0 there.

    Complex numbers are computed but not differentiated.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.imag(tg.tensor([1 + 2j]))
    tensor([2.])
    """


conjugate.derivatives(lambda g, out, x: g, formulas=["1"])
real.derivatives(lambda g, out, x: g, formulas=["1"])
imag.derivatives(lambda g, out, x: zeros_like_gradient(g), formulas=["0"])
shares(real, np.real, lambda x, value: value + 1j * imag(x) if x.dtype.kind == "c" else value)
shares(imag, np.imag, lambda x, value: real(x) + 1j * value, when=lambda x: x.dtype.kind == "c")


# --- rounding --------------------------------------------------------------------------------------------------------


@elementwise(kernel=np.floor, formula="⌊{x}⌋")
def floor(x):
    """Largest integer ≤ x, element by element, with derivative 0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.floor(tg.tensor([1.7, -1.2]))
    tensor([ 1., -2.])
    """


@elementwise(kernel=np.ceil, formula="⌈{x}⌉")
def ceil(x):
    """Smallest integer ≥ x, element by element, with derivative 0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.ceil(tg.tensor([1.2, -1.7]))
    tensor([ 2., -1.])
    """


@elementwise(kernel=np.trunc, formula="trunc({x})")
def trunc(x):
    """Elementwise x without its fraction, with derivative 0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.trunc(tg.tensor([1.7, -1.7]))
    tensor([ 1., -1.])
    """


@elementwise(formula="round({x})")
def round(x, *, decimals=0):
    """Elementwise x rounded to a number of decimals, halves to even, with derivative 0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.round(tg.tensor([1.26, 2.5]), decimals=1)
    tensor([1.3, 2.5])
    """
    return np.round(x, decimals)[()]


floor.derivatives(lambda g, out, x: zeros_like_gradient(g), formulas=["0"])
ceil.derivatives(lambda g, out, x: zeros_like_gradient(g), formulas=["0"])
trunc.derivatives(lambda g, out, x: zeros_like_gradient(g), formulas=["0"])
round.derivatives(lambda g, out, x, *, decimals: zeros_like_gradient(g), formulas=["0"])

abs = absolute
pow = power
conj = conjugate
mod = remainder
true_divide = divide
around = round

__all__ = [
    "abs",
    "absolute",
    "add",
    "around",
    "cbrt",
    "ceil",
    "conj",
    "conjugate",
    "copysign",
    "divide",
    "floor",
    "floor_divide",
    "hypot",
    "imag",
    "mod",
    "multiply",
    "negative",
    "positive",
    "pow",
    "power",
    "real",
    "reciprocal",
    "remainder",
    "round",
    "sign",
    "sqrt",
    "square",
    "subtract",
    "true_divide",
    "trunc",
]
