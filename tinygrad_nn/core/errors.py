"""Messages: which operation, with which shapes and dtypes, on which line of the user's code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from .op import Op

#: Where code is not the user's: here, and in NumPy, whose decorators stand between.
INNER = (__file__.removesuffix(os.path.join("core", "errors.py")), (np.__file__ or "").removesuffix("__init__.py"))


def show(value: Any) -> str:
    """Shape and dtype of a value as error messages write it."""
    if isinstance(value, int | float | complex | bool) and not isinstance(value, np.generic):
        return repr(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(show, value))})"
    return f"{value.dtype}{list(value.shape)}"


_KINDS = (np.exceptions.AxisError, np.linalg.LinAlgError, IndexError, ValueError, TypeError, OverflowError, MemoryError)


def explain(op: Op, values: tuple[Any, ...], settings: dict[str, Any], error: Exception) -> Exception:
    """The error to raise for what a kernel raised: of the same kind, naming the op, the shapes and the dtypes."""
    if isinstance(error, RuntimeError | ArithmeticError) or op.name.startswith("checked_"):
        return error  # a check speaks for the function that asked for it
    args = ", ".join(
        [f"{name}={show(v)}" for name, v in zip(_names(op, len(values)), values)]
        + [f"{name}={setting!r}" for name, setting in settings.items() if setting is not op.defaults.get(name)]
    )
    message = f"{op.name}({args}): {error}"
    shapes = [v.shape for v in values if isinstance(v, np.ndarray)]
    if op.elementwise and len(shapes) > 1 and "broadcast" in str(error):
        message = (
            f"{op.name}({args}): shapes {' and '.join(map(str, shapes))} do not broadcast; counted from the right, "
            "each axis must have the same length or length 1 (reshape one of them, or add an axis with x[:, None])"
        )
    elif op.name == "matmul" and "gufunc" in str(error):
        message = (
            f"{op.name}({args}): the last axis of x and the last but one of y (its only one, if y is a vector) must "
            "have the same length, and neither may be a number (transpose one with .mT, or multiply with *)"
        )
    for kind in _KINDS:
        if isinstance(error, kind):
            result = kind(message)
            result.__cause__ = error
            return result
    error.add_note(message)
    return error


def _names(op: Op, count: int) -> Sequence[str]:
    if not op.variadic:
        return op.input_names
    *named, gathered = op.input_names
    return [*named, *(f"{gathered}{i}" for i in range(count - len(named)))]


def name_of(function: Any) -> str:
    """How messages call a function of the user's."""
    return getattr(function, "__name__", type(function).__name__)


def user_line() -> str:
    """File, line and text of the innermost frame outside this package."""
    import linecache

    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(INNER):
        frame = frame.f_back
    path, line = frame.f_code.co_filename, frame.f_lineno
    return f"{path}:{line}: {linecache.getline(path, line).strip()}"


def check_finite(op: Op, values: tuple[Any, ...], out: Any) -> None:
    """Raise on the first NaN or infinity that an op makes."""
    for result in out if type(out) is tuple else (out,):
        if not np.all(np.isfinite(result)):
            raise FloatingPointError(
                f"{op.name} gave {statistics(result)} from "
                f"{'; '.join(f'{n}: {statistics(v)}' for n, v in zip(_names(op, len(values)), values))}\n"
                f"  at {user_line()}"
            )


def statistics(value: Any) -> str:
    """Shape, dtype, range and the number of NaN and infinite elements, in a line."""
    array = np.asarray(value)
    finite = array[np.isfinite(array)]
    bounds = f"finite values in [{finite.min():.6g}, {finite.max():.6g}]" if finite.size else "no finite value"
    nans, infs = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    return f"{show(array)} with {nans} NaN, {infs} inf, {bounds}"
