"""Would a wrong line be noticed? One line of the package is changed at a time, and the tests that come by it are run.

    pip install pytest-cov
    python -m tests.mutate                    # a sample of 300; prints the share that is noticed, and each that is not
    python -m tests.mutate --count 30 --seed 1 --rooms compiler,viewer

Changes are seeded: a comparison turned, a sum made a difference, a product a quotient, `and` made `or`, a condition
denied, a number one larger, a truth value the other. The tree is copied, so that the one that is worked on stays as it
is. The suite runs once to tell which tests come by which line. A change is put to some of those first, then to all of
them, or to the tests of its room where the line runs at import; what they let pass is put to the whole suite, unless
told not to by ``--quick``.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "tinygrad_nn"

#: What the tests of a room are, where they are not in the folder of its name.
TESTS = {
    "ops": ["tests/ops", "tests/core"],
    "testing": ["tests/testing", "tests/ops"],
    "core": ["tests/core", "tests/ops", "tests/compiler"],
}
TURNED = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
EXCHANGED = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "*"}


@dataclass(frozen=True)
class Mutant:
    """A part of a file, and the text that takes its place."""

    path: str
    start: int  # offsets in the bytes of the file
    end: int
    text: str
    line: int

    def applied(self, root: Path) -> None:
        file = root / self.path
        content = file.read_bytes()
        file.write_bytes(content[: self.start] + self.text.encode() + content[self.end :])

    def __str__(self) -> str:
        lines = (ROOT / self.path).read_text(encoding="utf-8").splitlines()
        return f"{self.path}:{self.line}: {lines[self.line - 1].strip()}   →   {self.text}"


def mutants(path: Path) -> Iterator[Mutant]:
    """All changes of a file that are known here."""
    source = path.read_text(encoding="utf-8")
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))

    def changed(first: ast.AST, last: ast.AST, text: str, inner: bool = False) -> Mutant:
        start = starts[first.lineno - 1] + first.col_offset
        end = starts[last.end_lineno - 1] + last.end_col_offset
        if inner:  # between two operands
            start = starts[first.end_lineno - 1] + first.end_col_offset
            end = starts[last.lineno - 1] + last.col_offset
        return Mutant(str(path.relative_to(ROOT)), start, end, text, first.lineno)

    def words(node: ast.AST) -> str:
        return ast.get_source_segment(source, node) or ""

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in TURNED and len(node.ops) == 1:
            text = f"({words(node.left)} {TURNED[type(node.ops[0])]} {words(node.comparators[0])})"
            yield changed(node, node, text)
        elif isinstance(node, ast.BinOp) and type(node.op) in EXCHANGED and not _is_text(node):
            yield changed(node, node, f"({words(node.left)} {EXCHANGED[type(node.op)]} {words(node.right)})")
        elif isinstance(node, ast.BoolOp):
            other = " or " if isinstance(node.op, ast.And) else " and "
            yield changed(node, node, "(" + other.join(f"({words(x)})" for x in node.values) + ")")
        elif isinstance(node, ast.If | ast.IfExp) and not _is_for_types(node.test):
            yield changed(node.test, node.test, f"(not ({words(node.test)}))")
        elif isinstance(node, ast.Constant) and type(node.value) is bool:
            yield changed(node, node, str(not node.value))
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            yield changed(node, node, str(node.value + 1))


def _is_text(node: ast.BinOp) -> bool:
    """Whether it looks like text rather than numbers, or like a union of types."""
    return any(isinstance(x, ast.JoinedStr) or (isinstance(x, ast.Constant) and isinstance(x.value, str))
               for x in ast.walk(node))  # fmt: skip


def _is_for_types(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in ast.dump(test)


def tests_of(path: str) -> list[str]:
    """Where the tests of a file's room are."""
    room = path.split("/")[1].removesuffix(".py")
    return TESTS.get(room) or ([f"tests/{room}"] if (ROOT / "tests" / room).is_dir() else ["tests"])


def coverage(data: Path) -> dict[str, dict[int, list[str]]]:
    """Which tests come by each line of each file; the suite is run for it unless `data` has it from an earlier run."""
    from coverage import CoverageData

    if not data.exists():
        print("the suite runs once, to tell which tests come by which line", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            tree = copied(folder)
            measured_in = Path(folder) / "coverage"  # not in the tree: a test looks at what lies there
            how = ["-qq", f"--cov={PACKAGE}", "--cov-context=test", "--cov-report="]
            run = pytest(tree, how, COVERAGE_FILE=str(measured_in))
            if run.returncode:
                raise SystemExit(f"the suite fails without a change:\n{run.stdout.decode()[-2000:]}")
            shutil.copy(measured_in, data)
    measured = CoverageData(str(data))
    measured.read()
    lines = {}
    for path in measured.measured_files():
        contexts = measured.contexts_by_lineno(path)
        tests = {n: sorted({c.rsplit("|", 1)[0] for c in names if c}) for n, names in contexts.items()}
        lines[path[path.rindex(f"/{PACKAGE}/") + 1 :]] = tests
    return lines


def copied(folder: str) -> Path:
    """A copy of the tree; times of files are kept, so that compiled modules stay good."""
    tree = Path(folder) / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", ".hypothesis"))
    return tree


def pytest(tree: Path, arguments: list[str], **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", *arguments]
    return subprocess.run(
        command, cwd=tree, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, capture_output=True,
        timeout=3600, check=False,
    )  # fmt: skip


def spread(tests: list[str]) -> list[str]:
    """Some of the tests: of each function one, and no more than 40."""
    by_function: dict[str, list[str]] = {}
    for test in tests:
        by_function.setdefault(test.split("[", 1)[0], []).append(test)
    dice = random.Random(len(tests))
    chosen = [dice.choice(those) for those in by_function.values()]
    return dice.sample(chosen, min(len(chosen), 40))


def notices(tree: Path, tests: list[str]) -> bool:
    """Whether some test fails, or cannot be run any more."""
    listed = tree.parent / "tests"
    listed.write_text("\n".join(tests), encoding="utf-8")
    return pytest(tree, ["-x", "-n0", f"@{listed}"]).returncode != 0


def is_noticed(mutant: Mutant, tests: list[str], quick: bool) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        tree = copied(folder)
        mutant.applied(tree)
        if tests and (notices(tree, spread(tests)) or notices(tree, tests)):
            return True
        if not tests and notices(tree, tests_of(mutant.path)):
            return True
        return not quick and pytest(tree, ["-x"]).returncode != 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rooms", default="", help="of which rooms, separated by commas; all unless given")
    parser.add_argument("--quick", action="store_true", help="do not put what passes to the whole suite")
    parser.add_argument("--jobs", type=int, default=2, help="changes that are tried at a time (default: 2)")
    parser.add_argument("--coverage", type=Path, help="file that keeps which tests come by which line")
    settings = parser.parse_args()
    rooms = {room for room in settings.rooms.split(",") if room}
    files = [p for p in sorted((ROOT / PACKAGE).rglob("*.py")) if "cases" not in p.parts]  # rows are tests themselves
    files = [p for p in files if not rooms or p.relative_to(ROOT).parts[1] in rooms]
    every = [mutant for path in files for mutant in mutants(path)]
    sample = random.Random(settings.seed).sample(every, min(settings.count, len(every)))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(settings.jobs) as pool:
        lines = coverage(settings.coverage or Path(folder) / "coverage")
        tests = [lines.get(mutant.path, {}).get(mutant.line, []) for mutant in sample]
        survivors = []
        for number, (mutant, noticed) in enumerate(
            zip(sample, pool.map(is_noticed, sample, tests, repeat(settings.quick))), 1
        ):
            print(f"{number}: {'noticed' if noticed else 'NOT NOTICED'}  {mutant}", flush=True)
            if not noticed:
                survivors.append(mutant)
    print(f"{len(sample) - len(survivors)} of {len(sample)} noticed, of {len(every)} that there are")
    for mutant in survivors:
        print(f"  not noticed: {mutant}")


if __name__ == "__main__":
    main()
