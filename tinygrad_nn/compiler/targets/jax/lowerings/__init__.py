"""How JAX computes each operation: lowerings by family, as the operations themselves lie."""

from __future__ import annotations

from .....core.define import Op
from . import control, indexing, layers, linalg, reductions, shapes, windows  # noqa: F401  each fills the table
from .elementwise import of_numpys_name
from .table import LOWERINGS, Call, Lowering, NoCounterpart, cast, dtype_of


def lowering_of(op: Op) -> Lowering | None:
    """How JAX computes an op; None where only the op's own kernel does."""
    if not op.own:
        return None
    if op.name in LOWERINGS:
        return LOWERINGS[op.name]
    return of_numpys_name if op.ufunc is not None else None


__all__ = ["Call", "NoCounterpart", "cast", "dtype_of", "lowering_of"]
