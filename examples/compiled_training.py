"""Train a network of 784, 30 and 10 units twice, as it is and compiled, and then once more without the library.

The digits that come with scikit-learn are enlarged to 28×28 pixels. Both runs see the same batches in the same order;
the losses must agree, and the times per step are printed. The compiled step is then saved as a module of its own, which
a new process imports and trains with, NumPy being all it has.

Run it with ``python examples/compiled_training.py``; ``--help`` lists the settings.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim

#: What the new process runs: one more epoch with the saved step, without this library.
ALONE = """
import sys
import numpy as np
from step import state, step

batches = np.load("batches.npz")
losses = [step(x, y) for x, y in zip(batches["pixels"], batches["targets"])]
assert "tinygrad_nn" not in sys.modules
np.savez("learned.npz", losses=losses, W1=state["W1"])
"""


def load():
    """1,790 digits as rows of 784 numbers in [0, 1], with targets: 1 for the digit that it is, 0 for the others."""
    digits = load_digits()
    enlarged = np.kron(digits.images, np.ones((4, 4)))[:, 2:30, 2:30]  # from 8×8 to 32×32, of which the middle 28×28
    pixels = (enlarged / 16).reshape(-1, 784).astype(np.float32)
    return pixels[:1790], np.eye(10, dtype=np.float32)[digits.target[:1790]]


def make(seed):
    """A network, and a function that takes one step of learning."""
    generator = tg.random.default_rng(seed)
    network = nn.Sequential(
        nn.Linear(784, 30, generator=generator),
        nn.Sigmoid(),
        nn.Linear(30, 10, generator=generator),
        nn.Sigmoid(),
    )
    loss_of = nn.BCELoss()
    optimizer = optim.SGD(network.parameters(), lr=5.0)

    def step(x, y):
        loss = loss_of(network(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()  # at the end, so that compiled, no gradient needs to be stored
        return loss

    return network, step


def train(step, batches):
    """The loss of each step, and the seconds that a step took, without the first, which records if compiled."""
    losses, times = [], []
    for x, y in batches:
        start = time.perf_counter()
        losses.append(step(x, y))
        times.append(time.perf_counter() - start)
    return np.array([loss.item() for loss in losses]), times[0], float(np.median(times[1:]))


def run_alone(compiled, batches, folder):
    """Save the step, let a new process train with it, and return its losses and first weights."""
    compiled.save(folder / "step.py")
    pixels, targets = (np.stack([x.numpy() for x in part]) for part in zip(*batches))
    np.savez(folder / "batches.npz", pixels=pixels, targets=targets)
    (folder / "alone.py").write_text(ALONE, encoding="utf-8")
    subprocess.run([sys.executable, "alone.py"], cwd=folder, check=True)
    with np.load(folder / "learned.npz") as learned:
        return learned["losses"], learned["W1"]


def main(arguments=None):
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description="Train a network as it is and compiled, and compare.")
    parser.add_argument("--epochs", type=int, default=10, help="passes through the digits (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="for the first weights (default: 0)")
    settings = parser.parse_args(arguments)
    if settings.epochs < 1:
        parser.error("--epochs must be at least 1")

    pixels, targets = load()
    order = tg.random.default_rng(settings.seed)
    loader = data.DataLoader(data.TensorDataset(pixels, targets), batch_size=10, shuffle=True, generator=order)
    batches = [batch for _ in range(settings.epochs) for batch in loader]

    _, eager_step = make(settings.seed)
    network, step = make(settings.seed)
    compiled_step = tg.compile(step)
    eager_losses, _, eager_time = train(eager_step, batches)
    losses, first, compiled_time = train(compiled_step, batches)
    np.testing.assert_allclose(losses, eager_losses, rtol=1e-2)
    difference = np.max(np.abs(losses / eager_losses - 1))
    print(f"as it is      {eager_time * 1e6:6.0f} µs a step, last losses {eager_losses[-100:].mean():.5f} on average")
    print(f"compiled      {compiled_time * 1e6:6.0f} µs a step, last losses {losses[-100:].mean():.5f} on average")
    print(f"the first compiled step, which records, took {first * 1e3:.0f} ms")
    print(f"the losses of all {len(losses)} steps agree to {difference:.0e} of themselves")

    with tg.no_grad():
        right = (network(pixels).argmax(axis=1).numpy() == targets.argmax(axis=1)).mean()
    print(f"{right:.2%} of the digits that it learned from are read right")
    assert right > 0.9

    with tempfile.TemporaryDirectory() as name:
        more = batches[: len(loader)]
        alone_losses, alone_weights = run_alone(compiled_step, more, Path(name))
        losses, _, _ = train(compiled_step, more)
        np.testing.assert_allclose(alone_losses, losses, rtol=1e-4)
        np.testing.assert_allclose(alone_weights, network[0].weight.numpy(), rtol=1e-3, atol=1e-5)
    print(f"step.py, which imports only NumPy, went through {len(more)} more steps alone, with the same losses")
    return compiled_time / eager_time


if __name__ == "__main__":
    main()
