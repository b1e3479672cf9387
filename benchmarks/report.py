"""Results as a table in Markdown, and as a line while the suite runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .measure import OURS, Column, Result

#: Columns of the table of times, in this order; what a workload has besides stands in the table of ratios alone.
PEERS = (
    OURS, "NumPy, `out=`", "NumPy", "NumPy, blocks", "PyTorch", "PyTorch cells", "PyTorch func",
    "JAX", "JAX jit", "JAX traced", "autograd", "MyGrad", "micrograd",
)  # fmt: skip
#: Further columns of ours, in the table of what is compiled.
OURS_TOO = (f"{OURS}, gradients kept", f"{OURS}, first call", f"{OURS}, eager", f"{OURS}, Trainer")


def progress(result: Result) -> str:
    """One line on one workload."""
    cells = ", ".join(f"{column.name} {cell(column)}" for column in result.columns)
    return f"{result.key} ({result.unit}): {cells}"


def as_markdown(report: Mapping[str, Any]) -> str:
    """The whole report."""
    results = [Result.from_json(found) for found in report["results"]]
    against_peers = [result for result in results if result.subject == OURS and len(result.columns) > 1]
    alone = [result for result in results if result not in against_peers]
    parts = ["# Benchmark results", _conditions(report)]
    if targets := [target for result in results for target in result.targets]:
        rows = [[t.key, t.what, number(t.measured), number(t.limit), "pass" if t.met else "**fail**"] for t in targets]
        parts += ["## Targets", table(["row", "figure", "measured", "at most", ""], rows)]
    if eager := [result for result in against_peers if not _is_compiled(result)]:
        parts += ["## Against the peers", LEGEND, _peers(eager)]
    if compiled := [result for result in against_peers if _is_compiled(result)]:
        parts += ["## Compiled", COMPILED_LEGEND, _peers(compiled)]
    if against_peers:
        parts += ["## How sure the ratios are", "Median of the rounds' ratios [quartiles].", _ratios(against_peers)]
    if alone:
        rows = [
            [result.key, result.title, result.unit, ", ".join(f"{c.name}: {number(c.median)}" for c in result.columns)]
            for result in alone
        ]
        parts += ["## By itself", table(["row", "what", "unit", "measured"], rows)]
    return "\n\n".join(parts) + "\n"


LEGEND = (
    "Median over the rounds, and in parentheses what tinygrad_nn needs as a multiple of it: below 1 it is the better "
    "one. In every timed row all columns compute the same result, which is checked."
)


COMPILED_LEGEND = (
    "The same work by a function that went through `tg.compile`, timed after the call that records it: tinygrad_nn is "
    "the compiled one here. JAX's column is compiled as well, NumPy's and PyTorch's are not. A training step ends with "
    "`zero_grad()`, so that no gradients are there after it, as in NumPy's and JAX's columns; PyTorch's stay until its "
    "next step begins, and so do ours in the column where they are kept. Memory is what a call takes above the state "
    "before the first call: what a compiled function keeps from call to call counts. Recording happens once and is "
    "measured by itself, in the column of the first call."
)


def _is_compiled(result: Result) -> bool:
    return any(column.name in OURS_TOO for column in result.columns)


def _conditions(report: Mapping[str, Any]) -> str:
    machine = report["machine"]
    installed = [f"{name} {version}" for name, version in machine["versions"].items() if version != "not installed"]
    missing = [name for name, version in machine["versions"].items() if version == "not installed"]
    lines = [
        f"{machine['processor']}, {machine['logical_cores']} logical cores, {machine['system']}; "
        f"threads for each library: {machine['threads']}. {', '.join(installed)}.",
        f"{report['rounds']} rounds, in which the columns take turns; a timed sample lasts {report['block_seconds']} s "
        "at least. Machines are noisy: what counts is the ratio within one run.",
        "Written by `python -m benchmarks`. DeZero is left out: 0.0.13 cannot be imported under NumPy 2.",
    ]
    if missing:
        lines.append(f"Not installed: {', '.join(missing)}.")
    if report["failed"]:
        lines.append(f"**Could not be measured: {', '.join(report['failed'])}.**")
    return "\n\n".join(lines)


def _peers(results: Sequence[Result]) -> str:
    order = (OURS, *OURS_TOO, *PEERS[1:])
    names = [name for name in order if any(column.name == name for result in results for column in result.columns)]
    rows = []
    for result in results:
        columns = {column.name: column for column in result.columns}
        cells = [cell(columns[name]) if name in columns else "" for name in names]
        rows.append([f"{result.key}. {result.title} ({result.unit})", *cells])
    return table(["", *names], rows)


def _ratios(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        cells = [
            f"{column.name} {number(column.ratio)} [{number(column.ratio_low)}–{number(column.ratio_high)}]"
            for column in result.columns
            if column.name != result.subject and not column.missing
        ]
        rows.append([result.key, str(result.rounds), "; ".join(cells), result.note])
    return table(["row", "rounds", "tinygrad_nn over", "note"], rows)


START, END = "<!-- benchmarks: written by python -m benchmarks -->", "<!-- /benchmarks -->"


def in_readme(readme: str, report: Mapping[str, Any]) -> str:
    """The README's text with its table of measurements replaced by that of `report`."""
    before, rest = readme.split(START)
    after = rest.split(END)[1]
    results = [Result.from_json(found) for found in report["results"]]
    results = [result for result in results if result.subject == OURS and len(result.columns) > 1]
    return f"{before}{START}\n{_summary(results)}\n{END}{after}"


def _summary(results: Sequence[Result]) -> str:
    """Our own measurement of each workload, and the multiples of the peers' that it is."""
    rows = []
    for result in results:
        columns = {column.name: column for column in result.columns if not column.missing}
        ratios = []
        for names in SUMMARISED.values():
            shown = [f"{number(columns[name].ratio)} ×" for name in names if name in columns]
            ratios.append(shown[0] if shown else "")
        rows.append([result.title, f"{number(columns[OURS].median)} {result.unit}", *ratios])
    return table(["", OURS, *(f"of {name}" for name in SUMMARISED)], rows)


#: The README's columns, each from the first of these that a workload has.
SUMMARISED = {
    "NumPy by hand": ("NumPy",),
    "PyTorch": ("PyTorch",),
    "JAX": ("JAX jit", "JAX traced", "JAX"),
    "autograd": ("autograd",),
    "MyGrad": ("MyGrad",),
    "micrograd": ("micrograd",),
}


def cell(column: Column) -> str:
    """Time and ratio of one column."""
    if column.missing:
        return column.missing
    mine = column.name == OURS or math.isnan(column.ratio)
    return number(column.median) if mine else f"{number(column.median)} ({number(column.ratio)})"


def number(value: float) -> str:
    """Three digits, and no exponent."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 4)}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
