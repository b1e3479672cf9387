"""The source that three reference graphs become, line by line: a change to the planner shows in review."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from golden_programs import FOLDER, PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_source_is_as_it_was(name):
    expected = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert PROGRAMS[name]().source == expected, "if it is to change, run python tests/golden_programs.py and review"
