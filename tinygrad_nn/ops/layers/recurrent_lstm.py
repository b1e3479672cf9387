"""The LSTM layer over whole sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.adjoint import is_nothing
from ...core.define import op
from ..shapes import concat
from .recurrent import (
    by_step,
    check_shapes,
    first_rows,
    from_last,
    groups_of,
    in_all,
    in_step,
    last_rows_into,
    later_rows,
    or_empty,
    recorded,
    running,
    steps_of,
)


def _by_gate(w_ih: Any, w_hh: Any, biases: Any, dtype: Any) -> Any:
    """The weights of former h, x and 1 below each other, with columns for o, i, f and g, all but the last negated.

    PyTorch's order is i, f, g, o. In this one σ(z) = 1/(1 + e⁻ᶻ) of three gates is taken at once.
    """
    wide, hidden = w_hh.shape
    beside = [w_hh, w_ih, sum(biases[1:], biases[0])[:, None]] if biases else [w_hh, w_ih]
    whole = np.concatenate(beside, axis=1).reshape(4, hidden, -1)
    result = np.empty(whole.shape, dtype)
    np.negative(whole[3], result[0])
    np.negative(whole[:2], result[1:3])
    result[3] = whole[2]
    return np.ascontiguousarray(result.reshape(wide, -1).T)


@op(formula="lstm({x})")
def lstm_sequence(x, h, c, w_ih, w_hh, *biases, sizes):
    """All steps of an LSTM: every h, the last h and c of each sample, the parts and the sources of all steps.

    With z = x·W_ihᵀ + b_ih + h·W_hhᵀ + b_hh in the four parts i, f, g, o of its columns:
    c ← σ(f)·c + σ(i)·tanh(g), h ← σ(o)·tanh(c). Parts and sources are what the derivative reads. The parts, of shape
    (6, rows, hidden), are σ(o), σ(i), σ(f), tanh(g), the former c and tanh(c); the sources, of shape
    (rows, hidden + in), or + 1 with biases, have former h, x and 1 side by side: one product with the weights gives z,
    and one with the gradient of z that of all weights.
    """
    check_shapes(x, (h, c), w_ih, w_hh, biases, sizes)
    dtype = np.result_type(x, h, c, w_ih, w_hh, *biases)
    (rows, width), hidden = x.shape, h.shape[1]
    shapes = ((rows, hidden), h.shape, h.shape, (6, rows, hidden), (rows, hidden + width + bool(biases)))
    outs = tuple([np.empty(shape, dtype) for shape in shapes])
    _lstm_into(outs, x, h, c, w_ih, w_hh, *biases, sizes=sizes)
    return outs


@lstm_sequence.into
def _lstm_into(outs: Any, x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, *biases: Any, sizes: Any) -> None:
    hs, last, cell, parts, sources = outs
    batch, hidden = h.shape
    weight = _by_gate(w_ih, w_hh, biases, hs.dtype)
    one = np.array(1, hs.dtype)
    products = np.empty((batch, 4 * hidden), hs.dtype)
    sums = products.reshape(batch, 4, hidden)
    cell[...] = c
    sources[:batch, :hidden] = h
    sources[:, hidden : hidden + x.shape[1]] = x
    sources[:, hidden + x.shape[1] :] = 1
    former = by_step(sources[:, :hidden], sizes)
    steps = zip(
        by_step(sources, sizes),
        first_rows(products, sizes, len(former)),
        first_rows(sums[:, :3].transpose(1, 0, 2), sizes, len(former), 1),
        first_rows(sums[:, 3], sizes, len(former)),
        by_step(parts[:3], sizes, 1),
        *(by_step(plane, sizes) for plane in parts),
        first_rows(cell, sizes, len(former)),
        first_rows(np.empty((batch, hidden), hs.dtype), sizes, len(former)),
        by_step(hs, sizes),
        [*former[1:], hs[:0]],
    )
    with np.errstate(over="ignore"):
        for source, z, three, fourth, gates, o, i, f, g, before, tanh_c, now, gained, out, after in steps:
            np.dot(source, weight, z)
            np.exp(three, gates)
            np.add(gates, one, gates)
            np.reciprocal(gates, gates)
            np.tanh(fourth, g)
            before[...] = now
            np.multiply(now, f, now)
            np.multiply(g, i, gained)
            np.add(now, gained, now)
            np.tanh(now, tanh_c)
            np.multiply(tanh_c, o, out)
            after[...] = out[: len(after)]
    last_rows_into(last, hs, sizes)


@op(differentiable=False)
def lstm_adjoint(gh, gh_n, gc_n, g_parts, w_hh, parts, *, sizes):
    """The gradients of all sums z, and of the first h and c, from those of what `lstm_sequence` gives."""
    _, rows, hidden = parts.shape
    first = (sizes if isinstance(sizes, int) else sizes[0], hidden)
    outs = np.empty((rows, 4 * hidden), parts.dtype), np.empty(first, parts.dtype), np.empty(first, parts.dtype)
    _lstm_adjoint_into(outs, gh, gh_n, gc_n, g_parts, w_hh, parts, sizes=sizes)
    return outs


@lstm_adjoint.into
def _lstm_adjoint_into(
    outs: Any, gh: Any, gh_n: Any, gc_n: Any, g_parts: Any, w_hh: Any, parts: Any, *, sizes: Any
) -> None:
    dz, back, cell = outs
    rows, hidden = len(dz), parts.shape[2]
    back[...] = gh_n if gh_n.size else 0
    cell[...] = gc_n if gc_n.size else 0
    gates = dz.reshape(rows, 4, hidden).transpose(1, 0, 2)
    groups = groups_of(sizes, rows, hidden)
    count = sum(map(len, groups))
    steps = zip(
        by_step(gh, sizes) if gh.size else [None] * count,
        by_step(dz, sizes),
        by_step(gates[3], sizes),
        by_step(gates[:3], sizes, 1),
        by_step(parts[2], sizes),
        first_rows(back, sizes, count),
        first_rows(cell, sizes, count),
        first_rows(np.empty(cell.shape, dz.dtype), sizes, count),
    )
    left = reversed(list(steps))
    for group in groups:
        first, end = group[-1][0], group[0][1]
        slopes = _slopes(parts[:, first:end])
        for (start, stop), (direct, z, z_o, z_others, f, dh, dc, through) in zip(group, left):
            slope = slopes[:, start - first : stop - first]
            if direct is not None:
                np.add(dh, direct, dh)
            np.multiply(dh, slope[4], through)
            np.add(dc, through, dc)
            if g_parts.size:
                dc += g_parts[5, start:stop] * (1 - parts[5, start:stop] ** 2)
            np.multiply(dh, slope[0], z_o)
            np.multiply(dc, slope[1:4], z_others)
            np.multiply(dc, f, dc)
            if g_parts.size:
                dc += g_parts[4, start:stop]
                _add_direct(gates[:, start:stop], g_parts[:, start:stop], parts[:, start:stop])
            np.dot(z, w_hh, dh)


def _add_direct(z: Any, g_parts: Any, parts: Any) -> None:
    """What of the gradients of the gates themselves gets into those of the sums, which are in PyTorch's order."""
    z[[3, 0, 1]] += g_parts[:3] * parts[:3] * (1 - parts[:3])
    z[2] += g_parts[3] * (1 - parts[3] ** 2)


def _slopes(parts: Any) -> Any:
    """What turns the gradient of h into those of o's sum and, last, of c, and that of c into those of i, f and g."""
    gates = parts[:3]
    slopes = np.empty((5, *parts.shape[1:]), parts.dtype)
    np.subtract(1, gates, slopes[:3])
    slopes[:3] *= gates
    slopes[0] *= parts[5]
    slopes[1:3] *= parts[3:5]
    tanhs, squares = parts[3::2], slopes[3:]
    np.multiply(tanhs, tanhs, squares)
    np.subtract(1, squares, squares)
    squares[0] *= parts[1]
    squares[1] *= parts[0]
    return slopes


def _lstm_adjoint_in_ops(g: Any, w_hh: Any, parts: Any, sizes: Any) -> tuple[Any, Any, Any]:
    """The same in operations, which have derivatives."""
    gh, back, cell, g_parts = g
    o, i, f, candidate, former, tanh_c = (parts[k] for k in range(6))
    slopes = {"i": i * (1 - i), "f": f * (1 - f), "g": 1 - candidate * candidate, "o": o * (1 - o)}
    by_c = [slopes["i"] * candidate, slopes["f"] * former, slopes["g"] * i]
    by_h = slopes["o"] * tanh_c
    into_c = 1 - tanh_c * tanh_c
    g_of = [g_parts if is_nothing(g_parts) else g_parts[k] for k in range(6)]
    direct = [in_all(g_of[k], slopes[gate]) for k, gate in ((1, "i"), (2, "f"), (3, "g"), (0, "o"))]
    of_tanh = in_all(g_of[5], into_c)
    results = []
    for start, stop in reversed(steps_of(sizes, f.shape[0])):
        size = stop - start
        dh = in_step(gh, start, stop, back[:size])
        dc = in_step(of_tanh, start, stop, cell[:size] + dh * (o * into_c)[start:stop])
        by_gate = [*(dc * slope[start:stop] for slope in by_c), dh * by_h[start:stop]]
        dz = concat([in_step(more, start, stop, new) for more, new in zip(direct, by_gate)], axis=1)
        cell = running(cell, in_step(g_of[4], start, stop, dc * f[start:stop]))
        back = running(back, dz @ w_hh)
        results.append(dz)
    return from_last(results, w_hh.shape[0]), back, cell


def _lstm_rule(
    needed: Any, g: Any, out: Any, x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, *biases: Any, sizes: Any
) -> list[Any]:
    gh, gh_n, gc_n, g_parts, g_sources = g
    *_, parts, sources = out
    hidden, width = w_hh.shape[1], w_ih.shape[1]
    of_copies = not is_nothing(g_sources)
    if of_copies:
        gh = gh + later_rows(g_sources[:, :hidden], sizes)
    if recorded(*g, parts, sources, w_ih, w_hh):
        dz, dh, dc = _lstm_adjoint_in_ops((gh, gh_n, gc_n, g_parts), w_hh, parts, sizes)
    else:
        dz, dh, dc = lstm_adjoint(*map(or_empty, (gh, gh_n, gc_n, g_parts)), w_hh, parts, sizes=sizes)
    dx = dz @ w_ih if needed[0] else None
    if of_copies:
        dh = dh + g_sources[: h.shape[0], :hidden]
        dx = dx + g_sources[:, hidden : hidden + width] if needed[0] else None
    if not any(needed[3:]):
        return [dx, dh, dc, None, None, *(None for _ in biases)]
    weights = dz.T @ sources
    return [dx, dh, dc, weights[:, hidden : hidden + width], weights[:, :hidden], *[weights[:, -1]] * len(biases)]


lstm_sequence.derivatives(jointly=_lstm_rule, reads=["w_ih", "w_hh", "out"])
