"""The page on compiling shows the code that is emitted now, and its blocks for JAX run where JAX is."""

import importlib.util
from pathlib import Path

import pytest

from tinygrad_nn import compiler as compiling  # noqa: F401  their operations are there before a test begins

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "compile.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("regenerate_compile", DOCS / "regenerate_compile.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_what_is_emitted_now(script):
    assert script.regenerated(PAGE) == PAGE, "out of date: run python docs/regenerate_compile.py"


def test_the_table_has_each_line_once(script):
    source = script.run(PAGE)["step"].source
    cells = script.table(source)
    for line in script.lines_of(source):
        assert cells.count(f"`{line.text}`") == 1, line.text
    assert len(script.lines_of(source)) == cells.count("<br>") + len(script.FORMULAS)


def test_code_that_cannot_be_followed_is_refused(script):
    source = script.run(PAGE)["step"].source
    with pytest.raises(ValueError, match="b2 ← b2"):
        script.table(source.replace("subtract(b2, db2, b2)", "subtract(b2, db2, dz2)"))


def test_blocks_for_jax_run(script):
    pytest.importorskip("jax")
    space = script.run(PAGE)
    found = [code for code in script.blocks(PAGE, "py") if "jax" in code]
    assert len(found) == 2
    for code in found:
        exec(compile(code, "compile.md", "exec"), space)
    assert float(space["loss"]) > 0
