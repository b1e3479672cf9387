"""Instructions that a step takes, counted by callgrind: unlike times, the same on a busy machine."""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory

from .machine import describe
from .measure import OURS, ROOT

STORED = Path(__file__).with_name("instructions.json")

#: Rows of the table, and how many steps are counted.
STEPS = {"A": 40, "G float": 4, "G tensor": 4, "I": 40, "A compiled": 40, "D compiled": 3}
IMPORT = "import"

#: callgrind writes down what it has counted when this function of the C library is entered.
MARK = "getppid"

#: What a row's process runs; the library is taken before the benchmarks' own tree is on the path.
ROW = "import sys, tinygrad_nn; sys.path.insert(0, {root!r}); from benchmarks import instructions; instructions.{call}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--rows", default=",".join((*STEPS, IMPORT)), help="keys separated by commas (default: all)")
    parser.add_argument("--tree", type=Path, default=ROOT, help="folder of the tinygrad_nn to measure (default: this)")
    parser.add_argument("--store", action="store_true", help=f"keep the figures of these rows in {STORED.name}")
    options = parser.parse_args()
    stored = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {"first": {}}
    print("| row | instructions per step | to the first | outside BLAS | to the first |")
    print("| --- | --: | --: | --: | --: |")
    with TemporaryDirectory() as folder:
        # A path of the same length for every tree, as what handles paths is counted in an import.
        copytree(options.tree / OURS, Path(folder, OURS), ignore=ignore_patterns("__pycache__"))
        for key in options.rows.split(","):
            found = count(key, Path(folder))
            if options.store:
                stored["first"][key] = found
            first = stored["first"].get(key, found)
            cells = [f"{found[part]:,} | {found[part] / first[part]:.4f}" for part in ("total", "outside BLAS")]
            print(f"| {key} | {' | '.join(cells)} |", flush=True)
    if options.store:
        stored["machine"] = describe(1)
        STORED.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    return 0


def count(key: str, tree: Path) -> dict[str, int]:
    """Instructions of one step of a row, or of the import of the library over that of NumPy."""
    if key == IMPORT:
        ours, numpys = (sum(run(f"import {name}", tree), Counter()) for name in ("tinygrad_nn", "numpy"))
        ours.subtract(numpys)
        return by_part(ours, 1)
    _, counted, _ = run(ROW.format(root=str(ROOT), call=f"steps({key!r})"), tree)
    return by_part(counted, STEPS[key])


def by_part(counted: Counter[str], steps: int) -> dict[str, int]:
    outside = sum(number for name, number in counted.items() if "openblas" not in name)
    return {"total": round(counted.total() / steps), "outside BLAS": round(outside / steps)}


def steps(key: str) -> None:
    """Take the steps of a row between two marks, warm and without the garbage collector, whose visits are chance."""
    from .workloads import load

    step = load()[key].columns[OURS]()
    for _ in range(3):
        step()
    gc.collect()
    gc.freeze()
    gc.disable()
    number = range(STEPS[key])
    os.getppid()
    for _ in number:
        step()
    os.getppid()


def run(code: str, tree: Path) -> list[Counter[str]]:
    """Run code under callgrind: the instructions of each shared object up to each mark, and after the last."""
    command = [sys.executable, "-P", "-c", code]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tree), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    subprocess.run(command, env=environment, check=True)  # compiles modules that are not compiled yet
    with TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        tool = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}", f"--dump-before={MARK}"]
        subprocess.run([*tool, *command], env=environment, check=True)
        parts = sorted(out.parent.glob("out.*"), key=lambda path: int(path.suffix[1:]))
        return [by_object(path) for path in (*parts, out)]


def by_object(path: Path) -> Counter[str]:
    """Sum the lines of a callgrind file that tell what functions spent themselves, by the object they are in."""
    names: dict[str, str] = {}
    found: Counter[str] = Counter()
    name, called = "", False
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("ob="):
            number, _, given = line[3:].partition(" ")
            name = names.setdefault(number, given)
        elif line.startswith("cob="):
            number, _, given = line[4:].partition(" ")
            names.setdefault(number, given)
        elif line.startswith("calls="):
            called = True  # the next line is what the callee spent
        elif line and line[0] in "+-*0123456789":
            if not called:
                found[name] += int(line.split()[1])
            called = False
    return found


if __name__ == "__main__":
    sys.exit(main())
