"""A recording as a module of its own, with its state, that imports only NumPy."""

from __future__ import annotations

import base64
import builtins
from pathlib import Path
from typing import Any

import numpy as np

from ....core.files import write_whole
from ...quote import NotWritable, literal
from ...trace.recording import Recording
from ...trace.state import GeneratorPlace, GradientPlace
from .module import Source


def save(source: Source, recording: Recording, path: str | Path, name: str) -> None:
    """Write a module whose function is called as the compiled one was, on NumPy arrays.

    It is one file, so that it is there as a whole or not at all, whenever a process that writes it is killed.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise ValueError(f"save: the name of a Python module ends in .py, not {path.name!r}")
    if source.missing:
        raise ValueError(
            "save: these operations cannot be written as text, since their kernels are lambdas, closures or built in: "
            + "; ".join(source.missing)
            + ". Define the kernel with def at the top of a module, from NumPy functions."
        )
    arrays = {name: np.asarray(value) for name, value in source.constants.items()}
    constants = [f"{name} = _array({name!r})" for name in arrays]
    wrapper = _wrapper(source, recording, arrays)
    parts = [source.text.rstrip()]
    if any(isinstance(place, GeneratorPlace) for place in recording.places):
        parts.append(_GENERATOR.strip())
    if arrays:
        parts += [_READ.strip(), _data(arrays)]
    if constants:
        parts.append("\n".join(constants))
    text = "\n\n\n".join([*parts, *wrapper]) + "\n"
    write_whole(path, (text if name == source.function else _in_own_scope(text, source.function, name)).encode())


def _in_own_scope(text: str, function: str, name: str) -> str:
    """A module whose function has the name of something that it uses itself: all of that in a scope of its own."""
    state, load = (word + "_" * (word == name) for word in ("state", "_load"))
    own = f"    from builtins import {name}\n" if hasattr(builtins, name) else ""
    result = "\n".join("    " + line if line else line for line in text.splitlines())
    return f"def {load}():\n{own}{result}\n    return {function}, state\n\n\n{name}, {state} = {load}()\n"


def _wrapper(source: Source, recording: Recording, arrays: dict[str, Any]) -> list[str]:
    """The state, and the function that is called with the arguments alone."""
    program = recording.program
    inputs, state = source.arguments[: len(program.inputs)], source.arguments[len(program.inputs) :]
    core = f"_{source.function}_on_arrays"
    lines = ["# What each call reads, and leaves changed.", "state = {"]
    for name, place, var in zip(state, recording.places, program.state, strict=True):
        lines.append(f"    {name!r}: {_value_text(name, place, var, arrays)},")
    lines += ["}", f"{core} = {source.function}"]
    by_var = dict(zip(program.state, state, strict=True))
    outputs = _targets(recording, by_var)
    targets = [*outputs, *(f"state[{by_var[old]!r}]" for old in program.writes if not old.shape)]
    args = ", ".join([*inputs, *(f"state[{name!r}]" for name in state)])
    checks = [
        f"    {name} = _argument({name!r}, {name}, {var.shape}, {literal(var.dtype)})"
        for name, var in zip(inputs, program.inputs, strict=True)
        if not var.weak
    ]
    return [
        _ARGUMENT.strip().replace("FUNCTION", source.function),
        "\n".join(lines) if state else f"{core} = {source.function}",
        "\n".join(
            [
                f"def {source.function}({', '.join(inputs)}):",
                '    """One call as it was recorded, on the arguments and the `state`."""',
                *checks,
                f"    {', '.join(targets) + ' = ' if targets else ''}{core}({args})",
                f"    return {_answer(recording, outputs)}",
            ]
        ),
    ]


def _targets(recording: Recording, by_var: dict[Any, str]) -> list[str]:
    """What each result is bound to: a variable, or the gradient in the state that it is to take the place of."""
    gradients = {
        id(place.holder): by_var[var]
        for var, place in zip(recording.program.state, recording.places, strict=True)
        if type(place) is GradientPlace
    }
    first = len(recording.program.results) - sum(old is None for old, _, _ in recording.writes)
    targets = [f"o{i}" for i in range(first)]
    for old, place, _ in recording.writes:
        if old is None:
            name = gradients.get(id(place.holder))
            targets.append(f"o{len(targets)}" if name is None else f"state[{name!r}]")
    return targets


def _value_text(name: str, place: Any, var: Any, arrays: dict[str, Any]) -> str:
    value = place.read()
    if isinstance(place, GeneratorPlace):
        return f"_generator({value.bit_generator.state!r})"
    if not var.shape:
        return literal(value if isinstance(value, np.generic) or not hasattr(value, "dtype") else value[()])
    arrays[f"state: {name}"] = np.asarray(value)
    return f"_array({f'state: {name}'!r}).copy()"


def _answer(recording: Recording, outputs: list[str]) -> str:
    rest = iter(outputs)
    texts = []
    for kind, value in recording.leaves:
        if kind != "fixed":
            texts.append(next(rest))
            continue
        try:
            texts.append(literal(value))
        except NotWritable:
            texts.append("None")
    return _nest(recording.returned, iter(texts))


def _nest(structure: Any, texts: Any) -> str:
    if structure is None:
        return str(next(texts))
    kind, keys, structures = structure
    children = [_nest(child, texts) for child in structures]
    if keys is not None:
        return "{" + ", ".join(f"{key!r}: {child}" for key, child in zip(keys, children)) + "}"
    if issubclass(kind, list):
        return f"[{', '.join(children)}]"
    return f"({', '.join(children)}{',' if len(children) == 1 else ''})"


_ARGUMENT = """
def _argument(name, value, shape, dtype):
    value = value if isinstance(value, np.ndarray | np.generic) else np.asarray(value, dtype)
    if value.shape != shape or value.dtype != dtype:
        raise ValueError(
            f"FUNCTION was recorded for {name} of shape {shape} and dtype {np.dtype(dtype)}, "
            f"not {value.shape} and {value.dtype}"
        )
    return value
"""

_READ = """
def _array(name):
    from base64 import b64decode

    shape, dtype, text = _DATA[name]
    return np.frombuffer(b64decode(text), dtype).reshape(shape)
"""

_GENERATOR = """
def _generator(state):
    generator = np.random.Generator(getattr(np.random, state["bit_generator"])())
    generator.bit_generator.state = state
    return generator
"""


def _data(arrays: dict[str, Any]) -> str:
    lines = ["_DATA = {"]
    for name, array in arrays.items():
        text = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        lines.append(f"    {name!r}: ({array.shape}, {array.dtype.str!r}, {text!r}),")
    return "\n".join([*lines, "}"])
