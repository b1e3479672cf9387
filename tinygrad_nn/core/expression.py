"""An operation written as mathematics, in the names of its inputs: ``b·c``, and its local derivatives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .formula import Formula, call, constant, made, number
from .op import Op
from .parsing import parse

#: Of an operation with more inputs than this only the first and the last are written.
_WRITTEN = 6


def expression(op: Op, inputs: Sequence[Formula], settings: dict[str, Any]) -> Formula:
    """The operation applied to inputs: its formula, or like a call where it has none, with settings that matter."""
    words = [_stated(key, value) for key, value in settings.items() if not _is_default(op, key, value)]
    result = filled(op, op.formula, inputs, settings)
    if result is None:
        return call(op.name.lstrip("_"), *_shortened(inputs), *words)
    words = [word for word in words if "{" + word.parts[0].sign not in (op.formula or "")]
    if not words:
        return result
    return (
        made("call", result.sign, (*result.parts, *words))
        if result.kind == "call"
        else Formula("note", "", (result, *words))
    )


def derivative(
    op: Op,
    position: int,
    inputs: Sequence[Formula],
    shapes: Sequence[tuple[int, ...]],
    out: Formula,
    settings: dict[str, Any],
) -> Formula | None:
    """Formula of the local derivative with respect to one input, None if the operation has none."""
    position = min(position, len(op.input_names) - 1)  # the last name of a variadic op stands for any number of inputs
    formula = op.formulas[position] if position < len(op.formulas) else None
    if callable(formula):
        formula = formula(*shapes, **{**op.defaults, **settings})
    return filled(op, formula, inputs, settings, out) if formula else None


def filled(
    op: Op,
    formula: str | None,
    inputs: Sequence[Formula],
    settings: dict[str, Any],
    out: Formula | None = None,
) -> Formula | None:
    """A formula of the operation with its inputs and settings in it; None if there is none, or braces hold others."""
    if formula is None:
        return None
    written, gathered = list(inputs), list[Formula]()
    if op.variadic:
        named = len(op.input_names) - 1
        gathered = written[named:]
        written[named:] = [Formula("list", "", tuple(_shortened(gathered)))]
    put = {key: _setting_in(f"[{{{key}}}]" in formula, value, gathered) for key, value in settings.items()}
    put.update(zip(op.input_names, written))
    if out is not None:
        put["out"] = out
    try:
        return parse(formula).fill(put)
    except (KeyError, ValueError):  # braces that mean something else to the op's author
        return None


def changed(op: Op, settings: dict[str, Any]) -> dict[str, str]:
    """The settings that differ from their defaults, as text."""
    return {key: setting(value) for key, value in settings.items() if not _is_default(op, key, value)}


def _is_default(op: Op, key: str, value: Any) -> bool:
    if key not in op.defaults:
        return False
    default = op.defaults[key]
    same_kind = isinstance(value, bool | int | float | str) and type(value) is type(default)
    return value is default or (same_kind and value == default)


def _stated(key: str, value: Any) -> Formula:
    return Formula("infix", "=", (Formula("name", key), _setting(value)))


def _shortened(inputs: Sequence[Formula]) -> Iterable[Formula]:
    return inputs if len(inputs) <= _WRITTEN else [*inputs[: _WRITTEN - 2], Formula("name", "…"), inputs[-1]]


def _setting(value: Any) -> Formula:
    plain = isinstance(value, int | float | np.number | np.bool_)
    return constant(value) if plain else Formula("text", setting(value))


def _setting_in(indexing: bool, value: Any, arrays: Sequence[Formula]) -> Formula:
    """A setting as a formula has it: an index in brackets without parentheses, with the names of its index arrays."""
    if isinstance(value, tuple) and sum(isinstance(part, str) for part in value) == len(arrays) > 0:
        names = iter(arrays)  # the words stand for the arrays, which are inputs
        written = [next(names) if isinstance(part, str) else _setting(part) for part in value]
        return Formula("list", "", tuple(written))
    text = setting(value)
    return Formula("text", text[1:-1].rstrip(",")) if indexing and text.startswith("(") else _setting(value)


def setting(value: Any) -> str:
    """A setting as text: an index as it is written in brackets, an array by its shape."""
    if isinstance(value, tuple):
        inner = ", ".join(map(setting, value))
        text = f"({inner},)" if len(value) == 1 else f"({inner})"
    elif isinstance(value, list):
        text = f"[{', '.join(map(setting, value))}]"
    elif isinstance(value, slice):
        start, stop, step = ("" if part is None else setting(part) for part in (value.start, value.stop, value.step))
        text = f"{start}:{stop}" + (f":{step}" if step else "")
    elif value is Ellipsis:
        text = "…"
    elif isinstance(value, bool | int | float | np.number | np.bool_):
        text = number(value)
    elif isinstance(value, np.dtype):
        text = str(value)
    elif isinstance(value, type) and issubclass(value, np.generic):
        text = value.__name__
    elif hasattr(value, "shape") and hasattr(value, "dtype"):
        text = f"{value.dtype}{list(value.shape)}"
    elif value is None or isinstance(value, str):
        text = repr(value)
    else:
        text = type(value).__name__  # its repr could hold an address, which changes from run to run
    return text if len(text) <= 40 else text[:39] + "…"
