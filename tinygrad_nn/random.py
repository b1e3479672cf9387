"""Random numbers: generators as NumPy has them, whose samples are Tensors."""

from __future__ import annotations

from .core.moved import publish
from .tensor import random as _random
from .tensor.random import *  # noqa: F403

__all__ = list(_random.__all__)

publish(globals())
