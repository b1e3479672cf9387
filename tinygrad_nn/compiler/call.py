"""The call of a compiled function: arguments checked, state read, the emitted code run, and what it made put back.

The checks are written out as Python source too, for each recording: a loop over them would cost a small network more
than its arithmetic.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from threading import RLock
from typing import Any

import numpy as np

from ..core.graph import changes, modes, switch
from ..core.interrupts import hold, release
from ..core.references import count_of, getrefcount
from ..core.tree import flatten
from ..core.values import new
from ..core.views import owner, spread
from ..nn.module import Parameter
from ..tensor.tensor import Tensor, plain_tensor
from .ir import Var
from .trace.guards import all_hold
from .trace.recording import _COMPARED, Recording, is_jax_array
from .trace.state import (
    ArrayPlace,
    EntryPlace,
    GeneratorPlace,
    GradientPlace,
    Place,
    SettingPlace,
    TensorPlace,
)

#: What a call gives that this recording is not for.
MISS = object()

#: Recording binds Tensors to stand-ins for a moment, and code writes into memory of its own: one call at a time.
LOCK = RLock()

if hasattr(os, "register_at_fork"):  # a child has no thread that would let go of it, and finds the state whole
    os.register_at_fork(before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release)

_TENSORS = frozenset((Tensor, Parameter))


def build_call(recording: Recording, core: Callable[..., Any], *, in_place: bool = True) -> Callable[[Any, Any], Any]:
    """A function of ``(args, kwargs)`` that runs `core` if the recording fits the call, and else returns `MISS`.

    With `in_place`, `core` writes into the arrays of the state; else it returns the new ones after the results.
    """
    return _Glue(recording, core, in_place).build()


class _Glue:
    def __init__(self, recording: Recording, core: Callable[..., Any], in_place: bool) -> None:
        self.recording = recording
        self.in_place = in_place
        #: State whose new value `core` returns.
        self.returned = [old for old in recording.program.writes if not (in_place and old.shape)]
        self.known: dict[str, Any] = {
            "MISS": MISS,
            "Tensor": Tensor,
            "TENSORS": _TENSORS,
            "ndarray": np.ndarray,
            "generic": np.generic,
            "is_jax_array": is_jax_array,
            "getrefcount": getrefcount,
            "new": new,
            "flatten": flatten,
            "core": core,
            "lock": LOCK,
            "hold": hold,
            "release": release,
            "switch": switch,
            "modes": modes,
            "changes": changes,
            "private": private,
            "spread": spread,
            "private_entry": private_entry,
            "plain_tensor": plain_tensor,
            "LEAF": _LEAF,
            "NODE": _NODE,
            "ENTRY": _ENTRY,
            "last": [None] * len(recording.places),
        }
        self.lines: list[str] = []
        self.values: list[str] = []

    def build(self) -> Callable[[Any, Any], Any]:
        self.line(
            "if switch.active and not modes.recording: return MISS"
            if self.recording.recording
            else "if modes.recording: return MISS"
        )
        self._arguments()
        self._guards()
        self.line("with lock:")
        state = self._state()
        program = self.recording.program
        inputs = ", ".join([*self.values, *state])
        names = [f"o{i}" for i in range(len(program.results) + len(self.returned))]
        first = len(self.lines)
        self.line(f"    outputs = core({inputs})")
        if len(names) == 1:
            self.line("    o0 = outputs")
        elif names:
            self.line(f"    {', '.join(names)} = outputs")
        if self.recording.writes or self.recording.cleared:
            self.line("    hold()")
            self._writes(names)
            self.lines[first:] = ["    try:", *("    " + line for line in self.lines[first:]), "    finally: release()"]
        self._answer(names)
        text = "def call(args, kwargs):\n" + "\n".join("    " + line for line in self.lines)
        exec(compile(text, "<compiled call>", "exec"), self.known)  # noqa: S102
        call: Callable[[Any, Any], Any] = self.known["call"]
        return call

    def line(self, text: str) -> None:
        """Write a line."""
        self.lines.append(text)

    def hold(self, prefix: str, value: Any) -> str:
        """A name for an object in the source."""
        name = f"{prefix}{len(self.known)}"
        self.known[name] = value
        return name

    def unless(self, condition: str) -> None:
        """Write that the recording does not fit unless a condition holds."""
        self.line(f"if not ({condition}): return MISS")

    # --- before ------------------------------------------------------------------------------------------------------

    def _arguments(self) -> None:
        recording = self.recording
        args, kwargs = recording.structure[2]
        flat = all(child is None for child in args[2]) and not kwargs[2]
        names = [f"a{i}" for i in range(len(recording.arguments))]
        if flat:
            self.unless(f"len(args) == {len(names)} and not kwargs")
            if names:
                self.line(f"{', '.join(names)}, = args")
        else:
            structure = self.hold("structure", recording.structure)
            self.line("leaves, structure = flatten((args, kwargs))")
            self.unless(f"structure == {structure}")
            if names:
                self.line(f"{', '.join(names)}, = leaves")
        written = self._overlaps()
        for name, argument in zip(names, recording.arguments, strict=True):
            if argument.kind == "fixed":
                self._fixed(name, argument.value)
                continue
            value = name
            if argument.kind == "number":
                self.unless(f"type({name}) is float")
            elif argument.kind == "tensor":
                node = "is not None" if argument.value else "is None"
                self.unless(f"type({name}) in TENSORS and {name}._node {node}")
                value = f"v{name}"
                self.line(f"{value} = {name}._value")
                if written:
                    self.unless(f"not overlaps({name})")
                for other_tensor in self._other_tensors(bool(argument.value)):
                    self.unless(f"{name} is not {other_tensor}")
            else:
                other = "" if self.in_place else f" or is_jax_array({name})"
                self.unless(f"type({name}) is ndarray or isinstance({name}, generic){other}")
            if argument.kind != "number":
                dtype = self.hold("dtype", np.dtype(argument.dtype))
                same = f"({value}.dtype is {dtype} or {value}.dtype == {dtype})"
                self.unless(f"{value}.shape == {argument.shape!r} and {same}")
            if argument.kind == "array" and not argument.shape and self.in_place:
                self.line(f"{value} = {value}[()]")
            self.values.append(value)

    def _other_tensors(self, requires_grad: bool) -> list[str]:
        """Tensors that could be an argument, and that a call writes to, or that are another argument themselves."""
        fixed = [a.value for a in self.recording.arguments if a.kind == "fixed" and isinstance(a.value, Tensor)]
        written = [place.holder for _, place, _ in self.recording.writes if type(place) is TensorPlace]
        alike = [tensor for tensor in dict.fromkeys([*fixed, *written]) if tensor.requires_grad is requires_grad]
        return [self.hold("held", tensor) for tensor in alike]

    def _overlaps(self) -> bool:
        """Let the source tell whether an argument shares elements with what a call writes to, if it writes."""
        written = {id(place.holder) for _, place, _ in self.recording.writes if type(place) is TensorPlace}
        self.known["overlaps"] = lambda x: hasattr(x, "_ties") and id(owner(x)) in written
        return bool(written)

    def _fixed(self, name: str, value: Any) -> None:
        expected = self.hold("fixed", value)
        if type(value) is tuple and value[:1] == ("float",):
            self.unless(f"type({name}) is float and {name}.hex() == {value[1]!r}")
        elif isinstance(value, _COMPARED):
            self.unless(f"type({name}) is {self.hold('kind', type(value))} and {name} == {expected}")
        else:
            self.unless(f"{name} is {expected}")

    def _guards(self) -> None:
        """What is looked at in every call, and what only after something has changed that seldom does."""
        for guard in self.recording.guards:
            if not guard.seldom:
                guard.write(self)
        self.known["still"] = partial(all_hold, [guard for guard in self.recording.guards if guard.seldom])
        self.known["seen"] = [changes.count]
        self.line("if changes.count != seen[0]:")
        self.line("    if not still(): return MISS")
        self.line("    seen[0] = changes.count")

    def _state(self) -> list[str]:
        """Read what the program reads outside; arrays that it writes into are made its own first."""
        program = self.recording.program
        names = []
        for i, (var, place) in enumerate(zip(program.state, self.recording.places, strict=True)):
            name = f"s{i}"
            names.append(name)
            for line in self._read(name, i, var, place):
                self.line("    " + line)
        return names

    def _read(self, name: str, i: int, var: Var, place: Place) -> list[str]:
        written = var in self.recording.program.writes and var not in self.returned
        holder = self.hold("h", place.holder)
        if isinstance(place, ArrayPlace | GeneratorPlace):
            return [f"{name} = {holder}"]
        if isinstance(place, SettingPlace):
            index = "" if place.index is None else f"[{place.index}]"
            return [f"{name} = float({holder}.param_groups[{place.group}][{place.name!r}]{index})"]
        dtype = self.hold("dtype", np.dtype(var.dtype))
        changed = f"{name}.dtype != {dtype} or {name}.shape != {var.shape!r}"
        if isinstance(place, GradientPlace):
            return [f"{name} = {holder}._grad._value", f"if {changed}: return MISS"]
        if isinstance(place, TensorPlace):
            lines = [f"{name} = {holder}._value"]
            check = f"if {changed}: return MISS"
            if not written:
                return [*lines, check] if not var.shape else [*lines, *self._unless_known(name, i, [check])]
            lines += self._unless_known(name, i, [check, f"{name} = private({holder})"])
            shared = f"getrefcount({name}) > LEAF or getrefcount({holder}._node) > NODE"
            return [*lines, f"if {shared}: {name} = last[{i}] = private({holder})"]
        assert isinstance(place, EntryPlace)
        parameter = self.hold("p", place.parameter)
        entries = f"{holder}.state[{parameter}]"
        lines = [f"{name} = {entries}[{place.name!r}]"]
        if var.weak:
            return lines
        check = f"if {changed}: return MISS"
        if not written:
            return [*lines, check]
        lines += self._unless_known(name, i, [check, f"{name} = private_entry({entries}, {place.name!r})"])
        return [
            *lines,
            f"if getrefcount({name}) > ENTRY: {name} = last[{i}] = private_entry({entries}, {place.name!r})",
        ]

    def _unless_known(self, name: str, i: int, lines: list[str]) -> list[str]:
        """Lines that are run when the array is not the one of the last call."""
        return [f"if {name} is not last[{i}]:", *("    " + line for line in lines), f"    last[{i}] = {name}"]

    # --- after -------------------------------------------------------------------------------------------------------

    def _writes(self, names: list[str]) -> None:
        program = self.recording.program
        first = len(self.recording.leaves) - sum(kind == "fixed" for kind, _ in self.recording.leaves)
        extra = iter(names[first : len(program.results)])  # of places that were not read: results
        by_old = dict(zip(self.returned, names[len(program.results) :], strict=True))
        for old, place, _ in self.recording.writes:
            if old is not None and old not in by_old:
                if isinstance(place, TensorPlace):
                    self._spread(place.holder)
                continue
            value = next(extra) if old is None else by_old[old]
            holder = self.hold("h", place.holder)
            if isinstance(place, TensorPlace):
                self.line(f"    {holder}._assign({value})")
            elif isinstance(place, GradientPlace):
                self.line(f"    {holder}._grad = plain_tensor({value})")
            elif isinstance(place, EntryPlace):
                parameter = self.hold("p", place.parameter)
                self.line(f"    {holder}.state[{parameter}][{place.name!r}] = {value}")
        for tensor in self.recording.cleared:
            self.line(f"    {self.hold('h', tensor)}._grad = None")

    def _spread(self, tensor: Tensor) -> None:
        """After a write into the array of a Tensor: what else shares its elements, by now or in later calls."""
        if not hasattr(tensor, "_ties"):
            tensor._ties = None
        holder = self.hold("h", tensor)
        self.line(f"    if {holder}._ties is not None: spread({holder})")

    def _answer(self, names: list[str]) -> None:
        rest = iter(names)
        texts = []
        for i, (kind, value) in enumerate(self.recording.leaves):
            if kind == "fixed":
                texts.append(self.hold("fixed", value))
                continue
            name = next(rest)
            if kind == "tensor":
                self.line(f"    r{i} = new(Tensor)")
                self.line(f"    r{i}._value = {name}")
                self.line(f"    r{i}._node = None")
                name = f"r{i}"
            texts.append(name)
        self.line(f"return {self._nest(self.recording.returned, iter(texts))}")

    def _nest(self, structure: Any, texts: Any) -> str:
        if structure is None:
            return str(next(texts))
        kind, keys, structures = structure
        children = [self._nest(child, texts) for child in structures]
        if keys is not None:
            pairs = "{" + ", ".join(f"{self.hold('key', k)}: {c}" for k, c in zip(keys, children)) + "}"
            return f"{self.hold('kind', kind)}({pairs})" if kind is OrderedDict else pairs
        if hasattr(kind, "_fields"):
            return f"{self.hold('kind', kind)}({', '.join(children)})"
        if kind is tuple:
            return f"({', '.join(children)}{',' if len(children) == 1 else ''})"
        if kind is list:
            return f"[{', '.join(children)}]"
        return f"{self.hold('kind', kind)}([{', '.join(children)}])"


def private(tensor: Tensor) -> Any:
    """The value of a Tensor, in an array that nothing else holds or shows."""
    tensor._set(np.array(tensor._value), None)
    return tensor._value


def private_entry(entries: dict[str, Any], name: str) -> Any:
    """An array that an optimizer remembers, held by nothing else."""
    entries[name] = np.array(entries[name])
    return entries[name]


#: What `getrefcount` says where nobody but their owners, `last` and the variable of the call has them: the value of a
#: leaf, which its node has too, that node, and what an optimizer remembers.
_LEAF, _NODE, _ENTRY = map(count_of, (4, 1, 3))
