"""I: the third derivative of x·sin x at a point, by nesting the transform three times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..measure import OURS, Workload

POINT = 1.2


def ours() -> Callable[[], Any]:
    import tinygrad_nn as tg

    def f(x: Any) -> Any:
        return x * tg.sin(x)

    return lambda: tg.grad(tg.grad(tg.grad(f)))(POINT)


def hips_autograd() -> Callable[[], Any]:
    import autograd.numpy as anp
    from autograd import grad

    def f(x: Any) -> Any:
        return x * anp.sin(x)

    return lambda: grad(grad(grad(f)))(POINT)


def torch_func() -> Callable[[], Any]:
    import torch
    from torch.func import grad

    def f(x: Any) -> Any:
        return x * torch.sin(x)

    x = torch.tensor(POINT, dtype=torch.float64)
    return lambda: grad(grad(grad(f)))(x)


def torch_create_graph() -> Callable[[], Any]:
    import torch

    def step() -> Any:
        x = torch.tensor(POINT, dtype=torch.float64, requires_grad=True)
        y = x * torch.sin(x)
        for _ in range(2):
            (y,) = torch.autograd.grad(y, x, create_graph=True)
        return torch.autograd.grad(y, x)[0]

    return step


def jax_traced() -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    def f(x: Any) -> Any:
        return x * jnp.sin(x)

    return lambda: jax.grad(jax.grad(jax.grad(f)))(POINT).block_until_ready()


def jax_jit() -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    def f(x: Any) -> Any:
        return x * jnp.sin(x)

    differentiate = jax.jit(jax.grad(jax.grad(jax.grad(f))))
    return lambda: differentiate(POINT).block_until_ready()


def numpy_plain() -> Callable[[], Any]:
    return lambda: by_hand(POINT)


def by_hand(x: float) -> Any:
    return -3 * np.sin(x) - x * np.cos(x)


WORKLOADS = [
    Workload(
        key="I",
        title="third derivative of x·sin x at a point, by nested transforms",
        unit="µs",
        scale=1e6,
        columns={
            OURS: ours,
            "autograd": hips_autograd,
            "PyTorch": torch_create_graph,
            "PyTorch func": torch_func,
            "JAX traced": jax_traced,
        },
        at_most={"autograd": 0.6},
        tolerance=1e-5,  # JAX computes in float32 unless told otherwise
    )
]
