"""Recurrent layers over whole sequences: all steps of a layer in one operation, and its derivative in another.

The rows of `x` and of the results are the samples of the first step, then those of the second, and so on. The setting
`sizes` says how many samples each step has: an int where all have as many, else a tuple of numbers that never rise, in
which a sequence that has ended leaves out its rows (as in `PackedSequence.batch_sizes`). Sequences run forward; what is
to run backward is turned round before and after.

The input products of all steps are one matrix product, and so are the gradients of the weights. What must be done step
by step, there and back, is done in place in arrays made once.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ...core.adjoint import is_nothing
from ...core.define import op
from ..elementwise import where
from ..shapes import concat

# --- rows and steps --------------------------------------------------------------------------------------------------


def steps_of(sizes: Any, rows: int) -> list[tuple[int, int]]:
    """First row of each step, and the row after its last."""
    if isinstance(sizes, int):
        return [(start, start + sizes) for start in range(0, rows, sizes)] if rows else []
    results = []
    start = 0
    for size in sizes:
        results.append((start, start + size))
        start += size
    return results


def by_step(rows: Any, sizes: Any, axis: int = 0) -> list[Any]:
    """The rows of each step, as views; they stand along `axis`, which is 0 or 1."""
    if isinstance(sizes, int) and sizes:
        steps = rows.shape[axis] // sizes
        if axis:
            return list(rows.reshape(len(rows), steps, sizes, -1).transpose(1, 0, 2, 3))
        return list(rows.reshape(steps, sizes, -1))
    before = (slice(None),) * axis
    return [rows[(*before, slice(*bounds))] for bounds in steps_of(sizes, rows.shape[axis])]


def first_rows(rows: Any, sizes: Any, steps: int, axis: int = 0) -> list[Any]:
    """For each step as many of the rows as it has samples, as views."""
    if isinstance(sizes, int):
        return [rows] * steps
    return [rows[:, :size] if axis else rows[:size] for size in sizes]


def former_rows(first: Any, rows: Any, sizes: Any) -> Any:
    """For each row that of the same sample one step before, beginning with `first`."""
    steps = steps_of(sizes, rows.shape[0])
    if isinstance(sizes, int):
        return concat([first, rows[: rows.shape[0] - sizes]]) if steps else rows
    return concat([first, *(rows[a : a + after - b] for (a, _), (b, after) in pairwise(steps))])


def later_rows(rows: Any, sizes: Any) -> Any:
    """For each row that of the same sample one step later, zeros after its last."""
    steps = steps_of(sizes, rows.shape[0])
    results = []
    for (start, stop), (_, after) in zip(steps, [*steps[1:], (0, rows.shape[0])]):
        results += [rows[stop:after], np.zeros((2 * stop - start - after, rows.shape[1]), rows.dtype)]
    return concat(results) if results else rows


def last_rows_into(out: Any, rows: Any, sizes: Any) -> None:
    """For each sample the row of its last step."""
    if isinstance(sizes, int):
        out[...] = rows[len(rows) - sizes :]
        return
    for start, stop in steps_of(sizes, len(rows)):
        out[: stop - start] = rows[start:stop]


def groups_of(sizes: Any, rows: int, width: int) -> list[list[tuple[int, int]]]:
    """The steps from the last to the first, in groups of which the parts stay in the processor's cache."""
    results: list[list[tuple[int, int]]] = []
    left = 0
    for start, stop in reversed(steps_of(sizes, rows)):
        left -= (stop - start) * width
        if left < 0:
            results.append([])
            left = 8192
        results[-1].append((start, stop))
    return results


def check_shapes(x: Any, states: Any, w_ih: Any, w_hh: Any, biases: Any, sizes: Any) -> None:
    """Refuse what does not fit together."""
    batch, hidden = states[0].shape
    wide = w_hh.shape[0]
    uneven = x.shape[0] % max(batch, 1) if isinstance(sizes, int) else x.shape[0] - sum(sizes)
    first = sizes if isinstance(sizes, int) else sizes[0]
    if (
        w_ih.shape != (wide, x.shape[-1])
        or w_hh.shape != (wide, hidden)
        or any(b.shape != (wide,) for b in biases)
        or any(s.shape != (batch, hidden) for s in states)
        or first != batch
        or uneven
    ):
        shapes = ", ".join(str(a.shape) for a in (x, *states, w_ih, w_hh, *biases))
        raise ValueError(f"inputs, states, weights and biases do not fit together: {shapes}, with sizes={sizes}")


def recorded(*values: Any) -> bool:
    """Whether any of the values is a Tensor: what is computed with it may be differentiated again."""
    return any(hasattr(x, "_node") for x in values)


def or_empty(g: Any) -> Any:
    """A gradient as the kernels take it: without elements where there is none."""
    return _EMPTY if is_nothing(g) else g


_EMPTY = np.zeros((0, 0))


def in_step(g: Any, start: int, stop: int, new: Any) -> Any:
    """`new` plus the rows of a gradient, if there is one."""
    return new if is_nothing(g) else new + g[start:stop]


def in_all(g: Any, factor: Any) -> Any:
    """A gradient times a factor, if there is one."""
    return g if is_nothing(g) else g * factor


def from_last(found: list[Any], width: int) -> Any:
    """The rows of all steps, which were found from the last step to the first."""
    return concat(found[::-1]) if found else np.zeros((0, width))


def running(state: Any, new: Any) -> Any:
    """A state whose first rows are new."""
    count = new.shape[0]
    return new if count == state.shape[0] else concat([new, state[count:]])


def weight_gradients(needed: Any, dz_x: Any, dz_h: Any, x: Any, former: Any, w_ih: Any, biases: int) -> tuple[Any, Any]:
    """Gradients of x, and of the weights and biases, from those of all sums x·W_ihᵀ + b_ih and h·W_hhᵀ + b_hh."""
    of_x = dz_x @ w_ih if needed[0] else None
    *_, of_ih, of_hh = needed[: len(needed) - biases]
    results = [dz_x.T @ x if of_ih else None, dz_h.T @ former if of_hh else None]
    both = zip(needed[len(needed) - biases :], (dz_x, dz_h))
    return of_x, [*results, *[dz.sum(0) if wanted else None for wanted, dz in both]]


# --- the plain layer -------------------------------------------------------------------------------------------------


@op(formula="rnn({x})")
def rnn_sequence(x, h, w_ih, w_hh, *biases, sizes, relu=False):
    """All steps of h ← tanh(x·W_ihᵀ + b_ih + h·W_hhᵀ + b_hh), or max(·, 0): every h, and the last of each sample."""
    check_shapes(x, (h,), w_ih, w_hh, biases, sizes)
    dtype = np.result_type(x, h, w_ih, w_hh, *biases)
    outs = np.empty((len(x), h.shape[1]), dtype), np.empty(h.shape, dtype)
    _rnn_into(outs, x, h, w_ih, w_hh, *biases, sizes=sizes, relu=relu)
    return outs


@rnn_sequence.into
def _rnn_into(outs: Any, x: Any, h: Any, w_ih: Any, w_hh: Any, *biases: Any, sizes: Any, relu: bool = False) -> None:
    hs, last = outs
    np.matmul(x, w_ih.T, out=hs)
    for bias in biases:
        hs += bias
    now = h
    for start, stop in steps_of(sizes, len(x)):
        new = hs[start:stop]
        new += now[: stop - start].dot(w_hh.T)
        if relu:
            np.maximum(new, 0, out=new)
        else:
            np.tanh(new, new)
        now = new
    last_rows_into(last, hs, sizes)


@op(differentiable=False)
def rnn_adjoint(gh, gh_n, h, w_hh, hs, *, sizes, relu):
    """The gradients of all sums before the activation, and of the first h, from those of every h and of the last."""
    outs = np.empty_like(hs), np.empty(h.shape, hs.dtype)
    _rnn_adjoint_into(outs, gh, gh_n, h, w_hh, hs, sizes=sizes, relu=relu)
    return outs


@rnn_adjoint.into
def _rnn_adjoint_into(outs: Any, gh: Any, gh_n: Any, h: Any, w_hh: Any, hs: Any, *, sizes: Any, relu: bool) -> None:
    dz, back = outs
    back[...] = gh_n if gh_n.size else 0
    if relu:
        np.greater(hs, 0, out=dz, casting="unsafe")
    else:
        np.multiply(hs, hs, dz)
        np.subtract(1, dz, dz)
    for start, stop in reversed(steps_of(sizes, len(hs))):
        now, new = back[: stop - start], dz[start:stop]
        if gh.size:
            now += gh[start:stop]
        now[...] = np.multiply(now, new, new).dot(w_hh)


def _rnn_adjoint_in_ops(g: Any, h: Any, w_hh: Any, hs: Any, sizes: Any, relu: bool) -> tuple[Any, Any]:
    """The same in operations, which have derivatives."""
    slope = where(hs > 0, 1.0, 0.0).astype(hs.dtype) if relu else 1 - hs * hs
    back = g[1]
    results = []
    for start, stop in reversed(steps_of(sizes, hs.shape[0])):
        new = in_step(g[0], start, stop, back[: stop - start]) * slope[start:stop]
        results.append(new)
        back = running(back, new @ w_hh)
    return from_last(results, hs.shape[1]), back


def _rnn_rule(
    needed: Any, g: Any, out: Any, x: Any, h: Any, w_ih: Any, w_hh: Any, *biases: Any, sizes: Any, relu: Any
) -> list[Any]:
    hs = out[0]
    if recorded(*g, hs, x, h, w_ih, w_hh):
        dz, dh = _rnn_adjoint_in_ops(g, h, w_hh, hs, sizes, relu)
    else:
        dz, dh = rnn_adjoint(*map(or_empty, g), h, w_hh, hs, sizes=sizes, relu=relu)
    former = former_rows(h, hs, sizes) if needed[3] else None
    of_x, of_others = weight_gradients(needed, dz, dz, x, former, w_ih, len(biases))
    return [of_x, dh, *of_others]


rnn_sequence.derivatives(jointly=_rnn_rule, reads=["x", "h", "w_ih", "w_hh", "out"])
