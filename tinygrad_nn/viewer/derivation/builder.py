"""What derivations of numbers and of arrays have in common: names, definitions, and the pass for the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ...core.define import part
from ...core.formula import Formula, constant, symbol
from ...core.graph import Node
from ..common.latex import LATEX
from ..common.recording import Recording
from ..common.values import summarise
from .gradients import NotKeptError, gradients
from .model import Explanation, Line, Path
from .paths import Link, Paths
from .terms import Math

_LET_GO = (
    "without numbers: an earlier backward() let go of values that they need; call explain before it, "
    "or backward(retain_graph=True)"
)

#: Longer values of arrays are left out of the lines.
_LONGEST_VALUE = 32


class Builder:
    """Makes the model of a derivation, from the definitions to the steps back.

    Parameters
    ----------
    recording : Recording
    paths : Paths
        What lies between the variable and the result; at least one path.
    """

    scalar = False

    def __init__(self, recording: Recording, paths: Paths) -> None:
        self.recording = recording
        self.names = recording.names
        self.paths = paths
        self.start, self.end = paths.start, paths.end
        self.known: dict[Node, Any] = {}  # gradients, as the engine's pass gives them

    def explanation(self, limit: int) -> Explanation:
        """The model, with the paths written out if they are at most `limit`."""
        count = self.paths.count()
        end, start = self.names[self.end], self.names[self.start]
        result = Explanation(end, start, Math(self.adjoint(self.start)), self.scalar, None, count)
        try:
            self.known = gradients(self.recording, self.paths)
            result.value = self.known[self.start]
        except NotKeptError:
            result.notes.append(_LET_GO)
        result.steps = self.steps()
        result.given, result.definitions = self._definitions()
        if count <= limit:
            result.paths = tuple(map(self.path, self.paths))
            self.check_sum(result)
        return result

    def steps(self) -> list[Line]:
        """The gradient of each node on the paths, from the result back."""
        raise NotImplementedError

    def path(self, links: Sequence[Link]) -> Path:
        """One path, for the reader."""
        return Path(self.nodes_on(links))

    def check_sum(self, made: Explanation) -> None:
        """Raise if the paths do not add up to the gradient."""

    # --- names -------------------------------------------------------------------------------------------------------

    def adjoint(self, node: Node) -> Formula:
        """The gradient of a node: ``dJ/du``."""
        return self.derivative(self.end, node)

    def derivative(self, of: Node, by: Node, sign: str = "d") -> Formula:
        """The derivative of a node by another, as a symbol."""
        return Formula("derivative", sign, (symbol(self.names[of]), symbol(self.names[by])))

    def nodes_on(self, links: Sequence[Link]) -> tuple[Math, ...]:
        """What lies on a path; an operation with several results has no name of its own."""
        nodes = [self.start, *(link.target for link in links)]
        return tuple(Math(self.operand(node)) for node in nodes if type(node.value) is not tuple)

    # --- definitions -------------------------------------------------------------------------------------------------

    def _definitions(self) -> tuple[list[Line], list[Line]]:
        wanted = self._wanted()
        inputs, definitions = [], []
        for node in self.recording.nodes:
            if node not in wanted or type(node.value) is tuple:
                continue
            left = Math(self.recording.operand(node))
            if node.op is None or node is self.start:
                inputs.append(Line(left, self.value(node), self.beside(node)))
            elif not self.is_written_out(node):
                right = (Math(self.written(node)), *self.value(node))
                definitions.append(Line(left, right, self.beside(node)))
        return inputs, definitions

    def _wanted(self) -> dict[Node, None]:
        """What is on the paths and what goes in there, with what made it where that has no name."""
        wanted: dict[Node, None] = {}
        queue = list(self.paths.nodes)
        on = set(queue)
        for node in queue:  # grows while it is read
            if node in wanted:
                continue
            wanted[node] = None
            if node is self.start or not (node in on or self.is_unnamed(node)):
                continue
            inputs = node.x.inputs if node.op is part else node.inputs
            queue.extend(self.recording.same.get(source, source) for source in inputs if isinstance(source, Node))
        return wanted

    def is_unnamed(self, node: Node) -> bool:
        """Whether a result has a name from its position alone, and is not what a module gave."""
        return node.op is not None and not self.recording.holders.name(node) and "module" not in (node.extra or {})

    def is_written_out(self, node: Node) -> bool:
        """Whether a result is put as a formula wherever it is used, and so needs no definition."""
        return False

    def operand(self, source: Any) -> Formula:
        """What an input is in formulas."""
        return self.recording.operand(source)

    def written(self, node: Node) -> Formula:
        """What made a node, as a formula."""
        if node.op is part:
            return Formula("index", "", (self.written(node.x), constant((node.params or {})["index"])))
        return self.recording.expression(node)

    def value(self, node: Node) -> tuple[Math, ...]:
        """The value of a node, if that is short."""
        return shown(self.recording.value(node), _LONGEST_VALUE)

    def beside(self, node: Node) -> tuple[Math, ...]:
        """What is said beside a definition."""
        raise NotImplementedError

    def line(self, left: Formula, right: Sequence[Formula | Math], beside: tuple[Math, ...] = ()) -> Line:
        """A line in both forms, without what stands there twice in a row."""
        sides = [side if isinstance(side, Math) else Math(side) for side in (left, *right)]
        return Line(sides[0], tuple(side for before, side in pairwise(sides) if side.text != before.text), beside)


def shown(value: Any, longest: int) -> tuple[Math, ...]:
    """A value with few numbers, in LaTeX as a matrix; nothing for others."""
    summary = summarise(value)
    if summary.scalar and summary.numbers is not None:
        return (Math(constant(summary.numbers)),)
    if not summary.tiny or len(summary.brief()) > longest:
        return ()
    rows = r" \\ ".join(" & ".join(map(LATEX.words, row)) for row in summary.rows())
    return (Math.written(summary.brief(), rf"\begin{{bmatrix}} {rows} \end{{bmatrix}}"),)
