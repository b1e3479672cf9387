"""What a drawing says of a value: its numbers where they are few, else their statistics, else shape and dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ...core.formula import number
from ...core.graph import SMALL, Spec

#: A picture shows all numbers of an array with at most this many elements and this many along each of at most two axes.
TINY, TINY_AXIS = 16, 6


@dataclass(frozen=True)
class Summary:
    """A value as drawings, texts and JSON need it, free of arrays that could change or fill memory.

    Attributes
    ----------
    shape, dtype : tuple of int, str
        Of the value. A plain Python number has the dtype that NumPy gives it.
    numbers : number, nested list or None
        All elements, of values small enough to have been kept.
    lowest, mean, highest : float or None
        Statistics over the finite elements of a value with more numbers than are shown.
    odd : str
        How many elements are NaN or infinite, if any: ``"2 NaN, 1 inf"``.
    rms : float or None
        Root mean square of the finite elements.
    """

    shape: tuple[int, ...]
    dtype: str
    numbers: Any = None
    lowest: float | None = None
    mean: float | None = None
    highest: float | None = None
    odd: str = ""
    rms: float | None = None

    @property
    def scalar(self) -> bool:
        """Whether the value has no axes."""
        return self.shape == ()

    @property
    def known(self) -> bool:
        """Whether more than shape and dtype is known."""
        return self.numbers is not None or self.lowest is not None or bool(self.odd)

    @property
    def tiny(self) -> bool:
        """Whether a picture has room for all numbers."""
        return (
            self.numbers is not None
            and len(self.shape) <= 2
            and 0 < int(np.prod(self.shape, dtype=np.int64)) <= TINY
            and all(length <= TINY_AXIS for length in self.shape)
        )

    def rows(self) -> list[list[str]]:
        """The numbers of a tiny value as text, row by row; a vector is one row."""
        if self.scalar:
            return [[number(self.numbers)]]
        rows = self.numbers if len(self.shape) == 2 else [self.numbers]
        return [[number(x, 4) for x in row] for row in rows]

    def brief(self) -> str:
        """The value in a few characters, as a line of text has room for it; empty where nothing is known."""
        if self.scalar and self.numbers is not None:
            return number(self.numbers)
        if self.tiny:
            rows = ["[" + " ".join(row) + "]" for row in self.rows()]
            return rows[0] if len(self.shape) == 1 else "[" + " ".join(rows) + "]"
        parts = []
        if self.lowest is not None and self.mean is not None and self.highest is not None:
            parts.append(f"min {number(self.lowest, 4)}, mean {number(self.mean, 4)}, max {number(self.highest, 4)}")
        if self.odd:
            parts.append(self.odd)
        return ", ".join(parts)


def summarise(value: Any) -> Summary:
    """Describe an array, a NumPy scalar, a plain number, or the `Spec` of a value that was not kept."""
    if isinstance(value, Spec):
        return Summary(tuple(value.shape), _name_of(value.dtype))
    if isinstance(value, float | np.floating):  # in graphs of many thousands of nodes, nearly all are these
        odd = "1 NaN" if math.isnan(value) else "1 inf" if math.isinf(value) else ""
        return Summary(
            (),
            _name_of(value.dtype) if isinstance(value, np.floating) else "float64",
            float(value),
            odd=odd,
            rms=None if odd else abs(float(value)),
        )
    array = np.asarray(value)
    shape, dtype = array.shape, _name_of(array.dtype)
    numbers = array.tolist() if array.size <= SMALL else None
    if array.size == 0 or array.ndim == 0 or array.dtype.kind not in "biuf":
        rms = abs(float(array)) if array.ndim == 0 and array.dtype.kind in "iuf" else None
        return Summary(shape, dtype, numbers, odd=_odd(array), rms=rms)
    finite = array[np.isfinite(array)]
    if not finite.size:
        return Summary(shape, dtype, numbers, odd=_odd(array))
    return Summary(
        shape,
        dtype,
        numbers,
        float(finite.min()),
        float(finite.mean(dtype=np.float64)),
        float(finite.max()),
        _odd(array),
        math.sqrt(np.mean(np.square(finite, dtype=np.float64))),
    )


_name_of = lru_cache(str)  # NumPy takes microseconds to name a dtype


def _odd(array: Any) -> str:
    if array.dtype.kind not in "fc":
        return ""
    counts = (int(np.isnan(array).sum()), "NaN"), (int(np.isinf(array).sum()), "inf")
    return ", ".join(f"{count} {kind}" for count, kind in counts if count)


def clean(text: str) -> str:
    """Text in one line, without characters that cannot be shown, and that XML and files in UTF-8 do not take."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "�" for c in text)


def shape_and_dtype(summary: Summary) -> str:
    """``(64, 10) float32``; of a scalar only the dtype, and nothing for the usual float64."""
    if summary.scalar:
        return "" if summary.dtype in ("float64", "int64", "bool") else summary.dtype
    return f"{summary.shape} {summary.dtype}"
