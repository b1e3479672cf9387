"""C, memory: by how much the process grows during one eager training step, above its state before the step."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..measure import OURS, PeakMemory, Workload, sampled_by
from .mlp import Sizes, ours, torch_eager

SETUPS = {OURS: ours, "PyTorch": torch_eager}
SIZES = Sizes(784, 512, 10, 1024)

# The allocator hands every large block back to the system at once, so that what one array left free is not taken for
# memory that another needs no more. Both columns run with it.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def peak(column: str) -> int:
    """Bytes that a step takes at its peak. To be run in a process of its own.

    A step with a batch of 2 goes before, and a plain matrix product of the size of the real one: so modules are
    loaded, and BLAS has its threads and buffers.
    """
    SETUPS[column](SIZES._replace(batch=2))()
    warm_up(column)
    step = SETUPS[column](SIZES)
    with PeakMemory() as memory:
        loss = step()
    assert float(loss) > 0
    return memory.grown


def warm_up(column: str) -> None:
    library: Any = import_module("torch" if column == "PyTorch" else "numpy")
    x, w = library.ones((SIZES.batch, SIZES.inputs)), library.ones((SIZES.inputs, SIZES.hidden))
    for _ in range(3):
        x @ w


def code(column: str) -> str:
    return f"from benchmarks.workloads.step_memory import peak; print(peak({column!r}))"


WORKLOADS = [
    Workload(
        key="C memory",
        title="peak memory of an eager training step, MLP 784-512-10, batch 1024",
        unit="MB",
        scale=1e-6,
        columns={name: sampled_by(code(name), **ENVIRONMENT) for name in SETUPS},
        at_most={"PyTorch": 1.3},
        sampled=True,
        rounds=0.2,
        tolerance=None,
        note="growth of the resident set at its peak, each sample in a fresh process",
    )
]
