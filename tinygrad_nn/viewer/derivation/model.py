"""The plain model of a derivation: definitions, paths and steps, each formula in both forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .terms import Math


@dataclass(frozen=True)
class Factor:
    """A local derivative on a path.

    Attributes
    ----------
    symbol : Math
        ``du/db``; ``∂u/∂b`` where `u` depends in another way too on what is differentiated with respect to.
    formula : Math
        ``c``; the number where the operation has no formula.
    number : float
    """

    symbol: Math
    formula: Math
    number: float


@dataclass(frozen=True)
class Path:
    """One path from the variable to the result.

    Attributes
    ----------
    nodes : tuple of Math
        What lies on it, the variable first: names, and of arrays without one the formula.
    factors : tuple of Factor
        The local derivatives as the chain rule multiplies them, that of the result first; empty for arrays.
    value : float or None
        Their product; None for arrays.
    """

    nodes: tuple[Math, ...]
    factors: tuple[Factor, ...] = ()
    value: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What lies on it, as text."""
        return tuple(node.text for node in self.nodes)

    def __str__(self) -> str:
        return " → ".join(self.names)


@dataclass(frozen=True)
class Line:
    """``left = right[0] = right[1] = ...``, and what is said beside it."""

    left: Math
    right: tuple[Math, ...]
    beside: tuple[Math, ...] = ()


@dataclass
class Explanation:
    """All of a derivation.

    Attributes
    ----------
    result, variable : str
        What is differentiated, and with respect to what.
    symbol : Math
        ``dJ/db``.
    scalar : bool
        Whether everything between is a number, so that paths are products of numbers.
    value : array or None
        The gradient; None where the values that it needs were let go.
    given, definitions, steps : list of Line
        What is put in; how the result was computed; the gradient of each intermediate result, backwards.
    formulas : list of Line
        The same of numbers, as formulas, with results that have no name written out; empty if all have names.
    count : int
        How many paths there are.
    paths : tuple of Path
        Empty if there are more than were asked for.
    notes : list of str
    """

    result: str
    variable: str
    symbol: Math
    scalar: bool
    value: Any
    count: int
    given: list[Line] = field(default_factory=list)
    definitions: list[Line] = field(default_factory=list)
    paths: tuple[Path, ...] = ()
    steps: list[Line] = field(default_factory=list)
    formulas: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def stepwise(self) -> bool:
        """Whether the steps say more than the only path does."""
        return bool(self.steps) and not (self.scalar and len(self.steps) == len(self.paths) == 1)
