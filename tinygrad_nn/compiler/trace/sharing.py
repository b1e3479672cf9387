"""Which results of a function share their elements with what it is given or reads, or with each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from weakref import ref

import numpy as np

from ...core.graph import Recorded
from ...core.views import Sharing, array_like, original_of, owner, view_of

#: A view of what comes before, or None for what `detach` gives.
Step = tuple[Sharing, dict[str, Any]] | None


@dataclass
class Link:
    """How a result is taken from an argument, from a Tensor outside, or from another result.

    Attributes
    ----------
    result : int
    steps : list
        From there to the result; none if it is that very Tensor.
    argument, other : int or None
        The number of the argument, or of the other result.
    held : Tensor or None
        The Tensor outside; before `settled`, a weak reference to what may be one.
    """

    result: int
    steps: list[Step]
    argument: int | None = None
    other: int | None = None
    held: Any = None


def links_of(
    results: Sequence[Any], arguments: Mapping[int, Any], is_outside: Callable[[Any], bool]
) -> tuple[list[Link], list[Any]]:
    """The links of results, and Tensors that have to be results too, since results that overlap are views of them.

    `arguments` are the Tensors that stand for arguments, by their numbers.
    """
    by_id = {id(x): i for i, x in arguments.items()}
    places: dict[int, int] = {}
    links: list[Link] = []
    inside: dict[int, list[tuple[Link, Any]]] = {}  # by the Tensor of the function's own that they are views of
    for i, x in enumerate(results):
        if not isinstance(x, Recorded):
            continue
        if places.setdefault(id(x), i) != i:
            links.append(Link(i, [], other=places[id(x)]))
            continue
        root = x
        steps: list[Step] = []
        while id(root) not in by_id and (before := _before(root)) is not None:
            root = before[0]
            steps.insert(0, before[1])
        link = Link(i, steps, argument=by_id.get(id(root)))
        if link.argument is None:
            link.held = ref(root) if is_outside(root) else None
            inside.setdefault(id(root), []).append((link, root))
        links.append(link)
    hidden: list[Any] = []
    for members in inside.values():
        root = members[0][1]
        place = places.get(id(root))
        if place is None and _overlap([results[link.result] for link, _ in members], root):
            place = len(results) + len(hidden)
            hidden.append(root)
        for link, _ in members:
            link.other = None if place == link.result else place
    return links, hidden


def settled(links: Sequence[Link]) -> list[Link]:
    """Those that stand, once what the function made for itself is gone; other results first that they come from."""
    for link in links:
        link.held = link.held and link.held()
    links = [link for link in links if not link.argument is link.other is link.held is None]
    return sorted(links, key=lambda link: link.other is not None and link.held is None)


def _before(x: Any) -> tuple[Any, Step] | None:
    view = view_of(x)
    if view is not None:
        return view.parent, (view.sharing, view.settings)
    original = original_of(x)
    return None if original is x else (original, None)


def _overlap(tensors: Sequence[Any], root: Any) -> bool:
    base = array_like(owner(root))
    arrays = [array_like(x, base) for x in tensors]
    return any(np.shares_memory(x, y) for x, y in combinations(arrays, 2))
