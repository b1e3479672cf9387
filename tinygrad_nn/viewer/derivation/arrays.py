"""Derivations of arrays: each step is a formula of arrays, with the shapes of its factors beside it."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ...core.define import part
from ...core.graph import Node
from ..common.formulas import derivative
from ..common.recording import Recording, shapes_of
from . import latex
from .builder import Builder, added, shown, unbracketed
from .model import Line
from .rows import Site, pulled_back
from .terms import Math, Term, factor, is_atom, uniform
from .ways import Link, Ways

#: A result without a name is put as a formula where it is used, and so is its gradient, if they are this short.
_SHORT = 40

_MARK = re.compile("\ue000\\d+\ue001")


class ArrayBuilder(Builder):
    """Of arrays, and of numbers made from arrays."""

    def __init__(self, recording: Recording, ways: Ways) -> None:
        super().__init__(recording, ways)
        self._operands: dict[Node, str] = {}  # of results without a name
        self._by_mark: dict[str, str] = {}
        self._gradients: dict[Node, Term] = {}
        self._shown: set[Node] = set()  # nodes with a step of their own
        for node in recording.nodes:
            if self._could_be_written_out(node):
                formula = self.written(node)
                if len(self.symbols.text(formula)) <= _SHORT:
                    self._operands[node] = formula if is_atom(formula) else f"({formula})"
                    self._by_mark[self.mark(node)] = self._operands[node]

    def _could_be_written_out(self, node: Node) -> bool:
        fixed = node is self.start or node is self.end or node.op is part or type(node.value) is tuple
        return not fixed and self.is_unnamed(node)

    # --- definitions -------------------------------------------------------------------------------------------------

    def is_written_out(self, node: Node) -> bool:
        return node in self._operands and node not in self._shown

    def operand(self, source: Any) -> str:
        return self._operands.get(source) or self.mark(source) if isinstance(source, Node) else self.name(source)

    def written(self, node: Node) -> str:
        text = super().written(node)
        if node.op is part:
            return text
        assert node.op is not None
        text = self._signs(text, node) if node.op.elementwise else re.sub("·| @ ", " · ", text)  # of matrices
        return self._put_in(text)

    def _signs(self, formula: str, node: Node) -> str:
        """Elementwise products with the sign that tells them from products of matrices."""
        arrays = any(map(_shape_of, node.inputs))
        return re.sub(r"(?<![\d.])·(?!\d)", " ∗ ", formula) if arrays else formula

    def _put_in(self, formula: str) -> str:
        """A formula in which results without a name are put as formulas."""
        return _MARK.sub(lambda found: self._by_mark.get(found[0], found[0]), formula)

    def beside(self, node: Node) -> tuple[Math, ...]:
        told = [self.symbols.math(str(node.value.shape))] if node.value.shape else []
        if "module" in (node.extra or {}) and node in self.recording.made_in:
            label = self.recording.calls[self.recording.made_in[node]].label
            told.append(Math(label, rf"\text{{{latex.text(label)}}}"))
        return tuple(told)

    # --- steps -------------------------------------------------------------------------------------------------------

    def steps(self) -> list[Line]:
        steps = []
        for node in reversed(self.ways.nodes):
            if node is self.end or type(node.value) is tuple:
                continue
            term = self._gradient(node)
            if term.constant is not None:
                self._gradients[node] = term
            if node in self._operands and len(self.symbols.text(term.math)) <= _SHORT:
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
            pulled_back(self._site(link, position)) for link in self.ways.links[node] for position in link.positions
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
        told = f"{shape} = {term.shapes}" if term.shapes != str(shape) else str(shape)
        beside = (self.symbols.math(told),) if any(map(str.isdigit, told)) else ()
        return self.line(self.adjoint(node), [unbracketed(term.math), *value], beside)

    def _site(self, link: Link, position: int) -> Site:
        node = link.target
        op = node.op
        assert op is not None
        inputs = [self.operand(source) for source in node.inputs]
        names = [self.name(source) for source in node.inputs]
        settings = node.params or {}
        whole = {**settings, "reduction": "sum"} if "reduction" in op.setting_names else settings  # rows share it out
        local = derivative(op, position, names, shapes_of(node), self.mark(node), whole)
        parts: dict[int, Term] = {}
        several = type(node.value) is tuple
        if several:
            users = [user.target for user in self.ways.links[node]]
            parts = {(user.params or {})["index"]: self._known_gradient(user) for user in users}
            out, g = factor(f"({', '.join(map(self.mark, users))})", ()), uniform(Fraction(0), ())
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
            local=self._put_in(self._signs(local, node)),
        )

    def _known_gradient(self, node: Node) -> Term:
        """The gradient of a node, which has been seen to: by its name, or as a formula."""
        shape = node.value.shape
        if node is self.end:
            return uniform(Fraction(1), shape)
        return self._gradients.get(node) or replace(factor(self.adjoint(node), shape), fraction=True)


def _shape_of(source: Any) -> tuple[int, ...]:
    return tuple(source.value.shape) if isinstance(source, Node) else np.shape(source)
