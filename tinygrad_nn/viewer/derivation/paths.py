"""The paths from what is differentiated with respect to, up to the result: the nodes and links on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...core.define import Op
from ...core.graph import Constant, Node


@dataclass(frozen=True, eq=False)
class Link:
    """A node used by a later one, once or several times.

    Attributes
    ----------
    source, target : Node
    positions : tuple of int
        Which of the target's inputs the source is.
    """

    source: Node
    target: Node
    positions: tuple[int, ...]


class Paths:
    """What lies between two nodes of a graph.

    Attributes
    ----------
    nodes : list of Node
        On a path from `start` to `end`, both included, oldest first; empty if there is none.
    links : dict of Node to list of Link
        From each of them to those that use it.
    """

    def __init__(self, nodes: Sequence[Node], start: Node, end: Node) -> None:
        self.start, self.end = start, end
        ahead = {start}
        uses: dict[Node, list[Link]] = {}  # by target
        for node in nodes:
            if node.order > start.order and node.op is not None:
                results = [link for link in _uses(node) if link.source in ahead]
                if results:
                    ahead.add(node)
                    uses[node] = results
        on = {end} if end in ahead else set()
        for node in reversed(nodes):
            if node in on:
                on.update(link.source for link in uses.get(node, ()))
        self.nodes = [node for node in nodes if node in on]
        self.links: dict[Node, list[Link]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for link in uses.get(node, ()):
                self.links[link.source].append(link)
        self._varying = {node: len(uses.get(node, ())) for node in self.nodes}

    def is_partial(self, link: Link) -> bool:
        """Whether the target changes by another link too when `start` does, so that the link is a part alone."""
        return self._varying[link.target] > 1

    def count(self) -> int:
        """How many paths there are. In a chain of diamonds they double with each, so they are counted, not walked."""
        counts = {self.end: 1} if self.nodes else {}
        left = dict(self._varying)
        for node in reversed(self.nodes):
            if node is not self.end:
                counts[node] = sum(counts[link.target] for link in self.links[node])
                for link in self.links[node]:
                    left[link.target] -= 1
                    if not left[link.target]:  # such numbers can have thousands of digits
                        del counts[link.target]
        return counts.get(self.start, 0)

    def __iter__(self) -> Iterator[tuple[Link, ...]]:
        """Each path as its links, from `start` on."""
        if not self.nodes:
            return
        if self.start is self.end:
            yield ()
            return
        path: list[Link] = []
        turns = [iter(self.links[self.start])]
        while turns:
            link = next(turns[-1], None)
            if link is None:
                turns.pop()
                if path:
                    path.pop()
                continue
            path.append(link)
            if link.target is self.end:
                yield tuple(path)
                path.pop()
            else:
                turns.append(iter(self.links[link.target]))


def _uses(node: Node) -> list[Link]:
    op = node.op
    assert op is not None
    positions: dict[Node, list[int]] = {}
    for position, source in enumerate(node.inputs):
        if isinstance(source, Node) and type(source) is not Constant and _passes(op, position):
            positions.setdefault(source, []).append(position)
    return [Link(source, node, tuple(places)) for source, places in positions.items()]


def _passes(op: Op, position: int) -> bool:
    """Whether an operation has a derivative with respect to an input; one without any raises when it is asked."""
    return op.rules is None or op.rules[position] is not None
