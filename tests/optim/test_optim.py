"""Optimizers: PyTorch's steps, their own state, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_nn as tg
from tests.nn import torch_cases as cases
from tinygrad_nn import nn, optim

RESULTS = cases.kept()["optimizers"]
PAIRS = list(zip(cases.OPTIMIZERS, RESULTS, strict=True))
LABELS = [cases.label(case) for case in cases.OPTIMIZERS]


def follow(optimizer, p, gradients=cases.GRADIENTS):
    path = []
    for g in gradients:
        p.grad = np.array(g, p.dtype)[()]
        optimizer.step()
        path.append(p.numpy().copy())
    return path


def make(name, settings, dtype=np.float64, start=cases.START):
    p = nn.Parameter(np.array(start, dtype))
    return p, getattr(optim, name)([p], **settings)


@pytest.mark.parametrize(("case", "wanted"), PAIRS, ids=LABELS)
def test_steps_are_those_of_torch(case, wanted):
    p, optimizer = make(*case)
    np.testing.assert_allclose(follow(optimizer, p), wanted["path"], rtol=1e-13, atol=1e-16)
    state = optimizer.state_dict()["state"].get(0, {})
    for key, value in wanted["state"].items():
        np.testing.assert_allclose(np.asarray(state[key]), value, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(("case", "wanted"), PAIRS, ids=LABELS)
def test_dtype_stays(case, wanted, dtype):
    name, settings = case
    settings = {key: np.float64(value) if type(value) is float else value for key, value in settings.items()}
    if dtype == np.float16 and name != "SGD":
        settings["eps"] = 1e-3  # 1e-8 is nothing in float16
    p, optimizer = make(name, settings, dtype)
    path = follow(optimizer, p)
    assert p.dtype == dtype
    if dtype == np.float32:
        np.testing.assert_allclose(path, wanted["path"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", cases.OPTIMIZERS, ids=LABELS)
def test_a_number_is_stepped_as_an_array_of_one(case):
    p, optimizer = make(*case, start=0.5)
    q, other = make(*case, start=[0.5])
    gradients = [1.0, -0.5, 2.0]
    np.testing.assert_array_equal(follow(optimizer, p, gradients), np.ravel(follow(other, q, [[g] for g in gradients])))
    assert isinstance(p._value, np.float64)


@pytest.mark.parametrize("case", cases.OPTIMIZERS, ids=LABELS)
def test_values_that_a_graph_holds_are_not_written_to(case):
    p, optimizer = make(*case)
    before, view = p.numpy().copy(), p.numpy()
    q = nn.Parameter([1.0, 2.0], dtype=np.float64)
    loss = (p * p).sum() * q.sum()
    snapshot, shared = p.detach().copy(), p.detach()
    g = np.ones(p.shape)
    p.grad = tg.tensor(g)
    held = p.grad
    optimizer.step()
    assert not np.array_equal(p.numpy(), before)
    np.testing.assert_array_equal(view, before)
    np.testing.assert_array_equal(snapshot.numpy(), before)
    np.testing.assert_array_equal(shared.numpy(), p.numpy())
    np.testing.assert_array_equal(held.numpy(), g)
    p.grad = None
    loss.backward()  # the graph still has the old values
    np.testing.assert_allclose(q.grad.numpy(), np.full(2, np.sum(before**2)))


@pytest.mark.parametrize("case", cases.OPTIMIZERS, ids=LABELS)
def test_state_goes_on_where_it_stopped(case, tmp_path):
    p, optimizer = make(*case)
    whole = follow(optimizer, p)

    p, optimizer = make(*case)
    follow(optimizer, p, cases.GRADIENTS[:2])
    tg.save({"w": p, "optimizer": optimizer.state_dict()}, tmp_path / "state.safetensors")
    state = tg.load(tmp_path / "state.safetensors")
    q, other = make(case[0], {}, start=state["w"].numpy())
    other.load_state_dict(state["optimizer"])
    # What was saved is a copy.
    follow(optimizer, p, cases.GRADIENTS[2:])
    np.testing.assert_array_equal(follow(other, q, cases.GRADIENTS[2:]), whole[2:])
    assert [type(v) for v in other.param_groups[0].values()] == [type(v) for v in optimizer.param_groups[0].values()]


def test_state_comes_from_torch():
    torch = pytest.importorskip("torch")
    for name, settings in cases.OPTIMIZERS:
        theirs = torch.nn.Parameter(torch.tensor(cases.START, dtype=torch.float64))
        source = getattr(torch.optim, name)([theirs], **settings)
        p, optimizer = make(name, settings)
        for g in cases.GRADIENTS[:2]:
            theirs.grad = torch.tensor(g, dtype=torch.float64)
            source.step()
        follow(optimizer, p, cases.GRADIENTS[:2])
        other = getattr(optim, name)([p], lr=9.0)
        other.load_state_dict(source.state_dict())
        theirs.grad = torch.tensor(cases.GRADIENTS[2], dtype=torch.float64)
        source.step()
        np.testing.assert_allclose(follow(other, p, cases.GRADIENTS[2:3])[0], theirs.detach().numpy(), rtol=1e-13)


def test_groups_have_settings_of_their_own():
    a, b, c = (nn.Parameter([1.0]) for _ in range(3))
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": [c], "lr": 0.25})
    for p in (a, b, c):
        p.grad = np.ones(1, np.float32)
    optimizer.step()
    np.testing.assert_allclose([p.item() for p in (a, b, c)], [0.9, 0.5, 0.75])
    optimizer.param_groups[0]["lr"] = 1.0
    optimizer.step()
    np.testing.assert_allclose(a.item(), -0.1, atol=1e-6)
    assert "lr=0.5" in repr(optimizer)


def test_parameters_without_gradient_stay():
    a, b = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = optim.Adam([a, b], lr=0.1)
    a.grad = np.ones(1, np.float32)
    optimizer.step()
    assert b.item() == 1.0
    assert list(optimizer.state_dict()["state"]) == [0]
    optimizer.zero_grad()
    assert a.grad is None
    a.grad = np.ones(1, np.float32)
    optimizer.zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0.0]
    assert b.grad.tolist() == [0.0]


def test_closure_computes_the_loss_with_gradients():
    w = nn.Parameter([2.0])
    optimizer = optim.SGD([w], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with tg.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 4.0
    assert w.item() == 1.0


def test_a_converted_module_takes_its_state_along():
    net = nn.Linear(2, 1)
    optimizer = optim.Adam(net.parameters())
    for dtype in (np.float32, np.float64, np.float32):
        net.to(dtype)
        optimizer.zero_grad()
        net(np.ones((1, 2), dtype)).sum().backward()
        optimizer.step()
        assert net.weight.dtype == net.weight.grad.dtype == dtype


@pytest.mark.parametrize(
    ("make_one", "error", "words"),
    [
        (lambda p: optim.SGD(p), TypeError, "iterable of Tensors"),
        (lambda p: optim.SGD(nn.Linear(1, 1)), TypeError, "parameters"),
        (lambda p: optim.SGD([]), ValueError, "no parameters"),
        (lambda p: optim.SGD(iter(())), ValueError, "used-up"),
        (lambda p: optim.SGD(["w"]), TypeError, "str"),
        (lambda p: optim.SGD([np.ones(2)]), TypeError, "ndarray"),
        (lambda p: optim.SGD([p, p]), ValueError, "twice"),
        (lambda p: optim.SGD([{"params": [p]}, {"params": [p]}]), ValueError, "twice"),
        (lambda p: optim.SGD([p * 2]), ValueError, "leaves"),
        (lambda p: optim.SGD([{"lr": 0.1}]), TypeError, "params"),
        (lambda p: optim.SGD([p], lr=-0.1), ValueError, "lr"),
        (lambda p: optim.SGD([p], lr=float("nan")), ValueError, "lr"),
        (lambda p: optim.SGD([p], momentum=-1), ValueError, "momentum"),
        (lambda p: optim.SGD([p], weight_decay=-1), ValueError, "weight_decay"),
        (lambda p: optim.SGD([p], nesterov=True), ValueError, "nesterov"),
        (lambda p: optim.SGD([p], nesterov=True, momentum=0.9, dampening=0.1), ValueError, "nesterov"),
        (lambda p: optim.SGD([{"params": [p], "lr": -1}]), ValueError, "lr"),
        (lambda p: optim.Adam([p], lr=-1), ValueError, "lr"),
        (lambda p: optim.Adam([p], betas=(0.9, 1.0)), ValueError, "betas"),
        (lambda p: optim.Adam([p], betas=(-0.1, 0.9)), ValueError, "betas"),
        (lambda p: optim.Adam([p], betas=(0.9,)), ValueError, "betas"),
        (lambda p: optim.Adam([p], eps=-1e-8), ValueError, "eps"),
        (lambda p: optim.Optimizer([p], {}).step(), NotImplementedError, "updated"),
    ],
)
def test_bad_settings_are_refused(make_one, error, words):
    p = nn.Parameter([1.0])
    p.grad = np.ones(1, np.float32)
    with pytest.raises(error, match=words):
        make_one(p)


def changed(state, /, **entries):
    return {**state, **entries}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: [], "entries"),
        (lambda s: {"state": {}}, "entries"),
        (lambda s: changed(s, param_groups=[]), "groups of"),
        (lambda s: changed(s, param_groups=[{**s["param_groups"][0], "params": [0, 1]}]), "groups of"),
        (lambda s: optim.SGD([nn.Parameter([1.0])]).state_dict(), "betas"),
        (lambda s: changed(s, param_groups=[{**s["param_groups"][0], "lr": -1.0}]), "lr"),
        (lambda s: changed(s, state={0: {"momentum_buffer": np.zeros((2, 3))}}), "lacks"),
        (lambda s: changed(s, state={7: {}}), "none of its groups"),
        (lambda s: changed(s, state={0: {**s["state"][0], "exp_avg": np.zeros(3)}}), "shape"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, words):
    p, optimizer = make("Adam", {"lr": 0.05})
    follow(optimizer, p, cases.GRADIENTS[:1])
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=words):
        optimizer.load_state_dict(change(before))
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for key, value in before["state"][0].items():
        np.testing.assert_array_equal(np.asarray(after["state"][0][key]), np.asarray(value))


def test_training_keeps_no_memory():
    import gc
    import tracemalloc

    net = nn.Sequential(nn.Linear(8, 4), nn.Sigmoid(), nn.Dropout(0.2), nn.Linear(4, 2))
    optimizer = optim.Adam(net.parameters())
    loss_of = nn.CrossEntropyLoss()
    x, y = np.ones((5, 8), np.float32), tg.tensor([0, 1, 0, 1, 1])

    def train(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            loss_of(net(x), y).backward()
            optimizer.step()

    gc.collect()
    gc.disable()
    try:
        train(10)
        tracemalloc.start()
        train(200)  # until the interpreter's free lists hold objects that were traced
        before = tracemalloc.get_traced_memory()[0]
        train(100)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        gc.enable()
    assert grown < 4096
