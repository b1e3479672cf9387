"""What an op says of itself is so: on every case of its row."""

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import testing
from tinygrad_nn.core.define import registry

OPS = {name: registry[name] for name in sorted(testing.table) if name in registry}


def having(fact):
    return [name for name, op in OPS.items() if getattr(op, fact)]


def kernel_of(case):
    return lambda *inputs: case.op.kernel(*inputs, **case.settings)


def replaced(inputs, i, x):
    return [*inputs[:i], x, *inputs[i + 1 :]]


@pytest.mark.parametrize("name", having("ufunc"))
def test_it_is_that_ufunc(name):
    for case in testing.op_cases(name):
        found, expected = case.op.ufunc(*case.inputs), kernel_of(case)(*case.inputs)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", having("operator"))
def test_python_writes_it_so(name):
    op = OPS[name]
    for case in testing.op_cases(name):
        operands = {f"x{i}": x for i, x in enumerate(case.inputs)}
        text = op.operator.text.format(*operands)
        np.testing.assert_array_equal(eval(text, {}, operands), kernel_of(case)(*case.inputs))


@pytest.mark.parametrize("name", having("linear_in"))
def test_a_factor_of_an_input_is_a_factor_of_the_result(name):
    for case in testing.op_cases(name):
        kernel = kernel_of(case)
        for i in set(case.op.linear_in) & set(case.differentiable):
            twice = kernel(*replaced(case.inputs, i, case.inputs[i] * 2.0))
            once = kernel(*case.inputs)
            for a, b in zip(twice, once) if isinstance(once, tuple) else [(twice, once)]:
                np.testing.assert_allclose(a, b * 2.0, rtol=1e-15)


@pytest.mark.parametrize("name", having("hands_on"))
def test_infinities_and_nan_are_handed_on(name):
    checked = 0
    for case in testing.op_cases(name):
        for i in set(case.op.hands_on) & set(case.differentiable):
            x = np.asarray(case.inputs[i])
            for place in np.ndindex(x.shape) if kernel_of(case)(*case.inputs).size else ():
                for value in (np.inf, -np.inf, np.nan):
                    given = x.copy()
                    given[place] = value
                    with np.errstate(invalid="ignore"):
                        out = kernel_of(case)(*replaced(case.inputs, i, given[()]))
                    assert not np.isfinite(out).all(), f"{case}: input {i} at {place}"
                    checked += 1
    assert checked


@pytest.mark.parametrize("name", having("reduces"))
def test_it_is_that_reduction(name):
    for case in testing.op_cases(name):
        settings = {"axis": None, **case.settings}
        np.testing.assert_array_equal(case.op.reduces.reduce(*case.inputs, **settings), case())


def test_the_ops_that_facts_are_known_of():
    """So that none is lost: what is derived from them has no other source."""
    assert having("role") == [
        *("elu", "leaky_relu", "linear", "linear_map", "log_softmax", "matmul", "relu", "sigmoid", "softmax"),
        *("softplus", "tanh"),
    ]
    assert having("reduces") == ["all", "any", "max", "min", "prod", "sum"]
    assert having("shaped_by_numbers") == ["index", "nonzero"]
    assert having("hands_on") == [
        *("absolute", "add", "broadcast_to", "divide", "linear_map", "matmul", "matrix_transpose", "multiply"),
        *("negative", "permute_dims", "positive", "reshape", "scatter_add", "subtract", "sum"),
    ]
    assert {"matmul", "linear_map", "multiply", "divide", "sum", "negative", "matrix_transpose"} <= {
        *having("linear_in")
    }
    assert OPS["divide"].linear_in == OPS["divide"].hands_on == (0,)
    assert len(having("ufunc")) >= 66


def test_a_users_op_may_be_called_like_one_of_the_librarys():
    """Its own kernel computes it, eagerly and compiled, and its own rule its derivative."""

    def thrice(x):
        return 3.0 * x

    def twice(x, y):
        return 2.0 * (x - y)

    for name in ("square", "exp", "relu", "negative", "sum", "reshape", "index", "copy"):
        op = tg.op(name=name, elementwise=True)(thrice).derivatives(lambda g, out, x: 3.0 * g)
        for target in ("numpy", "jax") if name == "exp" else ("numpy",):
            if target == "jax":
                pytest.importorskip("jax")
            f = tg.compile(lambda x, op=op: op(op(x)), target=target)
            np.testing.assert_array_equal(f(np.array([-1.0, 2.0])), [-9.0, 18.0])
            f = tg.compile(tg.grad(lambda x, op=op: tg.sum(op(op(x)))), target=target)
            np.testing.assert_array_equal(f(np.array([-1.0, 2.0])), [9.0, 9.0])
    for name in ("multiply", "add", "subtract", "matmul", "zero_where_zero", "where", "power"):
        op = tg.op(name=name, elementwise=True)(twice).derivatives(
            lambda g, out, x, y: 2 * g, lambda g, out, x, y: -2 * g
        )
        f = tg.compile(lambda x, y, op=op: op(x, y) + op(x, 1.0) * 1.0)
        np.testing.assert_array_equal(f(np.array([1.0, 2.0]), np.array([5.0, 5.0])), [-8.0, -4.0])


def test_reciprocals_of_integers_are_fractions_compiled_too():
    f = tg.compile(lambda x: (tg.reciprocal(x), tg.reciprocal(tg.sum(x))))
    found = f(np.array([2, 4]))
    np.testing.assert_array_equal(found[0], [0.5, 0.25])
    assert found[1] == 1 / 6
    f = tg.compile(lambda x: tg.reciprocal(x))
    np.testing.assert_array_equal(f(np.array([2.0, 4.0])), [0.5, 0.25])
