"""Values and gradients where the textbook form overflows, cancels or divides by zero."""

import math

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.testing import check_gradients

F = tg.nn.functional
pytestmark = pytest.mark.filterwarnings("error")


def value_and_slope(f, x):
    """Value and derivative at a number, as an array element and as a NumPy scalar alike."""
    value, slope = tg.value_and_grad(f)(np.float64(x))
    values, slopes = tg.value_and_grad(lambda t: f(t).sum())(np.array([x, x]))
    assert np.array_equal(slopes, [slope, slope], equal_nan=True)
    assert values == 2 * value or np.isnan(value)
    return float(value), float(slope)


EXTREMES = [
    # function, x, value, derivative
    (tg.sigmoid, -1000.0, 0.0, 0.0),
    (tg.sigmoid, 1000.0, 1.0, 0.0),
    (tg.sigmoid, -700.0, math.exp(-700), math.exp(-700)),
    (tg.sigmoid, -40.0, math.exp(-40), math.exp(-40)),
    (tg.log_sigmoid, -1000.0, -1000.0, 1.0),
    (tg.log_sigmoid, 1000.0, 0.0, 0.0),
    (tg.log_sigmoid, 40.0, -math.exp(-40), math.exp(-40)),
    (tg.softplus, 1000.0, 1000.0, 1.0),
    (tg.softplus, -1000.0, 0.0, 0.0),
    (tg.softplus, -40.0, math.exp(-40), math.exp(-40)),
    (tg.tanh, 1000.0, 1.0, 0.0),
    (tg.tanh, -1000.0, -1.0, 0.0),
    (tg.expm1, 1e-17, 1e-17, 1.0),
    (tg.expm1, -50.0, -1.0, math.exp(-50)),
    (tg.log1p, 1e-17, 1e-17, 1.0),
    (tg.arctan, 1e300, math.pi / 2, 0.0),
    (tg.arcsinh, 1e300, math.asinh(1e300), 1e-300),
    (tg.arccosh, 1e300, math.acosh(1e300), 1e-300),
    (lambda x: tg.hypot(x, 1e200), 1e200, math.sqrt(2) * 1e200, math.sqrt(0.5)),
    (lambda x: tg.logaddexp(x, 0.0), 1000.0, 1000.0, 1.0),
    (lambda x: tg.logaddexp(x, 0.0), -1000.0, 0.0, 0.0),
    (lambda x: tg.logaddexp(x, x), 1000.0, 1000.0 + math.log(2), 1.0),
    (F.gelu, 1000.0, 1000.0, 1.0),
    (F.gelu, -1000.0, 0.0, 0.0),
    (F.silu, -1000.0, 0.0, 0.0),
    (F.silu, 1000.0, 1000.0, 1.0),
    (F.elu, -1000.0, -1.0, 0.0),
    (F.elu, 1000.0, 1000.0, 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("f", "x", "value", "slope"), EXTREMES)
def test_extremes(f, x, value, slope):
    got, derivative = value_and_slope(f, x)
    assert got == pytest.approx(value, rel=1e-14, abs=1e-320)
    assert derivative == pytest.approx(slope, rel=1e-12, abs=1e-320)


def test_softmax_of_large_numbers():
    x = tg.tensor([1000.0, 1000.0, -1000.0], requires_grad=True)
    out = tg.softmax(x)
    assert np.array_equal(out.numpy(), [0.5, 0.5, 0.0])
    (out * tg.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert np.array_equal(x.grad.numpy(), [-0.25, 0.25, 0.0])


def cross_entropy_of_one(x):
    return F.cross_entropy(x, np.array(1))


@pytest.mark.parametrize("f", [tg.softmax, tg.log_softmax, tg.logsumexp, cross_entropy_of_one])
def test_shifts_by_a_large_number_change_nothing(f):
    x = np.array([0.3, -0.7, 0.2])
    direction = np.array([0.4, -1.1, 0.5])
    shape = np.shape(f(x))
    weights = direction if shape else 1.0
    near, far = (tg.grad(lambda t: (f(t) * weights).sum())(x + shift) for shift in (0.0, 2.0**20))
    np.testing.assert_allclose(far, near, rtol=1e-8)


def test_log_softmax_keeps_small_probabilities():
    out = tg.log_softmax(tg.tensor([0.0, -2000.0]))
    assert np.array_equal(out.numpy(), [0.0, -2000.0])
    assert tg.grad(lambda x: tg.log_softmax(x)[1])(np.array([0.0, -2000.0])).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_of_certain_and_wrong_predictions_are_finite(dtype):
    logits = tg.tensor(np.array([-1000.0, 1000.0], dtype), requires_grad=True)
    target = tg.tensor(np.array([1.0, 0.0], dtype))
    loss = F.binary_cross_entropy_with_logits(logits, target)
    loss.backward()
    assert loss.item() == 1000.0
    assert logits.grad.tolist() == [-0.5, 0.5]
    scores = tg.tensor(np.array([[1000.0, 0.0, -1000.0]], dtype), requires_grad=True)
    loss = F.cross_entropy(scores, np.array([2]))
    loss.backward()
    assert loss.item() == 2000.0
    assert scores.grad.tolist() == [[1.0, 0.0, -1.0]]
    sure = tg.tensor(np.array([0.0, 1.0], dtype), requires_grad=True)
    loss = F.binary_cross_entropy(sure, target)
    loss.backward()
    assert loss.item() == 100.0
    assert np.all(np.isfinite(sure.grad.numpy()))


# --- products with zeros ---------------------------------------------------------------------------------------------


def products_of_others(x):
    return np.array([np.prod(np.delete(x, i)) for i in range(len(x))])


@pytest.mark.parametrize(
    "x",
    [[2.0, 3.0, 4.0], [0.0, 3.0, 4.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0], [0.0], [], [1e-100, 1e-100, 1e100, 1e100]],
    ids=str,
)
def test_prod_with_zeros(x):
    x = np.array(x)
    np.testing.assert_allclose(tg.grad(tg.prod)(x), products_of_others(x), rtol=1e-15)
    if 0 in x:
        check_gradients(tg.prod, x, order=3)
        check_gradients(tg.cumulative_prod, x, order=2)


def test_cumulative_prod_with_zeros():
    x = np.array([2.0, 0.0, 3.0, 0.0, 4.0])
    jacobian = tg.jacobian(tg.cumulative_prod)(x)
    expected = [[np.prod(np.delete(x[: i + 1], j)) if j <= i else 0.0 for j in range(5)] for i in range(5)]
    assert np.array_equal(jacobian, expected)


# --- what is not taken does not come in ------------------------------------------------------------------------------

UNTAKEN = {
    "sqrt of less than zero": lambda x: tg.sqrt(x),
    "sqrt at zero": lambda x: tg.sqrt(x + 1),
    "log of less than zero": lambda x: tg.log(x),
    "log at zero": lambda x: tg.log(x + 1),
    "division by zero": lambda x: 1 / (x + 1),
    "zero by zero": lambda x: (x + 1) / (x + 1),
    "power of zero": lambda x: (x + 1) ** -1.5,
    "power of less than zero": lambda x: x**0.3,
    "power of less than zero, in the exponent": lambda x: tg.power(-2.0, x + 0.5),
    "overflow": lambda x: tg.exp(x * -1e5),
    "overflow of a product": lambda x: tg.exp(-800 * x) * tg.exp(800 * x + 1600),
    "overflow twice": lambda x: tg.exp(tg.exp(x * -1e3)),
    "infinity times zero": lambda x: x * np.inf * 0.0,
    "outside arcsin": lambda x: tg.arcsin(x - 1),
    "end of arcsin": lambda x: tg.arcsin(x),
    "outside arccosh": lambda x: tg.arccosh(x),
    "end of arctanh": lambda x: tg.arctanh(x),
    "outside log1p": lambda x: tg.log1p(x - 1),
    "end of log1p": lambda x: tg.log1p(x),
    "hypot": lambda x: tg.hypot(x * np.inf, 1.0),
    "arctan2": lambda x: tg.arctan2(x + 1, 0.0),
    "cbrt": lambda x: tg.cbrt(x + 1),
    "tan": lambda x: tg.tan(x * np.inf),
    "sinh": lambda x: tg.sinh(x * 1e4),
    "remainder": lambda x: x % (x + 1),
    "reciprocal": lambda x: tg.reciprocal(x + 1),
    "square": lambda x: tg.square(x * 1e200),
    "a constant NaN": lambda x: x * np.nan,
    "expm1": lambda x: tg.expm1(-1e4 * x),
    "exp2": lambda x: tg.exp2(-1e4 * x),
    "log2 and log10": lambda x: tg.log2(x + 1) + tg.log10(x + 1),
    "softplus": lambda x: tg.softplus(x * -np.inf),
    "logaddexp": lambda x: tg.logaddexp(x * np.inf, x * np.inf),
}


@pytest.mark.parametrize("name", UNTAKEN)
@pytest.mark.parametrize("number", [False, True], ids=["array", "number"])
def test_a_branch_not_taken_gives_nothing(name, number):
    """At x = −1 each function, or its derivative, is infinite or NaN; `where` does not take it there."""
    f = UNTAKEN[name]
    x = np.float64(-1.0) if number else np.array([-1.0, 0.5])

    def chosen(x):
        with np.errstate(all="ignore"):
            return tg.where(x > 0, f(x), x * 3).sum()

    with np.errstate(all="ignore"):
        plain = tg.grad(chosen)(x)
        assert (plain if number else plain[0]) == 3.0
        leaf = tg.tensor(x, requires_grad=True)
        chosen(leaf).backward(create_graph=True)
        assert np.array_equal(leaf.grad.numpy(), plain, equal_nan=True)
        second = tg.hvp(chosen, x, np.ones_like(x))
    assert (second if number else second[0]) == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_where_with_a_bad_branch(bad):
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    out = tg.where(np.array([True, False]), x, bad)
    out[0].backward()
    assert x.grad.tolist() == [1.0, 0.0]
    x.grad = None
    kept = x * tg.tensor([1.0, bad])
    tg.where(np.array([True, False]), kept, 0.0).sum().backward()
    assert x.grad.tolist() == [1.0, 0.0]


def test_zero_gradients_stay_zero_through_a_chain():
    x = tg.tensor([0.0, 4.0], requires_grad=True)
    (tg.sqrt(tg.sqrt(x)) * tg.tensor([0.0, 1.0])).sum().backward()
    assert x.grad.tolist() == [0.0, pytest.approx(0.25 * 4.0**-0.75)]


def test_large_finite_gradients_are_no_infinities():
    """The search for NaN sums squares, which can overflow where each number is finite."""
    x = tg.tensor(np.full(100, 1e-200), requires_grad=True)
    tg.log(x).sum().backward()
    assert np.array_equal(x.grad.numpy(), np.full(100, 1 / 1e-200))


def test_nan_in_nan_out():
    """A NaN that is used stays seen: in the value and in what depends on it, and nowhere else."""
    x = tg.tensor([np.nan, 1.0], requires_grad=True)
    out = tg.exp(x)
    assert np.isnan(out.numpy()).tolist() == [True, False]
    out.sum().backward()
    assert np.isnan(x.grad.numpy()).tolist() == [True, False]


# --- sums that would lose digits -------------------------------------------------------------------------------------


def test_variance_far_from_zero():
    x = 1e8 + np.array([0.0, 1.0, 2.0])
    assert tg.var(x) == pytest.approx(2 / 3, rel=1e-12)
    np.testing.assert_allclose(tg.grad(tg.var)(x), [-2 / 3, 0, 2 / 3], atol=1e-12)


def test_norm_does_not_overflow():
    x = np.array([1e200, 1e200])
    np.testing.assert_allclose(tg.grad(lambda x: tg.hypot(x[0], x[1]))(x), [math.sqrt(0.5)] * 2)


def test_the_mean_of_more_numbers_than_half_precision_counts():
    x = tg.tensor(np.ones(70_000, np.float16), requires_grad=True)
    mean = tg.mean(x)
    mean.backward(np.float16(2.0))
    assert mean.item() == 1.0
    assert x.grad.dtype == np.float16
    assert np.all(x.grad.numpy() == np.float16(2 / 70_000))


# --- sums and roots that lose digits ---------------------------------------------------------------------------------


def test_gradients_of_logsumexp_sum_to_one():
    for dtype in (np.float16, np.float32, np.float64):
        for shift in (0.0, 1e3, 6e4) if dtype == np.float16 else (0.0, 1e3, 1e8, -1e30):
            x = np.array([0, 0.5, -1], dtype) + dtype(shift)
            assert tg.grad(tg.logsumexp)(x).sum() == pytest.approx(1, rel=5e-3 if dtype == np.float16 else 1e-6)
    x = np.array([[1.0, 2.0], [-np.inf, -np.inf]])
    np.testing.assert_allclose(tg.grad(lambda x: tg.sum(tg.logsumexp(x, axis=1)))(x)[1], 0)
    check_gradients(tg.logsumexp, x[0], order=2)


def test_a_forward_algorithm_in_float32():
    """Probabilities of a chain of states stay those of a distribution, however many steps there are."""
    moves = np.log(np.array([[0.9, 0.1], [0.2, 0.8]], np.float32))

    def final(shift):
        state = tg.zeros(2, dtype=np.float32) + shift
        for _ in range(1000):
            state = tg.logsumexp(state[:, None] + moves, axis=0)
        return tg.logsumexp(state)

    assert tg.grad(lambda x: final(x))(np.float32(0)) == pytest.approx(1, abs=1e-3)


def test_means_of_large_integers():
    assert tg.mean(tg.tensor(np.full(4, 2**62))).item() == 2.0**62
    assert tg.mean(np.full((2, 2), 2**62), axis=0).tolist() == [2.0**62] * 2


@pytest.mark.parametrize("scale", [1e-200, 1e-160, 1e160, 1e200])
def test_roots_of_sums_of_squares_that_cannot_be_held(scale):
    x = np.array([[3.0, 4.0], [0.0, 0.0], [5.0, 12.0]]) * scale
    np.testing.assert_allclose(tg.linalg.norm(x, axis=1), np.array([5, 0, 13]) * scale, rtol=1e-14)
    np.testing.assert_allclose(tg.linalg.norm(x, 3, axis=1, keepdims=True)[0], 91 ** (1 / 3) * scale, rtol=1e-14)
    np.testing.assert_allclose(tg.grad(lambda x: tg.linalg.norm(x[0]))(x)[0], [0.6, 0.8], rtol=1e-14)
    np.testing.assert_allclose(tg.std(x, axis=1), np.array([0.5, 0, 3.5]) * scale, rtol=1e-14)
    np.testing.assert_allclose(tg.std(x, axis=1, correction=1, keepdims=True)[0], scale / 2**0.5, rtol=1e-14)
    np.testing.assert_allclose(tg.grad(lambda x: tg.std(x[0]))(x)[0], [-0.5, 0.5], rtol=1e-14)
    assert tg.hypot(*x[0]) == pytest.approx(5 * scale)
    compiled = tg.compile(lambda x: (tg.linalg.norm(x, axis=1), tg.std(x, axis=1)))
    for _ in range(2):
        np.testing.assert_allclose(compiled(x)[0], np.array([5, 0, 13]) * scale, rtol=1e-14)


def test_norms_keep_what_is_not_finite():
    assert tg.linalg.norm(np.array([np.inf, 1.0])) == np.inf
    assert np.isnan(tg.linalg.norm(np.array([np.nan, 1.0])))
    with np.errstate(invalid="ignore"):
        assert np.isnan(tg.std(np.array([np.inf, 1.0])))
    assert tg.linalg.norm(np.zeros((2, 0))) == 0


def test_axes_of_numbers():
    for name in ("sum", "prod", "max", "min", "mean", "logsumexp"):
        for axis in (0, -1):
            assert tg.grad(lambda x, name=name, axis=axis: getattr(tg, name)(x, axis=axis))(2.0) == 1


def test_diagonals_of_stacks_of_matrices():
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(tg.linalg.trace(x), np.linalg.trace(x))
    np.testing.assert_array_equal(tg.linalg.diagonal(x, offset=1), np.linalg.diagonal(x, offset=1))
    np.testing.assert_array_equal(tg.trace(x), np.trace(x))


def test_float16_where_counts_and_sums_are_larger_than_it_holds():
    x = np.zeros(100_000, np.float16)
    np.testing.assert_allclose(tg.softmax(x), 1e-5, rtol=1e-2)
    assert tg.logsumexp(x) == pytest.approx(np.log(1e5), rel=1e-3)
    np.testing.assert_allclose(tg.log_softmax(x), -np.log(1e5), rtol=1e-3)
    for f in (tg.max, tg.min, tg.mean, tg.logsumexp):
        gradient = tg.grad(f)(x)
        assert gradient.dtype == np.float16
        np.testing.assert_allclose(gradient, 1e-5, rtol=1e-2)
    noise = np.random.default_rng(0).standard_normal(100_000).astype(np.float16)
    assert tg.var(noise) == pytest.approx(1, abs=0.02)
    assert tg.std(noise * np.float16(1000)) == pytest.approx(1000, rel=0.02)
    loss = tg.nn.functional.cross_entropy(x[None], np.array([3]))
    assert loss.item() == pytest.approx(np.log(1e5), rel=1e-3)
