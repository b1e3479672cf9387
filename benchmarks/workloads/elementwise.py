"""H: Σ tanh(x)·σ(x) + exp(−x²) over 10⁶ float32 elements, value and gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..measure import OURS, Workload

SIZE = 10**6
BLOCK = 2**14  # float32 elements whose few temporaries fit in a core's cache


def data() -> Any:
    return np.random.default_rng(0).standard_normal(SIZE, dtype=np.float32)


def ours() -> Callable[[], Any]:
    import tinygrad_nn as tg

    differentiate = tg.value_and_grad(lambda x: tg.sum(tg.tanh(x) * tg.sigmoid(x) + tg.exp(-(x**2))))
    x = tg.tensor(data())
    return lambda: checked(*differentiate(x))


def numpy_plain() -> Callable[[], Any]:
    x = data()
    return lambda: checked(*by_hand(x))


def numpy_blocks() -> Callable[[], Any]:
    x = data()
    gradient = np.empty_like(x)

    def step() -> Any:
        total = 0.0
        for start in range(0, SIZE, BLOCK):
            piece = slice(start, start + BLOCK)
            value, gradient[piece] = by_hand(x[piece])
            total += float(value)
        return checked(total, gradient)

    return step


def by_hand(x: Any) -> tuple[Any, Any]:
    t = np.tanh(x)
    s = 1 / (1 + np.exp(-x))
    e = np.exp(-x * x)
    return np.sum(t * s + e), (1 - t * t) * s + t * s * (1 - s) - 2 * x * e


def torch_eager() -> Callable[[], Any]:
    import torch

    x = torch.tensor(data(), requires_grad=True)

    def step() -> Any:
        x.grad = None
        y = (torch.tanh(x) * torch.sigmoid(x) + torch.exp(-(x**2))).sum()
        y.backward()
        return checked(y.detach(), x.grad)

    return step


def jax_jit() -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    x = jnp.asarray(data())
    differentiate = jax.jit(jax.value_and_grad(lambda x: jnp.sum(jnp.tanh(x) * jax.nn.sigmoid(x) + jnp.exp(-(x**2)))))
    return lambda: checked(*jax.block_until_ready(differentiate(x)))


def hips_autograd() -> Callable[[], Any]:
    import autograd.numpy as anp
    from autograd import value_and_grad

    x = data()
    differentiate = value_and_grad(lambda x: anp.sum(anp.tanh(x) / (1 + anp.exp(-x)) + anp.exp(-(x**2))))
    return lambda: checked(*differentiate(x))


def checked(value: Any, gradient: Any) -> float:
    """One number that tells whether both are right."""
    return float(value) + 1e4 * float(gradient[0]) + 1e4 * float(gradient[-1])


WORKLOADS = [
    Workload(
        key="H",
        title="Σ tanh(x)·σ(x) + exp(−x²), 10⁶ elements, value and gradient",
        unit="ms",
        scale=1e3,
        columns={
            OURS: ours,
            "NumPy": numpy_plain,
            "NumPy, blocks": numpy_blocks,
            "PyTorch": torch_eager,
            "JAX jit": jax_jit,
            "autograd": hips_autograd,
        },
        tolerance=1e-4,
    )
]
