"""Layers, starting values, and work on all parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn
from tinygrad_nn.nn import functional as F
from tinygrad_nn.testing import check_gradients


def generator(seed=0):
    return np.random.default_rng(seed)


# --- Linear ----------------------------------------------------------------------------------------------------------


def test_linear_starts_as_in_torch():
    layer = nn.Linear(100, 300, generator=generator())
    for p in (layer.weight, layer.bias):
        values = p.numpy()
        assert values.dtype == np.float32
        assert np.abs(values).max() <= 0.1
        assert np.abs(values).max() > 0.099 * (values.size > 1000)
        assert abs(values.std() / (0.1 / math.sqrt(3)) - 1) < 0.1
    again = nn.Linear(100, 300, generator=generator())
    np.testing.assert_array_equal(layer.weight.numpy(), again.weight.numpy())
    tg.manual_seed(3)
    first = nn.Linear(3, 2).weight.tolist()
    assert nn.Linear(3, 2).weight.tolist() != first
    tg.manual_seed(3)
    assert nn.Linear(3, 2).weight.tolist() == first
    assert nn.Linear(3, 2, dtype=np.float64).bias.dtype == np.float64
    assert nn.Linear(3, 2, bias=False).bias is None


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3), (0, 3)])
def test_linear_is_its_composition(shape, bias):
    layer = nn.Linear(3, 2, bias=bias, dtype=np.float64, generator=generator())
    x = generator(1).standard_normal(shape)

    def composed(x, weight, *rest):
        return sum(rest, x @ weight.T)

    arrays = [p.numpy() for p in layer.parameters()]
    np.testing.assert_allclose(layer(x).numpy(), composed(x, *arrays), rtol=1e-14)
    argnums = tuple(range(len(arrays) + 1))
    ours = tg.grad(lambda *args: (F.linear(*args) ** 3).sum(), argnums)(x, *arrays)
    theirs = tg.grad(lambda *args: (composed(*args) ** 3).sum(), argnums)(x, *arrays)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    if x.size:
        check_gradients(F.linear, x, *arrays)  # to second order


def test_linear_gradient_needs_no_copy():
    layer = nn.Linear(4, 3)
    layer(np.ones((2, 4), np.float32)).sum().backward()
    for p in layer.parameters():
        assert p.grad._value.flags.c_contiguous
        assert p.grad._value.flags.owndata


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.Linear(3, 2)(np.ones((5, 4), np.float32)), r"\(5, 4\) and weight \(2, 3\)"),
        (lambda: nn.Linear(3, 2)(np.float32(1)), r"last axis"),
        (lambda: F.linear(np.ones((5, 3)), tg.ones((2, 3)), tg.ones(3)), r"bias must have shape \(2,\)"),
        (lambda: nn.Linear(0, 2), "in_features"),
        (lambda: nn.Linear(2, 1.5), "out_features"),
    ],
)
def test_linear_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# --- Flatten, Identity, Dropout --------------------------------------------------------------------------------------


def test_flatten():
    x = tg.zeros((2, 3, 4, 5))
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert repr(nn.Flatten(0, 1)) == "Flatten(start_dim=0, end_dim=1)"
    assert nn.Identity(1, b=2)(x) is x


def test_dropout():
    x = tg.ones((1000,), dtype=np.float32, requires_grad=True)
    layer = nn.Dropout(0.2, generator=generator())
    y = layer(x)
    assert set(np.unique(y.numpy())) == {np.float32(0), np.float32(1.25)}
    assert 150 < (y.numpy() == 0).sum() < 250
    assert y.dtype == np.float32
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
    assert not np.array_equal(layer(x).numpy(), y.numpy())
    assert layer.eval()(x) is x
    assert F.dropout(x, 0.0) is x
    assert not F.dropout(x, 1.0).numpy().any()
    again = nn.Dropout(0.2, generator=generator())(x)
    np.testing.assert_array_equal(again.numpy(), y.numpy())
    tg.manual_seed(1)
    first = nn.Dropout()(x).tolist()
    tg.manual_seed(1)
    assert nn.Dropout()(x).tolist() == first
    assert nn.Dropout()(tg.tensor(1.0)).shape == ()
    assert type(nn.Dropout()(np.ones(3))) is tg.Tensor
    for p in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            nn.Dropout(p)


def test_one_hot():
    assert F.one_hot(tg.tensor([1, 0, 2])).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert F.one_hot([[1]], num_classes=3).shape == (1, 1, 3)
    with pytest.raises(ValueError, match="0 … 1"):
        F.one_hot([2], num_classes=2)
    with pytest.raises(ValueError, match="such as -1"):
        F.one_hot([-1, 1])
    with pytest.raises(TypeError, match="integers"):
        F.one_hot([0.5])


# --- init ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_init(dtype):
    p = nn.Parameter(np.empty((200, 100), dtype))

    def spread(function, *args, **settings):
        assert function(p, *args, **settings) is p
        values = p.numpy().astype(np.float64)
        assert p.dtype == dtype
        assert p.requires_grad
        return values.min(), values.max(), values.mean(), values.std()

    low, high, _, _ = spread(nn.init.uniform_, -2, 3, generator=generator())
    assert -2 <= low < -1.98
    assert 2.98 < high <= 3
    _, _, mean, std = spread(nn.init.normal_, 1.0, 0.5, generator=generator())
    assert abs(mean - 1) < 0.02
    assert abs(std - 0.5) < 0.02
    assert spread(nn.init.zeros_)[:2] == (0, 0)
    assert spread(nn.init.ones_)[:2] == (1, 1)
    assert spread(nn.init.constant_, 0.25)[:2] == (0.25, 0.25)
    for function, settings, wanted in (
        (nn.init.xavier_uniform_, {}, math.sqrt(2 / 300)),
        (nn.init.xavier_uniform_, {"gain": 2.0}, 2 * math.sqrt(2 / 300)),
        (nn.init.xavier_normal_, {}, math.sqrt(2 / 300)),
        (nn.init.kaiming_uniform_, {}, math.sqrt(2 / 100)),
        (nn.init.kaiming_uniform_, {"a": math.sqrt(5)}, math.sqrt(1 / 300)),
        (nn.init.kaiming_normal_, {"nonlinearity": "relu"}, math.sqrt(2 / 100)),
        (nn.init.kaiming_normal_, {"mode": "fan_out", "nonlinearity": "linear"}, math.sqrt(1 / 200)),
    ):
        _, high, mean, std = spread(function, generator=generator(), **settings)
        assert abs(std / wanted - 1) < 0.03
        assert abs(mean) < 0.03 * wanted
        if "uniform" in function.__name__:
            assert high <= wanted * math.sqrt(3) * 1.001


def test_init_details():
    assert nn.init.fans((30, 784)) == (784, 30)
    assert nn.init.fans((20, 3, 5, 5)) == (75, 500)
    with pytest.raises(ValueError, match="two or more axes"):
        nn.init.xavier_uniform_(nn.Parameter([1.0, 2.0]))
    with pytest.raises(ValueError, match="fan_in"):
        nn.init.kaiming_normal_(nn.Parameter(np.ones((2, 2))), mode="fan")
    with pytest.raises(ValueError, match="no gain"):
        nn.init.calculate_gain("sine")
    gains = {"linear": 1, "conv2d": 1, "conv_transpose1d": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": 2**0.5, "selu": 0.75}
    assert {name: nn.init.calculate_gain(name) for name in gains} == gains
    assert nn.init.calculate_gain("leaky_relu", 1.0) == 1.0
    p = nn.Parameter(3.0)
    assert isinstance(nn.init.uniform_(p)._value, np.float32)
    with pytest.raises(RuntimeError, match="result of a computation"):
        nn.init.zeros_(p * 2)
    y = p * p
    nn.init.ones_(p)
    y.backward()  # the graph of before has the value of before; the parameter is another leaf now
    assert p.item() == 1.0


# --- utils -----------------------------------------------------------------------------------------------------------


def with_gradients(*gradients):
    ps = [nn.Parameter(np.zeros(np.shape(g))) for g in gradients]
    for p, g in zip(ps, gradients):
        p.grad = np.array(g)
    return ps


def test_clip_grad_norm():
    ps = [*with_gradients([3.0, 0.0], [[4.0]]), nn.Parameter([1.0])]
    held = ps[0].grad
    assert nn.utils.clip_grad_norm_(ps, 10.0).item() == 5.0
    assert ps[0].grad is held
    assert nn.utils.clip_grad_norm_(iter(ps), 1.0).item() == 5.0
    np.testing.assert_allclose(ps[0].grad.numpy(), [0.6, 0.0], rtol=1e-6)
    assert held.tolist() == [3.0, 0.0]
    assert nn.utils.clip_grad_norm_(ps[1], 0.1, math.inf).item() == pytest.approx(0.8, rel=1e-6)
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0
    bad = with_gradients([np.nan])
    with pytest.raises(RuntimeError, match="nan"):
        nn.utils.clip_grad_norm_(bad, 1.0, error_if_nonfinite=True)
    assert np.isnan(nn.utils.clip_grad_norm_(bad, 1.0).item())
    with pytest.raises(ValueError, match="max_norm"):
        nn.utils.clip_grad_norm_(ps, -1.0)


def test_clip_grad_value():
    ps = with_gradients([3.0, -0.5, -7.0])
    nn.utils.clip_grad_value_(ps, 1.0)
    assert ps[0].grad.tolist() == [1.0, -0.5, -1.0]
    with pytest.raises(ValueError, match="clip_value"):
        nn.utils.clip_grad_value_(ps, -1.0)


def test_parameters_as_a_vector():
    net = nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.tolist() == [*net.weight.numpy().ravel(), *net.bias.numpy()]
    (vector * np.arange(8)).sum().backward()
    assert net.bias.grad.tolist() == [6, 7]
    values = np.arange(8.0)
    nn.utils.vector_to_parameters(values, net.parameters())
    values[:] = 0
    assert net.weight.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert net.bias.dtype == np.float32
    assert net.bias._value.flags.owndata
    with pytest.raises(ValueError, match="8 values"):
        nn.utils.vector_to_parameters(np.zeros(9), net.parameters())


# --- a network learns ------------------------------------------------------------------------------------------------


def test_xor_is_learned():
    net = nn.Sequential(
        nn.Linear(2, 8, generator=generator(1)), nn.Tanh(), nn.Linear(8, 1, generator=generator(2)), nn.Sigmoid()
    )
    x = tg.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
    y = tg.tensor([[0], [1], [1], [0]], dtype=np.float32)
    optimizer = tg.optim.Adam(net.parameters(), lr=0.1)
    loss_of = nn.BCELoss()
    for _ in range(100):
        optimizer.zero_grad()
        loss = loss_of(net(x), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert np.array_equal(net(x).numpy() > 0.5, y.numpy() > 0.5)
