"""Memory held after 1,000 training steps over that after 10, with the garbage collector off."""

from __future__ import annotations

from ..measure import OURS, Workload, sampled_by


def growth() -> int:
    """Bytes that Python and NumPy hold more. To be run in a process of its own."""
    import gc
    import tracemalloc

    from .mlp import Sizes, ours

    gc.disable()
    tracemalloc.start()
    step = ours(Sizes(20, 8, 3, 5))
    for _ in range(10):
        step()
    after_ten, _ = tracemalloc.get_traced_memory()
    for _ in range(990):
        step()
    return max(0, tracemalloc.get_traced_memory()[0] - after_ten)


WORKLOADS = [
    Workload(
        key="leak",
        title="memory held after 1,000 training steps over that after 10, garbage collector off",
        unit="bytes",
        columns={OURS: sampled_by("from benchmarks.workloads.leak import growth; print(growth())")},
        limit=4096,
        sampled=True,
        tolerance=None,
        rounds=0.05,
    )
]
