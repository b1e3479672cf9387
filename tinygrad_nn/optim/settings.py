"""Settings of optimizers and schedulers: what they are in a step, and checks of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.graph import StandIn


def number(setting: Any) -> Any:
    """A setting as a Python number, which leaves the dtype of arrays alone; what stands for one stays as it is."""
    return setting if isinstance(setting, StandIn) else float(setting)


def is_set(setting: Any) -> bool:
    """Whether a setting is other than 0; one that changes from step to step in compiled code is."""
    return bool(setting) if isinstance(setting, bool | int | float) else True


def check_betas(group: Mapping[str, Any]) -> None:
    """Refuse decay rates of means that are not in [0, 1)."""
    betas = group["betas"]
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas must be two numbers in [0, 1), not {betas!r}")


def check_not_negative(group: Mapping[str, Any], *names: str) -> None:
    """Refuse settings that are negative or no numbers."""
    for name in names:
        value = group[name]
        if not value >= 0 or value == float("inf"):
            raise ValueError(f"{name} must be a number that is not negative, not {value!r}")


def check_count(name: str, value: Any, kinds: Any = int) -> None:
    """Refuse what is no whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, kinds) or value < 1:
        raise ValueError(f"{name} must be a whole number above 0, not {value!r}")
