"""What samplers ask of their arguments: in which form they are, and whether they may be recorded."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.store import read, refuse
from .tensor import Tensor


def refuse_recording(method: str) -> None:
    refuse(
        f"compile: {method} cannot be recorded, and what it draws now would be the same at each call; "
        "use random, standard_normal, uniform, normal, integers, bernoulli, permutation or choice"
    )


def plain(x: Any) -> Any:
    """Parameters as NumPy takes them: None and strings as they are, anything else as arrays."""
    if isinstance(x, Tensor):
        return read(x)
    return np.asarray(x) if isinstance(x, list | int | float) and not isinstance(x, bool) else x


def refuse_recorded(what: str, values: Any) -> None:
    if any(isinstance(x, Tensor) and x.requires_grad for x in values):
        raise TypeError(
            f"{what}: no gradient passes through these samples to a parameter that requires gradients; "
            "detach it (t.detach()), or sample with uniform or normal, which are connected to their parameters"
        )
