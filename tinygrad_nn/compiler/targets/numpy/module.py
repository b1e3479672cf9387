"""What all functions of an emitted module share: names, kernels, constants, and what is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir import Step, Var
from ...quote import NotWritable, comment, identifier, literal
from .kernel_source import Kernels
from .naming import Namer

_WORDS = {0: "zero", 1: "one", 2: "two", 0.5: "half", -1: "minus_one"}


@dataclass
class Source:
    """Emitted code.

    The function takes the inputs, then the state, and returns the results, then new numbers of the state. Arrays of the
    state are written to in place.
    """

    text: str  # a module: imports, kernels, memory and the function
    function: str  # its name
    arguments: list[str]  # names of the inputs and the state
    constants: dict[str, Any]  # arrays that the module needs and does not spell out, by name
    kernels: dict[str, Any]  # functions that stand in the text, by name, and the process's own
    missing: list[str]  # what could not be written as text


class Module:
    """Collects what the functions of a module need."""

    def __init__(self) -> None:
        self.names = Namer()
        self.kernels = Kernels()
        self.kernel_objects: dict[str, Any] = {}
        self.missing: list[str] = []
        self.used: set[str] = set()
        self.constants: dict[str, Any] = {}
        self.number_lines: list[str] = []
        self.functions: list[str] = []
        self._numbers: dict[tuple[str, str], str] = {}

    def constant(self, x: Var) -> str:
        """A constant of a program: a number as it is, an array under a name."""
        if not x.shape:
            return literal(x.value)
        name = self.names(x)
        self.constants.setdefault(name, x.value)
        return name

    def setting(self, value: Any) -> str:
        """A setting: as text, or under a name where it has none."""
        try:
            return literal(value)
        except NotWritable as error:
            name = self.names.unique("setting")
            self.missing.append(f"a setting: {error}")
            self.kernel_objects[name] = value
            self.kernels.parts[name] = f"{name} = None  {comment(f'{type(value).__name__}: cannot be written as text')}"
            return name

    def kernel(self, step: Step, function: Any = None) -> str:
        """The name under which an op's kernel, or another function of it, can be called."""
        kernel = function or step.op.kernel
        try:
            name = self.kernels.add(kernel, step.op.name)
            if not name.startswith("np."):
                self.kernel_objects[name] = kernel  # in this process; the text is for those without this library
        except NotWritable as error:
            name = f"{identifier(step.op.name)}_kernel"
            self.missing.append(f"{step.op.name}: {error}")
            self.kernels.parts.setdefault(
                name, f"def {name}(*inputs, **settings):\n    raise NotImplementedError({str(error)!r})"
            )
            self.kernel_objects[name] = kernel
        return name

    def number(self, x: Any, step: Step | None) -> str:
        """A number: an array without axes where NumPy is to compute with arrays, which takes half the time."""
        if step is None:
            return literal(x)
        if step.out.scalar:
            if not isinstance(x, np.generic):
                return literal(x)
            return self._number_name((repr(x), "number"), "c", literal(x))
        arrays = [y for y in step.reads if y.shape]
        dtype = x.dtype if isinstance(x, np.generic) else arrays[0].dtype if arrays else None
        fits = dtype is not None and (isinstance(x, np.generic) or dtype.kind == "f")
        if not fits or isinstance(x, complex) or (isinstance(x, bool) and dtype is not None and dtype.kind != "b"):
            return literal(x)
        value = x.item() if isinstance(x, np.generic) else x
        key = (repr(value).removesuffix(".0"), np.dtype(dtype).str)
        word = _WORDS.get(value, "c") if value == value else "c"
        return self._number_name(key, word, f"np.array({literal(value)}, {literal(np.dtype(dtype))})")

    def _number_name(self, key: tuple[str, str], wish: str, text: str) -> str:
        """The name of a number, which is bound to the text the first time."""
        if key not in self._numbers:
            name = self._numbers[key] = self.names.unique(wish)
            self.number_lines.append(f"{name} = {text}")
        return self._numbers[key]
