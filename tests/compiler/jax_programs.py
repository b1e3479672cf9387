"""What the tests of programs for jax.numpy share: recording, comparing with NumPy, and a small network to train."""

from copy import deepcopy

import numpy as np

import tinygrad_nn as tg
from tinygrad_nn import nn, optim
from tinygrad_nn.compiler.ir import run
from tinygrad_nn.compiler.targets.jax.runner import JaxRunner
from tinygrad_nn.compiler.trace.recording import record


def recorded(f, *inputs, fixed=()):
    return record(f, inputs, {}, fixed, [f"x{i}" for i in range(len(inputs))], "f")


def everything(program):
    """The program with all that its steps make as results."""
    shown = [out for step in program.steps for out in step.outputs]
    program.results = [*program.results, *shown]
    return program


def assert_same(found, expected, what, ulps=256.0, precision=np.float64):
    eps = np.finfo(precision).eps
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype), f"{what}, result {k}"
        if a.dtype.kind not in "fc":
            assert np.array_equal(a, b), f"{what}, result {k}: {a}, expected {b}"
            continue
        finite = np.isfinite(b)
        allowed = ulps * max(eps, np.finfo(b.dtype).eps) * np.max(abs(b[finite]), initial=1e-3)
        with np.errstate(all="ignore"):
            near = (a == b) | (abs(a - b) <= allowed) | (np.isnan(a) & np.isnan(b))
        assert near.all(), f"{what}, result {k}: {a}, expected {b}"


def assert_runs(r, inputs, what, **tolerance):
    """All that the steps of a program make, by JAX and by NumPy."""
    program = everything(r.program)
    state = [place.read() for place in r.places]
    expected = run(program, [*inputs, *state])
    runner = JaxRunner(program)
    assert_same(runner(inputs, state, numpy=True), expected, what, **tolerance)
    return runner


def make_model(dtype, *, dropout=0.0):
    generator = tg.random.default_rng(0)
    layers = [
        nn.Linear(6, 8, generator=generator),
        nn.Tanh(),
        nn.Dropout(dropout),
        nn.Linear(8, 3, generator=generator),
    ]
    return nn.Sequential(*layers).astype(dtype) if dtype == np.float64 else nn.Sequential(*layers)


class Loop:
    """Calls a recorded step again and again, and leaves what it writes where the next call reads it."""

    def __init__(self, recording, **options):
        self.program = recording.program
        self.places = recording.places
        self.runner = JaxRunner(self.program, **options)
        self.state = [deepcopy(place.read()) for place in self.places]

    def __call__(self, *inputs, numpy=True):
        out = self.runner(inputs, self.state, numpy=numpy)
        for k, old in enumerate(self.program.writes, len(self.program.results)):
            self.state[self.program.state.index(old)] = out[k]
        return out[0]

    def assert_is_where_eager_is(self, **tolerance):
        assert_same(self.state, [place.read() for place in self.places], "state", **tolerance)


def batches(dtype=np.float32, count=10):
    rng = np.random.default_rng(1)
    for _ in range(count):
        yield rng.uniform(-1, 1, (16, 6)).astype(dtype), rng.integers(0, 3, 16)


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
}


def make_step(model, optimizer):
    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def own_op():
    @tg.op(elementwise=True)
    def exp(x):  # by the name of one of the library's, which it is not
        return np.exp(-x)

    exp.derivatives(lambda g, out, x: -g * out)
    return exp
