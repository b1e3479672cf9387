"""The call of a compiled function: arguments checked, state read, the emitted code run, and what it made put back.

The checks are written out as Python source too, for each recording: a loop over them would cost a small network more
than its arithmetic.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Collection
from functools import partial
from sys import getrefcount
from threading import RLock
from typing import Any

import numpy as np

from ..core.graph import changes, modes, switch
from ..core.tree import flatten
from ..core.values import new
from ..nn.module import Parameter
from ..tensor.tensor import Tensor, plain_tensor
from .ir import Var
from .trace.recorder import hooks_of, same_snapshot, snapshot
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
            "switch": switch,
            "modes": modes,
            "changes": changes,
            "private": private,
            "private_entry": private_entry,
            "plain_tensor": plain_tensor,
            "same_numbers": _same_numbers,
            "LEAF": _LEAF,
            "NODE": _NODE,
            "ENTRY": _ENTRY,
            "last": [None] * len(recording.places),
        }
        self.lines: list[str] = []
        self.values: list[str] = []

    def build(self) -> Callable[[Any, Any], Any]:
        self._line(
            "if switch.active and not modes.recording: return MISS"
            if self.recording.recording
            else "if modes.recording: return MISS"
        )
        self._arguments()
        self._guards()
        self._line("with lock:")
        state = self._state()
        program = self.recording.program
        given = ", ".join([*self.values, *state])
        self._line(f"    made = core({given})")
        names = [f"o{i}" for i in range(len(program.results) + len(self.returned))]
        if len(names) == 1:
            self._line("    o0 = made")
        elif names:
            self._line(f"    {', '.join(names)} = made")
        self._writes(names)
        self._answer(names)
        text = "def call(args, kwargs):\n" + "\n".join("    " + line for line in self.lines)
        exec(compile(text, "<compiled call>", "exec"), self.known)  # noqa: S102
        call: Callable[[Any, Any], Any] = self.known["call"]
        return call

    def _line(self, text: str) -> None:
        self.lines.append(text)

    def _hold(self, prefix: str, value: Any) -> str:
        """A name for an object in the source."""
        name = f"{prefix}{len(self.known)}"
        self.known[name] = value
        return name

    def _unless(self, condition: str) -> None:
        self._line(f"if not ({condition}): return MISS")

    # --- before ------------------------------------------------------------------------------------------------------

    def _arguments(self) -> None:
        recording = self.recording
        args, kwargs = recording.structure[2]
        flat = all(child is None for child in args[2]) and not kwargs[2]
        names = [f"a{i}" for i in range(len(recording.arguments))]
        if flat:
            self._unless(f"len(args) == {len(names)} and not kwargs")
            if names:
                self._line(f"{', '.join(names)}, = args")
        else:
            structure = self._hold("structure", recording.structure)
            self._line("leaves, structure = flatten((args, kwargs))")
            self._unless(f"structure == {structure}")
            if names:
                self._line(f"{', '.join(names)}, = leaves")
        for name, argument in zip(names, recording.arguments, strict=True):
            if argument.kind == "fixed":
                self._fixed(name, argument.value)
                continue
            value = name
            if argument.kind == "number":
                self._unless(f"type({name}) is float")
            elif argument.kind == "tensor":
                node = "is not None" if argument.value else "is None"
                self._unless(f"type({name}) in TENSORS and {name}._node {node}")
                value = f"v{name}"
                self._line(f"{value} = {name}._value")
                for held in self._held_tensors(bool(argument.value)):
                    self._unless(f"{name} is not {held}")
            else:
                other = "" if self.in_place else f" or is_jax_array({name})"
                self._unless(f"type({name}) is ndarray or isinstance({name}, generic){other}")
            if argument.kind != "number":
                dtype = self._hold("dtype", np.dtype(argument.dtype))
                same = f"({value}.dtype is {dtype} or {value}.dtype == {dtype})"
                self._unless(f"{value}.shape == {argument.shape!r} and {same}")
            if argument.kind == "array" and not argument.shape and self.in_place:
                self._line(f"{value} = {value}[()]")
            self.values.append(value)

    def _held_tensors(self, requires_grad: bool) -> list[str]:
        """Tensors that could be an argument, and that a call writes to, or that are another argument themselves."""
        fixed = [a.value for a in self.recording.arguments if a.kind == "fixed" and isinstance(a.value, Tensor)]
        written = [place.holder for _, place, _ in self.recording.writes if type(place) is TensorPlace]
        alike = [tensor for tensor in dict.fromkeys([*fixed, *written]) if tensor.requires_grad is requires_grad]
        return [self._hold("held", tensor) for tensor in alike]

    def _fixed(self, name: str, value: Any) -> None:
        held = self._hold("fixed", value)
        if type(value) is tuple and value[:1] == ("float",):
            self._unless(f"type({name}) is float and {name}.hex() == {value[1]!r}")
        elif isinstance(value, _COMPARED):
            self._unless(f"type({name}) is {self._hold('kind', type(value))} and {name} == {held}")
        else:
            self._unless(f"{name} is {held}")

    def _guards(self) -> None:
        """What is looked at in every call, and what only after something has changed that seldom does."""
        seldom = []
        for kind, holder, *rest in self.recording.guards:
            held = self._hold("g", holder)
            if kind == "gradient":
                self._unless(f"(getattr({held}, '_grad', None) is None) is {rest[0]}")
            elif kind in ("module", "tensor"):
                seldom.append((kind, holder, *rest))
            elif kind == "settings":
                number, fixed, params, count = rest
                self._unless(f"len({held}.param_groups) == {count}")
                self._line(f"settings = {held}.param_groups[{number}]")
                held_list = self._hold("params", holder.param_groups[number]["params"])
                self._unless(f"settings['params'] is {held_list} and len({held_list}) == {len(params)}")
                for name, value in fixed.items():
                    self._unless(f"settings[{name!r}] == {self._hold('setting', value)}")
            elif kind == "entries":
                parameter, names = rest
                self._unless(f"tuple({held}.state.get({self._hold('p', parameter)}, ())) == {names!r}")
            elif kind == "number":
                self._unless(f"same_numbers({held}, {self._hold('numbers', rest[0])})")
            elif kind == "variable":
                key, found = rest
                same = f"== {self._hold('found', _Same(found))}" if key == "*" else f"is {self._hold('found', found)}"
                self._unless(f"{held if key == '*' else self._variable(held, key)} {same}")
        self.known["still"] = partial(_still, seldom)
        self.known["seen"] = [changes.count]
        self._line("if changes.count != seen[0]:")
        self._line("    if not still(): return MISS")
        self._line("    seen[0] = changes.count")

    def _variable(self, held: str, key: str) -> str:
        if not key:
            return f"{held}.cell_contents"
        return f"getattr({held}, {key[1:]!r}, MISS)" if key.startswith(".") else f"{held}.get({key!r}, MISS)"

    def _state(self) -> list[str]:
        """Read what the program reads outside; arrays that it writes into are made its own first."""
        program = self.recording.program
        names = []
        for i, (var, place) in enumerate(zip(program.state, self.recording.places, strict=True)):
            name = f"s{i}"
            names.append(name)
            for line in self._read(name, i, var, place):
                self._line("    " + line)
        return names

    def _read(self, name: str, i: int, var: Var, place: Place) -> list[str]:
        written = var in self.recording.program.writes and var not in self.returned
        holder = self._hold("h", place.holder)
        if isinstance(place, ArrayPlace | GeneratorPlace):
            return [f"{name} = {holder}"]
        if isinstance(place, SettingPlace):
            index = "" if place.index is None else f"[{place.index}]"
            return [f"{name} = float({holder}.param_groups[{place.group}][{place.name!r}]{index})"]
        dtype = self._hold("dtype", np.dtype(var.dtype))
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
        parameter = self._hold("p", place.parameter)
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
                continue
            value = next(extra) if old is None else by_old[old]
            holder = self._hold("h", place.holder)
            if isinstance(place, TensorPlace):
                self._line(f"    {holder}._assign({value})")
            elif isinstance(place, GradientPlace):
                self._line(f"    {holder}._grad = plain_tensor({value})")
            elif isinstance(place, EntryPlace):
                parameter = self._hold("p", place.parameter)
                self._line(f"    {holder}.state[{parameter}][{place.name!r}] = {value}")
        for tensor in self.recording.cleared:
            self._line(f"    {self._hold('h', tensor)}._grad = None")

    def _answer(self, names: list[str]) -> None:
        rest = iter(names)
        texts = []
        for i, (kind, value) in enumerate(self.recording.leaves):
            if kind == "fixed":
                texts.append(self._hold("fixed", value))
                continue
            name = next(rest)
            if kind == "tensor":
                self._line(f"    r{i} = new(Tensor)")
                self._line(f"    r{i}._value = {name}")
                self._line(f"    r{i}._node = None")
                name = f"r{i}"
            texts.append(name)
        self._line(f"return {self._nest(self.recording.returned, iter(texts))}")

    def _nest(self, structure: Any, texts: Any) -> str:
        if structure is None:
            return str(next(texts))
        kind, keys, structures = structure
        children = [self._nest(child, texts) for child in structures]
        if keys is not None:
            pairs = "{" + ", ".join(f"{self._hold('key', k)}: {c}" for k, c in zip(keys, children)) + "}"
            return f"{self._hold('kind', kind)}({pairs})" if kind is OrderedDict else pairs
        if hasattr(kind, "_fields"):
            return f"{self._hold('kind', kind)}({', '.join(children)})"
        if kind is tuple:
            return f"({', '.join(children)}{',' if len(children) == 1 else ''})"
        if kind is list:
            return f"[{', '.join(children)}]"
        return f"{self._hold('kind', kind)}([{', '.join(children)}])"


def private(tensor: Tensor) -> Any:
    """The value of a Tensor, in an array that nothing else holds or shows."""
    tensor._assign(np.array(tensor._value))
    return tensor._value


def private_entry(entries: dict[str, Any], name: str) -> Any:
    """An array that an optimizer remembers, held by nothing else."""
    entries[name] = np.array(entries[name])
    return entries[name]


def _same_numbers(tensor: Tensor, numbers: Any) -> bool:
    value = tensor._value
    equal_nan = value.dtype.kind in "fc"
    same_kind = value.shape == numbers.shape and value.dtype == numbers.dtype
    return bool(same_kind and np.array_equal(value, numbers, equal_nan=equal_nan))


class _Same:
    """Equal to a list of the very same objects."""

    def __init__(self, objects: list[Any]) -> None:
        self._objects = objects

    def __eq__(self, other: object) -> bool:
        mine = self._objects
        found: Any = other.values() if isinstance(other, dict) else other
        return isinstance(found, Collection) and len(mine) == len(found) and all(map(operator.is_, mine, found))

    __hash__ = object.__hash__


def unchanged(guards: list[tuple[Any, ...]]) -> bool:
    """Whether modules, hooks and variables are those that the recording found."""
    for kind, holder, *rest in guards:
        if kind != "variable":
            continue
        key, found = rest
        if key == "*":
            same = _Same(found) == holder
        elif not key:
            same = holder.cell_contents is found
        else:
            same = (getattr(holder, key[1:], MISS) if key.startswith(".") else holder.get(key, MISS)) is found
        if not same:
            return False
    return _still(guards)


def holds(guards: list[tuple[Any, ...]]) -> bool:
    """Whether a next call would find gradients, optimizers' entries, modules and hooks as the recording did."""
    for kind, holder, *rest in guards:
        if kind == "gradient" and (getattr(holder, "_grad", None) is None) is not rest[0]:
            return False
        if kind == "entries" and tuple(holder.state.get(rest[0], ())) != rest[1]:
            return False
    return _still(guards)


def _still(guards: list[tuple[Any, ...]]) -> bool:
    """Whether the modules and Tensors of guards are as they were: parts, settings, hooks, required gradients."""
    for kind, holder, *rest in guards:
        if kind == "module":
            if not same_snapshot(rest[0], snapshot(holder)):
                return False
        elif kind == "tensor" and (holder._node is not None, hooks_of(holder)) != tuple(rest):
            return False
    return True


def _count_references() -> tuple[int, int, int]:
    """References to the value of a leaf, to its node, and to an entry, where nobody but their owners has them."""
    leaf = Tensor(np.zeros(2), requires_grad=True)
    entries = {"entry": np.zeros(2)}
    space: dict[str, Any] = {"leaf": leaf, "entries": entries, "last": [None, None], "getrefcount": getrefcount}
    text = (
        "def count():\n"
        "    with lock:\n"
        "        s0 = leaf._value\n"
        "        last[0] = s0\n"
        "        s1 = entries['entry']\n"
        "        last[1] = s1\n"
        "        return getrefcount(s0), getrefcount(leaf._node), getrefcount(s1)\n"
    )
    space["lock"] = RLock()
    exec(text, space)  # noqa: S102
    counts: tuple[int, int, int] = space["count"]()
    return counts


_LEAF, _NODE, _ENTRY = _count_references()
