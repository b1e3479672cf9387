"""How far to go along a direction: line searches for the strong Wolfe conditions, and for sufficient decrease.

After Nocedal and Wright, *Numerical Optimization* (2006), chapter 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Share of the decrease promised by the slope that a step must bring, and share of the slope that may be left.
SUFFICIENT, REMAINING = 1e-4, 0.9


@dataclass(frozen=True)
class Trial:
    """A point along the line: how far, the loss, its gradient, and its slope along the line."""

    t: float
    loss: float
    gradient: Any
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], Trial],
    start: Trial,
    t: float,
    *,
    reach: float,
    tolerance: float = 1e-9,
    max_trials: int = 25,
) -> tuple[Trial, int]:
    """A point with enough less loss and enough less slope (algorithms 3.5 and 3.6), trials placed by cubics.

    The point, or the best one seen, and how many trials were evaluated: at most `max_trials` after the first. With
    `reach`, the largest element of the direction, an interval that moves no element by `tolerance` is searched no more.
    """

    def falls_too_little(trial: Trial) -> bool:
        return trial.loss > start.loss + SUFFICIENT * trial.t * start.slope

    def is_flat(trial: Trial) -> bool:
        return abs(trial.slope) <= -REMAINING * start.slope

    previous, trial = start, evaluate(t)
    count = 1
    while count <= max_trials:
        # That the loss is above the last one's counts from the third trial on, as in PyTorch.
        if falls_too_little(trial) or (count > 2 and trial.loss >= previous.loss):
            break
        if is_flat(trial):
            return trial, count
        if trial.slope >= 0:
            break
        further = cubic_minimum(previous, trial, trial.t + 0.01 * (trial.t - previous.t), trial.t * 10)
        previous, trial = trial, evaluate(further)
        count += 1
    else:
        previous = start
    ends = [previous, trial]
    low, high = _ordered(ends)
    stuck = done = False
    while not done and count <= max_trials:
        left, right = sorted((ends[0].t, ends[1].t))
        if (right - left) * reach < tolerance:
            break
        t, stuck = _inside(cubic_minimum(ends[0], ends[1], left, right), left, right, stuck)
        trial = evaluate(t)
        count += 1
        if falls_too_little(trial) or trial.loss >= ends[low].loss:
            ends[high] = trial
            low, high = _ordered(ends)
            continue
        done = is_flat(trial)
        if not done and trial.slope * (ends[high].t - ends[low].t) >= 0:
            ends[high] = ends[low]
        ends[low] = trial
    return ends[low], count


def _ordered(ends: list[Trial]) -> tuple[int, int]:
    """Which end of an interval has the lower loss, and which the higher."""
    return (0, 1) if ends[0].loss <= ends[1].loss else (1, 0)


def _inside(t: float, left: float, right: float, stuck: bool) -> tuple[float, bool]:
    """A trial moved away from the ends of its interval, at the second time that it is near one; and whether it is."""
    margin = 0.1 * (right - left)
    if min(right - t, t - left) >= margin:
        return t, False
    if not stuck and left < t < right:
        return t, True
    return (right - margin if right - t < t - left else left + margin), False


def cubic_minimum(a: Trial, b: Trial, lowest: float, highest: float) -> float:
    """Where the cubic with the losses and slopes of two trials is least, within bounds (equation 3.59)."""
    if a.t > b.t:
        a, b = b, a
    if a.t == b.t:
        return (lowest + highest) / 2
    mean = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = mean * mean - a.slope * b.slope
    if not 0 <= square < math.inf:  # no such point, or a loss that is infinite
        return (lowest + highest) / 2
    root = math.sqrt(square)
    below = b.slope - a.slope + 2 * root
    if below == 0:
        return (lowest + highest) / 2
    return min(max(b.t - (b.t - a.t) * ((b.slope + root - mean) / below), lowest), highest)


def sufficient_decrease(
    loss_at: Callable[[float], float], loss: float, slope: float, t: float, *, resolution: float, max_trials: int = 40
) -> tuple[float, float, int]:
    """The first of smaller and smaller steps that brings enough less loss (Armijo, 1966), placed by parabolas.

    t, 0 if there is none, the loss there, and how many trials were evaluated. Through rounding alone two losses may be
    apart by `resolution`.
    """
    for count in range(1, max_trials + 1):
        reached = loss_at(t)
        if reached <= loss + SUFFICIENT * t * slope or (-t * slope <= resolution and reached <= loss + resolution):
            return t, reached, count
        bend = reached - loss - t * slope
        shrunk = -slope * t * t / (2 * bend) if bend > 0 and math.isfinite(bend) else 0.0
        t = min(max(shrunk, 0.1 * t), 0.5 * t)
    return 0.0, loss, max_trials
