"""What is committed holds no trace of one machine, and keeps the house's rules."""

import ast
import re
import subprocess
import tarfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "tinygrad_nn").rglob("*.py"))
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".json", ".svg", ".txt", ".cfg", ""}

#: Paths and addresses of one machine; split, so that this file is not found guilty itself.
TRACES = re.compile(
    "|".join([r"/home" + r"/\w", r"/Users" + r"/\w", r"/root" + r"/", r"/tmp" + r"/\w", r"C:" + r"\\\\Users"])
)


def committed():
    """All files that are, or would be, committed; in a copy without a repository, those of the source tree."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0 and done.stdout:
        paths = [ROOT / line for line in done.stdout.splitlines()]
    else:
        rooms = ["tinygrad_nn", "tests", "benchmarks", "examples", "docs"]
        paths = [path for room in rooms for path in (ROOT / room).rglob("*")] + list(ROOT.glob("*.*"))
    return [path for path in paths if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts]


def test_no_trace_of_a_machine():
    found = []
    for path in committed():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if TRACES.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


#: What stands at the root, and whether a source distribution carries it.
AT_THE_ROOT = {
    ".ci": False,
    ".gitignore": True,
    ".pre-commit-config.yaml": True,
    "CHANGELOG.md": True,
    "CONTRIBUTING.md": True,
    "LICENSE": True,
    "README.md": True,
    "README.zh.md": True,
    "benchmarks": True,
    "conftest.py": True,
    "docs": True,
    "examples": True,
    "mkdocs.yml": True,
    "pyproject.toml": True,
    "tests": True,
    "tinygrad_nn": True,
}


def test_the_root_holds_what_belongs_there():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout:
        pytest.skip("not a checkout")
    assert {line.partition("/")[0] for line in done.stdout.splitlines()} == set(AT_THE_ROOT)


def test_a_source_distribution_packs_what_belongs_to_it(tmp_path):
    sdist = pytest.importorskip("hatchling.builders.sdist")
    for name in ("stray.svg", "stray.txt", "digits/graph.svg"):  # beside a copy, not in the checkout
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    for name in AT_THE_ROOT:
        if (ROOT / name).is_dir():
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text("")
        else:
            (tmp_path / name).write_bytes((ROOT / name).read_bytes() if (ROOT / name).exists() else b"")
    (packed,) = sdist.SdistBuilder(str(tmp_path)).build(directory=str(tmp_path / "out"))
    with tarfile.open(packed) as archive:
        names = {PurePosixPath(name).parts[1] for name in archive.getnames()}
    assert names == {name for name, carried in AT_THE_ROOT.items() if carried} | {"PKG-INFO"}


def test_files_stay_readable():
    long = {
        str(path.relative_to(ROOT)): count for path in SOURCES if (count := len(path.read_text().splitlines())) > 520
    }
    assert long == {}


#: Rooms that read what was recorded; only the readers know of them.
READERS = {"reading", "drawing", "explaining", "compiling", "testing"}

#: Room, and the rooms that it must not import.
WALLS = {
    "graph.py": {"op", "dispatch", "tensor", "ops", "autodiff", "nn", "optim", "data"} | READERS,
    "op.py": {"tensor", "ops", "autodiff", "nn", "optim", "data"} | READERS,
    "ops": {"autodiff", "nn", "optim", "data"} | READERS,
    "tensor.py": {"nn", "optim", "data"} | READERS,
    "autodiff": {"nn", "optim", "data"} | READERS,
    "nn": {"autodiff", "optim", "data"} | READERS,
    "optim": {"autodiff", "nn", "data"} | READERS,
    "data": {"autodiff", "nn", "optim"} | READERS,
    "reading": {"nn", "optim", "data"} | READERS - {"reading"},
    "drawing": {"optim", "data"} | READERS - {"reading", "drawing"},
    "explaining": {"nn", "optim", "data"} | READERS - {"reading", "explaining"},
    "compiling": READERS - {"compiling"},
    "training": READERS - {"compiling"},
}

#: What only the function that needs it may import, so that `import tinygrad_nn` stays light.
HEAVY = {
    "graphviz",
    "pygraphviz",
    "matplotlib",
    "safetensors",
    "hypothesis",
    "IPython",
    "sklearn",
    "torch",
    "PIL",
    "pooch",
    "requests",
    "filelock",
}


def imported(path):
    """Modules imported by a file when it is loaded: absolute names, and where relative ones lead inside the package."""
    inside = ROOT / "tinygrad_nn"
    for node in _at_import(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module
        elif isinstance(node, ast.ImportFrom):
            base = path.parents[node.level - 1].relative_to(inside).parts
            parts = (*base, *(node.module or "").split("."))
            target = ".".join(part for part in parts if part)
            yield from [f"tinygrad_nn.{target}"] if target else [f"tinygrad_nn.{alias.name}" for alias in node.names]


def _at_import(tree):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _at_import(node)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards_and_are_light(path):
    room = path.relative_to(ROOT / "tinygrad_nn").parts[0]
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "tinygrad_nn" and len(parts) > 1:
            assert parts[1] not in WALLS.get(room, set()), f"{room} imports {name}"
        elif not (room == "testing" and parts[0] == "hypothesis"):
            assert parts[0] not in HEAVY, f"{path.name} imports {name} at its top"


def test_the_reference_covers_every_public_name():
    import tinygrad_nn as tg

    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs/reference").glob("*.md"))
    documented = set(re.findall(r"^::: (\S+)$", pages, re.MULTILINE))
    missing = set()
    for name in tg.__all__:
        module = getattr(getattr(tg, name), "__module__", "")
        if isinstance(module, str) and module.startswith("tinygrad_nn"):
            covered = any(
                module == page or module.startswith(f"{page}.") or f"{module}.{name}" == page for page in documented
            )
            if not covered:
                missing.add(module)
    assert missing == set()
