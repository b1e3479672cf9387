"""Drawings as files and in notebooks, by both ways of layout, and what is said where something is missing or wrong."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import threading
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import tinygrad_nn as tg

SUFFIXES = [".svg", ".png", ".pdf", ".dot", ".html", ".json", ".txt"]
SIGNATURES = {".svg": b"<svg", ".png": b"\x89PNG", ".pdf": b"%PDF", ".dot": b"digraph", ".html": b"<!DOCTYPE html>"}

#: A program that does what `dot` does, so that the way through a program runs where Graphviz is not installed.
DOT = """#!{python}
import sys, pygraphviz
form = next(a[2:] for a in sys.argv if a.startswith("-T"))
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format=form, prog="dot"))
"""


def drawing(**settings):
    a, b, c = (tg.tensor(x, requires_grad=True) for x in (5.0, 3.0, 2.0))
    u = b * c
    v = a + u
    J = 3 * v
    J.backward()
    return tg.draw(J, **settings)


def texts(svg):
    """All that is written in a picture."""
    found = [text.text or "" for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    return [text.strip() for text in found]


def program(folder, body):
    path = folder / "dot"
    path.write_text(body.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def no_program(monkeypatch, tmp_path):
    """A PATH without `dot`."""
    empty = tmp_path / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    return empty


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_format_is_written_whole(suffix, tmp_path):
    path = drawing().save(tmp_path / f"graph{suffix}")
    assert path == tmp_path / f"graph{suffix}"
    assert path.read_bytes().startswith(SIGNATURES.get(suffix, b""))
    assert os.listdir(tmp_path) == [path.name]


def test_svg_says_what_the_lesson_says(tmp_path):
    written = texts(drawing().save(str(tmp_path / "J.SVG")).read_text("utf-8"))
    for text in [
        "u = b·c", "v = a + u", "J = 3·v", "5", "3", "2", "6", "11", "33",
        "∂J/∂v = 3", "∂J/∂a = 3", "∂J/∂u = 3", "∂J/∂b = 6", "∂J/∂c = 9", "∂J/∂J = 1",
        "∂u/∂b = c = 2", "∂u/∂c = b = 3", "∂v/∂a = 1", "∂v/∂u = 1",
    ]:  # fmt: skip
        assert text in written


def test_svg_flows_from_left_to_right(tmp_path):
    svg = ET.fromstring(drawing().save(tmp_path / "J.svg").read_text("utf-8"))
    x = {(t.text or "").strip(): float(t.get("x", "nan")) for t in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert x["b"] < x["u = b·c"] < x["v = a + u"] < x["J = 3·v"]


def test_svg_colours_values_blue_and_gradients_red(tmp_path):
    svg = ET.fromstring(drawing().save(tmp_path / "J.svg").read_text("utf-8"))
    fill = {(t.text or "").strip(): t.get("fill") for t in svg.iter("{http://www.w3.org/2000/svg}text")}
    blue, red = ([int(fill[text][i : i + 2], 16) for i in (1, 3, 5)] for text in ("33", "∂J/∂b = 6"))
    assert blue[2] > 2 * blue[0]
    assert red[0] > 4 * max(red[1:])


def test_svg_explains_its_parts_and_has_a_title(tmp_path):
    svg = ET.fromstring(drawing().save(tmp_path / "J.svg").read_text("utf-8"))
    titles = [title.text for title in svg.iter("{http://www.w3.org/2000/svg}title")]
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == titles[0] == "Computation graph of J: 3 operations, 3 inputs"
    assert any("operation multiply" in title for title in titles)
    assert any("carries back ∂J/∂u · ∂u/∂b = 3 · 2 = 6" in title for title in titles)
    assert not list(svg.iter("{http://www.w3.org/2000/svg}a"))


@pytest.mark.parametrize("direction", ["LR", "RL", "TB", "BT"])
def test_directions(direction):
    assert f"rankdir={direction}" in drawing(direction=direction).source


def test_json_has_nodes_edges_and_numbers(tmp_path):
    data = json.loads(drawing().save(tmp_path / "J.json").read_text("utf-8"))
    assert data["result"] == "n6"
    assert data["backward"] is True
    u = data["nodes"][3]
    assert (u["heading"], u["op"], u["results"][0]["value"]) == ("u = b·c", "multiply", 6)
    assert u["results"][0]["gradient"]["value"] == 3
    assert data["edges"][0] == {
        "from": "n2", "result": 0, "to": "n4", "position": 0, "differentiable": True,
        "symbol": "∂u/∂b", "formula": "c", "derivative": 2, "contribution": 6,
    }  # fmt: skip


def test_json_holds_what_json_has_no_numbers_for(tmp_path):
    x = tg.tensor([np.nan, np.inf, -np.inf, 1.0], requires_grad=True)
    y = (x * 1.0).sum()
    data = json.loads(tg.draw(y).save(tmp_path / "y.json").read_text("utf-8"))
    assert data["nodes"][0]["results"][0]["value"] == ["nan", "inf", "-inf", 1]
    assert data["nodes"][0]["results"][0]["gradient"]["value"] is None


def test_text_is_a_table(tmp_path):
    lines = drawing().save(tmp_path / "J.txt").read_text("utf-8").splitlines()
    assert lines[0] == "J: 3 operations, 3 inputs"
    assert lines[5].split("   ")[0] == "u = b·c = 6"
    assert len({line.index("∂J/∂") for line in lines[2:]}) == 1


def test_html_is_one_page_that_needs_nothing(tmp_path):
    page = drawing().save(tmp_path / "J.html").read_text("utf-8")
    assert "<title>Computation graph of J: 3 operations, 3 inputs</title>" in page
    assert "<svg" in page
    assert "∂J/∂b = 6" in page
    assert "<?xml" not in page
    assert not any(word in page.replace("http://www.w3.org/2000/svg", "") for word in ("http", "src=", "<script"))


def test_hostile_names_are_only_text(tmp_path):
    evil = "</TABLE>> x=\"'<script>alert(1)</script>&amp;\\N\x00\n\t\ud800{é}"
    x = tg.tensor(2.0, requires_grad=True, name=evil)
    y = x * x
    result = tg.draw(y)
    for suffix in SUFFIXES:
        if suffix in (".svg", ".png", ".html", ".dot", ".txt", ".json"):
            result.save(tmp_path / f"evil{suffix}")
    svg = (tmp_path / "evil.svg").read_text("utf-8")
    assert any("<script>alert(1)</script>&amp;\\N" in text for text in texts(svg))
    assert "<script" not in svg
    assert "<script" not in (tmp_path / "evil.html").read_text("utf-8")


def test_a_very_long_name_is_cut_in_the_picture_only():
    x = tg.tensor(2.0, requires_grad=True, name="n" * 500)
    y = x + 1
    assert "n" * 500 in str(tg.draw(y))
    label = tg.draw(y).source.split("tooltip")[0]
    assert "n" * 61 not in label


# --- notebooks -------------------------------------------------------------------------------------------------------


def test_a_notebook_gets_the_picture():
    bundle = drawing()._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<svg")
    assert bundle["text/plain"] == "<Drawing of J: 3 operations, 3 inputs>"
    assert drawing()._repr_svg_().startswith("<svg")


def test_a_notebook_without_graphviz_gets_the_text(monkeypatch, no_program):
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    assert drawing()._repr_svg_() is None
    bundle = drawing()._repr_mimebundle_()
    assert list(bundle) == ["text/plain"]
    assert "u = b·c = 6" in bundle["text/plain"]


# --- the two ways of layout ------------------------------------------------------------------------------------------


def test_layout_by_the_package(no_program, tmp_path):
    pytest.importorskip("pygraphviz", minversion="2.0")
    assert "∂J/∂b = 6" in texts(drawing().save(tmp_path / "J.svg").read_text("utf-8"))


@pytest.mark.skipif(os.name == "nt", reason="a script is no program there")
def test_layout_by_the_program(no_program, monkeypatch, tmp_path):
    pytest.importorskip("pygraphviz", minversion="2.0")
    program(no_program, DOT)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    assert "∂J/∂b = 6" in texts(drawing().save(tmp_path / "J.svg").read_text("utf-8"))
    assert drawing().save(tmp_path / "J.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_layout_by_the_installed_program(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    for suffix in SUFFIXES:
        assert drawing().save(tmp_path / f"J{suffix}").read_bytes().startswith(SIGNATURES.get(suffix, b""))


@pytest.mark.skipif(os.name == "nt", reason="a script is no program there")
def test_a_program_that_fails_gives_way_to_the_package(no_program, monkeypatch, tmp_path):
    pytest.importorskip("pygraphviz", minversion="2.0")
    program(no_program, "#!{python}\nimport sys\nsys.exit('no plugin for svg')\n")
    assert "∂J/∂b = 6" in texts(drawing().save(tmp_path / "J.svg").read_text("utf-8"))
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(RuntimeError, match="no plugin for svg"):
        drawing().save(tmp_path / "again.svg")


def test_without_graphviz_the_two_ways_to_it_are_named(no_program, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    for suffix in (".svg", ".png", ".pdf", ".html"):
        with pytest.raises(RuntimeError, match=r"(?s)pip install 'tinygrad_nn\[viz\]'.*system package graphviz"):
            drawing().save(tmp_path / f"J{suffix}")
    for suffix in (".dot", ".txt", ".json"):
        assert drawing().save(tmp_path / f"J{suffix}").stat().st_size > 0
    assert sorted(os.listdir(tmp_path)) == ["J.dot", "J.json", "J.txt", "bin"]


def test_without_the_graphviz_package_text_and_data_still_work(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tinygrad_nn\[viz\]'"):
        drawing().save(tmp_path / "J.dot")
    for suffix in (".txt", ".json"):
        assert drawing().save(tmp_path / f"J{suffix}").stat().st_size > 0


def test_several_threads_may_draw_at_once(tmp_path):
    failures = []

    def work(number):
        try:
            drawing().save(tmp_path / f"{number}.svg")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len({path.read_text("utf-8") for path in tmp_path.glob("*.svg")}) == 1


# --- errors ----------------------------------------------------------------------------------------------------------


def test_unknown_suffix(tmp_path):
    for name in ("graph.gif", "graph", "graph.svg.bak"):
        with pytest.raises(ValueError, match=r"\.svg, \.png, \.pdf, \.dot, \.html, \.json, \.txt"):
            drawing().save(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere.* does not exist"):
        drawing().save(tmp_path / "nowhere" / "graph.svg")
    assert os.listdir(tmp_path) == []


def test_a_failure_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = drawing().save(tmp_path / "J.svg")
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        drawing().save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["J.svg"]


@pytest.mark.parametrize("thing", [np.ones(3), 2.0, None, [tg.tensor(1.0, requires_grad=True)]])
def test_what_is_no_tensor(thing):
    with pytest.raises(TypeError, match="draw takes a Tensor"):
        tg.draw(thing)


def test_what_recorded_nothing():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with tg.no_grad():
        y = x * 2
    for t, reason in ((y, "recorded nothing"), (tg.tensor(1.0), "recorded nothing"), (x, "is a leaf")):
        with pytest.raises(ValueError, match=rf"{reason}.*requires_grad=True"):
            tg.draw(t)


def test_unknown_direction():
    with pytest.raises(ValueError, match="direction is 'up', not one of 'LR', 'RL', 'TB', 'BT'"):
        drawing(direction="up")
