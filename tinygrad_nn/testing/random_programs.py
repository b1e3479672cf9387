"""Random programs of whole functions, for checking that something which runs them computes what ordinary calls do."""

from __future__ import annotations

import linecache
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from string import Formatter
from typing import Any

import numpy as np

from ..core.tree import flatten
from ..tensor.creation import tensor
from ..tensor.random import get_state, manual_seed, set_state
from .program_families import FAMILIES, OPTIMIZERS, Family

#: Numbers beyond are not computed with any further, so that programs stay well conditioned.
_LARGEST = 30.0
_SHAPES: tuple[tuple[int, ...], ...] = ((), (3,), (4,), (1,), (3, 4), (4, 3), (3, 3), (4, 4), (1, 4), (2, 3, 4))
#: Relative to the largest number around, by the least precise dtype of a program.
_TOLERANCE = {"f": 3e-4, "d": 1e-8}

_HEADER = """\
import numpy as np
import tinygrad_nn as tg
from tinygrad_nn import nn, optim
from tinygrad_nn.nn import functional as F
"""

_WEIGH = """\
def weigh(x):
    if x.dtype.kind != "f":
        return 0.0
    return (x * np.cos(np.arange(x.size), dtype=x.dtype).reshape(x.shape)).sum() / max(x.size, 1)
"""


@dataclass(frozen=True)
class _Line:
    """Lines of the body that belong together, and what they need besides: lines of the setup."""

    family: str
    body: tuple[str, ...]
    makes: tuple[str, ...]
    reads: frozenset[str]
    setup: tuple[str, ...] = ()


@dataclass(frozen=True)
class RandomProgram:
    """A random function with its inputs: ``function, inputs = random_program(seed)``.

    Attributes
    ----------
    seed : int
    kind : str
        ``"values"``; ``"gradients"`` of a loss with respect to the inputs; or ``"training"``, a step of an optimizer.
    arguments : tuple of (str, shape, str)
        Name, shape and dtype of each input; a capital first letter of the name says that it is a NumPy array.
    lines : tuple
        The steps.
    optimizer : str
        Of training.
    """

    seed: int
    kind: str
    arguments: tuple[tuple[str, tuple[int, ...], str], ...]
    lines: tuple[_Line, ...]
    optimizer: str = ""

    def __iter__(self) -> Iterator[Any]:
        return iter((self.function, self.inputs()))

    @property
    def families(self) -> list[str]:
        """Which kinds of steps it is made of."""
        return [line.family for line in self.lines]

    @cached_property
    def source(self) -> str:
        """Python source of a function ``make()``, which gives the function, and one that gives its state."""
        names = [name for name, _, _ in self.arguments]
        setup = list(dict.fromkeys(text for line in self.lines for text in line.setup))
        body = [text for line in self.lines for text in line.body]
        result = [name for line in self.lines for name in line.makes] or names
        params = "[p for m in modules for p in m.parameters()]"
        lines = [
            *_HEADER.splitlines(),
            "",
            *_WEIGH.splitlines(),
            "",
            "def make():",
            f"    tg.manual_seed({self.seed})",
            "    modules = []",
            *(f"    {text}" for text in setup),
        ]
        aggregate = " + ".join(f"weigh({name})" for name in result)
        if self.kind == "training":
            lines += [
                "    w = nn.Parameter(tg.tensor(0.75))",
                f"    parameters = [w, *{params}]",
                f"    optimizer = optim.{self.optimizer}",
            ]
        lines += ["", f"    def forward({', '.join(names)}):", *(f"        {text}" for text in body)]
        if self.kind == "values":
            lines += [f"        return [{', '.join(result)}]", "", "    step = forward"]
        else:
            lines += [f"        return {aggregate}", ""]
        if self.kind == "gradients":
            wanted = [i for i, (name, _, dtype) in enumerate(self.arguments) if dtype[0] == "f"]
            lines += [f"    step = tg.value_and_grad(forward, argnums={tuple(wanted)})"]
        if self.kind == "training":
            lines += [
                f"    def step({', '.join(names)}):",
                f"        loss = forward({', '.join(names)}) * w + w * w",
                "        loss.backward()",
                "        optimizer.step()",
                "        optimizer.zero_grad()",
                "        return loss",
            ]
        lines += ["", "    def state():"]
        lines += [f"        parameters = {params}"] if self.kind != "training" else []
        lines += [
            "        kept = [p.numpy().copy() for p in parameters]",
            "        kept += [b.numpy().copy() for m in modules for b in m.buffers()]",
        ]
        if self.kind == "training":
            lines += ["        kept += [np.array(x) for p in parameters for x in optimizer.state.get(p, {}).values()]"]
        return "\n".join([*lines, "        return kept", "", "    return step, state", ""])

    def make(self) -> tuple[Callable[..., Any], Callable[[], list[Any]]]:
        """A new function with state of its own, and what gives copies of that state."""
        name = f"<random program {self.seed}>"
        linecache.cache[name] = len(self.source), None, self.source.splitlines(True), name
        space: dict[str, Any] = {}
        before = get_state()
        try:
            exec(compile(self.source, name, "exec"), space)  # noqa: S102 - text of this module's own
            functions: tuple[Callable[..., Any], Callable[[], list[Any]]] = space["make"]()
        finally:
            set_state(before)
        return functions

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The function."""
        return self.make()[0]

    def inputs(self, call: int = 0) -> tuple[Any, ...]:
        """Inputs of a call; each call has numbers of its own."""
        rng = np.random.default_rng((self.seed, call))
        results: list[Any] = []
        for name, shape, dtype in self.arguments:
            if dtype == "float":
                results.append(float(rng.uniform(0.3, 1.2)))
                continue
            numbers = rng.integers(0, 3, shape) if dtype[0] == "i" else rng.uniform(-1.5, 1.5, shape)
            array = np.asarray(numbers, dtype)
            results.append(array if name[0].isupper() else tensor(array))
        return tuple(results)

    def difference(self, transform: Callable[[Any], Any], calls: int = 3) -> str:
        """How ``transform(function)`` differs from the function in calls one after the other; empty if it does not.

        Results, state after each call and the inputs are compared; both start with the same random numbers.
        """
        plain, plain_state = self.make()
        other, other_state = self.make()
        before = get_state()
        try:
            with np.errstate(all="ignore"):
                other = transform(other)
                for call in range(calls):
                    manual_seed(call)
                    expected = plain(*(inputs := self.inputs(call)))
                    manual_seed(call)
                    result = other(*(given_too := self.inputs(call)))
                    old, new = [expected, plain_state(), inputs], [result, other_state(), given_too]
                    coarse = any(_array(x).dtype.char == "f" for x in flatten(old)[0])
                    for what, x, y in zip(("result", "state", "input"), old, new, strict=True):
                        fault = _difference(x, y, _TOLERANCE["f" if coarse else "d"])
                        if fault:
                            return f"call {call}, {what} {fault}"
        except Exception as error:  # that it cannot be run is a difference too
            return f"{type(error).__name__}: {error}"
        finally:
            set_state(before)
        return ""

    def shrunk(self, fails: Callable[[RandomProgram], bool]) -> RandomProgram:
        """The program without all lines that it needs not to fail."""
        smallest, position = self, len(self.lines) - 1
        while position >= 0:
            smaller = smallest._without(position)
            if smaller.lines and fails(smaller):
                smallest, position = smaller, min(position, len(smaller.lines))
            position -= 1
        return smallest

    def _is_tame(self) -> bool:
        """Whether ordinary calls can be run, and give moderate numbers."""
        function, state = self.make()
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outs = [function(*self.inputs(call)) for call in range(3)]
        except Exception:
            return False
        return all(_moderate(x, 1e3) for x in flatten([outs, state()])[0])

    def _without(self, position: int) -> RandomProgram:
        lost = set(self.lines[position].makes)
        kept = list(self.lines[:position])
        for line in self.lines[position + 1 :]:
            if line.reads & lost:
                lost.update(line.makes)
            else:
                kept.append(line)
        return replace(self, lines=tuple(kept))


def random_program(seed: int, steps: int = 7) -> RandomProgram:
    """A random function and its inputs, for checking whatever runs functions in another way.

    It is made of operators, reductions, shapes, indexing, writes in place, layers, losses, optimizers and loops, on
    Tensors, NumPy arrays and floats; it can be run, and its numbers are of moderate size. The same seed gives the same
    program.

    Parameters
    ----------
    seed : int
    steps : int, default 7
        How many steps it has at the most.

    Returns
    -------
    RandomProgram
        ``function, inputs = random_program(seed)``; its ``source`` is text to read, ``difference(transform)`` says how
        ``transform(function)`` differs from it in several calls, and ``shrunk(fails)`` is a smaller one that fails.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> program = tg.testing.random_program(3)
    >>> function, inputs = program
    >>> out = function(*inputs)
    >>> program.difference(tg.compile)
    ''
    """
    rng = np.random.default_rng(seed)
    kind = ("values", "gradients", "training")[int(rng.integers(3))]
    arguments = _arguments(rng, kind)
    program = RandomProgram(seed, kind, arguments, ())
    if kind == "training":
        program = replace(program, optimizer=OPTIMIZERS[int(rng.integers(len(OPTIMIZERS)))])
    while not program.lines:
        program = _grown(program, rng, int(rng.integers(2, steps + 1)))
    return program


def _arguments(rng: np.random.Generator, kind: str) -> tuple[tuple[str, tuple[int, ...], str], ...]:
    results = []
    for i in range(int(rng.integers(1, 4))):
        shape = _SHAPES[int(rng.integers(len(_SHAPES)))]
        name = ("x", "X")[int(rng.random() < 0.3 and bool(shape))] + str(i)
        results.append((name, shape, "float32" if rng.random() < 0.25 else "float64"))
    if rng.random() < 0.3:
        results.append(("f", (), "float"))
    if rng.random() < 0.3:
        results.append((("k", "K")[int(rng.integers(2))], ((3,), (4,), (3, 4))[int(rng.integers(3))], "int64"))
    if kind == "gradients" and not any(dtype.startswith("float6") or dtype == "float32" for *_, dtype in results):
        results.append(("x9", (3,), "float64"))
    return tuple(results)


def _grown(program: RandomProgram, rng: np.random.Generator, count: int) -> RandomProgram:
    """A program with more lines: each is tried, and dropped where it cannot be run or its numbers grow too large."""
    space: dict[str, Any] = {"modules": []}
    exec(_HEADER, space)  # noqa: S102
    space.update(zip([name for name, _, _ in program.arguments], program.inputs(), strict=True))
    known = [name for name, _, _ in program.arguments]
    lines: list[_Line] = []
    for number in range(12 * count):
        family = FAMILIES[int(rng.integers(len(FAMILIES)))]
        line = _line(family, rng, known, space, number)
        if line is not None and _runs(line, space):
            lines.append(line)
            known += line.makes
            if len(lines) == count:
                break
    grown = replace(program, lines=tuple(lines))
    return grown if lines and grown._is_tame() else program


def _line(
    family: Family, rng: np.random.Generator, known: Sequence[str], space: dict[str, Any], number: int
) -> _Line | None:
    """Lines of a family on some of the known values; None where there is none that they could take."""
    fields = {field for _, field, _, _ in Formatter().parse(family.body + family.setup) if field}
    kinds: dict[str, list[str]] = {"f": [], "i": [], "u": [], "b": []}
    for name in known:
        kinds["u" if type(space[name]) is float else np.dtype(space[name].dtype).kind].append(name)
    chosen: dict[str, Any] = {field: f"{field}{number}" for field in ("v", "u", "m")}
    chosen["c"] = f"{rng.uniform(0.1, 1):.4f}"
    for field, kind in (("a", "f"), ("b", "f"), ("i", "i"), ("f", "u")):
        if field not in fields:
            continue
        if not kinds[kind]:
            return None
        chosen[field] = kinds[kind][int(rng.integers(len(kinds[kind])))]
    reads = frozenset(chosen[field] for field in ("a", "b", "i", "f") if field in chosen)
    if "a" in chosen:
        shape = space[chosen["a"]].shape
        axis = int(rng.integers(len(shape))) if shape else None
        chosen |= {"shape": shape, "size": int(np.prod(shape)), "axis": axis}
        chosen |= {"n": shape[-1] if shape else 0, "rows": shape[0] if shape else 0}
    body = tuple(family.body.format(**chosen).splitlines())
    setup = tuple(family.setup.format(**chosen).splitlines())
    makes = tuple(chosen[field] for field in ("v", "u") if field in fields)
    return _Line(family.name, body, makes, reads, setup)


def _runs(line: _Line, space: dict[str, Any]) -> bool:
    """Whether lines can be run, on values of before that they leave alone, and give moderate numbers."""
    before = {name: _array(space[name]).copy() for name in line.reads}
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec("\n".join([*line.setup, *line.body]), space)  # noqa: S102
    except Exception:
        return False
    unchanged = all(np.array_equal(before[name], _array(space[name])) for name in line.reads)
    return unchanged and all(hasattr(space[name], "dtype") and _moderate(space[name]) for name in line.makes)


def _array(x: Any) -> Any:
    return np.asarray(x.numpy() if hasattr(x, "numpy") else x)


def _moderate(x: Any, largest: float = _LARGEST) -> bool:
    array = _array(x)
    return array.size < 500 and array.dtype.kind in "fib" and bool(np.all(np.abs(array.astype(float)) < largest))


def _difference(expected: Any, result: Any, tolerance: float) -> str:
    """How two nests of values differ; empty if they are equal but for rounding."""
    old, structure = flatten(expected)
    new, other = flatten(result)
    if structure != other:
        return f"is nested as {other} for {structure}"
    for k, (x, y) in enumerate(zip(map(_array, old), map(_array, new), strict=True)):
        if (x.shape, x.dtype) != (y.shape, y.dtype):
            return f"{k}: {y.dtype}{list(y.shape)} for {x.dtype}{list(x.shape)}"
        if x.dtype.kind == "f":
            largest = max(1.0, float(np.max(np.abs(x[np.isfinite(x)]), initial=0.0)))
            same = np.allclose(x, y, rtol=0, atol=tolerance * largest, equal_nan=True)
        else:
            same = np.array_equal(x, y)
        if not same:
            return f"{k}: {y.tolist()} for {x.tolist()}"
    return ""
