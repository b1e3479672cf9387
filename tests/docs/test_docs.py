"""The documentation agrees with itself: both languages, lessons and their table, formulas, guides, the reference."""

import contextlib
import importlib
import importlib.util
import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LESSONS = DOCS / "lessons"
TRANSLATED = [ROOT / "README.zh.md", *sorted(DOCS.rglob("*.zh.md"))]


def read(page):
    return page.read_text(encoding="utf-8")


def fences(text):
    """Blocks of code, with what is said of them."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def prose(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def formulas(text):
    """Formulas set apart, without the words in them."""
    return [re.sub(r"\\text\{.*?\}|\s", "", each) for each in re.findall(r"\$\$.*?\$\$", text, re.DOTALL)]


def links(text):
    """Where links and pictures lead, each language of a page being one."""
    return {link.replace(".zh.md", ".md") for link in re.findall(r"\]\(([^)#]+)", prose(text))}


# --- two languages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: page.name)
def test_both_languages_have_the_same_code_headings_formulas_and_links(page):
    english = page.with_name(page.name.replace(".zh.md", ".md"))
    here, there = read(page), read(english)
    assert fences(here) == fences(there)
    assert re.findall(r"^#+ ", prose(here), re.MULTILINE) == re.findall(r"^#+ ", prose(there), re.MULTILINE)
    assert formulas(here) == formulas(there)
    if page.name != "README.zh.md":  # which leaves out the measured table
        assert links(here) == links(there)
        assert prose(here).count("\n| ") == prose(there).count("\n| ")


def test_the_readmes_lead_to_each_other():
    assert "](README.zh.md)" in read(ROOT / "README.md")
    assert "](README.md)" in read(ROOT / "README.zh.md")


# --- lessons ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".md", ".zh.md"])
def test_the_table_of_lessons_has_them_all_in_order(suffix):
    rows = re.findall(r"^\| (\d+) \| \[(.+?)\]\((\w+)(.*?)\) \| .+ \| \[`(\w+)\.py`\]\((.+?)\) \|$",
                      read(LESSONS / f"index{suffix}"), re.MULTILINE)  # fmt: skip
    assert [int(number) for number, *_ in rows] == list(range(1, 33))
    for number, title, name, ending, example, path in rows:
        assert ending == suffix
        assert name.startswith(f"{int(number):02}_")
        assert example == f"lesson_{name}"
        assert (LESSONS / path).resolve() == ROOT / f"examples/{example}.py"
        assert (LESSONS / path).exists()
        assert read(LESSONS / f"{name}{suffix}").startswith(f"# {number}. {title}\n")


# --- the site --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site():
    pytest.importorskip("mkdocs")
    pytest.importorskip("latex2mathml")
    spec = importlib.util.spec_from_file_location("site_hooks", DOCS / "hooks/site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGE = SimpleNamespace(file=SimpleNamespace(src_uri="lessons/index.md", dest_uri="lessons/index.html"))


def test_formulas_become_mathml(site):
    inline = site.on_page_content(r'<p><span class="arithmatex">\(a &lt; b^2\)</span></p>', PAGE)
    assert re.match(r"<p><math .*<mi>a</mi>.*<msup>", inline)
    assert "⌊" in site.on_page_content(r'<span class="arithmatex">\(\Big\lfloor x\Big\rfloor\)</span>', PAGE)
    block = site.on_page_content('<div class="arithmatex">\\[\n\\frac{1}{m}\n\\]</div>', PAGE)
    assert re.match(r'<div class="formula"><math .*display="block".*<mfrac>', block)


@pytest.mark.parametrize(
    "formula", [r"\frac{1}", r"\nosuchthing x", r"\left( x", r"{a", r"a}", r"a^b^c", r"a & b", r"\begin{pmatrix} 1"]
)
def test_formulas_with_mistakes_are_refused(site, formula):
    from mkdocs.exceptions import PluginError

    with pytest.raises(PluginError, match="lessons/index.md"):
        site.on_page_content(rf'<span class="arithmatex">\({formula}\)</span>', PAGE)


def test_functions_stand_apart_from_their_arguments(site):
    text = site.on_page_content(r'<span class="arithmatex">\(y \ln a + \log(b)\)</span>', PAGE)
    assert '<mo lspace="0.17em" rspace="0.17em">ln</mo>' in text
    assert '<mo lspace="0.17em" rspace="0">log</mo>' in text


def test_pictures_open_by_themselves(site):
    text = site.on_page_content('<p><img alt="a" src="images/j.svg" /></p>', PAGE)
    assert text == '<p><a class="picture" href="images/j.svg"><img alt="a" src="images/j.svg" /></a></p>'
    assert site.on_page_content(f'<a href="x">{"<img src=y>"}</a>', PAGE).count("<a") == 1


@pytest.mark.parametrize("file", ["images/02/graph.svg", "../images/j.svg"])
def test_drawings_of_graphs_scroll_at_a_readable_size(site, file):
    text = site.on_page_content(f'<img alt="a" src="{file}">', PAGE)
    assert re.fullmatch(rf'<a class="picture drawing" href="{file}"><img width="\d+" alt="a" src="{file}"></a>', text)
    chinese = SimpleNamespace(file=SimpleNamespace(src_uri="tutorial.zh.md", dest_uri="zh/tutorial.html"))
    assert 'class="picture drawing"' in site.on_page_content('<img alt="a" src="../images/j.svg">', chinese)
    plot = site.on_page_content('<img alt="a" src="images/01/slopes.svg">', PAGE)
    assert 'class="picture"' in plot


def test_punctuation_stays_with_its_formula(site):
    text = site.on_page_content(
        r'（<span class="arithmatex">\(a\)</span>），<span class="arithmatex">\(b\)</span> 和', PAGE
    )
    assert re.fullmatch(r'<span class="joined">（<math.*?</math>），</span><math.*?</math> 和', text)


def test_lines_of_chinese_are_joined(site):
    assert site.on_page_content("梯度\n下降，\nNumPy\n数组 and\nmore", PAGE) == "梯度下降，NumPy\n数组 and\nmore"


# --- guides ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", "+-")
def test_the_script_beside_pytorchs_runs_as_both(sign):
    """The lines of one library and those common to both are a program."""
    if sign == "-":
        pytest.importorskip("torch")
    language, diff = fences(read(DOCS / "from_pytorch.md"))[0]
    assert language == "diff"
    code = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] in f" {sign}")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "the script", "exec"), {"__name__": "__main__"})
    assert printed.getvalue() == "True\n"


# --- reference -------------------------------------------------------------------------------------------------------


def directives():
    pages = "\n".join(read(page) for page in (DOCS / "reference").glob("*.md"))
    return re.findall(r"^::: (\S+)$", pages, re.MULTILINE)


def documented():
    return set(directives())


def shown():
    """By id, what the pages of the reference show: of a module, all that its `__all__` names, or that is its own."""
    found = {}
    for name in documented():
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            parent, _, last = name.rpartition(".")
            objects = [getattr(importlib.import_module(parent), last)]
        else:
            objects = [getattr(module, n) for n in getattr(module, "__all__", vars(module))]
        found.update((id(x), x) for x in objects)
    return found


PACKAGES = ["", "linalg", "nn", "nn.functional", "nn.init", "nn.utils", "nn.utils.rnn", "optim", "optim.lr_scheduler"]
PACKAGES += ["data", "data.transforms", "training", "testing", "random", "viewer.drawing", "viewer.derivation"]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_reference_has_every_public_class_and_function(package):
    module = importlib.import_module(f"tinygrad_nn.{package}".rstrip("."))
    pages = shown()
    missing = []
    for name in getattr(module, "__all__", vars(module)):
        value = getattr(module, name)
        ours = str(getattr(value, "__module__", "")).startswith("tinygrad_nn")
        own = hasattr(module, "__all__") or getattr(value, "__module__", "") == module.__name__
        if not name.startswith("_") and callable(value) and ours and own and id(value) not in pages:
            missing.append(name)
    assert missing == []


def test_the_reference_has_nothing_twice():
    assert len(directives()) == len(documented())


def test_the_reference_names_what_is_there():
    for name in documented():
        parent, _, last = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(parent), last), name
