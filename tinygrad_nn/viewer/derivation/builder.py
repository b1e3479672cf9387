"""What derivations of numbers and of arrays have in common: names, definitions, and the pass for the numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ...core.define import part
from ...core.graph import Node
from ..common.formulas import expression
from ..common.recording import Recording
from ..common.values import clean, number, summarise
from . import latex
from .gradients import NotKeptError, gradients
from .model import Explanation, Line, Path
from .terms import Math, Symbols, is_sum
from .ways import Link, Ways

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
    ways : Ways
        What lies between the variable and the result; at least one path.
    """

    scalar = False

    def __init__(self, recording: Recording, ways: Ways) -> None:
        self.recording = recording
        self.names = recording.names
        self.ways = ways
        self.start, self.end = ways.start, ways.end
        self.symbols = Symbols()
        self.known: dict[Node, Any] = {}  # gradients, as the engine's pass gives them
        self._marks: dict[Node, str] = {}
        self._adjoints: dict[Node, str] = {}

    def explanation(self, limit: int) -> Explanation:
        """The model, with the paths written out if they are at most `limit`."""
        count = self.ways.count()
        symbol = self.symbols.math(self.symbols.derivative(self.names[self.end], self.names[self.start]))
        made = Explanation(self.names[self.end], self.names[self.start], symbol, self.scalar, None, count)
        try:
            self.known = gradients(self.recording, self.ways)
            made.value = self.known[self.start]
        except NotKeptError:
            made.notes.append(_LET_GO)
        made.steps = self.steps()
        made.given, made.definitions = self._definitions()
        if count <= limit:
            made.paths = tuple(map(self.path, self.ways.paths()))
            self.check_sum(made)
        return made

    def steps(self) -> list[Line]:
        """The gradient of each node on the ways, from the result back."""
        raise NotImplementedError

    def path(self, links: Sequence[Link]) -> Path:
        """One path, for the reader."""
        return Path(self.nodes_on(links))

    def check_sum(self, made: Explanation) -> None:
        """Raise if the paths do not add up to the gradient."""

    # --- names -------------------------------------------------------------------------------------------------------

    def mark(self, node: Node) -> str:
        """What stands for a node in formulas."""
        node = self.recording.same.get(node, node)
        if node not in self._marks:
            self._marks[node] = self.symbols.name(self.names[node])
        return self._marks[node]

    def adjoint(self, node: Node) -> str:
        """What stands for the gradient of a node: ``dJ/du``."""
        if node not in self._adjoints:
            self._adjoints[node] = self.symbols.derivative(self.names[self.end], self.names[node])
        return self._adjoints[node]

    def nodes_on(self, links: Sequence[Link]) -> tuple[Math, ...]:
        """What lies on a path; an operation with several results has no name of its own."""
        nodes = [self.start, *(link.target for link in links)]
        return tuple(
            self.symbols.math(unbracketed(self.operand(node))) for node in nodes if type(node.value) is not tuple
        )

    # --- definitions -------------------------------------------------------------------------------------------------

    def _definitions(self) -> tuple[list[Line], list[Line]]:
        wanted = self._wanted()
        given, definitions = [], []
        for node in self.recording.nodes:
            if node not in wanted or type(node.value) is tuple:
                continue
            left = self.symbols.math(self.mark(node))
            if node.op is None or node is self.start:
                given.append(Line(left, self.value(node), self.beside(node)))
            elif not self.is_written_out(node):
                right = (self.symbols.math(unbracketed(self.written(node))), *self.value(node))
                definitions.append(Line(left, right, self.beside(node)))
        return given, definitions

    def _wanted(self) -> dict[Node, None]:
        """What is on the ways and what goes in there, with what made it where that has no name."""
        wanted: dict[Node, None] = {}
        queue = list(self.ways.nodes)
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

    def operand(self, source: Any) -> str:
        """What stands for an input in formulas."""
        return self.name(source)

    def written(self, node: Node) -> str:
        """What made a node, as a formula."""
        if node.op is part:
            return f"{self.written(node.x)}[{(node.params or {})['index']}]"
        assert node.op is not None
        text = expression(node.op, [self.name(source) for source in node.inputs], node.params or {})
        pieces = re.split("(\ue000\\d+\ue001)", text)
        return "".join(piece if piece[:1] == "\ue000" else clean(piece) for piece in pieces)

    def name(self, source: Any) -> str:
        """The mark of an input; a plain number as it is."""
        return self.mark(source) if isinstance(source, Node) else number(source)

    def value(self, node: Node) -> tuple[Math, ...]:
        """The value of a node, if that is short."""
        return shown(self.recording.value(node), _LONGEST_VALUE)

    def beside(self, node: Node) -> tuple[Math, ...]:
        """What is said beside a definition."""
        raise NotImplementedError

    def line(self, left: str, right: Sequence[str | Math], beside: tuple[Math, ...] = ()) -> Line:
        """A line of marks in both forms, without what stands there twice in a row."""
        sides = [self.symbols.math(side) if isinstance(side, str) else side for side in (left, *right)]
        return Line(sides[0], tuple(side for before, side in pairwise(sides) if side.text != before.text), beside)


def shown(value: Any, longest: int) -> tuple[Math, ...]:
    """A value with few numbers, in LaTeX as a matrix; nothing for others."""
    summary = summarise(value)
    if summary.scalar and summary.numbers is not None:
        return (Math(summary.brief(), latex.formula(summary.brief(), ())),)
    if not summary.tiny or len(summary.brief()) > longest:
        return ()
    rows = r" \\ ".join(" & ".join(latex.formula(x, ()) for x in row) for row in summary.rows())
    return (Math(summary.brief(), rf"\begin{{bmatrix}} {rows} \end{{bmatrix}}"),)


def added(terms: Sequence[str]) -> str:
    """Terms added up; a negative one is taken away."""
    text = terms[0]
    for term in terms[1:]:
        text += f" − {term[1:]}" if term.startswith("−") and not is_sum(term) else f" + {term}"
    return text


def unbracketed(formula: str) -> str:
    """A formula without brackets that say nothing: ``log((1 − A))`` as ``log(1 − A)``, ``(a·b) + c`` as ``a·b + c``."""
    closing = _pairs(formula)
    doubled = [(i + 1, end - 1) for i, end in closing.items() if closing.get(i + 1) == end - 1]
    formula = _without(formula, doubled)
    return _without(formula, [(i, end) for i, end in _pairs(formula).items() if _needless(formula, i, end)])


def _pairs(formula: str) -> dict[int, int]:
    """Where each bracket opens, and closes."""
    opened: list[int] = []
    closing: dict[int, int] = {}
    for i, sign in enumerate(formula):
        if sign == "(":
            opened.append(i)
        elif sign == ")" and opened:
            closing[opened.pop()] = i
    return closing


def _without(formula: str, pairs: Sequence[tuple[int, int]]) -> str:
    left_out = {i for pair in pairs for i in pair}
    return "".join(sign for i, sign in enumerate(formula) if i not in left_out)


def _needless(formula: str, start: int, end: int) -> bool:
    """Whether brackets are around the whole, or around a product in a sum."""
    before, inside, after = formula[:start], formula[start + 1 : end], formula[end + 1 :]
    if not before and not after:
        return True
    starts = not before or before.endswith(("(", " + ")) or (before.endswith(" − ") and inside[:1] != "−")
    return not is_sum(inside) and starts and (not after or after.startswith((")", ", ", " + ", " − ")))
