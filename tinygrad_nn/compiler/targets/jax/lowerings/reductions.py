"""Lowerings for sums, extremes, and what is made of them."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from .....ops.reductions.axes import reduced_count
from .table import Call, cast, dtype_of, formula, lowering, under_its_name


@lowering("sum", "prod", "cumulative_sum", "cumulative_prod")
def _sum(call: Call, x: Any, **settings: Any) -> Any:
    """In the dtype of the result."""
    return under_its_name(call, x, **{**settings, "dtype": call.out.dtype})


lowering("max", "min", "any", "all", "argmax", "argmin", "count_nonzero")(under_its_name)


@lowering("mean")
def _mean(call: Call, x: Any, *, axis: Any, keepdims: bool) -> Any:
    if call.out.dtype.char == "e":
        return jnp.mean(x, axis=axis, keepdims=keepdims)
    return jnp.sum(x, axis=axis, keepdims=keepdims) / reduced_count(np.shape(x), axis)


@lowering("var", "std")
def _variance(call: Call, x: Any, *, axis: Any, correction: float, keepdims: bool) -> Any:
    count = reduced_count(np.shape(x), axis)
    dtype = dtype_of(x)
    x = cast(x, np.float32 if dtype.char == "e" else dtype if dtype.kind in "fc" else np.float64)
    distance = x - jnp.sum(x, axis=axis, keepdims=True) / count
    total = jnp.sum(jnp.real(distance * jnp.conj(distance)), axis=axis, keepdims=keepdims)
    variance = cast(total / max(count - correction, 0), call.out.dtype)
    return jnp.sqrt(variance) if call.step.op.name == "std" else variance


@lowering("sum_to")
def _sum_to(call: Call, x: Any, *, shape: tuple[int, ...]) -> Any:
    lengths = np.shape(x)
    lead = len(lengths) - len(shape)
    axes = (*range(lead), *(i + lead for i, n in enumerate(shape) if n == 1 and lengths[i + lead] != 1))
    return jnp.reshape(jnp.sum(x, axis=axes, dtype=call.out.dtype), shape) if axes else x


@formula("logsumexp")
def _log_sum_exp(x: Any, *, axis: Any, keepdims: bool) -> Any:
    largest = jnp.max(x, axis=axis, keepdims=True, initial=-jnp.inf)
    largest = jnp.where(jnp.isfinite(largest), largest, 0)
    out = jnp.log(jnp.sum(jnp.exp(x - largest), axis=axis, keepdims=True)) + largest
    return out if keepdims else jnp.squeeze(out, axis)


@formula("softmax")
def _softmax(x: Any, *, axis: Any) -> Any:
    e = jnp.exp(x - jnp.max(x, axis=axis, keepdims=True, initial=-jnp.inf))
    return e / jnp.sum(e, axis=axis, keepdims=True)


@formula("log_softmax")
def _log_softmax(x: Any, *, axis: Any) -> Any:
    distance = x - jnp.max(x, axis=axis, keepdims=True, initial=-jnp.inf)
    return distance - jnp.log(jnp.sum(jnp.exp(distance), axis=axis, keepdims=True))
