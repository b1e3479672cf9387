"""Derivations where all between variable and result are numbers: each path is a product of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...core.formula import Formula, added, constant, number, times
from ...core.graph import Node
from ..common.recording import Recording, local_derivative
from .builder import Builder
from .model import Explanation, Factor, Line, Path
from .paths import Link, Paths
from .terms import Math


def local_derivatives(paths: Paths) -> dict[Link, float] | None:
    """The local derivative of each link, of an input used several times their sum; None if one is no number."""
    if any(type(node.value) is tuple or node.value.shape != () for node in paths.nodes):
        return None
    results: dict[Link, float] = {}
    for links in paths.links.values():
        for link in links:
            values = [local_derivative(link.target, position) for position in link.positions]
            if None in values:
                return None
            results[link] = sum(value for value in values if value is not None)
    return results


class NumberBuilder(Builder):
    """Of numbers alone."""

    scalar = True

    def __init__(self, recording: Recording, paths: Paths, locals: dict[Link, float]) -> None:
        super().__init__(recording, paths)
        self.locals = locals
        self._formulas: dict[Link, Formula] = {}
        precisions = [np.finfo(dtype) for dtype in {node.value.dtype for node in paths.nodes}]
        self.eps = max(float(info.eps) for info in precisions)
        self.tiny = max(float(info.tiny) for info in precisions)

    # --- local derivatives -------------------------------------------------------------------------------------------

    def beside(self, node: Node) -> tuple[Math, ...]:
        if node is self.start or node not in self.paths.links:
            return ()
        sources = dict.fromkeys(source for source in node.inputs if isinstance(source, Node))
        links = [link for source in sources for link in self.paths.links.get(source, ()) if link.target is node]
        return tuple(map(self._local, links))

    def _local(self, link: Link) -> Math:
        parts = [self._symbol(link), self._formula(link)]
        value = constant(self.locals[link])
        return Math(*parts) if parts[-1] == value else Math(*parts, value)

    def _formula(self, link: Link) -> Formula:
        """The local derivative of a link as a formula; its number where there is none."""
        if link not in self._formulas:
            results = [self.recording.derivative(link.target, position) for position in link.positions]
            known = [formula for formula in results if formula is not None]
            self._formulas[link] = added(known) if len(known) == len(results) else constant(self.locals[link])
        return self._formulas[link]

    def _symbol(self, link: Link) -> Formula:
        return self.derivative(link.target, link.source, "∂" if self.paths.is_partial(link) else "d")

    # --- steps and paths ---------------------------------------------------------------------------------------------

    def steps(self) -> list[Line]:
        return [self._step(node) for node in reversed(self.paths.nodes) if node is not self.end]

    def _step(self, node: Node) -> Line:
        symbols, formulas, numbers, products = [], [], [], []
        for link in self.paths.links[node]:
            local = self.locals[link]
            if link.target is self.end:
                products.append(local)
                symbols.append(self._symbol(link))
                formulas.append(self._formula(link))
                numbers.append(constant(local))
            else:
                through = float(self.known.get(link.target, 0))
                products.append(_product((through, local)))
                symbols.append(times(self.adjoint(link.target), " · ", self._symbol(link)))
                numbers.append(times(constant(through), " · ", constant(local)))
        value = float(self.known.get(node, 0))
        self._check(node, value, products)
        direct = [added(formulas)] if len(formulas) == len(symbols) else []
        return self.line(self.adjoint(node), [added(symbols), *direct, added(numbers), constant(value)])

    def path(self, links: Sequence[Link]) -> Path:
        factors = [
            Factor(Math(self._symbol(link)), Math(self._formula(link)), self.locals[link]) for link in reversed(links)
        ]
        return Path(self.nodes_on(links), tuple(factors), _product([factor.number for factor in factors]))

    # --- checks ------------------------------------------------------------------------------------------------------

    def _check(self, node: Node, value: float, products: list[float]) -> None:
        """The chain rule through the local derivatives must give what the engine's reverse pass gives."""
        bound = sum(map(abs, products))
        slack = 16 * (len(products) + 1) * (self.eps * bound + self.tiny)
        if math.isfinite(value) and math.isfinite(bound) and abs(sum(products) - value) > slack:
            raise RuntimeError(self._disagreement(node, sum(products), value))

    def check_sum(self, made: Explanation) -> None:
        products = [path.value for path in made.paths if path.value is not None]
        total, bound, value = sum(products), sum(map(abs, products)), float(made.value)
        longest = max(len(path.factors) for path in made.paths)
        vanished = any(abs(float(g)) < self.tiny for g in self.known.values())  # the pass rounded to zero
        if vanished or not (math.isfinite(bound) and math.isfinite(value)):
            return
        if abs(total - value) > 16 * (longest + len(products)) * self.eps * bound:
            raise RuntimeError(self._disagreement(self.start, total, value))

    def _disagreement(self, node: Node, total: float, value: float) -> str:
        ops = sorted({link.target.op.name for link in self.paths.links[node] if link.target.op is not None})
        return (
            f"explain: by the chain rule {self.adjoint(node)} is {number(total)}, but the reverse "
            f"pass gives {number(value)}: a derivative of {' or '.join(ops)} is not linear in the gradient it is given"
        )


def _product(numbers: Sequence[float]) -> float:
    """From the result on; what is zero stays so, as in the reverse pass."""
    total = 1.0
    for x in numbers:
        total = total * x if total else 0.0
    return total
