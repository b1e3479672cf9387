"""Transforms: against closed forms, against each other, nested, and over nests of inputs."""

import numpy as np
import pytest

import tinygrad_nn as tg


def x_sin_x(x):
    return x * tg.sin(x)


def test_derivatives_of_every_order_nest():
    f, x = x_sin_x, 0.7
    expected = [
        np.sin(x) + x * np.cos(x),
        2 * np.cos(x) - x * np.sin(x),
        -3 * np.sin(x) - x * np.cos(x),
        -4 * np.cos(x) + x * np.sin(x),
    ]
    for value in expected:
        f = tg.grad(f)
        assert f(x) == pytest.approx(value, rel=1e-13)


def test_no_perturbation_confusion():
    # d/dx [x · d/dy (x·y)] = d/dx x² = 2x; a tape that confuses x and y gives something else
    assert tg.grad(lambda x: x * tg.grad(lambda y: x * y)(2.0))(3.0) == 6.0
    assert tg.jvp(lambda x: x * tg.jvp(lambda y: x * y, 2.0, 1.0)[1], 3.0, 1.0)[1] == 6.0
    assert tg.grad(lambda x: x * tg.jvp(lambda y: x * y, 2.0, 1.0)[1])(3.0) == 6.0
    assert tg.jvp(lambda x: x * tg.grad(lambda y: x * y)(2.0), 3.0, 1.0)[1] == 6.0


@pytest.mark.parametrize(
    "second",
    [
        lambda f, x: tg.grad(tg.grad(f))(x),
        lambda f, x: tg.jvp(tg.grad(f), x, 1.0)[1],
        lambda f, x: tg.grad(lambda x: tg.jvp(f, x, 1.0)[1])(x),
        lambda f, x: tg.jvp(lambda x: tg.jvp(f, x, 1.0)[1], x, 1.0)[1],
        lambda f, x: tg.hessian(f)(x),
        lambda f, x: tg.hvp(f, x, 1.0),
        lambda f, x: tg.vjp(tg.grad(f), x)[1](1.0)[0],
        lambda f, x: tg.grad(lambda x: tg.vjp(f, x)[1](1.0)[0])(x),
        lambda f, x: tg.jacobian(tg.jacobian(f))(x),
        lambda f, x: tg.elementwise_grad(tg.elementwise_grad(f))(x),
    ],
)
def test_all_ways_to_a_second_derivative_agree(second):
    x = 0.7
    assert second(x_sin_x, x) == pytest.approx(2 * np.cos(x) - x * np.sin(x), rel=1e-13)


def softmax(x):
    e = tg.exp(x - tg.stop_gradient(x).max())
    return e / e.sum()


X = np.array([0.3, -1.2, 2.0])
S = np.exp(X) / np.exp(X).sum()
J = np.diag(S) - np.outer(S, S)


@pytest.mark.parametrize("f", [softmax, tg.softmax])
def test_jacobian_and_its_products(f):
    v = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(tg.jacobian(f)(X), J, atol=1e-15)
    np.testing.assert_allclose(tg.jvp(f, X, v)[1], J @ v, atol=1e-15)
    np.testing.assert_allclose(tg.vjp(f, X)[1](v)[0], v @ J, atol=1e-15)


def test_jacobian_has_the_shape_of_the_result_then_of_the_input():
    a = np.arange(6.0).reshape(2, 3)
    result = tg.jacobian(lambda x: (x**2).sum(axis=0))(a)
    assert result.shape == (3, 2, 3)
    expected = np.zeros((3, 2, 3))
    for i in range(2):
        for j in range(3):
            expected[j, i, j] = 2 * a[i, j]
    np.testing.assert_array_equal(result, expected)


def test_jacobian_of_an_empty_result():
    assert tg.jacobian(lambda x: x[:0])(X).shape == (0, 3)


def test_hessian_and_hvp_of_a_coupled_function():
    def f(x):
        return (x[0] ** 2 * x[1] + tg.exp(x[1] * x[2])).sum()

    a, b, c = x = np.array([1.5, -0.5, 2.0])
    e = np.exp(b * c)
    expected = np.array([[2 * b, 2 * a, 0], [2 * a, c * c * e, e * (1 + b * c)], [0, e * (1 + b * c), b * b * e]])
    np.testing.assert_allclose(tg.hessian(f)(x), expected, rtol=1e-13)
    v = np.array([0.2, -1.0, 3.0])
    np.testing.assert_allclose(tg.hvp(f, x, v), expected @ v, rtol=1e-13)
    np.testing.assert_allclose(tg.hvp(f, (x,), (v,))[0], expected @ v, rtol=1e-13)


def test_several_arguments():
    def f(x, y, z=1.0):
        return (x * y**2 * z).sum()

    assert tg.grad(f, 1)(2.0, 3.0, z=10.0) == 120.0
    assert tg.grad(f, (0, 1))(2.0, 3.0) == (9.0, 12.0)
    assert tg.grad(f, -1)(2.0, 3.0) == 12.0
    value, gradients = tg.value_and_grad(f, argnums=(1, 0))(2.0, 3.0)
    assert (value, gradients) == (18.0, (12.0, 9.0))
    jacobians = tg.jacobian(lambda x, y: x * y, (0, 1))(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    np.testing.assert_array_equal(jacobians[0], np.diag([3.0, 4.0]))
    np.testing.assert_array_equal(jacobians[1], np.diag([1.0, 2.0]))


def test_nests_of_inputs_and_results():
    params = {"layers": [(np.ones(2), 3.0), (np.full(2, 2.0), 4.0)], "scale": 5.0}

    def f(p):
        return sum((w * b).sum() for w, b in p["layers"]) * p["scale"]

    gradients = tg.grad(f)(params)
    np.testing.assert_array_equal(gradients["layers"][0][0], [15.0, 15.0])
    assert isinstance(gradients["layers"][0], tuple)
    assert gradients["layers"][1][1] == 20.0
    assert gradients["scale"] == 22.0

    out, pullback = tg.vjp(lambda x: {"a": x * 2, "b": [x**2]}, np.array([1.0, 3.0]))
    assert set(out) == {"a", "b"}
    (pulled,) = pullback({"a": np.array([1.0, 0.0]), "b": [np.array([0.0, 1.0])]})
    np.testing.assert_array_equal(pulled, [2.0, 6.0])
    _, tangent = tg.jvp(lambda x: (x * 2, x * 3), 1.0, 10.0)
    assert tangent == (20.0, 30.0)


def test_arrays_for_arrays_and_tensors_for_tensors():
    assert isinstance(tg.grad(x_sin_x)(1.0), np.floating)
    assert isinstance(tg.elementwise_grad(tg.sin)(X), np.ndarray)
    assert isinstance(tg.grad(x_sin_x)(tg.tensor(1.0)), tg.Tensor)
    value, _ = tg.value_and_grad(x_sin_x)(np.float32(1.0))
    assert value.dtype == np.float32


def test_a_closure_over_a_tensor_that_requires_gradients_stays_connected():
    w = tg.tensor(3.0, requires_grad=True)
    slope = tg.grad(lambda x: w * w * x)(2.0)
    assert isinstance(slope, tg.Tensor)
    slope.backward()
    assert w.grad.item() == 6.0


def test_the_users_tensor_is_not_touched():
    x = tg.tensor(2.0, requires_grad=True)
    slope = tg.grad(lambda x: x**3)(x)
    assert x.grad is None
    slope.backward()
    assert x.grad.item() == 12.0


def test_transforms_work_under_no_grad():
    with tg.no_grad():
        assert tg.grad(x_sin_x)(0.0) == 0.0
        assert not tg.is_grad_enabled()
        assert tg.jvp(x_sin_x, 0.5, 1.0)[1] == pytest.approx(np.sin(0.5) + 0.5 * np.cos(0.5))


def test_recording_state_returns_after_an_exception():
    def fails(x):
        raise KeyError("inside")

    with tg.no_grad():
        with pytest.raises(KeyError):
            tg.grad(fails)(1.0)
        assert not tg.is_grad_enabled()
    assert tg.is_grad_enabled()


def test_a_pullback_can_be_called_again():
    _, pullback = tg.vjp(lambda x: x**3, 2.0)
    assert pullback(1.0) == (12.0,)
    assert pullback(2.0) == (24.0,)


def test_results_that_do_not_depend_on_the_input_have_zero_gradient():
    assert tg.grad(lambda x: tg.tensor(3.0) * 2)(1.0) == 0.0
    assert tg.grad(tg.grad(tg.grad(lambda x: x * x)))(1.0) == 0.0
    np.testing.assert_array_equal(tg.grad(lambda x: (x * 0 + 1).prod())(X), np.zeros(3))


def test_python_ints_are_floats_here():
    assert tg.grad(lambda a: a**2)(5) == 10.0


def test_a_result_returned_twice_counts_twice():
    def f(x):
        y = x * 2
        return y, y

    _, pullback = tg.vjp(f, 1.0)
    assert pullback((1.0, 10.0)) == (22.0,)


def test_gradients_share_no_memory():
    a, b = tg.grad(lambda x, y: (x + y).sum(), (0, 1))(X, X)
    assert not np.shares_memory(a, b)
    a[0] = 100.0
    assert b[0] == 1.0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: tg.grad(lambda x: x)(X), ValueError, r"shape \(3,\).*tg\.jacobian"),
        (lambda: tg.grad(lambda x: x.numpy().sum())(X), TypeError, "not a Tensor"),
        (lambda: tg.grad(lambda x: x.item())(1.0), TypeError, "nothing was recorded"),
        (lambda: tg.grad(lambda x: x.sum())(np.arange(3)), TypeError, "int64.*astype"),
        (lambda: tg.grad(lambda x: x)(True), TypeError, "differentiate with respect to True"),
        (lambda: tg.grad(lambda x: x)("text"), TypeError, "'text'"),
        (lambda: tg.grad(lambda x: x, 1)(1.0), ValueError, "argnums"),
        (lambda: tg.vjp(lambda x: x * 2, X)[1](np.ones(2)), ValueError, r"\(2,\).*\(3,\)"),
        (lambda: tg.vjp(lambda x: x * 2, X)[1](np.ones(3, np.float32)), TypeError, "float32.*float64"),
        (lambda: tg.vjp(lambda x: (x, x), X)[1](np.ones(3)), ValueError, "structure"),
        (lambda: tg.jvp(lambda x: x, X, np.ones(4)), ValueError, r"\(4,\).*\(3,\)"),
        (lambda: tg.jvp(lambda x: 1.0, X, np.ones(3)), TypeError, "not a Tensor"),
    ],
)
def test_errors_say_what_would_be_right(call, error, words):
    with pytest.raises(error, match=words):
        call()


class TestCheckpoint:
    def run(self, wrap):
        w = tg.tensor([0.5, -1.5], requires_grad=True)
        x = tg.tensor([1.0, 2.0], requires_grad=True)
        h = wrap(lambda x: tg.tanh(x * w) * tg.exp(w))(x)
        (h * x).sum().backward()
        return x.grad.numpy(), w.grad.numpy()

    def test_gradients_are_those_of_the_function_also_for_what_it_closes_over(self):
        for ours, plain in zip(self.run(tg.checkpoint), self.run(lambda f: f), strict=True):
            np.testing.assert_array_equal(ours, plain)

    def test_second_order(self):
        f = tg.checkpoint(x_sin_x)
        assert tg.grad(tg.grad(f))(0.7) == pytest.approx(2 * np.cos(0.7) - 0.7 * np.sin(0.7))

    def test_an_input_that_another_was_made_from_is_not_counted_twice(self):
        x = tg.tensor(3.0, requires_grad=True)
        y = x * x
        tg.checkpoint(lambda x, y: x * y)(x, y).backward()
        assert x.grad.item() == 27.0

    def test_nothing_is_kept_between(self):
        x = tg.tensor(np.ones(1000), requires_grad=True)
        out = tg.checkpoint(lambda x: tg.exp(tg.exp(tg.exp(x))))(x)
        assert out.op.name.startswith("checkpoint")
        assert all(source is x for source in out.inputs)

    def test_several_results(self):
        x = tg.tensor(2.0, requires_grad=True)
        a, b = tg.checkpoint(lambda x: (x * x, x**3))(x)
        (a + 10 * b).backward()
        assert x.grad.item() == 4.0 + 120.0

    def test_random_numbers_repeat(self):
        tg.manual_seed(0)
        x = tg.tensor(np.ones(50), requires_grad=True)
        out = tg.checkpoint(lambda x: x * tg.random.normal(size=50))(x)
        before = tg.random.get_state()
        out.sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), out.numpy())
        assert repr(tg.random.get_state()) == repr(before)

    def test_a_parameter_changed_in_between_is_an_error(self):
        w = tg.tensor(2.0, requires_grad=True, name="w")
        out = tg.checkpoint(lambda x: x * w)(tg.tensor(3.0, requires_grad=True))
        with tg.no_grad():
            w -= 1.0
        with pytest.raises(RuntimeError, match="other Tensors.*'w'"):
            out.backward()

    def test_an_argument_bound_anew_in_between_keeps_its_value(self):
        x = tg.tensor(3.0, requires_grad=True)
        y = x * 1
        out = tg.checkpoint(lambda y: y * y)(y)
        y += 100.0
        out.backward()
        assert x.grad.item() == 6.0
