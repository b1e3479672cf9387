"""What may be wrong with a derivative, judged from the numbers it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .oracle import Estimate, one_sided
from .problem import Array, DirectionalGradient, Problem


@dataclass(frozen=True)
class Cause:
    """A suspicion: one word for programs, a sentence for people."""

    kind: str
    text: str


@dataclass(frozen=True)
class Evidence:
    """All that is known about a gradient that is wrong.

    Attributes
    ----------
    which : int
        The input in question.
    gradients, estimates : list
        What the engine and the oracle say, for every input.
    cotangents : list of array
        The gradients u that came in.
    outs : list of array
        The function's results.
    close : callable
        Whether two arrays agree.
    oracle : callable
        Asks the oracle for a gradient of another problem.
    """

    problem: Problem
    which: int
    gradients: Sequence[Array]
    estimates: Sequence[Estimate]
    cotangents: Sequence[Array]
    outs: Sequence[Array]
    close: Callable[[Array, Array], bool]
    oracle: Callable[[Problem, int, Sequence[Array]], Estimate]

    @property
    def got(self) -> Array:
        """The engine's gradient."""
        return self.gradients[self.which]

    @property
    def found(self) -> Estimate:
        """The oracle's."""
        return self.estimates[self.which]

    def agrees(self, candidate: Array) -> bool:
        """Whether the gradient is `candidate`, at the entries that were asked for."""
        if candidate.shape != self.got.shape:
            return False
        asked = np.isfinite(candidate)
        return bool(asked.any()) and self.close(self.got[asked], candidate[asked])


def diagnose(evidence: Evidence) -> Cause:
    """The first suspicion that explains the numbers, the most particular ones first."""
    for suspicion in _SUSPICIONS:
        cause = suspicion(evidence)
        if cause is not None:
            return cause
    return Cause("unknown", "no simple relation to what was expected")


def _wrong_dtype(e: Evidence) -> Cause | None:
    x = e.problem.values[e.which]
    if e.got.dtype != x.dtype:
        return Cause("dtype", f"the gradient is {e.got.dtype}, its input {x.dtype}")
    return None


def _unsettled(e: Evidence) -> Cause | None:
    error, value = e.found.error, e.found.value
    asked = e.found.asked
    if np.any(~np.isfinite(value[asked])) or np.any(error[asked] > 1e-2 * np.max(abs(value[asked]), initial=0.0)):
        return Cause(
            "unsettled",
            "the oracle found no derivative either: the function is not smooth or not defined around this input, or it "
            "rounds too coarsely",
        )
    return None


def _precision(e: Evidence) -> Cause | None:
    if e.agrees(e.found.value):
        return Cause("precision", "nearly right: digits are lost on the way, or the error allowed is too small")
    return None


def _kink(e: Evidence) -> Cause | None:
    if e.got.shape != e.found.value.shape or e.found.method == "complex step":
        return None
    off = np.argwhere(e.found.asked & ~np.isclose(e.got, e.found.value, rtol=1e-6, atol=0))
    for index in off[:3]:
        left, right = one_sided(e.problem.in_double(), e.which, tuple(index), e.cotangents)
        if abs(left - right) > 1e-3 * max(abs(left), abs(right)):
            return Cause(
                "kink",
                f"the slope is {left:.4g} to the left of this input and {right:.4g} to its right; move away from it",
            )
    return None


def _zero(e: Evidence) -> Cause | None:
    if e.got.size and not e.got.any():
        return Cause("zero", "the gradient is 0: a rule gives none, or the value was taken out of the graph")
    return None


def _sign(e: Evidence) -> Cause | None:
    return Cause("sign", "the gradient is what was expected times −1") if e.agrees(-e.found.value) else None


def _swapped(e: Evidence) -> Cause | None:
    for j, other in enumerate(e.estimates):
        if j != e.which and e.agrees(other.value):
            return Cause(
                "swapped", f"this is the gradient in {e.problem.labels[j]}: the rules of the two are exchanged"
            )
    return None


def _broadcast(e: Evidence) -> Cause | None:
    """The gradient before, or instead of, the sum over the axes along which the input was broadcast."""
    expected = e.found.value
    if e.got.shape != expected.shape:
        if e.got.ndim >= expected.ndim and e.close(_sum_to(e.got, expected.shape), expected):
            return Cause("broadcast", "the gradient is not summed over the axes along which the input was broadcast")
        return None
    x = e.problem.values[e.which]
    shape = np.broadcast_shapes(*(u.shape for u in e.cotangents)) if e.cotangents else ()
    if x.shape == shape or not _broadcasts(x.shape, shape):
        return None
    values = list(e.problem.in_double().values)
    values[e.which] = np.broadcast_to(values[e.which], shape).copy()
    try:
        full = e.oracle(e.problem.at(values), e.which, e.cotangents).value
    except Exception:  # the function does not take the input in that shape
        return None
    count = max(1, full.size // max(1, x.size))
    for part in _slices(full, x.shape):
        if e.agrees(part):
            return Cause("broadcast", "one slice is taken instead of the sum over the axes that were broadcast")
    if e.agrees(expected / count):
        return Cause("broadcast", f"the mean over the {count} broadcast copies instead of their sum")
    return None


def _broadcasts(shape: tuple[int, ...], larger: tuple[int, ...]) -> bool:
    return len(shape) <= len(larger) and all(a in (1, b) for a, b in zip(shape[::-1], larger[::-1]))


def _sum_to(full: Array, shape: tuple[int, ...]) -> Array:
    """The sum over leading axes, and over those of length 1 in `shape`; NaN if that does not give `shape`."""
    lead = full.ndim - len(shape)
    summed = full.sum(tuple(range(lead)))
    summed = summed.sum(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)
    return summed if summed.shape == shape else np.full(shape, np.nan)


def _slices(full: Array, shape: tuple[int, ...]) -> Iterator[Array]:
    """The first and the last copy of a broadcast array."""
    lead = full.ndim - len(shape)
    for at in (0, -1):
        whole = full[(at,) * lead]
        yield np.asarray(whole[tuple(slice(None) if n != 1 else slice(at, at + 1 or None) for n in shape)])


def _transposed(e: Evidence) -> Cause | None:
    """The gradient, or something that enters it, with its last two axes exchanged."""
    expected = e.found.value
    if expected.ndim >= 2 and (
        e.agrees(np.swapaxes(expected, -1, -2)) or e.got.shape == expected.shape[::-1] != expected.shape
    ):
        return Cause("transposed", "the gradient is transposed")
    if expected.ndim < 2 or e.got.shape not in (expected.shape, expected.swapaxes(-1, -2).shape):
        return None
    for what, problem, cotangents in _with_one_transposed(e):
        try:
            candidate = e.oracle(problem, e.which, cotangents).value
        except Exception:  # the function does not take it that way round
            continue
        if e.agrees(candidate) or e.agrees(np.swapaxes(candidate, -1, -2)):
            return Cause("transposed", f"the rule has {what} transposed, or forgets to transpose it")
    return None


def _with_one_transposed(e: Evidence) -> Iterator[tuple[str, Problem, Sequence[Array]]]:
    double = e.problem.in_double()
    for j, x in enumerate(double.values):
        if j != e.which and x.ndim >= 2 and x.shape[-1] == x.shape[-2]:
            values = list(double.values)
            values[j] = np.swapaxes(x, -1, -2).copy()
            yield e.problem.labels[j], double.at(values), e.cotangents
    if all(u.ndim >= 2 and u.shape[-1] == u.shape[-2] for u in e.cotangents):
        yield "the incoming gradient", double, [np.swapaxes(u, -1, -2) for u in e.cotangents]


def _factor(e: Evidence) -> Cause | None:
    expected, asked = e.found.value, e.found.asked
    if e.got.shape != expected.shape:
        return None
    at = np.argmax(np.where(asked, abs(expected), -1.0))
    if expected.size == 0 or expected.flat[at] == 0:
        return None
    ratio = float(e.got.flat[at] / expected.flat[at])
    simple = Fraction(ratio).limit_denominator(64)
    named = abs(ratio - simple) <= 1e-6 * abs(ratio)
    if not np.isfinite(ratio) or not (named or np.count_nonzero(expected[asked]) > 1):
        return None
    if not e.agrees(expected * ratio):
        return None
    text = f"the gradient is what was expected times {simple if named else f'{ratio:.6g}'}"
    lengths = {n for u in e.cotangents for n in (*u.shape, u.size)} | {
        n for x in e.problem.values for n in (*x.shape, x.size)
    }
    averages = not getattr(e.problem.f, "elementwise", False)
    if averages and named and {simple.numerator, simple.denominator} & (lengths - {0, 1}):
        text += ", and an axis has that length: a mean in the place of a sum, or the other way round?"
    return Cause("factor", text)


def _partly_zero(e: Evidence) -> Cause | None:
    if e.got.shape != e.found.value.shape:
        return None
    missing = e.found.asked & (e.got == 0) & (e.found.value != 0)
    if missing.any() and e.close(e.got[e.found.asked & ~missing], e.found.value[e.found.asked & ~missing]):
        return Cause("zero", f"the gradient is 0 in {missing.sum()} of {e.got.size} entries and right in the others")
    return None


def _dropped_term(e: Evidence) -> Cause | None:
    """What is missing is a constant times something simple: a term of the derivative was left out."""
    if e.got.shape != e.found.value.shape:
        return None
    rest = e.found.value - e.got
    asked = e.found.asked
    if np.count_nonzero(rest[asked]) < 2:
        return None
    for name, atom in _atoms(e):
        if atom.shape == rest.shape and np.all(np.isfinite(atom)) and np.any(atom[asked]):
            c = float(np.vdot(atom[asked], rest[asked]) / np.vdot(atom[asked], atom[asked]))
            if np.all(abs(rest - c * atom)[asked] <= 1e-6 * abs(rest[asked]).max()):
                times = "" if abs(c - 1) < 1e-6 else f"{c:.4g}·"
                return Cause(
                    "dropped term", f"what is missing is {times}{name}: a term left out, or with the wrong sign"
                )
    return None


def _atoms(e: Evidence) -> Iterator[tuple[str, Array]]:
    """Simple expressions in the gradient, the inputs and the result, from which terms of derivatives are made."""
    known: list[tuple[str, Array]] = []
    for label, x in zip(e.problem.labels, e.problem.values, strict=True):
        known.append((label.partition("(")[2].rstrip(")") or f"input {label}", x.astype(np.float64)))
    if isinstance(e.problem, DirectionalGradient):
        known += [("the direction", w) for w in e.problem.directions]
    elif len(e.outs) == 1:
        known.append(("out", e.outs[0].astype(np.float64)))
    seeds = [("g", u) for u in e.cotangents]
    with np.errstate(all="ignore"):
        factors: list[tuple[str, Any]] = [("1", 1.0)]
        for name, a in known:
            factors += [(name, a), (f"{name}²", a * a), (f"1/{name}", 1 / a), (f"1/{name}²", 1 / (a * a))]
        factors += [(f"{m}·{n}", a * b) for i, (m, a) in enumerate(known) for n, b in known[i + 1 :] if _fit(a, b)]
        factors += [("e^x", np.exp(a)) for _, a in known]
        for name, factor in factors:
            yield name, np.asarray(factor)
            for g, u in seeds:
                if _fit(factor, u):
                    yield (g if name == "1" else f"{g}·{name}"), np.asarray(u * factor)


def _fit(a: Any, b: Any) -> bool:
    try:
        np.broadcast_shapes(np.shape(a), np.shape(b))
    except ValueError:
        return False
    return True


def _shape(e: Evidence) -> Cause | None:
    if e.got.shape != e.found.value.shape:
        return Cause("shape", "the gradient must have the shape of its input")
    return None


_SUSPICIONS = (
    _wrong_dtype,
    _unsettled,
    _precision,
    _zero,
    _sign,
    _swapped,
    _broadcast,
    _transposed,
    _shape,
    _kink,
    _partly_zero,
    _factor,
    _dropped_term,
)
