"""Whether what was made of a recording computes what was recorded: both are run once on the same numbers.

The recording is the truth. What is made of it may round otherwise, and how much that matters is measured: an output may
differ by 16 times as much as the recorded program's own output moves when every number that goes in is moved by one
unit in the last place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.interrupts import hold, release
from .ir import Program, Step, Var, run
from .rewrite.builder import Builder
from .rewrite.patterns import WITHOUT_OVERFLOW
from .trace.recording import Recording

#: How many times the movement of an output is allowed, and how often inputs are moved at the most.
FACTOR = 16
SEEDS = 4
#: Elements that are compared at once.
_PIECE = 1 << 17
#: The share of an output's elements that may differ by more than they moved themselves: some move by chance too little.
_SHARE = 0.02


class NotEqualWarning(UserWarning):
    """Emitted code does not compute what was recorded, and is not used: a fault of this library."""


@dataclass(frozen=True)
class Report:
    """How the comparison of emitted code with its recording came out.

    Attributes
    ----------
    compared : bool
        False with ``verify=False``.
    difference : str
        The first result or state that differs, and the first variable on the way to it; empty if none does.
    """

    compared: bool
    difference: str = ""

    def __bool__(self) -> bool:
        return self.compared and not self.difference

    def __str__(self) -> str:
        if not self.compared:
            return "not compared with what was recorded"
        return self.difference or "computes what was recorded"


class Comparison:
    """One recording, before it is rewritten, with what it gave, to compare what is made of it with."""

    def __init__(self, recording: Recording) -> None:
        self.program = recording.program
        self.places = recording.places
        self._outcome = recording.outcome
        self._after = recording.generators
        self.report = Report(compared=False)

    def truth(self, x: Var) -> Any:
        """What a result or a new value of the state was in the recorded run."""
        return self._outcome.get(x, x.value)

    def first_call(self, core: Callable[..., Any], recording: Recording, in_place: bool) -> Callable[..., Any]:
        """What is called once in the place of `core`: it compares, and gives what was recorded."""
        program = recording.program
        old = [*self.program.results, *self.program.writes.values()]

        def first(*values: Any) -> Any:
            results = [self.truth(x) for x in self.program.results]
            news = {state: self.truth(new) for state, new in self.program.writes.items()}
            arguments = dict(zip([*program.inputs, *program.state], values, strict=True))
            tried = values if not in_place else tuple(_aside(x, var in news) for var, x in arguments.items())
            try:
                returned = core(*tried)
                release()  # which that has held back, if it wrote to its copies of the state
            except Exception as error:
                self.report = Report(True, f"it raises {type(error).__name__}: {error}")
            else:
                parts = list(returned) if isinstance(returned, tuple | list) else [returned]
                result = _in_order(program, parts, dict(zip(arguments, tried, strict=True)), in_place)
                fault = self._difference(old, [*results, *news.values()], result, arguments)
                text = self._explained(fault, program, arguments) if fault else self._drawn(values, tried)
                self.report = Report(True, text)
                if self.report and not in_place:
                    return returned
            hold()  # until what is left outside is whole
            if in_place:
                for place, after in self._after:
                    place.bit_generator.state = after
            return self._commit(program, results, news, arguments, in_place)

        return first

    def _drawn(self, values: Sequence[Any], tried: Sequence[Any]) -> str:
        """What differs in the random numbers that were drawn: each generator must stand where it did."""
        for generator, after in self._after:
            twin = next((y for x, y in zip(values, tried, strict=True) if x is generator), None)
            if twin is not None and not _equal_states(twin.bit_generator.state, after):
                return "other random numbers are drawn, or more or fewer of them"
        return ""

    def _commit(
        self, program: Program, results: list[Any], news: dict[Var, Any], arguments: dict[Var, Any], in_place: bool
    ) -> Any:
        """Leave what was recorded in the state, and give the results, each in an array of its own."""
        own: list[Any] = []
        for x in results:
            lent = isinstance(x, np.ndarray) and (x.base is not None or any(x is y for y in (*own, *news.values())))
            shown = isinstance(x, np.ndarray) and any(np.may_share_memory(x, y) for y in _arrays(arguments.values()))
            own.append(x.copy() if lent or shown else x)
        written = [arguments[var] for var in program.writes]
        news = {
            var: np.array(new) if var.shape and any(np.may_share_memory(new, y) for y in _arrays(written)) else new
            for var, new in news.items()
        }
        for var in program.writes:
            if var.shape and in_place:
                np.copyto(arguments[var], news[var])
            else:
                own.append(news[var])
        return tuple(own) if len(own) != 1 else own[0]

    # --- comparing ---------------------------------------------------------------------------------------------------

    def _difference(
        self, outputs: list[Var], truth: list[Any], computed: list[Any], arguments: dict[Var, Any]
    ) -> tuple[int, str] | None:
        """The first output that differs by more than it may; None if none does."""
        wrong = [i for i, (x, y) in enumerate(zip(truth, computed, strict=True)) if not _same(x, y)]
        for i in wrong:
            x, y = np.asarray(truth[i]), np.asarray(computed[i])
            if (x.shape, x.dtype) != (y.shape, y.dtype) and not outputs[i].weak:
                return i, f"{y.dtype}{list(y.shape)} in the place of {x.dtype}{list(x.shape)}"
        wrong = [i for i in wrong if not _nearly_same(truth[i], computed[i])]
        wrong = self._beyond(self.program, truth, computed, wrong, arguments)
        if wrong:
            gentle = Builder(self.program, WITHOUT_OVERFLOW).build()
            if [step.name for step in gentle.steps] != [step.name for step in self.program.steps]:
                exact = run(gentle, self._values(arguments))
                wrong = self._beyond(gentle, exact, computed, wrong, arguments)
        return (wrong[0], _largest(truth[wrong[0]], computed[wrong[0]])) if wrong else None

    def _beyond(
        self, program: Program, truth: list[Any], computed: list[Any], wrong: list[int], arguments: dict[Var, Any]
    ) -> list[int]:
        """Which outputs differ from a program's by more than these move, when all that goes in is moved a little."""
        movements: dict[int, list[Any]] = {i: [] for i in wrong}
        for seed in range(SEEDS):
            if not wrong:
                break
            moved = self._moved_run(program, arguments, seed)
            for i in wrong:
                movements[i].append(truth[i] if moved is None else moved[i])
            wrong = [i for i in wrong if not _within(truth[i], computed[i], movements[i])]
        return wrong

    def _moved_run(self, program: Program, arguments: dict[Var, Any], seed: int) -> list[Any] | None:
        """The outputs with all that goes in moved a little; whole numbers stay where a check of values refuses them."""
        for whole in (True, False):
            rng = np.random.default_rng(seed)
            try:
                return run(program, [_moved(x, rng, whole) for x in self._values(arguments)])
            except Exception:  # targets of 1 and −1, for instance, that are 1.0000001 then
                continue
        return None

    def _values(self, arguments: dict[Var, Any]) -> list[Any]:
        """The numbers that the recorded program computes with: those of the call, and state that is not needed now."""
        known = [arguments.get(x) for x in self.program.inputs]
        for x, place in zip(self.program.state, self.places, strict=True):
            known.append(arguments[x] if x in arguments else place.read())
        return [deepcopy(x) if isinstance(x, np.random.Generator) else x for x in known]

    def _explained(self, fault: tuple[int, str], program: Program, arguments: dict[Var, Any]) -> str:
        """The output that differs, and the first variable that the rewritten program has otherwise."""
        i, text = fault
        results = len(self.program.results)
        states = list(self.program.writes)
        name = f"result {i}" if i < results else f"the new value of {states[i - results].name or 'the state'}"
        text = f"{name}: {text}"
        values = self._values(arguments)
        recorded = _all_values(self.program, values)
        by_var = dict(zip([*self.program.inputs, *self.program.state], self._values(arguments), strict=True))
        start = [by_var[x] for x in (*program.inputs, *program.state)]
        try:
            rewritten = _all_values(program, start)
        except Exception as error:  # whatever it is, the report says it
            return f"{text}; the rewritten program raises {type(error).__name__}: {error}"
        lines = {out: step for step in self.program.steps for out in step.outputs}
        for x, value in rewritten.items():
            if x in recorded and not _close(recorded[x], value):
                return f"{text}; the first variable that differs is {x!r}{_place(lines.get(x))}"
        return f"{text}; every variable that the rewritten program shares with the recorded one is as it was"


def _equal_states(x: Any, y: Any) -> bool:
    """Whether two states of generators, nests of dicts, are the same."""
    if isinstance(x, dict):
        return x.keys() == y.keys() and all(_equal_states(x[key], y[key]) for key in x)
    return bool(np.array_equal(x, y))


def _aside(x: Any, written: bool) -> Any:
    """A value for a trial, which leaves the value itself alone."""
    if isinstance(x, np.random.Generator):
        return deepcopy(x)
    if not isinstance(x, np.ndarray):
        return x
    if written:
        return x.copy()
    x = x.view()
    x.flags.writeable = False
    return x


def _arrays(values: Any) -> list[Any]:
    return [x for x in values if isinstance(x, np.ndarray)]


def _in_order(program: Program, parts: Sequence[Any], tried: dict[Var, Any], in_place: bool) -> list[Any]:
    """What a core has computed: its results, then the new values of the state."""
    rest = iter(parts)
    results = [next(rest) for _ in program.results]
    return [*results, *(tried[var] if in_place and var.shape else next(rest) for var in program.writes)]


def _same(x: Any, y: Any) -> bool:
    """Whether two values are equal bit by bit, NaN to NaN."""
    x, y = np.asarray(x), np.asarray(y)
    nan = x.dtype.kind in "fc"
    return (x.shape, x.dtype) == (y.shape, y.dtype) and all(np.array_equal(a, b, nan) for a, b in _pieces(x, y))


def _nearly_same(truth: Any, computed: Any) -> bool:
    """Whether an output passes `_within` however little it moves."""
    x, y = np.asarray(truth), np.asarray(computed)
    return x.dtype.kind == "f" and all(_within(a, b, [a]) for a, b in _pieces(x, y))


def _pieces(x: Any, y: Any) -> Iterator[tuple[Any, Any]]:
    """Parts of two arrays of one size, so that comparing them takes little memory."""
    x, y = x.reshape(-1), y.reshape(-1)
    return ((x[i : i + _PIECE], y[i : i + _PIECE]) for i in range(0, x.size, _PIECE))


def _moved(x: Any, rng: np.random.Generator, whole: bool) -> Any:
    """Floating numbers, each up or down by one unit in its last place; zeros, infinities and NaN stay."""
    array = np.asarray(x)
    if array.dtype.kind == "c":
        return (_moved(array.real, rng, whole) + 1j * _moved(array.imag, rng, whole)).astype(array.dtype)[()]
    if array.dtype.kind != "f":
        return x
    towards = np.where(rng.integers(0, 2, array.shape), np.inf, -np.inf).astype(array.dtype)
    with np.errstate(all="ignore"):
        moves = (array != 0) & np.isfinite(array) & (whole | (array != np.rint(array)))
        moved = np.where(moves, np.nextafter(array, towards), array).astype(array.dtype)
    return float(moved) if type(x) is float else moved[()]


def _within(truth: Any, computed: Any, moved: Sequence[Any]) -> bool:
    """Whether an output differs by no more than `FACTOR` times what it moves by."""
    x, y = np.asarray(truth), np.asarray(computed)
    runs = [np.asarray(one) for one in moved]
    if x.dtype.kind not in "fc":  # whole numbers and truth values: equal, but where rounding decides
        return bool(np.all((x == y) | np.any([one != x for one in runs], axis=0)))
    with np.errstate(all="ignore"):
        finite = np.isfinite(x) & np.isfinite(y)
        alike = (x == y) | (np.isnan(x) & np.isnan(y))
        on_the_edge = np.any([np.isfinite(one) != np.isfinite(x) for one in runs], axis=0)
        if not np.all(finite | alike | on_the_edge):
            return False
        finite &= ~on_the_edge
        difference = np.where(finite, np.abs(x - y), 0)
        movement = np.max([np.where(finite & np.isfinite(one), np.abs(one - x), 0) for one in runs], axis=0)
        least = np.finfo(x.dtype).eps * np.where(finite, np.abs(x), 0)
        largest = max(movement.max(initial=0), least.max(initial=0))
        beyond = np.count_nonzero(difference > FACTOR * np.maximum(movement, least))
        return bool(difference.max(initial=0) <= FACTOR * largest and beyond <= max(_SHARE * x.size, x.size < 50))


def _close(x: Any, y: Any) -> bool:
    """Whether two values are the same but for some rounding, for the search of the first that is not."""
    x, y = np.asarray(x), np.asarray(y)
    if x.dtype.kind not in "fc" or x.shape != y.shape:
        return x.shape == y.shape and bool(np.array_equal(x, y))
    scale = np.max(np.abs(x[np.isfinite(x)]), initial=0.0)
    return bool(np.allclose(x, y, rtol=0, atol=float(np.finfo(x.dtype).eps * scale * 1e3), equal_nan=True))


def _all_values(program: Program, values: Sequence[Any]) -> dict[Var, Any]:
    """Every variable of a program, by its ops' own kernels."""
    known: dict[Var, Any] = {}
    run(program, values, known)
    return known


def _largest(truth: Any, computed: Any) -> str:
    """Where an output differs most."""
    x, y = np.atleast_1d(truth), np.atleast_1d(computed)
    with np.errstate(all="ignore"):
        difference = np.where(x == y, 0, np.abs(np.subtract(x, y, dtype=np.result_type(x, y, np.float64))))
    place = np.unravel_index(int(np.argmax(np.where(np.isnan(difference), np.inf, difference))), x.shape)
    return f"{y[place]} in the place of {x[place]} at {tuple(map(int, place))}"


def _place(step: Step | None) -> str:
    return f", at {step.line[0]}:{step.line[1]}" if step is not None and step.line is not None else ""
