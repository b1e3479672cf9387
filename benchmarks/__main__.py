"""Command line of the benchmark suite: each workload in a process of its own, then the tables."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from .machine import describe
from .measure import ROOT, Result, run
from .report import as_markdown, in_readme, progress
from .workloads import load

RESULTS = Path(__file__).with_name("results.json")
README = ROOT / "README.md"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def main() -> int:
    options = _options()
    if options.one:
        return _measure_one(options)
    keys = options.rows.split(",") if options.rows else list(load())
    results, failed = [], []
    for key in keys:
        found = _measure_in_process(key, options)
        if found is None:
            failed.append(key)
            continue
        results.append(found)
        print(progress(found), flush=True)
    report = {
        "machine": describe(options.threads),
        "rounds": options.rounds,
        "block_seconds": options.block,
        "failed": failed,
        "results": [result.as_json() for result in results],
    }
    text = as_markdown(report)
    print("\n" + text)
    if options.write:
        RESULTS.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        RESULTS.with_suffix(".md").write_text(text, encoding="utf-8")
        README.write_text(in_readme(README.read_text(encoding="utf-8"), report), encoding="utf-8")
    for key in failed:
        print(f"{key}: could not be measured", file=sys.stderr)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", help="keys separated by commas, such as A,I (all unless given)")
    parser.add_argument("--rounds", type=int, default=30, help="samples of each column (default: 30)")
    parser.add_argument("--block", type=float, default=0.05, help="seconds of a timed sample, at least (default: 0.05)")
    parser.add_argument("--threads", type=int, default=1, help="threads and cores for each library (default: 1)")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 ms, nothing written: does it run?")
    parser.add_argument("--dry-run", action="store_true", help="print the tables, write no file; so too with --rows")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.block = 3, 0.001
    options.write = not (options.quick or options.dry_run or options.rows)
    return options


def _measure_in_process(key: str, options: argparse.Namespace) -> Result | None:
    """One workload in a fresh process, with all libraries held to the same threads and cores."""
    command = [sys.executable, "-m", "benchmarks", "--one", key, "--threads", str(options.threads)]
    command += ["--rounds", str(options.rounds), "--block", str(options.block)]
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(options.threads)), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    return None if done.returncode else Result.from_json(json.loads(done.stdout))


def _measure_one(options: argparse.Namespace) -> int:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-options.threads :])
    result = run(load()[options.one], rounds=options.rounds, block=options.block)
    print(json.dumps(result.as_json()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
