"""Compiling: a function recorded once and run as NumPy source from then on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from .compiled import Compiled, Memory


def compile(function: Callable[..., Any] | None = None, *, static: Collection[str | int] = ()) -> Any:
    """compile"""
    if function is None:
        return lambda f: compile(f, static=static)
    return Compiled(function, static)


__all__ = ["Compiled", "Memory", "compile"]
