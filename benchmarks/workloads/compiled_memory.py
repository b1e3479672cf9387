"""C, memory, compiled: what a compiled training step needs above the state before the step was compiled.

The compiled function keeps its buffers from call to call. So the state is taken before its first call: what is measured
is all that compiling left behind, the buffers among it, and what a later call takes besides at its peak. The first call
itself, which records, is no step like the others; its peak has a column of its own.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from ..measure import OURS, PeakMemory, Workload, resident, sampled_by
from . import mlp, step_memory
from .compiled import EAGER, FIRST, KEPT, training_step
from .step_memory import ENVIRONMENT, SIZES


def peak(column: str) -> int:
    """Bytes above the state before the first call. To be run in a process of its own.

    As in the eager row, a step with a batch of 2 goes before, compiled as well.
    """
    keep = column == KEPT
    compiled(SIZES._replace(batch=2), keep)()
    step_memory.warm_up(OURS)
    step = compiled(SIZES, keep)
    gc.collect()
    before = resident()
    with PeakMemory() as memory:
        loss = step()
    assert float(loss) > 0
    if column == FIRST:
        return memory.grown
    del loss
    with PeakMemory() as memory:  # collects garbage first
        kept = resident() - before
        loss = step()
    assert float(loss) > 0
    return kept + memory.grown


def compiled(sizes: mlp.Sizes, keep_gradients: bool) -> Callable[[], Any]:
    import tinygrad_nn as tg

    made = mlp.parts(sizes)
    step = tg.compile(training_step(made, keep_gradients=keep_gradients))
    return lambda: step(made.x, made.y)


def code(column: str) -> str:
    return f"from benchmarks.workloads.compiled_memory import peak; print(peak({column!r}))"


WORKLOADS = [
    Workload(
        key="C memory compiled",
        title="peak memory of a compiled training step, MLP 784-512-10, batch 1024",
        unit="MB",
        scale=1e-6,
        columns={
            **{name: sampled_by(code(name), **ENVIRONMENT) for name in (OURS, KEPT, FIRST)},
            EAGER: sampled_by(step_memory.code(OURS), **ENVIRONMENT),
            "PyTorch": sampled_by(step_memory.code("PyTorch"), **ENVIRONMENT),
        },
        at_most={"PyTorch": 1.0},
        sampled=True,
        rounds=0.2,
        tolerance=None,
        note="peak of a later call above the state before the first one: what the compiled function keeps counts. "
        f"{FIRST}: the peak of the one call that records. Each sample in a fresh process",
    )
]
