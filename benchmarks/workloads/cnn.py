"""D, E: one training step of a small convolutional network on a fixed batch, eager and compiled, float32.

Pictures of 28×28 → 20 filters of 5×5 → ReLU → largest of 2×2 → 100 units, ReLU → 10 classes, cross-entropy, SGD.
Weights and batch are the same for all. Every step returns its loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ..measure import OURS, Setup, Workload
from .compiled import EAGER, KEPT, STEP_NOTE, training_step
from .mlp import RATE, Ours

FILTERS, WINDOW, HIDDEN, CLASSES = 20, 5, 100, 10
POOLED = (28 - WINDOW + 1) // 2


def data(batch: int) -> tuple[Any, ...]:
    """Pictures, labels, and the parameters in the order of the layers, with PyTorch's shapes."""
    rng = np.random.default_rng(0)

    def start(*shape: int) -> Any:
        bound = np.prod(shape[1:]) ** -0.5
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    x = rng.random((batch, 1, 28, 28), dtype=np.float32)
    y = rng.integers(0, CLASSES, batch)
    features = FILTERS * POOLED**2
    weights = start(FILTERS, 1, WINDOW, WINDOW), start(HIDDEN, features), start(CLASSES, HIDDEN)
    biases = (np.zeros(len(w), np.float32) for w in weights)
    return x, y, *(part for pair in zip(weights, biases) for part in pair)


def layers(nn: Any) -> Any:
    """The network, from our `nn` or PyTorch's."""
    return nn.Sequential(
        nn.Conv2d(1, FILTERS, WINDOW),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(FILTERS * POOLED**2, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, CLASSES),
    )


def parts(batch: int) -> Ours:
    import tinygrad_nn as tg
    from tinygrad_nn import nn, optim

    x, y, *weights = data(batch)
    model = layers(nn)
    model.load_state_dict(dict(zip(model.state_dict(), weights)))
    return Ours(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=float(RATE)), tg.tensor(x), tg.tensor(y))


def ours(batch: int) -> Callable[[], Any]:
    model, loss_of, optimizer, x, y = parts(batch)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def compiled(batch: int, *, keep_gradients: bool = False) -> Callable[[], Any]:
    import tinygrad_nn as tg

    made = parts(batch)
    step = tg.compile(training_step(made, keep_gradients=keep_gradients))
    return lambda: step(made.x, made.y)


def numpy_plain(batch: int) -> Callable[[], Any]:
    x, y, w1, b1, w2, b2, w3, b3 = data(batch)
    ones = np.eye(CLASSES, dtype=np.float32)[y]
    inner = 28 - WINDOW + 1

    def step() -> Any:
        nonlocal w1, b1, w2, b2, w3, b3
        windows = np.lib.stride_tricks.sliding_window_view(x[:, 0], (WINDOW, WINDOW), (1, 2))
        columns = windows.transpose(0, 3, 4, 1, 2).reshape(batch, WINDOW**2, inner**2)
        z1 = w1.reshape(FILTERS, -1) @ columns + b1[:, None]
        a1 = np.maximum(z1, 0).reshape(batch, FILTERS, POOLED, 2, POOLED, 2)
        peaks = a1.max((3, 5), keepdims=True)
        flat = peaks.reshape(batch, -1)
        z2 = flat @ w2.T + b2
        a2 = np.maximum(z2, 0)
        scores = a2 @ w3.T + b3
        shifted = scores - scores.max(1, keepdims=True)
        sums = np.exp(shifted).sum(1, keepdims=True)
        loss = np.mean(np.log(sums[:, 0]) - shifted[np.arange(batch), y])
        d3 = (np.exp(shifted) / sums - ones) / np.float32(batch)
        d2 = (d3 @ w3) * (z2 > 0)
        d1 = (d2 @ w2).reshape(peaks.shape)
        chosen = a1 == peaks
        d1 = (chosen * (d1 / chosen.sum((3, 5), keepdims=True, dtype=np.float32))).reshape(z1.shape) * (z1 > 0)
        w3 = w3 - RATE * (d3.T @ a2)
        b3 = b3 - RATE * d3.sum(0)
        w2 = w2 - RATE * (d2.T @ flat)
        b2 = b2 - RATE * d2.sum(0)
        w1 = w1 - RATE * (d1 @ columns.transpose(0, 2, 1)).sum(0).reshape(w1.shape)
        b1 = b1 - RATE * d1.sum((0, 2))
        return loss

    return step


def torch_eager(batch: int) -> Callable[[], Any]:
    import torch
    from torch import nn

    x, y, *weights = data(batch)
    model = layers(nn)
    model.load_state_dict({name: torch.tensor(w) for name, w in zip(model.state_dict(), weights)})
    loss_of = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=float(RATE))
    xs, ys = torch.tensor(x), torch.tensor(y)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(xs), ys)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def jax_jit(batch: int) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp
    from jax import lax

    x, y, *weights = map(jnp.asarray, data(batch))

    def loss_of(weights: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = weights
        z1 = lax.conv_general_dilated(x, w1, (1, 1), "VALID") + b1[:, None, None]
        a1 = jax.nn.relu(z1)
        peaks = lax.reduce_window(a1, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        a2 = jax.nn.relu(peaks.reshape(batch, -1) @ w2.T + b2)
        scores = jax.nn.log_softmax(a2 @ w3.T + b3)
        return -jnp.mean(scores[jnp.arange(batch), y])

    @jax.jit
    def update(weights: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(weights)
        return [w - RATE * g for w, g in zip(weights, grads)], loss

    def step() -> Any:
        nonlocal weights
        weights, loss = update(weights)
        return loss.block_until_ready()

    return step


PEERS: dict[str, Callable[[int], Callable[[], Any]]] = {
    "NumPy": numpy_plain,
    "PyTorch": torch_eager,
    "JAX jit": jax_jit,
}


def row(key: str, batch: int, columns: Mapping[str, Callable[[int], Callable[[], Any]]], **settings: Any) -> Workload:
    made: dict[str, Setup] = {name: partial(setup, batch) for name, setup in (*columns.items(), *PEERS.items())}
    return Workload(
        key=key,
        title=f"training step, CNN 28×28 – 20 filters 5×5 – max 2×2 – 100 – 10, batch {batch}"
        + (", compiled" if "compiled" in key else ""),
        unit="µs",
        scale=1e6,
        columns=made,
        steps_to_agree=5,
        tolerance=1e-3,
        **settings,
    )


COMPILED: dict[str, Callable[[int], Callable[[], Any]]] = {
    OURS: compiled,
    KEPT: partial(compiled, keep_gradients=True),
    EAGER: ours,
}

WORKLOADS = [
    row("D", 10, {OURS: ours}),
    row("E", 64, {OURS: ours}),
    row("D compiled", 10, COMPILED, at_most={"PyTorch": 0.9, "JAX jit": 0.7}, note=STEP_NOTE),
    row("E compiled", 64, COMPILED, at_most={"PyTorch": 1.15, "JAX jit": 0.65}, note=STEP_NOTE),
]
