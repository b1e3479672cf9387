"""Domain rows of the elementwise operations."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..rows import (
    ABOVE_ONE,
    BOOLS,
    COUNTS,
    INTEGERS,
    NONZERO,
    POSITIVE,
    REAL,
    TWO,
    UNIT,
    Domain,
    Row,
    binary,
    unary,
)

#: Shapes for two inputs where each has its own elements, and broadcasting where the op allows it.
CHOOSE = (
    ((3,), (3,), (3,)),
    ((), (), ()),
    ((2, 1), (3,), (2, 3)),
    ((2, 3), (), (3,)),
    ((3,), (2, 3), ()),
    ((0,), (), ()),
)


def _with_infinities(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """NaN and infinities among finite numbers."""
    values = rng.uniform(-2, 2, shape)
    return np.where(rng.random(shape) < 0.4, rng.choice([np.nan, np.inf, -np.inf], shape), values)


def _whole_powers(rng: np.random.Generator) -> Any:
    """Negative bases, which take whole exponents only, so that these are no float input."""
    return (NONZERO.sample(rng, (2, 4)), np.array([0, 1, 2, 3], np.int8)), {}


SPECIAL = Domain(make=_with_infinities)
#: Bases with both signs and zero in powers of whole exponents.
WHOLE = Domain(-2, 4, make=lambda rng, shape: rng.integers(-2, 4, shape).astype(float))

NOWHERE = Domain(kind="bool", make=lambda rng, shape: np.zeros(shape, bool))

# fmt: off
ROWS = [
    # arithmetic
    binary("add", reference=np.add),
    binary("subtract", reference=np.subtract),
    binary("multiply", reference=np.multiply),
    binary("divide", REAL, NONZERO, np.divide),
    binary("floor_divide", Domain(0.2, 0.9), Domain(1.0, 2.0), np.floor_divide),
    binary("remainder", Domain(2.1, 2.4), Domain(0.85, 0.95), np.remainder),
    unary("negative", reference=np.negative),
    unary("positive", reference=np.positive),
    unary("reciprocal", NONZERO, np.reciprocal),
    binary("power", POSITIVE, REAL, np.power, cases=(*TWO, _whole_powers)),
    unary("square", reference=np.square),
    unary("sqrt", POSITIVE, np.sqrt),
    unary("cbrt", NONZERO, np.cbrt),
    binary("hypot", NONZERO, NONZERO, np.hypot),
    unary("absolute", NONZERO, np.absolute),
    unary("sign", NONZERO, np.sign),
    binary("copysign", NONZERO, NONZERO, np.copysign),
    unary("conjugate", reference=np.conjugate),
    unary("real", reference=np.real),
    unary("imag", reference=np.imag),
    unary("floor", Domain(0.2, 0.8), np.floor),
    unary("ceil", Domain(0.2, 0.8), np.ceil),
    unary("trunc", Domain(0.2, 0.8), np.trunc),
    unary("round", Domain(1.57, 1.63), np.round, cases=(((3,), {}), ((), {}), ((2, 3), {"decimals": 1}), ((0,), {}))),
    # exponentials and logarithms
    unary("exp", reference=np.exp),
    unary("exp2", reference=np.exp2),
    unary("expm1", reference=np.expm1),
    unary("log", POSITIVE, np.log),
    unary("log2", POSITIVE, np.log2),
    unary("log10", POSITIVE, np.log10),
    unary("log1p", Domain(-0.7, 3.0), np.log1p),
    unary("sigmoid", Domain(-5.0, 5.0), lambda x: 1 / (1 + np.exp(-x))),
    unary("softplus", Domain(-8.0, 8.0), lambda x: np.log1p(np.exp(x))),
    unary("log_sigmoid", Domain(-8.0, 8.0), lambda x: -np.log1p(np.exp(-x))),
    binary("logaddexp", reference=np.logaddexp),
    # trigonometric and hyperbolic functions
    unary("sin", reference=np.sin),
    unary("cos", reference=np.cos),
    unary("tan", Domain(-1.2, 1.2), np.tan),
    unary("arcsin", UNIT, np.arcsin),
    unary("arccos", UNIT, np.arccos),
    unary("arctan", reference=np.arctan),
    binary("arctan2", NONZERO, NONZERO, np.arctan2),
    unary("deg2rad", reference=np.deg2rad),
    unary("rad2deg", reference=np.rad2deg),
    unary("sinh", reference=np.sinh),
    unary("cosh", reference=np.cosh),
    unary("tanh", reference=np.tanh),
    unary("arcsinh", reference=np.arcsinh),
    unary("arccosh", ABOVE_ONE, np.arccosh),
    unary("arctanh", UNIT, np.arctanh),
    # choices
    Row("root", (POSITIVE,), (((), {"p": 2.0}), ((3,), {"p": 3.0}), ((2, 0), {"p": 0.5})), lambda x, p: x ** (1 / p)),
    Row("kinked", (REAL, NOWHERE), (((), ()), ((3,), (3,)), ((2, 3), (3,)), ((0,), (0,))), lambda x, kink: x),
    Row("where", (BOOLS, REAL, REAL), CHOOSE, np.where),
    binary("maximum", reference=np.maximum),
    binary("minimum", reference=np.minimum),
    binary("fmax", reference=np.fmax),
    binary("fmin", reference=np.fmin),
    Row("clip", (REAL, Domain(-1.2, -0.6), Domain(0.6, 1.2)), CHOOSE, np.clip),
    unary(
        "nan_to_num", SPECIAL, np.nan_to_num,
        cases=tuple((shape, {"nan": 1.5, "posinf": 2.0, "neginf": -3.0}) for shape in ((6,), (2, 3), (), (0,))),
    ),
    unary("relu", NONZERO, lambda x: np.maximum(x, 0)),
    # comparisons and bits
    *(binary(name, INTEGERS, INTEGERS, reference, derivatives=False) for name, reference in (
        ("bitwise_and", np.bitwise_and),
        ("bitwise_or", np.bitwise_or),
        ("bitwise_xor", np.bitwise_xor),
    )),
    *(binary(name, COUNTS, COUNTS, reference, derivatives=False) for name, reference in (
        ("left_shift", np.left_shift),
        ("right_shift", np.right_shift),
    )),
    *(binary(name, WHOLE, WHOLE, reference, derivatives=False) for name, reference in (
        ("equal", np.equal),
        ("not_equal", np.not_equal),
        ("less", np.less),
        ("less_equal", np.less_equal),
        ("greater", np.greater),
        ("greater_equal", np.greater_equal),
        ("logical_and", np.logical_and),
        ("logical_or", np.logical_or),
        ("logical_xor", np.logical_xor),
    )),
    unary("logical_not", WHOLE, np.logical_not, derivatives=False),
    unary("invert", INTEGERS, np.invert, derivatives=False),
    unary("isfinite", SPECIAL, np.isfinite, derivatives=False),
    unary("isinf", SPECIAL, np.isinf, derivatives=False),
    unary("isnan", SPECIAL, np.isnan, derivatives=False),
    unary("signbit", NONZERO, np.signbit, derivatives=False),
    # what derivatives of others need
    Row("zero_where_zero", (REAL,), tuple((shape,) * 3 for shape in ((), (3,), (2, 3), (0,))), lambda g, r, x: x),
]
