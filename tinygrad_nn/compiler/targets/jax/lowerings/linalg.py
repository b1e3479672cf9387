"""Lowerings for products of matrices, and norms."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .table import Call, cast, dtype_of, formula, lowering, no_bools


@formula("matmul")
def _matmul(x: Any, y: Any) -> Any:
    no_bools(x)
    return jnp.matmul(x, y)


@formula("vecdot")
def _vecdot(x: Any, y: Any, *, axis: int) -> Any:
    no_bools(x)
    return jnp.vecdot(x, y, axis=axis)


@formula("tensordot")
def _tensordot(x: Any, y: Any, *, axes: Any) -> Any:
    no_bools(x)
    if isinstance(axes, int | np.integer):
        in_x, in_y = tuple(range(np.ndim(x) - int(axes), np.ndim(x))), tuple(range(int(axes)))
    else:
        in_x, in_y = (normalize_axis_tuple(a, np.ndim(z)) for a, z in zip(axes, (x, y), strict=True))
    return jnp.tensordot(x, y, axes=(in_x, in_y))


@formula("einsum")
def _einsum(*operands: Any, subscripts: str, optimize: Any) -> Any:
    no_bools(operands[0])
    return jnp.einsum(subscripts, *operands)


@lowering("linear_map", "linear")
def _linear(call: Call, x: Any, weight: Any, *bias: Any) -> Any:
    dtype = np.result_type(dtype_of(x), dtype_of(weight))
    out = cast(jnp.matmul(cast(x, dtype), cast(weight, dtype).T), call.out.dtype)
    return out + cast(bias[0], call.out.dtype) if bias else out


@lowering("vector_norm")
def _vector_norm(call: Call, x: Any, *, axis: Any, keepdims: bool, ord: float) -> Any:
    x = x if dtype_of(x).kind == "c" else cast(x, call.out.dtype)
    return jnp.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord)
