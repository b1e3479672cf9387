"""What the documentation site needs beside its plugins: formulas, the lessons' navigation, examples to download."""

from __future__ import annotations

import html
import re
from os.path import normpath
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, InclusionLevel

ROOT = Path(__file__).resolve().parents[2]
LESSONS = "lessons/index.md"


def on_config(config: Any) -> Any:
    """List the lessons in the navigation in the groups and the order of their table."""
    for entry in config.nav:
        for pages in entry.values():
            if isinstance(pages, list) and pages[0] == LESSONS:
                pages[1:] = _groups(Path(config.docs_dir), config.plugins["i18n"].current_language)
    return config


def _groups(docs: Path, language: str | None) -> list[dict[str, list[str]]]:
    """Headings of the lessons' table, each with the pages that exist below it, in a page's language."""
    folder = docs / "lessons"
    translated = folder / f"index.{language}.md"
    index = (translated if translated.exists() else folder / "index.md").read_text(encoding="utf-8")
    groups = []
    for section in index.split("\n## ")[1:]:
        names = dict.fromkeys(re.findall(r"\]\((\d\d_\w+)(?:\.\w\w)?\.md\)", section))
        if pages := [f"lessons/{name}.md" for name in names if (folder / f"{name}.md").exists()]:
            groups.append({section.partition("\n")[0].strip(): pages})
    return groups


def on_files(files: Any, config: Any) -> Any:
    """Put the examples on the site, where pages link to them as they do in the repository."""
    for source in sorted((ROOT / "examples").glob("*.py")):
        name = f"examples/{source.name}"
        files.append(File(name, str(ROOT), config.site_dir, False, inclusion=InclusionLevel.INCLUDED))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links out of `docs/` to an example into links to its copy on the site."""
    up = "../" * page.file.src_uri.count("/")
    return markdown.replace(f"]({up}../examples/", f"]({up}examples/")


#: Chinese characters, and punctuation of their width.
_WIDE_MARKS = "，。：；、！？（）《》“”…"
_WIDE = f"\u4e00-\u9fff{_WIDE_MARKS}"


def on_page_content(text: str, page: Any, **_: Any) -> str:
    """Write formulas as MathML, which browsers set by themselves; join lines of Chinese, which has no spaces."""
    text = re.sub(rf"(?<=[{_WIDE}])\n(?=[{_WIDE}])|(?<=[{_WIDE_MARKS}])\n(?=\w)", "", text)
    text = _PICTURE.sub(lambda found: _opens(found, page.file.dest_uri), text)
    return _FORMULA.sub(lambda found: _formula(found, page.file.src_uri), text)


#: A picture that is no link yet, and its file.
_PICTURE = re.compile(r'<img (?P<rest>[^>]*?src="(?P<file>[^"]+)"[^>]*>)(?!\s*</a>)')
#: A drawing of a graph, and its width in points.
_DRAWING = re.compile(r'<svg[^>]* width="(\d+)pt"[^>]* aria-label="Computation graph')


def _opens(found: re.Match[str], where: str) -> str:
    """A picture that opens by itself; a drawing as wide as it is readable, in a box that scrolls."""
    file = Path(normpath(ROOT / "docs" / where / ".." / found["file"]))  # also from a folder that only the site has
    drawing = file.suffix == ".svg" and file.is_file() and _DRAWING.match(file.read_text(encoding="utf-8"))
    kind, width = ("picture drawing", f'width="{drawing[1]}" ') if drawing else ("picture", "")
    return f'<a class="{kind}" href="{found["file"]}"><img {width}{found["rest"]}</a>'


#: A formula, with the punctuation that must stay on its line.
_FORMULA = re.compile(
    r"(?P<before>[（《“(]?)"
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<formula>.*?)\\[)\]]</(?P=tag)>'
    r"(?P<after>[，。：；、！？）》”…,.:;!?)]*)",
    re.DOTALL,
)


def _formula(found: re.Match[str], where: str) -> str:
    before, after = found["before"], found["after"]
    written = _mathml(html.unescape(found["formula"]).strip(), where, found["tag"] == "div")
    joined = f"{before}{written}{after}"
    return f'<span class="joined">{joined}</span>' if before or after else joined


#: The name of a function, and whether a parenthesis follows.
_FUNCTION = re.compile(r"<(m[io])>([A-Za-z]{2,})</\1>(<mo[^>]*>(?:\(|&#x00028;))?")


def _spaced(found: re.Match[str]) -> str:
    """Space between a function's name and its argument, as in ``log a``, which the converter leaves out."""
    after = 0 if found[3] else "0.17em"
    return f'<mo lspace="0.17em" rspace="{after}">{found[2]}</mo>{found[3] or ""}'


_DELIMITERS = {
    "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "lvert": "|", "rvert": "|", "lVert": "‖", "rVert": "‖",
}  # fmt: skip

#: How many parts elements of MathML have: what is written of a formula with a part missing has fewer.
_PARTS = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "msubsup": 3, "munder": 2, "mover": 2, "munderover": 3}


def _mathml(formula: str, where: str, block: bool) -> str:
    # The converter knows `align*` alone, GitHub `aligned` as well; and large delimiters by their characters.
    source = formula.replace("{aligned}", "{align*}")
    source = re.sub(r"(\\[Bb]igg?[lr]?)\\([lr](?:floor|ceil|Vert|vert))", lambda m: m[1] + _DELIMITERS[m[2]], source)
    try:
        written = convert(source, display="block" if block else "inline")
        _check(ET.fromstring(written), source)
    except Exception as error:
        raise PluginError(f"{where}: cannot read the formula {formula!r}: {type(error).__name__} {error}") from error
    written = _FUNCTION.sub(_spaced, written)
    return f'<div class="formula">{written}</div>' if block else written


def _check(tree: ET.Element, source: str) -> None:
    """Raise for mistakes that the converter passes over."""
    bare = re.sub(r"\\[\\{}]", "", source)
    if bare.count("{") != bare.count("}"):
        raise ValueError("braces do not match")
    for element in tree.iter():
        name = element.tag.partition("}")[2]
        if len(element) != _PARTS.get(name, len(element)):
            raise ValueError(f"a part is missing in <{name}>")
        if "\\" in (element.text or ""):
            raise ValueError(f"{element.text} is not known")


def on_template_context(context: Any, config: Any, **_: Any) -> Any:
    """From the page for what is not found, let the language switcher lead to the first pages."""
    for alternate in getattr(config.extra, "alternate", ()):  # what it was for the page that was written before
        alternate["link"] = "index.html" if alternate["lang"] == "en" else f"{alternate['lang']}/index.html"
    return context
