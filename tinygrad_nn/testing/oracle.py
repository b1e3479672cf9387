"""Derivatives found without the rules: by a complex step where the function is analytic, else by differences."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..tensor.tensor import plain_tensor
from .problem import Array, Problem

#: Size of the complex step: its square vanishes beside 1 in float64, so the derivative is exact to rounding.
STEP = 1e-20
#: Least relative error that is assumed of central differences.
FLOOR = 1e-9


@dataclass(frozen=True)
class Estimate:
    """A gradient as an oracle finds it in float64, with a bound on its own error; both NaN where it did not look."""

    value: Array
    error: Array
    method: str

    @property
    def known(self) -> Array:
        """At which entries it looked."""
        mask: Array = ~np.isnan(self.error)
        return mask


def estimate(
    problem: Problem,
    which: int,
    cotangents: Sequence[Array],
    *,
    analytic: bool,
    eps: float = 2.0**-52,
    entries: Array | None = None,
) -> Estimate:
    """Gradient of ⟨cotangents, results⟩ in one float64 input of a problem, at some flat indices or at all.

    A complex step is tried first if the function is said to be `analytic`; `eps` is the relative rounding error of the
    function's results.
    """
    entries = np.arange(problem.values[which].size) if entries is None else entries
    by_complex_step = _complex_step(problem, which, cotangents, entries) if analytic else None
    return by_complex_step or _central(problem, which, cotangents, entries, eps)


def _evaluate(problem: Problem, which: int, value: Array) -> list[Any]:
    # All in one dtype: above the first order gradients are results too, and have that of their input.
    others = [x.astype(value.dtype) for x in problem.values]
    values = [*others[:which], value, *others[which + 1 :]]
    outs = problem([plain_tensor(np.asarray(x)[()] if np.ndim(x) == 0 else x) for x in values])
    return [np.asarray(out._value) for out in outs]


def _complex_step(problem: Problem, which: int, cotangents: Sequence[Array], entries: Array) -> Estimate | None:
    """∂L/∂xᵢ = Im L(x + i·h·eᵢ) / h, or None where the function cannot be computed with complex numbers.

    Source: W. Squire and G. Trapp, "Using complex variables to estimate derivatives of real functions", 1998.
    """
    x = problem.values[which]
    value, error = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    with np.errstate(all="ignore"):
        here = _evaluate(problem, which, x)
    for flat in entries:
        index = np.unravel_index(flat, x.shape)
        moved = x.astype(np.complex128)
        moved[index] += 1j * STEP
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                outs = _evaluate(problem, which, moved)
        except Exception:  # whatever it is, it comes of the complex numbers
            return None
        scale = float(np.max(abs(x), initial=0.0))
        if not all(_continues(out, real, scale) for out, real in zip(outs, here, strict=True)):
            return None
        value[index] = sum(np.sum(u * out.imag) for u, out in zip(cotangents, outs, strict=True)) / STEP
        error[index] = 0.0
    return Estimate(value, error, "complex step")


def _continues(out: Any, real: Any, scale: float) -> bool:
    """Whether a complex result is what the function gives on real numbers, with nothing lost on the way."""
    if out.dtype.kind != "c" or not np.all(np.isfinite(out)):
        return False
    return bool(np.all(abs(out.real - real) <= 1e-8 * max(scale, np.max(abs(real), initial=0.0))))


def _central(problem: Problem, which: int, cotangents: Sequence[Array], entries: Array, eps: float) -> Estimate:
    """Central differences extrapolated to step 0, with an estimate of what remains."""
    x = problem.values[which]
    value, error = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        for flat in entries:
            index = np.unravel_index(flat, x.shape)
            scale = max(1.0, abs(float(x[index])))
            slope = _slope(problem, which, index, cotangents, eps)
            value[index], error[index] = _extrapolate(slope, 2.0**-6 * scale)
    # Sums that cancel round more coarsely than their result shows.
    error += FLOOR * np.max(abs(value[np.isfinite(value)]), initial=0.0)
    return Estimate(value, error, "central differences")


def _slope(
    problem: Problem, which: int, index: tuple[Any, ...], cotangents: Sequence[Array], eps: float
) -> Callable[[float], tuple[float, float]]:
    """The central difference as a function of the step, with a bound on its rounding error."""
    x = problem.values[which]

    def slope(h: float) -> tuple[float, float]:
        ahead, behind = x.copy(), x.copy()
        ahead[index] += h
        behind[index] -= h
        # An infinite or NaN entry stays what it is, and so does the function.
        width = float(ahead[index] - behind[index]) if np.isfinite(x[index]) else 2 * h
        total = rounding = 0.0
        pairs = zip(_evaluate(problem, which, ahead), _evaluate(problem, which, behind), strict=True)
        for u, (a, b) in zip(cotangents, pairs, strict=True):
            # NaN where both sides are the same infinity, which rules this step out.
            total += float(np.sum(u * (a - b)))
            rounding += eps * float(np.sum(abs(u) * (abs(a) + abs(b)) * (a != b)))
        return total / width, rounding / width

    return slope


def _extrapolate(slope: Callable[[float], tuple[float, float]], step: float) -> tuple[float, float]:
    """The limit of a slope at step 0, halving the step until its error no longer falls.

    Source: C. Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", 1982.
    """
    best, least = np.nan, np.inf
    above: list[float] = []
    worse = 0
    for k in range(36):
        first, rounding = slope(step * 2.0**-k)
        if not np.isfinite(first):
            above = []  # the step left the domain
            continue
        row = [first]
        for m, upper in enumerate(above, 1):
            row.append(row[-1] + (row[-1] - upper) / (4.0**m - 1))
            error = max(abs(row[m] - row[m - 1]), abs(row[m] - upper)) + 2 * rounding
            if error < least:
                best, least, worse = row[m], error, -1
        above = row[:8]
        worse += len(row) > 1
        settled = least <= max(1e-6 * abs(best), 8 * rounding)
        if (worse > 2 and settled) or (len(row) > 3 and least <= 8 * rounding):
            break
    return best, least


def one_sided(problem: Problem, which: int, index: tuple[Any, ...], cotangents: Sequence[Array]) -> tuple[float, float]:
    """Slopes to the left and to the right of one entry: they differ at a kink."""
    x = problem.values[which]
    h = 2.0**-20 * max(1.0, abs(float(x[index])))
    sides = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        here = _evaluate(problem, which, x)
        for step in (-h, h):
            moved = x.copy()
            moved[index] += step
            there = _evaluate(problem, which, moved)
            sides.append(
                float(sum(np.sum(u * (b - a)) for u, a, b in zip(cotangents, here, there, strict=True))) / step
            )
    return sides[0], sides[1]
