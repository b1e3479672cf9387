"""Derivations: the chain rule along every path of a recorded graph, as text and as LaTeX.

`paths` finds what lies between the variable and the result, `gradients` has the engine compute the numbers, `rows`
knows the formulas of gradients of arrays, `build` makes of them the plain model (`model`), which `text` and `typeset`
write.
"""

from __future__ import annotations

import sys
from typing import TypeAlias, overload

import numpy as np

from ...core.errors import show
from ...core.graph import Node
from ...core.store import refuse
from ...tensor.tensor import Tensor
from ..common.names import Holders
from ..common.recording import Recording, check_recorded
from .build import build, independent
from .derivation import Derivation, Derivations
from .model import Factor, Path

Several: TypeAlias = list[Tensor | str] | list[Tensor] | tuple[Tensor | str, ...]

__all__ = ["Derivation", "Derivations", "Factor", "Path", "explain"]


_NOT_TO = "explain: wrt is a Tensor, a name, or a list of them, not {}"


@overload
def explain(t: Tensor, wrt: Tensor | str, *, limit: int = 8) -> Derivation: ...
@overload
def explain(t: Tensor, wrt: Several, *, limit: int = 8) -> Derivations: ...
def explain(t: Tensor, wrt: Tensor | str | Several, *, limit: int = 8) -> Derivation | Derivations:
    """The derivation of ∂t/∂wrt by the chain rule, along every path and summed.

    Between numbers each path is the product of the local derivatives on it: in symbols, as formulas, in numbers. Then
    the gradient of each intermediate result is given, step by step from the result back, as it is computed. Between
    arrays the steps are formulas of arrays, with the shape of each factor beside them, where ``·`` is the product of
    matrices and ``∗`` the elementwise one.

    ``du/db`` is written where `u` depends on `wrt` by `b` alone, and ``∂u/∂b`` where it depends on it in another way
    too. What an operation uses twice, as in ``x·x``, is one step with the sum of both local derivatives.

    Results without a name, as those inside of ``a + b*c`` are, have one from their position between numbers, ``v₁``,
    as in a drawing; a last block gives the gradients as formulas with such results written out. Between arrays they are
    written out at once where they are short.

    Only the recording is read: neither gradients nor the graph are changed, and hooks are not called. It may be called
    before ``backward()`` or after it; then the numbers are there as long as the values that they need are known. Those
    of at most 64 elements always are, larger ones while a variable holds them or if the pass was told
    ``retain_graph=True``.

    Parameters
    ----------
    t : Tensor
        The result, with one element.
    wrt : Tensor or str, or a list of them
        What it is differentiated with respect to: a leaf or any intermediate result, itself or by the name that
        `tinygrad_nn.draw` gives it.
    limit : int
        How many paths are written out. If there are more, their number is told and the steps are, in which each
        intermediate result appears once.

    Returns
    -------
    Derivation
        ``print`` it, look at its ``latex``, or ``save`` it; for a list a `Derivations` with one for each.

    Raises
    ------
    TypeError
        If `t` is no Tensor, or `wrt` neither a Tensor nor a name.
    ValueError
        If nothing was recorded for `t`, it has more elements than one, `wrt` does not require gradients, or no result
        has the name.
    RuntimeError
        If the paths do not add up to the gradient that the reverse pass gives, because a derivative that a user wrote
        is not linear in the gradient of its result.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> a, b, c = (tg.tensor(x, requires_grad=True) for x in (5.0, 3.0, 2.0))
    >>> u = b * c
    >>> v = a + u
    >>> J = 3 * v
    >>> print(tg.explain(J, wrt=b))
        a = 5, b = 3, c = 2
        u = b·c = 6      du/db = c = 2
        v = a + u = 11   dv/du = 1
        J = 3·v = 33     dJ/dv = 3
    <BLANKLINE>
    One path leads from b to J:
    <BLANKLINE>
        b → u → v → J
    <BLANKLINE>
        dJ/db = dJ/dv · dv/du · du/db
              = 3 · 1 · c
              = 3 · 1 · 2
              = 6
    <BLANKLINE>
    Step by step, from the result back:
    <BLANKLINE>
        dJ/dv = 3
        dJ/du = dJ/dv · dv/du = 3 · 1 = 3
        dJ/db = dJ/du · du/db = 3 · 2 = 6
    """
    check_recorded(t, "explain", "explain")
    refuse(
        "explain reads numbers, which a function that is being compiled does not have: call it outside", RuntimeError
    )
    if t.size != 1 or t.dtype.kind != "f":
        raise ValueError(
            f"explain: the result is {show(t._value)}; a derivation is of one real number: reduce it, by .sum() or "
            ".mean(), or take one element"
        )
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise ValueError(f"explain: limit is {limit!r}; it is how many paths are written out, from 0")
    recording = Recording(t, Holders(sys._getframe(1)))
    if isinstance(wrt, Tensor | str):
        return _one(recording, wrt, limit)
    if not isinstance(wrt, list | tuple):
        raise TypeError(_NOT_TO.format(type(wrt).__name__))
    return Derivations(_one(recording, one, limit) for one in wrt)


def _one(recording: Recording, wrt: Tensor | str, limit: int) -> Derivation:
    if isinstance(wrt, str):
        return Derivation(build(recording, _named(recording, wrt), limit))
    if not isinstance(wrt, Tensor):
        raise TypeError(_NOT_TO.format(type(wrt).__name__))
    node = _node_of(recording, wrt)
    if node is not None:
        return Derivation(build(recording, node, limit))
    if wrt._node is None:
        raise ValueError(
            f"explain: wrt, {show(wrt._value)}, does not require gradients, so how the result depends on it was not "
            "recorded; make it with requires_grad=True"
        )
    name = recording.holders.name(wrt._node) or "x"
    zero = np.zeros(wrt.shape, wrt.dtype)[()]
    return Derivation(independent(recording.names[recording.root], name, zero))


def _named(recording: Recording, name: str) -> Node:
    result = next((node for node, known in recording.names.items() if known == name and type(node) is Node), None)
    if result is None:
        known = [known for node, known in recording.names.items() if known and type(node) is Node]
        more = ", …" if len(known) > 20 else ""
        raise ValueError(
            f"explain: nothing that has a gradient is called {name!r}; there are {', '.join(known[:20])}{more}"
        )
    return result


def _node_of(recording: Recording, wrt: Tensor) -> Node | None:
    """The node of a Tensor; of a parameter that was updated since, the one that it had in the recording."""
    if wrt._node is not None and wrt._node in recording.names:
        return wrt._node
    earlier = [node for node in recording.nodes if type(node) is Node and node.op is None and node.tensor() is wrt]
    return earlier[-1] if earlier else None
