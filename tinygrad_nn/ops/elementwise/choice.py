"""Operations that choose, element by element, between their inputs: `where`, maxima and minima, `clip`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .comparison import isfinite, isnan, logical_or
from .kinds import elementwise, smooth

inf, nan = float("inf"), float("nan")

#: From so many elements on it is worth looking at how to choose between them.
LARGE = 2048


@smooth(formula="where({condition}, {x}, {y})")
def where(condition, x, y):
    """Elements of `x` where `condition` holds, else those of `y`.

    Parameters
    ----------
    condition : array_like
        Bools, or numbers that are read as ≠ 0.
    x, y : array_like
        Shapes that broadcast together and with `condition`.

    Returns
    -------
    Tensor
        ∂/∂x = 1 where `condition` holds, else 0; ∂/∂y the other way. The gradient of the branch not taken is exactly
        zero, also where that branch is infinite or NaN.

    Raises
    ------
    TypeError
        If `x` and `y` are missing. For the places where a condition holds use `tinygrad_nn.nonzero`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> x = tg.tensor([-1.0, 4.0])
    >>> tg.where(x > 0, x, 0.0)
    tensor([0., 4.])
    """
    if type(y) is int and y == 0 and _is_masked(condition, x):
        # Times 0 or 1 as integers: an element's bits, or 0 whatever it is. A third of the time that np.where takes.
        bits = np.dtype(f"i{x.itemsize}")
        return np.multiply(x.view(bits), condition).view(x.dtype)
    return np.where(condition, x, y)[()]


def _is_masked(condition: Any, x: Any) -> bool:
    """Whether a condition is for each element of an array that is large enough to look at it."""
    return (
        type(x) is np.ndarray
        and x.size >= LARGE
        and x.dtype.char in "fd"
        and getattr(condition, "shape", None) == x.shape
        and condition.dtype.char == "?"
    )


where.derivatives(
    None,
    lambda g, out, condition, x, y: where(condition, g, 0),
    lambda g, out, condition, x, y: where(condition, 0, g),
    formulas=[None, "1 where {condition}, else 0", "0 where {condition}, else 1"],
)


@elementwise(formula="0 where {kink}, else {x}")
def kinked(x, kink):
    """`x`, but 0 at kinks: a derivative that is taken to be 0 where there is none, and whose own one is NaN there."""
    return np.where(kink, 0.0, x)[()]


kinked.derivatives(
    lambda g, out, x, kink: where(kink, nan, g),
    None,
    formulas=["NaN where {kink}, else 1", None],
)


def zeros_like_gradient(g: Any) -> Any:
    """The gradient of an input with which the result does not change: zero even where `g` is infinite or NaN."""
    return where(False, g, 0)


# --- the larger, the smaller -----------------------------------------------------------------------------------------


@elementwise(kernel=np.maximum, formula="max({x}, {y})")
def maximum(x, y):
    """The larger of two, element by element; NaN if one is NaN.

    Parameters
    ----------
    x, y : array_like
        Shapes that broadcast together.

    Returns
    -------
    Tensor
        ∂/∂x is 1 where x > y, 0 where x < y or one is NaN, and ½ where they are equal, so that ties share.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.maximum(tg.tensor([1.0, 3.0]), 2.0)
    tensor([2., 3.])
    """


@elementwise(kernel=np.minimum, formula="min({x}, {y})")
def minimum(x, y):
    """The smaller of two, element by element; NaN if one is NaN.

    ∂/∂x is 1 where x < y, 0 where x > y or one is NaN, and ½ where they are equal, so that ties share.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.minimum(tg.tensor([1.0, 3.0]), 2.0)
    tensor([1., 2.])
    """


def _to_chosen(g: Any, chosen: Any, tie: Any) -> Any:
    """The gradient where an input was chosen, half of it where it tied."""
    return where(tie, g / 2, where(chosen, g, 0))


maximum.derivatives(
    lambda g, out, x, y: _to_chosen(g, x > y, x == y),
    lambda g, out, x, y: _to_chosen(g, y > x, x == y),
    formulas=["1 where {x} > {y}, else 0", "1 where {y} > {x}, else 0"],
)
minimum.derivatives(
    lambda g, out, x, y: _to_chosen(g, x < y, x == y),
    lambda g, out, x, y: _to_chosen(g, y < x, x == y),
    formulas=["1 where {x} < {y}, else 0", "1 where {y} < {x}, else 0"],
)


@elementwise(kernel=np.fmax, formula="max({x}, {y})")
def fmax(x, y):
    """The larger of two, element by element; the other one if one is NaN.

    The derivative goes to the one that was chosen; ties share, as in `maximum`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.fmax(tg.tensor([1.0, 3.0, tg.nan]), 2.0)
    tensor([2., 3., 2.])
    """


@elementwise(kernel=np.fmin, formula="min({x}, {y})")
def fmin(x, y):
    """The smaller of two, element by element; the other one if one is NaN.

    The derivative goes to the one that was chosen; ties share, as in `minimum`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.fmin(tg.tensor([1.0, 3.0, tg.nan]), 2.0)
    tensor([1., 2., 2.])
    """


fmax.derivatives(
    lambda g, out, x, y: _to_chosen(g, logical_or(x > y, isnan(y)), x == y),
    lambda g, out, x, y: _to_chosen(g, logical_or(y > x, isnan(x)), x == y),
    formulas=["1 where {x} > {y}, else 0", "1 where {y} > {x}, else 0"],
)
fmin.derivatives(
    lambda g, out, x, y: _to_chosen(g, logical_or(x < y, isnan(y)), x == y),
    lambda g, out, x, y: _to_chosen(g, logical_or(y < x, isnan(x)), x == y),
    formulas=["1 where {x} < {y}, else 0", "1 where {y} < {x}, else 0"],
)


# --- bounds ----------------------------------------------------------------------------------------------------------


@elementwise(name="clip", formula="clip({x}, {min}, {max})")
def limit(x, min, max):
    """`clip` with both bounds given."""
    return np.minimum(np.maximum(x, min), max)


limit.derivatives(
    lambda g, out, x, min, max: where((x >= min) & (x <= max), g, 0),
    lambda g, out, x, min, max: where((x < min) & (min <= max), g, 0),
    lambda g, out, x, min, max: where((x > max) | (min > max), g, 0),
    formulas=["1 where {min} ≤ {x} ≤ {max}, else 0", "1 where {x} < {min}, else 0", "1 where {x} > {max}, else 0"],
)


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """Elements limited to [min, max].

    Parameters
    ----------
    x : array_like
    min, max : array_like or None
        Bounds, of shapes that broadcast with `x`; None for no bound. Where min > max the result is `max`.

    Returns
    -------
    Tensor
        ∂/∂x is 1 on [min, max], its ends included, and 0 outside; ∂/∂min is 1 where x < min, ∂/∂max where x > max.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.clip(tg.tensor([-2.0, 0.5, 3.0]), 0.0, 1.0)
    tensor([0. , 0.5, 1. ])
    >>> tg.clip(tg.tensor([-2.0, 0.5, 3.0]), max=1.0)
    tensor([-2. ,  0.5,  1. ])
    """
    if min is None or max is None:
        lowest, highest = _no_bounds(x)
        min = lowest if min is None else min
        max = highest if max is None else max
    return limit(x, min, max)


def _no_bounds(x: Any) -> tuple[Any, Any]:
    """Bounds that limit nothing, as Python numbers so that they leave the dtype alone."""
    dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return int(info.min), int(info.max)
    return (False, True) if dtype.kind == "b" else (-inf, inf)


@elementwise(formula="nan_to_num({x})")
def nan_to_num(x, *, nan=0.0, posinf=None, neginf=None):
    """NaN and infinities replaced by numbers.

    Parameters
    ----------
    x : array_like
    nan : float
        In the place of NaN.
    posinf, neginf : float or None
        In the place of the infinities; None for the largest and the smallest number of the dtype.

    Returns
    -------
    Tensor
        The derivative is 1 where x is finite, else 0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.nan_to_num(tg.tensor([1.0, tg.nan, tg.inf]), posinf=9.0)
    tensor([1., 0., 9.])
    """
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)[()]


nan_to_num.derivatives(
    lambda g, out, x, *, nan, posinf, neginf: where(isfinite(x), g, 0),
    formulas=["1 where {x} is finite, else 0"],
)

__all__ = ["clip", "fmax", "fmin", "maximum", "minimum", "nan_to_num", "where"]
