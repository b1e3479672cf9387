"""The machine and the versions that a run was measured with, without names or paths."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

PACKAGES = ("numpy", "torch", "jax", "autograd", "mygrad", "micrograd", "safetensors")


def processor() -> str:
    """Model of the processor, as the system calls it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Logical cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Version of each package that is installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def describe(threads: int) -> dict[str, object]:
    """All of the above."""
    return {
        "processor": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "logical_cores": usable_cores(),
        "threads": threads,
        "versions": versions(),
    }
