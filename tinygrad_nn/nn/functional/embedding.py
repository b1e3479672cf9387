"""Whole numbers as vectors: rows of a table, and rows of zeros with a one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops.elementwise import equal, where
from ...ops.layers import neural
from ...ops.shapes import expand_dims, shape_of
from ...ops.shapes.indexing import index
from ..checks import as_operand, is_recorded
from .loss import plain
from .loss_classification import check_range, class_numbers

__all__ = ["embedding", "one_hot"]


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of a table that are asked for by number.

    Parameters
    ----------
    input : array_like of int
        Numbers 0 … rows − 1, of any shape.
    weight : array_like
        The table, shape (rows, width).
    padding_idx : int, optional
        A row that no gradient reaches; negative ones count from the end.
    max_norm, norm_type, scale_grad_by_freq, sparse
        PyTorch's, at their defaults: rows are not rescaled, and gradients are dense.

    Returns
    -------
    Tensor
        Shape (…, width). ∂L/∂weight adds the gradient of each result to the row it came from.

    Raises
    ------
    TypeError
        If the numbers are not integers.
    IndexError
        If one is negative, or there is no such row.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.embedding([1, 0, 1], tg.tensor([[0.5, 1.0], [2.0, 3.0]]))
    tensor([[2. , 3. ],
            [0.5, 1. ],
            [2. , 3. ]])
    """
    check_settings("embedding", max_norm, scale_grad_by_freq, sparse)
    shape = shape_of(weight)
    if len(shape) != 2:
        raise ValueError(f"embedding: weight must have shape (rows, width), not {shape}")
    numbers = as_operand(input)
    if numbers.dtype.kind not in "iu":
        raise TypeError(
            f"embedding: the input must be integers, the numbers of rows, not {numbers.dtype} of shape {numbers.shape}"
        )
    numbers = neural.checked_rows(numbers, rows=shape[0])
    out = index(weight, numbers)
    if padding_idx is None:
        return out
    padding = row_number("embedding", padding_idx, shape[0])
    padded = equal(numbers, padding)
    if not is_recorded(padded) and not np.any(padded):
        return out
    fixed = plain(weight)[padding]
    return where(expand_dims(padded, axis=-1), fixed, out)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Rows of zeros with a one at each label: integers of shape (…) to integers of shape (…, num_classes).

    Parameters
    ----------
    tensor : array_like of int
        The labels.
    num_classes : int
        The largest label and one unless given.
    """
    codes, _ = class_numbers("one_hot", tensor)
    if num_classes == -1:
        if is_recorded(codes):
            raise TypeError(
                "one_hot: the shape depends on the largest label, which differs from call to call of a compiled "
                "function; give num_classes"
            )
        num_classes = int(codes.max(initial=-1)) + 1
    codes = check_range("one_hot", codes, num_classes)
    return neural.one_hot(codes if is_recorded(codes) else tensor, num_classes=num_classes)


def row_number(name: str, padding_idx: int, rows: int) -> int:
    """The row that `padding_idx` means, once it is known to be there."""
    if not isinstance(padding_idx, int | np.integer) or not -rows <= padding_idx < rows:
        raise ValueError(f"{name}: padding_idx={padding_idx!r} is none of the {rows} rows")
    return int(padding_idx) % rows


def check_settings(name: str, max_norm: Any, scale_grad_by_freq: bool, sparse: bool) -> None:
    """Refuse what would have to change the table, or its gradient, in ways that are not there."""
    if max_norm is not None:
        raise ValueError(
            f"{name}: max_norm is not supported; rescale the table in `with tg.no_grad():` after each step"
        )
    if scale_grad_by_freq:
        raise ValueError(f"{name}: scale_grad_by_freq is not supported; divide the gradient by the counts in a hook")
    if sparse:
        raise ValueError(f"{name}: gradients are dense; leave out sparse=True, the result is the same")
