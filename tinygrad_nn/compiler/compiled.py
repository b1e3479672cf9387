"""Compiled: a function that records itself, and is run as emitted code from then on."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Collection, Sequence
from functools import partial, update_wrapper
from inspect import Parameter as Argument_
from inspect import signature
from keyword import iskeyword
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from ..core.graph import modes, switch
from ..core.interrupts import hold, release
from ..core.tree import flatten, map_leaves
from ..core.values import plain_array
from ..tensor.tensor import Tensor
from .call import LOCK, MISS, build_call
from .compare import Comparison, NotEqualWarning, Report
from .differentiable import Connection
from .quote import identifier
from .rewrite.simplify import Simplified, follow, simplify
from .sharing import linking
from .targets.numpy.emit import COMMITS, Emitter
from .targets.numpy.module import Source
from .targets.numpy.naming import RESERVED, name_variables
from .targets.numpy.plan import Plan, plan
from .targets.numpy.standalone import save
from .targets.numpy.verify import verify
from .trace.guards import all_hold
from .trace.recording import Recording, record
from .trace.traced import Traced

if TYPE_CHECKING:
    from .targets.jax.entry import JaxEntry

#: Recordings of one function for different shapes, dtypes and fixed arguments; the oldest give way.
MOST_RECORDINGS = 8


class Memory(NamedTuple):
    """Bytes that a compiled function needs, beyond its arguments and the state.

    Attributes
    ----------
    peak : int
        Buffers and results together.
    buffers : int
        Memory that each call uses again.
    results : int
        Arrays that a call gives away.
    """

    peak: int
    buffers: int
    results: int


class Entry:
    """One recording with the code that was made of it."""

    in_place = True

    def __init__(
        self,
        function: Callable[..., Any],
        recording: Recording,
        simplified: Simplified,
        planned: Plan,
        source: Source,
        pullback: Callable[..., Any],
    ) -> None:
        self.report = Report(compared=False)
        self.recording = recording
        self.simplified = simplified
        self.plan = planned
        self.source = source
        space: dict[str, Any] = {"__name__": "compiled", "hold": hold, **source.constants}
        exec(compile(_held_back(source.text), f"<compiled {source.function}>", "exec"), space)  # noqa: S102
        space.update(source.kernels)
        self.space = space
        self.core: Callable[..., Any] = space[source.function]
        #: Runs the code where the recording fits a call; knows nothing of graphs.
        self.fitting = build_call(recording, self.core)
        self.call: Callable[[Any, Any], Any] = self.fitting
        if any(recording.live):
            self.call = Connection(function, recording, pullback).call(self.call)
        if recording.links:
            self.call = linking(self.call, recording.links, recording.hidden)

    @property
    def text(self) -> str:
        """The emitted module."""
        return self.source.text


def _held_back(text: str) -> str:
    """The source with Ctrl-C held back, on the same lines, once it begins to write to the state."""
    return text.replace(f"\n{COMMITS}\n", "\n    hold()\n").replace("\n    news = ", "\n    hold(); news = ")


class _Refused(Exception):
    """A call fits a recording whose code is not used."""


def _refuse_call(*_: Any) -> NoReturn:
    raise _Refused


class Compiled:
    """What `compile` makes of a function, and what is called in its place.

    Attributes that it lacks are those of the function: ``compile(net).parameters()``.

    Attributes
    ----------
    function : callable
        The function as it was.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        static: Collection[str | int] | str | int = (),
        *,
        target: str = "numpy",
        mesh: Any = None,
        replicate: Collection[str] = (),
        verify: bool = True,
    ) -> None:
        self.function = function
        self.verify = verify
        self.target = target
        self.mesh = mesh
        self.replicate = replicate
        self.static = frozenset([static] if isinstance(static, str | int) else static)
        self._entries: list[Entry | JaxEntry] = []
        self._recorded = 0
        self._call: Callable[[Any, Any], Any] = lambda args, kwargs: MISS
        update_wrapper(self, function if hasattr(function, "__name__") else type(function), updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if switch.active and (modes.store.compiling or modes.anomaly or modes.keeping):
            return self.function(*args, **kwargs)
        out = self._call(args, kwargs)
        return self._other(args, kwargs) if out is MISS else out

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "function":
            raise AttributeError(name)
        return getattr(self.function, name)

    def __reduce__(self) -> Any:
        """By its name, if that is what a decorated function goes by; else anew: the copy records for itself."""
        name, module = getattr(self, "__qualname__", ""), sys.modules.get(getattr(self, "__module__", None) or "")
        result: Any = module
        for part in name.split(".") if name else ():
            result = getattr(result, part, None)
        if result is self:
            return name
        settings = {name: getattr(self, name) for name in ("target", "mesh", "replicate", "verify")}
        return _anew, (self.function, self.static, settings)

    def _other(self, args: Any, kwargs: Any) -> Any:
        """A call that the last recording is not for."""
        with LOCK:
            plain = map_leaves(_without_subclass, (args, kwargs)) if self.target == "numpy" else (args, kwargs)
            return self._slowly(*plain)

    def _slowly(self, args: Any, kwargs: Any) -> Any:
        for entry in self._entries[::-1]:
            out = entry.call(args, kwargs)
            if out is not MISS:
                self._entries.remove(entry)
                self._entries.append(entry)
                self._call = entry.call
                return out
        entry, comparison = self._record(args, kwargs)  # which holds Ctrl-C back
        space = entry.fitting.__globals__
        core = entry.core if comparison is None else comparison.first_call(entry.core, entry.recording, entry.in_place)
        computed: list[bool] = []

        def first(*values: Any) -> Any:
            out = core(*values)
            hold()  # from here on the call is made, whatever comes
            computed.append(True)
            return out

        try:
            self._entries.append(entry)
            self._call = entry.call
            space["core"] = first
            release()
            out = entry.call(args, kwargs)
        except BaseException:
            if not computed:
                self._forget(entry)
            raise
        finally:
            space["core"] = entry.core
            entry.recording.outcome.clear()
            entry.recording.generators.clear()
            release()
        if out is MISS:
            raise RuntimeError(f"compile: what {self.__name__} has recorded does not fit the call that it recorded")
        if comparison is not None:
            entry.report = comparison.report
            if entry.report.difference:
                self._refuse(entry)
        return out

    def _refuse(self, entry: Entry | JaxEntry) -> None:
        """Run the function itself from now on where a recording fits whose code does not compute the same."""
        fitting, function = entry.fitting, self.function
        fitting.__globals__["core"] = _refuse_call

        def call(args: Any, kwargs: Any) -> Any:
            try:
                return fitting(args, kwargs)
            except _Refused:
                return function(*args, **kwargs)

        self._call = entry.call = call
        warnings.warn(
            f"compile: the code made of {self.__name__} does not compute what was recorded, and is not used; the "
            f"function runs as it is for such arguments. Of this call the recorded results are right.\n"
            f"  {entry.report}\n  This is a fault of tinygrad_nn: please report it, with the function.",
            NotEqualWarning,
            stacklevel=5,
        )

    def _forget(self, entry: Entry | JaxEntry) -> None:
        """After a first call that failed: what was prepared for it in optimizers is taken back."""
        self._entries.remove(entry)
        self._call = lambda args, kwargs: MISS
        entry.recording.forget()

    def _record(self, args: Any, kwargs: Any) -> tuple[Entry | JaxEntry, Comparison | None]:
        self._recorded += 1
        if len(self._entries) >= MOST_RECORDINGS:
            del self._entries[0]
            if self._recorded == MOST_RECORDINGS + 1:
                warnings.warn(
                    f"{self.__name__} has been recorded {self._recorded} times, for as many combinations of shapes, "
                    "dtypes, fixed arguments and settings; each recording takes some milliseconds. Give batches of one "
                    "shape (drop or pad the last one), and numbers that differ from call to call as floats or Tensors.",
                    stacklevel=5,
                )
        names = self._leaf_names(args, kwargs)
        unknown = self.static - {x for pair in names for x in pair} - set(_parameters(self.function))
        if unknown:
            raise ValueError(
                f"compile: static={sorted(map(str, unknown))} names no argument of {self.__name__}; "
                f"it has {list(dict.fromkeys(root for _, root in names))}"
            )
        fixed = {i for i, (name, root) in enumerate(names) if root in self.static or name in self.static}
        name = self._name()[1]
        recording = None
        try:
            recording = record(self.function, args, kwargs, fixed, [n for n, _ in names], name)
            comparison = Comparison(recording) if self.verify else None
            entry = self._entry(recording)
            hold()
            return entry, comparison
        except BaseException:
            if recording is not None:
                recording.forget()
            raise

    def _name(self) -> tuple[str, str]:
        """The function's name in a saved module, and in the code, which uses some names itself."""
        name = self.__name__ if self.__name__.isidentifier() and not iskeyword(self.__name__) else "compiled"
        code = identifier(name) or "compiled"
        return name, code + "_" * (code in RESERVED)

    def _entry(self, recording: Recording) -> Entry | JaxEntry:
        pullback = partial(Compiled, verify=self.verify)
        if self.target == "jax":
            from .targets.jax.entry import JaxEntry

            return JaxEntry(self.function, recording, self.mesh, self.replicate, pullback)
        return make_entry(recording, self.function, pullback=pullback)

    def _leaf_names(self, args: Any, kwargs: Any) -> list[tuple[str, Any]]:
        """For each leaf of the arguments a name, and the argument that it is part of."""
        known = _parameters(self.function)[: len(args)]
        parameters = [*known, *(f"x{i}" for i in range(len(known), len(args)))]
        named: list[tuple[str, Any]] = []
        for root, arg in (*zip(parameters, args, strict=True), *kwargs.items()):
            count = len(flatten(arg)[0])
            named += [(root if count == 1 else f"{root}_{k}", root) for k in range(count)]
        return named

    # --- what it made ------------------------------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """What the last recording became: Python source that needs NumPy alone.

        With ``target="jax"`` the jaxpr that JAX compiles, as a text to read; where an operation is computed by NumPy, a
        line says so, between the jaxprs of what comes before and after it.
        """
        return self._last.text

    @property
    def report(self) -> Report:
        """How the code of the last recording compares with what was recorded: true if it computes the same.

        Each recording is compared: its results are those of the ordinary run in which it was recorded, and the code
        made of it runs once on copies of the same numbers. Where that differs by more than rounding, the code is not
        used, and ``str(report)`` names the first variable that differs.
        """
        return self._last.report

    def save(self, path: str | Path) -> None:
        """Write the last recording as a Python module that imports only NumPy.

        Its function has the name of this one, takes the same arguments as NumPy arrays and gives arrays. Parameters
        and what else is read outside are in its dict ``state``, with their values of now (``state_`` where the function
        itself is called so).

        Parameters
        ----------
        path : str or Path
            Ends in ``.py``. It is one file, which is replaced as a whole.

        Raises
        ------
        RuntimeError
            If nothing has been recorded yet, or only what a next call would not repeat, as an optimizer's first step.
        ValueError
            If a user's operation has a kernel without source text.
        """
        entry = self._numpy_entry("save")
        if entry.report.difference:
            raise RuntimeError(f"save: the code of {self.__name__} does not compute what was recorded: {entry.report}")
        if not all_hold(entry.recording.guards):
            raise RuntimeError(
                f"save: the last recording of {self.__name__} was for what is past by now, as an optimizer's "
                "first step is; call it once more, and then save it"
            )
        save(entry.source, entry.recording, path, self._name()[0])

    @property
    def memory(self) -> Memory:
        """Bytes that a call of the last recording needs."""
        planned = self._numpy_entry("memory").plan
        results = sum(x.nbytes for x in planned.results)
        return Memory(planned.nbytes + results, planned.nbytes, results)

    @property
    def _last(self) -> Entry | JaxEntry:
        if not self._entries:
            raise RuntimeError(f"{self.__name__} has recorded nothing yet: call it once, with arguments as it will get")
        return self._entries[-1]

    def _numpy_entry(self, what: str) -> Entry:
        entry = self._last
        if not isinstance(entry, Entry):
            raise TypeError(f'{what}: what target="jax" makes belongs to JAX; compile for target="numpy"')
        return entry

    def __repr__(self) -> str:
        return f"<compiled {self.__name__}, {len(self._entries)} recordings>"


def _anew(function: Callable[..., Any], static: Collection[str | int], settings: dict[str, Any]) -> Compiled:
    """A compiled function that has recorded nothing yet."""
    return Compiled(function, static, **settings)


def _without_subclass(x: Any) -> Any:
    """A memory map, or another library's array, as a plain one; a masked array is refused."""
    if isinstance(x, np.ndarray):
        return plain_array(x)
    foreign = hasattr(x, "__array__") and hasattr(x, "dtype") and not isinstance(x, np.generic | Tensor | Traced)
    return np.asarray(x) if foreign else x


def _parameters(function: Callable[..., Any]) -> Sequence[str]:
    try:
        result = signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    return [p.name for p in result if p.kind in (Argument_.POSITIONAL_ONLY, Argument_.POSITIONAL_OR_KEYWORD)]


def make_entry(
    recording: Recording, function: Callable[..., Any], *, reuse: bool = True, pullback: Any = Compiled
) -> Entry:
    """Rewrite, plan and emit a recording."""
    meanings = name_variables(recording.program, recording.places, function)
    simplified = simplify(recording.program)
    careful = [] if simplified.careful is None else [simplified.careful]
    follow(recording, simplified.program, *careful)
    planned = plan(simplified.program, simplified.witnesses, reuse=reuse)
    verify(planned)
    emitter = Emitter(planned, simplified.careful, recording.program.name)
    source = emitter.emit(_heading(recording, meanings))
    return Entry(function, recording, simplified, planned, source, pullback)


def _heading(recording: Recording, meanings: dict[str, str]) -> list[str]:
    program = recording.program
    inputs = ", ".join(f"{x.name} {x.dtype}{list(x.shape)}" for x in program.inputs) or "no arguments"
    lines = [f"{program.name}, recorded for {inputs}."]
    state = [f"    {x.name} {x.dtype}{list(x.shape)}: {meanings[x.name]}" for x in program.state if x.name in meanings]
    return [*lines, "", "Read outside, and written where it changes:", "", *state, ""] if state else lines
