"""Lowerings for operations that rearrange elements, put them in order, or repeat them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .table import Call, NoCounterpart, cast, common_dtype, dtype_of, formula, lowering, under_its_name


@lowering("astype", "discretize")
def _astype(call: Call, x: Any, *, dtype: Any) -> Any:
    if dtype_of(x).kind == "c" and call.out.dtype.kind not in "cb":
        raise NoCounterpart
    return cast(x, call.out.dtype)


@lowering("tril", "triu")
def _triangle(call: Call, x: Any, *, k: int) -> Any:
    if np.ndim(x) < 2:
        raise NoCounterpart
    return under_its_name(call, x, k=k)


@lowering("split")
def _split(call: Call, x: Any, *, indices_or_sections: Any, axis: int) -> Any:
    axis, cuts = normalize_axis_index(axis, x.ndim), indices_or_sections
    if isinstance(cuts, int | np.integer):
        cuts = np.cumsum([out.shape[axis] for out in call.step.outputs[:-1]]).tolist()
    return [x[(slice(None),) * axis + (slice(*ends),)] for ends in pairwise([0, *cuts, x.shape[axis]])]


def _order(x: Any, axis: int, descending: bool) -> Any:
    if not descending:
        return jnp.argsort(x, axis=axis, stable=True)
    return x.shape[axis] - 1 - jnp.flip(jnp.argsort(jnp.flip(x, axis), axis=axis, stable=True), axis)


@lowering("argsort")
def _argsort(call: Call, x: Any, *, axis: int | None, descending: bool, stable: bool) -> Any:
    return _order(jnp.ravel(x), 0, descending) if axis is None else _order(x, axis, descending)


@formula("sort")
def _sort(x: Any, *, axis: int, descending: bool) -> Any:
    if descending:
        return jnp.take_along_axis(x, _order(x, axis, descending), axis)
    return jnp.sort(x, axis=axis, stable=True)


@lowering("searchsorted")
def _searchsorted(call: Call, x: Any, y: Any, *, side: str) -> Any:
    dtype = common_dtype(call.step.inputs)
    return jnp.searchsorted(cast(x, dtype), cast(y, dtype), side=side)


lowering("reshape")(lambda call, x, shape: jnp.reshape(x, call.out.shape))
lowering("broadcast_to")(lambda call, x, shape: jnp.broadcast_to(x, call.out.shape))
lowering("flip", "roll", "repeat", "diagonal", "pad", "unstack", "matrix_transpose")(under_its_name)
lowering("permute_dims")(lambda call, x, axes: jnp.transpose(x, axes))
lowering("tile")(lambda call, x, repetitions: jnp.tile(x, repetitions))
formula("concat")(lambda *arrays, axis: jnp.concatenate(arrays, axis))
formula("stack")(lambda *arrays, axis: jnp.stack(arrays, axis))
