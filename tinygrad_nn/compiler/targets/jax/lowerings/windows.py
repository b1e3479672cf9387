"""Lowerings for convolution and pooling. Adjoints are transposed by JAX itself, which has them built in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .....ops.layers.window import Ints, Pairs, sliding
from .table import Call, Lowering, cast, formula, lowering


def _sliding(*names: str, as_given: bool = False) -> Callable[[Lowering], Lowering]:
    """Register a function of inputs, in the dtype of the result or as they are given, and settings for each axis."""

    def register(f: Lowering) -> Lowering:
        def along_all_axes(call: Call, *inputs: Any, **settings: Any) -> Any:
            if not as_given:
                inputs = tuple(cast(x, call.out.dtype) for x in inputs)
            window = settings.get("window") or inputs[1].shape[2:]
            result = sliding(window, settings["stride"], settings["padding"], settings.get("dilation", 1))
            settings |= dict(zip(("stride", "padding", "dilation"), result, strict=True))
            if "counted" in settings:
                settings["counted"] = sliding(window, None, settings["counted"], 1)[1]
            return f(*inputs, **settings)

        lowering(*names)(along_all_axes)
        return f

    return register


def _transposed(f: Any, y: Any, shape: tuple[int, ...]) -> Any:
    """The adjoint of a function that is linear in an array of some shape, applied to `y`."""
    return jax.linear_transpose(f, jax.ShapeDtypeStruct(shape, y.dtype))(jnp.asarray(y))[0]


def _wide(x: Any) -> Any:
    """Half precision as single precision, to add up in."""
    return cast(x, np.float32) if x.dtype == np.float16 else x


# --- convolution -----------------------------------------------------------------------------------------------------


@_sliding("conv_map", "conv")
def _convolution(x: Any, weight: Any, *bias: Any, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    out = jax.lax.conv_general_dilated(
        _wide(x), _wide(weight), stride, padding, rhs_dilation=dilation, feature_group_count=groups
    )
    out = cast(out, x.dtype)
    return out + jnp.reshape(bias[0], (-1, *(1,) * (out.ndim - 2))) if bias else out


@_sliding("conv_transpose")
def _convolution_in_x(y: Any, weight: Any, *, space: Ints, groups: int, **settings: Any) -> Any:
    shape = (y.shape[0], weight.shape[1] * groups, *space)
    return _transposed(lambda x: _convolution(x, weight, groups=groups, **settings), y, shape)


@_sliding("conv_weight")
def _convolution_in_weight(x: Any, y: Any, *, window: Ints, groups: int, **settings: Any) -> Any:
    shape = (y.shape[1], x.shape[1] // groups, *window)
    return _transposed(lambda weight: _convolution(x, weight, groups=groups, **settings), y, shape)


# --- windows ---------------------------------------------------------------------------------------------------------


@_sliding("unfold")
def _windows(x: Any, *, window: Ints, stride: Ints, padding: Pairs, dilation: Ints, value: Any = 0) -> Any:
    """The elements of all windows, as (batch, channels, *window, *counts)."""
    x = jnp.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], window, stride, dilation, strict=True)]
    along = list(zip(counts, stride, dilation, strict=True))
    parts = [
        x[(..., *(slice(j * d, j * d + (m - 1) * s + 1, s) for j, (m, s, d) in zip(place, along, strict=True)))]
        for place in np.ndindex(*window)
    ]
    return jnp.stack(parts, 2).reshape(*x.shape[:2], *window, *counts)


@_sliding("fold")
def _put_back(y: Any, *, space: Ints, **where: Any) -> Any:
    return _transposed(lambda x: _windows(x, **where), y, (*y.shape[:2], *space))


def _lowest(dtype: Any) -> Any:
    if jnp.issubdtype(dtype, jnp.floating):
        return -jnp.inf
    return False if dtype == np.bool_ else jnp.iinfo(dtype).min


def _between(window: Ints) -> tuple[int, ...]:
    """The axes of the elements of windows."""
    return tuple(range(2, 2 + len(window)))


def _inside(x: Any, **where: Any) -> Any:
    """Which elements of windows are no padding."""
    return _windows(jnp.ones((1, 1, *x.shape[2:]), bool), **where, value=False)


@_sliding("max_pool")
def _largest(x: Any, *, window: Ints, **where: Any) -> Any:
    return jnp.max(_windows(x, window=window, **where, value=_lowest(x.dtype)), _between(window))


@_sliding("mean_at_maxima", as_given=True)
def _mean_at_largest(h: Any, x: Any, out: Any, *, window: Ints, **where: Any) -> Any:
    """The mean of `h` where `x` has the largest element of a window."""
    where["window"], between = window, _between(window)
    chosen = _windows(x, **where, value=_lowest(x.dtype)) == jnp.expand_dims(out, between)
    chosen &= _inside(x, **where)
    count = jnp.maximum(jnp.sum(chosen, between), 1)
    return cast(jnp.sum(jnp.where(chosen, _windows(h, **where), 0), between) / count, h.dtype)


@_sliding("spread_to_maxima", as_given=True)
def _spread_to_largest(g: Any, x: Any, out: Any, **where: Any) -> Any:
    return _transposed(lambda h: _mean_at_largest(h, x, out, **where), g, x.shape)


@_sliding("max_pool_indices", as_given=True)
def _place_of_largest(x: Any, **where: Any) -> Any:
    between = _between(where["window"])
    places = jnp.arange(np.prod(x.shape[2:], dtype=int)).reshape(1, 1, *x.shape[2:])
    order = _windows(places, **where, value=-1)
    values = _windows(x, **where, value=_lowest(x.dtype))
    out = jnp.expand_dims(jnp.max(values, between), between)
    chosen = _inside(x, **where) & jnp.where(out == out, values == out, values != values)
    chosen = chosen.reshape(*x.shape[:2], -1, *chosen.shape[2 + len(between) :])
    order = jnp.broadcast_to(order.reshape(1, 1, *chosen.shape[2:]), chosen.shape)
    return jnp.take_along_axis(order, jnp.argmax(chosen, 2, keepdims=True), 2)[:, :, 0]


@_sliding("avg_pool")
def _window_means(x: Any, *, window: Ints, padding: Pairs, counted: Pairs, divisor: float | None, **where: Any) -> Any:
    def total(x: Any, padding: Pairs) -> Any:
        return jnp.sum(_windows(x, window=window, padding=padding, **where), _between(window))

    wide: Any = _wide(x)
    if divisor is None:
        ones = jnp.ones((1, 1, *x.shape[2:]), wide.dtype)
        ones = jnp.pad(ones, ((0, 0), (0, 0), *counted), constant_values=1)
        divisor = total(ones, tuple((a - c, b - d) for (a, b), (c, d) in zip(padding, counted, strict=True)))
    return cast(total(wide, padding) / divisor, x.dtype)


@_sliding("spread_over_windows")
def _window_shares(g: Any, *, space: Ints, **settings: Any) -> Any:
    return _transposed(lambda x: _window_means(x, **settings), g, (*g.shape[:2], *space))


# --- a given number of cells -----------------------------------------------------------------------------------------


def _by_cell(f: Callable[..., Any], x: Any, counts: Ints, *rest: Any) -> Any:
    """What a function gives for the index of each cell, and for what of the rest is at its place."""
    results = []
    for place in np.ndindex(*counts):
        ends = zip(place, x.shape[2:], counts, strict=True)
        cell = (..., *(slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in ends))
        results.append(f(cell, *(y[(..., *place)] for y in rest)))
    return jnp.stack(results, -1).reshape(*x.shape[:2], *counts)


def _flat(x: Any, cell: Any) -> Any:
    """The elements of a cell along one axis."""
    part = x[cell]
    return jnp.reshape(part, (*part.shape[:2], -1))


@formula("adaptive_avg_pool")
def _adaptive_means(x: Any, *, counts: Ints) -> Any:
    return _by_cell(lambda cell: cast(jnp.mean(_flat(_wide(x), cell), -1), x.dtype), x, counts)


@formula("spread_adaptively")
def _adaptive_shares(g: Any, *, space: Ints) -> Any:
    return _transposed(lambda x: _adaptive_means(x, counts=g.shape[2:]), g, (*g.shape[:2], *space))


@formula("adaptive_max_pool")
def _adaptive_largest(x: Any, *, counts: Ints) -> Any:
    return _by_cell(lambda cell: jnp.max(_flat(x, cell), -1), x, counts)


@lowering("adaptive_max_pool_indices")
def _adaptive_place(call: Call, x: Any, *, counts: Ints) -> Any:
    order = np.arange(np.prod(x.shape[2:], dtype=int)).reshape(1, 1, *x.shape[2:])
    return _by_cell(lambda cell: jnp.asarray(_flat(order, cell)[0, 0])[jnp.argmax(_flat(x, cell), -1)], x, counts)


@lowering("mean_at_adaptive_maxima")
def _adaptive_mean(call: Call, h: Any, x: Any, out: Any) -> Any:
    def mean(cell: Any, largest: Any) -> Any:
        chosen = _flat(x, cell) == largest[..., None]
        return jnp.sum(jnp.where(chosen, _flat(h, cell), 0), -1) / jnp.maximum(jnp.sum(chosen, -1), 1)

    return cast(_by_cell(mean, x, out.shape[2:], out), h.dtype)


@lowering("spread_to_adaptive_maxima")
def _adaptive_spread(call: Call, g: Any, x: Any, out: Any) -> Any:
    return _transposed(lambda h: _adaptive_mean(call, h, x, out), g, x.shape)
