"""A, B, C: one training step of a two-layer network on a fixed batch: sigmoid, binary cross-entropy, SGD, float32.

Weights and batch are the same for all. Every step returns its loss, and by-hand columns compute it too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..measure import OURS, Workload

RATE = np.float32(0.01)


class Sizes(NamedTuple):
    inputs: int
    hidden: int
    outputs: int
    batch: int


def data(sizes: Sizes) -> tuple[Any, ...]:
    """Batch, targets, weights and biases: (out, in) as `Linear` has them."""
    rng = np.random.default_rng(0)
    x = rng.random((sizes.batch, sizes.inputs), dtype=np.float32)
    y = np.eye(sizes.outputs, dtype=np.float32)[rng.integers(0, sizes.outputs, sizes.batch)]
    w1 = rng.standard_normal((sizes.hidden, sizes.inputs), dtype=np.float32) / np.float32(sizes.inputs**0.5)
    w2 = rng.standard_normal((sizes.outputs, sizes.hidden), dtype=np.float32) / np.float32(sizes.hidden**0.5)
    return x, y, w1, np.zeros(sizes.hidden, np.float32), w2, np.zeros(sizes.outputs, np.float32)


class Ours(NamedTuple):
    """What a training step of ours is made of."""

    model: Any
    loss_of: Any
    optimizer: Any
    x: Any
    y: Any


def parts(sizes: Sizes) -> Ours:
    import tinygrad_nn as tg
    from tinygrad_nn import nn, optim

    x, y, *weights = data(sizes)
    model = nn.Sequential(
        nn.Linear(sizes.inputs, sizes.hidden), nn.Sigmoid(), nn.Linear(sizes.hidden, sizes.outputs), nn.Sigmoid()
    )
    model.load_state_dict(dict(zip(model.state_dict(), weights)))
    optimizer = optim.SGD(model.parameters(), lr=float(RATE))
    return Ours(model, nn.BCELoss(), optimizer, tg.tensor(x), tg.tensor(y))


def ours(sizes: Sizes) -> Callable[[], Any]:
    model, loss_of, optimizer, xs, ys = parts(sizes)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(xs), ys)
        loss.backward()
        optimizer.step()
        return loss

    return step


def torch_eager(sizes: Sizes) -> Callable[[], Any]:
    import torch
    from torch import nn

    x, y, *weights = data(sizes)
    model = nn.Sequential(
        nn.Linear(sizes.inputs, sizes.hidden), nn.Sigmoid(), nn.Linear(sizes.hidden, sizes.outputs), nn.Sigmoid()
    )
    model.load_state_dict({name: torch.tensor(w) for name, w in zip(model.state_dict(), weights)})
    loss_of = nn.BCELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=float(RATE))
    xs, ys = torch.tensor(x), torch.tensor(y)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(xs), ys)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def numpy_plain(sizes: Sizes) -> Callable[[], Any]:
    x, y, w1, b1, w2, b2 = data(sizes)
    count = np.float32(1 / y.size)

    def step() -> Any:
        nonlocal w1, b1, w2, b2
        a1 = 1 / (1 + np.exp(-(x @ w1.T + b1)))
        a2 = 1 / (1 + np.exp(-(a1 @ w2.T + b2)))
        loss = -np.mean(y * np.log(a2) + (1 - y) * np.log(1 - a2))
        dz2 = (a2 - y) * count
        dz1 = (dz2 @ w2) * a1 * (1 - a1)
        w2 = w2 - RATE * (dz2.T @ a1)
        b2 = b2 - RATE * dz2.sum(0)
        w1 = w1 - RATE * (dz1.T @ x)
        b1 = b1 - RATE * dz1.sum(0)
        return loss

    return step


def numpy_buffers(sizes: Sizes) -> Callable[[], Any]:
    x, y, w1, b1, w2, b2 = data(sizes)
    count = np.float32(1 / y.size)
    a1, s1, dz1 = (np.empty((sizes.batch, sizes.hidden), np.float32) for _ in range(3))
    a2, s2, t2, dz2 = (np.empty((sizes.batch, sizes.outputs), np.float32) for _ in range(4))
    dw1, db1, dw2, db2 = (np.empty_like(w) for w in (w1, b1, w2, b2))
    not_y = 1 - y
    one = np.float32(1)

    def layer(source: Any, w: Any, b: Any, a: Any) -> None:
        np.matmul(source, w.T, out=a)
        np.add(a, b, out=a)
        np.negative(a, out=a)
        np.exp(a, out=a)
        np.add(a, one, out=a)
        np.reciprocal(a, out=a)

    def descend(w: Any, dw: Any) -> None:
        np.multiply(dw, RATE, out=dw)
        np.subtract(w, dw, out=w)

    def step() -> Any:
        layer(x, w1, b1, a1)
        layer(a1, w2, b2, a2)
        np.log(a2, out=s2)
        np.multiply(s2, y, out=s2)
        np.subtract(one, a2, out=t2)
        np.log(t2, out=t2)
        np.multiply(t2, not_y, out=t2)
        np.add(s2, t2, out=s2)
        loss = -s2.sum() * count
        np.subtract(a2, y, out=dz2)
        np.multiply(dz2, count, out=dz2)
        np.matmul(dz2, w2, out=dz1)
        np.multiply(dz1, a1, out=dz1)
        np.subtract(one, a1, out=s1)
        np.multiply(dz1, s1, out=dz1)
        np.matmul(dz2.T, a1, out=dw2)
        np.sum(dz2, 0, out=db2)
        np.matmul(dz1.T, x, out=dw1)
        np.sum(dz1, 0, out=db1)
        descend(w1, dw1)
        descend(b1, db1)
        descend(w2, dw2)
        descend(b2, db2)
        return loss

    return step


def jax_jit(sizes: Sizes) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    x, y, *weights = map(jnp.asarray, data(sizes))

    def loss_of(weights: Any) -> Any:
        w1, b1, w2, b2 = weights
        a1 = jax.nn.sigmoid(x @ w1.T + b1)
        a2 = jax.nn.sigmoid(a1 @ w2.T + b2)
        return -jnp.mean(y * jnp.log(a2) + (1 - y) * jnp.log(1 - a2))

    @jax.jit
    def update(weights: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(weights)
        return [w - RATE * g for w, g in zip(weights, grads)], loss

    def step() -> Any:
        nonlocal weights
        weights, loss = update(weights)
        return loss.block_until_ready()

    return step


def hips_autograd(sizes: Sizes) -> Callable[[], Any]:
    import autograd.numpy as anp
    from autograd import value_and_grad

    x, y, *weights = data(sizes)

    def loss_of(weights: Any) -> Any:
        w1, b1, w2, b2 = weights
        a1 = 1 / (1 + anp.exp(-(anp.dot(x, w1.T) + b1)))
        a2 = 1 / (1 + anp.exp(-(anp.dot(a1, w2.T) + b2)))
        return -anp.mean(y * anp.log(a2) + (1 - y) * anp.log(1 - a2))

    differentiate = value_and_grad(loss_of)

    def step() -> Any:
        nonlocal weights
        loss, grads = differentiate(weights)
        weights = [w - RATE * g for w, g in zip(weights, grads)]
        return loss

    return step


def my_grad(sizes: Sizes) -> Callable[[], Any]:
    import mygrad as mg
    from mygrad.nnet.activations import sigmoid

    x, y, *arrays = data(sizes)
    weights = [mg.tensor(w) for w in arrays]

    def step() -> Any:
        w1, b1, w2, b2 = weights
        a1 = sigmoid(mg.matmul(x, w1.T) + b1)
        a2 = sigmoid(mg.matmul(a1, w2.T) + b2)
        loss = -mg.mean(y * mg.log(a2) + (1 - y) * mg.log(1 - a2))
        loss.backward()
        for w in weights:
            w.data -= RATE * w.grad
            w.null_grad()
        return loss.item()

    return step


COLUMNS = {
    OURS: ours,
    "NumPy, `out=`": numpy_buffers,
    "NumPy": numpy_plain,
    "PyTorch": torch_eager,
    "JAX jit": jax_jit,
    "autograd": hips_autograd,
    "MyGrad": my_grad,
}


def row(key: str, sizes: Sizes, **settings: Any) -> Workload:
    return Workload(
        key=key,
        title=f"training step, MLP {sizes.inputs}-{sizes.hidden}-{sizes.outputs}, batch {sizes.batch}",
        unit="µs",
        scale=1e6,
        columns={name: partial(setup, sizes) for name, setup in COLUMNS.items()},
        steps_to_agree=5,
        tolerance=1e-3,
        **settings,
    )


WORKLOADS = [
    row("A", Sizes(784, 30, 10, 10), at_most={"PyTorch": 0.45}),
    row("B", Sizes(784, 512, 10, 128)),
    row("C", Sizes(784, 512, 10, 1024)),
]
