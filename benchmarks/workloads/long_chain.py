"""G, long: a chain of a million nodes, recorded, differentiated and freed in time and memory linear in its length."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..measure import OURS, Workload, resident, sampled_by
from .scalar_chain import FACTOR

SHORT, LONG = 10**4, 10**6


def cost(length: int) -> Callable[[], Any]:
    """A step that records, differentiates and frees `length` nodes in all, by chains of that length or shorter ones.

    The short chain is repeated, so that both columns do the same work.
    """
    import tinygrad_nn as tg

    def step() -> Any:
        for _ in range(LONG // length):
            x = tg.tensor(1.0, requires_grad=True)
            y = x
            for _ in range(length):
                y = y * FACTOR
            y.backward()
            del y

    return step


def bytes_a_node() -> float:
    """Growth of the process while a long chain is held, a node. To be run in a process of its own."""
    held, _ = _held_and_left()
    return held / LONG


def bytes_left() -> float:
    """What is left of that, a node, once the chain is gone."""
    _, left = _held_and_left()
    return left / LONG


def _held_and_left() -> tuple[int, int]:
    import tinygrad_nn as tg

    x = tg.tensor(1.0, requires_grad=True)
    (x * FACTOR).backward()
    before = resident()
    y = x
    for _ in range(LONG):
        y = y * FACTOR
    held = resident() - before
    y.backward()
    del y
    return held, resident() - before


def code(function: str) -> str:
    return f"from benchmarks.workloads.long_chain import {function}; print({function}())"


WORKLOADS = [
    Workload(
        key="G long",
        title="chain of scalar multiplications, recorded, differentiated and freed, a node, by its length",
        unit="µs",
        scale=1e6 / LONG,
        columns={"10⁶ nodes": partial(cost, LONG), "10⁴ nodes": partial(cost, SHORT)},
        subject="10⁶ nodes",
        at_most={"10⁴ nodes": 1.5},
        tolerance=None,
        rounds=0.2,
    ),
    Workload(
        key="G bytes",
        title="memory that a chain of 10⁶ nodes holds, a node, its value included",
        unit="bytes",
        columns={OURS: sampled_by(code("bytes_a_node"))},
        limit=600,
        sampled=True,
        tolerance=None,
        rounds=0.1,
    ),
    Workload(
        key="G freed",
        title="of that, what is left once the chain is gone",
        unit="bytes",
        columns={OURS: sampled_by(code("bytes_left"))},
        limit=60,
        sampled=True,
        tolerance=None,
        rounds=0.1,
    ),
]
