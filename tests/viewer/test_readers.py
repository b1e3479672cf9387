"""One recorded graph through every reader: backwards, forwards, drawn, replayed. All agree, and none changes it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn.autodiff.forward import push_forward
from tinygrad_nn.testing import replay, strategies

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def record(program):
    inputs = [tg.tensor(x, requires_grad=True, name=f"x{i}") for i, x in enumerate(program.inputs)]
    return inputs, program(*inputs)


def reverse(inputs, out, u):
    for x in inputs:
        x.grad = None
    out.backward(u, retain_graph=True)
    return [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in inputs]


def forward(inputs, out, tangents):
    """Along the graph that is there, not along a new one."""
    seeds = {x._node: np.asarray(t)[()] for x, t in zip(inputs, tangents, strict=True)}
    pushed = push_forward([out._node], seeds, 0)
    return np.asarray(pushed.get(out._node, 0.0))


def drawn(drawing):
    """Value and gradient of every result by name."""
    results = [result for box in drawing.nodes for result in box.results]
    return {r.name: (r.value.numbers, r.gradient and r.gradient.numbers) for r in results}


@given(program=strategies.graphs(max_steps=8), seed=st.integers(0, 1000))
def test_all_readers_agree(program, seed):
    rng = np.random.default_rng(seed)
    inputs, out = record(program)
    out = out * 2 + out  # never a leaf, and used twice at the end
    assert replay([out])[0] == pytest.approx(out.numpy(), rel=1e-15)
    before = drawn(tg.draw(out))
    u = rng.normal(size=out.shape)
    tangents = [rng.normal(size=x.shape)[()] for x in inputs]
    gradients = reverse(inputs, out, u)

    # backwards and forwards
    ahead = np.sum(forward(inputs, out, tangents) * u)
    np.testing.assert_allclose(ahead, sum(np.sum(g * t) for g, t in zip(gradients, tangents, strict=True)), **CLOSE)

    # drawn: the same values as before the pass, and the gradients that the pass found
    after = drawn(tg.draw(out))
    assert {name: value for name, (value, _) in after.items()} == {name: value for name, (value, _) in before.items()}
    for x, gradient in zip(inputs, gradients, strict=True):
        if x.name in after and x.grad is not None:
            assert np.array_equal(after[x.name][0], x.numpy())
            np.testing.assert_allclose(after[x.name][1], gradient, **CLOSE)

    # replayed on other inputs: what the program gives there
    moved = [x + rng.normal(size=x.shape) * 0.1 for x in program.inputs]
    expected = 3 * program(*moved)
    np.testing.assert_allclose(replay([out], dict(zip(inputs, moved, strict=True)))[0], expected, rtol=1e-12)

    # and all once more, in another order: no reader changed what it read
    assert drawn(tg.draw(out)).keys() == after.keys()
    assert replay([out])[0] == pytest.approx(out.numpy(), rel=1e-15)
    assert np.sum(forward(inputs, out, tangents) * u) == ahead
    assert all(np.array_equal(a, b) for a, b in zip(reverse(inputs, out, u), gradients, strict=True))


@given(program=strategies.graphs(max_steps=8, max_side=0))
def test_a_drawing_of_numbers_adds_up(program):
    """What flows back along the edges into a box is its gradient: the chain rule, read off the picture."""
    inputs, out = record(program)
    out = out * 1.5
    out.backward(retain_graph=True)
    drawing = tg.draw(out)
    arriving = {box.id: [] for box in drawing.nodes}
    for edge in drawing.edges:
        if edge.differentiable and edge.contribution is not None:
            arriving[edge.source].append(edge.contribution)
    for box in drawing.nodes:
        (result,) = box.results
        if result.gradient is not None and not result.is_root and arriving[box.id]:
            np.testing.assert_allclose(sum(arriving[box.id]), result.gradient.numbers, **CLOSE)
    on_the_way = {box.op for box in drawing.nodes if box.op}
    assert "multiply" in on_the_way
    for x in inputs:
        if x.grad is not None:
            assert sum(len(v) for v in arriving.values()) > 0


def test_the_lesson():
    """J = 3(a + bc) in every reader."""
    a, b, c = (tg.tensor(x, requires_grad=True, name=name) for x, name in ((5.0, "a"), (3.0, "b"), (2.0, "c")))
    u = b * c
    v = a + u
    J = 3 * v
    assert replay([J, v, u]) == [33.0, 11.0, 6.0]
    assert replay([J], {b: 3.001}) == [pytest.approx(33.006)]
    assert forward([a, b, c], J, [0.0, 1.0, 0.0]) == 6.0
    assert reverse([a, b, c], J, 1.0) == [3.0, 6.0, 9.0]
    told = drawn(tg.draw(J))
    assert {name: told[name] for name in "abcuvJ"} == {
        "a": (5.0, 3.0), "b": (3.0, 6.0), "c": (2.0, 9.0), "u": (6.0, 3.0), "v": (11.0, 3.0), "J": (33.0, 1.0),
    }  # fmt: skip


def test_a_network_in_every_reader():
    rng = np.random.default_rng(0)
    tg.manual_seed(0)
    model = tg.nn.Sequential(tg.nn.Linear(3, 4), tg.nn.Tanh(), tg.nn.Linear(4, 2)).double()
    data, labels = rng.normal(size=(5, 3)), np.array([0, 1, 1, 0, 1])
    parameters = dict(model.named_parameters())
    loss = tg.nn.functional.cross_entropy(model(tg.tensor(data)), labels)
    assert replay([loss])[0] == pytest.approx(loss.item(), rel=1e-14)
    loss.backward(retain_graph=True)
    direction = {name: rng.normal(size=p.shape) for name, p in parameters.items()}
    slope = sum(np.sum(p.grad.numpy() * direction[name]) for name, p in parameters.items())
    ahead = forward(list(parameters.values()), loss, list(direction.values()))
    np.testing.assert_allclose(ahead, slope, **CLOSE)
    there, back = (
        replay([loss], {p: p.numpy() + step * direction[name] for name, p in parameters.items()})[0]
        for step in (1e-5, -1e-5)
    )
    np.testing.assert_allclose((there - back) / 2e-5, slope, rtol=1e-6)
    held = {box.results[0].name: box.results[0] for box in tg.draw(loss).nodes if box.kind == "parameter"}
    assert len(held) == 4
    gradients = [np.asarray(r.gradient.numbers) for r in held.values()]
    for p in parameters.values():
        assert any(g.shape == p.shape and np.allclose(g, p.grad.numpy()) for g in gradients)
