"""Definitions that expressions of `jax_window_rows` use: convolution, windows, and what is taken of them."""

from __future__ import annotations

#: By name.
WINDOW_HELPERS = {
    "convolution": """
def convolution(x, weight, stride, padding, dilation, groups):
    wide = jnp.float32 if x.dtype == jnp.float16 else x.dtype
    out = jax.lax.conv_general_dilated(
        x.astype(wide), weight.astype(wide), stride, padding, rhs_dilation=dilation, feature_group_count=groups
    )
    return out.astype(x.dtype)
""",
    "convolution_with_bias": """
def convolution_with_bias(x, weight, bias, *settings):
    out = convolution(x, weight, *settings)
    return out + bias.reshape(-1, *(1,) * (out.ndim - 2))
""",
    "convolution_in_x": """
def convolution_in_x(y, weight, space, *settings):
    like = jnp.zeros((y.shape[0], weight.shape[1] * settings[-1], *space), y.dtype)
    return jax.linear_transpose(lambda x: convolution(x, weight, *settings), like)(y)[0]
""",
    "convolution_in_weight": """
def convolution_in_weight(x, y, window, *settings):
    like = jnp.zeros((y.shape[1], x.shape[1] // settings[-1], *window), y.dtype)
    return jax.linear_transpose(lambda weight: convolution(x, weight, *settings), like)(y)[0]
""",
    "windows": """
def windows(x, window, stride, padding, dilation, value=0):
    x = jnp.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], window, stride, dilation)]
    parts = []
    for place in np.ndindex(*window):
        parts.append(x[(..., *[
            slice(j * d, j * d + (m - 1) * s + 1, s) for j, m, s, d in zip(place, counts, stride, dilation)
        ])])
    return jnp.stack(parts, 2).reshape(*x.shape[:2], *window, *counts)
""",
    "put_back": """
def put_back(y, space, window, stride, padding, dilation):
    like = jnp.zeros((*y.shape[:2], *space), y.dtype)
    return jax.linear_transpose(lambda x: windows(x, window, stride, padding, dilation), like)(y)[0]
""",
    "lowest": """
def lowest(dtype):
    if jnp.issubdtype(dtype, jnp.floating):
        return -jnp.inf
    return False if dtype == jnp.bool_ else jnp.iinfo(dtype).min
""",
    "largest": """
def largest(x, window, *where):
    return jnp.max(windows(x, window, *where, lowest(x.dtype)), tuple(range(2, 2 + len(window))))
""",
    "reaching": """
def reaching(x, out, window, *where):
    between = tuple(range(2, 2 + len(window)))
    chosen = windows(x, window, *where, lowest(x.dtype)) == jnp.expand_dims(out, between)
    chosen &= windows(jnp.ones((1, 1, *x.shape[2:]), bool), window, *where, False)
    return chosen, jnp.maximum(jnp.sum(chosen, between), 1), between
""",
    "spread_to_largest": """
def spread_to_largest(g, x, out, *where):
    chosen, count, between = reaching(x, out, *where)
    return put_back(jnp.where(chosen, jnp.expand_dims((g / count).astype(g.dtype), between), 0), x.shape[2:], *where)
""",
    "mean_at_largest": """
def mean_at_largest(h, x, out, *where):
    chosen, count, between = reaching(x, out, *where)
    return jnp.sum(jnp.where(chosen, windows(h, *where), 0), between) / count
""",
    "place_of_largest": """
def place_of_largest(x, window, *where):
    n = len(window)
    inside = windows(jnp.ones((1, 1, *x.shape[2:]), bool), window, *where, False)
    order = windows(jnp.arange(np.prod(x.shape[2:], dtype=int)).reshape(1, 1, *x.shape[2:]), window, *where, -1)
    values = windows(x, window, *where, lowest(x.dtype))
    out = jnp.expand_dims(jnp.max(values, tuple(range(2, 2 + n))), tuple(range(2, 2 + n)))
    chosen = inside & jnp.where(out == out, values == out, values != values)
    chosen = chosen.reshape(*x.shape[:2], -1, *chosen.shape[2 + n :])
    order = jnp.broadcast_to(order.reshape(1, 1, *chosen.shape[2:]), chosen.shape)
    return jnp.take_along_axis(order, jnp.argmax(chosen, 2, keepdims=True), 2)[:, :, 0]
""",
    "window_means": """
def window_means(x, window, stride, padding, counted, divisor):
    where, between = (window, stride), tuple(range(2, 2 + len(window)))
    one = (1,) * len(window)
    wide = jnp.float32 if x.dtype == jnp.float16 else x.dtype
    total = jnp.sum(windows(x.astype(wide), *where, padding, one), between)
    if divisor is None:
        ones = jnp.pad(jnp.ones((1, 1, *x.shape[2:]), wide), ((0, 0), (0, 0), *counted), constant_values=1)
        rest = tuple((a - c, b - d) for (a, b), (c, d) in zip(padding, counted))
        divisor = jnp.sum(windows(ones, *where, rest, one), between)
    return (total / divisor).astype(x.dtype)
""",
    "window_shares": """
def window_shares(g, space, *settings):
    like = jnp.zeros((*g.shape[:2], *space), g.dtype)
    return jax.linear_transpose(lambda x: window_means(x, *settings), like)(g)[0]
""",
    "cells": """
def cells(space, counts):
    for place in np.ndindex(*counts):
        yield (..., *(slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in zip(place, space, counts)))
""",
    "adaptive_means": """
def adaptive_means(x, counts):
    wide = jnp.float32 if x.dtype == jnp.float16 else x.dtype
    last = tuple(range(-len(counts), 0))
    means = [jnp.mean(x.astype(wide)[cell], last) for cell in cells(x.shape[2:], counts)]
    return jnp.stack(means, -1).reshape(*x.shape[:2], *counts).astype(x.dtype)
""",
    "adaptive_shares": """
def adaptive_shares(g, space):
    like = jnp.zeros((*g.shape[:2], *space), g.dtype)
    return jax.linear_transpose(lambda x: adaptive_means(x, g.shape[2:]), like)(g)[0]
""",
    "adaptive_largest": """
def adaptive_largest(x, counts):
    last = tuple(range(-len(counts), 0))
    peaks = [jnp.max(x[cell], last) for cell in cells(x.shape[2:], counts)]
    return jnp.stack(peaks, -1).reshape(*x.shape[:2], *counts)
""",
    "adaptive_place": """
def adaptive_place(x, counts):
    order = np.arange(np.prod(x.shape[2:], dtype=int)).reshape(x.shape[2:])
    found = []
    for cell in cells(x.shape[2:], counts):
        part = x[cell]
        found.append(jnp.asarray(order[cell].ravel())[jnp.argmax(part.reshape(*x.shape[:2], -1), -1)])
    return jnp.stack(found, -1).reshape(*x.shape[:2], *counts)
""",
    "adaptive_spread": """
def adaptive_spread(g, x, out):
    n = x.ndim - 2
    last = tuple(range(-n, 0))
    whole = jnp.zeros(x.shape, g.dtype)
    for place, cell in zip(np.ndindex(*out.shape[2:]), cells(x.shape[2:], out.shape[2:])):
        chosen = x[cell] == jnp.expand_dims(out[(..., *place)], last)
        share = jnp.expand_dims(g[(..., *place)], last) / jnp.maximum(jnp.sum(chosen, last, keepdims=True), 1)
        whole = whole.at[cell].add(jnp.where(chosen, share.astype(g.dtype), 0))
    return whole
""",
    "adaptive_mean": """
def adaptive_mean(h, x, out):
    last = tuple(range(2 - x.ndim, 0))
    means = []
    for place, cell in zip(np.ndindex(*out.shape[2:]), cells(x.shape[2:], out.shape[2:])):
        chosen = x[cell] == jnp.expand_dims(out[(..., *place)], last)
        means.append(jnp.sum(jnp.where(chosen, h[cell], 0), last) / jnp.maximum(jnp.sum(chosen, last), 1))
    return jnp.stack(means, -1).reshape(out.shape)
""",
}
#: Which of them each one uses.
WINDOW_NEEDS = {
    "convolution_with_bias": "convolution",
    "convolution_in_x": "convolution",
    "convolution_in_weight": "convolution",
    "put_back": "windows",
    "lowest": "put_back",
    "largest": "lowest",
    "reaching": "lowest",
    "spread_to_largest": "reaching",
    "mean_at_largest": "reaching",
    "place_of_largest": "lowest",
    "window_means": "windows",
    "window_shares": "window_means",
    "adaptive_means": "cells",
    "adaptive_shares": "adaptive_means",
    "adaptive_largest": "cells",
    "adaptive_place": "cells",
    "adaptive_spread": "cells",
    "adaptive_mean": "cells",
}
