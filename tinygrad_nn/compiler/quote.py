"""What comes from outside, as emitted source: a literal, a comment, a docstring or a name, never code."""

from __future__ import annotations

import builtins
import keyword
import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np


class NotWritable(Exception):
    """Something has no source text of its own: a function made elsewhere, an object that only this process has."""


def one_line(text: str) -> str:
    """A text in one line, with what cannot be printed as an escape."""
    return "".join([c if c.isprintable() else c.encode("unicode_escape").decode() for c in text])


def comment(text: str) -> str:
    """A text as a comment."""
    return f"# {one_line(text)}"


def docstring(lines: Iterable[str]) -> str:
    """Lines as a docstring, without indentation."""
    text = "\n".join([one_line(line).replace("\\", "\\\\") for line in lines])
    return '"""' + text.replace('"', '\\"') + '"""'


def identifier(wish: str) -> str:
    """A valid name as near to a wish as can be; empty if nothing of it can stand in one."""
    # Python reads a name in this form, in which names that look different may be one.
    name = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", wish)).strip("_")
    name = "".join([c if f"a{c}".isidentifier() else "_" for c in name]).strip("_")
    if not name:
        return ""
    name = name if name.isidentifier() else f"v{name}"
    return f"{name}_" if keyword.iskeyword(name) else name


def literal(value: Any) -> str:
    """A setting or a constant as Python source; raises `NotWritable` for objects that have no literal."""
    if value is None or value is Ellipsis or isinstance(value, bool):
        return repr(value)
    for kind in (int, str, bytes):
        if isinstance(value, kind) and not isinstance(value, np.generic):
            return kind.__repr__(value)  # not the own one of an enum or another subclass
    if isinstance(value, float) and not isinstance(value, np.generic):
        return float.__repr__(value) if math.isfinite(value) else f"float({float.__repr__(value)!r})"
    if type(value) is complex:
        return repr(value) if math.isfinite(abs(value)) else f"complex({str(value)!r})"
    if isinstance(value, np.dtype):
        return f"np.{value.name}" if value.isnative and value.name != "bool" else f"np.dtype({value.str!r})"
    if isinstance(value, np.str_ | np.bytes_):
        return literal(value.item())
    if isinstance(value, np.generic):
        return f"np.{value.dtype.name if value.dtype.name != 'bool' else 'bool_'}({literal(value.item())})"
    if isinstance(value, type):
        name = value.__name__
        if getattr(builtins, name, None) is value:
            return name
        if getattr(np, name, None) is value:
            return f"np.{name}"
    if isinstance(value, slice):
        return f"slice({literal(value.start)}, {literal(value.stop)}, {literal(value.step)})"
    if isinstance(value, np.ndarray) and value.size <= 64:
        return f"np.array({value.tolist()!r}, {literal(value.dtype)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, frozenset):
        return f"frozenset(({''.join(literal(x) + ', ' for x in sorted(value, key=repr))}))"
    raise NotWritable(f"{type(value).__name__} objects have no literal")
