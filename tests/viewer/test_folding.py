"""Large graphs: what is folded, what the text lists, and names of any length."""

import re

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn
from tinygrad_nn.viewer.drawing import fold


def test_more_stays_near_the_result_than_near_the_beginning():
    x = tg.tensor(1.5, requires_grad=True, name="x")
    y = x
    for _ in range(600):
        y = tg.sin(y)
    edges = re.findall(r"^\t(\w+)(?::\w+)? -> (\w+)", tg.draw(y).source, re.MULTILINE)
    after = dict(edges)
    (first,) = after.keys() - set(after.values())
    chain = [first]
    while chain[-1] in after:
        chain.append(after[chain[-1]])
    place = next(i for i, name in enumerate(chain) if int(name[1:]) != i + 1)  # numbered as they were made
    assert len(chain) == 1 + fold.KEPT + 1
    assert place == 1 + fold.KEPT // 3


def test_the_text_lists_inputs_before_what_uses_them(tmp_path):
    a, b = tg.tensor(2.0, requires_grad=True, name="a"), tg.tensor(3.0, requires_grad=True, name="b")
    net = nn.Linear(1, 1)
    y = net(tg.reshape(a * b, shape=(1, 1)))
    tg.draw(y).save(tmp_path / "y.txt")
    lines = (tmp_path / "y.txt").read_text(encoding="utf-8").splitlines()
    places = {name: next(i for i, line in enumerate(lines) if line.strip().startswith(name)) for name in ("a", "b")}
    weight = next(i for i, line in enumerate(lines) if "weight" in line)
    product = next(i for i, line in enumerate(lines) if "a·b" in line or "a × b" in line or "multiply" in line)
    assert places["a"] < places["b"] < product < weight


@pytest.mark.parametrize("suffix", [".svg", ".dot", ".html", ".txt", ".json"])
def test_names_of_any_length(tmp_path, suffix):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            setattr(self, "m" * 10_000, nn.Linear(2, 2))

        def forward(self, x):
            return getattr(self, "m" * 10_000)(x)

    x = tg.tensor([1.0, 2.0], name="n" * 20_000)
    tg.draw(Net()(x)).save(tmp_path / f"y{suffix}")
    assert (tmp_path / f"y{suffix}").stat().st_size > 100
    assert np.isfinite(x.numpy()).all()
