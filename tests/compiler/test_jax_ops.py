"""Every op as JAX computes it gives what its kernel gives, its derivatives too."""

import pkgutil
from importlib import import_module

import numpy as np
import pytest

import tinygrad_nn as tg
from tests.compiler.jax_programs import assert_runs, recorded
from tinygrad_nn import testing
from tinygrad_nn.compiler.ir import run
from tinygrad_nn.compiler.targets.jax.runner import JaxRunner
from tinygrad_nn.core.define import registry

pytest.importorskip("jax")

from tinygrad_nn.compiler.targets.jax.lowerings import lowering_of

for module in pkgutil.walk_packages(tg.__path__, "tinygrad_nn."):
    import_module(module.name)

OPS = sorted(name for name, op in registry.items() if op.own)


def in_single(x):
    return x.astype(np.float32) if getattr(x, "dtype", np.dtype(int)).kind == "f" else x


def applied(cases, fixed):
    """A function that applies an op to all inputs of its cases, and takes its derivatives in a third of them."""

    def f(*arrays):
        rest, results = iter(arrays), []
        for number, case in enumerate(cases):
            inputs = [next(rest) for _ in case.inputs]
            results += parts(case(*inputs))
            where = case.differentiable if number % 3 == min(1, len(cases) - 1) else []
            if case.op.name == "index_update" and not fixed:  # which write wins is seen from the numbers
                where = where[:1]
            if where:

                def total(*chosen, case=case, inputs=inputs, where=where):
                    full = list(inputs)
                    for i, x in zip(where, chosen, strict=True):
                        full[i] = x
                    outs = [out for out in parts(case(*full)) if out.dtype.kind == "f"]
                    return sum(
                        (out * np.linspace(0.5, 1.5, out.size).reshape(out.shape).astype(out.dtype)).sum()
                        for out in outs
                    )

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


def check_cases(name, fixed):
    """All cases in double precision, and every second one in single precision."""
    cases = [case for case in testing.op_cases(name) if recordable(case)]
    if testing.row_of(name).single:
        cases += [case.with_inputs(map(in_single, case.inputs)) for case in cases[::2]]
    leaves = [np.asarray(x)[()] for case in cases for x in case.inputs]
    constant = [i for i, x in enumerate(leaves) if fixed and x.dtype.kind != "f"]
    r = recorded(applied(cases, fixed), *leaves, fixed=constant)
    assert_runs(r, [x for i, x in enumerate(leaves) if i not in constant], name)


@pytest.mark.parametrize("name", [name for name in OPS if name in testing.table and name not in ("part", "nonzero")])
def test_every_op_and_its_derivative(name):
    check_cases(name, fixed=False)


@pytest.mark.parametrize(
    "name", ["index", "scatter_add", "index_update", "wins", "where", "one_hot", "cross_entropy", "searchsorted"]
)
def test_indices_that_are_the_same_in_every_call(name):
    check_cases(name, fixed=True)


#: Run by NumPy between jitted pieces: what looks at numbers, and kernels that are tuned for NumPy alone.
ON_THE_HOST = {"checked_rows", "nonzero", "normalize", "part"} | {
    f"{layer}_{part}" for layer in ("rnn", "lstm", "gru") for part in ("sequence", "adjoint")
}


def test_no_op_loses_its_lowering():
    """A new op needs none: until it has one, its kernel computes it on the host."""
    without = {name for name in OPS if lowering_of(registry[name]) is None}
    assert without >= ON_THE_HOST
    assert not [name for name in without if registry[name].ufunc is not None]
    assert len(OPS) - len(without) >= 159


SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -3.0, 1e30, -1e30, 1e-30, 20.0, -20.0, 2.5]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_special_values(dtype):
    """Infinities, NaN, zeros and overflow, in every elementwise op; subnormal numbers apart, which JAX makes zero."""
    ops = [registry[n] for n in OPS if registry[n].elementwise and n in testing.table]
    ops = [
        op
        for op in ops
        if not any(x.dtype.kind == "i" for c in testing.op_cases(op) for x in map(np.asarray, c.inputs))
    ]
    with np.errstate(over="ignore"):
        values = np.array(SPECIAL).astype(dtype)
    grids = {n: [g.ravel() for g in np.meshgrid(*[values[: 17 if n < 3 else 8]] * n)] for n in (1, 2, 3)}
    leaves = [*grids[1], *grids[2], *grids[3]]

    def f(*leaves):
        given = {1: leaves[:1], 2: leaves[1:3], 3: leaves[3:]}
        results = []
        for op in ops:
            inputs = list(given[len(op.input_names)])
            if op.name == "where":
                inputs[0] = inputs[0] != 0
            results.append(op(*inputs))
        return results

    with np.errstate(all="ignore"):
        r = recorded(f, *leaves)
        expected = run(r.program, leaves)
        found = JaxRunner(r.program)(leaves, [], numpy=True)
    for op, a, b in zip(ops, found, expected, strict=True):
        assert a.dtype == b.dtype
        if a.dtype.kind == "f":
            small = abs(b) < np.finfo(dtype).tiny
            with np.errstate(all="ignore"):
                near = (a == b) | (np.isnan(a) & np.isnan(b)) | (abs(a - b) <= 64 * np.finfo(dtype).eps * abs(b))
            assert (near | small).all(), f"{op.name}: {a[~near]}, expected {b[~near]}"
        else:
            assert np.array_equal(a, b), op.name


def test_numbers_of_other_kinds():
    """Integers, bools, complex numbers and mixtures have NumPy's dtypes and NumPy's results."""
    rng = np.random.default_rng(0)
    i8, i32, i64 = (rng.integers(-5, 5, 6).astype(t) for t in (np.int8, np.int32, np.int64))
    u8, b = rng.integers(0, 9, 6).astype(np.uint8), rng.integers(0, 2, 6).astype(bool)
    f16, f32, f64 = (rng.uniform(-2, 2, 6).astype(t) for t in (np.float16, np.float32, np.float64))
    z = f64 + 1j * f32
    given = [i8, i32, i64, u8, b, f16, f32, f64, z]

    def f(i8, i32, i64, u8, b, f16, f32, f64, z):
        return [
            *(x + y for x in (i8, i32, u8, f16, f32) for y in (i64, u8, b, f32, f64, 2, 2.0, True)),
            *(x / y for x in (i8, i32, u8, b, f16) for y in (3, 2.0, i64)),
            *(x // i64 for x in (i8, u8, i64)),
            *(i64 % x for x in (i8, u8, i64)),
            *(x > y for x in (i8, i32, f32) for y in (i64, u8, f64, 1, 0.5)),
            *(tg.exp(x) for x in (i8, i32, u8, f16)),
            *(x * x * x for x in (i8, u8, f16)),
            *(x**2 for x in (i8, i32, u8, f32)),
            *(tg.sum(x) for x in (i8, i32, u8, b, f16)),
            *(tg.mean(x) for x in (i8, u8, b, f16)),
            *(tg.prod(x) for x in (i8, b)),
            *(tg.cumulative_sum(x) for x in (i8, b, f16)),
            *(tg.var(x) for x in (i8, f16)),
            *(tg.floor(x) for x in (i8, f16)),
            *(tg.where(b, x, y) for x, y in ((f32, 0), (i8, 1.5), (i32, f32))),
            *(tg.maximum(x, 0) for x in (i8, u8, f16)),
            *(tg.sqrt(abs(x)) for x in (i8, z)),
            tg.absolute(z), tg.real(z), tg.imag(z), tg.conjugate(z), z * z, z / f32, tg.exp(z), tg.sum(z), tg.var(z),
            tg.dot(z, z), tg.astype(f64, int), tg.astype(f64, bool), tg.astype(i8, np.float32), ~b, b & b,
            b ^ (f32 > 0), i64 << u8, i64 >> u8, i8 << 3, -i8, abs(i8), tg.sort(u8), tg.argsort(f16),
            tg.round(f64 * 100, decimals=-1), tg.round(i8, decimals=1), tg.matmul(i8, i64), tg.sigmoid(i8),
            tg.sigmoid(f16), tg.count_nonzero(i8), tg.sum(f32, dtype=np.float64), tg.stack([i8, f32]),
            tg.stack([f32, f32], axis=-1), tg.logical_and(i8, f32),
        ]  # fmt: skip

    with np.errstate(all="ignore"):
        r = recorded(f, *given)
        assert_runs(r, given, "kinds", ulps=64.0)


def test_python_numbers_leave_dtypes_alone():
    def f(x, half, rate, decay):
        rate = rate * (1 - decay**2) / 2.0
        return x * rate, half - rate, rate, tg.hypot(rate, half), tg.where(x > 0, rate, x), tg.stack([x, x]) ** rate

    x, half = np.array([0.5, 2.0], np.float32), np.array([0.25, 1.0], np.float16)
    runner = assert_runs(recorded(f, x, half, 0.1, 0.9), [x, half, 0.1, 0.9], "weak", ulps=8.0)
    found = runner([x, half, 0.2, 0.5], [], numpy=True)
    assert [x.dtype for x in found[:2]] == [np.float32, np.float16]
    assert type(found[2]) is float
    assert found[2] == 0.2 * (1 - 0.5**2) / 2.0


def test_masks_and_places_written_to_twice():
    x, value, places = np.arange(12.0).reshape(3, 4), np.arange(3.0), np.array([1, 1, -2])
    mask = x % 3 == 0

    def f(x, value, places, mask):
        return [
            tg.index_update(x, -1.0, mask),
            tg.index_update(x, value[1], mask[:, 0]),
            tg.index_update(x, value, (slice(None), 2)),
            tg.index_update(x, value, (places, places)),
            tg.index_update(x, 7.0, places),
            tg.index_update(x, value[:, None], (places,)),
            x[places, 1:3],
            x[..., places],
            tg.take_along_axis(x, places[:, None], axis=1),
        ]

    given = [x, value, places, mask]
    assert_runs(recorded(f, *given), given, "update")


# --- loops and branches ----------------------------------------------------------------------------------------------


def test_loops_and_branches():
    control = pytest.importorskip("tinygrad_nn.autodiff.control")

    def f(x, w, n):
        last, rows = control.scan(lambda c, row: (tg.tanh(c @ w) + row, c.sum()), x[0], x)
        chosen = control.cond(x[0, 0] > n, lambda: x * w[0, 0], lambda: x - w[0])
        power = control.while_loop(lambda c: c.sum() < 100.0, lambda c: c * 2.0, abs(x))
        return last, rows, chosen, power

    def g(x, w, n):
        last, rows, chosen, _ = f(x, w, n)
        return (last.sum() + rows.sum()) * chosen.sum()

    x, w = np.random.default_rng(0).uniform(-1, 1, (4, 3)), np.random.default_rng(1).uniform(-1, 1, (3, 3))
    for n in (-5.0, 5.0):
        runner = assert_runs(recorded(f, x, w, n), [x, w, n], "control", ulps=64.0)
        assert "by NumPy" not in runner.source
        assert_runs(recorded(tg.grad(g, (0, 1)), x, w, n), [x, w, n], "its gradient", ulps=256.0)


def test_loops_that_only_numpy_runs():
    """A loop that keeps its history for the way back is run by its kernel, between what JAX compiles."""
    control = pytest.importorskip("tinygrad_nn.autodiff.control")

    def f(x):
        return control.while_loop(lambda c: c.sum() < 100.0, lambda c: c * c * 2.0, tg.exp(x)).sum()

    x = np.array([0.5, 1.0])
    runner = assert_runs(recorded(tg.grad(f), x), [x], "while")
    assert "= while_loop(float64[2]), by NumPy" in runner.source
