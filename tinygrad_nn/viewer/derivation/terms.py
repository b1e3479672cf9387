"""Formulas with a text, a LaTeX and a shape: what the lines of a derivation are made of."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from math import prod
from typing import TypeAlias

import numpy as np

from ..common.values import number
from . import latex

Shape: TypeAlias = tuple[int, ...]


class Math:
    """A piece of mathematics in both of the forms that it is written in; the LaTeX is made when it is asked for."""

    __slots__ = ("_latex", "text")

    def __init__(self, text: str, tex: str | Callable[[], str]) -> None:
        self.text = text
        self._latex = tex

    @property
    def latex(self) -> str:
        """As LaTeX."""
        if callable(self._latex):
            self._latex = self._latex()
        return self._latex

    def __repr__(self) -> str:
        return f"<Math {self.text}>"


class Symbols:
    """The names that formulas are written with, each known by a mark that no formula can contain otherwise."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._latex: list[Callable[[], str]] = []

    def _add(self, text: str, tex: Callable[[], str]) -> str:
        self._texts.append(text)
        self._latex.append(tex)
        return f"\ue000{len(self._texts) - 1}\ue001"

    def name(self, name: str) -> str:
        """A mark for a variable, that stands for it wherever it is put in a formula."""
        return self._add(name, partial(latex.symbol, name))

    def derivative(self, of: str, by: str, sign: str = "d") -> str:
        """A mark for ``dJ/db``; names of several letters are set apart: ``d loss/d fc1.weight``."""
        space = "" if latex.is_short(of) and latex.is_short(by) else " "
        return self._add(f"{sign}{space}{of}/{sign}{space}{by}", partial(latex.fraction, of, by, sign, bool(space)))

    def text(self, template: str) -> str:
        """A formula as text."""
        return re.sub("\ue000(\\d+)\ue001", lambda found: self._texts[int(found[1])], template)

    def latex(self, template: str) -> str:
        """A formula as LaTeX."""
        return latex.formula(template, self._latex)

    def math(self, template: str) -> Math:
        """A formula in both forms."""
        return Math(self.text(template), partial(self.latex, template))


@dataclass(frozen=True)
class Term:
    """A formula of an array, as a template of marks.

    Attributes
    ----------
    math : str
        The formula.
    shapes : str
        The shapes of its factors, joined as the factors are.
    shape : tuple of int
        Of the whole.
    constant : Fraction or None
        Where each element is this number, whatever the inputs are.
    product : (Term, Term) or None
        Of what it is the product, if it is one of two matrices.
    fraction : bool
        Whether it is written with a stroke, ``dJ/dZ``, and so is put in brackets where a sign follows.
    """

    math: str
    shapes: str
    shape: Shape
    constant: Fraction | None = None
    product: tuple[Term, Term] | None = None
    fraction: bool = False

    @property
    def T(self) -> Term:
        """The transpose of the last two axes."""
        shape = (*self.shape[:-2], *self.shape[:-3:-1])
        if self.constant is not None:
            return uniform(self.constant, shape)
        if self.product is not None:
            first, second = self.product
            return matrix(second.T, first.T, shape)
        if self.math.endswith("ᵀ") and is_atom(self.math[:-1]):
            return factor(self.math[:-1], shape)
        return factor(f"{self.math}ᵀ" if is_atom(self.math) and not self.fraction else f"({self.math})ᵀ", shape)


def factor(math: str, shape: Shape) -> Term:
    """A formula that is told by one shape."""
    plain = math.replace("−", "-")
    if re.fullmatch(r"-?\d+(\.\d+)?(/\d+)?", plain):
        whole, _, part = plain.partition("/")
        return uniform(Fraction(whole) / Fraction(part or 1), shape)
    return Term(math, str(shape), shape)


def uniform(value: Fraction, shape: Shape) -> Term:
    """The same number everywhere."""
    if max(abs(value.numerator), value.denominator) < 10**6:
        text = f"{value.numerator}/{value.denominator}" if value.denominator > 1 else str(value.numerator)
    else:
        text = number(float(value))
    return Term(text.replace("-", "−"), str(shape), shape, value)


def _outside(math: str) -> str:
    """What of a formula stands outside of all brackets."""
    depth, outside = 0, []
    for sign in math:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(sign, 0)
        if not depth:
            outside.append(sign)
    return "".join(outside)


def is_sum(math: str) -> bool:
    """Whether a sum, a comparison or words stand outside of brackets."""
    outside = _outside(math)
    return any(word in outside for word in (" + ", " − ", " where ", " else ", ", ", " at ", " ← "))


def is_atom(math: str) -> bool:
    """Whether nothing outside of brackets could be taken apart: a name, a function's value, a bracket."""
    return re.fullmatch("(\\w|[\ue000\ue001.₀-₉])*[)\\]]?", _outside(math)) is not None


def bracketed(math: str) -> str:
    """A formula as a factor: in brackets if it is a sum or a quotient."""
    return f"({math})" if is_sum(math) or "/" in _outside(math) else math


def _summand(math: str) -> str:
    return f"({math})" if is_sum(math) else math


def times(first: Term, second: Term, sign: str = "∗") -> Term:
    """The elementwise product, broadcast."""
    return _multiplied(first, second, sign, np.broadcast_shapes(first.shape, second.shape))


def matrix(first: Term, second: Term, shape: Shape, sign: str = "·") -> Term:
    """A product of matrices or vectors, with the result's shape."""
    for one, other in ((first, second), (second, first)):
        if one.constant is not None and prod(one.shape) == 1 and other.shape == shape:
            return _multiplied(one, other, sign, shape)
    made = _joined(_as_matrix(first), _as_matrix(second), sign, shape)
    return replace(made, product=(first, second)) if sign == "·" and len(shape) == 2 else made


def _as_matrix(term: Term) -> Term:
    """A constant as an array of its shape, which a product of matrices sums over."""
    if term.constant is None:
        return term
    ones = Term(f"ones{term.shape}", str(term.shape), term.shape)
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
    if first.constant == 1:
        return Term(second.math, second.shapes, shape, fraction=second.fraction)
    if first.constant == -1:
        return Term(negative(second.math), second.shapes, shape)
    return Term(f"{first.math} · {_summand(second.math)}", second.shapes, shape)


def negative(math: str) -> str:
    """The formula with the other sign."""
    return math[1:] if math.startswith("−") and not is_sum(math) else f"−{_summand(math)}"


def _joined(first: Term, second: Term, sign: str, shape: Shape) -> Term:
    sign = "·" if sign == "∗" and shape == () else sign  # of numbers both are the same
    start = f"({first.math})" if _mixes(first.math, sign) else _summand(first.math)
    if (sign == "∗" or shape == ()) and second.math.startswith("1/") and is_atom(second.math[2:]):
        return Term(f"{start} / {second.math[2:]}", f"{first.shapes} / {second.shapes}", shape)
    rest = second.math
    if rest.startswith("−") or bracketed(rest) != rest or _mixes(rest, sign, second=True):
        rest = f"({rest})"
    return Term(f"{start} {sign} {rest}", f"{first.shapes} {sign} {second.shapes}", shape)


_PRODUCTS = re.compile("[·∗⊗⋆/]")


def _mixes(math: str, sign: str, second: bool = False) -> bool:
    """Whether a factor is itself a product, of a kind that cannot be written on without brackets."""
    if is_sum(math):
        return not second  # the second is in brackets anyway
    written = math if second else re.sub("^−?[\\d./]+ ?· ?", "", math)  # a number before it disturbs nothing
    found = set(_PRODUCTS.findall(_outside(written)))
    if second and sign in ("⋆", "⋆ᵀ", "⊗"):
        return bool(found)
    return bool(found - {sign, "/"}) or (second and math[:1].isdecimal())


def applied(word: str, term: Term, shape: Shape, rest: str = "") -> Term:
    """A function of a term, by a word: ``reshape(dJ/dy)``."""
    return Term(f"{word}({term.math}{rest})", f"{word} {_grouped(term)}", shape)


def fitted(term: Term, shape: Shape) -> Term:
    """The sum over the axes along which an input was broadcast."""
    if term.shape == shape:
        return term
    before = len(term.shape) - len(shape)
    axes = [*range(before)]
    axes += [before + i for i, n in enumerate(shape) if n == 1 and term.shape[before + i] != 1]
    return summed(term, tuple(axes), shape)


def summed(term: Term, axes: tuple[int, ...], shape: Shape) -> Term:
    """A sum over axes; which, is not said where it is all of them."""
    if term.constant is not None:
        return uniform(term.constant * prod(term.shape[axis] for axis in axes), shape)
    word = "axis" if len(axes) == 1 else "axes"
    where = "" if len(axes) == len(term.shape) else f", {word} {', '.join(map(str, axes))}"
    return Term(f"sum({term.math}{where})", f"sum {_grouped(term)}", shape)


def _grouped(term: Term) -> str:
    return term.shapes if re.fullmatch(r"\([\d, ]*\)", term.shapes) else f"[{term.shapes}]"
