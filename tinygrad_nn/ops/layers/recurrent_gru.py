"""The GRU layer over whole sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.adjoint import is_nothing
from ...core.define import op
from ..shapes import concat
from .recurrent import (
    check_shapes,
    former_rows,
    from_last,
    groups_of,
    in_all,
    in_step,
    last_rows_into,
    or_empty,
    recorded,
    running,
    steps_of,
    weight_gradients,
)


def _gates_apart(weight: Any, out: Any) -> None:
    """A weight's rows, in PyTorch's order r, z, n, by gate, r and z negated.

    So that σ(a) = 1/(1 + e⁻ᵃ) of both is taken at once.
    """
    by_gate = weight.reshape(3, -1, *weight.shape[1:])
    np.negative(by_gate[:2], out[:2])
    out[2] = by_gate[2]


def _products(x: Any, weight: Any, bias: Any, out: Any) -> None:
    """x·Wᵀ + b of all rows, by gate."""
    by_gate = np.empty((3, len(weight) // 3, x.shape[1]), out.dtype)
    _gates_apart(weight, by_gate)
    np.matmul(x, by_gate.transpose(0, 2, 1), out=out)
    if bias is not None:
        result = np.empty((3, 1, out.shape[2]), out.dtype)
        _gates_apart(bias, result[:, 0])
        out += result


@op(formula="gru({x})")
def gru_sequence(x, h, w_ih, w_hh, *biases, sizes):
    """All steps of a GRU: every h, the last of each sample, and the parts of all steps.

    With a = x·W_ihᵀ + b_ih and b = h·W_hhᵀ + b_hh, each in the three parts r, z, n of its columns:
    r = σ(aᵣ + bᵣ), z = σ(a_z + b_z), n = tanh(aₙ + r·bₙ), h ← (1 − z)·n + z·h. The parts, of shape
    (4, rows, hidden), are what the derivative reads: r, z, n and bₙ.
    """
    check_shapes(x, (h,), w_ih, w_hh, biases, sizes)
    dtype = np.result_type(x, h, w_ih, w_hh, *biases)
    shape = len(x), h.shape[1]
    outs = np.empty(shape, dtype), np.empty(h.shape, dtype), np.empty((4, *shape), dtype)
    _gru_into(outs, x, h, w_ih, w_hh, *biases, sizes=sizes)
    return outs


@gru_sequence.into
def _gru_into(outs: Any, x: Any, h: Any, w_ih: Any, w_hh: Any, *biases: Any, sizes: Any) -> None:
    hs, last, parts = outs
    batch, hidden = h.shape
    _products(x, w_ih, biases[0] if biases else None, parts[:3])
    weight = np.empty((3, hidden, hidden), hs.dtype)
    _gates_apart(w_hh, weight)
    weight = weight.transpose(0, 2, 1)
    offset = np.zeros((3, 1, hidden), hs.dtype)
    if biases:
        _gates_apart(biases[1], offset[:, 0])
    products = np.empty((3, batch, hidden), hs.dtype)
    now = h
    with np.errstate(over="ignore"):
        for start, stop in steps_of(sizes, len(x)):
            now = now[: stop - start]
            step, b = parts[:, start:stop], products[:, : stop - start]
            gates, candidate = step[:2], step[2]
            np.matmul(now, weight, out=b)
            b += offset
            gates += b[:2]
            np.exp(gates, gates)
            np.add(gates, 1, gates)
            np.reciprocal(gates, gates)
            step[3] = b[2]
            candidate += np.multiply(step[0], b[2], b[0])
            np.tanh(candidate, candidate)
            new = np.subtract(now, candidate, hs[start:stop])
            new *= step[1]
            new += candidate
            now = new
    last_rows_into(last, hs, sizes)


@op(differentiable=False)
def gru_adjoint(gh, gh_n, g_parts, h, w_hh, hs, parts, *, sizes):
    """The gradients of all sums a and b, and of the first h, from those of what `gru_sequence` gives."""
    rows, hidden = hs.shape
    wide = (rows, 3 * hidden)
    outs = np.empty(wide, hs.dtype), np.empty(wide, hs.dtype), np.empty(h.shape, hs.dtype)
    _gru_adjoint_into(outs, gh, gh_n, g_parts, h, w_hh, hs, parts, sizes=sizes)
    return outs


@gru_adjoint.into
def _gru_adjoint_into(
    outs: Any, gh: Any, gh_n: Any, g_parts: Any, h: Any, w_hh: Any, hs: Any, parts: Any, *, sizes: Any
) -> None:
    dz_x, dz_h, back = outs
    rows, hidden = hs.shape
    of_x, of_h = (dz.reshape(rows, 3, hidden).transpose(1, 0, 2) for dz in (dz_x, dz_h))
    former = former_rows(h, hs, sizes)
    r, z, n, b = parts
    back[...] = gh_n if gh_n.size else 0
    kept = np.empty(h.shape, hs.dtype)
    for group in groups_of(sizes, rows, hidden):
        first, end = group[-1][0], group[0][1]
        slopes = _slopes(parts[:, first:end], former[first:end])
        for start, stop in group:
            size = stop - start
            dh, slope, here = back[:size], slopes[:, start - first : stop - first], of_h[:, start:stop]
            if gh.size:
                dh += gh[start:stop]
            np.multiply(slope[:3], dh, here)
            np.multiply(slope[3], dh, of_x[2, start:stop])
            if g_parts.size:
                ds = g_parts[:, start:stop]
                dn = ds[2] * (1 - n[start:stop] ** 2)
                of_x[2, start:stop] += dn
                here[2] += dn * r[start:stop] + ds[3]
                here[0] += (ds[0] + dn * b[start:stop]) * r[start:stop] * (1 - r[start:stop])
                here[1] += ds[1] * z[start:stop] * (1 - z[start:stop])
            through = np.multiply(dh, z[start:stop], kept[:size])
            np.dot(dz_h[start:stop], w_hh, out=dh)
            dh += through
    of_x[:2] = of_h[:2]


def _slopes(parts: Any, former: Any) -> Any:
    """What turns the gradient of h into those of b's parts r, z and n, and of a's part n."""
    r, z, n, b = parts
    slopes = np.empty_like(parts)
    np.subtract(1, parts[:2], slopes[:2])
    np.multiply(n, n, slopes[3])
    np.subtract(1, slopes[3], slopes[3])
    slopes[3] *= slopes[1]
    np.multiply(slopes[3], r, slopes[2])
    slopes[0] *= slopes[2]
    slopes[0] *= b
    slopes[1] *= z
    slopes[1] *= former - n
    return slopes


def _gru_adjoint_in_ops(g: Any, h: Any, w_hh: Any, hs: Any, parts: Any, sizes: Any) -> tuple[Any, Any, Any]:
    """The same in operations, which have derivatives."""
    gh, back, g_parts = g
    r, z, n, b = (parts[k] for k in range(4))
    g_of = [g_parts if is_nothing(g_parts) else g_parts[k] for k in range(4)]
    of_n = 1 - n * n
    of_r, of_z = r * (1 - r), z * (1 - z)
    of_candidate = (1 - z) * of_n
    of_update = (former_rows(h, hs, sizes) - n) * of_z
    direct = [in_all(g_of[0], of_r), in_all(g_of[1], of_z), in_all(g_of[2], of_n)]
    found_x, found_h = [], []
    for start, stop in reversed(steps_of(sizes, hs.shape[0])):
        dh = in_step(gh, start, stop, back[: stop - start])
        dn = in_step(direct[2], start, stop, dh * of_candidate[start:stop])
        dr = in_step(direct[0], start, stop, dn * (b * of_r)[start:stop])
        dz = in_step(direct[1], start, stop, dh * of_update[start:stop])
        found_x.append(concat([dr, dz, dn], axis=1))
        found_h.append(concat([dr, dz, in_step(g_of[3], start, stop, dn * r[start:stop])], axis=1))
        back = running(back, dh * z[start:stop] + found_h[-1] @ w_hh)
    return from_last(found_x, w_hh.shape[0]), from_last(found_h, w_hh.shape[0]), back


def _gru_rule(
    needed: Any, g: Any, out: Any, x: Any, h: Any, w_ih: Any, w_hh: Any, *biases: Any, sizes: Any
) -> list[Any]:
    hs, _, parts = out
    if recorded(*g, hs, x, h, w_ih, w_hh):
        dz_x, dz_h, dh = _gru_adjoint_in_ops(g, h, w_hh, hs, parts, sizes)
    else:
        dz_x, dz_h, dh = gru_adjoint(*map(or_empty, g), h, w_hh, hs, parts, sizes=sizes)
    former = former_rows(h, hs, sizes) if needed[3] else None
    of_x, of_others = weight_gradients(needed, dz_x, dz_h, x, former, w_ih, len(biases))
    return [of_x, dh, *of_others]


gru_sequence.derivatives(jointly=_gru_rule, reads=["x", "h", "w_ih", "w_hh", "out"])
