"""Every recording is compared with what it recorded; code that computes something else is not used."""

import warnings
from pathlib import Path

import numpy as np
import pytest

import tinygrad_nn as tg
from tests.compiler.programs import assert_close, numbers
from tinygrad_nn import nn, optim
from tinygrad_nn.compiler import compiled as compiling
from tinygrad_nn.compiler.compare import NotEqualWarning, _within
from tinygrad_nn.nn import functional as F

T = tg.tensor


class Broken:
    """Spoils what is emitted: replaces text of the source by other text."""

    def __init__(self, monkeypatch, old, new):
        emit = compiling.Emitter.emit

        def spoilt(emitter, heading):
            source = emit(emitter, heading)
            assert old in source.text
            source.text = source.text.replace(old, new)
            return source

        monkeypatch.setattr(compiling.Emitter, "emit", spoilt)


def training(seed=0):
    tg.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 2))
    optimizer = optim.Adam(net.parameters(), lr=0.1)

    def step(x, y):
        loss = F.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def state():
        return [p.numpy().copy() for p in net.parameters()] + [
            np.array(x) for p in net.parameters() for x in optimizer.state.get(p, {}).values()
        ]

    return step, state


X, Y = T(np.arange(6.0).reshape(2, 3) / 6), T([[0.0, 1.0], [1.0, 0.5]])


def test_a_report_says_that_all_is_equal():
    compiled = tg.compile(lambda x: tg.sin(x) * 2)
    with pytest.raises(RuntimeError, match="recorded nothing yet"):
        _ = compiled.report
    compiled(X)
    assert compiled.report
    assert str(compiled.report) == "computes what was recorded"


def test_without_verification_nothing_is_compared(monkeypatch):
    Broken(monkeypatch, "    sin(x", "    np.cos(x")
    compiled = tg.compile(lambda x: tg.sin(x), verify=False)
    np.testing.assert_allclose(compiled(X).numpy(), np.cos(X.numpy()))
    assert not compiled.report
    assert str(compiled.report) == "not compared with what was recorded"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    sin(x", "    np.cos(x"),
        ("    return compiled", "    1 / 0; return compiled"),
        ("    sin(x", "    x[...] = 0; sin(x"),
    ],
)
def test_wrong_code_is_not_used(monkeypatch, old, new, tmp_path):
    Broken(monkeypatch, old, new)
    compiled = tg.compile(lambda x: tg.sin(x))
    x = T([1.0, 2.0])
    with pytest.warns(NotEqualWarning, match="please report it"):
        first = compiled(x)
    second = compiled(T([3.0, 4.0]))
    np.testing.assert_array_equal(first.numpy(), np.sin([1.0, 2.0]))
    np.testing.assert_array_equal(second.numpy(), np.sin([3.0, 4.0]))
    np.testing.assert_array_equal(x.numpy(), [1.0, 2.0])
    assert not compiled.report
    assert compiled.report.compared
    with pytest.raises(RuntimeError, match="does not compute what was recorded"):
        compiled.save(tmp_path / "f.py")
    assert not list(tmp_path.iterdir())


def test_a_refused_function_keeps_state_and_random_numbers_of_the_recorded_run(monkeypatch):
    plain, plain_state = training()
    other, other_state = training()
    Broken(monkeypatch, "subtract(", "add(")
    compiled = tg.compile(other)
    tg.manual_seed(1)
    expected = [plain(X, Y).item() for _ in range(4)]
    tg.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotEqualWarning)
        found = [compiled(X, Y).item() for _ in range(4)]
    assert compiled.report.difference
    assert_close(found, expected)
    for x, y in zip(other_state(), plain_state(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_lost_write_to_the_state_is_noticed(monkeypatch):
    Broken(monkeypatch, "    copyto(weight, new)\n", "")
    weight = T([1.0, 2.0])

    def f(x):
        weight[...] = weight * 0.5 + x
        return x * 2.0

    with pytest.warns(NotEqualWarning, match="the new value of weight"):
        tg.compile(f)(T([1.0, 1.0]))
    np.testing.assert_array_equal(weight.numpy(), [1.5, 2.0])


def test_the_first_variable_that_differs_is_named(monkeypatch):
    """A wrong rewriting is found with the line of the user's code."""
    from tinygrad_nn.compiler.rewrite import patterns, simplify

    def wrong(builder, step):
        return builder.add("multiply", step.inputs[0], 3.0)

    monkeypatch.setitem(patterns.LOWER, "square", [wrong])
    monkeypatch.setattr(simplify, "LOWER", patterns.LOWER)

    def f(x):
        y = tg.square(x)
        return tg.sin(y) + 1  # the first that both programs have

    compiled = tg.compile(f)
    with pytest.warns(NotEqualWarning, match="test_compare.py:") as caught:
        compiled(X)
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    line = next(i for i, text in enumerate(lines, 1) if "# the first that both" in text)
    assert f"test_compare.py:{line}" in str(caught[0].message)


def test_the_first_call_gives_what_was_recorded_and_leaves_its_state():
    plain, plain_state = training()
    other, other_state = training()
    tg.manual_seed(3)
    expected = plain(X, Y)
    tg.manual_seed(3)
    found = tg.compile(other)(X, Y)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    for x, y in zip(other_state(), plain_state(), strict=True):
        np.testing.assert_array_equal(x, y)
    assert tg.random.random() == _next_after(3, plain)


def _next_after(seed, step):
    tg.manual_seed(seed)
    step(X, Y)
    return tg.random.random()


def test_what_the_first_call_gives_is_the_callers_own():
    held = T([1.0, 2.0])

    def f(x):
        y = x + 1
        return y, y, held, y[:1]

    compiled = tg.compile(f)
    first = compiled(T([1.0, 2.0]))
    before = [x.copy() for x in numbers(first)]
    compiled(T([5.0, 6.0]))
    with tg.no_grad():
        held[...] = 7.0
    assert first[0] is first[1]
    assert first[2] is held
    for i in (0, 3):
        np.testing.assert_array_equal(first[i].numpy(), before[i])
    first[3][0] = 9.0
    assert first[0][0] == 9.0


def test_users_operations_are_called_once_more():
    calls = []

    @tg.op
    def counted(x):
        calls.append(1)
        return x * 2

    tg.compile(lambda x: counted(x))(X)
    assert len(calls) == 2
    calls.clear()
    tg.compile(lambda x: counted(x), verify=False)(X)
    assert len(calls) == 2  # recorded, and run


def test_formulas_without_overflow_pass():
    """Where the recorded formula overflows, the code computes the twin that does not, as documented."""
    compiled = tg.compile(lambda z: (tg.log(tg.sigmoid(z)), F.binary_cross_entropy(tg.sigmoid(z), tg.ones(2))))
    with np.errstate(all="ignore"):
        compiled(T([-1000.0, 1.0]))
    assert compiled.report
    np.testing.assert_allclose(compiled(T([-1000.0, 1.0]))[0].numpy()[0], -1000.0)


@pytest.mark.parametrize(
    ("truth", "found", "moved", "within"),
    [
        ([1.0, 2.0], [1.0, 2.0 + 1e-15], [[1.0 + 1e-15, 2.0]], True),
        ([1.0, 2.0], [1.0, 2.1], [[1.0 + 1e-15, 2.0]], False),
        ([1.0, np.nan], [1.0, np.nan], [[1.0, np.nan]], True),
        ([1.0, np.nan], [1.0, 2.0], [[1.0, np.nan]], False),
        ([1.0, np.inf], [1.0, -np.inf], [[1.0, np.inf]], False),
        ([1.0, np.inf], [1.0, 1e308], [[1.0, 1.7e308]], True),
        ([1, 2], [1, 2], [[1, 2]], True),
        ([1, 2], [1, 3], [[1, 2]], False),
        ([True, False], [True, True], [[True, False]], False),
        ([1e10, 1e-3], [1e10, 2e-3], [[1e10 + 1e-5, 1e-3]], False),
        ([1.0], [1.0 + 1e-9], [[1.0 + 1e-10]], True),
        ([1.0], [1.0 + 1e-9], [[1.0 + 1e-11]], False),
    ],
)
def test_what_counts_as_rounding(truth, found, moved, within):
    assert _within(np.array(truth), np.array(found), [np.array(x) for x in moved]) is within


def test_other_random_numbers_are_noticed(monkeypatch):
    """A draw whose result matters to nothing counts too: later ones would be others."""
    generator = tg.random.default_rng(0)
    Broken(monkeypatch, "    return compiled", "    rng.random(3); return compiled")
    compiled = tg.compile(lambda x: x + generator.random(2))
    with pytest.warns(NotEqualWarning, match="random numbers"):
        compiled(T([1.0, 2.0]))
