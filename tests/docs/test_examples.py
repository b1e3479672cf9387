"""Every example runs, as a user runs it: in a folder of its own, without a screen, with warnings as errors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Settings that make an example short, and files that it is to write.
SETTINGS = {
    "digits.py": (["--epochs", "2"], ["graph.svg", "learning_curves.png", "misread.png"]),
    "computation_graph.py": ([], ["j.svg"]),
}

#: Optional libraries that examples are about.
NEEDS = {"data_parallel.py": "jax"}


#: The lessons have tests of their own.
EXAMPLES = [path for path in sorted((ROOT / "examples").glob("*.py")) if not path.name.startswith(("_", "lesson_"))]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example(path, tmp_path):
    if path.name in NEEDS:
        pytest.importorskip(NEEDS[path.name])
    arguments, files = SETTINGS.get(path.name, ([], []))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path), *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = {file.name for file in tmp_path.rglob("*")}
    assert written.issuperset(files)
