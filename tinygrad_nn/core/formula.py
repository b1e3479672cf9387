"""Formulas as trees: read from text once, filled by putting in other trees, printed with the brackets that they need.

The text is mathematics with the inputs' names in braces, ``{x}·{y}``, ``−{y}/({x}² + {y}²)``, ``cos {x}``,
``1 where {x} > 0, else 0``. What cannot be read stays text, which is filled and bracketed like any other part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

Kind: TypeAlias = Literal[
    "number", "name", "symbol", "place", "text",
    "infix", "prefix", "postfix", "power", "call", "fence", "index", "choice", "sum", "list", "note", "derivative",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Formula:
    """A part of a formula.

    Attributes
    ----------
    kind : str
        Leaves are a ``number`` without a sign, a ``name`` that the formula itself has (``π``, ``n``), a ``symbol``
        (what the user calls something), a ``place`` for one, and ``text`` that was not read.

        An ``infix`` has two operands (a comparison more), a ``prefix``, ``postfix`` and ``note`` have one, a ``power``
        and a ``derivative`` two; a ``choice`` is ``a where b, else c``. A ``call`` and a ``fence`` have any number, as
        the ``sum`` of the chain rule and the ``list`` of an op with any number of inputs. An ``index`` has its array
        first.
    sign : str
        What a leaf says, an operator with the spaces around it, the name of a called function, a fence's two ends.
    parts : tuple of Formula
    """

    kind: Kind
    sign: str
    parts: tuple[Formula, ...] = ()

    def __str__(self) -> str:
        return TEXT(self)

    @property
    def is_negative(self) -> bool:
        """Whether a minus sign stands before the whole."""
        return self.kind == "prefix" and self.sign == "−"

    @property
    def is_constant(self) -> bool:
        """Whether it is a number without a sign, or a quotient of two."""
        quotient = self.kind == "infix" and self.sign.strip() == "/"
        return self.kind == "number" or (quotient and all(part.kind == "number" for part in self.parts))

    def map(self, change: Callable[[Formula], Formula]) -> Formula:
        """The formula with each part changed, from the leaves up."""
        parts = tuple(part.map(change) for part in self.parts)
        return change(self if parts == self.parts else made(self.kind, self.sign, parts))

    def inside(self) -> Iterator[Formula]:
        """The formula and all its parts, from the outside in."""
        yield self
        for part in self.parts:
            yield from part.inside()

    def fill(self, put: Mapping[str, Formula]) -> Formula:
        """The formula with others in its places.

        Raises
        ------
        KeyError
            For a place that is not in `put`.
        """
        return self.map(lambda part: put[part.sign] if part.kind == "place" else part)


# --- making ----------------------------------------------------------------------------------------------------------


def made(kind: Kind, sign: str, parts: Sequence[Formula]) -> Formula:
    """A part as it is written by hand: ``x^(3 − 1)`` is ``x²``, ``xᵀᵀ`` is ``x``, and ``2`` beside ``3`` is ``2·3``."""
    parts = tuple(parts)
    if kind == "power":
        exponent = _computed(parts[1])
        return parts[0] if exponent == Formula("number", "1") else Formula(kind, sign, (parts[0], exponent))
    if kind == "infix" and not sign and not (parts[0].kind == "number" and _stands_beside(parts[1])):
        return Formula(kind, "·", parts)
    if kind == "postfix" and sign == "ᵀ" and (parts[0].kind, parts[0].sign) == ("postfix", "ᵀ"):
        return parts[0].parts[0]
    if kind in ("call", "fence", "index"):
        parts = tuple(inner for part in parts for inner in (part.parts if part.kind == "list" else (part,)))
    return Formula(kind, sign, parts)


def symbol(name: str) -> Formula:
    """What the user calls something."""
    return Formula("symbol", name)


def infix(first: Formula, sign: str, second: Formula) -> Formula:
    """Two operands with a sign between them, and the spaces that it is written with."""
    return made("infix", sign, (first, second))


def times(first: Formula, sign: str, second: Formula) -> Formula:
    """A product, with what is negative in it said first: ``−2·x`` for ``(−2)·x``."""
    if first.is_negative:
        return negative(times(negative(first), sign, second))
    return infix(first, sign, second)


def call(name: str, *arguments: Formula) -> Formula:
    """A function's value."""
    return made("call", name, arguments)


def negative(of: Formula) -> Formula:
    """The formula with the other sign."""
    return of.parts[0] if of.is_negative else Formula("prefix", "−", (of,))


def constant(value: Any) -> Formula:
    """A plain number, rounded to what is printed of it."""
    text = number(value)
    if re.fullmatch(r"−?[\d.]+(e−?\d+)?", text):
        return negative(Formula("number", text[1:])) if text[0] == "−" else Formula("number", text)
    return Formula("name" if text.isalpha() else "text", text)


def added(terms: Sequence[Formula]) -> Formula:
    """Terms added up, where a negative one is taken away."""
    return terms[0] if len(terms) == 1 else Formula("sum", "", tuple(terms))


def number(x: Any, digits: int = 6) -> str:
    """A number as it is printed: rounded to `digits` significant digits, with a true minus sign."""
    if isinstance(x, bool | np.bool_):
        return str(bool(x))
    if isinstance(x, int | np.integer):
        return str(int(x)).replace("-", "−")
    if isinstance(x, complex | np.complexfloating):
        return f"{complex(x):.{digits}g}".replace("-", "−")
    text = f"{float(x) or 0.0:.{digits}g}"  # no sign on a zero
    if "e" in text:
        mantissa, _, exponent = text.partition("e")
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", "−")


def _computed(exponent: Formula) -> Formula:
    """A difference of numbers, as rules for powers write it, as a number."""
    if exponent.kind != "infix" or exponent.sign.strip() != "−":
        return exponent
    values = [_value(part) for part in exponent.parts]
    return exponent if None in values else constant(values[0] - values[1])


def _value(part: Formula) -> Any:
    if part.is_negative:
        inner = _value(part.parts[0])
        return None if inner is None else -inner
    return float(part.sign.replace("−", "-")) if part.kind == "number" else None


def _first(part: Formula) -> Formula:
    """The leaf, or what else is one piece, that a formula begins with."""
    while part.parts and part.kind in ("infix", "power", "postfix", "index"):
        part = part.parts[0]
    return part


def _stands_beside(part: Formula) -> bool:
    """Whether a number can stand before it without a sign: ``2√x``, ``2π``."""
    first = _first(part)
    return first.kind in ("name", "symbol", "place", "call") or first.sign in ("√", "∛")


# --- brackets --------------------------------------------------------------------------------------------------------

#: How closely a sign holds its operands.
CHOICE, NEGATED, COMPARED, SUM, SIGNED, PRODUCT, BESIDE, WORD, POWER, POSTFIX, ATOM = 2, 5, 6, *range(11, 19)
LEVELS = {
    "←": 1,
    **dict.fromkeys(("where", "at", "put", "put at"), CHOICE),
    **dict.fromkeys(("or", "xor"), 3),
    "and": 4,
    **dict.fromkeys(("=", "≠", "<", ">", "≤", "≥", "is", "not"), COMPARED),
    "|": 7,
    "^": 8,
    "&": 9,
    **dict.fromkeys(("<<", ">>"), 10),
    **dict.fromkeys(("+", "−"), SUM),
    **dict.fromkeys(("·", "∗", "⋆", "⋆ᵀ", "⊗", "@", "/", "mod"), PRODUCT),
    "": BESIDE,
}
PREFIXES = {
    "not ": NEGATED,
    **dict.fromkeys(("−", "+", "Σ ", "Π "), SIGNED),
    **dict.fromkeys(("√", "∛"), POWER),
}
_KINDS: dict[str, int] = {
    **dict.fromkeys(("number", "name", "symbol", "place", "call", "fence"), ATOM),
    **dict.fromkeys(("postfix", "index"), POSTFIX),
    **dict.fromkeys(("text", "list", "note"), 0),
    "power": POWER,
    "choice": CHOICE,
    "sum": SUM,
    "derivative": BESIDE,
}
#: Their operands can be grouped in any way.
_ASSOCIATIVE = frozenset(("+", "·", "∗", "@"))


def level(part: Formula) -> int:
    """How closely a formula holds together: what is below what a place asks for is put in brackets there."""
    if part.kind == "infix":
        return LEVELS[part.sign.strip()]
    if part.kind == "prefix":
        own = PREFIXES.get(part.sign, WORD)
        return min(own, level(part.parts[0])) if part.parts[0].kind == "prefix" else own
    if part.kind == "text" and not part.parts and re.fullmatch(r"[\w.]+", part.sign):
        return ATOM
    return _KINDS[part.kind]


def is_bracketed(whole: Formula, position: int) -> bool:
    """Whether an operand stands in brackets."""
    part = whole.parts[position]
    result = level(part)
    if whole.kind == "infix":
        return _is_bracketed_in_infix(whole, position, result)
    if whole.kind == "prefix":
        return _is_bracketed_after(whole.sign, part, result)
    if whole.kind == "sum":
        signed = part.kind == "prefix" and part.sign == "+"
        return result <= SUM or signed if position and not part.is_negative else result < SUM
    if whole.kind == "choice":
        return result <= CHOICE if position < 2 else result < CHOICE
    if whole.kind == "fence" and whole.sign == "||":
        return result <= LEVELS["|"] or any(inner.sign == "||" for inner in part.inside())
    if whole.kind == "power":
        return result < (ATOM if position else POSTFIX)
    if whole.kind == "index":
        return position == 0 and result < POSTFIX and part.kind != "derivative"
    if whole.kind in ("postfix", "derivative"):
        return result < POSTFIX
    if whole.kind in ("call", "fence", "list") and len(whole.parts) > 1:
        return 0 < result <= CHOICE
    return False


def _is_bracketed_in_infix(whole: Formula, position: int, found: int) -> bool:
    sign, part = whole.sign.strip(), whole.parts[position]
    if whole.sign == "=":  # of a setting
        return False
    own = level(whole)
    if found != own or part.kind == "prefix":
        if sign == "/" and found == BESIDE and position > 0:
            return True
        return found < own or (position > 0 and own == SUM and (part.is_negative or part.sign == "+"))
    if own == SUM:
        return position > 0 and (part.kind == "sum" or {sign, part.sign.strip()} != {"+"})
    if own != PRODUCT:
        return own == COMPARED or (position > 0 and sign not in _ASSOCIATIVE) or own <= CHOICE
    inner = part.sign.strip()
    if "mod" in (sign, inner):
        return True
    if position == 0:
        if inner == "/":
            return part.parts[1].kind != "number"
        return inner != sign and (inner, sign) not in (("·", "/"), ("∗", "/"))
    if whole.parts[0].is_constant and sign in ("·", "∗"):
        return False
    return inner != sign or sign not in _ASSOCIATIVE or _first(part).kind == "number"


def _is_bracketed_after(sign: str, part: Formula, found: int) -> bool:
    own = PREFIXES.get(sign, WORD)
    if own == NEGATED:
        return found < NEGATED
    if part.kind == "prefix":  # words follow on each other, ``log Σ exp(x)``
        return part.sign in ("−", "+", "not ") or sign in ("√", "∛", "~")
    if own == SIGNED and found == PRODUCT and sign[-1] == " ":
        return part.sign != "·"  # what is summed is seen at a glance
    return found < {SIGNED: PRODUCT, POWER: POSTFIX}.get(own, POWER)


# --- printing --------------------------------------------------------------------------------------------------------


class Printer:
    """Writes formulas as text; what writes them otherwise says how each sign is written, and nothing of brackets."""

    def __call__(self, whole: Formula) -> str:
        written: str = getattr(self, whole.kind)(whole)
        return written

    def operand(self, whole: Formula, position: int) -> str:
        """A part of a formula, in brackets where it needs them."""
        text = self(whole.parts[position])
        return self.bracketed(text) if is_bracketed(whole, position) else text

    def operands(self, whole: Formula) -> list[str]:
        """All parts of a formula."""
        return [self.operand(whole, position) for position in range(len(whole.parts))]

    def bracketed(self, text: str) -> str:
        """Text in brackets."""
        return f"({text})"

    def words(self, text: str) -> str:
        """Words and signs that stand beside operands."""
        return text

    def number(self, whole: Formula) -> str:
        """A number without a sign."""
        return self.words(whole.sign)

    def name(self, whole: Formula) -> str:
        """A name that is the formula's own."""
        return self.words(whole.sign)

    def symbol(self, whole: Formula) -> str:
        """The user's name of something."""
        return self.words(whole.sign)

    def place(self, whole: Formula) -> str:
        """What is to be filled."""
        return self.words(f"{{{whole.sign}}}")

    def text(self, whole: Formula) -> str:
        """What was not read, with others in its places."""
        parts = [f"({self(p)})" if level(p) <= SUM and p.kind not in ("text", "list") else self(p) for p in whole.parts]
        return "".join(parts) or self.words(whole.sign)

    def infix(self, whole: Formula) -> str:
        """Operands with a sign between them."""
        return self.words(whole.sign).join(self.operands(whole))

    def prefix(self, whole: Formula) -> str:
        """A sign or a word before an operand."""
        return self.words(whole.sign) + self.operand(whole, 0)

    def postfix(self, whole: Formula) -> str:
        """A sign after an operand."""
        return self.operand(whole, 0) + self.words(whole.sign)

    def power(self, whole: Formula) -> str:
        """A power, raised if it is whole."""
        exponent = whole.parts[1]
        raised = exponent.parts[0] if exponent.is_negative else exponent
        if raised.kind == "number" and raised.sign.isdigit():
            return self.operand(whole, 0) + str(self(exponent)).translate(_SUPERSCRIPTS)
        return f"{self.operand(whole, 0)}^{self.operand(whole, 1)}"

    def call(self, whole: Formula) -> str:
        """A function's value."""
        return self.words(whole.sign) + self.bracketed(self.list(whole))

    def fence(self, whole: Formula) -> str:
        """What stands between two signs."""
        return self.words(whole.sign[0]) + self.list(whole) + self.words(whole.sign[1])

    def index(self, whole: Formula) -> str:
        """Elements of an array."""
        array, *places = self.operands(whole)
        return array + self.words("[") + self.words(", ").join(places) + self.words("]")

    def choice(self, whole: Formula) -> str:
        """One of two."""
        first, condition, second = self.operands(whole)
        return first + self.words(whole.sign) + condition + self.words(", else ") + second

    def sum(self, whole: Formula) -> str:
        """Terms, of which negative ones are taken away."""
        text = self.operand(whole, 0)
        for position, part in enumerate(whole.parts[1:], start=1):
            if part.is_negative:
                text += self.words(" − ") + self.operand(Formula("infix", " − ", (part, *part.parts)), 1)
            else:
                text += self.words(" + ") + self.operand(whole, position)
        return text

    def list(self, whole: Formula) -> str:
        """One after the other."""
        return self.words(", ").join(self.operands(whole))

    def note(self, whole: Formula) -> str:
        """A formula with settings that it does not name."""
        result, *settings = map(self, whole.parts)
        return result + self.words(" ") + self.bracketed(self.words(", ").join(settings))

    def derivative(self, whole: Formula) -> str:
        """``dJ/db``; names of several letters are set apart: ``d loss/d fc1.weight``."""
        of, by = self.operands(whole)
        spaced = any(part.kind == "symbol" and not is_short(part.sign) for part in whole.parts)
        d = self.words(whole.sign + " " * spaced)
        return f"{d}{of}/{d}{by}"


TEXT = Printer()
_SUPERSCRIPTS = str.maketrans("0123456789−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")

SHORT = re.compile(r"([^\W\d_])(?:_?(\w{1,2}|[₀-₉]+))?")


def is_short(name: str) -> bool:
    """Whether a name is a letter, with an index perhaps: ``b``, ``W1``, ``w_12``, ``v₃``."""
    result = SHORT.fullmatch(name)
    return result is not None and (result[2] is None or "_" in name[1:2] or not result[2].isalpha())
