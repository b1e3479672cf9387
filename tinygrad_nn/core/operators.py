"""Python's operators as kernels: which ufunc each is on arrays, and how Python writes it on numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np


class Operator:
    """An operator of Python's: its ufunc, its text with ``{0}`` and ``{1}`` for the operands.

    `raises` if it can raise on Python's numbers where NumPy gives infinity, as ``10.0 ** 400`` does; division by zero,
    which is seen from the operands, does not count.
    """

    __slots__ = ("raises", "text", "ufunc")

    def __init__(self, ufunc: np.ufunc, text: str, *, raises: bool = False) -> None:
        self.ufunc = ufunc
        self.text = text
        self.raises = raises


OPERATORS: dict[Callable[..., Any], Operator] = {
    operator.add: Operator(np.add, "{0} + {1}"),
    operator.sub: Operator(np.subtract, "{0} - {1}"),
    operator.mul: Operator(np.multiply, "{0} * {1}"),
    operator.truediv: Operator(np.divide, "{0} / {1}"),
    operator.floordiv: Operator(np.floor_divide, "{0} // {1}"),
    operator.mod: Operator(np.remainder, "{0} % {1}"),
    operator.pow: Operator(np.power, "{0} ** {1}", raises=True),
    operator.matmul: Operator(np.matmul, "{0} @ {1}"),
    operator.neg: Operator(np.negative, "-{0}"),
    operator.pos: Operator(np.positive, "+{0}"),
    operator.abs: Operator(np.absolute, "abs({0})"),
    operator.lt: Operator(np.less, "{0} < {1}"),
    operator.le: Operator(np.less_equal, "{0} <= {1}"),
    operator.gt: Operator(np.greater, "{0} > {1}"),
    operator.ge: Operator(np.greater_equal, "{0} >= {1}"),
    operator.eq: Operator(np.equal, "{0} == {1}"),
    operator.ne: Operator(np.not_equal, "{0} != {1}"),
    operator.and_: Operator(np.bitwise_and, "{0} & {1}"),
    operator.or_: Operator(np.bitwise_or, "{0} | {1}"),
    operator.xor: Operator(np.bitwise_xor, "{0} ^ {1}"),
    operator.lshift: Operator(np.left_shift, "{0} << {1}", raises=True),
    operator.rshift: Operator(np.right_shift, "{0} >> {1}", raises=True),
}
