"""Frames of modules in drawings: what lies in them, how they nest, and how they fold."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4, 3)
        self.act = nn.Sigmoid()
        self.fc2 = nn.Linear(3, 2)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x, h):
        return tg.tanh(self.inner(x) + h)


class Unrolled(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = Cell()

    def forward(self, xs):
        h = tg.zeros((1, 2), dtype=tg.float32)
        states = []
        for x in xs:
            h = self.cell(x, h)
            states.append(h)
        return h, tuple(states)


@pytest.fixture
def batch():
    return tg.tensor(np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4))


def frames(drawing):
    """For each card, the labels of the frames around it, from the outside."""
    graph = drawing._graph
    return {
        box.name: [graph.calls[call].label for call in reversed(graph.around(box.call))] for box in graph.boxes
    }  # fmt: skip


def trained(batch):
    """A function that draws the loss of a step where variables hold the net and what it computed."""
    net, criterion = Net(), nn.CrossEntropyLoss()
    labels = tg.tensor(np.array([0, 1, 1, 0, 1]))
    logits = net(batch)
    loss = criterion(logits, labels)
    loss.backward()
    return lambda **settings: (net, criterion, labels, batch, logits) and tg.draw(loss, **settings)


def test_each_module_has_its_frame_with_its_parameters_inside(batch):
    draw = trained(batch)
    found = frames(draw())
    assert found["fc1.weight"] == found["fc1.bias"] == found["v₁"] == ["net: Net", "fc1: Linear(4, 3)"]
    assert found["v₂"] == ["net: Net", "act: Sigmoid"]
    assert found["logits"] == ["net: Net", "fc2: Linear(3, 2)"]
    assert found["loss"] == ["criterion: CrossEntropyLoss"]
    assert found["batch"] == found["labels"] == []


def test_the_picture_has_the_frames(batch, tmp_path):
    draw = trained(batch)
    svg = draw().save(tmp_path / "net.svg").read_text("utf-8")
    for label in ("net: Net", "fc1: Linear(4, 3)", "act: Sigmoid", "criterion: CrossEntropyLoss"):
        assert f">{label}<" in svg
    assert svg.count('class="cluster"') == 5


def test_depth_folds_modules(batch):
    draw = trained(batch)
    closed = draw(depth=0)
    assert [box.heading for box in closed.nodes if box.kind == "module"] == ["net: Net", "criterion: CrossEntropyLoss"]
    box = next(box for box in closed.nodes if box.title == "net: Net")
    assert box.notes == ["2× linear, sigmoid", "4 parameters, 23 numbers"]
    assert [result.name for result in box.results] == ["logits"]
    assert box.results[0].gradient.shape == (5, 2)
    assert [(edge.source, edge.target) for edge in closed.edges] == [
        ("n5", "n8"), ("n8", "n10"), ("n9", "n10"),
    ]  # fmt: skip
    half = draw(depth=1)
    assert [box.heading for box in half.nodes if box.kind == "module"] == [
        "fc1: Linear(4, 3)", "act: Sigmoid", "fc2: Linear(3, 2)",
    ]  # fmt: skip
    assert {box.id for box in draw(depth=2).nodes} == {box.id for box in draw().nodes}


@pytest.mark.parametrize("depth", [-1, 1.0, True, "1"])
def test_depth_must_be_a_count(batch, depth):
    y = Net()(batch).sum()
    with pytest.raises(ValueError, match="depth"):
        tg.draw(y, depth=depth)


def test_a_cell_called_again_and_again_has_a_frame_for_each_call_and_its_parameters_once():
    unrolled = Unrolled()
    xs = [tg.tensor(np.full((1, 2), k, np.float32)) for k in range(3)]
    last, states = unrolled(xs)
    loss = last.sum() + states[0].sum()
    loss.backward()
    drawing = tg.draw(loss)
    graph = drawing._graph
    assert [call.label for call in graph.calls].count("cell: Cell") == 3
    assert [call.label for call in graph.calls].count("unrolled: Unrolled") == 1
    assert [call.level for call in graph.calls if call.label == "cell.inner: Linear(2, 2)"] == [3, 3, 3]
    assert [box.name for box in graph.boxes if box.kind == "parameter"] == ["cell.inner.weight", "cell.inner.bias"]
    assert frames(drawing)["cell.inner.weight"] == ["unrolled: Unrolled"]
    assert [box.name for box in graph.boxes if box.kind == "constant" and box.name.startswith("xs")] == [
        "xs[0]", "xs[1]", "xs[2]",
    ]  # fmt: skip
    folded = tg.draw(loss, depth=0)
    box = next(box for box in folded.nodes if box.kind == "module")
    assert len(box.results) == 2  # the first and the last state go on
    assert f"{box.id}:r1" in folded.source


def test_a_mask_is_drawn_inside_the_module_that_made_it():
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    y = net(tg.ones((3, 2), dtype=tg.float32)).sum()
    drawing = tg.draw(y)
    data, mask = (box for box in drawing.nodes if box.kind == "constant")
    assert (frames(drawing)[data.name], frames(drawing)[mask.name]) == ([], ["net: Sequential", "1: Dropout"])


def test_parameters_in_a_sequential_are_not_called_by_numbers_alone():
    net = nn.Sequential(nn.Linear(2, 1))
    y = net(tg.ones((1, 2), dtype=tg.float32))
    assert tg.draw(y).nodes[-1].title == f"{tg.draw(y).nodes[2].name}·net.0.weightᵀ + net.0.bias"


def test_two_modules_with_the_same_paths_are_told_apart():
    hidden, output = nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)
    y = output(hidden(tg.ones((1, 2), dtype=tg.float32)))
    names = [box.name for box in tg.draw(y).nodes if box.kind == "parameter"]
    assert names == ["hidden.weight", "output.weight"]


def test_settings_that_are_no_defaults_are_told():
    layer = nn.Sequential(nn.Linear(2, 2, bias=False), nn.LeakyReLU(0.2))
    y = layer(tg.ones((1, 2), dtype=tg.float32))
    labels = [call.label for call in tg.draw(y)._graph.calls]
    assert labels == ["layer: Sequential", "0: Linear(2, 2, bias=False)", "1: LeakyReLU(negative_slope=0.2)"]


def test_a_module_that_gives_its_input_back_has_no_frame():
    class Identity(nn.Module):
        def forward(self, x):
            return x

    x = tg.tensor(2.0, requires_grad=True)
    y = Identity()(x * x) + 1
    assert tg.draw(y)._graph.calls == []


def test_a_module_that_no_variable_holds():
    y = nn.Linear(2, 1)(tg.ones((1, 2), dtype=tg.float32))
    drawing = tg.draw(y)
    assert [call.label for call in drawing._graph.calls] == ["Linear(2, 1)"]
    assert [box.name for box in drawing.nodes if box.kind == "parameter"] == ["weight", "bias"]


def test_strangers_in_the_variables_do_no_harm():
    class Half(nn.Module):
        def __init__(self):
            pass  # not set up: whoever lists its parameters fails

    class Stranger:
        @property
        def __class__(self):
            raise RuntimeError("asked for my class")

        def __getattr__(self, name):
            raise RuntimeError(f"asked for {name}")

    half, stranger, recursive = Half(), Stranger(), []
    recursive.append(recursive)
    x = tg.tensor(2.0, requires_grad=True)
    y = x * x
    assert tg.draw(y).nodes[-1].heading == "y = x·x"
    del half, stranger, recursive


def test_a_deep_network_is_folded_by_modules_first(tmp_path):
    net = nn.Sequential(*[nn.Sequential(nn.Linear(2, 2), nn.Tanh()) for _ in range(60)])
    loss = (net(tg.ones((1, 2), dtype=tg.float32)) ** 2).sum()
    loss.backward()
    drawing = tg.draw(loss)
    assert sum(box.kind == "operation" for box in drawing.nodes) == 122
    svg = drawing.save(tmp_path / "deep.svg").read_text("utf-8")
    assert "folded are modules at depth 2" in svg or "folded are modules at depth 1" in svg
    assert svg.count("Tanh") > 0


def test_modules_nested_deeper_than_the_recursion_limit(tmp_path):
    class Shell(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x) * 1.5

    module = nn.Linear(1, 1)
    for _ in range(60):
        module = Shell(module)
    y = module(tg.ones((1, 1), dtype=tg.float32))
    assert max(call.level for call in tg.draw(y)._graph.calls) == 61
    assert "cluster_60" in tg.draw(y).source
