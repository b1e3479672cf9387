"""An operation that is written as CONTRIBUTING.md says, and nowhere else, passes all that the suite asks of one."""

import re
import subprocess
import sys
from pathlib import Path

from tests.ops.new_op import HOMES, blocks

TESTS = Path(__file__).parents[1]

#: Files whose tests are generated from the operations that there are, or ask something of all.
ASKING = """
    ops/test_generated.py compiler/test_compile.py compiler/test_jax_ops.py viewer/test_explain.py viewer/test_draw.py
    docs/test_docs.py test_public_api.py test_public_names.py
"""
#: Tests of theirs that look at all operations in one.
OF_ALL = (
    "has_a_row or loses_its_lowering or (special_values and float64) or the_reference or rows_are_of or what_is_there "
    "or names_that or names_are"
)


def test_two_pieces_are_all_that_an_operation_needs():
    selected = " or ".join([*HOMES, OF_ALL])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n0",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.ops.new_op",
        "-k",
        selected,
    ]
    done = subprocess.run(
        [*command, *(str(TESTS / file) for file in ASKING.split())],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    passed = int(re.search(r"(\d+) passed", done.stdout).group(1))
    assert passed > 20 * len(HOMES)


def test_they_are_short():
    for name, definition, row in blocks():
        lines = [line for text in (definition, row) for line in text.splitlines() if line]
        assert len(lines) <= 24, name
