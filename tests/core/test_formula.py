"""Formulas as trees: all that ops state are read, and printing one in any form keeps its meaning."""

import re
from itertools import product
from xml.etree import ElementTree as ET

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_nn as tg
import tinygrad_nn.nn  # ops of layers and losses are registered where they are used
from tinygrad_nn.core.expression import expression
from tinygrad_nn.core.formula import Formula, added, call, constant, infix, made, symbol, times
from tinygrad_nn.core.op import registry
from tinygrad_nn.core.parsing import parse
from tinygrad_nn.viewer.common.latex import LATEX
from tinygrad_nn.viewer.common.mathml import MATHML


def stated():
    """Every formula of every op of the library, where it depends on settings in each of its forms."""
    for op in registry.values():
        texts = [op.formula, *op.formulas] if op.own else []
        for text in texts:
            if callable(text):
                for shape, reduction in product([(), (3,)], ["mean", "sum", "none"]):
                    yield text(shape, shape, reduction=reduction)
            elif text is not None:
                yield text


STATED = sorted(set(stated()))


@pytest.mark.parametrize("text", STATED)
def test_every_formula_of_an_op_is_read(text):
    tree = parse(text)
    assert [part.sign for part in tree.inside() if part.kind == "text"] == []
    assert str(tree) == text
    assert parse(str(tree)) == tree


def test_there_are_formulas_to_read():
    assert len(STATED) > 150


# --- a meaning for text, read without the parser ---------------------------------------------------------------------

#: All is computed modulo a prime, so that no rounding hides a bracket, by functions that are not linear in anything.
P = 2**61 - 1
VALUES = {"a": 1234567890123, "b": 998877665544332211, "c": 31415926535897932, "d": 271828182845904523}
FUNCTIONS = {
    "cos": lambda x: (x * x * x + 5) % P,
    "log": lambda x: (x * x + 11 * x + 7) % P,
    "Σ": lambda x: (x * x + 1) % P,
    "√": lambda x: (x * x * x + 2 * x + 3) % P,
    "ᵀ": lambda x: (x * x + 2 * x + 9) % P,
    "|": lambda x: (x * x + 17) % P,
    "f": lambda x, y: (x * x + 3 * y) % P,
}
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789−")


def inverse(x):
    assume(x % P)
    return pow(x, -1, P)


def power(x, y):
    return pow(x, y % P, P)


def decimal(text):
    whole, _, digits = text.partition(".")
    return int(whole + digits) * pow(10, -len(digits), P) % P


def meaning(tree):
    """The value of a tree."""
    parts = [meaning(part) for part in tree.parts]
    sign = tree.sign.strip()
    if tree.kind == "number":
        return decimal(sign)
    if tree.kind == "symbol":
        return VALUES[sign]
    if tree.kind == "infix":
        x, y = parts
        return {
            "+": x + y, "−": x - y, "·": x * y, "": x * y, "<": int(x < y),
            "/": x * inverse(y) if sign == "/" else 0,
        }[sign] % P  # fmt: skip
    if tree.kind == "sum":
        return sum(parts) % P
    if tree.kind == "power":
        return power(*parts)
    if tree.kind == "choice":
        return parts[0] if parts[1] else parts[2]
    if sign == "−":
        return -parts[0] % P
    return FUNCTIONS[sign[0] if tree.kind == "fence" else sign](*parts)


class Evaluator:
    """Computes what a text says by the usual order of operations: no tree, and nothing of the package."""

    def __init__(self, text):
        pattern = r"\d+(?:\.\d+)?|[a-z]+|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+|\S"
        self.tokens = [*re.findall(pattern, text), ""]

    def take(self, *wanted):
        if self.tokens[0] in wanted:
            return self.tokens.pop(0)
        return None

    def whole(self):
        value = self.choice()
        assert self.tokens == [""], self.tokens
        return value

    def choice(self):
        value = self.comparison()
        if self.take("where"):
            condition = self.comparison()
            assert self.take(",")
            assert self.take("else")
            other = self.choice()
            return value if condition else other
        return value

    def comparison(self):
        value = self.sum()
        return int(value < self.sum()) if self.take("<") else value

    def sum(self):
        value = self.signed()
        while sign := self.take("+", "−"):
            assert self.tokens[0] not in ("+", "−"), "two signs in a row"
            other = self.signed()
            value = (value + other if sign == "+" else value - other) % P
        return value

    def signed(self):
        minus = self.take("−")
        value = self.summed()
        return -value % P if minus else value

    def summed(self):
        return FUNCTIONS["Σ"](self.summed()) if self.take("Σ") else self.product()

    def product(self):
        value = self.beside()
        while sign := self.take("·", "/"):
            other = self.beside()
            value = value * (other if sign == "·" else inverse(other)) % P
        return value

    def beside(self):
        number = self.tokens[0][:1].isdigit() and self.tokens[1][:1] not in "⁰¹²³⁴⁵⁶⁷⁸⁹⁻^ᵀ"
        if number and re.match(r"[a-z√(]", self.tokens[1]) and self.tokens[1] not in ("where", "else"):
            return decimal(self.tokens.pop(0)) * self.operand() % P
        return self.operand()

    def operand(self):
        if name := self.take("cos", "log"):
            return FUNCTIONS[name](self.summed() if self.tokens[0] == "Σ" else self.operand())
        return FUNCTIONS["√"](self.raised()) if self.take("√") else self.raised()

    def raised(self):
        value = self.atom()
        while True:
            if self.take("ᵀ"):
                value = FUNCTIONS["ᵀ"](value)
            elif self.take("^"):
                value = power(value, self.atom())
            elif self.tokens[0][:1] and self.tokens[0][0] in "⁰¹²³⁴⁵⁶⁷⁸⁹⁻":
                value = power(value, int(self.tokens.pop(0).translate(RAISED).replace("−", "-")))
            else:
                return value

    def atom(self):
        token = self.tokens.pop(0)
        if token == "(":
            value = self.choice()
            assert self.take(")")
            return value
        if token == "|":
            value = FUNCTIONS["|"](self.choice())
            assert self.take("|")
            return value
        if token == "f":
            assert self.take("(")
            first = self.choice()
            assert self.take(",")
            second = self.choice()
            assert self.take(")")
            return FUNCTIONS["f"](first, second)
        return decimal(token) if token[0].isdigit() else VALUES[token]


LEAVES = st.one_of(
    st.sampled_from([symbol(name) for name in VALUES]),
    st.sampled_from([constant(x) for x in (0, 1, 2, 10, -1, -3, 2.5, -0.5)]),
)


def grown(parts):
    pairs = st.tuples(parts, parts)
    compared = pairs.map(lambda two: infix(two[0], " < ", two[1]))
    return st.one_of(
        st.builds(infix, parts, st.sampled_from([" + ", " − ", "·", " · ", "/", " / ", "−", "", "·"]), parts),
        st.builds(times, parts, st.sampled_from(["·", " · "]), parts),
        st.builds(lambda sign, x: made("prefix", sign, (x,)), st.sampled_from(["−", "√", "Σ ", "cos ", "log "]), parts),
        st.lists(parts, min_size=2, max_size=3).map(added),
        pairs.map(lambda two: made("power", "^", two)),
        parts.map(lambda x: made("power", "^", (x, constant(2)))),
        parts.map(lambda x: made("postfix", "ᵀ", (x,))),
        parts.map(lambda x: made("fence", "||", (x,))),
        pairs.map(lambda two: call("f", *two)),
        st.builds(lambda x, c, y: Formula("choice", " where ", (x, c, y)), parts, compared, parts),
    )


TREES = st.recursive(LEAVES, grown, max_leaves=12)


@given(tree=TREES)
def test_text_keeps_every_bracket_that_it_needs(tree):
    assert Evaluator(str(tree)).whole() == meaning(tree), str(tree)


@given(tree=TREES)
def test_latex_keeps_every_bracket_that_it_needs(tree):
    """LaTeX read as text: braces group what brackets do there."""
    text = LATEX.whole(tree).replace(r"\sum ", "Σ ").replace(r"\sqrt", "√").replace(r"^{\top}", "ᵀ")
    text = re.sub(r"\\text\{ (where|else) \}", r" \1 ", text).replace(r"\cdot", "·").replace("-", "−")
    text = text.replace(r"\cos", "cos").replace(r"\log", "log").replace(r"\operatorname{f}", "f")
    assert "\\" not in text
    assert Evaluator(text.replace("{", "(").replace("}", ")")).whole() == meaning(tree), text


@given(tree=TREES)
def test_what_is_printed_is_read_as_what_it_was(tree):
    """What is read again means the same: sums and products may be grouped otherwise."""
    read = parse(str(tree)).map(lambda part: symbol(part.sign) if part.kind == "name" else part)
    assert meaning(read) == meaning(tree), (str(tree), read)


@given(tree=TREES)
def test_mathml_is_well_formed(tree):
    ET.fromstring(MATHML.whole(tree))


# --- by hand ---------------------------------------------------------------------------------------------------------

A, B = symbol("a"), symbol("b")
SUM, QUOTIENT, NEGATIVE, POWER = infix(A, " + ", B), infix(A, "/", B), constant(-2), parse("{x}²").fill({"x": A})


@pytest.mark.parametrize(
    ("text", "x", "written", "latex"),
    [
        ("({x})^(2/3)", A, "a^(2/3)", "a^{2/3}"),
        ("({x})^(2/3)", SUM, "(a + b)^(2/3)", "(a + b)^{2/3}"),
        ("2^{x}", SUM, "2^(a + b)", "2^{a + b}"),
        ("2^{x}", NEGATIVE, "2⁻²", "2^{-2}"),
        ("{x}^(-1)".replace("-", "−"), SUM, "(a + b)⁻¹", "(a + b)^{-1}"),
        ("−{x}²", SUM, "−(a + b)²", "-(a + b)^{2}"),
        ("−{x}²", NEGATIVE, "−(−2)²", "-(-2)^{2}"),
        ("{x}·{y}", SUM, "(a + b)·b", r"(a + b)\cdot b"),
        ("{y}·{x}", NEGATIVE, "b·(−2)", r"b\cdot (-2)"),
        ("{x}²", NEGATIVE, "(−2)²", "(-2)^{2}"),
        ("{x}²", POWER, "(a²)²", "(a^{2})^{2}"),
        ("{y}/{x}", QUOTIENT, "b/(a/b)", "b/(a/b)"),
        ("{x}/{y}", QUOTIENT, "(a/b)/b", "(a/b)/b"),
        ("1/({x}·{y})", SUM, "1/((a + b)·b)", r"1/((a + b)\cdot b)"),
        ("{y}/(2√{x})", SUM, "b/(2√(a + b))", r"b/(2\sqrt{a + b})"),
        ("{y}/(2√{x})", A, "b/(2√a)", r"b/(2\sqrt{a})"),
        ("2{x}", constant(3), "2·3", r"2\cdot 3"),
        ("2{x}", NEGATIVE, "2·(−2)", r"2\cdot (-2)"),
        ("cos {x}", SUM, "cos (a + b)", r"\cos (a + b)"),
        ("log Σ exp({x})", SUM, "log Σ exp(a + b)", r"\log \sum \exp (a + b)"),
        ("{x}ᵀ", infix(A, " @ ", B), "(a @ b)ᵀ", r"(a @ b)^{\top}"),
        ("{x} − {y}", constant(-1.5), "−1.5 − b", "-1.5 - b"),
        ("{y} − {x}", constant(-1.5), "b − (−1.5)", "b - (-1.5)"),
        ("1 where {x} > 0, else {y}", SUM, "1 where a + b > 0, else b", r"1 \text{ where } a + b > 0, \text{ else } b"),
        ("|{x}|", infix(A, " | ", B), "|(a | b)|", "|(a | b)|"),
        ("{x}[0]", SUM, "(a + b)[0]", "(a + b)[0]"),
        ("{x} ^ {y}", SUM, "a + b ^ b", r"a + b \wedge b"),
        ("{x} is odd if {y}", SUM, "a + b is odd if b", None),
        ("{{{x}}}", A, "{a}", r"\{a\}"),
    ],
)
def test_operands_stand_in_the_brackets_that_they_need(text, x, written, latex):
    tree = parse(text).fill({"x": x, "y": B})
    assert str(tree) == written
    if latex is not None:
        assert LATEX.whole(tree) == latex


@pytest.mark.parametrize(("y", "written"), [(2, "2·a"), (3, "3·a²"), (0.5, "0.5·a^(−0.5)"), (-1, "(−1)·a⁻²")])
def test_exponents_are_computed(y, written):
    assert str(parse("{y}·{x}^({y}−1)").fill({"x": A, "y": constant(y)})) == written


def test_what_cannot_be_read_is_filled_and_bracketed():
    tree = parse("{x} ?? {y}")
    assert [part.kind for part in tree.parts] == ["place", "text", "place"]
    filled = tree.fill({"x": SUM, "y": B})
    assert str(filled) == "(a + b) ?? b"
    assert str(infix(filled, "·", B)) == "((a + b) ?? b)·b"
    with pytest.raises(ValueError, match="hold no name"):
        parse("{x!r}")


def test_braces_that_hold_something_else_fall_back_to_a_call():
    @tg.op(formula="{x!r} and {z}")
    def strange(x):
        return x * 1.0

    assert str(expression(strange, [A], {})) == "strange(a)"


def test_a_drawing_of_a_power_in_brackets():
    @tg.op(elementwise=True, formula="({x})^(2/3)")
    def two_thirds(x):
        return x ** (2 / 3)

    two_thirds.derivatives(lambda g, out, x: g * (2 / 3) * x ** (-1 / 3), formulas=["2/(3∛{x})"])
    x = tg.tensor(8.0, requires_grad=True, name="x")
    drawing = tg.draw(two_thirds(x))
    assert drawing.nodes[1].title == "x^(2/3)"
    assert drawing.edges[0].formula == "2/(3∛x)"


def test_a_sum_of_thousands_is_printed():
    tree = added([A, *(made("prefix", "−", (B,)) for _ in range(5000))])
    assert str(tree).count(" − b") == LATEX.whole(tree).count("- b") == 5000


@pytest.mark.parametrize("name", ["<script>&\"'", "w_12", "a]]>b", "δ₃", "fc1.weight"])
def test_names_are_escaped_in_mathml(name):
    tree = infix(symbol(name), "·", Formula("derivative", "d", (symbol("J"), symbol(name))))
    found = ET.fromstring(MATHML.whole(tree))
    assert re.sub(r"\W", "", "".join(found.itertext())).startswith(re.sub(r"\W|_", "", name.translate({8323: "3"})))


@pytest.mark.parametrize("text", STATED)
def test_every_formula_is_well_formed_in_mathml(text):
    tree = parse(text).map(lambda part: SUM if part.kind == "place" else part)
    ET.fromstring(MATHML.whole(tree))
