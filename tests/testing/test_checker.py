"""The checker itself: what is right passes, and each planted fault is found, with the right suspicion."""

import pickle

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import testing
from tinygrad_nn.core.define import registry
from tinygrad_nn.testing import GradientError, check_gradients

X = np.array([[0.3, -1.2, 0.8], [1.1, 0.4, -0.6]])
Y = np.array([[1.3, 0.7, -0.9], [-0.5, 1.6, 0.2]])
SQUARE = np.array([[0.3, -1.2, 0.8], [1.1, 0.4, -0.6], [0.2, 0.9, 1.4]])
OTHER = np.array([[1.3, 0.7, -0.9], [-0.5, 1.6, 0.2], [0.6, -0.3, 0.8]])
ROW = np.array([0.9, -0.7, 1.2])


def elementwise(kernel, *rules, **traits):
    """An elementwise op of one or two inputs with the rules given."""
    traits = {"elementwise": True, "analytic": True, **traits}

    if len(rules) == 1:

        @tg.op(**traits)
        def planted(x):
            return kernel(x)
    else:

        @tg.op(**traits)
        def planted(x, y):
            return kernel(x, y)

    return planted.derivatives(*rules)


def general(kernel, *rules, **traits):
    return elementwise(kernel, *rules, **{"elementwise": False, **traits})


def fault_of(f, *inputs, **options):
    with pytest.raises(GradientError) as caught:
        check_gradients(f, *inputs, **options)
    return caught.value


# --- what is right ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "inputs"),
    [
        (lambda x: tg.sin(x), (X,)),
        (lambda x, y: x * y + tg.exp(x / (2 + y * y)), (X, ROW)),
        (lambda x: (x @ x.T).sum(), (X,)),
        (lambda x: tg.max(x, axis=1), (X,)),  # not analytic
        (lambda x: tg.abs(x) ** 1.5, (X,)),
        (lambda x: x.sum() * 0, (X,)),
        (lambda x: x * 1e-20, (X,)),
        (lambda x: x * 1e20, (X,)),
        (lambda x: tg.log(x), (np.array([1e-8, 1e8]),)),
        (lambda x: tg.softmax(x), (np.array([0.5]),)),  # constant
        (lambda x: (x, {"twice": [2 * x, x]}), (X,)),
        (lambda tree: tree["w"] @ tree["rest"][0] + tree["rest"][1], ({"w": X, "rest": (ROW, np.float64(0.3))},)),
        (lambda x, labels: x[tg.arange(2), labels], (X, np.array([2, 0]))),
        (lambda x: x.astype(np.float32) * 3, (X,)),
        (lambda x: x * tg.stop_gradient(tg.tensor(2.0)), (X,)),
        (lambda x: x * x, (2.0,)),
        (lambda x: x.sum(), (np.zeros((0, 3)),)),
        (tg.unstack, (X,)),
        (lambda x: x * x, ([1.0, 2.0],)),
    ],
)
def test_right_derivatives_pass(f, inputs):
    check_gradients(f, *inputs)


def test_single_precision_is_held_to_its_own_rounding():
    check_gradients(lambda x, y: tg.exp(x @ y), X.astype(np.float32), ROW.astype(np.float32))
    nearly = elementwise(np.sin, lambda g, out, x: g * tg.cos(x) * (1 + 1e-6), analytic=True)
    check_gradients(nearly, X.astype(np.float32), order=1)
    assert fault_of(nearly, X, order=1).ulps > 1e9


def test_third_order():
    check_gradients(lambda x: tg.exp(x) * x**3, np.array([0.5, -1.5]), order=3)


def test_of_many_entries_some_are_checked():
    big = np.linspace(-1, 1, 5000).reshape(50, 100)
    check_gradients(lambda x: tg.tanh(x).sum(), big, order=1, entries=20)
    wrong = elementwise(np.tanh, lambda g, out, x: g * (1 + out * out))
    assert fault_of(wrong, big, order=1, entries=20).cause == "dropped term"


def test_nothing_to_differentiate():
    with pytest.raises(TypeError, match="no floating-point input"):
        check_gradients(lambda x: x, np.arange(3))
    with pytest.raises(TypeError, match="returned ndarray, not a Tensor"):
        check_gradients(lambda x: x.numpy(), X)
    with pytest.raises(TypeError, match="no floating-point result"):
        check_gradients(lambda x: tg.argmax(x), X)


# --- planted faults --------------------------------------------------------------------------------------------------

tanh_op, sin_op = np.tanh, np.sin

PLANTED = {
    "sign": ("sign", lambda: (elementwise(np.sin, lambda g, out, x: -g * tg.cos(x)), X)),
    "sign of one input": (
        "sign", lambda: (elementwise(np.subtract, lambda g, out, x, y: g, lambda g, out, x, y: g), X, Y),
    ),
    "factor of a power": ("factor", lambda: (elementwise(np.square, lambda g, out, x: g * x), X)),
    "factor, mean for sum": (
        "factor",
        lambda: (general(lambda x: np.sum(x), lambda g, out, x: tg.broadcast_to(g / x.size, shape=x.shape)), X),
    ),
    "zero": ("zero", lambda: (elementwise(np.sin, lambda g, out, x: g * 0), X)),
    "no rule": ("zero", lambda: (elementwise(np.multiply, lambda g, out, x, y: g * y, None), X, Y)),
    "taken out of the graph": ("zero", lambda: (lambda x: tg.tensor(x.numpy()) * 2, X)),
    "partly taken out": ("factor", lambda: (lambda x: x * x.detach(), X)),
    "zero in places": ("zero", lambda: (elementwise(np.sin, lambda g, out, x: tg.where(x > 1, 0, g * tg.cos(x))), X)),
    "dropped term of tanh": ("dropped term", lambda: (elementwise(np.tanh, lambda g, out, x: g), X)),
    "sign of a term": ("dropped term", lambda: (elementwise(np.tanh, lambda g, out, x: g * (1 + out * out)), X)),
    "dropped term of a product": (
        "dropped term", lambda: (elementwise(lambda x: x * np.exp(x), lambda g, out, x: g * out), X),
    ),
    "dropped term of softmax": (
        "dropped term",
        lambda: (general(lambda x: np.exp(x) / np.exp(x).sum(), lambda g, out, x: g * out), ROW),
    ),
    "dropped term with an input": (
        "dropped term",
        lambda: (
            elementwise(lambda x, y: x * x * y + x * y, lambda g, out, x, y: g * 2 * x * y,
                        lambda g, out, x, y: g * (x * x + x)), X, Y,
        ),
    ),
    "swapped": (
        "swapped",
        lambda: (elementwise(np.multiply, lambda g, out, x, y: g * x, lambda g, out, x, y: g * y), X, Y),
    ),
    "swapped at a number": (
        "swapped",
        lambda: (elementwise(np.multiply, lambda g, out, x, y: g * x, lambda g, out, x, y: g * y), 0.7, 1.9),
    ),
    "swapped, of two shapes": (
        "swapped",
        lambda: (elementwise(np.divide, lambda g, out, x, y: -g * out / y, lambda g, out, x, y: g / y), X, Y),
    ),
    "transposed": (
        "transposed",
        lambda: (general(np.matmul, lambda g, out, x, y: (g @ y.mT).mT, lambda g, out, x, y: x.mT @ g), SQUARE, OTHER),
    ),
    "factor not transposed": (
        "transposed",
        lambda: (general(np.matmul, lambda g, out, x, y: g @ y, lambda g, out, x, y: x.mT @ g), SQUARE, OTHER),
    ),
    "gradient transposed": (
        "transposed",
        lambda: (general(np.matmul, lambda g, out, x, y: g.mT @ y.mT, lambda g, out, x, y: x.mT @ g), SQUARE, OTHER),
    ),
    "transposed to another shape": (
        "transposed", lambda: (general(np.sin, lambda g, out, x: (g * tg.cos(x)).mT), X),
    ),
    "one slice for the sum": (
        "broadcast",
        lambda: (elementwise(np.multiply, lambda g, out, x, y: g * y, lambda g, out, x, y: (g * x)[0]), X, ROW),
    ),
    "the mean for the sum": (
        "broadcast",
        lambda: (
            elementwise(np.multiply, lambda g, out, x, y: g * y, lambda g, out, x, y: (g * x).mean(0)), X, ROW,
        ),
    ),
    "wrong shape": ("shape", lambda: (general(np.sin, lambda g, out, x: g.ravel()[:4]), X)),
    "rule that raises": ("raised", lambda: (general(np.sin, lambda g, out, x: g @ x), X)),
    "kink": ("kink", lambda: (tg.relu, np.array([0.0, 1.0]))),
    "forward rule": (
        "forward",
        lambda: (
            elementwise(np.sin, lambda g, out, x: g * tg.cos(x)).forward_derivative(
                lambda tangents, out, x: -tangents[0] * tg.cos(x)
            ), X,
        ),
    ),
    "said to be linear": ("forward", lambda: (general(np.sin, lambda g, out, x: g * tg.cos(x), linear="jointly"), X)),
    "said to be elementwise": (
        "forward",
        lambda: (elementwise(lambda x: np.roll(x, 1) * 2, lambda g, out, x: 2 * tg.roll(g, -1)), ROW),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("analytic", [True, False], ids=["complex step", "differences"])
def test_planted_faults_are_found_and_named(name, analytic):
    cause, make = PLANTED[name]
    op, *inputs = make()
    if not analytic and isinstance(op, tg.Op):
        op.analytic = False
    fault = fault_of(op, *inputs)
    assert fault.cause == cause, str(fault)
    assert fault.order == 1
    assert cause in str(fault)


SECOND_ORDER = {
    "np. on values": lambda: (elementwise(np.sin, lambda g, out, x: g * tg.tensor(np.cos(tg.stop_gradient(x)))), X),
    "detached": lambda: (elementwise(np.square, lambda g, out, x: g * 2 * tg.stop_gradient(x)), X),
    "gradient detached": lambda: (elementwise(np.square, lambda g, out, x: tg.stop_gradient(g) * 2 * x), X),
    "one input detached": lambda: (
        elementwise(np.multiply, lambda g, out, x, y: g * y, lambda g, out, x, y: g * tg.stop_gradient(x)), X, Y,
    ),
    "a helper op that is wrong": lambda: (
        elementwise(np.sin, lambda g, out, x: g * elementwise(np.cos, lambda g, out, x: g * tg.sin(x))(x)), X,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_faults_of_second_order_alone(name):
    op, *inputs = SECOND_ORDER[name]()
    check_gradients(op, *inputs, order=1)
    fault = fault_of(op, *inputs)
    assert fault.order == 2
    assert "second order only" in str(fault)


def test_a_rule_that_differs_on_tensors():
    op = elementwise(np.sin, lambda g, out, x: g * tg.cos(x) * (1 if isinstance(x, np.ndarray) else 2))
    fault = fault_of(op, X)
    assert (fault.cause, fault.order) == ("recorded", 2)


def test_an_engine_that_does_not_sum_over_the_broadcast(monkeypatch):
    def first_slice(r, *, shape):
        while r.ndim > len(shape):
            r = r[0]
        return r[tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)]

    sum_to = registry["sum_to"]
    monkeypatch.setattr(sum_to, "kernel", first_slice)
    fault = fault_of(tg.multiply, X, ROW)
    assert (fault.cause, fault.input) == ("broadcast", "input 1 (y)")
    monkeypatch.setattr(sum_to, "kernel", lambda r, *, shape: r)
    fault = fault_of(tg.multiply, X, ROW)
    assert (fault.cause, fault.input) == ("broadcast", "input 1 (y)")
    assert "got shape (2, 3), expected (3,)" in str(fault)


# --- what is said ----------------------------------------------------------------------------------------------------


def test_the_report():
    wrong = elementwise(np.square, lambda g, out, x: g * x)
    wrong.__name__ = wrong.name = "half_square"
    fault = fault_of(wrong, np.array([[1.0, 4.0]]), seed=3)
    assert fault.index in ((0, 0), (0, 1))
    assert fault.got == pytest.approx(fault.expected / 2)
    assert fault.ulps == pytest.approx(abs(fault.got - fault.expected) / np.spacing(abs(fault.expected)))
    assert (fault.name, fault.input) == ("half_square", "input 0 (x)")
    text = str(fault)
    for part in ("half_square", "input 0 (x)", f"got {fault.got!r}, expected {fault.expected!r}", "ULPs off",
                 "by complex step", "times 1/2"):  # fmt: skip
        assert part in text


def test_the_op_at_fault_inside_a_function():
    def network(x, w):
        return tg.tanh(wrong(tg.sin(x)) @ w).sum()

    wrong = elementwise(np.exp, lambda g, out, x: -g * out)
    wrong.name = "my_exp"
    fault = fault_of(network, X, ROW)
    assert (fault.name, fault.cause, fault.input) == ("my_exp", "sign", "input 0 (x)")
    assert "inside network" in str(fault)


def test_the_op_at_fault_in_its_second_order():
    wrong = elementwise(np.exp, lambda g, out, x: g * tg.stop_gradient(out))
    wrong.name = "my_exp"
    fault = fault_of(lambda x: (wrong(x) * x).sum(), X)
    assert (fault.name, fault.order) == ("my_exp", 2)


def test_an_oracle_that_finds_nothing():
    @tg.op
    def noisy(x):
        return x + np.random.default_rng(hash(x.tobytes()) % 1000).normal(size=x.shape)

    noisy.derivatives(lambda g, out, x: g)
    assert fault_of(noisy, X).cause in ("unsettled", "kink")


@pytest.mark.parametrize("factor", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite(factor):
    fault = fault_of(elementwise(np.square, lambda g, out, x: g * factor), X)
    assert fault.cause == "unknown"
    assert not np.isfinite(fault.got)


# --- rows and whole ops ----------------------------------------------------------------------------------------------


def test_an_op_of_ones_own_by_a_row():
    @tg.op(elementwise=True)
    def clipped_log(x):
        return np.log(np.maximum(x, 0.5))

    clipped_log.derivatives(lambda g, out, x: tg.where(x > 0.5, g / x, 0))
    row = testing.Row(
        clipped_log, (testing.Domain(0.1, 2.0, avoid=(0.5,)),), reference=lambda x: np.log(np.fmax(x, 0.5))
    )
    testing.check_op(row)
    testing.check_op(row, seed=1)
    clipped_log.derivatives(lambda g, out, x: g / x)
    with pytest.raises(GradientError):
        testing.check_op(row)


def planted_row(kernel=np.sin, rule=lambda g, out, x: g * tg.cos(x), analytic=False, **row):
    return testing.Row(elementwise(kernel, rule, analytic=analytic), **{"reference": np.sin, **row})


def in_place(x):
    """Write to the input past the read-only view that a kernel is given."""
    own = x.base if isinstance(x, np.ndarray) and x.base is not None and x.base.shape == x.shape else x
    return np.sin(own, out=own) if isinstance(own, np.ndarray) else np.sin(own)


def by_memory(x):
    return np.ndarray(x.shape, x.dtype, np.sin(x).tobytes("A")) if np.size(x) and np.ndim(x) else np.sin(x)


@pytest.mark.parametrize(
    ("message", "row"),
    [
        ("expected", {"reference": np.cos}),
        ("dtype float32, expected float64", {"kernel": lambda x: np.sin(x).astype(np.float32)}),
        ("in float32 gave float64", {"kernel": lambda x: np.sin(x).astype(np.result_type(x, np.float64))}),
        ("0-d array", {"kernel": lambda x: np.asarray(np.sin(x))}),
        ("said to be analytic", {"kernel": lambda x: np.sin(np.real(x)), "analytic": True}),
        ("an input was written to", {"kernel": in_place}),
        ("memory layout", {"kernel": by_memory}),
    ],
)
def test_what_a_row_finds(message, row):
    with pytest.raises(AssertionError, match=message):
        testing.check_op(planted_row(**row))


def test_a_rule_that_reads_more_than_it_says():
    row = planted_row()
    row.op.derivatives(lambda g, out, x: g * tg.cos(x), reads=())
    with pytest.raises(AssertionError, match="needs more than op.reads says"):
        testing.PROPERTIES["rules_read_what_they_say"](next(row.examples()))


def test_gradients_that_share_memory():
    @tg.op
    def leak(x):
        return x * 1

    leak.derivatives(lambda g, out, x: g)
    testing.check_op(testing.Row(leak))  # the engine copies


def test_rows_are_found_and_added():
    assert testing.row_of("multiply") is testing.row_of(tg.multiply)
    assert next(testing.op_cases(tg.exp)).op is tg.exp
    with pytest.raises(KeyError, match="no row for"):
        testing.row_of("nothing")
    with pytest.raises(ValueError, match="already"):
        testing.add_row(testing.Row("multiply"))


def test_a_graph_is_replayed():
    x = tg.tensor(X, requires_grad=True)
    y = tg.exp(x * x).sum(axis=1)
    assert np.array_equal(testing.replay([y])[0], y.numpy())
    assert np.array_equal(testing.replay([y], {x: Y})[0], np.exp(Y * Y).sum(1))


def test_a_verdict_goes_from_process_to_process():
    found = fault_of(general(lambda x: np.sin(x), lambda g, out, x: -g * tg.cos(x)), X)
    other = pickle.loads(pickle.dumps(found))  # noqa: S301
    assert str(other) == str(found)
    assert vars(other) == vars(found)
    assert other.cause == "sign"
