"""A checkpointed function runs twice, and leaves behind what one run does."""

import gc
import weakref

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn

X = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)


def test_statistics_move_once():
    layers = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    for _ in range(2):
        for run in (tg.checkpoint(layers[0]), layers[1]):
            run(tg.tensor(X, requires_grad=True)).sum().backward()
    for (_, a), (_, b) in zip(layers[0].named_buffers(), layers[1].named_buffers(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_writes_and_views_of_what_is_written():
    total = tg.zeros(3)
    first = total[:1]

    def f(x):
        nonlocal total
        total += x.detach()
        return tg.exp(x)

    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = tg.checkpoint(f)(x)
    y.sum().backward()
    assert total.tolist() == [1, 2, 3]
    assert first.tolist() == [1]
    np.testing.assert_allclose(x.grad.numpy(), np.exp([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("made", [tg.checkpoint, tg.compile])
def test_what_is_recorded_is_freed_without_the_garbage_collector(made):
    f = made(lambda x: tg.exp(x) * 2)
    f(tg.tensor(np.ones(1000), requires_grad=True)).sum().backward()  # is held by the code that is made of it
    gc.collect()
    gc.disable()
    try:
        y = f(tg.tensor(np.ones(1000), requires_grad=True))
        y.sum().backward()
        (kept,) = map(weakref.ref, y._node.params.values())  # what the node of the call needs to run again
        assert kept() is not None
        del y
        assert kept() is None
    finally:
        gc.enable()
