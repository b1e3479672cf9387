"""Which arguments a derivative rule reads as numbers, seen from its code: the engine keeps those alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_META = frozenset(("shape", "ndim", "dtype", "size"))

#: How the instructions begin that take the value of a variable, or let a function inside share it.
_LOADS = ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLOSURE", "STORE_FAST_LOAD_FAST", "MAKE_CELL")


def read_by(rule: Callable[..., Any], count: int, variadic: bool, lead: int) -> tuple[bool | None, ...] | None:
    """Which arguments a rule reads, inputs first, result last, as `Reads` tells; None where its code tells nothing.

    `lead` arguments come before the gradient. An argument of which only shape, ndim, dtype or size is taken is not
    read. What is not understood is read.
    """
    import dis

    rule = getattr(rule, "__wrapped__", rule)
    code = getattr(rule, "__code__", None)
    if code is None or variadic:
        return None
    optional = len(rule.__defaults__ or ())
    arguments = code.co_varnames[: code.co_argcount - optional]
    lead += hasattr(rule, "__func__")  # self of a method
    if code.co_flags & 0x04 or len(arguments) != count + lead:  # *args, or not the arguments of a rule
        return None
    read: set[str] = set()
    touched: set[str] = set()
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("CACHE", "PRECALL", "EXTENDED_ARG")]
    for step, after in zip(steps, [*steps[1:], None]):
        if not step.opname.startswith(_LOADS):
            continue
        loaded = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        only_meta = after is not None and after.opname in ("LOAD_ATTR", "LOAD_METHOD") and after.argval in _META
        touched.update(loaded)
        read.update(loaded[:-1])
        if not only_meta:
            read.add(loaded[-1])
    order = (*arguments[lead + 2 :], arguments[lead + 1])
    return tuple(name in read if name in touched else None for name in order)
