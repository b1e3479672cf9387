"""DOT laid out and rendered: by the `dot` program where there is one, else by the pygraphviz package."""

from __future__ import annotations

import shutil
import subprocess
import threading
from xml.etree import ElementTree as ET

#: Dots per inch of a bitmap, for slides, and inches that a larger one is scaled down to: many programs show no more
#: than 16,384 dots.
_DPI, _LARGEST = 192, "85,85"

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"

_one_at_a_time = threading.Lock()  # Graphviz inside the process is not made for several threads


class NoLayoutError(RuntimeError):
    """Neither the `dot` program nor the pygraphviz package could lay out a graph."""


def render(dot: str, form: str) -> bytes:
    """A graph in ``svg``, ``png`` or ``pdf``.

    Raises
    ------
    NoLayoutError
        If there is neither a `dot` program nor pygraphviz, or neither can make this format.
    """
    options = [f"-Gdpi={_DPI}", f"-Gsize={_LARGEST}"] if form == "png" else []
    failures: list[str] = []
    for back_end in (_by_program, _by_package):
        result = back_end(dot, form, options, failures)
        if result is not None:
            return result
    raise NoLayoutError(
        "\n".join(failures)
        or "laying out a drawing needs Graphviz, which is in neither of two places: either "
        "pip install 'tinygrad_nn[viz]' (the pygraphviz package brings it along), or install the system package "
        "graphviz, which puts the dot program on PATH. The formats .dot, .txt and .json need neither"
    )


def _by_program(dot: str, form: str, options: list[str], failures: list[str]) -> bytes | None:
    program = shutil.which("dot")
    if program is None:
        return None
    ran = subprocess.run([program, f"-T{form}", *options], input=dot.encode(), capture_output=True, check=False)
    if ran.returncode == 0 and ran.stdout:
        return ran.stdout
    failures.append(f"{program} -T{form} failed: {ran.stderr.decode(errors='replace').strip()}")
    return None


def _by_package(dot: str, form: str, options: list[str], failures: list[str]) -> bytes | None:
    try:
        import pygraphviz
    except ImportError:
        return None
    with _one_at_a_time:
        graph = pygraphviz.AGraph(string=dot)
        try:
            return bytes(graph.draw(format=form, prog="dot", args=" ".join(options)))
        except (ValueError, OSError) as error:  # before 2.0 it looks for the program, which is not there
            version = pygraphviz.__version__
            failures.append(f"pygraphviz {version} failed: {error}; from version 2.0 it brings Graphviz along")
            return None
        finally:
            graph.close()


def to_svg(dot: str, title: str) -> str:
    """The graph as SVG with a title, in which each part tells all about itself when it is pointed at.

    Graphviz writes tooltips as links without a target, and the names of parts, which mean nothing to a reader, as their
    titles; here the tooltips become the titles, which browsers show and screen readers say.
    """
    picture = ET.fromstring(render(dot, "svg"))
    picture.set("role", "img")
    picture.set("aria-label", title)
    for group in picture.iter(f"{{{_SVG}}}g"):
        name = group.find(f"{{{_SVG}}}title")
        if name is None:
            continue
        link = group.find(f".//{{{_SVG}}}a")
        tooltip = "" if link is None else link.get(f"{{{_XLINK}}}title", "")
        name.text = title if group.get("class") == "graph" else tooltip.strip()
    for parent in list(picture.iter()):
        for link in parent.findall(f"./{{{_SVG}}}g/{{{_SVG}}}a/.."):
            place = list(parent).index(link)
            parent[place : place + 1] = list(link[0])
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    return ET.tostring(picture, encoding="unicode")
