"""Checks of derivatives, for the library's operations and for yours alike.

`check_gradients` compares what the engine says of a function's derivatives with what the function itself says.
A `Row` describes what an op takes; `check_op` then holds it to everything that the library's own ops are held to.
`strategies` makes random Tensors, shapes that broadcast and whole programs for hypothesis; `random_program` makes a
function with layers, losses and an optimizer of a seed alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.moved import publish
from .cases import add_row, op_cases, row_of, table
from .check import GradientError, check_gradients
from .close import assert_close
from .properties import PROPERTIES, check_op
from .random_programs import random_program
from .replay import replay
from .rows import Case, Domain, Row

if TYPE_CHECKING:
    from . import strategies as strategies

__all__ = [
    "PROPERTIES",
    "Case",
    "Domain",
    "GradientError",
    "Row",
    "add_row",
    "assert_close",
    "check_gradients",
    "check_op",
    "op_cases",
    "random_program",
    "replay",
    "row_of",
    "strategies",
    "table",
]

publish(globals())


def __getattr__(name: str) -> Any:
    if name == "strategies":  # needs hypothesis
        from importlib import import_module

        return import_module(".strategies", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
