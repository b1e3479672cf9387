"""Programs as functions of jax.numpy: every op, training, random numbers, errors, and several devices."""

import os
import pkgutil
import subprocess
import sys
import textwrap
from copy import deepcopy
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn, optim, testing
from tinygrad_nn.compiling.program import run
from tinygrad_nn.compiling.recording import record
from tinygrad_nn.op import registry

jax = pytest.importorskip("jax")

from tinygrad_nn.compiling.jax_rows import ROWS  # noqa: E402
from tinygrad_nn.compiling.jax_target import JaxRunner, jax_source  # noqa: E402

for module in pkgutil.walk_packages(tg.__path__, "tinygrad_nn."):
    import_module(module.name)

OPS = sorted(name for name, op in registry.items() if op.__module__.startswith("tinygrad_nn."))


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
    assert_same(runner(inputs, state, numpy=True), expected, f"{what}\n{runner.source}", **tolerance)
    return runner


# --- every op --------------------------------------------------------------------------------------------------------


def in_single(x):
    return x.astype(np.float32) if getattr(x, "dtype", np.dtype(int)).kind == "f" else x


def applied(cases, fixed):
    """A function that applies an op to all inputs of its cases, and takes its derivatives there."""

    def f(*arrays):
        rest, results = iter(arrays), []
        for case in cases:
            inputs = [next(rest) for _ in case.inputs]
            results += parts(case(*inputs))
            where = case.differentiable
            if case.op.name == "index_update" and not fixed:  # which write wins is seen from the numbers
                where = [0]
            if where:

                def total(*chosen, case=case, inputs=inputs, where=where):
                    full = list(inputs)
                    for i, x in zip(where, chosen, strict=True):
                        full[i] = x
                    outs = [out for out in parts(case(*full)) if out.dtype.kind == "f"]
                    return sum((out * np.linspace(0.5, 1.5, out.size).reshape(out.shape)).sum() for out in outs)

                grad = tg.grad(total, tuple(range(len(where))))
                results += parts(grad(*(inputs[i] for i in where)))
        return results

    return f


def parts(out):
    return list(out) if isinstance(out, tuple | list) else [out]


def recordable(case):
    """Without masks that pick a number of elements that differs from call to call, here or in a derivative."""
    masked = any(np.asarray(x).dtype == bool for x in case.inputs[1:])
    return not (masked and case.op.name in ("index", "scatter_add", "index_update"))


def cases_of(name):
    return [case for case in testing.op_cases(name) if recordable(case)]


def check_cases(cases, name, fixed=False, **tolerance):
    leaves = [np.asarray(x)[()] for case in cases for x in case.inputs]
    constant = [i for i, x in enumerate(leaves) if fixed and x.dtype.kind != "f"]
    r = recorded(applied(cases, fixed), *leaves, fixed=constant)
    return assert_runs(r, [x for i, x in enumerate(leaves) if i not in constant], name, **tolerance)


@pytest.mark.parametrize("name", [name for name in OPS if name in testing.table and name not in ("part", "nonzero")])
def test_every_op_and_its_derivative(name):
    check_cases(cases_of(name), name)


@pytest.mark.parametrize("name", [name for name in OPS if name in testing.table and testing.row_of(name).single and name not in ("part", "nonzero")])
def test_every_op_in_single_precision(name):
    cases = [case.with_inputs(map(in_single, case.inputs)) for case in cases_of(name)[::2]]
    check_cases(cases, name, ulps=64.0, precision=np.float32)


@pytest.mark.parametrize(
    "name", ["index", "scatter_add", "index_update", "wins", "where", "one_hot", "cross_entropy", "searchsorted"]
)
def test_indices_that_are_the_same_in_every_call(name):
    check_cases(cases_of(name), name, fixed=True)


def test_every_op_has_a_row():
    assert [name for name in OPS if name not in ROWS] == ["nonzero", "part"]
