"""F: one training step of an LSTM on a fixed batch: 28 steps of 28 numbers, 10 classes from its last output, float32.

Weights and batch are the same for all. Every step returns its loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..measure import OURS, Workload

STEPS, BATCH, INPUTS, HIDDEN, CLASSES = 28, 32, 28, 64, 10
RATE = np.float32(0.01)
EAGER = f"{OURS}, eager"
CELLS = "PyTorch cells"
NOTE = "PyTorch: nn.LSTM; PyTorch cells: nn.LSTMCell step by step; JAX jit: a scan"


def data() -> tuple[Any, ...]:
    """Batch, labels, and the parameters in the order of `nn.LSTM` and then `nn.Linear`."""
    rng = np.random.default_rng(0)
    x = rng.random((STEPS, BATCH, INPUTS), dtype=np.float32)
    labels = rng.integers(0, CLASSES, BATCH)
    shapes = [(4 * HIDDEN, INPUTS), (4 * HIDDEN, HIDDEN), (4 * HIDDEN,), (4 * HIDDEN,), (CLASSES, HIDDEN), (CLASSES,)]
    bound = HIDDEN**-0.5
    return x, labels, *(rng.uniform(-bound, bound, shape).astype(np.float32) for shape in shapes)


class Ours(NamedTuple):
    """What a training step of ours is made of."""

    lstm: Any
    head: Any
    optimizer: Any
    x: Any
    labels: Any

    def loss(self, x: Any, labels: Any) -> Any:
        """The loss of a batch."""
        from tinygrad_nn.nn import functional as F

        every, _ = self.lstm(x)
        return F.cross_entropy(self.head(every[-1]), labels)


def parts() -> Ours:
    import tinygrad_nn as tg
    from tinygrad_nn import nn, optim

    x, labels, *weights = data()
    lstm, head = nn.LSTM(INPUTS, HIDDEN), nn.Linear(HIDDEN, CLASSES)
    lstm.load_state_dict(dict(zip(lstm.state_dict(), weights[:4])))
    head.load_state_dict(dict(zip(head.state_dict(), weights[4:])))
    optimizer = optim.SGD([*lstm.parameters(), *head.parameters()], lr=float(RATE))
    return Ours(lstm, head, optimizer, tg.tensor(x), tg.tensor(labels))


def ours() -> Callable[[], Any]:
    made = parts()

    def step() -> Any:
        made.optimizer.zero_grad()
        loss = made.loss(made.x, made.labels)
        loss.backward()
        made.optimizer.step()
        return loss

    return step


def ours_compiled() -> Callable[[], Any]:
    import tinygrad_nn as tg

    made = parts()

    @tg.compile
    def step(x: Any, labels: Any) -> Any:
        loss = made.loss(x, labels)
        loss.backward()
        made.optimizer.step()
        made.optimizer.zero_grad()
        return loss

    return lambda: step(made.x, made.labels)


def torch_fused() -> Callable[[], Any]:
    import torch
    from torch import nn

    x, labels, *weights = data()
    lstm, head = nn.LSTM(INPUTS, HIDDEN), nn.Linear(HIDDEN, CLASSES)
    parameters = [*lstm.parameters(), *head.parameters()]
    return _torch_step(parameters, weights, lambda xs: head(lstm(xs)[0][-1]), torch.tensor(x), torch.tensor(labels))


def torch_cells() -> Callable[[], Any]:
    import torch
    from torch import nn

    x, labels, *weights = data()
    cell, head = nn.LSTMCell(INPUTS, HIDDEN), nn.Linear(HIDDEN, CLASSES)

    def scores(xs: Any) -> Any:
        h = c = torch.zeros(BATCH, HIDDEN)
        for t in range(STEPS):
            h, c = cell(xs[t], (h, c))
        return head(h)

    parameters = [*cell.parameters(), *head.parameters()]
    return _torch_step(parameters, weights, scores, torch.tensor(x), torch.tensor(labels))


def _torch_step(parameters: Any, weights: Any, scores: Any, xs: Any, labels: Any) -> Callable[[], Any]:
    import torch

    with torch.no_grad():
        for parameter, weight in zip(parameters, weights, strict=True):
            parameter.copy_(torch.tensor(weight))
    loss_of = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(parameters, lr=float(RATE))

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(scores(xs), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def jax_scan() -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    x, labels, *weights = map(jnp.asarray, data())

    def loss_of(weights: Any) -> Any:
        w_ih, w_hh, b_ih, b_hh, w, b = weights

        def step(state: Any, z: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(z + h @ w_hh.T, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zeros = jnp.zeros((BATCH, HIDDEN), jnp.float32)
        (h, _), _ = jax.lax.scan(step, (zeros, zeros), x @ w_ih.T + (b_ih + b_hh))
        scores = jax.nn.log_softmax(h @ w.T + b)
        return -jnp.mean(scores[jnp.arange(BATCH), labels])

    @jax.jit
    def update(weights: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(weights)
        return [w - RATE * g for w, g in zip(weights, grads)], loss

    def step() -> Any:
        nonlocal weights
        weights, loss = update(weights)
        return loss.block_until_ready()

    return step


def numpy_by_hand() -> Callable[[], Any]:
    """As one writes it down from the equations, step by step."""
    x, labels, w_ih, w_hh, b_ih, b_hh, w, b = data()
    places = np.arange(BATCH)

    def sigmoid(z: Any) -> Any:
        return 1 / (1 + np.exp(-z))

    def step() -> Any:
        nonlocal w_ih, w_hh, b_ih, b_hh, w, b
        h = c = np.zeros((BATCH, HIDDEN), np.float32)
        z_x = x @ w_ih.T + (b_ih + b_hh)
        kept = []
        for t in range(STEPS):
            i, f, g, o = np.split(z_x[t] + h @ w_hh.T, 4, axis=1)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            new = f * c + i * g
            kept.append((i, f, g, o, h, c, np.tanh(new)))
            c = new
            h = o * kept[-1][-1]
        scores = h @ w.T + b
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        loss = -np.log(p[places, labels]).mean()
        p[places, labels] -= 1
        p /= BATCH
        dh, dc, dw_ih, dw_hh = p @ w, 0, 0, 0
        dw, db, dz_b = p.T @ h, p.sum(0), 0
        for t in reversed(range(STEPS)):
            i, f, g, o, former_h, former_c, tanh_c = kept[t]
            dc = dc + dh * o * (1 - tanh_c * tanh_c)
            dz = [dc * g * i * (1 - i), dc * former_c * f * (1 - f), dc * i * (1 - g * g), dh * tanh_c * o * (1 - o)]
            dz = np.concatenate(dz, axis=1)
            dw_ih, dw_hh, dz_b = dw_ih + dz.T @ x[t], dw_hh + dz.T @ former_h, dz_b + dz.sum(0)
            dh, dc = dz @ w_hh, dc * f
        w_ih, w_hh = w_ih - RATE * dw_ih, w_hh - RATE * dw_hh
        b_ih, b_hh = b_ih - RATE * dz_b, b_hh - RATE * dz_b
        w, b = w - RATE * dw, b - RATE * db
        return loss

    return step


PEERS = {"PyTorch": torch_fused, CELLS: torch_cells, "JAX jit": jax_scan, "NumPy": numpy_by_hand}
TITLE = f"training step, LSTM, {STEPS} steps, input {INPUTS}, hidden {HIDDEN}, batch {BATCH}"

WORKLOADS = [
    Workload(
        key="F",
        title=TITLE,
        unit="µs",
        scale=1e6,
        columns={OURS: ours, **PEERS},
        steps_to_agree=5,
        tolerance=1e-3,
        note=NOTE,
    ),
    Workload(
        key="F compiled",
        title=f"{TITLE}, compiled",
        unit="µs",
        scale=1e6,
        columns={OURS: ours_compiled, EAGER: ours, **PEERS},
        at_most={"PyTorch": 1.3, "JAX jit": 1.05, CELLS: 0.3},
        steps_to_agree=5,
        tolerance=1e-3,
        note=NOTE,
    ),
]
