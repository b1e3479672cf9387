"""What the README and the guides show is run: Python in order, printed results compared, the picture drawn anew."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from benchmarks.report import in_readme

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*ROOT.glob("README*.md"), ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Those in English; the others have the same code (`test_docs.py`).
ENGLISH = [page for page in PAGES if not page.name.endswith(".zh.md")]


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def shown(page):
    """Blocks with what is said of their output: by comments, or by a block of text right below."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", text, re.MULTILINE | re.DOTALL)
    for code, output in (block.groups() for block in found):
        yield code, output.splitlines() if output else re.findall(r"^ *print\(.*\)  # (.+)$", code, re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in ENGLISH if blocks(page)], ids=lambda page: page.name)
def test_python_blocks_run_and_print_what_they_say(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for number, (code, expected) in enumerate(shown(page), start=1):
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


@pytest.mark.parametrize(
    ("name", "headings"),
    [("README.md", ["What it is for", "How it compares"]), ("README.zh.md", ["它能做什么", "与其他库比较"])],
)
def test_order_of_the_readme(name, headings):
    text = (ROOT / name).read_text(encoding="utf-8")
    landmarks = ["docs/images/j.svg", "```python", "docs/lessons/index", "```sh", "examples/digits.py", "-m pytest"]
    found = [text.index(landmark) for landmark in [*landmarks, *headings]]
    assert found == sorted(found)


def test_links_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_measured_table_is_the_committed_one():
    report = json.loads((ROOT / "benchmarks/results.json").read_text(encoding="utf-8"))
    assert in_readme(README, report) == README
