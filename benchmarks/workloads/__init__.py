"""All workloads, in the order of the table. A new one is a module with ``WORKLOADS``, named here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..measure import Workload

MODULES = (
    "mlp",
    "step_memory",
    "scalar_chain",
    "long_chain",
    "elementwise",
    "third_derivative",
    "cnn",
    "lstm",
    "compiled",
    "epoch",
    "compiled_memory",
    "floors",
    "import_time",
    "installed_size",
    "diamond",
    "leak",
)


def load() -> dict[str, Workload]:
    """Every workload by its key."""
    found = {}
    for name in MODULES:
        for workload in import_module(f"{__name__}.{name}").WORKLOADS:
            assert workload.key not in found, workload.key
            found[workload.key] = workload
    return found
