"""Drawing from NumPy's generators: what is drawn now, and what a compiled function draws anew at each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.graph import modes, switch
from ..core.values import current
from .tensor import Tensor

if TYPE_CHECKING:
    from numpy.random import Generator as NumPyGenerator


def sampled(generator: NumPyGenerator, method: str, *args: Any) -> Any:
    """What a generator's method draws, as an array; in a compiled function new numbers at each call."""
    if switch.active and modes.trace is not None:
        return modes.trace.draw(generator, method, args)
    return np.asarray(getattr(generator, method)(*args))


def refuse_recording(method: str) -> None:
    if modes.trace is not None:
        raise TypeError(
            f"compile: {method} cannot be recorded, and what it draws now would be the same at each call; "
            "use random, standard_normal, uniform, normal, integers, bernoulli, permutation or choice"
        )


def plain(x: Any) -> Any:
    """Parameters as NumPy takes them: None and strings as they are, anything else as arrays."""
    if isinstance(x, Tensor):
        return current(x)
    return np.asarray(x) if isinstance(x, list | int | float) and not isinstance(x, bool) else x


def refuse_recorded(what: str, values: Any) -> None:
    if any(isinstance(x, Tensor) and x.requires_grad for x in values):
        raise TypeError(
            f"{what}: no gradient passes through these samples to a parameter that requires gradients; "
            "detach it (t.detach()), or sample with uniform or normal, which are connected to their parameters"
        )
