"""J: `import` in a fresh process, modules compiled and in the file cache."""

from __future__ import annotations

from ..measure import OURS, Workload, sampled_by

MODULES = {
    OURS: "tinygrad_nn",
    "NumPy": "numpy",
    "PyTorch": "torch",
    "JAX": "jax",
    "autograd": "autograd.numpy",
    "MyGrad": "mygrad",
}


def code(module: str) -> str:
    return f"from time import perf_counter as t; s = t(); import {module}; print(t() - s)"


WORKLOADS = [
    Workload(
        key="J",
        title="`import`, in a fresh process",
        unit="ms",
        scale=1e3,
        columns={name: sampled_by(code(module), PYTHONDONTWRITEBYTECODE="") for name, module in MODULES.items()},
        at_most={"NumPy": 1.3},
        sampled=True,
        tolerance=None,
    )
]
