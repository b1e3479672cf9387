"""Rows A, B, C, H and I compiled by `tg.compile`, and what recording costs.

The columns of other libraries are those of the eager rows. JAX's are compiled there too; PyTorch's are eager.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

from ..measure import OURS, Setup, Workload, sampled_by
from . import elementwise, mlp, third_derivative
from .mlp import Sizes

EAGER = f"{OURS}, eager"
KEPT = f"{OURS}, gradients kept"
FIRST = f"{OURS}, first call"

STEP_NOTE = (
    "compiled; the step ends with zero_grad() instead of beginning with it, so that gradients, which nobody sees, need "
    f"not be stored apart from the updates; {KEPT} begins with it"
)


# --- training steps --------------------------------------------------------------------------------------------------


def training_step(made: mlp.Ours, *, keep_gradients: bool = False) -> Callable[..., Any]:
    """A step for `tg.compile`: a function of the batch."""
    model, loss_of, optimizer, _, _ = made

    def step(x: Any, y: Any) -> Any:
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def step_that_keeps(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step_that_keeps if keep_gradients else step


def ours(sizes: Sizes, *, keep_gradients: bool = False) -> Callable[[], Any]:
    import tinygrad_nn as tg

    made = mlp.parts(sizes)
    step = tg.compile(training_step(made, keep_gradients=keep_gradients))
    return lambda: step(made.x, made.y)


def step_row(key: str, sizes: Sizes, at_most: Mapping[str, float]) -> Workload:
    peers = ("NumPy, `out=`", "NumPy", "PyTorch", "JAX jit")
    columns: dict[str, Setup] = {
        OURS: partial(ours, sizes),
        KEPT: partial(ours, sizes, keep_gradients=True),
        EAGER: partial(mlp.ours, sizes),
        **{name: partial(mlp.COLUMNS[name], sizes) for name in peers},
    }
    return Workload(
        key=f"{key} compiled",
        title=f"training step, MLP {sizes.inputs}-{sizes.hidden}-{sizes.outputs}, batch {sizes.batch}, compiled",
        unit="µs",
        scale=1e6,
        columns=columns,
        at_most=at_most,
        steps_to_agree=5,
        tolerance=1e-3,
        note=STEP_NOTE,
    )


# --- recording -------------------------------------------------------------------------------------------------------


def first_call(sizes: Sizes, verify: bool = True) -> float:
    """Seconds of the first call of a new compiled step: recording, rewriting, emitting, comparing."""
    import tinygrad_nn as tg

    made = mlp.parts(sizes)
    step = training_step(made)
    start = perf_counter()
    tg.compile(step, verify=verify)(made.x, made.y)
    return perf_counter() - start


def first_calls(sizes: Sizes, verify: bool = True) -> Callable[[], float]:
    first_call(sizes)  # imports what compiling needs
    return lambda: first_call(sizes, verify)


#: Without the comparison of what was made with what was recorded.
UNVERIFIED = "tinygrad_nn, `verify=False`"


FIRST_IN_PROCESS = (
    "import numpy as np, tinygrad_nn, tinygrad_nn.optim; from benchmarks.workloads.compiled import first_call, A; "
    "print(first_call(A))"
)


# --- functions -------------------------------------------------------------------------------------------------------


def function_of_many() -> Callable[[], Any]:
    import tinygrad_nn as tg

    differentiate = tg.compile(tg.value_and_grad(summed))
    x = tg.tensor(elementwise.data())
    return lambda: elementwise.checked(*differentiate(x))


def function_of_many_on_jax() -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    import tinygrad_nn as tg

    differentiate = tg.compile(tg.value_and_grad(summed), target="jax")
    x = jnp.asarray(elementwise.data())
    return lambda: elementwise.checked(*jax.block_until_ready(differentiate(x)))


def summed(x: Any) -> Any:
    import tinygrad_nn as tg

    return tg.sum(tg.tanh(x) * tg.sigmoid(x) + tg.exp(-(x**2)))


def third() -> Callable[[], Any]:
    import tinygrad_nn as tg

    def f(x: Any) -> Any:
        return x * tg.sin(x)

    differentiate = tg.compile(tg.grad(tg.grad(tg.grad(f))))
    return lambda: differentiate(third_derivative.POINT)


A = Sizes(784, 30, 10, 10)

WORKLOADS = [
    step_row("A", A, {"NumPy, `out=`": 1.05, "JAX jit": 0.60, "PyTorch": 0.16}),
    step_row("B", Sizes(784, 512, 10, 128), {"PyTorch": 1.0, "NumPy, `out=`": 0.95, "NumPy": 0.95}),
    step_row("C", Sizes(784, 512, 10, 1024), {"PyTorch": 1.15}),
    Workload(
        key="A recording",
        title="first call of a compiled step, MLP 784-30-10: recording, rewriting, emitting and comparing it",
        unit="ms",
        scale=1e3,
        columns={
            OURS: partial(first_calls, A),
            UNVERIFIED: partial(first_calls, A, False),
            FIRST: sampled_by(FIRST_IN_PROCESS),
        },
        limit=20,
        sampled=True,
        rounds=0.3,
        tolerance=None,
        note=f"in a process that has compiled before; {FIRST}: in one that has not, with the import of what compiles",
    ),
    Workload(
        key="H compiled",
        title="Σ tanh(x)·σ(x) + exp(−x²), 10⁶ elements, value and gradient, compiled",
        unit="ms",
        scale=1e3,
        columns={
            OURS: function_of_many,
            EAGER: elementwise.ours,
            "NumPy": elementwise.numpy_plain,
            "NumPy, blocks": elementwise.numpy_blocks,
            "PyTorch": elementwise.torch_eager,
            "JAX jit": elementwise.jax_jit,
        },
        at_most={"NumPy": 0.65},
        tolerance=1e-4,
        note="compiled for NumPy",
    ),
    Workload(
        key="H jax",
        title='Σ tanh(x)·σ(x) + exp(−x²), 10⁶ elements, value and gradient, compiled with target="jax"',
        unit="ms",
        scale=1e3,
        columns={
            OURS: function_of_many_on_jax,
            EAGER: elementwise.ours,
            "NumPy": elementwise.numpy_plain,
            "PyTorch": elementwise.torch_eager,
            "JAX jit": elementwise.jax_jit,
        },
        at_most={"JAX jit": 1.1},
        tolerance=1e-4,
        note="given a JAX array, as JAX jit is",
    ),
    Workload(
        key="I compiled",
        title="third derivative of x·sin x at a point, by nested transforms, compiled",
        unit="µs",
        scale=1e6,
        columns={
            OURS: third,
            EAGER: third_derivative.ours,
            "NumPy": third_derivative.numpy_plain,
            "JAX jit": third_derivative.jax_jit,
        },
        at_most={"JAX jit": 0.5},
        tolerance=1e-5,  # JAX computes in float32 unless told otherwise
        note="compiled; NumPy: −3 sin x − x cos x, derived by hand",
    ),
]
