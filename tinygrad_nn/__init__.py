"""Automatic differentiation on NumPy: record a computation once, read its graph many times.

>>> import tinygrad_nn as tg
>>> a, b, c = (tg.tensor(x, requires_grad=True) for x in (5.0, 3.0, 2.0))
>>> J = 3 * (a + b * c)
>>> J.backward()
>>> J.item(), b.grad.item()
(33.0, 6.0)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy import (
    bool,
    can_cast,
    complex64,
    complex128,
    e,
    euler_gamma,
    finfo,
    float16,
    float32,
    float64,
    iinfo,
    inf,
    int8,
    int16,
    int32,
    int64,
    isdtype,
    nan,
    newaxis,
    pi,
    uint8,
    uint16,
    uint32,
    uint64,
)

from .autodiff import transforms
from .autodiff.transforms import *  # noqa: F403
from .core import modes
from .core.define import Op, op
from .core.modes import *  # noqa: F403
from .core.moved import publish
from .ops import elementwise, reductions, shapes
from .ops import linalg as products
from .ops.elementwise import *  # noqa: F403
from .ops.linalg import *  # noqa: F403
from .ops.reductions import *  # noqa: F403
from .ops.shapes import *  # noqa: F403
from .tensor import creation
from .tensor.creation import *  # noqa: F403
from .tensor.tensor import Tensor

if TYPE_CHECKING:
    from . import data, linalg, nn, optim, random, testing, training
    from .autodiff.checkpoint import checkpoint
    from .autodiff.control import cond, scan, while_loop
    from .compiler import compile
    from .tensor.files import load, save
    from .tensor.random import manual_seed
    from .viewer.derivation import explain
    from .viewer.drawing import draw

__version__ = "0.1.0"

#: Where the names are that are imported when first used.
_LAZY = {
    "checkpoint": "autodiff.checkpoint",
    "compile": "compiler",
    "cond": "autodiff.control",
    "draw": "viewer.drawing",
    "explain": "viewer.derivation",
    "load": "tensor.files",
    "manual_seed": "tensor.random",
    "save": "tensor.files",
    "scan": "autodiff.control",
    "while_loop": "autodiff.control",
}
_LAZY_MODULES = frozenset(("data", "linalg", "nn", "optim", "random", "testing", "training"))

__all__ = [
    "Op",
    "Tensor",
    "bool",
    "can_cast",
    "checkpoint",
    "compile",
    "complex64",
    "complex128",
    "cond",
    "data",
    "draw",
    "e",
    "euler_gamma",
    "explain",
    "finfo",
    "float16",
    "float32",
    "float64",
    "iinfo",
    "inf",
    "int8",
    "int16",
    "int32",
    "int64",
    "isdtype",
    "linalg",
    "load",
    "manual_seed",
    "nan",
    "newaxis",
    "nn",
    "op",
    "optim",
    "pi",
    "random",
    "save",
    "scan",
    "testing",
    "training",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "while_loop",
]
__all__ += creation.__all__
__all__ += elementwise.__all__
__all__ += products.__all__
__all__ += modes.__all__
__all__ += reductions.__all__
__all__ += shapes.__all__
__all__ += transforms.__all__

publish(globals())


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _LAZY_MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _LAZY:
        value = globals()[name] = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
        return value
    from .core.hints import for_module

    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{for_module(name)}")


def __dir__() -> list[str]:
    return sorted(__all__)
