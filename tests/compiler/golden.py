"""Three reference graphs, whose source is kept in tests/reference/golden: `python -m tests.compiler.golden`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import tinygrad_nn as tg
from tinygrad_nn import nn, optim

FOLDER = Path(__file__).parents[1] / "reference" / "golden"


def classic():
    """The lessons' network: sigmoid, binary cross-entropy, gradient descent."""
    model = nn.Sequential(nn.Linear(784, 30), nn.Sigmoid(), nn.Linear(30, 10), nn.Sigmoid())
    criterion, optimizer = nn.BCELoss(), optim.SGD(model.parameters(), lr=0.5)

    @tg.compile
    def step(x, y):
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    step(tg.zeros((10, 784), dtype=np.float32), tg.zeros((10, 10), dtype=np.float32))
    return step


def modern():
    """ReLU, dropout, cross-entropy and Adam, gradients kept."""
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 3))
    optimizer = optim.Adam(net.parameters(), lr=0.01)

    @tg.compile
    def step(x, labels):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    step(tg.zeros((5, 6), dtype=np.float32), tg.zeros(5, dtype=np.int64))
    return step


def large():
    """An elementwise function of a million elements, in pieces."""

    def energy(x):
        return tg.sum(tg.tanh(x) * tg.sigmoid(x) + tg.exp(-(x**2)))

    gradient = tg.compile(tg.value_and_grad(energy))
    gradient(np.zeros(1_000_000, np.float32))
    return gradient


PROGRAMS = {"classic": classic, "modern": modern, "large": large}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, build in PROGRAMS.items():
        (FOLDER / f"{name}.txt").write_text(build().source, encoding="utf-8")
