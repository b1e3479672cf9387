"""Pooling against its definition, window by window, and as layers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn import nn
from tinygrad_nn.testing import check_gradients

F = nn.functional
MAX, AVG, LP = (
    {1: F.max_pool1d, 2: F.max_pool2d},
    {1: F.avg_pool1d, 2: F.avg_pool2d},
    {1: F.lp_pool1d, 2: F.lp_pool2d},
)
ADAPTIVE_MAX = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d}
ADAPTIVE_AVG = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d}


def counts_of(space, window, stride, padding, dilation, ceil_mode):
    """How many windows there are, by going through them."""
    counts = []
    for n, k, s, p, d in zip(space, window, stride, padding, dilation):
        reach, count = d * (k - 1) + 1, 0
        while count * s + reach <= n + 2 * p or (
            ceil_mode and count * s < n + p and (count - 1) * s + reach < n + 2 * p
        ):
            count += 1
        counts.append(count)
    return counts


def windows(space, window, stride, padding, dilation, ceil_mode):
    """Each window and the places of its elements, also of those in the padding."""
    for at in np.ndindex(*counts_of(space, window, stride, padding, dilation, ceil_mode)):
        places = [
            tuple(i * s + k * d - p for i, s, k, d, p in zip(at, stride, j, dilation, padding))
            for j in np.ndindex(*window)
        ]
        yield at, places


def inside(places, space):
    return [p for p in places if all(0 <= i < n for i, n in zip(p, space))]


@st.composite
def problems(draw, n, dilated=True):
    """An array of few whole numbers, so that there are ties, and settings."""
    window = tuple(draw(st.integers(1, 3)) for _ in range(n))
    stride = tuple(draw(st.integers(1, 3)) for _ in range(n))
    padding = tuple(draw(st.integers(0, k // 2)) for k in window)
    dilation = tuple(draw(st.integers(1, 2 if dilated else 1)) for _ in range(n))
    least = [max(d * (k - 1) + 1 - 2 * p, 1) for d, k, p in zip(dilation, window, padding)]
    space = tuple(m + draw(st.integers(0, 4)) for m in least)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.integers(-2, 3, (draw(st.integers(1, 2)), 2, *space)).astype(float)
    if draw(st.booleans()):
        x[rng.random(x.shape) < 0.1] = rng.choice([np.nan, -np.inf, np.inf])
    return x, (window, stride, padding, dilation, draw(st.booleans()))


@pytest.mark.parametrize("n", [1, 2])
@given(data=st.data())
def test_max_pool_and_its_gradient_are_their_definitions(n, data):
    x, (window, stride, padding, dilation, ceil_mode) = data.draw(problems(n))
    leaf = tg.tensor(x, requires_grad=True)
    out, indices = MAX[n](leaf, window, stride, padding, dilation, ceil_mode, True)
    space = x.shape[2:]
    g = np.random.default_rng(1).standard_normal(out.shape)
    gradient = np.zeros(x.shape)
    seen = 0
    for at, places in windows(space, window, stride, padding, dilation, ceil_mode):
        seen += 1
        elements = inside(places, space)
        for b, c in np.ndindex(*x.shape[:2]):
            if not elements:  # dilation can leap over the whole input
                assert out.numpy()[(b, c, *at)] == -np.inf
                continue
            values = np.array([x[(b, c, *e)] for e in elements])
            peak = values.max()
            np.testing.assert_equal(out.numpy()[(b, c, *at)], peak)
            first = elements[int(np.argmax(values))]
            assert indices.numpy()[(b, c, *at)] == np.ravel_multi_index(first, space)
            chosen = [e for e in elements if x[(b, c, *e)] == peak]
            for e in chosen:
                gradient[(b, c, *e)] += g[(b, c, *at)] / len(chosen)
    assert seen == np.prod(out.shape[2:])
    out.backward(tg.tensor(g))
    np.testing.assert_allclose(leaf.grad.numpy(), gradient, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(MAX[n](x[0], window, stride, padding, dilation, ceil_mode), out.numpy()[0])


@pytest.mark.parametrize("n", [1, 2])
@given(data=st.data())
def test_avg_pool_is_its_definition(n, data):
    x, (window, stride, padding, _, ceil_mode) = data.draw(problems(n, dilated=False))
    x = np.nan_to_num(x)
    include = data.draw(st.booleans())
    more = (data.draw(st.sampled_from([None, 3])),) if n == 2 else ()
    out = AVG[n](x, window, stride, padding, ceil_mode, include, *more)
    space = x.shape[2:]
    for at, places in windows(space, window, stride, padding, (1,) * n, ceil_mode):
        elements = inside(places, space)
        counted = [p for p in places if all(-a <= i < m + a for i, m, a in zip(p, space, padding))]
        total = sum(x[(..., *e)] for e in elements)
        count = (more and more[0]) or len(counted if include else elements)
        np.testing.assert_allclose(out[(..., *at)], total / count, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(AVG[n](x[0], window, stride, padding, ceil_mode, include, *more), out[0])


@pytest.mark.parametrize("n", [1, 2])
@given(data=st.data())
def test_adaptive_pooling_is_its_definition(n, data):
    x, _ = data.draw(problems(n))
    x = np.nan_to_num(x, nan=1, posinf=2, neginf=-2)
    counts = tuple(data.draw(st.integers(1, 5)) for _ in range(n))
    largest, indices = ADAPTIVE_MAX[n](x, counts, return_indices=True)
    means = ADAPTIVE_AVG[n](x, counts)
    assert largest.shape == means.shape == indices.shape == (*x.shape[:2], *counts)
    for at in np.ndindex(*counts):
        bounds = [(i * m // c, -((-(i + 1) * m) // c)) for i, m, c in zip(at, x.shape[2:], counts)]
        part = x[(..., *[slice(a, b) for a, b in bounds])].reshape(*x.shape[:2], -1)
        np.testing.assert_array_equal(largest[(..., *at)], part.max(-1))
        np.testing.assert_allclose(means[(..., *at)], part.mean(-1), rtol=1e-12, atol=1e-12)
        places = list(itertools.product(*[range(a, b) for a, b in bounds]))
        for b, c in np.ndindex(*x.shape[:2]):
            first = places[int(part[b, c].argmax())]
            assert indices[(b, c, *at)] == np.ravel_multi_index(first, x.shape[2:])


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("p", [1, 2, 3.0])
def test_lp_pool_is_a_norm(p, ceil_mode):
    x = abs(np.random.default_rng(2).standard_normal((2, 3, 5, 6)))
    out = F.lp_pool2d(x, p, (2, 3), 2, ceil_mode)
    means = F.avg_pool2d(x**p, (2, 3), 2, 0, ceil_mode)
    np.testing.assert_allclose(out, (6 * means) ** (1 / p), rtol=1e-12)
    np.testing.assert_allclose(out[0, 0, 0, 0], np.linalg.norm(x[0, 0, :2, :3].ravel(), p), rtol=1e-12)
    np.testing.assert_allclose(F.lp_pool1d(x[0], p, 3), (x[0].reshape(3, 5, 2, 3) ** p).sum(-1) ** (1 / p), rtol=1e-12)


@pytest.mark.parametrize("function", [F.lp_pool2d, lambda x, p, k: F.lp_pool1d(x[0], p, k)])
def test_lp_pool_of_nothing_has_derivative_zero(function):
    x = np.zeros((1, 1, 4, 4))
    np.testing.assert_array_equal(tg.grad(lambda x: function(x, 2, 2).sum())(x), x)
    np.testing.assert_array_equal(tg.jvp(lambda x: function(x, 2, 2), (x,), (x + 1,))[1], 0)


ALL = {
    "max": lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 0), (1, 2)),
    "max, ceil": lambda x: F.max_pool2d(x, 2, ceil_mode=True),
    "average": lambda x: F.avg_pool2d(x, 3, 2, 1, True, False),
    "norm": lambda x: F.lp_pool2d(x, 2, 2),
    "adaptive average": lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x, (3, 2)),
    "even adaptive": lambda x: F.adaptive_avg_pool2d(x, (5, 2)) + F.adaptive_max_pool2d(x, (5, 2)),
    "line": lambda x: F.max_pool1d(x[0], 2) * F.avg_pool1d(x[0], 2) + F.adaptive_max_pool1d(x[0], 3),
}


@pytest.mark.parametrize("name", ALL)
def test_derivatives_to_the_second_order(name):
    rng = np.random.default_rng(3)
    x = rng.permutation(np.linspace(0.5, 2, 60)).reshape(2, 1, 5, 6)
    check_gradients(lambda x: ALL[name](x) ** 2, x, order=2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ALL)
def test_dtypes_are_kept(name, dtype):
    x = tg.tensor(np.arange(1.0, 31.0).reshape(1, 1, 5, 6), dtype=dtype, requires_grad=True)
    out = ALL[name](x)
    out.sum().backward()
    assert out.dtype == x.grad.dtype == dtype
    wanted = ALL[name](np.arange(1.0, 31.0).reshape(1, 1, 5, 6))
    np.testing.assert_allclose(out.numpy(), wanted, rtol=2e-3 if dtype == np.float16 else 1e-6)


@pytest.mark.parametrize("name", ALL)
def test_empty_batches_and_strided_inputs(name):
    assert ALL[name](np.zeros((1, 0, 5, 6))).shape[1 if name != "line" else 0] == 0
    x = np.random.default_rng(4).random((6, 5, 1, 2))
    seen = x.transpose(3, 2, 1, 0)
    np.testing.assert_array_equal(ALL[name](seen), ALL[name](seen.copy()))


def test_whole_numbers_and_bools_have_maxima_but_no_means():
    assert F.max_pool1d(np.array([[1, 5, -3, -4]]), 2).tolist() == [[5, -3]]
    assert F.max_pool1d(np.array([[-3, -4, -5]]), 2, padding=1).tolist() == [[-3, -4]]
    assert F.max_pool1d(np.array([[False, True]]), 2).tolist() == [[True]]
    with pytest.raises(TypeError, match="avg_pool1d: means are fractions, and the input has dtype int64"):
        F.avg_pool1d(np.array([[1, 5]]), 2)


def test_what_is_padded_has_no_share_beside_minus_infinity():
    x = tg.tensor(np.full((1, 1, 2, 2), -np.inf), requires_grad=True)
    F.max_pool2d(x, 2, padding=1).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones((1, 1, 2, 2)))


def test_a_zero_gradient_is_zero_beside_infinity():
    x = tg.tensor([[np.inf, 1.0, np.nan, 2.0]], requires_grad=True)
    out = F.max_pool1d(x, 2)
    np.testing.assert_array_equal(out.numpy(), [[np.inf, np.nan]])
    out.backward(tg.tensor([[np.inf, np.inf]]))
    np.testing.assert_array_equal(x.grad.numpy(), [[np.inf, 0, 0, 0]])


@pytest.mark.parametrize("name", ALL)
def test_compiled_as_not_compiled(name):
    x = np.random.default_rng(5).random((3, 2, 5, 6)).astype(np.float32)
    differentiate = tg.value_and_grad(lambda x: (ALL[name](x) ** 2).sum())
    compiled = tg.compile(differentiate)
    for seen in (x, x[:, :, ::-1] * 2):
        for a, b in zip(differentiate(seen), compiled(tg.tensor(seen)), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-5)


def test_layers():
    x = tg.tensor(np.random.default_rng(6).random((2, 3, 8, 6)).astype(np.float32))
    pairs = [
        (nn.MaxPool2d(2), F.max_pool2d(x, 2)),
        (nn.MaxPool2d((3, 2), 1, (1, 0), 2, ceil_mode=True), F.max_pool2d(x, (3, 2), 1, (1, 0), 2, True)),
        (nn.AvgPool2d(3, 2, 1, True, False, 5), F.avg_pool2d(x, 3, 2, 1, True, False, 5)),
        (nn.LPPool2d(2, 2, 1), F.lp_pool2d(x, 2, 2, 1)),
        (nn.AdaptiveAvgPool2d((None, 4)), F.adaptive_avg_pool2d(x, (8, 4))),
        (nn.AdaptiveMaxPool2d(3), F.adaptive_max_pool2d(x, 3)),
    ]
    for layer, wanted in pairs:
        np.testing.assert_array_equal(layer(x).numpy(), wanted.numpy())
        assert list(layer.state_dict()) == []
    line = x[0]
    for layer, wanted in [
        (nn.MaxPool1d(2, return_indices=True), F.max_pool1d(line, 2, return_indices=True)),
        (nn.AdaptiveMaxPool1d(4, return_indices=True), F.adaptive_max_pool1d(line, 4, True)),
    ]:
        for a, b in zip(layer(line), wanted, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    for layer, wanted in [
        (nn.AvgPool1d(2), F.avg_pool1d(line, 2)),
        (nn.LPPool1d(2, 2), F.lp_pool1d(line, 2, 2)),
        (nn.AdaptiveAvgPool1d(4), F.adaptive_avg_pool1d(line, 4)),
    ]:
        np.testing.assert_array_equal(layer(line).numpy(), wanted.numpy())


def test_repr():
    wanted = "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"
    assert repr(nn.MaxPool2d(2)) == wanted
    assert repr(nn.AvgPool1d(2)) == "AvgPool1d(kernel_size=2, stride=2, padding=0)"
    assert repr(nn.LPPool2d(2, 3)) == "LPPool2d(norm_type=2, kernel_size=3, stride=None, ceil_mode=False)"
    assert repr(nn.AdaptiveAvgPool2d((5, None))) == "AdaptiveAvgPool2d(output_size=(5, None))"


X = np.zeros((2, 3, 8, 8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.max_pool2d(X, 9), r"max_pool2d: a window of \(9, 9\) does not fit into an input of \(8, 8\)"),
        (lambda: F.max_pool2d(X, 3, dilation=4), r"which reaches over \(9, 9\) with dilation \(4, 4\)"),
        (lambda: F.max_pool2d(X, 2, padding=2), "padding may be at most half the window"),
        (lambda: F.max_pool1d(X, 2), "max_pool1d: the input must have 3 axes"),
        (lambda: F.avg_pool2d(X[0, 0], 2), "avg_pool2d: the input must have 4 axes"),
        (lambda: F.avg_pool2d(X, 0), "kernel_size must be a positive whole number"),
        (lambda: F.avg_pool2d(X, 2, divisor_override=0), "divisor_override must be a positive whole number"),
        (lambda: F.lp_pool2d(X, float("inf"), 2), "norm_type must be a positive number, not inf"),
        (lambda: F.lp_pool2d(X, -1, 2), "norm_type must be a positive number"),
        (lambda: F.adaptive_avg_pool2d(X, (1, 2, 3)), "output_size must be a positive whole number"),
        (lambda: F.adaptive_max_pool2d(X, 0), "output_size must be a positive whole number"),
        (lambda: F.adaptive_max_pool2d(X[:, :, :0], 2), "there is nothing to pool"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_as_in_pytorch():
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # small arrays take far longer with several
    G = torch.nn.functional
    x = np.random.default_rng(7).standard_normal((2, 3, 9, 8))
    x[0, 0, 4, 4] = np.nan

    def compare(ours, theirs, x=x):
        a, b = tg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        got, wanted = ours(a), theirs(b)
        if isinstance(wanted, tuple):
            np.testing.assert_array_equal(got[1].numpy(), wanted[1].numpy())
            got, wanted = got[0], wanted[0]
        np.testing.assert_allclose(got.numpy(), wanted.detach().numpy(), rtol=1e-12)
        if np.isnan(x).any():  # PyTorch's gradient passes to NaN, ours does not
            return
        g = np.random.default_rng(0).standard_normal(got.shape)
        got.backward(tg.tensor(g))
        wanted.backward(torch.tensor(g))
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-10, atol=1e-12)

    plain = np.random.default_rng(8).standard_normal((2, 3, 9, 8))
    for k, s, p, d, ceil in itertools.product([2, (3, 2)], [None, 1, 3], [0, 1], [1, 2], [False, True]):
        for seen in (x, plain):
            more = (k, s, p, d, ceil, True)
            compare(lambda x, more=more: F.max_pool2d(x, *more), lambda x, more=more: G.max_pool2d(x, *more), seen)
        for include, divisor in [(True, None), (False, None), (True, 5)] if d == 1 else []:
            more = (k, s, p, ceil, include, divisor)
            compare(lambda x, more=more: F.avg_pool2d(x, *more), lambda x, more=more: G.avg_pool2d(x, *more), plain)
    for size in ((3, 5), 4, (12, 1)):
        compare(lambda x, n=size: F.adaptive_avg_pool2d(x, n), lambda x, n=size: G.adaptive_avg_pool2d(x, n), plain)
        more = (size, True)
        compare(
            lambda x, more=more: F.adaptive_max_pool2d(x, *more),
            lambda x, more=more: G.adaptive_max_pool2d(x, *more),
            plain,
        )
