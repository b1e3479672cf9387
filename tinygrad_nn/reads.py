"""Which arguments a derivative rule reads as numbers, seen from its code: the engine keeps those alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .op import Op, Rule


class Reads(dict[int, tuple[bool | None, ...]]):
    """Which inputs, and last the result, are read by the rules of the inputs whose bits are set in the key.

    True: as numbers; False: for shape and dtype alone; None: not at all. Found when first asked for, so that importing
    an op costs nothing.
    """

    def __init__(self, op: Op) -> None:
        self._op = op

    def __missing__(self, needed: int) -> tuple[bool | None, ...]:
        found = self[needed] = find_reads(self._op, needed)
        return found


_META = frozenset(("shape", "ndim", "dtype", "size"))


def find_reads(op: Op, needed: int) -> tuple[bool | None, ...]:
    names = (*op.input_names, "out")
    if op.rules is None and op.joint is None:
        return (False,) * len(names)
    if op._stated_reads is not None:
        return tuple(name in op._stated_reads for name in names)
    rules = [rule for position, rule in enumerate(op.rules or ()) if rule is not None and needed >> position & 1]
    rules += [rule for rule in (op.joint, op.forward_rule) if rule is not None]
    reads: list[bool | None] = [None] * len(names)
    for rule in rules:
        found = read_by(rule, len(names) + 1, op.variadic, lead=int(rule is op.joint)) or (True,) * len(names)
        reads = [b if a is None else a if b is None else a or b for a, b in zip(reads, found)]
    return tuple(reads)


def spread(op: Op, keep: tuple[bool | None, ...], count: int) -> tuple[bool | None, ...]:
    """What is read of an op with any number of inputs: the last name stands for all that are left of `count` inputs."""
    named = len(op.input_names) - 1
    return (*keep[:named], *(keep[named],) * (count - named), keep[-1])


def read_by(rule: Rule, count: int, variadic: bool, lead: int) -> tuple[bool | None, ...] | None:
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
        if "STORE" in step.opname and not step.opname.startswith("STORE_FAST_LOAD_FAST"):
            continue
        if step.opname in ("MAKE_CELL", "COPY_FREE_VARS"):
            if step.opname == "MAKE_CELL":
                read.add(step.argval)
                touched.add(step.argval)
            continue
        loaded = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        if not step.opname.startswith(("LOAD_FAST", "LOAD_DEREF", "LOAD_CLOSURE", "STORE_FAST_LOAD_FAST")):
            continue
        only_meta = after is not None and after.opname in ("LOAD_ATTR", "LOAD_METHOD") and after.argval in _META
        touched.update(loaded)
        read.update(loaded[:-1])
        if not only_meta:
            read.add(loaded[-1])
    order = (*arguments[lead + 2 :], arguments[lead + 1])
    return tuple(name in read if name in touched else None for name in order)
