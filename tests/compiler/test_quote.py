"""Names and texts from outside are data in emitted source: nothing in them is run, and none breaks the source."""

import ast
import enum
import linecache

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn, optim
from tinygrad_nn.compiler import quote
from tinygrad_nn.compiler.targets.numpy.kernel_source import Kernels

#: What would be noticed if it were run: it raises.
CODE = "int('this was run')"
HOSTILE = [
    f'a"""+str({CODE})+"""',
    f"a'''+str({CODE})+'''",
    f"a\n{CODE}\n",
    f"a\r{CODE}",
    f"a\x0c{CODE}",
    f"a\u2028{CODE}",
    f"a\x85{CODE}",
    "a\x00b",
    'a"',
    'a\\"""',
    "a\\",
    "a\\N{DASH}",
    "\udc80",
    "lambda",
    "x²",
    "ﬁ",
    "",
    "(",
    "%s{0}",
    "é" * 500,
]


def run(source):
    """A module of emitted source is run as far as it can be alone; it must parse, and hold no call of ours."""
    tree = ast.parse(source)
    assert not any(isinstance(node, ast.Constant) and node.value == "this was run" for node in ast.walk(tree))
    return tree


def read(source, target):
    """What a target emits; for JAX nothing that is run, but a text that can be printed."""
    if target == "numpy":
        run(source)
    else:
        assert "{ lambda " in source
        assert all(line.isprintable() for line in source.split("\n"))


@pytest.mark.parametrize("text", HOSTILE)
def test_every_form_of_quoting(text):
    assert ast.literal_eval(quote.literal(text)) == text
    comment = quote.comment(text)
    assert ast.dump(ast.parse(f"x = 1  {comment}\n")) == ast.dump(ast.parse("x = 1\n"))
    (node,) = ast.parse(quote.docstring(["first", text, ""])).body
    assert node.value.value == f"first\n{quote.one_line(text)}\n"
    name = quote.identifier(text)
    assert not name or ast.parse(f"{name} = 1").body[0].targets[0].id == name
    for form in (comment, quote.docstring([text]), name):
        form.encode()


@pytest.mark.parametrize("text", HOSTILE)
def test_formulas_in_comments(text):
    """What an op states as its formula stands in a comment, or not at all."""

    @tg.op(formula=text + "{x}")
    def stated(x):
        return np.sqrt(x)

    stated.derivatives(lambda g, out, x: g / (2 * out))

    @tg.compile
    def step(x):
        w = stated(tg.asarray(x)) * 2.0
        w.name = "w"
        return w + 1.0

    assert step(np.full(100, 4.0)).numpy().tolist() == [5.0] * 100
    run(step.source)
    assert ("# w = " in step.source) == (len(text) < 60)


@pytest.mark.parametrize("target", ["numpy", "jax"])
@pytest.mark.parametrize("text", HOSTILE)
def test_names_of_modules_parameters_buffers_and_arguments(text, target):
    if target == "jax":
        pytest.importorskip("jax")
    net = nn.Module()
    name = text.replace(".", "") or "w"
    net.add_module(name, layer := nn.Linear(2, 2))
    net.register_parameter(f"p{name}", nn.Parameter(np.ones(2)))
    net.register_buffer(f"b{name}", tg.ones(2))
    optimizer = optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    for p in layer.parameters():
        p.name = text or None

    def step(x, **more):
        loss = layer(x).sum() + more[text].sum()
        for p in (*net.parameters(), *net.buffers()):
            loss = loss + p.sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return {text: loss}

    expected = float(step(tg.ones((3, 2)), **{text: np.ones(2)})[text])
    compiled = tg.compile(step, target=target)
    first = float(compiled(tg.ones((3, 2)), **{text: np.ones(2)})[text])
    assert first < expected  # one step further down
    compiled(tg.ones((3, 2)), **{text: np.ones(2)})
    read(compiled.source, target)


@pytest.mark.parametrize("text", [x for x in HOSTILE if x])
def test_a_saved_module_runs_nothing_of_a_name(text, tmp_path):
    weights = {text: tg.tensor([1.0, 2.0])}
    compiled = tg.compile(lambda x: {text: x * weights[text]})
    compiled(np.ones(2))
    path = tmp_path / "saved.py"
    compiled.save(path)
    space = {}
    exec(compile(path.read_text(encoding="utf-8"), "saved", "exec"), space)
    np.testing.assert_array_equal(space["compiled"](np.full(2, 3.0))[text], [3.0, 6.0])


@pytest.mark.parametrize("text", [x for x in HOSTILE if x])
@pytest.mark.parametrize("target", ["numpy", "jax"])
def test_names_of_operations(text, target):
    if target == "jax":
        pytest.importorskip("jax")

    def body(x):
        return np.asarray(x) * 2

    operation = tg.op(name=text, elementwise=True)(body)
    operation.derivatives(lambda g, out, x: g * 2)
    compiled = tg.compile(lambda x: operation(x) + 1.0, target=target)
    np.testing.assert_array_equal(compiled(np.ones(2)), [3.0, 3.0])
    read(compiled.source, target)


@pytest.mark.parametrize("text", [x for x in HOSTILE if x])
def test_names_of_kernels_and_of_files(text):
    def kernel(x):
        return x + 1

    plain = Kernels()
    function = type(kernel)(kernel.__code__, {"np": np})
    function.__name__ = text
    function.__wrapped__ = None
    del function.__wrapped__
    name = plain.add(function, "wish")
    assert name.isidentifier()
    run("\n".join(plain.parts.values()))

    source = f"def f(x):\n    y = tg.exp(x)  # {quote.one_line(text)}\n    return y + 1\n"
    space = {"tg": tg}
    exec(compile(source, text.replace("\x00", "") or "f.py", "exec"), space)
    linecache.cache[space["f"].__code__.co_filename] = (len(source), None, source.splitlines(True), text)
    compiled = tg.compile(space["f"])
    compiled(np.ones(2))
    run(compiled.source)


def test_a_constant_that_prints_itself_as_code_is_written_as_what_it_is():
    class Text(str):
        __slots__ = ()

        def __repr__(self):
            return CODE

    class Number(enum.IntEnum):
        ONE = 1

    class Value(float):
        __slots__ = ()

        def __repr__(self):
            return CODE

    assert ast.literal_eval(quote.literal([Text("a"), Number.ONE, Value(2.5), True, np.str_("b")])) == [
        "a", 1, 2.5, True, "b",
    ]  # fmt: skip
