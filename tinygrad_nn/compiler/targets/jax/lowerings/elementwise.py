"""Lowerings for operations element by element.

Most need none: where an op's kernel is a ufunc or an operator, jax.numpy has a function of the op's name.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfc

from .table import Call, NoCounterpart, cast, common_dtype, dtype_of, formula, lowering, under_its_name, varies


def of_numpys_name(call: Call, *inputs: Any) -> Any:
    """The lowering of such an op: in the dtype of the result, or in the one in which NumPy compares."""
    dtype = call.out.dtype if call.out.dtype.kind != "b" else common_dtype(call.step.inputs)
    return under_its_name(call, *(cast(x, dtype) for x in inputs))


@lowering("absolute", "real", "imag", "conjugate")
def _of_parts(call: Call, x: Any) -> Any:
    """Takes complex numbers to real ones."""
    return under_its_name(call, x if dtype_of(x).kind == "c" else cast(x, call.out.dtype))


@lowering("floor", "ceil", "trunc")
def _to_whole(call: Call, x: Any) -> Any:
    return x if call.out.dtype.kind in "biu" else under_its_name(call, cast(x, call.out.dtype))


@formula("round")
def _round(x: Any, *, decimals: int) -> Any:
    if x.dtype.kind in "biu":
        if decimals < 0:
            raise NoCounterpart
        return x
    factor = 10.0 ** abs(decimals)
    if decimals == 0:
        return jnp.round(x)
    return jnp.round(x * factor) / factor if decimals > 0 else jnp.round(x / factor) * factor


@lowering("signbit")
def _signbit(call: Call, x: Any) -> Any:
    return jnp.signbit(x if dtype_of(x).kind == "f" else cast(x, np.float64))


@lowering("power")
def _power(call: Call, x: Any, y: Any) -> Any:
    dtype = call.out.dtype
    if dtype.kind in "iu" and varies(y) and y.dtype.kind == "i":
        call.refuse(y < 0, ValueError, "power: integers have no negative powers that are integers")
    # A whole number as it is: JAX multiplies then.
    return jnp.power(cast(x, dtype), y if type(y) is int and abs(y) < 2**53 else cast(y, dtype))


@formula("floor_divide")
def _floor_divide(x: Any, y: Any) -> Any:
    """A division of integers by zero gives 0."""
    if jnp.issubdtype(x.dtype, jnp.integer):
        return jnp.where(y == 0, 0, jnp.floor_divide(x, jnp.where(y == 0, 1, y)))
    whole = jnp.where(y == 0, jnp.divide(x, y), jnp.floor_divide(x, y))
    return jnp.where(whole == 0, jnp.copysign(whole, jnp.divide(x, y)), whole)


@formula("remainder")
def _remainder(x: Any, y: Any) -> Any:
    if jnp.issubdtype(x.dtype, jnp.integer):
        return jnp.where(y == 0, 0, jnp.remainder(x, jnp.where(y == 0, 1, y)))
    rest = jnp.remainder(x, y)
    return jnp.where(rest == 0, jnp.copysign(rest, y), rest)


@lowering("where")
def _where(call: Call, condition: Any, x: Any, y: Any) -> Any:
    return jnp.where(cast(condition, np.bool_), cast(x, call.out.dtype), cast(y, call.out.dtype))


@lowering("kinked")
def _kinked(call: Call, x: Any, kink: Any) -> Any:
    return jnp.where(cast(kink, np.bool_), call.out.dtype.type(0), x)


@formula("clip")
def _clip(x: Any, least: Any, most: Any) -> Any:
    return jnp.minimum(jnp.maximum(x, least), most)


@formula("sigmoid")
def _sigmoid(x: Any) -> Any:
    if x.dtype.kind == "c":
        raise NoCounterpart
    e = jnp.exp(jnp.minimum(x, {"e": 11.0, "f": 20.0}.get(x.dtype.char, 40.0)))
    return e / (e + 1)


@lowering("normal_cdf")
def _normal_cdf(call: Call, x: Any) -> Any:
    x = cast(x, dtype_of(x) if dtype_of(x).kind == "f" else np.float64)
    return 0.5 * erfc(cast(x * -(0.5**0.5), np.float64))


@lowering("zero_where_zero")
def _zero_where_zero(call: Call, g: Any, r: Any, x: Any) -> Any:
    dtype = call.out.dtype
    return jnp.where((g == 0) & ~jnp.isfinite(r), np.zeros((), dtype), cast(x, dtype))


lowering("isfinite", "isinf", "isnan", "logical_and", "logical_or", "logical_xor", "logical_not")(under_its_name)
lowering("square", "nan_to_num")(under_its_name)
formula("positive", "alias", "copy", "stop_gradient")(lambda x: x)
formula("reciprocal")(lambda x: jnp.divide(1, x))
formula("exp2")(lambda x: jnp.power(2.0, x))  # jnp.exp2 loses digits of large numbers
formula("softplus")(lambda x: jnp.logaddexp(x, 0.0))
formula("log_sigmoid")(lambda x: -jnp.logaddexp(-x, 0.0))
formula("relu")(lambda x: jnp.maximum(x, 0))
formula("leaky_relu")(lambda x, negative_slope: jnp.where(x > 0, x, x * negative_slope))
formula("elu")(lambda x, alpha: jnp.where(x > 0, x, jnp.expm1(jnp.minimum(x, 0)) * alpha))
