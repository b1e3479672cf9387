"""Compiled networks of convolutions and pooling, which compute in an order of their own, against the eager ones."""

import sys
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn import nn
from tinygrad_nn.compiler.rewrite import phases
from tinygrad_nn.ops.layers import window

F = nn.functional


def step_of(model, optimizer, read_input=False):
    def step(x, y):
        if read_input:
            x.requires_grad_()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        gradient = x.grad if read_input else loss
        optimizer.zero_grad()
        return loss, gradient

    return step


def agree(make, x, read_input=False, times=2, rtol=1e-9):
    """A few training steps of two equal models, one compiled; returns the compiled function."""
    models = [make().double(), make().double()]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [tg.optim.SGD(model.parameters(), lr=0.1) for model in models]
    steps = [step_of(model, optimizer, read_input) for model, optimizer in zip(models, optimizers)]
    steps[1] = tg.compile(steps[1])
    y = np.random.default_rng(0).standard_normal(models[0](x).shape)
    for _ in range(times):
        eager, compiled = ([np.array(v.numpy()) for v in step(tg.tensor(x), tg.tensor(y))] for step in steps)
        for a, b in zip(eager, compiled, strict=True):
            np.testing.assert_allclose(b, a, rtol=rtol, atol=1e-12)
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=rtol, atol=1e-12)
    return steps[1]


NETWORKS = {
    "relu": lambda: nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 5), nn.ReLU(), nn.Linear(5, 2)
    ),
    "no relu": lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 2)),
    "no bias": lambda: nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU(), nn.MaxPool2d(3), nn.Flatten()),
    "settings": lambda: nn.Sequential(
        nn.Conv2d(1, 2, (3, 2), stride=(1, 2), padding=(2, 1), dilation=(2, 1)), nn.ReLU(), nn.MaxPool2d((2, 1))
    ),
    "leftover": lambda: nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.MaxPool2d((2, 3)), nn.Tanh()),
    "one after the other": lambda: nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 2), nn.ReLU(), nn.MaxPool2d(3)
    ),
}


@pytest.mark.parametrize("read_input", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, read_input):
    x = np.random.default_rng(1).standard_normal((5, 1, 8, 8))
    step = agree(NETWORKS[name], x, read_input)
    body = step.source.rpartition("\ndef step(")[2]
    assert "_order_by_phase(" in body
    assert "_max_pool(" not in body
    assert ("_in_place(" in body) == (read_input or "other" in name)


def test_along_a_line():
    x = np.random.default_rng(2).standard_normal((4, 2, 11))
    step = agree(lambda: nn.Sequential(nn.Conv1d(2, 3, 4, padding=1), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten()), x)
    assert "_order_by_phase(" in step.source


@settings(max_examples=15)
@given(data=st.data())
def test_random_settings(data):
    def pair(low, high):
        return (data.draw(st.integers(low, high)), data.draw(st.integers(low, high)))

    kernel, stride, padding, dilation, pool = pair(1, 3), pair(1, 2), pair(0, 2), pair(1, 2), pair(1, 3)
    channels, relu = data.draw(st.integers(1, 2)), data.draw(st.booleans())
    space = [d * (k - 1) + 1 + (q - 1) * s + 3 for d, k, q, s in zip(dilation, kernel, pool, stride)]
    x = np.random.default_rng(3).standard_normal((data.draw(st.integers(1, 3)), channels, *space))

    def make():
        conv = nn.Conv2d(channels, 2, kernel, stride, padding, dilation)
        return nn.Sequential(conv, *[nn.ReLU()] * relu, nn.MaxPool2d(pool))

    agree(make, x, data.draw(st.booleans()))


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("strange", [None, np.nan, np.inf])
def test_ties_and_strange_numbers(relu, strange):
    """Few whole numbers, so that windows tie; and what is not finite stays in its own window."""
    rng = np.random.default_rng(4)
    x = rng.integers(-1, 2, (3, 1, 7, 7)).astype(float)
    if strange is not None:
        x[1, 0, 2, 3] = strange
    weight, bias = rng.integers(-1, 2, (2, 1, 2, 2)).astype(float), rng.integers(-1, 2, 2).astype(float)

    def loss(x, weight, bias):
        z = F.conv2d(x, weight, bias)
        pooled = F.max_pool2d(F.relu(z) if relu else z, 2)
        return (pooled * np.arange(54.0).reshape(3, 2, 3, 3)).sum()

    for arguments in ((0, 1, 2), (1, 2)):
        differentiate = tg.value_and_grad(loss, arguments)
        compiled = tg.compile(differentiate)
        with np.errstate(all="ignore"):
            wanted, got = differentiate(x, weight, bias), compiled(tg.tensor(x), tg.tensor(weight), tg.tensor(bias))
        assert "_order_by_phase(" in compiled.source
        for a, b in zip([wanted[0], *wanted[1]], [got[0], *got[1]], strict=True):
            if strange is None or np.isnan(strange):
                np.testing.assert_allclose(b.numpy(), a, rtol=1e-12, atol=1e-12)
    if strange is None:
        first = tg.grad(loss)(x, weight, bias)
        assert len(np.unique(first)) > 3


def test_what_is_read_elsewhere_is_left_alone():
    x = np.random.default_rng(5).standard_normal((2, 1, 6, 6))
    weight, bias = np.random.default_rng(6).standard_normal((2, 1, 3, 3)), np.ones(2)

    def maps_too(x, w, b):
        z = F.relu(F.conv2d(x, w, b))
        return F.max_pool2d(z, 2), z

    def mean_too(x, w, b):
        z = F.conv2d(x, w, b)
        return F.max_pool2d(F.relu(z), 2).sum() + z.mean()

    def overlapping(x, w, b):
        return F.max_pool2d(F.relu(F.conv2d(x, w, b)), 2, 1).sum()

    def twice(x, w, b):
        return F.max_pool2d(F.relu(F.conv2d(x, w, b)), 2).sum() + F.max_pool2d(F.relu(F.conv2d(x, w, b)), 4).sum()

    def second_order(x, w, b):
        return tg.grad(lambda w: (F.max_pool2d(F.relu(F.conv2d(x, w, b)) ** 2, 2) ** 2).sum())(w)

    functions = [maps_too, tg.value_and_grad(mean_too, 1), tg.grad(overlapping, 1), tg.grad(twice, 1), tg.grad(
        lambda x, w, b: (second_order(x, w, b) ** 2).sum(), 1)]  # fmt: skip
    for f in functions:
        compiled = tg.compile(f)
        wanted, got = f(x, weight, bias), compiled(*map(tg.tensor, (x, weight, bias)))
        assert "_order_by_phase(" not in compiled.source
        for a, b in zip(wanted if isinstance(wanted, tuple) else (wanted,), got if isinstance(got, tuple) else (got,)):
            np.testing.assert_allclose(b.numpy(), a, rtol=1e-9, atol=1e-12)


def test_columns_that_would_take_too_much_memory_are_not_made(monkeypatch):
    monkeypatch.setattr(phases, "MOST_BYTES", 100)
    x = np.random.default_rng(7).standard_normal((5, 1, 8, 8))
    assert "_order_by_phase(" not in agree(NETWORKS["relu"], x).source


def test_a_frozen_weight():
    x = np.random.default_rng(8).standard_normal((5, 1, 8, 8))

    def make():
        model = NETWORKS["relu"]()
        model[0].weight.requires_grad_(False)
        return model

    agree(make, x)


def test_in_evaluation_too():
    model = NETWORKS["relu"]()
    x = np.random.default_rng(9).standard_normal((5, 1, 8, 8)).astype(np.float32)
    compiled = tg.compile(model)
    with tg.no_grad():
        np.testing.assert_allclose(compiled(tg.tensor(x)).numpy(), model(tg.tensor(x)).numpy(), rtol=1e-4, atol=1e-6)
    assert "_order_by_phase(" in compiled.source


@pytest.mark.parametrize("name", ["relu", "one after the other"])
def test_saved_as_a_module_that_imports_only_numpy(tmp_path, name):
    made = []
    for _ in range(2):
        tg.manual_seed(3)
        model = NETWORKS[name]()
        made.append((model, tg.optim.SGD(model.parameters(), lr=0.1)))
    x = np.random.default_rng(10).standard_normal((5, 1, 8, 8)).astype(np.float32)
    y = np.zeros(made[0][0](tg.tensor(x)).shape, np.float32)
    compiled = tg.compile(step_of(*made[1]))
    eager = step_of(*made[0])
    eager(tg.tensor(x), tg.tensor(y)), compiled(tg.tensor(x), tg.tensor(y))
    path = tmp_path / "saved_step.py"
    compiled.save(path)
    assert "tinygrad" not in path.read_text()
    spec = spec_from_file_location("saved_step", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    wanted = eager(tg.tensor(x), tg.tensor(y))[0].numpy()
    np.testing.assert_allclose(module.step(x, y)[0], wanted, rtol=1e-4)
    assert "saved_step" not in sys.modules


def test_ordered_columns_are_those_of_the_pooling_windows():
    rng = np.random.default_rng(11)
    x = rng.standard_normal((3, 2, 9, 8))
    where = {"stride": (2, 1), "padding": ((1, 1), (0, 1)), "dilation": (1, 2)}
    plain = window.gathered(x, (3, 2), *where.values())  # (batch, channels, *window, *counts)
    pool = (2, 3)
    counts = tuple(n // q for n, q in zip(plain.shape[4:], pool))
    got = phases._order_by_phase(x, window=(3, 2), **where, pool=pool, counts=counts, ones=True)
    assert got.shape == (13, 6, counts[0] * counts[1], 3)
    np.testing.assert_array_equal(got[-1], 1)
    for row, (c, j, k) in enumerate(np.ndindex(2, 3, 2)):
        for phase, (p, q) in enumerate(np.ndindex(*pool)):
            for at, (a, b) in enumerate(np.ndindex(*counts)):
                wanted = plain[:, c, j, k, a * pool[0] + p, b * pool[1] + q]
                np.testing.assert_array_equal(got[row, phase, at], wanted)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_mask_lets_nothing_through_where_it_is_false(dtype):
    """`where(mask, x, 0)` as a product of bits: exact for infinities, NaN and −0 too."""
    values = np.array([[1.5, -2.0, np.inf, np.nan, -0.0, np.nan]], dtype)
    mask = np.array([[True, False, False, False, True, True]])
    f = tg.compile(lambda mask, x: tg.where(mask, x * 1.0, 0))
    got = f(tg.tensor(mask), tg.tensor(values)).numpy()
    assert "multiply(" in f.source
    assert "where=" not in f.source
    np.testing.assert_array_equal(got, np.where(mask, values, dtype(0)))
    np.testing.assert_array_equal(np.signbit(got[:, :5]), [[False, False, False, False, True]])
