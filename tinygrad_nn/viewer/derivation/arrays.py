"""Derivations of arrays: each step is a formula of arrays, with the shapes of its factors beside it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ...core.define import part
from ...core.formula import Formula, added, infix
from ...core.graph import Node
from ..common.latex import escaped
from ..common.recording import Recording
from .builder import Builder, shown
from .model import Line
from .paths import Link, Paths
from .pullbacks import Site, pulled_back
from .terms import Math, Term, factor, uniform

#: A result without a name is put as a formula where it is used, and so is its gradient, if they are this short.
_SHORT = 40


class ArrayBuilder(Builder):
    """Of arrays, and of numbers made from arrays."""

    def __init__(self, recording: Recording, paths: Paths) -> None:
        super().__init__(recording, paths)
        self._operands: dict[Node, Formula] = {}  # of results without a name
        self._by_name: dict[str, Formula] = {}
        self._gradients: dict[Node, Term] = {}
        self._shown: set[Node] = set()  # nodes with a step of their own
        for node in recording.nodes:
            if self._could_be_written_out(node):
                formula = self.written(node)
                if len(str(formula)) <= _SHORT:
                    self._operands[node] = self._by_name[self.names[node]] = formula

    def _could_be_written_out(self, node: Node) -> bool:
        fixed = node is self.start or node is self.end or node.op is part or type(node.value) is tuple
        return not fixed and self.is_unnamed(node)

    # --- definitions -------------------------------------------------------------------------------------------------

    def is_written_out(self, node: Node) -> bool:
        return node in self._operands and node not in self._shown

    def operand(self, source: Any) -> Formula:
        result = self._operands.get(source) if isinstance(source, Node) else None
        return self.recording.operand(source) if result is None else result

    def written(self, node: Node) -> Formula:
        formula = super().written(node)
        if node.op is part:
            return formula
        assert node.op is not None
        return self._put_in(formula, self._elementwise(node) if node.op.elementwise else " · ")

    def _elementwise(self, node: Node) -> str:
        """The sign that tells elementwise products from products of matrices."""
        return " ∗ " if any(map(_shape_of, node.inputs)) else "·"

    def _put_in(self, formula: Formula, sign: str) -> Formula:
        """A formula with this sign of products, in which results without a name are put as formulas."""

        def change(part: Formula) -> Formula:
            if part.kind == "symbol":
                return self._by_name.get(part.sign, part)
            numbers = sign != " · " and any(map(_is_number, part.parts))
            return infix(part.parts[0], sign, part.parts[1]) if part.sign in ("·", " @ ") and not numbers else part

        return formula.map(change)

    def beside(self, node: Node) -> tuple[Math, ...]:
        said = [_words(str(node.value.shape))] if node.value.shape else []
        if "module" in (node.extra or {}) and node in self.recording.made_in:
            label = self.recording.calls[self.recording.made_in[node]].label
            said.append(Math.written(label, rf"\text{{{escaped(label)}}}"))
        return tuple(said)

    # --- steps -------------------------------------------------------------------------------------------------------

    def steps(self) -> list[Line]:
        steps = []
        for node in reversed(self.paths.nodes):
            if node is self.end or type(node.value) is tuple:
                continue
            term = self._gradient(node)
            if term.constant is not None:
                self._gradients[node] = term
            if node in self._operands and len(str(term.math)) <= _SHORT:
                self._gradients[node] = term
            else:
                self._shown.add(node)
                steps.append(self._step(node, term))
        if self.start in self.known and len(steps[-1].right) < 2:
            steps.append(self.line(self.adjoint(self.start), shown(self.known[self.start], 1000)))
        return [step for step in steps if step.right]

    def _gradient(self, node: Node) -> Term:
        """The sum over all uses of a node."""
        terms = [
            pulled_back(self._site(link, position)) for link in self.paths.links[node] for position in link.positions
        ]
        terms = [term for term in terms if term.constant != 0] or terms[:1]
        if len(terms) == 1:
            return terms[0]
        if all(term.constant is not None for term in terms):
            return uniform(sum((term.constant or Fraction(0) for term in terms), Fraction(0)), node.value.shape)
        return Term(added([term.math for term in terms]), " + ".join(term.shapes for term in terms), node.value.shape)

    def _step(self, node: Node, term: Term) -> Line:
        shape = node.value.shape
        value = shown(self.known[node], _SHORT) if node in self.known else ()
        shapes = f"{shape} = {term.shapes}" if term.shapes != str(shape) else str(shape)
        beside = (_words(shapes),) if any(map(str.isdigit, shapes)) else ()
        return self.line(self.adjoint(node), [term.math, *value], beside)

    def _site(self, link: Link, position: int) -> Site:
        node = link.target
        op = node.op
        assert op is not None
        inputs = [self.operand(source) for source in node.inputs]
        settings = node.params or {}
        whole = {"reduction": "sum"} if "reduction" in op.setting_names else {}  # pullbacks share it out
        local = self.recording.derivative(node, position, **whole)
        parts: dict[int, Term] = {}
        several = type(node.value) is tuple
        if several:
            users = [user.target for user in self.paths.links[node]]
            parts = {(user.params or {})["index"]: self._known_gradient(user) for user in users}
            out, g = (
                factor(Formula("list", "", tuple(map(self.recording.operand, users))), ()),
                uniform(Fraction(0), ()),
            )
        else:
            out, g = factor(self.operand(node), node.value.shape), self._known_gradient(node)
        return Site(
            op=op,
            position=position,
            settings={**op.defaults, **settings},
            inputs=tuple(factor(name, _shape_of(source)) for name, source in zip(inputs, node.inputs)),
            out=out,
            g=g,
            parts=parts,
            results=len(node.value) if several else 1,
            written=self.written(node),
            local=None if local is None else self._put_in(local, self._elementwise(node)),
        )

    def _known_gradient(self, node: Node) -> Term:
        """The gradient of a node, which has been seen to: by its name, or as a formula."""
        shape = node.value.shape
        if node is self.end:
            return uniform(Fraction(1), shape)
        return self._gradients.get(node) or factor(self.adjoint(node), shape)


def _shape_of(source: Any) -> tuple[int, ...]:
    return tuple(source.value.shape) if isinstance(source, Node) else np.shape(source)


def _is_number(part: Formula) -> bool:
    return part.is_constant or (part.is_negative and part.parts[0].is_constant)


def _words(text: str) -> Math:
    return Math(Formula("text", text))
