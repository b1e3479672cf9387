"""Every optimizer that moves by a rule: PyTorch's path over many steps, state, compiled steps, and what is refused."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_nn as tg
from tests.optim import cases as cases
from tinygrad_nn import nn, optim

RESULTS = cases.kept()["optimizers"]
LABELS = [cases.label(case) for case in cases.OPTIMIZERS]
torch_case = pytest.mark.parametrize("case", cases.OPTIMIZERS, ids=LABELS)
#: Optimizers without a case above, such as those that PyTorch lacks: as they are made by default.
OTHERS = [
    (name, {})
    for name in sorted(set(optim.__all__) - {name for name, _ in cases.OPTIMIZERS} - {"lr_scheduler"})
    if getattr(optim, name).updated is not optim.Optimizer.updated
]
every_case = pytest.mark.parametrize("case", [*cases.OPTIMIZERS, *OTHERS], ids=cases.label)
#: PyTorch keeps NAdam's product of momenta in float32.
EXACT = {"NAdam": 1e-9}


def make(case, dtype=np.float64, start=cases.START):
    name, settings = case
    p = nn.Parameter(np.array(start, dtype))
    return p, getattr(optim, name)([p], **settings)


def follow(optimizer, p, gradients=cases.GRADIENTS):
    path = []
    for g in gradients:
        p.grad = np.array(g, p.dtype)[()]
        optimizer.step()
        path.append(p.numpy().copy())
    return np.array(path)


def compiled(optimizer, p):
    @tg.compile
    def step(g):
        optimizer.zero_grad()
        (p * g).sum().backward()
        optimizer.step()

    return step


@pytest.mark.parametrize(("case", "wanted"), list(zip(cases.OPTIMIZERS, RESULTS, strict=True)), ids=LABELS)
def test_path_and_state_are_those_of_torch(case, wanted):
    p, optimizer = make(case)
    path = follow(optimizer, p)
    exact = EXACT.get(case[0], 1e-12)
    np.testing.assert_allclose(path[[n - 1 for n in cases.LOOKED_AT]], wanted["path"], rtol=exact, atol=exact)
    state = optimizer.state_dict()["state"][0]
    assert set(state) == set(wanted["state"])
    for key, value in wanted["state"].items():
        np.testing.assert_allclose(np.asarray(state[key]), value, rtol=1e-6 if key == "mu_product" else exact)


def test_the_kept_results_are_those_of_the_torch_that_is_installed():
    pytest.importorskip("torch")

    def compare(kept, now):
        if isinstance(kept, dict):
            assert kept.keys() == now.keys()
            kept, now = list(kept.values()), list(now.values())
        if isinstance(kept, list):
            for a, b in zip(kept, now, strict=True):
                compare(a, b)
        else:
            assert kept == pytest.approx(now, rel=1e-6, abs=1e-9)

    compare(cases.kept(), cases.compute())


@torch_case
def test_float32_follows_torch(case):
    torch = pytest.importorskip("torch")
    p, optimizer = make(case, np.float32)
    q = torch.nn.Parameter(torch.tensor(cases.START, dtype=torch.float32))
    other = getattr(torch.optim, case[0])([q], **case[1])
    for g in cases.GRADIENTS:
        q.grad = torch.tensor(g, dtype=torch.float32)
        other.step()
        follow(optimizer, p, [g])
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=2e-5, atol=2e-6)
    assert p.dtype == np.float32


@torch_case
def test_state_goes_to_torch_and_back(case):
    torch = pytest.importorskip("torch")
    p, optimizer = make(case)
    follow(optimizer, p, cases.GRADIENTS[:7])
    state = optimizer.state_dict()
    for entries in state["state"].values():
        entries.update({k: torch.tensor(v.numpy()) for k, v in entries.items() if isinstance(v, tg.Tensor)})
    q = torch.nn.Parameter(torch.tensor(p.numpy().copy()))
    other = getattr(torch.optim, case[0])([q], lr=9.0)
    other.load_state_dict(state)
    fresh, third = make((case[0], {}), start=p.numpy())
    third.load_state_dict(other.state_dict())
    for g in cases.GRADIENTS[7:]:
        q.grad = torch.tensor(g)
        other.step()
    exact = EXACT.get(case[0], 1e-12)
    np.testing.assert_allclose(
        follow(optimizer, p, cases.GRADIENTS[7:])[-1], q.detach().numpy(), rtol=exact, atol=exact
    )
    np.testing.assert_allclose(follow(third, fresh, cases.GRADIENTS[7:])[-1], q.detach().numpy(), rtol=1e-6, atol=1e-6)


@every_case
def test_compiled_steps_are_the_same(case):
    p, optimizer = make(case)
    q, other = make(case)
    step = compiled(other, q)
    path = follow(optimizer, p)
    for g, wanted in zip(cases.GRADIENTS, path, strict=True):
        step(g)
        np.testing.assert_array_equal(q.numpy(), wanted)
    assert other.state[q].keys() == optimizer.state[p].keys()


@every_case
def test_path_goes_on_from_a_file(case, tmp_path):
    p, optimizer = make(case)
    whole = follow(optimizer, p)
    p, optimizer = make(case)
    follow(optimizer, p, cases.GRADIENTS[:20])
    tg.save({"w": p, "optimizer": optimizer.state_dict()}, tmp_path / "state.safetensors")
    follow(optimizer, p, cases.GRADIENTS[20:])
    saved = tg.load(tmp_path / "state.safetensors")
    q, other = make((case[0], {}), start=saved["w"].numpy())
    other.load_state_dict(saved["optimizer"])
    np.testing.assert_array_equal(follow(other, q, cases.GRADIENTS[20:]), whole[20:])


@every_case
def test_numbers_and_empty_arrays_are_stepped(case):
    p, optimizer = make(case, start=0.5)
    q, other = make(case, start=[0.5])
    gradients = [1.0, -0.5, 2.0, 0.0, -1.0]
    # NumPy's pow and sqrt of scalars and of arrays may differ in the last place.
    np.testing.assert_allclose(follow(optimizer, p, gradients), follow(other, q, [[g] for g in gradients])[:, 0])
    state = tg.asarray(0)
    for state in optimizer.state_dict()["state"].get(0, {}).values():
        assert isinstance(state, tg.Tensor | int | float)
    empty, third = make(case, start=np.zeros((0, 3)))
    follow(third, empty, [np.zeros((0, 3))] * 2)
    assert empty.shape == (0, 3)


@every_case
def test_gradients_and_old_values_are_not_written_to(case):
    p, optimizer = make(case)
    g = cases.GRADIENTS[0].copy()
    before = p.numpy()
    p.grad = tg.tensor(g)
    held = p.grad
    for _ in range(3):
        optimizer.step()
    np.testing.assert_array_equal(before, cases.START)
    np.testing.assert_array_equal(held.numpy(), cases.GRADIENTS[0])
    # What is remembered is no gradient that somebody else can write to.
    saved = {k: np.copy(np.asarray(v)) for k, v in optimizer.state[p].items()}
    p.grad = np.full(p.shape, 7.0)
    for key, value in saved.items():
        np.testing.assert_array_equal(np.asarray(optimizer.state[p][key]), value)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "Adadelta", "Adamax", "NAdam", "RAdam"])
def test_arguments_have_the_names_order_and_defaults_of_torch(name):
    torch = pytest.importorskip("torch")
    extra = {"foreach", "fused", "capturable", "differentiable"}
    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    wanted = {k: v.default for k, v in theirs.items() if k not in extra}
    ours = {k: v.default for k, v in inspect.signature(getattr(optim, name)).parameters.items()}
    assert ours == wanted
    by_place = [k for k, v in theirs.items() if v.kind == v.POSITIONAL_OR_KEYWORD and k not in {*extra, "maximize"}]
    mine = inspect.signature(getattr(optim, name)).parameters.items()
    assert [k for k, v in mine if v.kind == v.POSITIONAL_OR_KEYWORD] == by_place


floats = st.floats(0.01, 0.9)


@given(
    centered=st.booleans(), momentum=st.sampled_from([0, 0.5]), alpha=floats, decay=st.sampled_from([0, 0.3]),
    up=st.booleans(), lr=floats,
)  # fmt: skip
def test_rmsprop_is_its_definition(centered, momentum, alpha, decay, up, lr):
    settings = {"lr": lr, "alpha": alpha, "centered": centered, "momentum": momentum, "weight_decay": decay}
    p, optimizer = make(("RMSprop", {**settings, "maximize": up}))
    w, v, mean, b = cases.START.copy(), 0.0, 0.0, 0.0
    for g in cases.GRADIENTS[:6]:
        follow(optimizer, p, [g])
        g = (-g if up else g) + decay * w
        v = alpha * v + (1 - alpha) * g**2
        mean = alpha * mean + (1 - alpha) * g
        b = momentum * b + g / (np.sqrt(v - mean**2 if centered else v) + 1e-8)
        w = w - lr * b
    np.testing.assert_allclose(p.numpy(), w, rtol=1e-9)


@given(lr=floats, lr_decay=st.floats(0, 1), start=st.floats(0, 1), decay=st.sampled_from([0, 0.3]))
def test_adagrad_is_its_definition(lr, lr_decay, start, decay):
    settings = {"lr": lr, "lr_decay": lr_decay, "initial_accumulator_value": start, "weight_decay": decay}
    p, optimizer = make(("Adagrad", settings))
    w, s = cases.START.copy(), start
    for t, g in enumerate(cases.GRADIENTS[:6]):
        follow(optimizer, p, [g])
        g = g + decay * w
        s = s + g**2
        w = w - lr / (1 + t * lr_decay) * g / (np.sqrt(s) + 1e-10)
    np.testing.assert_allclose(p.numpy(), w, rtol=1e-9)


def test_a_constant_gradient_leaves_centered_rmsprop_finite():
    p, optimizer = make(("RMSprop", {"centered": True, "alpha": 0.5}), np.float32, start=[1.0, 2.0])
    for _ in range(200):
        follow(optimizer, p, [[0.1, 0.3]])
    assert np.isfinite(p.numpy()).all()


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("Adagrad", {"lr": -1}, "lr"),
        ("Adagrad", {"lr_decay": -1}, "lr_decay"),
        ("Adagrad", {"initial_accumulator_value": -1}, "initial_accumulator_value"),
        ("RMSprop", {"alpha": 1.0}, "alpha"),
        ("RMSprop", {"momentum": -0.1}, "momentum"),
        ("Adadelta", {"rho": 1.5}, "rho"),
        ("Adamax", {"betas": (0.9, 1.0)}, "betas"),
        ("NAdam", {"momentum_decay": -1}, "momentum_decay"),
        ("RAdam", {"eps": float("nan")}, "eps"),
        ("Rprop", {"etas": (1.5, 0.5)}, "etas"),
        ("Rprop", {"step_sizes": (1.0, 0.5)}, "step_sizes"),
    ],
)
def test_bad_settings_are_refused(name, settings, words):
    with pytest.raises(ValueError, match=words):
        make((name, settings))


def test_unknown_settings_are_refused():
    p = nn.Parameter([1.0])
    with pytest.raises(ValueError, match="'learning_rate'; there are lr, momentum"):
        optim.SGD([{"params": [p], "learning_rate": 0.1}])
    with pytest.raises(TypeError, match="learning_rate"):
        optim.SGD([p], learning_rate=0.1)
    optim.SGD([{"params": [p], "name": "all"}])


def test_maximize_climbs():
    for name in ("SGD", "Adam", "Adagrad", "Rprop"):
        p, down = make((name, {"lr": 0.1}))
        q, up = make((name, {"lr": 0.1, "maximize": True}))
        np.testing.assert_allclose(follow(down, p), follow(up, q, -cases.GRADIENTS))
