"""Convolution against its definition, as a set of adjoints, and as a layer."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn import nn
from tinygrad_nn.ops.layers import convolution
from tinygrad_nn.testing import check_gradients

F = nn.functional


def by_definition(x, weight, bias, stride, padding, dilation, groups):
    """Every product of the sum, one by one."""
    n = weight.ndim - 2
    pad = [(0, 0), (0, 0), *padding]
    x = np.pad(x, pad)
    counts = [(x.shape[2 + i] - dilation[i] * (weight.shape[2 + i] - 1) - 1) // stride[i] + 1 for i in range(n)]
    out = np.zeros((x.shape[0], weight.shape[0], *counts))
    for b, f in np.ndindex(*out.shape[:2]):
        first = f // (weight.shape[0] // groups) * weight.shape[1]
        for at in np.ndindex(*counts):
            for c, *j in np.ndindex(*weight.shape[1:]):
                place = [i * s + k * d for i, s, k, d in zip(at, stride, j, dilation)]
                out[(b, f, *at)] += x[(b, first + c, *place)] * weight[(f, c, *j)]
            out[(b, f, *at)] += 0 if bias is None else bias[f]
    return out


@st.composite
def problems(draw, n):
    """Arrays that fit together, and settings."""
    groups = draw(st.integers(1, 2))
    window = [draw(st.integers(1, 3)) for _ in range(n)]
    stride = tuple(draw(st.integers(1, 3)) for _ in range(n))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(n))
    padding = tuple(draw(st.integers(0, 2)) for _ in range(n))
    least = [max(d * (k - 1) + 1 - 2 * p, 1) for d, k, p in zip(dilation, window, padding)]
    space = [m + draw(st.integers(0, 4)) for m in least]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.standard_normal((draw(st.integers(0, 2)), groups * draw(st.integers(1, 2)), *space))
    weight = rng.standard_normal((groups * draw(st.integers(1, 2)), x.shape[1] // groups, *window))
    bias = rng.standard_normal(len(weight)) if draw(st.booleans()) else None
    return x, weight, bias, stride, padding, dilation, groups


FUNCTIONS = {1: F.conv1d, 2: F.conv2d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d}


@pytest.mark.parametrize("n", [1, 2])
@given(data=st.data())
def test_is_its_definition(n, data):
    x, weight, bias, stride, padding, dilation, groups = problem = data.draw(problems(n))
    wanted = by_definition(*problem[:4], [(p, p) for p in padding], *problem[5:])
    got = FUNCTIONS[n](x, weight, bias, stride, padding, dilation, groups)
    assert type(got) is np.ndarray
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)
    if len(x):
        np.testing.assert_array_equal(FUNCTIONS[n](x[0], weight, bias, stride, padding, dilation, groups), got[0])


@pytest.mark.parametrize("n", [1, 2])
@given(data=st.data())
def test_the_three_are_adjoints_of_one_another(n, data):
    """⟨x ⋆ w, y⟩ = ⟨x, y ⋆ᵀ w⟩ = ⟨w, x ⋆ y⟩."""
    x, weight, _, stride, padding, dilation, groups = data.draw(problems(n))
    where = {"stride": stride, "padding": tuple((p, p) for p in padding), "dilation": dilation, "groups": groups}
    out = convolution.conv_map(x, weight, **where)
    y = np.random.default_rng(0).standard_normal(out.shape)
    wanted = (out * y).sum()
    back = convolution.conv_transpose(y, weight, space=x.shape[2:], **where)
    of_weight = convolution.conv_weight(x, y, window=weight.shape[2:], **where)
    assert back.shape == x.shape
    assert of_weight.shape == weight.shape
    np.testing.assert_allclose((x * back).sum(), wanted, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose((weight * of_weight).sum(), wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stride": 2, "padding": (1, 0), "dilation": (1, 2)},
        {"groups": 2, "padding": "same"},
    ],
)
def test_derivatives_to_the_second_order(settings):
    rng = np.random.default_rng(1)
    x, bias = rng.standard_normal((2, 2, 5, 6)), rng.standard_normal(2)
    weight = rng.standard_normal((2, 2 // settings.get("groups", 1), 2, 3))
    check_gradients(lambda x, w, b: F.conv2d(x, w, b, **settings) ** 2, x, weight, bias, order=2)


@pytest.mark.parametrize("settings", [{}, {"stride": 2, "padding": 1, "output_padding": (1, 0)}, {"groups": 2}])
def test_derivatives_of_the_transposed_one(settings):
    rng = np.random.default_rng(2)
    x, weight, bias = rng.standard_normal((1, 2, 3, 2)), rng.standard_normal((2, 2, 2, 3)), rng.standard_normal(2)
    bias = np.repeat(bias, settings.get("groups", 1))
    check_gradients(lambda x, w, b: F.conv_transpose2d(x, w, b, **settings) ** 2, x, weight, bias, order=2)


def test_forward_mode_and_the_third_order():
    rng = np.random.default_rng(3)
    x, weight = rng.standard_normal((1, 1, 4, 4)), rng.standard_normal((2, 1, 2, 2))

    def f(w):
        return (F.conv2d(F.conv2d(x, w)[:, :1] ** 2, w) ** 2).sum()

    t = rng.standard_normal(weight.shape)
    _, along = tg.jvp(f, (weight,), (t,))
    np.testing.assert_allclose(along, (tg.grad(f)(weight) * t).sum(), rtol=1e-10)
    third = tg.grad(lambda w: (tg.hvp(f, w, t) * t).sum())(weight)
    h = 1e-4
    near = [(tg.hvp(f, weight + s * h * t, t) * t).sum() for s in (1, -1)]
    np.testing.assert_allclose((third * t).sum(), (near[0] - near[1]) / (2 * h), rtol=1e-5)


def test_a_batch_without_gradient_costs_none(monkeypatch):
    def refuse(*_):
        raise AssertionError("the input's gradient was computed")

    monkeypatch.setattr(convolution, "put_back", refuse)
    layer = nn.Conv2d(1, 3, 3)
    layer(tg.ones((2, 1, 5, 5), dtype=np.float32)).sum().backward()
    assert layer.weight.grad is not None
    x = tg.ones((2, 1, 5, 5), dtype=np.float32).requires_grad_()
    with pytest.raises(AssertionError, match="was computed"):
        layer(x).sum().backward()


@pytest.mark.parametrize("window", [1, 2])
def test_parts_of_a_batch_write_into_no_input(monkeypatch, window):
    """Windows of one element are the input itself, and columns are written over part by part."""
    monkeypatch.setattr(convolution, "TOGETHER", 1)
    rng = np.random.default_rng(4)
    x, weight = rng.standard_normal((3, 2, 4, 4)), rng.standard_normal((2, 2, window, window))
    kept = x.copy()
    out = F.conv2d(x, weight)
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_allclose(out, by_definition(x, weight, None, (1, 1), [(0, 0)] * 2, (1, 1), 1))
    tg.grad(lambda w: F.conv2d(x, w).sum())(weight)
    np.testing.assert_array_equal(x, kept)


def test_a_few_samples_at_a_time_give_the_same(monkeypatch):
    rng = np.random.default_rng(4)
    x, weight = rng.standard_normal((7, 2, 6, 6)), rng.standard_normal((3, 2, 3, 3))

    def results():
        loss = tg.value_and_grad(lambda x, w: (F.conv2d(x, w, padding=1) ** 2).sum(), (0, 1))
        value, grads = loss(x, weight)
        return [value, *grads]

    whole = results()
    for nbytes in (1, 2 * 18 * 36 * 8):  # one sample, and two of seven
        monkeypatch.setattr(convolution, "TOGETHER", nbytes)
        for a, b in zip(whole, results()):
            np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_are_kept(dtype):
    x = tg.ones((1, 1, 4, 4), dtype=dtype).requires_grad_()
    weight = tg.ones((1, 1, 3, 3), dtype=dtype).requires_grad_()
    out = F.conv2d(x, weight, tg.ones(1, dtype=dtype))
    assert out.dtype == dtype
    out.sum().backward()
    assert x.grad.dtype == weight.grad.dtype == dtype
    np.testing.assert_array_equal(out.numpy(), np.full((1, 1, 2, 2), 10.0))


def test_whole_numbers_and_mixed_dtypes():
    assert F.conv1d(np.array([[[1, 2, 3]]]), np.array([[[1, 1]]])).tolist() == [[[3, 5]]]
    assert F.conv1d(np.ones((1, 1, 3), np.float32), np.ones((1, 1, 2))).dtype == np.float64


def test_strided_and_read_only_inputs_are_left_as_they_are():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((4, 5, 6, 2))
    kept = x.copy()
    x.flags.writeable = False
    seen = x.transpose(0, 3, 1, 2)[::2, :, ::-1]
    weight = rng.standard_normal((3, 2, 2, 2)).transpose(0, 1, 3, 2)
    got = F.conv2d(seen, weight, padding=1)
    np.testing.assert_allclose(got, F.conv2d(seen.copy(), weight.copy(), padding=1))
    np.testing.assert_array_equal(x, kept)


def test_padding_by_name():
    x = np.arange(10.0).reshape(1, 1, 10)
    weight = np.array([[[1.0, 2.0, 3.0, 4.0]]])
    assert F.conv1d(x, weight, padding="valid").shape == (1, 1, 7)
    same = F.conv1d(x, weight, padding="same")
    np.testing.assert_array_equal(same, F.conv1d(np.pad(x, [(0, 0), (0, 0), (1, 2)]), weight))


@pytest.mark.parametrize(
    ("mode", "numpy_mode"), [("zeros", "constant"), ("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")]
)
@pytest.mark.parametrize("padding", [(2, 1), "same"])
def test_padding_modes(mode, numpy_mode, padding):
    layer = nn.Conv2d(2, 3, (3, 2), padding=padding, padding_mode=mode)
    x = np.random.default_rng(6).standard_normal((2, 2, 5, 4)).astype(np.float32)
    widths = [(2, 2), (1, 1)] if padding != "same" else [(1, 1), (0, 1)]
    wanted = F.conv2d(np.pad(x, [(0, 0), (0, 0), *widths], mode=numpy_mode), layer.weight, layer.bias)
    np.testing.assert_allclose(layer(tg.tensor(x)).numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer(tg.tensor(x[0])).numpy(), wanted.numpy()[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2])
@given(data=st.data())
def test_unfold_and_fold_are_adjoint(n, data):
    x, weight, _, stride, padding, dilation, _ = data.draw(problems(2))
    window = weight.shape[2:]
    columns = F.unfold(x, window, dilation, padding, stride)
    y = np.random.default_rng(0).standard_normal(columns.shape)
    back = F.fold(y, x.shape[2:], window, dilation, padding, stride)
    np.testing.assert_allclose((x * back).sum(), (columns * y).sum(), rtol=1e-10, atol=1e-10)
    if n == 2 and weight.shape[1] == x.shape[1]:  # a convolution is a product with the columns
        out = F.conv2d(x, weight, None, stride, padding, dilation)
        product = weight.reshape(len(weight), -1) @ columns
        np.testing.assert_allclose(out.reshape(product.shape), product, rtol=1e-10, atol=1e-10)


def test_modules_of_windows():
    x = tg.tensor(np.random.default_rng(7).standard_normal((2, 3, 6, 6)))
    columns = nn.Unfold(2, stride=2)(x)
    assert columns.shape == (2, 12, 9)
    np.testing.assert_array_equal(nn.Fold((6, 6), 2, stride=2)(columns).numpy(), x.numpy())
    np.testing.assert_array_equal(nn.Fold(6, 2, stride=2)(columns[0]).numpy(), x.numpy()[0])


# --- layers ----------------------------------------------------------------------------------------------------------


def test_the_lessons_numbers():
    """28×28 seen through 5×5 is 24×24, a quarter of it after pooling; twenty shared filters have 520 parameters."""
    layer = nn.Conv2d(1, 20, 5)
    maps = layer(tg.zeros((1, 28, 28), dtype=np.float32))
    assert maps.shape == (20, 24, 24)
    assert nn.MaxPool2d(2)(maps).shape == (20, 12, 12)
    assert sum(p.size for p in layer.parameters()) == 20 * (5 * 5 + 1) == 520
    assert sum(p.size for p in nn.Linear(784, 30).parameters()) == 23_550
    assert nn.Conv2d(3, 1, 3)(tg.zeros((3, 8, 8), dtype=np.float32)).shape == (1, 6, 6)  # three channels are summed
    assert nn.Conv2d(1, 1, 3, stride=2)(tg.zeros((1, 7, 7), dtype=np.float32)).shape == (1, 3, 3)
    assert nn.Conv2d(1, 1, 5, padding="same")(tg.zeros((1, 28, 28), dtype=np.float32)).shape == (1, 28, 28)


@pytest.mark.parametrize(
    ("layer", "shape", "fan_in"),
    [
        (lambda g: nn.Conv1d(4, 6, 3, groups=2, generator=g), (6, 2, 3), 6),
        (lambda g: nn.Conv2d(3, 8, (5, 2), generator=g), (8, 3, 5, 2), 30),
        (lambda g: nn.ConvTranspose1d(4, 6, 3, groups=2, generator=g), (4, 3, 3), 9),
        (lambda g: nn.ConvTranspose2d(3, 8, (5, 2), generator=g), (3, 8, 5, 2), 80),
    ],
)
def test_parameters_and_their_starting_values(layer, shape, fan_in):
    made = layer(np.random.default_rng(0))
    assert list(made.state_dict()) == ["weight", "bias"]
    assert made.weight.shape == shape
    assert made.weight.dtype == made.bias.dtype == np.float32
    for p in made.parameters():
        assert abs(p.numpy()).max() <= 1 / math.sqrt(fan_in)
    assert abs(made.weight.numpy()).max() > 0.9 / math.sqrt(fan_in)
    np.testing.assert_array_equal(layer(np.random.default_rng(0)).weight.numpy(), made.weight.numpy())


def test_usual_settings_are_not_drawn():
    layer, x = nn.Conv2d(1, 2, 3), tg.zeros((1, 1, 6, 6), dtype=np.float32)
    text = tg.draw(F.max_pool2d(layer(x), 2)).source
    assert " ⋆ " in text
    assert "operation conv (" not in text
    assert "operation max_pool (window=(2, 2))" in text
    assert "operation conv (stride=(2, 2))" in tg.draw(nn.Conv2d(1, 2, 3, stride=2)(x)).source


def test_repr():
    assert repr(nn.Conv2d(1, 20, 5)).startswith("Conv2d(1, 20, kernel_size=(5, 5), stride=(1, 1))")
    text = repr(nn.Conv1d(2, 4, 3, 2, 1, 2, 2, False, "circular"))
    assert "2, 4, kernel_size=(3,), stride=(2,), padding=(1,), dilation=(2,), groups=2, bias=False" in text
    assert "padding_mode='circular'" in text
    assert "output_padding=(1, 1)" in repr(nn.ConvTranspose2d(1, 1, 3, 2, output_padding=1))
    assert "kernel_size=2" in repr(nn.Unfold(2))
    assert "output_size=4" in repr(nn.Fold(4, 2))


def test_the_size_of_a_transposed_convolution_can_be_asked_for():
    down, up = nn.Conv2d(1, 1, 3, stride=2, padding=1), nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1)
    for size in (11, 12):
        small = down(tg.zeros((1, 1, size, size), dtype=np.float32))
        assert small.shape == (1, 1, 6, 6)
        assert up(small, output_size=(size, size)).shape == (1, 1, size, size)
    with pytest.raises(ValueError, match=r"from \(11, 11\) to \(12, 12\)"):
        up(small, output_size=(13, 13))


# --- what is refused -------------------------------------------------------------------------------------------------

X, W = np.zeros((2, 4, 8, 8)), np.zeros((6, 4, 3, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.conv2d(X, W[:, :3]), r"conv2d: the input has 4 channels, but a weight of shape \(6, 3, 3, 3\)"),
        (lambda: F.conv2d(X[0, 0], W), r"conv2d: the input must have 4 axes \(batch, channels, height, width\), or 3"),
        (lambda: F.conv1d(X, W[..., 0]), "conv1d: the input must have 3 axes"),
        (lambda: F.conv2d(X, W[0]), "conv2d: weight must have 4 axes"),
        (lambda: F.conv2d(X, W, np.zeros(5)), r"bias must have shape \(6,\)"),
        (lambda: F.conv2d(X, W, groups=3), "groups must divide .* groups=3 with 4 and 6"),
        (lambda: F.conv2d(X, W, groups=0), "groups must be a positive whole number"),
        (lambda: F.conv2d(X, W, dilation=4), r"a window of \(3, 3\), which reaches over \(9, 9\)"),
        (lambda: F.conv2d(X[:, :, :2], W), r"does not fit into an input of \(2, 8\)"),
        (lambda: F.conv2d(X, W, stride=0), "stride must be a positive whole number or a tuple of 2"),
        (lambda: F.conv2d(X, W, stride=(1, 1, 1)), "stride must be"),
        (lambda: F.conv2d(X, W, stride=1.5), "stride must be"),
        (lambda: F.conv2d(X, W, padding=-1), "padding must be a whole number, 0 or more"),
        (lambda: F.conv2d(X, W, padding="full"), 'padding must be "valid", "same" or numbers'),
        (lambda: F.conv2d(X, W, 2 * (None,), stride=2, padding="same"), 'padding="same" is for stride 1'),
        (lambda: F.conv_transpose2d(X, W), "conv_transpose2d: the input has 4 channels, but a weight .* takes 6"),
        (lambda: F.conv_transpose2d(X, W[:4], output_padding=1), "output_padding must be smaller than stride"),
        (lambda: F.conv_transpose2d(X[:, :, :1], W[:4], padding=2), "leaves nothing"),
        (lambda: F.fold(np.zeros((1, 4, 3)), 3, 2), r"has \(2, 2\) windows"),
        (lambda: F.fold(np.zeros((1, 4, 3, 1)), 3, 2), "fold: the input must have 3 axes"),
        (lambda: F.unfold(X, 9), "unfold: a window"),
        (lambda: nn.Conv2d(1, 0, 3), "Conv2d: out_channels must be a positive whole number"),
        (lambda: nn.Conv2d(1, 2, "3"), "Conv2d: kernel_size must be"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d: groups must divide"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "padding_mode must be one of"),
        (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), 'Conv2d: padding="same" is for stride 1'),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), 'padding_mode must be "zeros"'),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), "padding must be a whole number"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- compiled --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.Conv2d(2, 3, 3, padding=1),
        lambda: nn.Conv2d(2, 4, (2, 3), stride=(2, 1), dilation=(1, 2), groups=2, bias=False),
        lambda: nn.Conv2d(2, 3, 3, padding="same", padding_mode="reflect"),
        lambda: nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1),
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Conv2d(3, 2, 2), nn.Sigmoid()),
        lambda: nn.Sequential(nn.Unfold(2), nn.Tanh(), nn.Fold(6, 2)),
    ],
)
def test_compiled_as_not_compiled(layer):
    made = layer()
    x = np.random.default_rng(8).standard_normal((3, 2, 6, 6)).astype(np.float32)

    def step(x):
        x.requires_grad_()
        loss = (made(x) ** 2).mean()
        loss.backward()
        return loss, x.grad, [p.grad for p in made.parameters()]

    def run(f):
        made.zero_grad()
        loss, of_x, rest = f(tg.tensor(x))
        return [np.array(v.numpy()) for v in (loss, of_x, *rest)]

    wanted, compiled = run(step), tg.compile(step)
    for _ in range(2):
        for a, b in zip(wanted, run(compiled), strict=True):
            np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)


# --- PyTorch ---------------------------------------------------------------------------------------------------------


def test_as_in_pytorch():
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # small arrays take far longer with several
    rng = np.random.default_rng(9)
    settings = itertools.product([1, (2, 3)], [0, (2, 1), "same"], [1, (1, 3)], [1, 2], [3, (2, 4)])
    for stride, padding, dilation, groups, kernel in settings:
        if padding == "same" and (stride != 1 or kernel == (2, 4)):  # PyTorch warns of even windows
            continue
        window = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        arrays = [rng.standard_normal(s) for s in ((2, 4, 11, 10), (6, 4 // groups, *window), (6,))]
        ours = [tg.tensor(a, requires_grad=True) for a in arrays]
        theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
        more = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        _compare(torch, F.conv2d(*ours, **more), torch.nn.functional.conv2d(*theirs, **more), ours, theirs)


def test_transposed_as_in_pytorch():
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # small arrays take far longer with several
    rng = np.random.default_rng(10)
    for stride, padding, extra, dilation, groups in itertools.product([1, 3], [0, 1], [0, 1, 2], [1, 3], [1, 2]):
        if extra >= max(stride, dilation):
            continue
        arrays = [rng.standard_normal(s) for s in ((2, 4, 5, 6), (4, 6 // groups, 3, 2), (6,))]
        ours = [tg.tensor(a, requires_grad=True) for a in arrays]
        theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
        more = (stride, padding, extra, groups, dilation)
        wanted = torch.nn.functional.conv_transpose2d(*theirs, *more)
        _compare(torch, F.conv_transpose2d(*ours, *more), wanted, ours, theirs)


def _compare(torch, got, wanted, ours, theirs):
    np.testing.assert_allclose(got.numpy(), wanted.detach().numpy(), rtol=1e-10, atol=1e-10)
    g = np.random.default_rng(0).standard_normal(got.shape)
    got.backward(tg.tensor(g))
    wanted.backward(torch.tensor(g))
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-10, atol=1e-10)
