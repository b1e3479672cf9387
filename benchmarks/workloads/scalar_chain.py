"""G: a chain of scalar multiplications, recorded and differentiated, per node: what one operation costs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from ..measure import OURS, Workload

LENGTH = 1000
FACTOR = 1.0000001


def ours(tensor: bool) -> Callable[[], Any]:
    import tinygrad_nn as tg

    def step() -> Any:
        x = tg.tensor(1.0, requires_grad=True)
        c = tg.tensor(FACTOR, requires_grad=True) if tensor else FACTOR
        y = x
        for _ in range(LENGTH):
            y = y * c
        y.backward()
        return x.grad

    return step


def torch_eager(tensor: bool) -> Callable[[], Any]:
    import torch

    def step() -> Any:
        x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        c = torch.tensor(FACTOR, dtype=torch.float64, requires_grad=True) if tensor else FACTOR
        y = x
        for _ in range(LENGTH):
            y = y * c
        y.backward()
        return x.grad

    return step


def micro_grad(tensor: bool) -> Callable[[], Any]:
    from micrograd.engine import Value

    sys.setrecursionlimit(max(sys.getrecursionlimit(), 10 * LENGTH))  # it sorts the graph by recursion

    def step() -> Any:
        x = Value(1.0)
        c = Value(FACTOR) if tensor else FACTOR
        y = x
        for _ in range(LENGTH):
            y = y * c
        y.backward()
        return x.grad

    return step


def hips_autograd(tensor: bool) -> Callable[[], Any]:
    from autograd import grad

    def chain(x: Any, c: Any) -> Any:
        for _ in range(LENGTH):
            x = x * c
        return x

    differentiate = grad(chain, (0, 1) if tensor else 0)
    return lambda: differentiate(1.0, FACTOR)[0] if tensor else differentiate(1.0, FACTOR)


def my_grad(tensor: bool) -> Callable[[], Any]:
    import mygrad as mg

    def step() -> Any:
        x = mg.tensor(1.0)
        c = mg.tensor(FACTOR) if tensor else FACTOR
        y = x
        for _ in range(LENGTH):
            y = y * c
        y.backward()
        return x.grad

    return step


COLUMNS = {
    OURS: ours,
    "PyTorch": torch_eager,
    "micrograd": micro_grad,
    "autograd": hips_autograd,
    "MyGrad": my_grad,
}


def row(key: str, by: str, tensor: bool) -> Workload:
    return Workload(
        key=key,
        title=f"chain of {LENGTH} scalar multiplications by {by}, forward and backward, a node",
        unit="µs",
        scale=1e6 / LENGTH,
        columns={name: partial(setup, tensor) for name, setup in COLUMNS.items()},
        at_most={"PyTorch": 0.40, "micrograd": 1.7},
        tolerance=1e-9,
    )


WORKLOADS = [row("G float", "a float", False), row("G tensor", "a Tensor", True)]
