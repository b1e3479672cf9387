"""Every lesson runs at small size with its assertions, and its pages show what it is, draws and prints."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs/lessons"
LESSONS = sorted((ROOT / "examples").glob("lesson_*.py"))
LANGUAGES = ["", ".zh"]


def name_of(path):
    return path.stem.removeprefix("lesson_")


def test_there_are_all_lessons():
    assert [name_of(path)[:2] for path in LESSONS] == [f"{number:02}" for number in range(1, 33)]


@pytest.mark.parametrize("path", LESSONS, ids=name_of)
def test_lesson(path, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.delenv("MNIST", raising=False)
    lesson = import_module(path.stem)
    run = import_module("_lesson").run
    try:
        run(lesson.main, ["--quick", "--out", str(tmp_path / "out")])
    finally:
        sys.modules.pop(path.stem, None)
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == lesson.__doc__.splitlines()[0]
    assert printed.count("✓") >= 2
    drawn = {file.name for file in (tmp_path / "out").iterdir() if file.is_file()}
    assert drawn
    assert drawn == {file.name for file in (PAGES / "images" / name_of(path)[:2]).iterdir()}


@pytest.mark.parametrize("language", LANGUAGES, ids=["en", "zh"])
@pytest.mark.parametrize("path", LESSONS, ids=name_of)
def test_page(path, language):
    name = name_of(path)
    page = (PAGES / f"{name}{language}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {int(name[:2])}. ")
    assert f'--8<-- "examples/{path.name}"' in page
    assert f"(../../examples/{path.name})" in page
    assert f'--8<-- "docs/lessons/output/{name[:2]}.txt"' in page
    shown = re.findall(r"\]\(images/(.*?)\)", page)
    kept = {f"{name[:2]}/{file.name}" for file in (PAGES / "images" / name[:2]).iterdir()}
    assert set(shown) == kept, "every figure is on the page"
    for link in re.findall(r"\]\(([^)#:]+)\)", page):
        assert (PAGES / link).exists(), link
    assert all(text.strip() for text in re.findall(r"!\[(.*?)\]", page)), "every figure is described"


@pytest.mark.parametrize("path", LESSONS, ids=name_of)
def test_output_is_that_of_a_whole_run(path):
    text = (PAGES / "output" / f"{name_of(path)[:2]}.txt").read_text(encoding="utf-8")
    module = path.read_text(encoding="utf-8")
    assert text.splitlines()[0] in module
    assert re.search(rf"\d+ statements hold; figures in lessons/{name_of(path)}: ", text)


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_a_lesson_is_two_clicks_from_the_readme(readme):
    assert re.search(r"\]\(docs/lessons/index(\.zh)?\.md\)", (ROOT / readme).read_text(encoding="utf-8"))


class TestStatements:
    """What states a lesson's numbers fails where one is wrong."""

    @pytest.fixture
    def lesson(self, monkeypatch, tmp_path):
        pytest.importorskip("matplotlib")
        monkeypatch.syspath_prepend(str(ROOT / "examples"))
        return import_module("_lesson").Lesson("x", tmp_path, True, None)

    @pytest.mark.parametrize(
        ("found", "expected"),
        [
            (6.0, 6.01),
            ([1, 2], [1, 3]),
            ([1, 2], [1, 2, 3]),
            ((2, 3), (3, 2)),
            (float("nan"), 1.0),
            (1.0, float("nan")),
        ],
    )
    def test_wrong_numbers_raise(self, lesson, found, expected):
        with pytest.raises(AssertionError):
            lesson.states("what", found, expected)
        assert lesson.stated == 0

    @pytest.mark.parametrize(("found", "expected"), [(0.5 + 1e-9, 0.5), ([1.0, 0.5 + 1e-9], [1.0, 0.5])])
    def test_what_is_wrong_by_little_can_be_seen(self, lesson, found, expected):
        with pytest.raises(AssertionError, match=r"0\.500000001; the lesson says 0\.5$"):
            lesson.states("what", found, expected, within=1e-12)

    def test_right_numbers_pass(self, lesson):
        lesson.states("what", [6.0, 1e-9], [6, 0])
        lesson.states("what", (2, 3), (2, 3))
        with pytest.raises(AssertionError, match="does not hold: that"):
            lesson.holds("that", False)
        assert lesson.stated == 2
