"""Names of variables in emitted code: the user's own, those of the lessons for layers, and short ones for the rest."""

from __future__ import annotations

import ast
import builtins
import keyword
import linecache
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ....tensor.tensor import Tensor
from ...ir import Program, Var
from ...quote import identifier
from ...trace.state import EntryPlace, GradientPlace, Place, SettingPlace, TensorPlace
from ...trace.variables import variables

#: Names that emitted code uses otherwise.
RESERVED = frozenset(
    (
        *("np", "i", "state", "array", "arrays", "count", "references", "unheld", "isfinite", "getrefcount"),
        *("copyto", "dot", "matmul", "vdot", "results", "news"),
        *(name for name, value in vars(np).items() if isinstance(value, np.ufunc)),
        *keyword.kwlist,
        *keyword.softkwlist,
        *dir(builtins),
    )
)


def name_variables(program: Program, places: list[Place], function: Callable[..., Any]) -> dict[str, str]:
    """Give wishes for names to the variables of a recorded program; they are made different from each other later.

    Gives what the names of parameters stand for: ``{"W1": "model.0.weight"}``.
    """
    paths = dict(_tensor_names(function))
    meanings: dict[str, str] = {}
    layers: dict[str, int] = {}
    for var, place in zip(program.state, places, strict=True):
        if isinstance(place, TensorPlace):
            path = paths.get(id(place.holder), place.holder.name or "")
            var.name = _parameter_name(path, layers) or f"c{var.number}"
            if path:
                meanings[var.name] = path
    by_tensor = {id(p.holder): v.name for v, p in zip(program.state, places, strict=True) if type(p) is TensorPlace}
    for var, place in zip(program.state, places, strict=True):
        if isinstance(place, GradientPlace):
            var.name = "d" + by_tensor.get(id(place.holder), "")
        elif isinstance(place, EntryPlace):
            var.name = _entry_name(place.name, by_tensor.get(id(place.parameter), "p"))
        elif isinstance(place, SettingPlace):
            var.name = place.name
    _name_results(program)
    return meanings


def _tensor_names(function: Callable[..., Any]) -> Iterator[tuple[int, str]]:
    """By id, how the function's own variables name the Tensors that they hold, parameters by their paths."""
    values = {variable.name: variable.value for variable in variables(function)}
    owner = getattr(function, "__self__", function)
    if hasattr(owner, "named_parameters"):
        values["self"] = owner
    for name, value in values.items():
        if isinstance(value, Tensor):
            yield id(value), name
        listing = getattr(value, "named_parameters", None)
        if callable(listing) and not isinstance(value, type):
            prefix = "" if name == "self" else name + "."
            yield from ((id(p), prefix + path) for path, p in listing())
            yield from ((id(b), prefix + path) for path, b in value.named_buffers())
        elif isinstance(value, list | tuple) and len(value) <= 256:
            yield from ((id(p), f"{name}[{i}]") for i, p in enumerate(value) if isinstance(p, Tensor))
        elif isinstance(value, dict) and len(value) <= 256:
            yield from ((id(p), f"{name}_{key}") for key, p in value.items() if isinstance(p, Tensor))


def _parameter_name(path: str, layers: dict[str, int]) -> str:
    """W and b with the number of the layer, in the order of use; other names as they are."""
    layer, _, last = path.rpartition(".")
    letter = {"weight": "W", "bias": "b"}.get(last)
    if letter is None or not layer:
        return path
    return f"{letter}{layers.setdefault(layer, len(layers) + 1)}"


def _entry_name(name: str, of: str) -> str:
    short = {"exp_avg": "m", "exp_avg_sq": "v", "momentum_buffer": "v", "step": "t", "max_exp_avg_sq": "vmax"}
    return f"{short.get(name, name)}_{of}"


def _name_results(program: Program) -> None:
    """The variables that the user's lines assign, z and a for layers, ``d`` before a gradient."""
    by_number: dict[int, Var] = {x.number: x for x in (*program.inputs, *program.state)}
    assigned: dict[tuple[str, int], Var] = {}
    layer = 0
    for step in program.steps:
        for out in step.outputs:
            by_number[out.number] = out
        out = step.out
        if out.name:
            continue
        if step.line is not None:
            assigned[step.line] = out
        if step.op.role == "product" and len(out.shape) > 1:
            layer += 1
            out.name = f"z{layer}"
        elif step.op.role == "activation" and out.shape:
            out.name = f"a{layer}" if layer else ""
        elif step.op.name.endswith(("_loss", "cross_entropy", "_with_logits")):
            out.name = "loss"
    for line, out in assigned.items():
        out.name = _assigned_name(*line) or out.name
    for step in program.steps:
        for out in step.outputs:
            if out.name.startswith("d:"):
                target = by_number.get(int(out.name[2:]))
                base = target.name if target is not None and not target.name.startswith("d:") else ""
                # Still told from others by the colon, which the emitter leaves out.
                out.name = f"d:{base}"


def _assigned_name(path: str, line: int) -> str:
    """The variable that a line of source assigns, if it is an assignment to one."""
    text = linecache.getline(path, line).strip()
    result = re.match(r"([A-Za-z_]\w*)\s*=[^=]", text)
    if result is None:
        return ""
    try:
        ast.parse(text)
    except SyntaxError:
        return ""
    return result.group(1)


class Namer:
    """Makes names that are valid and different."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._names: dict[Var, str] = {}
        self._counts: dict[str, int] = {}

    def reserve(self, names: Any) -> None:
        """Names that are to be used for nothing else."""
        self._taken.update(names)

    def __call__(self, x: Var) -> str:
        if x not in self._names:
            self._names[x] = self.unique(x.name or "t")
        return self._names[x]

    def share(self, variables: list[Var]) -> None:
        """Let variables that are in the same memory, one after the other, share the names of those that have one."""
        for x in variables:
            if x.name:
                self(x)
        name = ""
        for x in reversed(variables):
            name = self._names.get(x, name)
            if name:
                self._names.setdefault(x, name)
        for x in variables:  # past the last that has a name
            if x in self._names:
                name = self._names[x]
            else:
                self._names[x] = name = name or self.unique("t")

    def unique(self, wish: str) -> str:
        """The wish, or it with a number."""
        base = identifier(wish.replace("d:", "d" if len(wish) < 6 else "d_")) or "t"
        if base in ("t", "d") or base in self._taken or base in RESERVED:
            base = base.rstrip("0123456789") + "_" if base[-1].isdigit() else base
            number = self._counts.get(base, 0) + 1
            while f"{base}{number}" in self._taken:
                number += 1
            self._counts[base] = number
            base = f"{base}{number}"
        self._taken.add(base)
        return base
