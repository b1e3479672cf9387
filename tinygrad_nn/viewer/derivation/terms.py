"""Formulas with a shape, what the lines of a derivation are made of, and the products and sums of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import TypeAlias

import numpy as np

from ...core.formula import Formula, call, constant, infix, made, negative, times
from ..common.latex import LATEX
from ..common.values import clean

Shape: TypeAlias = tuple[int, ...]


class Math:
    """What is written in both forms; the LaTeX is made when it is asked for."""

    __slots__ = ("_latex", "_sides", "text")

    def __init__(self, *sides: Formula) -> None:
        self.text = " = ".join(clean(str(side)) for side in sides)
        self._sides = sides
        self._latex: Callable[[], str] | str = ""

    @classmethod
    def written(cls, text: str, latex: str) -> Math:
        """What is no formula, in both forms."""
        result = cls()
        result.text, result._latex = text, latex
        return result

    @property
    def formula(self) -> Formula:
        """What is written, as a tree."""
        sides: tuple[Formula, ...] = getattr(self, "_sides", ())  # what earlier releases pickled has none
        return sides[0] if len(sides) == 1 else Formula("text", self.text)

    @property
    def latex(self) -> str:
        """As LaTeX."""
        if callable(self._latex):  # of a derivation that an earlier release pickled
            self._latex = self._latex()
        self._latex = self._latex or clean(" = ".join(map(LATEX.whole, self._sides)))
        return self._latex

    def __repr__(self) -> str:
        return f"<Math {self.text}>"


@dataclass(frozen=True)
class Term:
    """A formula of an array.

    Attributes
    ----------
    math : Formula
    shapes : str
        The shapes of its factors, joined as the factors are.
    shape : tuple of int
        Of the whole.
    constant : Fraction or None
        Where each element is this number, whatever the inputs are.
    product : (Term, Term) or None
        Of what it is the product, if it is one of two matrices.
    """

    math: Formula
    shapes: str
    shape: Shape
    constant: Fraction | None = None
    product: tuple[Term, Term] | None = None

    @property
    def T(self) -> Term:
        """The transpose of the last two axes."""
        shape = (*self.shape[:-2], *self.shape[:-3:-1])
        if self.constant is not None:
            return uniform(self.constant, shape)
        if self.product is not None:
            first, second = self.product
            return matrix(second.T, first.T, shape)
        return factor(made("postfix", "ᵀ", (self.math,)), shape)


def factor(math: Formula, shape: Shape) -> Term:
    """A formula that one shape says all of."""
    plain = negative(math) if math.is_negative else math
    if not plain.is_constant:
        return Term(math, str(shape), shape)
    value, *divisors = (Fraction(part.sign.replace("−", "-")) for part in plain.parts or (plain,))
    for divisor in divisors:
        value /= divisor
    return uniform(-value if math.is_negative else value, shape)


def uniform(value: Fraction, shape: Shape) -> Term:
    """The same number everywhere."""
    size = abs(value)
    math = constant(size.numerator)
    if max(size.numerator, size.denominator) >= 10**6:
        math = constant(float(size))
    elif size.denominator > 1:
        math = infix(math, "/", constant(size.denominator))
    return Term(negative(math) if value < 0 else math, str(shape), shape, value)


def elementwise(first: Term, second: Term, sign: str = "∗") -> Term:
    """The elementwise product, broadcast."""
    return _multiplied(first, second, sign, np.broadcast_shapes(first.shape, second.shape))


def matrix(first: Term, second: Term, shape: Shape, sign: str = "·") -> Term:
    """A product of matrices or vectors, with the result's shape."""
    for one, other in ((first, second), (second, first)):
        if one.constant is not None and prod(one.shape) == 1 and other.shape == shape:
            return _multiplied(one, other, sign, shape)
    product = _joined(_as_matrix(first), _as_matrix(second), sign, shape)
    return replace(product, product=(first, second)) if sign == "·" and len(shape) == 2 else product


def _as_matrix(term: Term) -> Term:
    """A constant as an array of its shape, which a product of matrices sums over."""
    if term.constant is None:
        return term
    ones = Term(call("ones", *map(constant, term.shape)), str(term.shape), term.shape)
    return _multiplied(uniform(term.constant, ()), ones, "·", term.shape)


def _multiplied(first: Term, second: Term, sign: str, shape: Shape) -> Term:
    if first.constant is not None and second.constant is not None:
        return uniform(first.constant * second.constant, shape)
    if second.constant is not None:
        first, second = second, first
    if first.constant is None:
        return _joined(first, second, sign, shape)
    if first.constant == 0:
        return uniform(Fraction(0), shape)
    if abs(first.constant) == 1:
        return Term(second.math if first.constant == 1 else negative(second.math), second.shapes, shape)
    return Term(times(first.math, " · ", second.math), second.shapes, shape)


def _joined(first: Term, second: Term, sign: str, shape: Shape) -> Term:
    sign = "·" if sign == "∗" and shape == () else sign  # of numbers both are the same
    rest = second.math
    one_over = rest.kind == "infix" and rest.sign.strip() == "/" and rest.parts[0] == constant(1)
    if (sign == "∗" or shape == ()) and one_over:
        sign, rest = "/", rest.parts[1]
    return Term(times(first.math, f" {sign} ", rest), f"{first.shapes} {sign} {second.shapes}", shape)


def applied(word: str, term: Term, shape: Shape) -> Term:
    """A function of a term, by a word: ``reshape(dJ/dy)``."""
    return Term(call(word, term.math), f"{word} {_grouped(term)}", shape)


def fitted(term: Term, shape: Shape) -> Term:
    """The sum over the axes along which an input was broadcast."""
    if term.shape == shape:
        return term
    before = len(term.shape) - len(shape)
    axes = [*range(before)]
    axes += [before + i for i, n in enumerate(shape) if n == 1 and term.shape[before + i] != 1]
    return summed(term, tuple(axes), shape)


def summed(term: Term, axes: tuple[int, ...], shape: Shape) -> Term:
    """A sum over axes."""
    if term.constant is not None:
        return uniform(term.constant * prod(term.shape[axis] for axis in axes), shape)
    return Term(over("sum", term, axes), f"sum {_grouped(term)}", shape)


def over(word: str, term: Term, axes: tuple[int, ...]) -> Formula:
    """A function of a term along axes; which, is not said where it is all of them."""
    if len(axes) == len(term.shape):
        return call(word, term.math)
    if not axes:
        return call(word, term.math, Formula("text", "no axes"))
    first, *others = map(constant, axes)
    return call(word, term.math, Formula("prefix", "axes " if others else "axis ", (first,)), *others)


def _grouped(term: Term) -> str:
    return term.shapes if re.fullmatch(r"\([\d, ]*\)", term.shapes) else f"[{term.shapes}]"
