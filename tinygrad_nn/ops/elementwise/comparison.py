"""Comparisons, logic and tests, element by element: results without a derivative, never recorded."""

from __future__ import annotations

import operator

import numpy as np

from .kinds import pointwise

# --- comparisons -----------------------------------------------------------------------------------------------------


@pointwise(kernel=operator.eq, formula="{x} = {y}")
def equal(x, y):
    """Whether x = y, element by element.

    Parameters
    ----------
    x, y : array_like
        Shapes that broadcast together.

    Returns
    -------
    Tensor
        Of bools, without gradient.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.equal(tg.tensor([1.0, 2.0]), 2.0)
    tensor([False,  True])
    """


@pointwise(kernel=operator.ne, formula="{x} ≠ {y}")
def not_equal(x, y):
    """Whether x ≠ y, element by element.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.not_equal(tg.tensor([1.0, 2.0]), 2.0)
    tensor([ True, False])
    """


@pointwise(kernel=operator.lt, formula="{x} < {y}")
def less(x, y):
    """Whether x < y, element by element.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.less(tg.tensor([1.0, 2.0]), 2.0)
    tensor([ True, False])
    """


@pointwise(kernel=operator.le, formula="{x} ≤ {y}")
def less_equal(x, y):
    """Whether x ≤ y, element by element.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.less_equal(tg.tensor([1.0, 2.0, 3.0]), 2.0)
    tensor([ True,  True, False])
    """


@pointwise(kernel=operator.gt, formula="{x} > {y}")
def greater(x, y):
    """Whether x > y, element by element.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.greater(tg.tensor([1.0, 3.0]), 2.0)
    tensor([False,  True])
    """


@pointwise(kernel=operator.ge, formula="{x} ≥ {y}")
def greater_equal(x, y):
    """Whether x ≥ y, element by element.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.greater_equal(tg.tensor([1.0, 2.0, 3.0]), 2.0)
    tensor([False,  True,  True])
    """


# --- logic -----------------------------------------------------------------------------------------------------------


@pointwise(kernel=np.logical_and, formula="{x} and {y}")
def logical_and(x, y):
    """Whether both are nonzero, element by element.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.logical_and(tg.tensor([True, True]), [True, False])
    tensor([ True, False])
    """


@pointwise(kernel=np.logical_or, formula="{x} or {y}")
def logical_or(x, y):
    """Whether at least one is nonzero, element by element.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.logical_or(tg.tensor([False, True]), [False, False])
    tensor([False,  True])
    """


@pointwise(kernel=np.logical_xor, formula="{x} xor {y}")
def logical_xor(x, y):
    """Whether exactly one is nonzero, element by element.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.logical_xor(tg.tensor([False, True]), [True, True])
    tensor([ True, False])
    """


@pointwise(kernel=np.logical_not, formula="not {x}")
def logical_not(x):
    """Whether x is zero, element by element.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.logical_not(tg.tensor([False, True]))
    tensor([ True, False])
    """


# --- bits ------------------------------------------------------------------------------------------------------------


@pointwise(kernel=operator.and_, formula="{x} & {y}")
def bitwise_and(x, y):
    """Bits set in both of two integer or bool arrays.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.bitwise_and(tg.tensor([6, 5]), 4)
    tensor([4, 4])
    """


@pointwise(kernel=operator.or_, formula="{x} | {y}")
def bitwise_or(x, y):
    """Bits set in at least one of two integer or bool arrays.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.bitwise_or(tg.tensor([6, 1]), 4)
    tensor([6, 5])
    """


@pointwise(kernel=operator.xor, formula="{x} ^ {y}")
def bitwise_xor(x, y):
    """Bits set in exactly one of two integer or bool arrays.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.bitwise_xor(tg.tensor([6, 1]), 4)
    tensor([2, 5])
    """


@pointwise(kernel=np.invert, formula="~{x}")
def invert(x):
    """All bits of an integer or bool array the other way.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.invert(tg.tensor([True, False]))
    tensor([False,  True])
    """


@pointwise(kernel=operator.lshift, formula="{x} << {y}")
def left_shift(x, y):
    """Bits of an integer array moved `y` places up: x·2^y.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.left_shift(tg.tensor([1, 3]), 2)
    tensor([ 4, 12])
    """


@pointwise(kernel=operator.rshift, formula="{x} >> {y}")
def right_shift(x, y):
    """Bits of an integer array moved `y` places down: ⌊x / 2^y⌋.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.right_shift(tg.tensor([4, 13]), 2)
    tensor([1, 3])
    """


# --- tests -----------------------------------------------------------------------------------------------------------


@pointwise(kernel=np.isfinite, formula="finite({x})")
def isfinite(x):
    """Whether x is neither infinite nor NaN, element by element.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.isfinite(tg.tensor([1.0, tg.inf, tg.nan]))
    tensor([ True, False, False])
    """


@pointwise(kernel=np.isinf, formula="infinite({x})")
def isinf(x):
    """Whether x is infinite, element by element.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.isinf(tg.tensor([1.0, -tg.inf, tg.nan]))
    tensor([False,  True, False])
    """


@pointwise(kernel=np.isnan, formula="NaN({x})")
def isnan(x):
    """Whether x is NaN, element by element.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.isnan(tg.tensor([1.0, tg.inf, tg.nan]))
    tensor([False, False,  True])
    """


@pointwise(kernel=np.signbit, formula="{x} < 0")
def signbit(x):
    """Whether the sign bit is set, element by element: also for −0.0.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.signbit(tg.tensor([1.0, -0.0, -2.0]))
    tensor([False,  True,  True])
    """


bitwise_invert = invert
bitwise_not = invert
bitwise_left_shift = left_shift
bitwise_right_shift = right_shift

__all__ = [
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "equal",
    "greater",
    "greater_equal",
    "invert",
    "isfinite",
    "isinf",
    "isnan",
    "left_shift",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "not_equal",
    "right_shift",
    "signbit",
]
