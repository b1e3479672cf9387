"""Embedding, and the dropouts: what comes out, what a gradient reaches, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn import nn
from tinygrad_nn.nn import functional as F
from tinygrad_nn.testing import check_gradients


def generator(seed=0):
    return np.random.default_rng(seed)


# --- Embedding -------------------------------------------------------------------------------------------------------


@given(
    rows=st.integers(1, 6),
    width=st.integers(1, 4),
    shape=st.sampled_from([(), (3,), (2, 4), (0,), (2, 0, 3), (40, 70)]),
    padding=st.sampled_from([None, 0, -1]),
    kind=st.sampled_from([np.int64, np.int32, np.uint8]),
)
def test_embedding_is_a_loop_over_numbers(rows, width, shape, padding, kind):
    rng = generator()
    table = rng.standard_normal((rows, width))
    numbers = rng.integers(0, rows, shape).astype(kind)
    weight = tg.tensor(table, requires_grad=True)
    out = F.embedding(tg.tensor(numbers), weight, padding)
    g = rng.standard_normal((*shape, width))
    wanted, gradient = np.zeros((*shape, width)), np.zeros_like(table)
    for place in np.ndindex(shape):
        wanted[place] = table[numbers[place]]
        if padding is None or numbers[place] != padding % rows:
            gradient[numbers[place]] += g[place]
    np.testing.assert_array_equal(out.numpy(), wanted)
    (out * g).sum().backward()
    np.testing.assert_allclose(weight.grad.numpy(), gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padding", [None, 1])
def test_gradients_of_embedding(padding):
    table = generator().standard_normal((3, 2))
    numbers = np.array([[0, 1, 2], [1, 1, 0]])
    if padding is None:
        check_gradients(lambda w: F.embedding(numbers, w) ** 3, table)
    # The row of the padding is fixed, so that only the others are differentiated.
    check_gradients(lambda w: F.embedding(numbers, tg.concat([w[:1], table[1:2], w[1:]]), padding) ** 3, table[::2])


def test_embedding_layer():
    layer = nn.Embedding(10, 3, padding_idx=-8, generator=generator())
    assert layer.weight.dtype == np.float32
    assert layer.padding_idx == 2
    assert layer.weight[2].tolist() == [0, 0, 0]
    assert layer([[1, 2], [3, 4]]).shape == (2, 2, 3)
    assert layer(5).shape == (3,)
    assert repr(layer).startswith("Embedding(10, 3, padding_idx=2)")
    layer([2, 2, 1]).sum().backward()
    assert np.flatnonzero(layer.weight.grad.numpy().any(1)).tolist() == [1]
    many = nn.Embedding(300, 50, generator=generator()).weight.numpy()
    assert abs(many.mean()) < 0.02
    assert abs(many.std() - 1) < 0.02
    again = nn.Embedding(300, 50, generator=generator()).weight.numpy()
    np.testing.assert_array_equal(many, again)


def test_from_pretrained():
    table = generator().standard_normal((4, 2))
    layer = nn.Embedding.from_pretrained(table, padding_idx=1)
    assert not layer.weight.requires_grad
    assert layer.weight.dtype == np.float64
    np.testing.assert_array_equal(layer.weight.numpy(), table)
    table[0] = 7
    assert layer.weight[0, 0].item() != 7
    learned = nn.Embedding.from_pretrained([[1.0, 2.0], [3.0, 4.0]], freeze=False, padding_idx=1)
    assert learned.weight.dtype == np.float32
    learned([0, 1]).sum().backward()
    assert learned.weight.grad.tolist() == [[1, 1], [0, 0]]
    assert learned([1]).tolist() == [[3, 4]]
    with pytest.raises(ValueError, match=r"\(rows, width\)"):
        nn.Embedding.from_pretrained([1.0, 2.0])
    with pytest.raises(ValueError, match="floating-point"):
        nn.Embedding.from_pretrained(np.ones((2, 2), int))


def test_known_rows_draw_nothing():
    drawn = []
    for made in (lambda: None, lambda: nn.Embedding.from_pretrained([[1.0], [2.0]])):
        tg.manual_seed(0)
        made()
        drawn.append(tg.random.normal(size=3).tolist())
    assert drawn[0] == drawn[1]


def test_compiled_embedding_checks_the_numbers_of_every_call():
    layer = nn.Embedding(3, 2, padding_idx=0, generator=generator())

    @tg.compile
    def gradient(numbers):
        layer.weight.grad = None
        (layer(numbers) ** 2).sum().backward()
        return layer.weight.grad

    for numbers in ([1, 2, 1], [0, 1, 2], [0, 0, 0]):
        numbers = np.array(numbers)
        table = layer.weight.numpy()
        wanted = np.zeros((3, 2))
        np.add.at(wanted, numbers, 2 * table[numbers])
        wanted[0] = 0
        np.testing.assert_allclose(np.asarray(gradient(numbers)), wanted, rtol=1e-6)
    with pytest.raises(IndexError, match=r"0 … 2, as there are 3 rows, but 1 of 3 are not, such as 3"):
        gradient(np.array([0, 3, 1]))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda e: e([0, 3]), IndexError, "0 … 2, as there are 3 rows, but 1 of 2 are not, such as 3"),
        (lambda e: e([-1]), IndexError, "such as -1"),
        (lambda e: e(np.array(5)), IndexError, "such as 5"),
        (lambda e: e([0.0, 1.0]), TypeError, "integers"),
        (lambda e: e(np.array([True])), TypeError, "bool"),
        (lambda e: F.embedding([0], np.ones(3)), ValueError, r"\(rows, width\)"),
        (lambda e: F.embedding([0], np.ones((3, 2)), 3), ValueError, "none of the 3 rows"),
        (lambda e: nn.Embedding(3, 2, padding_idx=-4), ValueError, "none of the 3 rows"),
        (lambda e: nn.Embedding(0, 2), ValueError, "num_embeddings"),
        (lambda e: nn.Embedding(3, 2, max_norm=1.0), ValueError, "max_norm is not supported"),
        (lambda e: nn.Embedding(3, 2, scale_grad_by_freq=True), ValueError, "scale_grad_by_freq is not supported"),
        (lambda e: nn.Embedding(3, 2, sparse=True), ValueError, "dense"),
    ],
)
def test_embedding_refuses(call, error, words):
    with pytest.raises(error, match=words):
        call(nn.Embedding(3, 2))


# --- dropout ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "spatial"),
    [(nn.Dropout1d, (30, 40, 3), 1), (nn.Dropout1d, (1200, 3), 1), (nn.Dropout2d, (30, 40, 2, 3), 2)],
)
def test_whole_channels_are_dropped(layer, shape, spatial):
    x = tg.tensor(generator(1).uniform(1, 2, shape).astype(np.float32), requires_grad=True)
    made = layer(0.25, generator=generator())
    y = made(x)
    ratio = (y / x).numpy()
    channels = ratio.reshape(-1, int(np.prod(shape[-spatial:])))
    np.testing.assert_allclose(channels, np.broadcast_to(channels[:, :1], channels.shape), rtol=1e-6)
    np.testing.assert_allclose(np.unique(channels[:, 0].round(5)), [0, 1.33333], atol=1e-4)
    assert 0.2 < (channels[:, 0] == 0).mean() < 0.3
    assert y.dtype == np.float32
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), ratio, rtol=1e-5)
    assert made.eval()(x) is x
    assert not layer(1.0)(x).numpy().any()


def test_alpha_dropout_keeps_mean_and_variance():
    x = generator(1).standard_normal(200_000)
    for p in (0.1, 0.5):
        y = nn.AlphaDropout(p, generator=generator())(tg.tensor(x)).numpy()
        assert abs(y.mean()) < 0.02
        assert abs(y.std() - 1) < 0.02
        _, counts = np.unique(y, return_counts=True)
        assert abs(counts.max() / y.size - p) < 0.01
    assert not nn.AlphaDropout(1.0)(tg.ones(3)).numpy().any()
    assert F.alpha_dropout(x, 0.5) is x  # as in PyTorch it trains only if told to


@pytest.mark.parametrize(
    "make",
    [
        lambda g: nn.Dropout(0.5, generator=g),
        lambda g: nn.Dropout1d(0.5, generator=g),
        lambda g: nn.AlphaDropout(0.5, generator=g),
    ],
)
def test_compiled_dropout_draws_anew_as_eager_does(make):
    eager, compiled = make(generator()), make(generator())
    step = tg.compile(lambda x: compiled(x) * 2)
    x = np.ones((4, 5, 2), np.float32)
    results = [np.asarray(step(x)) for _ in range(3)]
    for result in results:
        np.testing.assert_allclose(result, (eager(x) * 2).numpy(), rtol=1e-6)
    assert not np.array_equal(results[0], results[1])


def test_dropout_takes_inplace_as_ported_code_gives_it():
    x = tg.ones((2, 3, 4, 4))
    for layer in (nn.Dropout(0.5, True), nn.Dropout2d(0.5, inplace=True), nn.AlphaDropout(0.5, True)):
        layer(x)
    assert x.numpy().all()
    assert F.dropout(x, 0.5, False, True) is x
    assert F.dropout2d(x, 0.5, True, True).shape == x.shape
    with pytest.raises(TypeError, match="generator= by name"):
        nn.Dropout(0.5, np.random.default_rng())
    for f in (F.dropout, F.dropout2d, F.alpha_dropout):
        with pytest.raises(TypeError, match="generator= by name"):
            f(x, 0.5, True, np.random.default_rng())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.Dropout2d()(tg.ones((2, 3, 4))), r"\(N, C, H, W\), not \(2, 3, 4\)"),
        (lambda: nn.Dropout1d()(tg.ones(3)), r"\(C, L\) or \(N, C, L\)"),
        (lambda: nn.Dropout1d(1.5), r"\[0, 1\]"),
        (lambda: F.alpha_dropout(tg.ones(3), -0.1), r"\[0, 1\]"),
    ],
)
def test_dropout_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()
