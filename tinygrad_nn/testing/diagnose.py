"""What may be wrong with a derivative, judged from the numbers it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .oracle import Estimate, estimate, one_sided
from .problem import Array, DirectionalGradient, Problem, broadcast


@dataclass(frozen=True)
class Cause:
    """A suspicion: one word for programs, a sentence for people."""

    kind: str
    text: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that is known about a gradient that is wrong, that in the input `which`."""

    problem: Problem
    which: int
    #: The engine's gradients in all inputs, and the oracle's.
    gradients: Sequence[Array]
    estimates: Sequence[Estimate]
    #: The gradients u that came in, one for each of the results.
    cotangents: Sequence[Array]
    outs: Sequence[Array]
    #: Whether two arrays agree up to rounding.
    close: Callable[[Array, Array], bool]
    #: Whether the oracle can use complex steps.
    analytic: bool

    @property
    def got(self) -> Array:
        """The engine's gradient."""
        return self.gradients[self.which]

    @property
    def expected(self) -> Estimate:
        """The oracle's, which is known at some entries only."""
        return self.estimates[self.which]

    def oracle(self, problem: Problem, cotangents: Sequence[Array]) -> Array:
        """The oracle's gradient of another problem in the same input."""
        return estimate(problem, self.which, cotangents, analytic=self.analytic).value

    def agrees(self, candidate: Array) -> bool:
        """Whether the gradient is `candidate` where that is finite."""
        if candidate.shape != self.got.shape:
            return False
        known = np.isfinite(candidate)
        return bool(known.any()) and self.close(self.got[known], candidate[known])


def diagnose(evidence: Evidence) -> Cause:
    """The first suspicion that explains the numbers, the most particular ones first."""
    for kind, suspicion in _SUSPICIONS:
        for text in suspicion(evidence):
            return Cause(kind, text)
    return Cause("unknown", "no simple relation to what was expected")


def _wrong_dtype(e: Evidence) -> Iterator[str]:
    x = e.problem.values[e.which]
    if e.got.dtype != x.dtype:
        yield f"the gradient is {e.got.dtype}, its input {x.dtype}"


def _unsettled(e: Evidence) -> Iterator[str]:
    known = e.expected.known
    error, value = e.expected.error[known], e.expected.value[known]
    if np.any(~np.isfinite(value)) or np.any(error > 1e-2 * np.max(abs(value), initial=0.0)):
        yield (
            "the oracle found no derivative either: the function is not smooth or not defined around this input, or it "
            "rounds too coarsely"
        )


def _precision(e: Evidence) -> Iterator[str]:
    if e.agrees(e.expected.value):
        yield "nearly right: digits are lost on the way, or the error allowed is too small"


def _zero(e: Evidence) -> Iterator[str]:
    if e.got.size and not e.got.any():
        yield "the gradient is 0: a rule gives none, or the value was taken out of the graph"


def _sign(e: Evidence) -> Iterator[str]:
    if e.agrees(-e.expected.value):
        yield "the gradient is what was expected times −1"


def _swapped(e: Evidence) -> Iterator[str]:
    for j, other in enumerate(e.estimates):
        if j != e.which and e.agrees(other.value):
            yield f"this is the gradient in {e.problem.labels[j]}: the rules of the two are exchanged"


def _broadcast(e: Evidence) -> Iterator[str]:
    """The gradient before, or instead of, the sum over the axes along which the input was broadcast."""
    expected = e.expected.value
    if e.got.shape != expected.shape:
        if e.got.ndim >= expected.ndim and e.close(_sum_to(e.got, expected.shape), expected):
            yield "the gradient is not summed over the axes along which the input was broadcast"
        return
    x = e.problem.values[e.which]
    shape = np.broadcast_shapes(*(u.shape for u in e.cotangents))
    if x.shape == shape or broadcast(x.shape, shape) != shape:
        return
    values = list(e.problem.in_double().values)
    values[e.which] = np.broadcast_to(values[e.which], shape).copy()
    try:
        full = e.oracle(e.problem.at(values), e.cotangents)
    except Exception:  # the function does not take the input in that shape
        return
    if any(map(e.agrees, _slices(full, x.shape))):
        yield "one slice is taken instead of the sum over the axes that were broadcast"
    count = max(1, full.size // max(1, x.size))
    if e.agrees(expected / count):
        yield f"the mean over the {count} broadcast copies instead of their sum"


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


def _transposed(e: Evidence) -> Iterator[str]:
    """The gradient, or something that enters it, with its last two axes exchanged."""
    expected = e.expected.value
    if expected.ndim < 2:
        return
    if e.agrees(np.swapaxes(expected, -1, -2)) or e.got.shape == expected.shape[::-1] != expected.shape:
        yield "the gradient is transposed"
    if e.got.shape not in (expected.shape, expected.swapaxes(-1, -2).shape):
        return
    for what, problem, cotangents in _with_one_transposed(e):
        try:
            candidate = e.oracle(problem, cotangents)
        except Exception:  # the function does not take it that way round
            continue
        if e.agrees(candidate) or e.agrees(np.swapaxes(candidate, -1, -2)):
            yield f"the rule has {what} transposed, or forgets to transpose it"


def _with_one_transposed(e: Evidence) -> Iterator[tuple[str, Problem, Sequence[Array]]]:
    double = e.problem.in_double()
    for j, x in enumerate(double.values):
        if j != e.which and x.ndim >= 2 and x.shape[-1] == x.shape[-2]:
            values = list(double.values)
            values[j] = np.swapaxes(x, -1, -2).copy()
            yield e.problem.labels[j], double.at(values), e.cotangents
    if all(u.ndim >= 2 and u.shape[-1] == u.shape[-2] for u in e.cotangents):
        yield "the incoming gradient", double, [np.swapaxes(u, -1, -2) for u in e.cotangents]


def _wrong_shape(e: Evidence) -> Iterator[str]:
    if e.got.shape != e.expected.value.shape:
        yield "the gradient must have the shape of its input"


def _kink(e: Evidence) -> Iterator[str]:
    if e.expected.method == "complex step":
        return
    off = np.argwhere(e.expected.known & ~np.isclose(e.got, e.expected.value, rtol=1e-6, atol=0))
    for index in off[:3]:
        left, right = one_sided(e.problem.in_double(), e.which, tuple(index), e.cotangents)
        if abs(left - right) > 1e-3 * max(abs(left), abs(right)):
            yield f"the slope is {left:.4g} to the left of this input and {right:.4g} to its right; move away from it"


def _partly_zero(e: Evidence) -> Iterator[str]:
    known, expected = e.expected.known, e.expected.value
    missing = known & (e.got == 0) & (expected != 0)
    if missing.any() and e.close(e.got[known & ~missing], expected[known & ~missing]):
        yield f"the gradient is 0 in {missing.sum()} of {e.got.size} entries and right in the others"


def _factor(e: Evidence) -> Iterator[str]:
    expected, known = e.expected.value, e.expected.known
    at = np.argmax(np.where(known, abs(expected), -1.0))
    if expected.flat[at] == 0:
        return
    ratio = float(e.got.flat[at] / expected.flat[at])
    if not np.isfinite(ratio) or not e.agrees(expected * ratio):
        return
    simple = Fraction(ratio).limit_denominator(64)
    named = abs(ratio - simple) <= 1e-6 * abs(ratio)
    if not named and np.count_nonzero(expected[known]) < 2:
        return
    text = f"the gradient is what was expected times {simple if named else f'{ratio:.6g}'}"
    lengths = {n for x in (*e.cotangents, *e.problem.values) for n in (*x.shape, x.size)} - {0, 1}
    averages = not getattr(e.problem.f, "elementwise", False)
    if averages and named and {simple.numerator, simple.denominator} & lengths:
        text += ", and an axis has that length: a mean in the place of a sum, or the other way round?"
    yield text


def _dropped_term(e: Evidence) -> Iterator[str]:
    """What is missing is a constant times something simple: a term of the derivative was left out."""
    known = e.expected.known
    rest = e.expected.value - e.got
    if np.count_nonzero(rest[known]) < 2:
        return
    for name, atom in _atoms(e):
        if atom.shape == rest.shape and np.all(np.isfinite(atom)) and np.any(atom[known]):
            c = float(np.vdot(atom[known], rest[known]) / np.vdot(atom[known], atom[known]))
            if np.all(abs(rest - c * atom)[known] <= 1e-6 * abs(rest[known]).max()):
                times = "" if abs(c - 1) < 1e-6 else f"{c:.4g}·"
                yield f"what is missing is {times}{name}: a term left out, or with the wrong sign"


def _atoms(e: Evidence) -> Iterator[tuple[str, Array]]:
    """Simple expressions in the gradient, the inputs and the result, from which terms of derivatives are made."""
    named: list[tuple[str, Array]] = []
    for label, x in zip(e.problem.labels, e.problem.values, strict=True):
        named.append((label.partition("(")[2].rstrip(")") or f"input {label}", x.astype(np.float64)))
    if isinstance(e.problem, DirectionalGradient):
        named += [("the direction", w) for w in e.problem.directions]
    elif len(e.outs) == 1:
        named.append(("out", e.outs[0].astype(np.float64)))
    seeds = [("g", u) for u in e.cotangents]
    with np.errstate(all="ignore"):
        factors: list[tuple[str, Any]] = [("1", 1.0)]
        for name, a in named:
            factors += [(name, a), (f"{name}²", a * a), (f"1/{name}", 1 / a), (f"1/{name}²", 1 / (a * a))]
        factors += [(f"{m}·{n}", a * b) for i, (m, a) in enumerate(named) for n, b in named[i + 1 :] if _fit(a, b)]
        factors += [("e^x", np.exp(a)) for _, a in named]
        for name, factor in factors:
            yield name, np.asarray(factor)
            for g, u in seeds:
                if _fit(factor, u):
                    yield (g if name == "1" else f"{g}·{name}"), np.asarray(u * factor)


def _fit(a: Any, b: Any) -> bool:
    return broadcast(np.shape(a), np.shape(b)) is not None


_SUSPICIONS: tuple[tuple[str, Callable[[Evidence], Iterator[str]]], ...] = (
    ("dtype", _wrong_dtype),
    ("unsettled", _unsettled),
    ("precision", _precision),
    ("zero", _zero),
    ("sign", _sign),
    ("swapped", _swapped),
    ("broadcast", _broadcast),
    ("transposed", _transposed),
    ("shape", _wrong_shape),
    # those below see gradients of the right shape alone
    ("kink", _kink),
    ("zero", _partly_zero),
    ("factor", _factor),
    ("dropped term", _dropped_term),
)
