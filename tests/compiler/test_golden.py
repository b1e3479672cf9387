"""The source that three reference graphs become, line by line: a change to the planner shows in review."""

import pytest

from tests.compiler.golden import FOLDER, PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_source_is_as_it_was(name):
    expected = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert PROGRAMS[name]().source == expected, "if it is to change, run python -m tests.compiler.golden and review"
