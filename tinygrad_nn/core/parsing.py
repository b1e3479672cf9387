"""Reads the text of formulas into trees: names of inputs stand in braces, ``−{y}/({x}² + {y}²)``."""

from __future__ import annotations

import re
from functools import lru_cache

from .formula import CHOICE, COMPARED, LEVELS, NEGATED, PREFIXES, PRODUCT, Formula, made, negative


class _UnreadableError(Exception):
    """The text is no formula that is known here."""


@lru_cache(1024)
def parse(text: str) -> Formula:
    """A formula from its text, with places for what stands in braces; what cannot be read stays text.

    Raises
    ------
    ValueError
        For braces that hold no name.
    """
    try:
        return _Reader(text).whole()
    except _UnreadableError:
        pieces = re.split(r"(\{\{|\}\}|\{\w+\})", text)
        if any(brace in piece for piece in pieces[::2] for brace in "{}"):
            raise ValueError(f"{text!r} has braces that hold no name") from None
        parts = [_unread(piece) for piece in pieces if piece]
        return parts[0] if len(parts) == 1 else Formula("text", "", tuple(parts))


def _unread(piece: str) -> Formula:
    if piece in ("{{", "}}"):
        return Formula("text", piece[0])
    return Formula("place", piece[1:-1]) if piece[0] == "{" else Formula("text", piece)


_TOKEN = re.compile(
    r"(\s*)(?:(?P<place>\{\w+\})|(?P<number>\d+(?:\.\d+)?(?:e[−-]?\d+)?)|(?P<raised>⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
    r"|(?P<name>[^\W\d_ᵀ⁰¹²³⁴-⁹₀-₉][^\Wᵀ⁰¹²³⁴-⁹]*)|(?P<sign><<|>>|⋆ᵀ|\S))"
)
_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_FENCES = {"|": "|", "‖": "‖", "⌊": "⌋", "⌈": "⌉", "⟨": "⟩", "[": "]"}
#: Words that stand between operands, and so are no operands.
_BETWEEN = frozenset(("where", "at", "else", "is", "not", "and", "or", "xor", "mod", "put"))


class _Reader:
    """Reads one text, sign by sign, each with the operands that it holds more closely than the sign before it."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str, bool]] = []
        for result in _TOKEN.finditer(text.rstrip()):
            kind = result.lastgroup or ""
            self.tokens.append((kind, result[kind], bool(result[1])))
        self.tokens.append(("end", "", True))
        self.at = 0

    def whole(self) -> Formula:
        result = self.infix(0)
        if self.kind != "end":
            raise _UnreadableError
        return result

    @property
    def kind(self) -> str:
        return self.tokens[self.at][0]

    @property
    def sign(self) -> str:
        return self.tokens[self.at][1] if self.kind in ("sign", "name") else ""

    @property
    def is_apart(self) -> bool:
        """Whether a space stands before the next sign."""
        return self.tokens[self.at][2]

    def next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1][1]

    def expect(self, *signs: str) -> None:
        for sign in signs:
            if self.sign != sign:
                raise _UnreadableError
            self.next()

    def infix(self, least: int) -> Formula:
        left = self.operand()
        comparison = None
        while own := LEVELS.get(self.sign, 0) if self.sign else 0:
            if own < least:
                break
            start = " " if self.is_apart else ""
            sign = self.next()
            if sign == "put":
                self.expect("at")
                sign = "put at"
            written = start + sign + (" " if self.is_apart else "")
            right = self.infix(own + 1)
            if own == CHOICE and self.sign == ",":
                self.expect(",", "else")
                left = Formula("choice", written, (left, right, self.infix(CHOICE)))
            elif own == COMPARED and comparison is not None:  # it goes on: ``a ≤ x ≤ b``
                if comparison.sign != written:
                    raise _UnreadableError
                left = comparison = Formula("infix", written, (*left.parts, right))
            else:
                left = made("infix", written, (left, right))
                comparison = left if own == COMPARED else None
        return left

    def operand(self) -> Formula:
        """What stands between two signs, with the prefixes before it."""
        if self.sign in ("−", "+"):
            return Formula("prefix", self.next(), (self.infix(PRODUCT),))
        if self.sign == "not":
            self.next()
            return Formula("prefix", "not ", (self.infix(NEGATED),))
        if self.sign == "~":
            return Formula("prefix", self.next(), (self.operand(),))
        if self.sign in ("√", "∛"):
            return Formula("prefix", self.next(), (self.tight(),))
        if self.kind == "name" and self.sign not in _BETWEEN and self._is_word():
            word = self.next() + " "
            return Formula("prefix", word, (self.infix(PRODUCT) if word in PREFIXES else self.operand(),))
        left = self.tight()
        if left.kind in ("number", "place") and not self.is_apart and self._starts("√∛("):
            return made("infix", "", (left, self.operand() if self.sign in ("√", "∛") else self.tight()))
        return left

    def _is_word(self) -> bool:
        """Whether a name is a word before an operand: ``cos x``, ``running Σ x``."""
        self.at += 1
        result = self.is_apart and self._starts()
        self.at -= 1
        return result

    def _starts(self, signs: str = "√∛(‖⌊⌈⟨|") -> bool:
        """Whether an operand begins here."""
        if self.kind == "name":
            return self.sign not in _BETWEEN
        if self.sign == "|" and self.tokens[self.at + 1][2]:  # ``x | y`` is no ``cos |y|``
            return False
        return self.kind in ("number", "place") or (self.kind == "sign" and self.sign in signs)

    def tight(self) -> Formula:
        """An operand with its powers, transposes and indices."""
        left = self.atom()
        while not self.is_apart:
            if self.kind == "raised":
                raised = self.next().translate(_LOWERED)
                exponent = Formula("number", raised.lstrip("⁻"))
                left = made("power", "^", (left, negative(exponent) if raised[0] == "⁻" else exponent))
            elif self.sign == "^":
                self.next()
                left = made("power", "^", (left, self.exponent()))
            elif self.sign in ("ᵀ", "\N{COMBINING CIRCUMFLEX ACCENT}"):
                left = Formula("postfix", self.next(), (left,))
            elif self.sign == "[":
                self.next()
                left = Formula("index", "", (left, *self.list("]")))
            else:
                break
        return left

    def exponent(self) -> Formula:
        if self.sign == "−":
            return Formula("prefix", self.next(), (self.atom(),))
        return self.atom()

    def atom(self) -> Formula:
        if self.kind == "number":
            return Formula("number", self.next().replace("-", "−"))
        if self.kind == "place":
            return Formula("place", self.next()[1:-1])
        if self.kind == "name":
            name = self.next()
            if self.sign == "(" and not self.is_apart:
                self.next()
                return Formula("call", name, self.list(")"))
            if name not in _BETWEEN:
                return Formula("name", name)
        if self.sign == "(":
            self.next()
            result = self.list(")")
            return result[0] if len(result) == 1 else Formula("fence", "()", result)
        if self.sign in _FENCES:
            start = self.next()
            return Formula("fence", start + _FENCES[start], self.list(_FENCES[start]))
        raise _UnreadableError

    def list(self, end: str) -> tuple[Formula, ...]:
        """What stands before the closing sign, between commas."""
        results: list[Formula] = []
        while self.sign != end:
            if results:
                self.expect(",")
            results.append(self.infix(LEVELS["|"] + 1 if end == "|" else 0))
        self.next()
        return tuple(results)
