"""The rows of the domain table: what an op takes, where it may be checked, and how exact it must be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from ..core.define import Op, registry
from .problem import Array, is_float

Shape: TypeAlias = tuple[int, ...]
Cases: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class Domain:
    """Where the elements of an input come from.

    Attributes
    ----------
    low, high : float
        Bounds; the high one is excluded for integers.
    kind : {"float", "int", "bool"}
    avoid : tuple of float
        Kinks and poles: no element comes nearer to one than `margin`.
    margin : float
    distinct : bool
        No two elements are nearer to each other than `margin` (for maxima and sorting).
    make : callable
        Instead of all that, ``make(rng, shape)``.
    """

    low: float = -2.0
    high: float = 2.0
    kind: str = "float"
    avoid: tuple[float, ...] = ()
    margin: float = 0.1
    distinct: bool = False
    make: Callable[[np.random.Generator, Shape], Any] | None = None

    def sample(self, rng: np.random.Generator, shape: Shape) -> Any:
        """Random elements in an array of a shape."""
        if self.make is not None:
            return self.make(rng, shape)
        if self.kind == "bool":
            return np.asarray(rng.random(shape) < 0.5)
        if self.kind == "int":
            return np.asarray(rng.integers(int(self.low), int(self.high), shape))
        if self.distinct:
            size = int(np.prod(shape))
            grid = np.linspace(self.low, self.high, size + 2)[1:-1]
            jitter = (self.high - self.low) / (size + 2) / 4
            return (rng.permutation(grid) + rng.uniform(-jitter, jitter, size)).reshape(shape)
        values = np.asarray(rng.uniform(self.low, self.high, shape))
        for point in self.avoid:
            near = abs(values - point) < self.margin
            away = np.where(values < point, point - self.margin, point + self.margin)
            away = np.where(away > self.high, point - self.margin, np.where(away < self.low, point + self.margin, away))
            values = np.where(near, away, values)
        return np.asarray(values)


REAL = Domain()
POSITIVE = Domain(0.3, 3.0)
NONZERO = Domain(avoid=(0.0,), margin=0.3)
UNIT = Domain(-0.9, 0.9)
ABOVE_ONE = Domain(1.2, 3.0)
PROBABILITY = Domain(0.1, 0.9)
DISTINCT = Domain(distinct=True)
INTEGERS = Domain(-4, 5, kind="int")
COUNTS = Domain(0, 4, kind="int")
BOOLS = Domain(kind="bool")
#: Numbers of classes, or of rows of a table.
LABELS = Domain(0, 3, kind="int")


@dataclass(frozen=True)
class Case:
    """An op on example inputs: ``case.op(*case.inputs, **case.settings)``."""

    row: Row
    inputs: tuple[Any, ...]
    settings: dict[str, Any]

    @property
    def op(self) -> Op:
        """The op itself."""
        return self.row.op

    def __call__(self, *inputs: Any) -> Any:
        """The op with this case's settings, on its inputs or on others."""
        return self.op(*(inputs or self.inputs), **self.settings)

    def with_inputs(self, inputs: Iterable[Any]) -> Case:
        """The same on other inputs."""
        return replace(self, inputs=tuple(inputs))

    @property
    def differentiable(self) -> list[int]:
        """Positions of the inputs that a derivative is taken in: those of floating point."""
        if not self.op.differentiable or not self.row.derivatives:
            return []
        return [i for i, x in enumerate(self.inputs) if is_float(x)]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(f"{self!r}  # {', '.join(map(repr, self.inputs))}")

    def __repr__(self) -> str:
        shown = [f"{x.dtype}{list(x.shape)}" if hasattr(x, "dtype") else repr(x) for x in self.inputs]
        return f"{self.op.name}({', '.join([*shown, *(f'{k}={v!r}' for k, v in self.settings.items())])})"


#: For each op of one elementwise input, and of two, the shapes it is checked with: 0-d, empty, broadcast both ways.
ONE = ((), (3,), (2, 3), (0,), (2, 0, 3))
TWO = (((), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 2)), ((0, 3), (3,)), ((2, 3, 2), (3, 1)))


@dataclass(frozen=True)
class Row:
    """One row of the domain table.

    Attributes
    ----------
    target : str or Op
        The op, or the name it is registered under.
    domains : sequence of Domain
        One for each input, or one for all.
    cases : sequence
        Shapes of the inputs, each a tuple of shapes, or of shapes followed by a dict of settings. A case may be a
        function of a random generator too, that returns the inputs and the settings.
    reference : callable
        NumPy's function that gives the same, called with the same inputs and settings; None if there is none.
    ulps : float
        How far the value may be from the reference, in units in the last place.
    gradient_ulps : float
        How far a derivative may be from the oracle.
    derivatives : bool
        False for ops without a derivative.
    single : bool
        Whether the op is checked in float32 too.
    through : str
        The op whose cases exercise this one, which cannot be called by itself.
    """

    target: str | Op
    domains: Sequence[Domain] = (REAL,)
    cases: Sequence[Any] = field(default=ONE)
    reference: Callable[..., Any] | None = None
    ulps: float = 4.0
    gradient_ulps: float = 1000.0
    derivatives: bool = True
    single: bool = True
    through: str | None = None

    @property
    def op(self) -> Op:
        """The op itself."""
        return registry[self.target] if isinstance(self.target, str) else self.target

    @property
    def name(self) -> str:
        """The name of the op."""
        return self.target if isinstance(self.target, str) else self.target.name

    def case(self, number: int, rng: np.random.Generator) -> Case:
        """Example inputs for one of `cases`."""
        entry = self.cases[number]
        if callable(entry):
            inputs, settings = entry(rng)
            return Case(self, tuple(inputs), settings)
        if not isinstance(entry, tuple) or (entry and isinstance(entry[0], int)) or entry == ():
            entry = (entry,)
        settings = entry[-1] if isinstance(entry[-1], dict) else {}
        shapes = entry[:-1] if isinstance(entry[-1], dict) else entry
        domains = [self.domains[i if len(self.domains) > 1 else 0] for i in range(len(shapes))]
        return Case(self, tuple(d.sample(rng, s) for d, s in zip(domains, shapes, strict=True)), settings)

    def examples(self, seed: int = 0) -> Iterator[Case]:
        """Every case once."""
        rng = np.random.default_rng(seed)
        for number in range(len(self.cases)):
            yield self.case(number, rng)


def _every_second(x: Array) -> Array:
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


#: Arrays of the same elements, laid out otherwise in memory.
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "F": np.asfortranarray,
    "reversed": lambda x: x[::-1].copy()[::-1],
    "strided": _every_second,
}


def unary(name: str, domain: Domain = REAL, reference: Callable[..., Any] | None = None, **more: Any) -> Row:
    """A row for an elementwise op of one input."""
    return Row(name, (domain,), more.pop("cases", ONE), reference, **more)


def binary(
    name: str, x: Domain = REAL, y: Domain | None = None, reference: Callable[..., Any] | None = None, **more: Any
) -> Row:
    """A row for an elementwise op of two inputs, which broadcast."""
    return Row(name, (x, y or x), more.pop("cases", TWO), reference, **more)
