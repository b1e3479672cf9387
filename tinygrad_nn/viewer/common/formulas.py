"""An operation written as mathematics, in the names of the drawing: ``b·c``, and its local derivatives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .values import clean, number

if TYPE_CHECKING:
    from ...core.define import Op

_SUPERSCRIPTS = str.maketrans("0123456789−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")

#: Of an operation with more inputs than this only the first and the last are written.
_WRITTEN = 6


def expression(op: Op, inputs: Sequence[str], settings: dict[str, Any]) -> str:
    """The operation applied to inputs of these names: its formula, or like a call where it has none."""
    shown = changed(op, settings)
    if op.formula is not None:
        text = _fill(op.formula, op, inputs, settings)
        if text is not None:
            unwritten = {key: value for key, value in shown.items() if "{" + key not in op.formula}
            return _with_settings(text, unwritten)
    written = [*_shortened(inputs), *(f"{key}={value}" for key, value in shown.items())]
    return f"{op.name.lstrip('_')}({', '.join(written)})"


def derivative(
    op: Op, position: int, inputs: Sequence[str], shapes: Sequence[tuple[int, ...]], out: str, settings: dict[str, Any]
) -> str:
    """Formula of the local derivative with respect to one input, empty if the operation has none."""
    position = min(position, len(op.input_names) - 1)  # the last name of a variadic op stands for any number of inputs
    formula = op.formulas[position] if position < len(op.formulas) else None
    if callable(formula):
        formula = formula(*shapes, **{**op.defaults, **settings})
    return (_fill(formula, op, inputs, settings, out) or "") if formula else ""


def changed(op: Op, settings: dict[str, Any]) -> dict[str, str]:
    """The settings that differ from their defaults, as text."""
    return {
        key: clean(setting(value))
        for key, value in settings.items()
        if key not in op.defaults or not _same(value, op.defaults[key])
    }


def _with_settings(text: str, settings: dict[str, str]) -> str:
    """A formula with the settings that it does not name, inside its parentheses where it is written like a call."""
    if not settings:
        return text
    words = ", ".join(f"{key}={value}" for key, value in settings.items())
    return f"{text[:-1]}, {words})" if re.fullmatch(r"\w+\(.*\)", text) else f"{text} ({words})"


def _same(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, bool | int | float | str) and type(a) is type(b) and a == b)


def _fill(formula: str, op: Op, inputs: Sequence[str], settings: dict[str, Any], out: str = "") -> str | None:
    alone = formula.startswith("{") and formula.endswith("}") and formula.count("{") == 1
    written = list(inputs if alone else map(_guarded, inputs))
    gathered: list[str] = []
    if op.variadic:
        named = len(op.input_names) - 1
        gathered = written[named:]
        written[named:] = [", ".join(_shortened(gathered))]
    names = {key: _setting_in(f"{{{key}}}", formula, value, gathered) for key, value in settings.items()}
    names.update(zip(op.input_names, written))
    names["out"] = out
    try:
        return _tidy(formula.format(**names))
    except (KeyError, IndexError, ValueError, AttributeError):  # braces that mean something else to the op's author
        return None


def _shortened(names: Sequence[str]) -> Sequence[str]:
    return names if len(names) <= _WRITTEN else [*names[: _WRITTEN - 2], "…", names[-1]]


def _setting_in(place: str, formula: str, value: Any, arrays: Sequence[str]) -> str:
    """A setting as a formula has it: an index in brackets without parentheses, with the names of its index arrays."""
    if isinstance(value, tuple) and sum(isinstance(part, str) for part in value) == len(arrays) > 0:
        names = iter(arrays)  # the words stand for the arrays, which are inputs
        value = tuple(_Name(next(names)) if isinstance(part, str) else part for part in value)
    text = setting(value)
    return text[1:-1].rstrip(",") if f"[{place}]" in formula and text.startswith("(") else text


class _Name(str):
    """Text that `setting` writes as it is."""

    __slots__ = ()


def _guarded(name: str) -> str:
    """A negative number in parentheses, so that it can stand after any operator."""
    return f"({name})" if name.startswith("−") else name


def _tidy(text: str) -> str:
    """Powers as they are written by hand: ``2·x^(2−1)`` is ``2·x``, ``x^3`` is ``x³``."""
    text = re.sub(r"\^\((\(?)(−?[\d.]+)\)?−1\)", _one_less, text)
    return re.sub(r"\^\(?(−?\d+)\)?(?![\d.\w])", lambda found: found[1].translate(_SUPERSCRIPTS), text)


def _one_less(found: re.Match[str]) -> str:
    power = number(float(found[2].replace("−", "-")) - 1)
    return "" if power == "1" else f"^{power}" if power.lstrip("−").isdigit() else f"^({power})"


def setting(value: Any) -> str:
    """A setting as text: an index as it is written in brackets, an array by its shape."""
    if isinstance(value, _Name):
        text = str(value)
    elif isinstance(value, tuple):
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
