"""What is committed holds no trace of one machine, and keeps the house's rules."""

import ast
import re
import subprocess
import tarfile
from fnmatch import fnmatch
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


def at_the_root():
    """What is committed; in a copy without a repository, what is there and not ignored."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if not done.returncode and done.stdout:
        return {line.partition("/")[0] for line in done.stdout.splitlines()}
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    ignored = [line.strip("/") for line in lines if line and not line.startswith("#")]
    return {path.name for path in ROOT.iterdir() if not any(fnmatch(path.name, pattern) for pattern in ignored)}


def test_the_root_holds_what_belongs_there():
    assert at_the_root() - {".git"} == set(AT_THE_ROOT)


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


def rooms():
    """By room, the rooms that it may import besides itself, as CONTRIBUTING.md tells; none imports the public face."""
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("| room | what it holds | imports |")[1]
    lines = [line.strip("| ").split(" | ") for line in table.split("\n\n")[0].splitlines()[2:]]
    found = {name.strip("`").rstrip("/"): set(imports.split()) - {"–"} for name, _, imports in lines[:-1]}
    return {**found, "": set(found)}


ROOMS = rooms()

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


PACKAGE = ROOT / "tinygrad_nn"
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES}


def named(path):
    """What a file imports, wherever it does, by the name that stands there: (module, whether when it is loaded)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) not in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = path.parents[node.level - 1].relative_to(ROOT).parts if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                yield whole if whole in MODULES else module, id(node) not in late


def room_of(path):
    parts = path.relative_to(PACKAGE).parts
    for room in ("/".join(parts[:2]), parts[0]):
        if room in ROOMS:
            return room
    return ""


def test_no_file_imports_another_that_imports_it():
    """Circles of import statements, at the top of a file, inside functions or for types: there is none."""
    edges = {path: {MODULES[name] for name, _ in named(path) if name in MODULES} - {path} for path in SOURCES}
    left = dict(edges)
    while True:  # what imports nothing that is left goes
        done = [path for path, targets in left.items() if not targets & left.keys()]
        if not done:
            break
        for path in done:
            del left[path]
    assert {str(path.relative_to(ROOT)) for path in left} == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards_and_are_light(path):
    room = room_of(path)
    for name, at_once in named(path):
        if name in MODULES and MODULES[name].parent != PACKAGE:
            other = room_of(MODULES[name])
            assert other == room or other in ROOMS[room], f"{room} imports {name}"
        elif name in MODULES:
            assert room == "", f"{room} imports {name}"
        elif at_once and not (room == "testing" and name == "hypothesis"):
            assert name.partition(".")[0] not in HEAVY, f"{path.name} imports {name} at its top"


#: Who may ask for the store of the thread itself: where it is made, and what is hot. All others call its functions.
KNOWING_THE_STORE = {"core/store.py", "core/dispatch.py", "core/reverse.py", "tensor/tensor.py", "optim/optimizer.py"}


def test_few_files_ask_for_the_store_of_the_thread():
    """Outside the compiler, which makes the other kind of it."""
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "store" and ast.unparse(node.value) in ("modes", "Modes")
    }
    assert {name for name in found if not name.startswith("compiler/")} == KNOWING_THE_STORE


def test_the_root_of_the_package_holds_public_namespaces():
    import tinygrad_nn as tg

    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files <= {"__init__.py", "__main__.py", "py.typed"} | {f"{name}.py" for name in tg.__all__}


def test_every_public_function_can_be_called_after_all_is_imported():
    """A folder that has the name of a function must not take its place."""
    import importlib

    import tinygrad_nn as tg

    before = {name: getattr(tg, name) for name in tg.__all__}
    for name in MODULES:
        if "jax" not in name and "strategies" not in name:
            importlib.import_module(name)
    assert {name: getattr(tg, name) for name in tg.__all__} == before
    assert callable(tg.tensor)
    assert callable(tg.op)
