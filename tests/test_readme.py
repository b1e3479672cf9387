"""What the README shows is run: its Python in order, its printed results compared, its picture drawn anew."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from benchmarks.report import in_readme

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_python_blocks_run_and_print_what_they_say(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for number, code in enumerate(blocks(page), start=1):
        expected = re.findall(r"^ *print\(.*\)  # (.+)$", code, re.MULTILINE)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"{page.name}, block {number}", "exec"), namespace)
        if expected:
            assert printed.getvalue().splitlines() == expected


def texts(svg):
    """What the picture says, whatever the layout."""
    return sorted(filter(None, (text.strip() for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg))))


def test_the_picture_is_what_the_first_block_draws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(blocks(ROOT / "README.md")[0], {"__name__": "__main__"})
    committed = (ROOT / "docs/images/j.svg").read_text(encoding="utf-8")
    assert texts((tmp_path / "j.svg").read_text(encoding="utf-8")) == texts(committed)


def test_the_example_is_the_first_block():
    example = (ROOT / "examples/computation_graph.py").read_text(encoding="utf-8")
    *lines, saving = blocks(ROOT / "README.md")[0].strip().splitlines()
    for line in lines:
        assert line in example
    assert saving.partition('"')[0] in example


def test_order_of_the_readme():
    landmarks = [
        "docs/images/j.svg",
        "```python",
        "```sh",
        "examples/digits.py",
        "-m pytest",
        "What it is for",
        "How it compares",
    ]
    found = [README.index(landmark) for landmark in landmarks]
    assert found == sorted(found)


def test_links_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if page.parent.name != "docs" or not link.startswith("reference/"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_measured_table_is_the_committed_one():
    report = json.loads((ROOT / "benchmarks/results.json").read_text(encoding="utf-8"))
    assert in_readme(README, report) == README
