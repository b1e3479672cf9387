"""A diamond of 60 doublings, x = x + x: 2⁶⁰ paths, and 60 steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..measure import Workload

DOUBLINGS = 60


def doublings(count: int) -> Callable[[], Any]:
    import tinygrad_nn as tg

    def step() -> Any:
        total = 0.0
        for _ in range(DOUBLINGS // count):  # the same number of nodes in both columns
            x = tg.tensor(1.0, requires_grad=True)
            y = x
            for _ in range(count):
                y = y + y
            y.backward()
            total += float(x.grad) / 2.0**count
        return total * count / DOUBLINGS

    return step


WORKLOADS = [
    Workload(
        key="diamond",
        title="60 doublings x = x + x, forward and backward; beside them 4 × 15",
        unit="µs",
        scale=1e6,
        columns={"60 doublings": partial(doublings, 60), "4 × 15 doublings": partial(doublings, 15)},
        subject="60 doublings",
        at_most={"4 × 15 doublings": 1.5},
        tolerance=1e-12,
    )
]
