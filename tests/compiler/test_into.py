"""Operations that compute into arrays that a compiled function keeps, and where a learning rate is multiplied."""

import re

import numpy as np

import tinygrad_nn as tg
from tinygrad_nn import nn


def two_results():
    @tg.op
    def halves(x):
        return x / 2, -x / 2, np.zeros_like(x)

    halves.derivatives(jointly=lambda needed, g, out, x: [(g[0] - g[1]) / 2])

    @halves.into
    def fill(outs, x):
        up, down, scratch = outs
        np.divide(x, 2, up)
        np.negative(up, down)
        scratch.fill(np.nan)

    return halves


def test_results_are_put_into_memory_of_the_function():
    halves = two_results()

    def f(x):
        up, down, _ = halves(x)
        a, b, _ = halves(up * down)
        return tg.sum(a * up - b * down), down

    quick = tg.compile(f)
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal((4, 3))
        for a, b in zip(quick(x), f(x), strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-14)
    assert quick.source.count("fill((") == 2


def test_a_result_that_is_given_away_is_not_written_to_again():
    halves = two_results()
    quick = tg.compile(lambda x: halves(x)[1])
    first = quick(np.ones(3))
    quick(np.full(3, 8.0))
    np.testing.assert_array_equal(np.asarray(first), [-0.5] * 3)


def test_results_that_nothing_reads_share_their_memory():
    halves = two_results()

    def f(x):
        for _ in range(5):
            x = halves(x)[0]
        return tg.sum(x)

    quick = tg.compile(f)
    x = np.ones(1000)
    np.testing.assert_allclose(np.asarray(quick(x)), np.asarray(f(x)))
    assert quick.memory.buffers <= 4 * x.nbytes


def test_without_elements_the_kernel_is_called():
    halves = two_results()
    quick = tg.compile(lambda x: halves(x)[0])
    assert quick(np.ones((0, 3))).shape == (0, 3)
    assert "fill((" not in quick.source


def test_joining_and_scattering_make_no_arrays():
    def f(x):
        return tg.grad(lambda x: tg.sum(tg.concat([x[1], x[0] * x[1]]) ** 2))(x)

    quick = tg.compile(f)
    x = np.random.default_rng(0).standard_normal((3, 4))
    np.testing.assert_allclose(np.asarray(quick(x)), np.asarray(f(x)), rtol=1e-14)
    body = quick.source[quick.source.index("\ndef f(") :]
    assert ".fill(0)" in body
    assert "_scatter_add(" not in body
    joined = tg.compile(lambda x: tg.concat([x, 2 * x], axis=1))
    np.testing.assert_array_equal(np.asarray(joined(x)), np.concatenate([x, 2 * x], 1))
    assert "_concat(" not in joined.source
    mixed = tg.compile(lambda x: tg.concat([x, np.ones((3, 4), np.float32)]))
    assert mixed(x).dtype == np.float64


def test_a_learning_rate_meets_the_smaller_arrays():
    """A gradient of many rows that two small weights are made of is not multiplied itself."""
    layer = nn.LSTM(3, 4)
    optimizer = tg.optim.SGD(layer.parameters(), lr=0.1)

    @tg.compile
    def step(x):
        (layer(x)[0] ** 2).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    step(np.ones((50, 8, 3), np.float32))
    sizes = [eval(shape) for shape in re.findall(r"multiply\(\w+, lr, .*# .*(\(\d+, \d+\))", step.source)]
    assert sizes
    assert all(np.prod(shape) <= 16 * 8 for shape in sizes)
