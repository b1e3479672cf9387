"""K: the size of each package's own files, without what it depends on and without compiled caches."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..measure import OURS, Workload

#: Folders that belong to a package: NumPy and JAX bring shared libraries beside themselves.
PACKAGES = {
    OURS: ("tinygrad_nn",),
    "NumPy": ("numpy", "numpy.libs"),
    "PyTorch": ("torch",),
    "JAX": ("jax", "jaxlib"),
    "autograd": ("autograd",),
    "MyGrad": ("mygrad",),
    "micrograd": ("micrograd",),
}


def size(folders: tuple[str, ...]) -> Callable[[], float]:
    found = importlib.util.find_spec(folders[0])
    if found is None or not found.submodule_search_locations:
        raise ImportError(folders[0])
    beside = Path(next(iter(found.submodule_search_locations))).parent
    files = [file for folder in folders for file in (beside / folder).rglob("*") if "__pycache__" not in file.parts]
    total = sum(file.stat().st_size for file in files if file.is_file())
    return lambda: float(total)


WORKLOADS = [
    Workload(
        key="K",
        title="installed size of the package itself",
        unit="MB",
        scale=1e-6,
        columns={name: partial(size, folders) for name, folders in PACKAGES.items()},
        sampled=True,
        tolerance=None,
        rounds=0.01,
    )
]
