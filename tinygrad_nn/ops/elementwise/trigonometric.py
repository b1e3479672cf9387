"""Trigonometric and hyperbolic functions and their inverses, element by element."""

from __future__ import annotations

import math

import numpy as np

from .arithmetic import hypot, sqrt
from .kinds import elementwise, singular

# --- trigonometric ---------------------------------------------------------------------------------------------------


@singular(kernel=np.sin, formula="sin({x})")
def sin(x):
    """Elementwise sine of x in radians, with derivative cos x.

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
    >>> tg.sin(tg.tensor([0.0, 1.0]))
    tensor([0.        , 0.84147098])
    """


@singular(kernel=np.cos, formula="cos({x})")
def cos(x):
    """Elementwise cosine of x in radians, with derivative −sin x.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.cos(tg.tensor([0.0, 1.0]))
    tensor([1.        , 0.54030231])
    """


@singular(kernel=np.tan, formula="tan({x})")
def tan(x):
    """Elementwise tangent of x in radians, with derivative 1 + tan² x.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.tan(tg.tensor([0.0, 1.0]))
    tensor([0.        , 1.55740772])
    """


@singular(kernel=np.arcsin, formula="arcsin({x})")
def arcsin(x):
    """Elementwise inverse sine, in [−π/2, π/2], with derivative 1/√(1 − x²): infinite at ±1.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.arcsin(tg.tensor([0.0, 1.0]))
    tensor([0.        , 1.57079633])
    """


@singular(kernel=np.arccos, formula="arccos({x})")
def arccos(x):
    """Elementwise inverse cosine, in [0, π], with derivative −1/√(1 − x²): infinite at ±1.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.arccos(tg.tensor([0.0, 1.0]))
    tensor([1.57079633, 0.        ])
    """


@singular(kernel=np.arctan, formula="arctan({x})")
def arctan(x):
    """Elementwise inverse tangent, in [−π/2, π/2], with derivative 1/(1 + x²).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.arctan(tg.tensor([0.0, 1.0]))
    tensor([0.        , 0.78539816])
    """


@elementwise(kernel=np.arctan2, singular=True, formula="arctan2({y}, {x})")
def arctan2(y, x):
    """Angle of the point (x, y), in [−π, π], element by element.

    ∂/∂y = x/(x² + y²) and ∂/∂x = −y/(x² + y²); NaN at the origin, where the angle is not defined.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.arctan2(tg.tensor([1.0, -1.0]), tg.tensor([1.0, -1.0]))
    tensor([ 0.78539816, -2.35619449])
    """


sin.derivatives(lambda g, out, x: g * cos(x), formulas=["cos {x}"])
cos.derivatives(lambda g, out, x: -g * sin(x), formulas=["−sin {x}"])
tan.derivatives(lambda g, out, x: g * (1 + out * out), formulas=["1 + {out}²"])
# (1 − x)·(1 + x) keeps the digits that 1 − x² would lose near ±1.
arcsin.derivatives(lambda g, out, x: g / sqrt((1 - x) * (1 + x)), formulas=["1/√(1 − {x}²)"])
arccos.derivatives(lambda g, out, x: -g / sqrt((1 - x) * (1 + x)), formulas=["−1/√(1 − {x}²)"])


def _over_square(x, y):
    """The quotient x/(x² + y²), where neither square can overflow or vanish."""
    r = hypot(x, y)
    return x / r / r


arctan.derivatives(lambda g, out, x: g * _over_square(1, x), formulas=["1/(1 + {x}²)"])
arctan2.derivatives(
    lambda g, out, y, x: g * _over_square(x, y),
    lambda g, out, y, x: -g * _over_square(y, x),
    formulas=["{x}/({x}² + {y}²)", "−{y}/({x}² + {y}²)"],
)


@elementwise(kernel=np.deg2rad, formula="{x}·π/180")
def deg2rad(x):
    """Elementwise degrees to radians: x·π/180.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.deg2rad(tg.tensor([0.0, 180.0]))
    tensor([0.        , 3.14159265])
    """


@elementwise(kernel=np.rad2deg, formula="{x}·180/π")
def rad2deg(x):
    """Elementwise radians to degrees: x·180/π.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.rad2deg(tg.tensor([0.0, tg.pi]))
    tensor([  0., 180.])
    """


deg2rad.derivatives(lambda g, out, x: g * (math.pi / 180), formulas=["π/180"])
rad2deg.derivatives(lambda g, out, x: g * (180 / math.pi), formulas=["180/π"])


# --- hyperbolic ------------------------------------------------------------------------------------------------------


@singular(kernel=np.sinh, formula="sinh({x})")
def sinh(x):
    """Elementwise hyperbolic sine, with derivative cosh x.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.sinh(tg.tensor([0.0, 1.0]))
    tensor([0.        , 1.17520119])
    """


@singular(kernel=np.cosh, formula="cosh({x})")
def cosh(x):
    """Elementwise hyperbolic cosine, with derivative sinh x.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.cosh(tg.tensor([0.0, 1.0]))
    tensor([1.        , 1.54308063])
    """


@singular(kernel=np.tanh, formula="tanh({x})")
def tanh(x):
    """Elementwise hyperbolic tangent, with derivative 1 − tanh² x.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.tanh(tg.tensor([0.0, 1.0]))
    tensor([0.        , 0.76159416])
    """


@singular(kernel=np.arcsinh, formula="arcsinh({x})")
def arcsinh(x):
    """Elementwise inverse hyperbolic sine, with derivative 1/√(1 + x²).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.arcsinh(tg.tensor([0.0, 1.0]))
    tensor([0.        , 0.88137359])
    """


@singular(kernel=np.arccosh, formula="arccosh({x})")
def arccosh(x):
    """Elementwise inverse hyperbolic cosine, with derivative 1/√(x² − 1): infinite at 1.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.arccosh(tg.tensor([1.0, 2.0]))
    tensor([0.       , 1.3169579])
    """


@singular(kernel=np.arctanh, formula="arctanh({x})")
def arctanh(x):
    """Elementwise inverse hyperbolic tangent, with derivative 1/(1 − x²): infinite at ±1.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.arctanh(tg.tensor([0.0, 0.5]))
    tensor([0.        , 0.54930614])
    """


sinh.derivatives(lambda g, out, x: g * cosh(x), formulas=["cosh {x}"])
cosh.derivatives(lambda g, out, x: g * sinh(x), formulas=["sinh {x}"])
tanh.derivatives(lambda g, out, x: g * (1 - out * out), formulas=["1 − {out}²"])
arcsinh.derivatives(lambda g, out, x: g / hypot(x, 1), formulas=["1/√(1 + {x}²)"])
arccosh.derivatives(lambda g, out, x: g / (sqrt(x - 1) * sqrt(x + 1)), formulas=["1/√({x}² − 1)"])
arctanh.derivatives(lambda g, out, x: g / ((1 - x) * (1 + x)), formulas=["1/(1 − {x}²)"])
tanh.role = "activation"

asin = arcsin
acos = arccos
atan = arctan
atan2 = arctan2
asinh = arcsinh
acosh = arccosh
atanh = arctanh

__all__ = [
    "acos",
    "acosh",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cos",
    "cosh",
    "deg2rad",
    "rad2deg",
    "sin",
    "sinh",
    "tan",
    "tanh",
]
