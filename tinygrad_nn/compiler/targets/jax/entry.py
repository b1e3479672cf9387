"""Recordings that JAX runs: the same checks and the same state, another way to compute."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from ...call import build_call
from ...compare import Report
from ...differentiable import Connection
from ...rewrite.simplify import follow, rewritten
from ...sharing import linking
from ...trace.recording import Recording, is_jax_array
from ..numpy.naming import name_variables
from .runner import JaxRunner


class JaxEntry:
    """One recording, compiled by JAX; `compiled` compiles the pullback of results that are differentiated outside."""

    in_place = False

    def __init__(
        self,
        function: Callable[..., Any],
        recording: Recording,
        mesh: Any,
        replicate: Collection[str],
        compiled: Callable[..., Any],
    ) -> None:
        name_variables(recording.program, recording.places, function)
        follow(recording, rewritten(recording.program))
        self.recording = recording
        self.report = Report(compared=False)
        self.runner = JaxRunner(recording.program, mesh=mesh, replicate=replicate)
        self.core = self._core
        self.fitting = build_call(recording, self.core, in_place=False)
        self.call: Callable[[Any, Any], Any] = self.fitting
        if any(recording.live):
            self.call = Connection(function, recording, compiled).call(self.call)
        if recording.links:
            self.call = linking(self.call, recording.links, recording.hidden)

    @property
    def text(self) -> str:
        """What JAX compiles."""
        return self.runner.source

    def _core(self, *values: Any) -> Any:
        """The results, as JAX arrays if one was given, and what is left in the state, in NumPy's arrays."""
        program = self.recording.program
        count = len(program.inputs)
        native = len(program.results) if any(map(is_jax_array, values[:count])) else 0
        result = self.runner(values[:count], values[count:], numpy=True, native=native)
        return result if len(result) != 1 else result[0]
