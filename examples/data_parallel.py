"""Train on eight devices at once: one step, compiled for JAX, on eight parts of every batch.

The devices are eight pretended ones of the processor, so that this runs anywhere; on a machine with several GPUs leave
out the two lines that ask for them. The network learns to tell ten noisy 8×8 patterns apart, on one device and on
eight, and both end with the same parameters, to rounding.

Run it with ``python examples/data_parallel.py``. It needs ``pip install "tinygrad_nn[jax]"``.
"""

import time

import jax
import numpy as np

import tinygrad_nn as tg
from tinygrad_nn import nn, optim

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)

BATCH = 128  # a multiple of the number of devices


def make_data(count, seed):
    """Pictures of 64 pixels, each one of ten patterns and noise, and which pattern it is."""
    patterns = np.random.default_rng(0).uniform(-1, 1, (10, 64))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    return (patterns[labels] + rng.normal(0, 1.2, (count, 64))).astype(np.float32), labels


def make_network():
    """64 pixels, 64 hidden units, 10 scores; the same first weights every time."""
    generator = tg.random.default_rng(0)
    return nn.Sequential(nn.Linear(64, 64, generator=generator), nn.ReLU(), nn.Linear(64, 10, generator=generator))


def train(pictures, labels, epochs, mesh=None):
    """A trained network; with a mesh each device computes the gradients of its part of the batch."""
    network = make_network()
    optimizer = optim.Adam(network.parameters(), lr=0.003)

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        return loss

    fast = tg.compile(step, target="jax", mesh=mesh)
    for _ in range(epochs):
        for start in range(0, len(labels), BATCH):
            fast(pictures[start : start + BATCH], labels[start : start + BATCH])
    return network


def main(epochs=5):
    """Train twice, compare, report; returns the largest difference between parameters."""
    mesh = jax.make_mesh((8,), ("batch",))
    pictures, labels = make_data(40 * BATCH, seed=1)
    started = time.perf_counter()
    one = train(pictures, labels, epochs)
    many = train(pictures, labels, epochs, mesh)
    difference = max(abs(a.numpy() - b.numpy()).max() for a, b in zip(one.parameters(), many.parameters()))
    assert difference < 1e-3, f"parameters differ by {difference}"
    unseen, truth = make_data(1000, seed=2)
    with tg.no_grad():
        right = (many(tg.tensor(unseen)).numpy().argmax(axis=1) == truth).mean()
    assert right > 0.9, f"only {right:.1%} of unseen patterns were recognized"
    print(
        f"{mesh.size} devices recognize {right:.1%} of unseen patterns; parameters are those of one device to "
        f"{difference:.0e}, after {time.perf_counter() - started:.1f} s"
    )
    return difference


if __name__ == "__main__":
    main()
