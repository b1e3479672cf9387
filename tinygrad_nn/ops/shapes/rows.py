"""Sums of the rows of an array that go to the same row of another: the gradient of a table that is looked up."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np


def are_rows(g: Any, indices: tuple[Any, ...], key: tuple[Any, ...]) -> bool:
    """Whether an index is one array of numbers on the first axis, and there is more than one element to each."""
    if len(key) != 1 or len(indices) != 1 or key[0] != "array":
        return False
    numbers = np.asarray(indices[0])
    return numbers.dtype.kind != "b" and prod(g.shape[numbers.ndim :]) > 1 and numbers.size > 16


def sums_of_rows(g: Any, numbers: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` with each row of `g` added to the row of its number: sorted first, so that each is written once.

    Rows that `numpy.add.at` adds one by one, and `numpy.bincount` element by element, in float64.
    """
    numbers = np.asarray(numbers).ravel()
    numbers = np.where(numbers < 0, numbers + shape[0], numbers)
    if shape[0] <= 65536:
        numbers = numbers.astype(np.uint16)  # which NumPy sorts by counting
    order = numbers.argsort(kind="stable")
    sorted_numbers = numbers[order]
    first = np.empty(order.size, bool)
    first[0] = True
    np.not_equal(sorted_numbers[1:], sorted_numbers[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    rows = g.reshape(-1, *shape[1:]).take(order, 0)
    out = np.zeros(shape, g.dtype)
    if 2 * starts.size < order.size:
        out[sorted_numbers[starts]] = np.add.reduceat(rows, starts, axis=0)
    else:  # most rows are alone, and need no sum
        out[sorted_numbers[starts]] = rows.take(starts, 0)
        again = np.flatnonzero(~first)
        np.add.at(out, sorted_numbers[again], rows.take(again, 0))
    return out
