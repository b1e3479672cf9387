"""The domain table: a row for each op of the library, and for any other op that is given one."""

from __future__ import annotations

from collections.abc import Iterator

from ...core.define import Op, registry
from ..rows import Case, Row
from . import elementwise, layers, linalg, reductions, shapes

#: The files of rows, which are called as the folders of the operations are.
FAMILIES = (elementwise, reductions, shapes, linalg, layers)
#: Every row by the name of its op.
table: dict[str, Row] = {row.name: row for family in FAMILIES for row in family.ROWS}


def add_row(row: Row) -> Row:
    """Put a row for an op of your own into the table, so that `op_cases` and the strategies know it; returns it.

    Raises
    ------
    ValueError
        If the op has a row already.
    """
    if row.name in table:
        raise ValueError(f"the domain table has a row for {row.name!r} already")
    table[row.name] = row
    return row


def row_of(op: str | Op) -> Row:
    """The row of an op, given it or its name.

    Raises
    ------
    KeyError
        If the table has none.
    """
    name = op if isinstance(op, str) else next((k for k, known in registry.items() if known is op), op.name)
    for key in (name, name.rpartition(".")[2]):
        if key in table:
            return table[key]
    raise KeyError(f"the domain table has no row for {name!r}; give it one with testing.add_row(testing.Row(...))")


def op_cases(op: str | Op, seed: int = 0) -> Iterator[Case]:
    """Example inputs for an op, one for each case of its row in the domain table.

    Parameters
    ----------
    op : Op or str
        The op, or its name.
    seed : int
        Of the random elements.

    Yields
    ------
    Case
        With `op`, `inputs` and `settings`; called, it applies the op.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import testing
    >>> for case in testing.op_cases("multiply"):
    ...     print(case)
    ...     break
    multiply(float64[], float64[])
    """
    return row_of(op).examples(seed)
