"""How the gradient of an operation's result becomes that of an input, as formulas of arrays: ``dJ/dW = dJ/dZ · Xᵀ``.

An elementwise operation needs no row: the gradient is multiplied by its local derivative. What has no row and is not
elementwise is told in words, by `in_words`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any, TypeAlias

import numpy as np

from ...core.define import Op
from ..common.values import number
from .terms import Shape, Term, applied, factor, fitted, is_sum, matrix, summed, times, uniform


@dataclass(frozen=True)
class Site:
    """One use of an input by an operation.

    Attributes
    ----------
    op : Op
    position : int
        Which input.
    settings : dict
    inputs : tuple of Term
    out : Term
    g : Term
        The gradient of the result.
    parts : dict of int to Term
        Of an operation with several results, the gradients of those that matter.
    results : int
        How many results the operation has.
    written : str
        The operation's formula.
    local : str
        The formula of the local derivative; empty if the operation has none.
    """

    op: Op
    position: int
    settings: dict[str, Any]
    inputs: tuple[Term, ...]
    out: Term
    g: Term
    parts: dict[int, Term]
    results: int
    written: str
    local: str

    @property
    def x(self) -> Term:
        """The input."""
        return self.inputs[self.position]


Row: TypeAlias = Callable[[Site], Term | None]


def pulled_back(site: Site) -> Term:
    """The gradient of the input that comes by this use of it, in the input's shape."""
    row = ROWS.get(site.op.name) if site.op.own else None
    if row is None and site.op.elementwise and site.local:
        row = _elementwise
    term = row(site) if row is not None else None
    return in_words(site) if term is None else fitted(term, site.x.shape)


def in_words(site: Site) -> Term:
    """What is always true, for an operation without a row."""
    gradients = ", ".join(part.math for part in site.parts.values()) or site.g.math
    rule = f"the rule of {site.op.name.lstrip('_')}"
    return factor(f"∂{site.out.math}/∂{site.x.math} applied to {gradients}, by {rule}", site.x.shape)


def _elementwise(site: Site) -> Term:
    shapes = {term.math: term.shape for term in (*site.inputs, site.out)}
    used = [shape for math, shape in shapes.items() if math in site.local]
    return times(site.g, factor(site.local, np.broadcast_shapes(*used)))


def _same(site: Site) -> Term:
    return site.g


def _transposed(site: Site) -> Term:
    axes = site.settings.get("axes")
    if site.g.constant is not None:
        return uniform(site.g.constant, site.x.shape)
    if len(site.out.shape) == 2 or site.op.name == "matrix_transpose":
        return site.g.T if axes is None or tuple(a % 2 for a in axes) == (1, 0) else site.g
    return applied("transpose", site.g, site.x.shape)


def _called(word: str) -> Row:
    return lambda site: applied(word, site.g, site.x.shape)


def _moved(word: str) -> Row:
    """The same elements in another order, which leaves a constant as it is."""
    return lambda site: (
        _kept(site, site.x.shape) if site.g.constant is not None else applied(word, site.g, site.x.shape)
    )


# --- products --------------------------------------------------------------------------------------------------------


def _matmul(site: Site) -> Term:
    (x, y), g = site.inputs, site.g
    a, b = len(x.shape), len(y.shape)
    if a == b == 1:
        return times(g, (y, x)[site.position])
    if site.position == 0:
        if b == 1:
            return matrix(g, y, x.shape, "⊗")
        if a == 1:
            return matrix(y, g, x.shape)
        return matrix(g, y.T, (*g.shape[:-2], *x.shape[-2:]))
    if a == 1:
        return matrix(x, g, y.shape, "⊗")
    if b == 1:
        return matrix(x.T, g, y.shape)
    return matrix(x.T, g, (*g.shape[:-2], *y.shape[-2:]))


def _linear(site: Site) -> Term:
    x, weight = site.inputs[:2]
    g = site.g
    if site.position == 0:
        return matrix(g, weight, x.shape)
    if site.position == 2:
        return g
    if len(x.shape) == 1:
        return matrix(g, x, weight.shape, "⊗")
    return matrix(g.T, x, (*x.shape[:-2], *weight.shape))


def _vecdot(site: Site) -> Term:
    other = site.inputs[1 - site.position]
    return times(_kept(site, np.broadcast_shapes(site.inputs[0].shape, site.inputs[1].shape)), other)


def _conv(site: Site) -> Term:
    x, weight = site.inputs[:2]
    if site.position == 2:
        kept = site.x.shape
        return summed(site.g, tuple(i for i in range(len(site.g.shape)) if i != 1), kept)
    return matrix(site.g, weight, x.shape, "⋆ᵀ") if site.position == 0 else matrix(x, site.g, weight.shape, "⋆")


# --- sums and what else makes less of an array -----------------------------------------------------------------------


def _kept(site: Site, shape: Shape) -> Term:
    """The gradient of a reduction, spread over what was reduced."""
    if site.g.constant is not None:
        return uniform(site.g.constant, shape)
    return site.g if site.g.shape == shape else applied("broadcast", site.g, shape)


def _spread(site: Site) -> Term:
    return _kept(site, site.x.shape)


def _reduced(site: Site) -> Term:
    return times(_spread(site), factor(site.local, site.x.shape))


def _count(site: Site) -> int:
    """How many elements each element of a reduction's result is made of."""
    outs = int(np.prod(site.out.shape, dtype=np.int64))
    return int(np.prod(site.x.shape, dtype=np.int64)) // max(outs, 1)


def _mean(site: Site) -> Term:
    return times(_spread(site), _share(_count(site)))


def _share(count: int) -> Term:
    """The weight of one of so many in a mean."""
    return uniform(Fraction(1, max(count, 1)), ())


def _deviation(site: Site) -> Term:
    """Of the variance: twice the distance from the mean, shared; of its root that, by twice the root."""
    divisor = number(_count(site) - site.settings.get("correction", 0))
    mean = summed(site.x, _axes(site, None), ()).math.removeprefix("sum")
    distance = f"{site.x.math} − mean{mean}"
    if site.op.name == "var":
        return times(_spread(site), factor(f"2/{divisor} · ({distance})", site.x.shape))
    return times(_spread(site), factor(f"({distance})/({divisor}·{site.out.math})", site.x.shape))


def _norm(site: Site) -> Term | None:
    return _reduced(site) if site.settings.get("ord", 2) == 2 else None


def _axes(site: Site, default: int | None) -> tuple[int, ...]:
    """Which axes of the input an operation runs along."""
    ndim = len(site.x.shape)
    axis = site.settings.get("axis", default)
    axes = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(a % ndim for a in axes)


def _summing(site: Site, term: Term) -> Term:
    """A sum along the axis of a softmax, which stays with length 1."""
    axes = _axes(site, -1)
    return summed(term, axes, tuple(1 if i in axes else n for i, n in enumerate(term.shape)))


def _softmax(site: Site) -> Term:
    return times(site.out, _less(site.g, _summing(site, times(site.g, site.out))))


def _log_softmax(site: Site) -> Term:
    return _less(site.g, times(_summing(site, site.g), factor(f"exp({site.out.math})", site.out.shape)))


def _less(first: Term, second: Term) -> Term:
    taken = f"({second.math})" if is_sum(second.math) else second.math
    return Term(f"{first.math} − {taken}", f"({first.shapes} − {second.shapes})", first.shape)


# --- losses ----------------------------------------------------------------------------------------------------------


def _loss(site: Site) -> Term:
    """The gradient of each sample's loss, of which there are as many as targets, reduced."""
    slope = factor(site.local, site.x.shape)
    if site.settings.get("reduction") == "none":
        return times(_kept(site, slope.shape), slope)
    if site.settings.get("reduction") == "mean":
        slope = times(_share(prod(site.inputs[-1].shape)), slope)
    return times(site.g, slope)


# --- elements put elsewhere ------------------------------------------------------------------------------------------


def _key(site: Site) -> str:
    """The index as it is written, in brackets."""
    found = re.search(r"\[.*\]", site.written)
    return found[0] if found else "[…]"


def _index(site: Site) -> Term:
    return applied("put", site.g, site.x.shape, f" at {_key(site)}")


def _scatter(site: Site) -> Term:
    return factor(f"{site.g.math}{_key(site)}", site.x.shape)


def _update(site: Site) -> Term:
    return _scatter(site) if site.position else factor(f"({site.g.math}{_key(site)} ← 0)", site.x.shape)


def _concat(site: Site) -> Term:
    axis = site.settings["axis"] % len(site.out.shape)
    start = sum(term.shape[axis] for term in site.inputs[: site.position])
    cut = ", ".join([":"] * axis + [f"{start}:{start + site.x.shape[axis]}"])
    return factor(f"{site.g.math}[{cut}]", site.x.shape)


def _stack(site: Site) -> Term:
    axis = site.settings["axis"] % len(site.out.shape)
    return factor(f"{site.g.math}[{', '.join([':'] * axis + [str(site.position)])}]", site.x.shape)


def _joined(site: Site) -> Term:
    gradients = [site.parts[i].math if i in site.parts else "0" for i in range(site.results)]
    word = "concat" if site.op.name == "split" else "stack"
    return factor(f"{word}({', '.join(gradients)})", site.x.shape)


ROWS: dict[str, Row] = {
    **dict.fromkeys(("alias", "astype", "copy", "broadcast_to"), _same),
    **dict.fromkeys(("sum", "sum_to"), _spread),
    **dict.fromkeys(("permute_dims", "matrix_transpose"), _transposed),
    **dict.fromkeys(("max", "min", "prod", "logsumexp"), _reduced),
    **dict.fromkeys(("var", "std"), _deviation),
    **dict.fromkeys(("linear", "linear_map"), _linear),
    **dict.fromkeys(("conv", "conv_map"), _conv),
    **dict.fromkeys(("mse_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy"), _loss),
    "index": _index,
    "scatter_add": _scatter,
    "index_update": _update,
    "mean": _mean,
    "vector_norm": _norm,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "matmul": _matmul,
    "vecdot": _vecdot,
    "reshape": _moved("reshape"),
    "concat": _concat,
    "stack": _stack,
    "split": _joined,
    "unstack": _joined,
    "flip": _moved("flip"),
    "roll": _moved("roll_back"),
    "pad": _moved("cut"),
    "tril": _called("tril"),
    "triu": _called("triu"),
    "tile": _called("sum_of_tiles"),
    "repeat": _called("sum_of_repetitions"),
    "cumulative_sum": _called("running_sum_from_the_end"),
    "diagonal": _called("diag"),
    "fill_diagonal": _called("diag"),
    "unfold": _called("fold"),
    "fold": _called("windows"),
    "max_pool": _called("put_at_maxima"),
    "avg_pool": _called("spread_over_windows"),
}
