"""T: an epoch of training on 8,000 digits: the network of row A, and the loader that brings its batches shuffled.

Weights are the same for all, orders are not: every library shuffles in its own way, so mean losses agree roughly.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..measure import OURS, ROOT, Workload
from . import mlp

SIZES = mlp.Sizes(784, 30, 10, 10)
RATE = 0.5
COUNT = 8000

#: The folder of MNIST's test files, of which the first 8,000 digits are taken.
DIGITS = Path(os.environ.get("TINYGRAD_NN_MNIST") or ROOT.parent / "shared" / "data" / "mnist10k")
REAL = (DIGITS / "t10k-images-idx3-ubyte.gz").exists()
SOURCE = (
    "8,000 real digits of MNIST" if REAL else "the 1,797 digits of scikit-learn, enlarged to 28×28, repeated to 8,000"
)

EAGER = f"{OURS}, eager"
TRAINER = f"{OURS}, Trainer"
PYTORCH = "PyTorch"


def digits() -> tuple[Any, Any]:
    """8,000 pictures as rows of 784 numbers in [0, 1], and labels as rows of ten."""
    if REAL:
        from tinygrad_nn import data

        x, y = data.mnist(DIGITS, train=False).tensors
        pixels, labels = x.numpy()[:COUNT], y.numpy()[:COUNT]
    else:
        from sklearn.datasets import load_digits

        found = load_digits()
        pictures = np.kron(found.images / 16, np.ones((4, 4)))[:, 2:30, 2:30]
        rows = np.arange(COUNT) % len(pictures)
        pixels, labels = pictures[rows], found.target[rows]
    return pixels.reshape(COUNT, 784).astype(np.float32), np.eye(10, dtype=np.float32)[labels]


def parts() -> tuple[Any, Any, Any, Any]:
    import tinygrad_nn as tg
    from tinygrad_nn import data, nn, optim

    model, _, _, _, _ = mlp.parts(SIZES)
    optimizer = optim.SGD(model.parameters(), lr=RATE)
    tg.manual_seed(0)
    return model, nn.BCELoss(), optimizer, data.DataLoader(data.TensorDataset(*digits()), SIZES.batch, shuffle=True)


def ours(*, compiled: bool) -> Callable[[], Any]:
    import tinygrad_nn as tg

    model, loss_of, optimizer, loader = parts()

    def step(x: Any, y: Any) -> Any:
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    step = tg.compile(step) if compiled else step

    def epoch() -> float:
        total = 0.0
        for x, y in loader:
            total += step(x, y).item()
        return total / len(loader)

    return epoch


def by_trainer() -> Callable[[], Any]:
    from tinygrad_nn import training

    model, loss_of, optimizer, loader = parts()
    trainer = training.Trainer(model, loss_of, optimizer)
    return lambda: trainer.fit(loader, epochs=1, progress=False)["loss"][0]


def torch_eager() -> Callable[[], Any]:
    import torch
    from torch import nn
    from torch.utils import data

    _, _, *weights = mlp.data(SIZES)
    model = nn.Sequential(
        nn.Linear(SIZES.inputs, SIZES.hidden), nn.Sigmoid(), nn.Linear(SIZES.hidden, SIZES.outputs), nn.Sigmoid()
    )
    model.load_state_dict({name: torch.tensor(w) for name, w in zip(model.state_dict(), weights)})
    loss_of = nn.BCELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    loader = data.DataLoader(data.TensorDataset(*map(torch.tensor, digits())), SIZES.batch, shuffle=True)

    def epoch() -> float:
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total / len(loader)

    return epoch


WORKLOADS = [
    Workload(
        key="T",
        title="an epoch of 8,000 digits, MLP 784-30-10 in batches of 10, DataLoader included",
        unit="ms",
        scale=1e3,
        columns={
            OURS: partial(ours, compiled=True),
            EAGER: partial(ours, compiled=False),
            TRAINER: by_trainer,
            PYTORCH: torch_eager,
        },
        at_most={PYTORCH: 0.25},
        rounds=0.5,
        steps_to_agree=3,
        tolerance=0.1,
        note=(f"compiled, but for {EAGER}; {SOURCE}; PyTorch with its DataLoader of a TensorDataset and an eager step"),
    )
]
