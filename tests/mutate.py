"""Would a wrong line be noticed? One line of the package is changed at a time, and the tests of its room are run.

    python -m tests.mutate                    # a sample of 300; prints the share that is noticed, and each that is not
    python -m tests.mutate --count 30 --seed 1 --rooms compiler,viewer

Changes are seeded: a comparison turned, a sum made a difference, a product a quotient, `and` made `or`, a condition
denied, a number one larger, a truth value the other. The tree is copied, so that the one that is worked on stays as it
is. What the tests of its room let pass is put to the whole suite, unless told not to by ``--room-only``.
"""

from __future__ import annotations

import argparse
import ast
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
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


def notices(tree: Path, places: list[str]) -> bool:
    """Whether some test fails, or none can be run."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", "--no-header", *places]
    run = subprocess.run(command, cwd=tree, stdin=subprocess.DEVNULL, capture_output=True, timeout=3600, check=False)
    return run.returncode != 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rooms", default="", help="of which rooms, separated by commas; all unless given")
    parser.add_argument("--room-only", action="store_true", help="do not put what passes to the whole suite")
    settings = parser.parse_args()
    rooms = {room for room in settings.rooms.split(",") if room}
    files = [p for p in sorted((ROOT / PACKAGE).rglob("*.py")) if "cases" not in p.parts]  # rows are tests themselves
    files = [p for p in files if not rooms or p.relative_to(ROOT).parts[1] in rooms]
    every = [mutant for path in files for mutant in mutants(path)]
    sample = random.Random(settings.seed).sample(every, min(settings.count, len(every)))
    survivors = []
    for number, mutant in enumerate(sample, 1):
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder) / "tree"
            shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", "__pycache__", ".hypothesis"))
            mutant.applied(tree)
            noticed = notices(tree, tests_of(mutant.path)) or (not settings.room_only and notices(tree, ["tests"]))
        if not noticed:
            survivors.append(mutant)
        print(f"{number}: {'noticed' if noticed else 'NOT NOTICED'}  {mutant}", flush=True)
    print(f"{len(sample) - len(survivors)} of {len(sample)} noticed, of {len(every)} that there are")
    for mutant in survivors:
        print(f"  not noticed: {mutant}")


if __name__ == "__main__":
    main()
