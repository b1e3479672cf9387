"""How the gradient of an operation's result becomes that of an input, as formulas of arrays: ``dJ/dW = dJ/dZ · Xᵀ``.

An elementwise operation needs no pullback of its own: the gradient is multiplied by its local derivative. What has none
and is not elementwise is said in words, by `in_words`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import Any, TypeAlias

import numpy as np

from ...core.define import Op
from ...core.formula import Formula, call, constant, infix
from .terms import Shape, Term, applied, elementwise, factor, fitted, matrix, over, summed, uniform


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
    written : Formula
        The operation's formula.
    local : Formula or None
        The formula of the local derivative; None if the operation has none.
    """

    op: Op
    position: int
    settings: dict[str, Any]
    inputs: tuple[Term, ...]
    out: Term
    g: Term
    parts: dict[int, Term]
    results: int
    written: Formula
    local: Formula | None

    @property
    def x(self) -> Term:
        """The input."""
        return self.inputs[self.position]


Pullback: TypeAlias = Callable[[Site], Term | None]


def pulled_back(site: Site) -> Term:
    """The gradient of the input that comes by this use of it, in the input's shape."""
    pullback = PULLBACKS.get(site.op.name) if site.op.own else None
    if pullback is None and site.op.elementwise and site.local:
        pullback = _elementwise
    term = pullback(site) if pullback is not None else None
    return in_words(site) if term is None else fitted(term, site.x.shape)


def in_words(site: Site) -> Term:
    """What is always true, for an operation without a pullback here."""
    gradients = Formula("list", "", tuple(part.math for part in site.parts.values()) or (site.g.math,))
    slope = Formula("derivative", "∂", (site.out.math, site.x.math))
    rule = Formula("text", f", by the rule of {site.op.name.lstrip('_')}")
    return factor(Formula("text", "", (slope, Formula("text", " applied to "), gradients, rule)), site.x.shape)


def _elementwise(site: Site) -> Term:
    assert site.local is not None
    parts = set(site.local.inside())
    used = [term.shape for term in (*site.inputs, site.out) if term.math in parts]
    return elementwise(site.g, factor(site.local, np.broadcast_shapes(*used)))


def _same(site: Site) -> Term:
    return site.g


def _transposed(site: Site) -> Term:
    axes = site.settings.get("axes")
    if site.g.constant is not None:
        return uniform(site.g.constant, site.x.shape)
    if len(site.out.shape) == 2 or site.op.name == "matrix_transpose":
        return site.g.T if axes is None or tuple(a % 2 for a in axes) == (1, 0) else site.g
    return applied("transpose", site.g, site.x.shape)


def _called(word: str) -> Pullback:
    return lambda site: applied(word, site.g, site.x.shape)


def _moved(word: str) -> Pullback:
    """The same elements in another order, which leaves a constant as it is."""
    return lambda site: (
        _kept(site, site.x.shape) if site.g.constant is not None else applied(word, site.g, site.x.shape)
    )


# --- products --------------------------------------------------------------------------------------------------------


def _matmul(site: Site) -> Term:
    (x, y), g = site.inputs, site.g
    a, b = len(x.shape), len(y.shape)
    if a == b == 1:
        return elementwise(g, (y, x)[site.position])
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
    return elementwise(_kept(site, np.broadcast_shapes(site.inputs[0].shape, site.inputs[1].shape)), other)


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
    assert site.local is not None
    return elementwise(_spread(site), factor(site.local, site.x.shape))


def _count(site: Site) -> int:
    """How many elements each element of a reduction's result is made of."""
    outs = int(np.prod(site.out.shape, dtype=np.int64))
    return int(np.prod(site.x.shape, dtype=np.int64)) // max(outs, 1)


def _mean(site: Site) -> Term:
    return elementwise(_spread(site), _share(_count(site)))


def _share(count: int) -> Term:
    """The weight of one of so many in a mean."""
    return uniform(Fraction(1, max(count, 1)), ())


def _deviation(site: Site) -> Term:
    """Of the variance: twice the distance from the mean, shared; of its root that, by twice the root."""
    divisor = constant(_count(site) - site.settings.get("correction", 0))
    distance = infix(site.x.math, " − ", over("mean", site.x, _axes(site, None)))
    if site.op.name == "var":
        slope = infix(infix(constant(2), "/", divisor), " · ", distance)
    else:
        slope = infix(distance, "/", infix(divisor, "·", site.out.math))
    return elementwise(_spread(site), factor(slope, site.x.shape))


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
    return elementwise(site.out, _less(site.g, _summing(site, elementwise(site.g, site.out))))


def _log_softmax(site: Site) -> Term:
    return _less(site.g, elementwise(_summing(site, site.g), factor(call("exp", site.out.math), site.out.shape)))


def _less(first: Term, second: Term) -> Term:
    return Term(infix(first.math, " − ", second.math), f"({first.shapes} − {second.shapes})", first.shape)


# --- losses ----------------------------------------------------------------------------------------------------------


def _loss(site: Site) -> Term:
    """The gradient of each sample's loss, of which there are as many as targets, reduced."""
    assert site.local is not None
    slope = factor(site.local, site.x.shape)
    if site.settings.get("reduction") == "none":
        return elementwise(_kept(site, slope.shape), slope)
    if site.settings.get("reduction") == "mean":
        slope = elementwise(_share(prod(site.inputs[-1].shape)), slope)
    return elementwise(site.g, slope)


# --- elements put elsewhere ------------------------------------------------------------------------------------------


def _key(site: Site) -> tuple[Formula, ...]:
    """The index as the formula has it."""
    for part in site.written.inside():
        if part.kind == "index" or part.sign == "[]":
            return part.parts[part.kind == "index" :]
    return (Formula("name", "…"),)


def _index(site: Site) -> Term:
    put = applied("put", site.g, site.x.shape)
    return replace(put, math=call("put", infix(site.g.math, " at ", Formula("fence", "[]", _key(site)))))


def _taken(site: Site, *key: Formula) -> Term:
    """Elements of the gradient of the result."""
    return factor(Formula("index", "", (site.g.math, *key)), site.x.shape)


def _scatter(site: Site) -> Term:
    return _taken(site, *_key(site))


def _update(site: Site) -> Term:
    taken = _scatter(site)
    return taken if site.position else factor(infix(taken.math, " ← ", constant(0)), site.x.shape)


def _concat(site: Site) -> Term:
    axis = site.settings["axis"] % len(site.out.shape)
    start = sum(term.shape[axis] for term in site.inputs[: site.position])
    cut = ", ".join([":"] * axis + [f"{start}:{start + site.x.shape[axis]}"])
    return _taken(site, Formula("text", cut))


def _stack(site: Site) -> Term:
    axis = site.settings["axis"] % len(site.out.shape)
    return _taken(site, Formula("text", ", ".join([":"] * axis + [str(site.position)])))


def _joined(site: Site) -> Term:
    gradients = [site.parts[i].math if i in site.parts else constant(0) for i in range(site.results)]
    word = "concat" if site.op.name == "split" else "stack"
    return factor(call(word, *gradients), site.x.shape)


PULLBACKS: dict[str, Pullback] = {
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
