"""Derivations: the lessons' texts, paths and sums against the reverse pass, formulas of arrays against its numbers."""

import pickle
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_nn as tg
from tests import old_pickles
from tinygrad_nn import nn
from tinygrad_nn.core.define import registry
from tinygrad_nn.core.formula import number
from tinygrad_nn.core.parsing import parse
from tinygrad_nn.testing import strategies
from tinygrad_nn.viewer.common.latex import LATEX, symbol
from tinygrad_nn.viewer.common.names import Holders
from tinygrad_nn.viewer.common.recording import Recording
from tinygrad_nn.viewer.derivation import Derivation
from tinygrad_nn.viewer.derivation.build import build
from tinygrad_nn.viewer.derivation.pullbacks import PULLBACKS


def numbers(**values):
    return [tg.tensor(value, requires_grad=True, name=name) for name, value in values.items()]


def named(tensors):
    for name, tensor in tensors.items():
        tensor.name = name
    return SimpleNamespace(**tensors)


def lesson():
    a, b, c = numbers(a=5.0, b=3.0, c=2.0)
    u = b * c
    v = a + u
    J = 3 * v
    return named(locals())


# --- the lessons' texts ----------------------------------------------------------------------------------------------

DJ_DB = """\
    a = 5, b = 3, c = 2
    u = b·c = 6      du/db = c = 2
    v = a + u = 11   dv/du = 1
    J = 3·v = 33     dJ/dv = 3

One path leads from b to J:

    b → u → v → J

    dJ/db = dJ/dv · dv/du · du/db
          = 3 · 1 · c
          = 3 · 1 · 2
          = 6

Step by step, from the result back:

    dJ/dv = 3
    dJ/du = dJ/dv · dv/du = 3 · 1 = 3
    dJ/db = dJ/du · du/db = 3 · 2 = 6"""


def test_the_lesson():
    s = lesson()
    derivation = tg.explain(s.J, wrt=s.b)
    assert str(derivation) == derivation.text == DJ_DB
    assert derivation.value == 6
    assert (derivation.result, derivation.variable, derivation.path_count) == ("J", "b", 1)
    (path,) = derivation.paths
    assert str(path) == "b → u → v → J"
    assert [factor.number for factor in path.factors] == [3, 1, 2]
    assert path.value == 6
    assert [one.value for one in tg.explain(s.J, wrt=[s.a, s.c, s.u, s.v, s.J])] == [3, 9, 3, 3, 1]


def test_intermediate_results_and_names_of_variables():
    x = tg.tensor(2.0, requires_grad=True)
    z = x * x
    y = z * z
    text = str(tg.explain(y, wrt=z))
    assert "dy/dz = z + z" in text
    assert "x" not in text.replace("explain", "")
    assert tg.explain(y, "z").value == 8
    assert tg.explain(y, "x").value == 32


def test_every_path_and_their_sum():
    x = tg.tensor(2.0, requires_grad=True)
    p = x * x
    q = tg.sin(x)
    y = p + q
    assert (
        str(tg.explain(y, x))
        == """\
    x = 2
    p = x·x = 4             dp/dx = x + x = 4
    q = sin(x) = 0.909297   dq/dx = cos x = −0.416147
    y = p + q = 4.9093      ∂y/∂p = 1, ∂y/∂q = 1

2 paths lead from x to y; the local derivatives along each are multiplied, the products added:

    1. x → p → y
       ∂y/∂p · dp/dx = 1 · (x + x) = 1 · 4 = 4
    2. x → q → y
       ∂y/∂q · dq/dx = 1 · cos x = 1 · (−0.416147) = −0.416147

    dy/dx = 4 − 0.416147 = 3.58385

Step by step, from the result back:

    dy/dq = ∂y/∂q = 1
    dy/dp = ∂y/∂p = 1
    dy/dx = dy/dp · dp/dx + dy/dq · dq/dx = 1 · 4 + 1 · (−0.416147) = 3.58385"""
    )


def test_logistic_regression_of_one_sample():
    """Lesson 4: da = −y/a + (1 − y)/(1 − a), dz = da·a(1 − a) = a − y, dw = x·dz."""
    w, x, b, y = tg.tensor(0.5, requires_grad=True), tg.tensor(2.0), tg.tensor(0.25, requires_grad=True), tg.tensor(1.0)
    no = 1 - y
    z = w * x + b
    a = tg.sigmoid(z)
    L = -(y * tg.log(a) + no * tg.log(1 - a))
    derivation = tg.explain(L, wrt=w)
    found = a.item() - 1
    last = derivation.text.rpartition("written out:\n\n")[2]
    assert last == (
        f"    dL/da = −y / a + no / (1 − a) = {number(-1 / a.item())}\n"
        f"    dL/dz = dL/da · a·(1 − a) = {number(found)}\n"
        f"    dL/dw = dL/dz · x = {number(2 * found)}"
    )
    assert derivation.value == pytest.approx(2 * found, rel=1e-12)
    assert derivation.path_count == 2


def vectorised():
    rng = np.random.default_rng(0)
    X, Y = tg.tensor(rng.normal(size=(3, 100))), tg.tensor((rng.random((1, 100)) > 0.5) * 1.0)
    w, b = tg.tensor(rng.normal(size=(3, 1)), requires_grad=True), tg.tensor(0.0, requires_grad=True)
    Z = w.T @ X + b
    J = nn.functional.binary_cross_entropy_with_logits(Z, Y)
    return named({"X": X, "Y": Y, "w": w, "b": b, "Z": Z, "J": J})


def steps(derivation):
    lines = derivation.text.rpartition("result back:\n\n")[2].splitlines()
    return [re.sub(" {2,}", "  ", line.strip()) for line in lines]


def test_vectorised_logistic_regression():
    """Lesson 6: dZ = (A − Y)/m, dw = X·dZᵀ, db = sum(dZ)."""
    s = vectorised()
    dw = " ".join(f"[{number(g, 4)}]" for g in tg.explain(s.J, s.w).value.ravel())
    assert steps(tg.explain(s.J, wrt=s.w)) == [
        "dJ/dZ = 1/100 · (σ(Z) − Y)  (1, 100)",
        f"dJ/dw = X · (dJ/dZ)ᵀ = [{dw}]  (3, 1) = (3, 100) · (100, 1)",
    ]
    assert steps(tg.explain(s.J, wrt=s.b))[-1].startswith("dJ/db = sum(dJ/dZ) = ")
    assert "Z = wᵀ · X + b" in tg.explain(s.J, wrt=s.w).text
    dZ = (tg.sigmoid(s.Z) - s.Y).numpy() / 100
    np.testing.assert_allclose(tg.explain(s.J, s.w).value, s.X.numpy() @ dZ.T)


def two_layers():
    rng = np.random.default_rng(0)
    X, Y = tg.tensor(rng.normal(size=(3, 10))), tg.tensor((rng.random((1, 10)) > 0.5) * 1.0)
    shapes = (4, 3), (4, 1), (1, 4), (1, 1)
    W1, b1, W2, b2 = (tg.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes)
    Z1 = W1 @ X + b1
    A1 = tg.sigmoid(Z1)
    Z2 = W2 @ A1 + b2
    A2 = tg.sigmoid(Z2)
    L = nn.functional.binary_cross_entropy(A2, Y)
    return named(
        {"X": X, "Y": Y, "W1": W1, "b1": b1, "W2": W2, "b2": b2, "Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2, "L": L}
    )


def test_two_layer_network():
    """Lesson 9, and the four equations of lesson 11: each δ is the gradient of a Z, and summed that of its bias."""
    s = two_layers()
    assert steps(tg.explain(s.L, wrt=s.W1))[:-1] == [
        "dL/dA2 = 1/10 · (A2 − Y)/(A2 ∗ (1 − A2))  (1, 10)",
        "dL/dZ2 = dL/dA2 ∗ A2 ∗ (1 − A2)  (1, 10) = (1, 10) ∗ (1, 10)",
        "dL/dA1 = W2ᵀ · dL/dZ2  (4, 10) = (4, 1) · (1, 10)",
        "dL/dZ1 = dL/dA1 ∗ A1 ∗ (1 − A1)  (4, 10) = (4, 10) ∗ (4, 10)",
        "dL/dW1 = dL/dZ1 · Xᵀ  (4, 3) = (4, 10) · (10, 3)",
    ]
    assert steps(tg.explain(s.L, wrt=s.b1))[-2] == "dL/db1 = sum(dL/dZ1, axis 1)  (4, 1) = sum (4, 10)"
    delta2, delta1 = (s.A2 - s.Y).numpy() / 10, tg.explain(s.L, wrt=s.Z1).value
    np.testing.assert_allclose(tg.explain(s.L, wrt=s.Z2).value, delta2)  # BP1
    np.testing.assert_allclose(delta1, s.W2.numpy().T @ delta2 * (s.A1 * (1 - s.A1)).numpy())  # BP2
    np.testing.assert_allclose(tg.explain(s.L, wrt=s.b1).value, delta1.sum(1, keepdims=True))  # BP3
    np.testing.assert_allclose(tg.explain(s.L, wrt=s.W1).value, delta1 @ s.X.numpy().T)  # BP4


def test_a_constant_gradient_in_a_product_of_matrices():
    W, x = tg.ones((2, 3), requires_grad=True, name="W"), tg.ones((3, 4), name="X")
    total, one = tg.sum(W @ x), tg.tensor([[3.0]], requires_grad=True)
    assert tg.explain(total, W).steps[0] == "d total/d W = ones(2, 4) · Xᵀ = [[4 4 4] [4 4 4]]"
    assert tg.explain(one @ one, one).steps[-1].endswith(" = oneᵀ + oneᵀ = [[6]]")


def test_a_network_of_modules():
    tg.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    data, labels = tg.random.default_rng(0).normal(size=(70, 3)).astype(tg.float32), np.zeros(70, int)
    loss = nn.functional.cross_entropy(net(data), labels)
    derivation = tg.explain(loss, wrt=net[0].weight)
    assert derivation.variable == "net.0.weight"
    assert "v₁ = data · net.0.weightᵀ + net.0.bias" in derivation.text
    assert "(70, 4), 0: Linear(3, 4)" in derivation.text
    assert steps(derivation)[:4] == [
        "d loss/d v₃ = 1/70 · (softmax(v₃) − onehot(c₂))  (70, 2)",
        "d loss/d v₂ = d loss/d v₃ · net.2.weight  (70, 4) = (70, 2) · (2, 4)",
        "d loss/d v₁ = d loss/d v₂ ∗ (1 where v₁ > 0, else 0)  (70, 4) = (70, 4) ∗ (70, 4)",
        "d loss/d net.0.weight = (d loss/d v₁)ᵀ · data  (4, 3) = (4, 70) · (70, 3)",
    ]
    derivations = tg.explain(loss, list(net.parameters()))
    loss.backward()
    for one, parameter in zip(derivations, net.parameters(), strict=True):
        assert np.array_equal(one.value, parameter.grad.numpy())
        assert one.value.dtype == np.float32


# --- what is right for every graph -----------------------------------------------------------------------------------


def explain(t, wrt, limit=8):
    """As `tg.explain`, without a look at the variables of the test's many frames."""
    return Derivation(build(Recording(t, Holders(None)), wrt._node, limit))


@given(program=strategies.graphs(max_steps=8, max_side=0))
def test_paths_between_numbers_add_up(program):
    inputs = [tg.tensor(x, requires_grad=True, name=f"x{i}") for i, x in enumerate(program.inputs)]
    out = program(*inputs) * 1.5
    expected = tg.grad(lambda *xs: program(*xs) * 1.5, argnums=tuple(range(len(inputs))))(*program.inputs)
    for x, gradient in zip(inputs, expected, strict=True):
        derivation = explain(out, x, limit=10**6)
        np.testing.assert_allclose(derivation.value, gradient, rtol=1e-12, atol=1e-12)
        total = sum(path.value for path in derivation.paths)
        np.testing.assert_allclose(total, gradient, rtol=1e-9, atol=1e-12)
        assert len(derivation.paths) == derivation.path_count == naive_count(x._node, out._node)
        for path in derivation.paths:
            assert path.value == pytest.approx(np.prod([factor.number for factor in path.factors]), rel=1e-12)
            assert path.names[0] == x.name
        assert balanced(derivation.latex)


def naive_count(start, end):
    """Ways through the graph, what is used twice by one operation counted once."""
    if end is start:
        return 1
    sources = {source for source in end.inputs if hasattr(source, "order") and source.order >= start.order}
    return sum(naive_count(start, source) for source in sources)


@given(program=strategies.graphs(max_steps=8), after=st.booleans())
def test_gradients_of_arrays(program, after):
    inputs = [tg.tensor(x, requires_grad=True, name=f"x{i}") for i, x in enumerate(program.inputs)]
    out = tg.sum(program(*inputs) * 1.5)
    before = [explain(out, x) for x in inputs]
    out.backward(retain_graph=after)
    for x, early in zip(inputs, before, strict=True):
        gradient = np.zeros(x.shape) if x.grad is None else x.grad.numpy()
        np.testing.assert_allclose(early.value, gradient, rtol=1e-12, atol=1e-14)
        late = explain(out, x)
        assert np.array_equal(late.value, early.value)
        assert late.text == early.text
        assert balanced(late.latex)


def balanced(latex):
    depth = 0
    for sign in re.sub(r"\\.", "", latex):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert latex.count(r"\begin") == latex.count(r"\end")
    assert latex.count(r"\left(") == latex.count(r"\right)")
    return depth == 0 and "\ue000" not in latex


# --- formulas of arrays are true -------------------------------------------------------------------------------------

OPS = sorted(name for name, op in registry.items() if op.own and op.differentiable and (op.rules or op.joint))


class Array(np.ndarray):
    """Arrays on which the signs of the formulas compute: ``@`` for ``·``, ``*`` for ``∗``, ``<<`` for ``⊗``."""

    def __new__(cls, x):
        return np.asarray(x, float).view(cls)

    def __matmul__(self, other):
        a, b = np.asarray(self), np.asarray(other)
        return Array(a * b if not a.ndim or not b.ndim else a @ b)

    def __rmatmul__(self, other):
        return Array(other).__matmul__(self)


def evaluated(text, values):
    """The right-hand side of a step in numbers; None for what is told in words."""
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(name, f"V[{sorted(values).index(name)}]")
    text = re.sub(r"\(([^()]*)\)ᵀ", r"(\1).mT", text).replace("ᵀ", ".mT")
    text = re.sub(r"(?<![\w.])(sin|cos|sinh|cosh|sign|log|exp|softmax) (V\[\d\])", r"\1(\2)", text)
    text = re.sub(r"sum\((.*), (?:axis|axes) ([\d, ]*)\)$", r"sum(\1, axis=(\2,), keepdims=True)", text)
    text = re.sub(r"mean\((V\[\d\]), (?:axis|axes) ([\d, ]*)\)", r"mean(\1, axis=(\2,), keepdims=True)", text)
    text = re.sub(r"1 where (.*?), else 0", r"np.where(\1, 1, 0)", text)
    text = re.sub(r"√\(([^()]*)\)", r"np.sqrt(\1)", text)
    for sign, code in {
        "·": "@",
        "∗": "*",
        "−": "-",
        "²": "**2",
        "σ": "sigmoid",
        "^": "**",
        "³": "**3",
        "π": "np.pi",
    }.items():
        text = text.replace(sign, code)
    scope = {name: getattr(np, name) for name in ("sin", "cos", "sinh", "cosh", "sign", "log", "exp", "mean")}
    scope |= {
        "np": np,
        "sum": lambda x, **options: np.sum(x, **options),
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
        "broadcast": lambda x: x if not np.ndim(x) else None,
        "reshape": lambda x: np.ravel(x),
        "V": [Array(values[name]) for name in sorted(values)],
    }
    try:
        return eval(text, scope)
    except (SyntaxError, NameError, TypeError, AttributeError, ValueError):
        return None


def explained(case):
    """An op on a case of its row, weighted and summed, and what the steps say of each input."""
    inputs = [
        tg.tensor(x, requires_grad=True, name=f"x{i}") if i in case.differentiable else x
        for i, x in enumerate(case.inputs)
    ]
    made = case.op(*inputs, **case.settings)
    outs = made if isinstance(made, tuple) else (made,)
    values = {f"x{i}": x.numpy() for i, x in enumerate(inputs) if isinstance(x, tg.Tensor)}
    total = None
    for i, out in enumerate(outs):
        if isinstance(out, tg.Tensor) and out.requires_grad and out.dtype.kind == "f":
            out.name = f"y{i}"
            K = tg.tensor(np.random.default_rng(i).normal(size=out.shape), name=f"K{i}")
            values |= {f"y{i}": out.numpy(), f"K{i}": K.numpy(), f"dJ/dy{i}": K.numpy()}
            term = tg.sum(out * K)
            total = term if total is None else total + term
    if total is not None:
        total.name = "J"
    return inputs, total, values


@pytest.mark.parametrize("name", OPS)
def test_every_op_is_explained(name):
    """Each case of each op: the engine's gradient, and a formula that gives it too, or words that name the rule."""
    if name not in tg.testing.table or tg.testing.table[name].through:
        pytest.skip("used inside others")
    seen, checked = 0, 0
    for case in tg.testing.op_cases(name):
        if not case.differentiable:
            continue
        inputs, total, values = explained(case)
        if total is None:
            continue
        for i in case.differentiable:
            derivation = explain(total, inputs[i])
            if not derivation.path_count:
                continue
            seen += 1
            total.backward(retain_graph=True)
            gradient = inputs[i].grad.numpy()
            for x in inputs:
                if isinstance(x, tg.Tensor):
                    x.grad = None
            np.testing.assert_allclose(derivation.value, gradient, rtol=1e-12, atol=1e-14)
            assert balanced(derivation.latex)
            if derivation._explanation.scalar or not gradient.size:
                continue
            found = [line for line in derivation._explanation.steps if line.left.text.endswith(f"x{i}")]
            text = found[0].right[0].text
            known = name in PULLBACKS or registry[name].elementwise
            assert known or f"by the rule of {name.lstrip('_')}" in text
            result = evaluated(text, values)
            if result is not None and np.shape(result) in (gradient.shape, ()):
                np.testing.assert_allclose(
                    np.broadcast_to(result, gradient.shape),
                    gradient,
                    rtol=1e-9 if name != "astype" else 1e-6,
                    atol=1e-12,
                )
                checked += 1
    assert seen
    assert checked or name not in MUST_EVALUATE


MUST_EVALUATE = {
    *("add", "subtract", "multiply", "divide", "negative", "exp", "log", "sin", "cos", "sigmoid", "relu", "square"),
    *("matmul", "linear", "linear_map", "sum", "mean", "permute_dims", "matrix_transpose", "softmax", "log_softmax"),
    *(
        "mse_loss",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "broadcast_to",
        "var",
        "std",
        "logsumexp",
    ),
}


def test_rows_are_of_ops_that_there_are():
    assert set(PULLBACKS) <= set(registry)


# --- many paths, long ones -------------------------------------------------------------------------------------------


def diamonds(count):
    x = tg.tensor(1.0, requires_grad=True, name="x")
    z = x
    for _ in range(count):
        z = tg.sin(z) + tg.cos(z)
    z.name = "z"
    return x, z


def test_paths_are_counted_not_walked():
    x, z = diamonds(60)
    derivation = tg.explain(z, x)
    assert derivation.path_count == 2**60
    assert derivation.paths == ()
    assert "About 1.15·10^18 paths lead from x to z: too many to write out." in derivation.text
    assert derivation.text.count("\n    d") >= 180  # each intermediate result once
    z.backward()
    assert derivation.value == pytest.approx(x.grad.item(), rel=1e-12)


def test_limit():
    x, z = diamonds(3)
    assert len(tg.explain(z, x).paths) == 8
    assert tg.explain(z, x, limit=7).paths == ()
    assert tg.explain(z, x, limit=7).path_count == 8
    assert "8 paths lead from x to z: too many" in str(tg.explain(z, x, limit=7))


def test_large_graphs_take_linear_time():
    """Ten times the graph visits ten times the nodes: told by the operations' rules, which are counted."""
    calls = []

    @tg.op(elementwise=True)
    def counted(x):
        return x * 1.0

    counted.derivatives(lambda g, out, x: calls.append(1) or g)
    for count in (30, 300):
        calls.clear()
        x = tg.tensor(1.0, requires_grad=True)
        z = x
        for _ in range(count):
            z = counted(z) * 0.5 + counted(z) * 0.25
        assert tg.explain(z, x).path_count == 2**count
        assert len(calls) == 4 * count  # by the engine, and for the local derivative


def test_a_long_chain():
    x = tg.tensor(1.0, requires_grad=True)
    z = x
    for _ in range(2000):
        z = z * 1.0001
    derivation = tg.explain(z, x)
    assert derivation.value == pytest.approx(1.0001**2000)
    assert "x → v₁ → v₂ → … → v₁₉₉₈ → v₁₉₉₉ → z" in derivation.text
    assert "the product of 2,000 local derivatives" in derivation.text


# --- what it leaves alone --------------------------------------------------------------------------------------------


def test_nothing_is_changed():
    s = vectorised()
    called = []
    s.Z.register_hook(called.append)
    s.Z.retain_grad()
    drawn = str(tg.draw(s.J))
    tg.explain(s.J, [s.w, s.b, s.Z])
    assert called == []
    assert s.w.grad is s.b.grad is s.Z.grad is None
    assert str(tg.draw(s.J)) == drawn
    s.J.backward()
    assert len(called) == 1
    first = s.w.grad.numpy().copy()
    tg.explain(s.J, [s.w, s.b, s.Z])
    assert np.array_equal(s.w.grad.numpy(), first)
    with pytest.raises(RuntimeError, match="retain_graph"):
        s.J.backward()


def test_a_hook_does_not_change_what_is_derived():
    x = tg.tensor(3.0, requires_grad=True)
    y = x * x
    x.register_hook(lambda g: g * 100)
    assert tg.explain(y, x).value == 6


def test_after_backward_numbers_are_there_as_long_as_they_are_known():
    s = vectorised()
    s.J.backward()
    np.testing.assert_allclose(tg.explain(s.J, s.w).value, s.w.grad.numpy())

    def unheld():
        data, weight = tg.ones((70, 3)), tg.ones((3, 2), requires_grad=True, name="weight")
        return weight, (tg.tanh(tg.exp(data @ weight) * 0.5) ** 2).sum()

    weight, loss = unheld()
    loss.backward()
    derivation = tg.explain(loss, weight)
    assert "d loss/d weight is without numbers: an earlier backward() let go of values" in derivation.text
    assert "d loss/d weight = " in derivation.text.replace("dataᵀ", "")
    assert "without numbers" in derivation.latex
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        _ = derivation.value
    weight, loss = unheld()
    loss.backward(retain_graph=True)
    assert np.array_equal(tg.explain(loss, weight).value, weight.grad.numpy())


def test_a_parameter_that_was_updated_since():
    w = tg.tensor(3.0, requires_grad=True)
    loss = w * w
    with tg.no_grad():
        w -= 1.0
    derivation = tg.explain(loss, w)
    assert derivation.value == 6
    assert "w = 3" in derivation.text


# --- where there is little to explain --------------------------------------------------------------------------------


def test_no_path():
    x, y = numbers(x=1.0, y=2.0)
    z = tg.exp(x)
    derivation = tg.explain(z, y)
    assert str(derivation) == "dz/dy = 0\n\nNo path leads from y to z."
    assert derivation.value == derivation.path_count == 0
    assert r"\frac{dz}{dy} = 0" in derivation.latex
    matrix = tg.ones((2, 3), requires_grad=True)
    assert tg.explain(z, matrix).value.shape == (2, 3)
    labels = tg.ones(3, requires_grad=True)
    picked = tg.sum(tg.where(labels > 0, x, y))
    assert tg.explain(picked, labels).path_count == 0


def test_the_result_itself():
    J = lesson().J
    derivation = tg.explain(J, J)
    assert derivation.value == 1
    assert derivation.path_count == 1
    assert "dJ/dJ = 1" in str(derivation)


def test_zero_stays_zero_beside_infinity():
    x = tg.tensor(0.0, requires_grad=True)
    y = tg.sqrt(x) * 0.0 + x
    derivation = tg.explain(y, x)
    assert derivation.value == 1
    assert sorted(path.value for path in derivation.paths) == [0, 1]


@pytest.mark.parametrize("dtype", [tg.float16, tg.float32])
def test_low_precision(dtype):
    x = tg.tensor(0.7, dtype=dtype, requires_grad=True)
    y = tg.exp(tg.sin(x) * x) / (1 + x * x) - tg.tanh(x) ** 3
    derivation = tg.explain(y, x)
    y.backward()
    assert derivation.value.dtype == dtype
    assert derivation.value == x.grad.item()


def test_several_results_of_an_operation():
    x = tg.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    first, _, third = tg.split(x, [1, 3])
    y = (first * first).sum() + third.sum()
    derivation = tg.explain(y, x)
    assert steps(derivation)[-1] == "dy/dx = concat(d y/d first, 0, 1) = [2 0 0 1]  (4,)"
    assert derivation.path_count == 2


def test_errors():
    x = tg.tensor(2.0, requires_grad=True)
    y = x * x
    with pytest.raises(TypeError, match="explain takes a Tensor, not float"):
        tg.explain(3.0, x)
    with pytest.raises(ValueError, match="is a leaf: there is nothing to explain"):
        tg.explain(x, x)
    with pytest.raises(ValueError, match="recorded nothing"):
        tg.explain(tg.tensor(1.0), x)
    with pytest.raises(ValueError, match=r"float64\[3\].* reduce it"):
        tg.explain(x * np.ones(3), x)
    with pytest.raises(ValueError, match="does not require gradients"):
        tg.explain(y, tg.tensor(1.0))
    with pytest.raises(TypeError, match="a name, or a list of them, not float"):
        tg.explain(y, [x, 1.0])
    with pytest.raises(TypeError, match="not ndarray"):
        tg.explain(y, np.ones(3))
    with pytest.raises(ValueError, match="is called 'w'; there are x, y"):
        tg.explain(y, "w")
    with pytest.raises(ValueError, match="limit is -1"):
        tg.explain(y, x, limit=-1)


def test_inside_a_compiled_function():
    x = tg.tensor(2.0, requires_grad=True)

    @tg.compile
    def step(y):
        tg.explain(x * y, x)

    with pytest.raises(RuntimeError, match="compiled"):
        step(tg.tensor(1.0))


def test_a_derivative_that_is_not_linear_is_found():
    @tg.op(elementwise=True)
    def clipped(x):
        return x * 1.0

    clipped.derivatives(lambda g, out, x: tg.clip(g, -1, 1))
    x = tg.tensor(2.0, requires_grad=True)
    y = clipped(x) * 5.0
    with pytest.raises(RuntimeError, match=r"by the chain rule dy/dx is 5, but the reverse pass gives 1.*clipped"):
        tg.explain(y, x)


def test_an_op_of_the_users_own():
    @tg.op(elementwise=True, formula="cube({x})")
    def cube(x):
        return x**3

    cube.derivatives(lambda g, out, x: g * 3 * x**2, formulas=["3·{x}²"])

    @tg.op
    def total(x):
        return np.sum(x)

    total.derivatives(lambda g, out, x: tg.broadcast_to(g, x.shape))
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    c = cube(x)
    y = total(c)
    assert steps(tg.explain(y, x)) == [
        "dy/dc = ∂y/∂c applied to 1, by the rule of total = [1 1]  (2,)",
        "dy/dx = dy/dc ∗ (3·x²) = [3 12]  (2,) = (2,) ∗ (2,)",
    ]


# --- forms -----------------------------------------------------------------------------------------------------------


def test_latex():
    s = lesson()
    b, J = s.b, s.J
    latex = tg.explain(J, b).latex
    assert r"\frac{dJ}{db} &= \frac{dJ}{dv} \cdot \frac{dv}{du} \cdot \frac{du}{db}" in latex
    assert r"\frac{dJ}{db} &= \frac{dJ}{du} \cdot \frac{du}{db} = 3 \cdot 2 = 6" in latex
    assert balanced(latex)
    assert tg.explain(J, b)._repr_latex_() == f"$$\n{latex}\n$$"


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("1/(2·√x)", r"1/(2\cdot \sqrt{\text{x}})"),
        ("2^(x + 1)", r"2^{\text{x} + 1}"),
        ("1.5e−7", r"1.5 \cdot 10^{-7}"),
        ("−sin(3)²", r"-\sin (3)^{2}"),
        ("1 where 2 ≤ 3, else 0", r"1 \text{ where } 2 \le 3, \text{ else } 0"),
        ("bce_with_logits(2)", r"\operatorname{bce\_with\_logits}(2)"),
        ("x[‘]{{%}}", r"\text{x}[\text{‘}]\{\%\}"),
        ("σ(4)·πᵀ", r"\sigma (4)\cdot \pi ^{\top}"),
    ],
)
def test_formulas_in_latex(text, latex):
    assert LATEX.whole(parse(text)) == latex


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("b", "b"), ("W1", "W_{1}"), ("w_12", "w_{12}"), ("v₃", "v_{3}"), ("δ", r"\delta "), ("δ2", r"\delta_{2}"),
        ("loss", r"\text{loss}"), ("fc1.weight", r"\text{fc1.weight}"), ("x_in", "x_{in}"), ("dx", r"\text{dx}"),
        ("p['a_b']", r"\text{p['a\_b']}"), ("ß", r"\text{ß}"),
    ],
)  # fmt: skip
def test_names_in_latex(name, latex):
    assert symbol(name) == latex


def test_awkward_names():
    x = tg.tensor(2.0, requires_grad=True, name="weight of <b>&$\\{%_^~#")
    y = x * x + x
    derivation = tg.explain(y, x)
    assert "weight of <b>&$\\{%_^~#" in derivation.text
    assert balanced(derivation.latex)


def test_a_derivation_that_an_earlier_release_pickled():
    derivation = pickle.loads(old_pickles.stored()["derivation"][0])  # noqa: S301
    assert r"v_{1} &= x\cdot x = 4 &&\quad \frac{dv_{1}}{dx} = x + x = 4" in derivation.latex
    assert balanced(derivation.latex)
    again = pickle.loads(pickle.dumps(derivation))  # noqa: S301
    assert (again.text, again.latex) == (derivation.text, derivation.latex)
    s = lesson()
    new = tg.explain(s.J, s.b)
    again = pickle.loads(pickle.dumps(new))  # noqa: S301
    assert (again.text, again.latex) == (new.text, new.latex)


def test_saving(tmp_path):
    s = lesson()
    b, c, J = s.b, s.c, s.J
    derivation = tg.explain(J, b)
    assert derivation.save(tmp_path / "d.txt").read_text("utf-8") == DJ_DB + "\n"
    assert derivation.save(tmp_path / "d.tex").read_text("utf-8") == f"\\[\n{derivation.latex}\n\\]\n"
    assert derivation.save(tmp_path / "d.md").read_text("utf-8") == f"$$\n{derivation.latex}\n$$\n"
    both = tg.explain(J, [b, c])
    assert both.save(tmp_path / "both.txt").read_text("utf-8") == f"{both[0]}\n\n{both[1]}\n"
    assert both.save(tmp_path / "both.tex").read_text("utf-8").count(r"\[" + "\n") == 2
    assert repr(derivation) == "<Derivation of dJ/db>"
    assert repr(both) == "<Derivations of dJ/db, dJ/dc>"
    with pytest.raises(ValueError, match=r"\.txt, \.tex, \.md"):
        derivation.save(tmp_path / "d.svg")
    with pytest.raises(FileNotFoundError, match="missing"):
        derivation.save(tmp_path / "missing" / "d.txt")
