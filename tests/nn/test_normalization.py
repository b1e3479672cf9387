"""Batch, layer, group and RMS norm against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn import nn, optim
from tinygrad_nn.nn import functional as F
from tinygrad_nn.testing import check_gradients


def drawn(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def standardized(x, axis, eps):
    """As it is defined, in float64."""
    x = np.asarray(x, np.float64)
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)


def column(vector, ndim):
    return np.reshape(vector, (-1, *(1,) * (ndim - 2)))


shapes = st.sampled_from([(2, 3), (5, 1), (7, 4), (2, 3, 4), (1, 2, 5), (3, 2, 2, 3), (1, 3, 4, 1), (2, 2, 1, 2, 2)])
settings = st.fixed_dictionaries(
    {
        "shape": shapes,
        "eps": st.sampled_from([1e-5, 0.1, 2.0]),
        "weight": st.booleans(),
        "bias": st.booleans(),
        "seed": st.integers(0, 9),
    }
)


def of(plan, length, seed):
    """A weight and a bias, where they are asked for."""
    return [drawn(*length, seed=seed + i) if plan[key] else None for i, key in enumerate(("weight", "bias"))]


def scaled(x, weight, bias):
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


@given(plan=settings, momentum=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_batch_norm_is_its_definition(plan, momentum):
    x = drawn(*plan["shape"], seed=plan["seed"])
    n, c = x.size // x.shape[1], x.shape[1]
    axes = (0, *range(2, x.ndim))
    vectors = of(plan, (c,), plan["seed"] + 1)
    columns = [None if v is None else column(v, x.ndim) for v in vectors]
    running = [tg.tensor(drawn(c, seed=5)), tg.tensor(abs(drawn(c, seed=6)) + 0.1)]
    before = [r.numpy().copy() for r in running]
    ours = F.batch_norm(tg.tensor(x), *running, *vectors, True, momentum, plan["eps"])
    np.testing.assert_allclose(
        ours.numpy(), scaled(standardized(x, axes, plan["eps"]), *columns), rtol=1e-9, atol=1e-11
    )
    moved = [x.mean(axes), x.var(axes, ddof=1)]
    for r, old, new in zip(running, before, moved, strict=True):
        np.testing.assert_allclose(r.numpy(), (1 - momentum) * old + momentum * new, rtol=1e-12)
    kept = [r.numpy().copy() for r in running]
    evaluated = F.batch_norm(x, *running, *vectors, False, momentum, plan["eps"])
    mean, var = (column(k, x.ndim) for k in kept)
    np.testing.assert_allclose(
        evaluated, scaled((x - mean) / np.sqrt(var + plan["eps"]), *columns), rtol=1e-10, atol=1e-12
    )
    assert all(np.array_equal(r.numpy(), k) for r, k in zip(running, kept))
    assert n > 1


@given(plan=settings, axes=st.integers(1, 3))
def test_layer_norm_and_rms_norm_are_their_definitions(plan, axes):
    x = drawn(*plan["shape"], seed=plan["seed"])
    axes = min(axes, x.ndim)
    shape, last = x.shape[-axes:], tuple(range(-axes, 0))
    weight, bias = of(plan, shape, plan["seed"] + 1)
    ours = F.layer_norm(tg.tensor(x), shape, weight, bias, plan["eps"])
    theirs = scaled(standardized(x, last, plan["eps"]), weight, bias)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-9, atol=1e-11)
    ours = F.rms_norm(tg.tensor(x), list(shape), weight, plan["eps"])
    theirs = scaled(x / np.sqrt((x * x).mean(last, keepdims=True) + plan["eps"]), weight, None)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12)


@given(plan=settings)
def test_group_norm_is_its_definition(plan):
    x = drawn(*plan["shape"], seed=plan["seed"])
    c = x.shape[1]
    weight, bias = of(plan, (c,), plan["seed"] + 1)
    columns = [None if v is None else column(v, x.ndim) for v in (weight, bias)]
    for groups in (g for g in range(1, c + 1) if c % g == 0):
        ours = F.group_norm(tg.tensor(x), groups, weight, bias, plan["eps"])
        split = standardized(x.reshape(x.shape[0], groups, -1), -1, plan["eps"]).reshape(x.shape)
        np.testing.assert_allclose(ours.numpy(), scaled(split, *columns), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("f", "shapes"),
    [
        (lambda x, w, b: F.batch_norm(x, None, None, w, b, True, eps=0.1), [(4, 2), (2,), (2,)]),
        (lambda x, w: F.batch_norm(x, None, None, w, None, True, eps=0.1), [(2, 2, 3), (2,)]),
        (lambda x, b: F.batch_norm(x, None, None, None, b, True, eps=0.1), [(2, 1, 2, 2), (1,)]),
        (lambda x, w, b: F.batch_norm(x, np.array([0.5, -1]), np.array([2.0, 0.5]), w, b), [(3, 2), (2,), (2,)]),
        (lambda x, w, b: F.layer_norm(x, 3, w, b, 0.1), [(2, 3), (3,), (3,)]),
        (lambda x, w: F.layer_norm(x, (2, 2), w, eps=0.1), [(2, 2, 2), (2, 2)]),
        (lambda x, w, b: F.group_norm(x, 2, w, b, 0.1), [(2, 4, 2), (4,), (4,)]),
        (lambda x, w: F.rms_norm(x, 3, w), [(2, 3), (3,)]),
    ],
)
def test_gradients_to_second_order(f, shapes):
    check_gradients(f, *(drawn(*shape, seed=i) for i, shape in enumerate(shapes)))


def test_the_statistics_have_derivatives_too():
    from tinygrad_nn.ops.layers.normalization import normalize

    x = drawn(4, 3)
    for part in range(3):
        check_gradients(lambda x, part=part: normalize(x, 1.5, 0.5, axis=(0,), eps=0.1)[part], x)


@pytest.mark.parametrize("offset", [1e3, 1e4, 1e5])
def test_large_means_keep_the_digits_that_the_input_has(offset):
    for shape, axes in (((5000, 3), (0,)), ((4, 3, 40, 40), (0, 2, 3))):
        x = (drawn(*shape) + offset).astype(np.float32)
        ours = F.batch_norm(x, None, None, training=True)
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, standardized(x, axes, 1e-5), atol=3e-4)
        rows = (
            F.layer_norm(x.reshape(-1, shape[0] * 3)[:3], x.size // 3 if x.ndim == 2 else 12) if x.ndim == 4 else None
        )
        if rows is not None:
            np.testing.assert_allclose(rows, standardized(x.reshape(-1, 12)[:3], (1,), 1e-5), atol=3e-2)


@pytest.mark.parametrize("f", [lambda x: F.layer_norm(x, 256), lambda x: F.batch_norm(x, None, None, training=True)])
def test_compiled_is_as_exact_for_large_means(f):
    x = (drawn(64, 256) + 1e4).astype(np.float32)
    np.testing.assert_allclose(np.asarray(tg.compile(f)(x)), f(x), atol=2e-3)


def test_constant_input_gives_zeros():
    x = np.full((64, 3), 0.1, np.float32)
    assert not F.layer_norm(x, 3).any()
    np.testing.assert_allclose(F.batch_norm(x, None, None, training=True), 0, atol=1e-4)
    running = np.ones(3, np.float32)
    F.batch_norm(x, np.zeros(3, np.float32), running, training=True, momentum=1.0)
    assert (running >= 0).all()


def test_half_precision_is_computed_in_single():
    x = (drawn(300, 4) * 300).astype(np.float16)
    for ours, axis in ((F.batch_norm(x, None, None, training=True), 0), (F.layer_norm(x, 4), 1)):
        assert ours.dtype == np.float16
        np.testing.assert_allclose(ours, standardized(x, axis, 1e-5), atol=4e-3)
    assert F.rms_norm(x, 4).dtype == np.float16
    assert np.isfinite(F.rms_norm(x, 4)).all()


# --- running values --------------------------------------------------------------------------------------------------


def test_running_values_by_momentum_and_by_plain_average():
    batches = [drawn(6, 3, seed=i, dtype=np.float32) + i for i in range(4)]
    layer, plain = nn.BatchNorm1d(3, momentum=0.25), nn.BatchNorm1d(3, momentum=None)
    mean, var = np.zeros(3), np.ones(3)
    for batch in batches:
        layer(batch)
        plain(batch)
        mean = 0.75 * mean + 0.25 * batch.mean(0)
        var = 0.75 * var + 0.25 * batch.var(0, ddof=1)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-5)
    np.testing.assert_allclose(plain.running_mean.numpy(), np.mean([b.mean(0) for b in batches], 0), rtol=1e-5)
    np.testing.assert_allclose(plain.running_var.numpy(), np.mean([b.var(0, ddof=1) for b in batches], 0), rtol=1e-5)
    assert layer.num_batches_tracked.item() == 4
    assert layer.running_mean.dtype == np.float32
    layer.eval()(batches[0])
    assert layer.num_batches_tracked.item() == 4
    plain.reset_running_stats()
    assert plain.state_dict()["running_mean"].tolist() == [0, 0, 0]
    assert plain.state_dict()["running_var"].tolist() == [1, 1, 1]
    assert plain.num_batches_tracked.item() == 0


def test_running_values_are_cut_from_the_graph_and_keep_their_dtype():
    layer = nn.BatchNorm1d(2)
    held = layer.running_mean
    x = tg.tensor(drawn(5, 2), requires_grad=True)
    layer(x).sum().backward()
    assert layer.running_mean is held
    assert not held.requires_grad
    assert held.dtype == np.float32
    layer.double()(x)
    assert held.dtype == np.float64
    with tg.no_grad():
        layer(x)
    assert layer.num_batches_tracked.item() == 3
    grads = tg.grad(lambda x: (layer(x) ** 3).sum())(x.numpy())
    assert layer.num_batches_tracked.item() == 4
    assert isinstance(held.numpy(), np.ndarray)
    assert grads.shape == (5, 2)


def test_without_running_values_evaluation_takes_the_batch():
    layer = nn.BatchNorm1d(3, track_running_stats=False).eval()
    x = drawn(6, 3, dtype=np.float32)
    np.testing.assert_allclose(layer(x).numpy(), standardized(x, (0,), 1e-5), atol=1e-5)
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert layer.running_mean is None


@pytest.mark.parametrize("momentum", [0.2, None])
def test_compiled_training_moves_the_running_values_as_eager_does(momentum):
    def training():
        rng = np.random.default_rng(0)
        net = nn.Sequential(
            nn.Linear(4, 3, generator=rng), nn.BatchNorm1d(3, momentum=momentum), nn.Tanh(), nn.LayerNorm(3)
        )
        optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

        def step(x, y):
            optimizer.zero_grad()
            loss = F.mse_loss(net(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return net, step

    (eager, first), (compiled, second) = training(), training()
    second = tg.compile(second)
    for i in range(4):
        x, y = drawn(6, 4, seed=i, dtype=np.float32), drawn(6, 3, seed=10 + i, dtype=np.float32)
        np.testing.assert_allclose(np.asarray(second(x, y)), first(x, y).numpy(), rtol=1e-5)
    for key, value in eager.state_dict().items():
        other = compiled.state_dict()[key]
        assert other.dtype == value.dtype
        np.testing.assert_allclose(other.numpy(), value.numpy(), rtol=1e-4, atol=1e-6, err_msg=key)
    assert compiled[1].num_batches_tracked.item() == 4


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.BatchNorm1d(3)(np.ones((1, 3), np.float32)), "more than one value"),
        (lambda: nn.BatchNorm2d(3)(np.ones((4, 3), np.float32)), r"\(N, C, H, W\) with C = 3, not \(4, 3\)"),
        (lambda: nn.BatchNorm1d(3)(np.ones((4, 2), np.float32)), r"with C = 3, not \(4, 2\)"),
        (lambda: nn.BatchNorm1d(0), "num_features"),
        (lambda: nn.BatchNorm1d(2, momentum=1.5), "momentum"),
        (lambda: F.batch_norm(np.ones(3), None, None, training=True), r"\(N, C\)"),
        (lambda: F.batch_norm(np.ones((2, 3)), None, None), "running_mean and running_var are needed"),
        (
            lambda: F.batch_norm(np.ones((2, 3)), None, None, np.ones(2), training=True),
            r"weight must have shape \(3,\)",
        ),
        (lambda: F.batch_norm(np.ones((2, 3)), np.ones((1, 3)), np.ones(3)), r"running_mean must have shape \(3,\)"),
        (lambda: nn.LayerNorm(3)(np.ones((2, 4), np.float32)), r"last axes of the input must be \(3,\)"),
        (lambda: F.layer_norm(np.ones((2, 3)), 3, np.ones((2, 3))), r"weight must have shape \(3,\)"),
        (lambda: F.layer_norm(np.ones((2, 3)), ()), "normalized_shape"),
        (lambda: F.layer_norm(3.0, 1), "the input must have shape"),
        (lambda: nn.GroupNorm(2, 3), "does not divide"),
        (lambda: F.group_norm(np.ones((2, 3)), 2), "does not divide the 3 channels"),
        (lambda: nn.GroupNorm(1, 3)(np.ones((2, 4), np.float32)), r"\(N, 3, …\), not \(2, 4\)"),
        (lambda: nn.RMSNorm(3)(np.ones((2, 4), np.float32)), "last axes"),
    ],
)
def test_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_lists_serve_for_all_but_what_is_written_to():
    x = drawn(4, 2)
    ours = F.batch_norm(x, [0.0, 1.0], [1.0, 4.0], [1.0, 2.0], [0.0, 3.0], eps=0.0)
    np.testing.assert_allclose(ours, (x - [0, 1]) / [1, 2] * [1, 2] + [0, 3])
    with pytest.raises(TypeError, match="not list"):
        F.batch_norm(x, [0.0, 1.0], [1.0, 4.0], training=True)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="floating-point"):
        nn.LayerNorm(3)(np.ones((2, 3), int))


def test_a_refused_batch_leaves_the_running_values_alone():
    layer = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="more than one"):
        layer(np.ones((1, 3), np.float32))
    assert layer.num_batches_tracked.item() == 0
    assert layer.running_mean.tolist() == [0, 0, 0]


def test_repr_and_keys():
    assert repr(nn.BatchNorm2d(3)).startswith(
        "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"
    )
    assert repr(nn.LayerNorm((2, 3))).startswith("LayerNorm((2, 3), eps=1e-05, elementwise_affine=True)")
    assert list(nn.BatchNorm1d(2, affine=False).state_dict()) == ["running_mean", "running_var", "num_batches_tracked"]
    assert list(nn.LayerNorm(2, bias=False).state_dict()) == ["weight"]
    assert nn.LayerNorm(2, elementwise_affine=False).state_dict() == {}
    assert nn.BatchNorm1d(2, dtype=np.float64).running_var.dtype == np.float64


def test_empty_batches_pass_through_what_normalizes_samples():
    x = tg.zeros((0, 3), requires_grad=True)
    for layer in (nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.RMSNorm(3), nn.BatchNorm1d(3).eval()):
        out = layer(x)
        assert out.shape == (0, 3)
        out.sum().backward()
