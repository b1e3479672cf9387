"""`check_gradients`: what the engine says of a function's derivatives against what the function itself says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..autodiff.transforms import jvp
from ..tensor.tensor import Tensor
from .diagnose import Cause, Evidence, diagnose
from .oracle import Estimate, estimate
from .problem import Array, DirectionalGradient, Problem, as_leaf, is_analytic, pull, recorded, unconformed
from .replay import single_ops

#: Differences of this many units in the last place are rounding: of sums over entries, and of the oracle's own terms.
ULPS = 1000.0

_ORDERS = {1: "first", 2: "second", 3: "third"}


class GradientError(AssertionError):
    """A derivative is wrong.

    Attributes
    ----------
    name : str
        The function, or the op in it that is at fault.
    input : str
        Which input's gradient is wrong, by position and name.
    index : tuple of int or None
        The entry that is furthest off, None where shapes differ or the derivative raised.
    got, expected : float
        At that entry.
    ulps : float
        |got − expected| in units in the last place of what was expected.
    cause : str
        ``"sign"``, ``"factor"``, ``"zero"``, ``"transposed"``, ``"swapped"``, ``"broadcast"``, ``"dropped term"``,
        ``"shape"``, ``"dtype"``, ``"raised"``, ``"kink"``, ``"forward"``, ``"recorded"``, ``"unsettled"``,
        ``"precision"`` or ``"unknown"``.
    order : int
        Of the derivative that is wrong; the lower ones are right.
    """

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.name: str = facts.get("name", "")  # pickle gives the message alone, and the rest afterwards
        self.input: str = facts.get("input", "")
        self.cause: str = facts.get("cause", "unknown")
        self.order: int = facts.get("order", 1)
        self.index: tuple[int, ...] | None = facts.get("index")
        self.got: float = facts.get("got", np.nan)
        self.expected: float = facts.get("expected", np.nan)
        self.ulps: float = facts.get("ulps", np.inf)


@dataclass(frozen=True)
class Settings:
    """Those of `check_gradients`."""

    ulps: float = ULPS
    entries: int = 200
    forward: bool = True
    seed: int = 0


def check_gradients(
    f: Callable[..., Any],
    *inputs: Any,
    order: int = 2,
    forward: bool = True,
    ulps: float = ULPS,
    entries: int = 200,
    seed: int = 0,
) -> None:
    """Check the derivatives of a function, or of an op, at a point.

    The reverse pass is compared entry by entry with an oracle that uses the function's values alone: a complex
    step where every op that it recorded is analytic, else central differences extrapolated to step 0. Then the forward
    pass is compared with the reverse pass, ⟨J v, u⟩ = ⟨v, Jᵀ u⟩, and the whole is repeated for the gradient itself,
    up to `order`.

    Parameters
    ----------
    f : callable or Op
        Takes Tensors, or nests of them, and returns a Tensor of any shape, or a nest of Tensors.
    *inputs : array_like, Tensor, or nested tuples, lists and dicts of them
        Where to check. Floating-point ones are differentiated, the rest are passed on as they are. The oracle computes
        in float64 whatever their precision. Keep away from kinks: |x| has no derivative at 0 to compare with.
    order : int
        How many derivatives to check.
    forward : bool
        Check forward mode too.
    ulps : float
        Largest error, in units in the last place of the result's precision, relative to the larger of the entry and
        the largest entry of the same gradient. The oracle's own error is allowed for on top.
    entries : int
        Of an input with more entries than this, so many are checked, chosen at random.
    seed : int
        Of the random gradients and directions.

    Raises
    ------
    GradientError
        Naming the function, the input, the worst entry with what was got and expected, the error in ULPs, and what
        the cause may be. Of a function made of several ops, the op at fault is looked for.
    TypeError
        If there is nothing to differentiate, or `f` returns something else than Tensors.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn.testing import check_gradients
    >>> check_gradients(lambda x, y: x * tg.exp(y), [1.0, 2.0], [[0.5], [-0.5]])

    A wrong derivative is named:

    >>> @tg.op
    ... def cube(x):
    ...     return x**3
    >>> cube.derivatives(lambda g, out, x: g * x**2)
    <op cube(x)>
    >>> check_gradients(cube, 2.0)
    Traceback (most recent call last):
    ...
    tinygrad_nn.testing.GradientError: the gradient of cube in input 0 (x) is wrong
      worst entry [()]: got 4.5..., expected 13.6..., ... ULPs off
      suspected cause: factor: the gradient is what was expected times 1/3
    """
    check_problem(Problem(f, [_numbers(x) for x in inputs]), order, Settings(ulps, entries, forward, seed))


def check_problem(problem: Problem, order: int, settings: Settings) -> None:
    """`check_gradients` of a problem."""
    try:
        _check(problem, order, settings)
    except GradientError as error:
        culprit = _culprit(problem, error.order, settings)
        if culprit is None:
            raise
        culprit.args = (f"{culprit.args[0]}\n  found at the op {culprit.name} inside {problem.name}",)
        raise culprit from None


def _numbers(x: Any) -> Any:
    """Lists of numbers as arrays; lists of anything else are nests."""
    if isinstance(x, list):
        array = np.asarray(x, dtype=None) if all(isinstance(i, int | float | list) for i in x) else None
        if array is not None and array.dtype.kind == "f":
            return array
    return x


def _check(problem: Problem, order: int, settings: Settings) -> None:
    rng = np.random.default_rng(settings.seed)
    for level in range(1, order + 1):
        step = _Step(problem, level, settings, rng)
        step.compare_with_oracle()
        if settings.forward:
            step.compare_forward_with_reverse()
        if level < order:
            step.compare_recorded_with_plain()
            directions = [_random(rng, x) for x in problem.values]
            problem = DirectionalGradient(problem, step.cotangents, directions)


class _Step:
    """One order of derivative of one function at one point."""

    def __init__(self, problem: Problem, order: int, settings: Settings, rng: np.random.Generator) -> None:
        self.problem = problem
        self.order = order
        self.settings = settings
        self.rng = rng
        with np.errstate(all="ignore"):
            self.outs = problem([as_leaf(x) for x in problem.values])
            if not self.outs:
                raise TypeError(f"check_gradients: {problem.name} returned no floating-point result")
            self.cotangents = [_random(rng, np.asarray(out._value)) for out in self.outs]
            self.analytic = is_analytic(recorded(self.outs))
            self.gradients = self._reverse()
        self.scale = self._natural_scale()
        #: The coarsest rounding among what was given.
        self.eps = max(float(np.finfo(x.dtype).eps) for x in (*problem.values, *self.cotangents))

    def _reverse(self) -> list[Array]:
        tensors = [as_leaf(x) for x in self.problem.values]
        try:
            return [np.asarray(g) for g in pull(self.problem, tensors, self.cotangents, record=False)]
        except Exception as error:
            with np.errstate(all="ignore"):
                gradients = unconformed(self.problem, self.cotangents)
            if gradients is None or self.order > 1:
                raise self._raised(error) from error
            return gradients  # of a shape that the engine refuses: the comparison will say more than it can

    def _raised(self, error: Exception) -> GradientError:
        text = f"{self._title('some input')}: taking it raised {type(error).__name__}: {error}"
        return self._fault(text, Cause("raised", "a rule cannot compute with what it is given"))

    def _fault(self, text: str, cause: Cause, **facts: Any) -> GradientError:
        text = f"{text}\n  suspected cause: {cause.kind}" + (f": {cause.text}" if cause.text else "")
        return GradientError(text, **{"name": self.problem.name, "cause": cause.kind, "order": self.order, **facts})

    def _title(self, label: str) -> str:
        which = "" if self.order == 1 else f"{_ORDERS.get(self.order, f'{self.order}th')}-order "
        return f"the {which}gradient of {self.problem.name} in {label} is wrong"

    def compare_with_oracle(self) -> None:
        double = self.problem.in_double()
        eps = self._rounding(double)
        cotangents = [u.astype(np.float64) for u in self.cotangents]
        count = self.settings.entries
        estimates = []
        for i, x in enumerate(double.values):
            chosen = None if x.size <= count else np.sort(self.rng.choice(x.size, count, replace=False))
            estimates.append(estimate(double, i, cotangents, analytic=self.analytic, eps=eps, entries=chosen))
        excesses = [self._excess(i, expected) for i, expected in enumerate(estimates)]
        if max(excesses) > 1:
            raise self._error(excesses.index(max(excesses)), estimates)

    def _rounding(self, double: Problem) -> float:
        """Relative rounding of the function's results on float64 input: coarser if it computes in less on the way."""
        nodes = recorded(double([as_leaf(x) for x in double.values]))
        dtypes = {v.dtype for n in nodes for v in (n.value if type(n.value) is tuple else (n.value,))}
        return max((float(np.finfo(d).eps) for d in dtypes if d.kind == "f"), default=2.0**-52)

    def _natural_scale(self) -> float:
        """What a derivative of this function may be as large as: |u|·|f| / max(1, |x|). Rounding is a part of that."""
        largest = max((float(abs(x).max()) for x in self.problem.values if x.size), default=1.0)
        return self.problem.magnitude(self.outs, self.cotangents) / max(1.0, largest)

    def _allowed(self, expected: Array) -> Array:
        """Largest error of each entry that is still rounding."""
        magnitude = np.abs(np.where(np.isfinite(expected), expected, 0.0))
        unit = self.eps * np.maximum(magnitude, max(float(magnitude.max(initial=0.0)), self.scale))
        return np.asarray(self.settings.ulps * unit)

    def _ratios(self, got: Array, expected: Estimate) -> Array:
        """The error of each entry as a multiple of what is allowed; −1 where the oracle did not look."""
        with np.errstate(all="ignore"):
            ratio = abs(got - expected.value) / (self._allowed(expected.value) + 4 * expected.error)
        ratio = np.where(got == expected.value, 0.0, np.where(np.isnan(ratio), np.inf, ratio))
        return np.where(expected.known, ratio, -1.0)

    def _excess(self, i: int, expected: Estimate) -> float:
        """The worst error as a multiple of what is allowed; infinite where shape or dtype are wrong."""
        got, value = self.gradients[i], expected.value
        if got.shape != value.shape or got.dtype != self.problem.values[i].dtype:
            return np.inf
        with np.errstate(all="ignore"):
            unsettled = expected.error > 1e-3 * np.maximum(abs(value), 1e-3 * self.scale)
        if np.any(unsettled & (got != value)):
            return np.inf
        return float(self._ratios(got, expected).max(initial=0.0))

    def _error(self, i: int, estimates: list[Estimate]) -> GradientError:
        got, expected = self.gradients[i], estimates[i]
        evidence = Evidence(
            problem=self.problem,
            which=i,
            gradients=self.gradients,
            estimates=estimates,
            cotangents=self.cotangents,
            outs=[np.asarray(out._value) for out in self.outs],
            close=self._close,
            analytic=self.analytic,
        )
        lines = [self._title(self.problem.labels[i])]
        facts: dict[str, Any] = {}
        if got.shape != expected.value.shape:
            lines.append(f"  got shape {got.shape}, expected {expected.value.shape}")
        else:
            facts = self._worst_entry(got, expected)
            lines.append(
                f"  worst entry [{', '.join(map(str, facts['index'])) or '()'}]: got {facts['got']!r}, "
                f"expected {facts['expected']!r} (by {expected.method}), {facts['ulps']:.3g} ULPs off"
            )
        if self.order > 1:
            lines.append(
                "  second order only: the derivative itself is right, but not the derivative of its rule (does the rule"
                " compute with something that is not recorded: np. on values, detach(), a number taken out?)"
            )
        return self._fault("\n".join(lines), diagnose(evidence), input=self.problem.labels[i], **facts)

    def _close(self, a: Array, b: Array) -> bool:
        """Whether two arrays are the same to a diagnosis."""
        return bool(np.all(abs(a - b) <= max(self.settings.ulps * self.eps, 1e-7) * np.max(abs(b), initial=0.0)))

    def _worst_entry(self, got: Array, expected: Estimate) -> dict[str, Any]:
        ratios = self._ratios(got, expected)
        index = tuple(int(k) for k in np.unravel_index(int(ratios.argmax()), ratios.shape))
        right, value = float(expected.value[index]), float(got[index])
        ulp = float(np.spacing(np.asarray(abs(right), got.dtype)))
        return {"index": index, "got": value, "expected": right, "ulps": abs(value - right) / ulp}

    def compare_forward_with_reverse(self) -> None:
        """⟨J v, u⟩ = ⟨v, Jᵀ u⟩ for a random direction v."""
        directions = [_random(self.rng, x) for x in self.problem.values]
        try:
            _, pushed = jvp(
                lambda *xs: self.problem(xs),
                tuple(x[()] for x in self.problem.values),
                tuple(v[()] for v in directions),
            )
        except Exception as error:
            raise self._forward(f"taking it raised {type(error).__name__}: {error}") from error
        pushed = [t.numpy() if isinstance(t, Tensor) else np.asarray(t) for t in pushed]
        terms = [t * u for t, u in zip(pushed, self.cotangents, strict=True)]
        back = [v * g for v, g in zip(directions, self.gradients, strict=True)]
        ahead, behind = (float(sum(np.sum(t, dtype=np.float64) for t in side)) for side in (terms, back))
        size = sum(float(np.sum(abs(t), dtype=np.float64)) for t in (*terms, *back))
        if not abs(ahead - behind) <= self.settings.ulps * self.eps * max(size, self.scale):
            raise self._forward(f"⟨Jv, u⟩ = {ahead!r} but ⟨v, Jᵀu⟩ = {behind!r}")
        for t, out in zip(pushed, self.outs, strict=True):
            if t.dtype != out.dtype or t.shape != out.shape:
                raise self._forward(f"a tangent has {t.dtype}{list(t.shape)}, not {out.dtype}")

    def _forward(self, what: str) -> GradientError:
        return self._fault(
            f"forward mode of {self.problem.name} does not agree with reverse mode: {what}",
            Cause("forward", "its forward_derivative, or its traits elementwise= or linear="),
        )

    def compare_recorded_with_plain(self) -> None:
        """The rules give on Tensors what they give on arrays."""
        tensors = [as_leaf(x) for x in self.problem.values]
        try:
            gradients = pull(self.problem, tensors, self.cotangents, record=True)
        except Exception as error:
            raise self._raised(error) from error
        for label, gradient, plain in zip(self.problem.labels, gradients, self.gradients, strict=True):
            value = np.asarray(gradient._value)
            same = value.shape == plain.shape and value.dtype == plain.dtype
            if not same or not np.all(
                (abs(value - plain) <= self._allowed(plain.astype(np.float64))) | (value == plain)
            ):
                text = (
                    f"{self._title(label)}: the rule gives something else on Tensors "
                    f"({value.dtype}{list(value.shape)}) than on arrays"
                )
                raise self._fault(text, Cause("recorded"), input=label, order=self.order + 1)


def _random(rng: np.random.Generator, array: Array) -> Array:
    """Numbers of both signs, none near 0, in the shape and precision of another array."""
    numbers = rng.uniform(0.5, 1.5, array.shape) * rng.choice([-1.0, 1.0], array.shape)
    return np.asarray(numbers).astype(array.dtype)


def _culprit(problem: Problem, order: int, settings: Settings) -> GradientError | None:
    """What is wrong with the first op of a function, in order of computation, that is wrong by itself."""
    with np.errstate(all="ignore"):
        applications = single_ops(problem([as_leaf(x) for x in problem.values]))
    if len(applications) < 2:
        return None
    for op, values, params in applications:
        try:
            _check(Problem.of_op(op, values, params), order, replace(settings, seed=0))
        except GradientError as error:
            return error
        except Exception:  # what cannot be looked at alone is not to blame
            continue
    return None
