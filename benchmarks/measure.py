"""What a workload is, and how its columns are measured side by side."""

from __future__ import annotations

import gc
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OURS = "tinygrad_nn"

#: Prepares one column, and returns what is then called again and again.
Setup = Callable[[], Callable[[], Any]]


@dataclass(frozen=True)
class Workload:
    """One row of the table: the same work done by each column.

    A column is a function without arguments that imports its library, prepares its data and returns a `step`. A timed
    `step` does the work once and returns a number that all columns must agree on; a `sampled` one returns the
    measurement itself (bytes, or the seconds that a fresh process took).
    """

    key: str
    title: str
    unit: str
    columns: Mapping[str, Setup]
    #: Target: at most this times what the column named here needs.
    at_most: Mapping[str, float] = field(default_factory=dict)
    #: Target: at most this, in `unit`.
    limit: float | None = None
    #: The column that the targets speak of.
    subject: str = OURS
    #: From seconds (or what a sampled step returns) to `unit`.
    scale: float = 1.0
    sampled: bool = False
    #: Rounds relative to those of the run: fewer where a sample takes long.
    rounds: float = 1.0
    #: Relative difference allowed between the columns' results; None: nothing to compare.
    tolerance: float | None = 1e-4
    #: Calls of each step before its result is compared.
    steps_to_agree: int = 1
    note: str = ""


@dataclass
class Column:
    """What was measured for one column: over the rounds, and as a ratio to the workload's subject."""

    name: str
    missing: str = ""
    median: float = math.nan
    minimum: float = math.nan
    #: Subject over this column: median and quartiles of the ratios of each round.
    ratio: float = math.nan
    ratio_low: float = math.nan
    ratio_high: float = math.nan


@dataclass
class Target:
    """A figure that a workload is held to, and whether it is met."""

    key: str
    what: str
    measured: float
    limit: float

    @property
    def met(self) -> bool:
        return self.measured <= self.limit


@dataclass
class Result:
    key: str
    title: str
    unit: str
    subject: str
    note: str
    rounds: int
    columns: list[Column]
    targets: list[Target]

    def as_json(self) -> dict[str, Any]:
        found = asdict(self)
        for target, row in zip(self.targets, found["targets"]):
            row["met"] = target.met
        found["columns"] = [{k: None if v != v else v for k, v in row.items()} for row in found["columns"]]  # no NaN
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Result:
        targets = [Target(**{k: v for k, v in row.items() if k != "met"}) for row in found["targets"]]
        columns = [Column(**{k: v for k, v in row.items() if v is not None}) for row in found["columns"]]
        return cls(**{**found, "columns": columns, "targets": targets})


def run(workload: Workload, *, rounds: int, block: float) -> Result:
    """Measure all columns of a workload in turns: A B C, B C A, ..., so that noise meets all alike.

    Parameters
    ----------
    rounds : int
        Samples of each column; a workload's own factor applies.
    block : float
        Seconds that a timed sample lasts at least, by calling its step often enough.
    """
    rounds = max(1, math.ceil(rounds * workload.rounds))
    columns = [Column(name) for name in workload.columns]
    steps: dict[str, Callable[[], Any]] = {}
    for column in columns:
        try:
            steps[column.name] = workload.columns[column.name]()
        except ImportError as error:
            column.missing = "not installed"
            print(f"{workload.key}: {column.name} is not installed ({error})", file=sys.stderr)
    if workload.tolerance is not None:
        _check_agreement(workload, steps)
    samplers = steps if workload.sampled else {name: _timer(step, block) for name, step in steps.items()}
    gc.collect()
    gc.freeze()  # a collection then walks what the steps make, not the modules of all libraries
    samples: dict[str, list[float]] = {name: [] for name in samplers}
    names = list(samplers)
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            samples[name].append(samplers[name]() * workload.scale)
    for column in columns:
        if not column.missing:
            _summarise(column, samples[column.name], samples.get(workload.subject))
    return Result(
        key=workload.key,
        title=workload.title,
        unit=workload.unit,
        subject=workload.subject,
        note=workload.note,
        rounds=rounds,
        columns=columns,
        targets=_targets(workload, {column.name: column for column in columns}),
    )


def _timer(step: Callable[[], Any], block: float) -> Callable[[], float]:
    """A sampler: seconds of one call, from as many in a row as fill a block."""
    for _ in range(3):
        start = perf_counter()
        step()
        once = perf_counter() - start
    calls = range(max(1, math.ceil(block / max(once, 1e-7))))

    def sample() -> float:
        start = perf_counter()
        for _ in calls:
            step()
        return (perf_counter() - start) / len(calls)

    return sample


def _check_agreement(workload: Workload, steps: Mapping[str, Callable[[], Any]]) -> None:
    """All columns must compute the same, or their times mean nothing."""
    assert workload.tolerance is not None
    results: dict[str, float] = {}
    for name, step in steps.items():
        for _ in range(workload.steps_to_agree):
            results[name] = float(step())
    if not results:
        return
    reference = statistics.median_low(results.values())
    wrong = {n: v for n, v in results.items() if not math.isclose(v, reference, rel_tol=workload.tolerance)}
    if wrong:
        raise AssertionError(f"{workload.key}: the columns disagree: {results}")


def _summarise(column: Column, samples: Sequence[float], subject: Sequence[float] | None) -> None:
    column.median = statistics.median(samples)
    column.minimum = min(samples)
    if subject is not None:
        ratios = [a / b if b else math.inf for a, b in zip(subject, samples)]
        column.ratio = statistics.median(ratios)
        quartiles = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
        column.ratio_low, column.ratio_high = quartiles[0], quartiles[2]


def _targets(workload: Workload, columns: Mapping[str, Column]) -> list[Target]:
    found = [
        Target(workload.key, f"{workload.subject} / {peer}", columns[peer].ratio, limit)
        for peer, limit in workload.at_most.items()
        if not columns[peer].missing
    ]
    subject = columns[workload.subject]
    if workload.limit is not None and not subject.missing:
        found.append(Target(workload.key, f"{workload.subject}, {workload.unit}", subject.median, workload.limit))
    return found


# --- measurements in a process of their own --------------------------------------------------------------------------


def in_fresh_process(code: str, **environment: str) -> float:
    """The number that `code` prints last, run by a new interpreter in the project's root."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        if last[0].startswith(("ModuleNotFoundError", "ImportError")):
            raise ImportError(last[0])
        raise RuntimeError(f"a measurement failed:\n{done.stderr}")
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def sampled_by(code: str, **environment: str) -> Setup:
    """A column of a sampled workload whose samples are each taken by a new process."""

    def setup() -> Callable[[], float]:
        in_fresh_process(code, **environment)  # compiles what is not compiled yet; tells if the library is missing
        return lambda: in_fresh_process(code, **environment)

    return setup


class PeakMemory:
    """Bytes by which the process grew at its peak, over the state at entry: a context manager, on Linux.

    The kernel's own high-water mark of the resident set (``VmHWM``), reset at entry. So it counts everything: arrays,
    graphs, allocators' and BLAS' working space, whichever library made them.
    """

    def __enter__(self) -> PeakMemory:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        self._before = resident("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.grown = resident("VmHWM") - self._before


def resident(field: str = "VmRSS") -> int:
    """Bytes in memory that the process has now (``VmRSS``) or had at most (``VmHWM``)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"this system does not tell {field}")
