"""Activations, rarer losses, starts and containers: definitions, derivatives, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn import nn
from tinygrad_nn.nn import functional as F
from tinygrad_nn.testing import check_gradients


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def generator():
    return np.random.default_rng(0)


# --- activations -----------------------------------------------------------------------------------------------------


def sigma(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = {
    "relu6": (nn.ReLU6(), lambda x: np.minimum(np.maximum(x, 0), 6)),
    "selu": (
        nn.SELU(),
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    ),
    "celu": (nn.CELU(2.0), lambda x: np.maximum(x, 0) + np.minimum(0, 2 * np.expm1(x / 2))),
    "mish": (nn.Mish(), lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    "softplus": (nn.Softplus(2.0, 1.0), lambda x: np.where(2 * x > 1, x, np.log1p(np.exp(2 * x)) / 2)),
    "softsign": (nn.Softsign(), lambda x: x / (1 + abs(x))),
    "log_sigmoid": (nn.LogSigmoid(), lambda x: np.log(sigma(x))),
    "tanhshrink": (nn.Tanhshrink(), lambda x: x - np.tanh(x)),
    "hardtanh": (nn.Hardtanh(-0.5, 2), lambda x: np.clip(x, -0.5, 2)),
    "hardsigmoid": (nn.Hardsigmoid(), lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    "hardswish": (nn.Hardswish(), lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "hardshrink": (nn.Hardshrink(0.7), lambda x: np.where(abs(x) > 0.7, x, 0)),
    "softshrink": (nn.Softshrink(0.7), lambda x: np.sign(x) * np.maximum(abs(x) - 0.7, 0)),
    "threshold": (nn.Threshold(0.3, -2), lambda x: np.where(x > 0.3, x, -2)),
    "softmin": (nn.Softmin(-1), lambda x: np.exp(-x) / np.exp(-x).sum(-1, keepdims=True)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    module, definition = ACTIVATIONS[name]
    x = np.array([-7.1, -3.4, -2.2, -0.85, -0.4, -0.15, 0.1, 0.2, 0.6, 1.3, 2.6, 3.7, 6.5])
    np.testing.assert_allclose(module(x), definition(x), rtol=1e-10, atol=1e-12)
    single = module(tg.tensor(x, dtype=tg.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single.numpy(), definition(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.asarray(tg.compile(module)(x)), definition(x), rtol=1e-10, atol=1e-12)
    check_gradients(module, x)
    assert module(tg.zeros((0, 3))).shape == (0, 3)
    if name != "softmin":
        assert module(tg.tensor(0.25)).shape == ()
        with np.errstate(invalid="ignore"):  # NumPy's logaddexp warns
            assert np.isnan(module(np.array([np.nan]))).all()


@pytest.mark.parametrize(
    "module", [nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.SELU, nn.CELU, nn.ReLU6, nn.Hardtanh, nn.Mish]
)
def test_inplace_is_taken_and_the_input_stays(module):
    x = tg.tensor([-1.0, 0.5], requires_grad=True)
    y = module(inplace=True)(x)
    assert x.tolist() == [-1.0, 0.5]
    assert y is not x
    y.sum().backward()
    np.testing.assert_array_equal(y.numpy(), module()(x).numpy())


@pytest.mark.parametrize(
    "f", [F.relu, F.silu, F.selu, F.celu, F.elu, F.leaky_relu, F.hardtanh, F.relu6, F.mish, F.hardswish]
)
def test_functions_take_inplace(f):
    assert f(tg.tensor([1.0]), inplace=True).shape == (1,)


def test_prelu():
    x, w = drawn(2, 3, 4), np.array([0.5, 0.0, -1.0])
    np.testing.assert_allclose(F.prelu(x, w), np.where(x > 0, x, w[:, None] * x))
    check_gradients(F.prelu, x, w)
    check_gradients(F.prelu, x, np.array([0.3]))
    check_gradients(F.prelu, drawn(3), np.array(0.3))
    layer = nn.PReLU(3)
    assert layer.weight.tolist() == [0.25] * 3
    with pytest.raises(ValueError, match=r"\(1,\) or \(3,\)"):
        F.prelu(x, w[:2])


def test_glu_and_softmax2d():
    x = drawn(2, 4, 3)
    np.testing.assert_allclose(nn.GLU(1)(x), x[:, :2] * sigma(x[:, 2:]), rtol=1e-12)
    check_gradients(nn.GLU(1), x)
    with pytest.raises(ValueError, match="must be even"):
        nn.GLU()(x)
    pictures = drawn(2, 3, 2, 2)
    np.testing.assert_allclose(nn.Softmax2d()(pictures).sum(1), 1, rtol=1e-12)
    with pytest.raises(ValueError, match=r"\(C, H, W\)"):
        nn.Softmax2d()(np.ones((2, 3)))


@pytest.mark.parametrize(
    "call",
    [lambda: F.hardtanh(1.0, 2, 1), lambda: F.celu(1.0, 0.0), lambda: F.softshrink(1.0, -0.1), lambda: nn.PReLU(0)],
)
def test_activations_refuse(call):
    with pytest.raises(ValueError, match="max_val|positive|negative"):
        call()


# --- losses ----------------------------------------------------------------------------------------------------------


def hinge(x):
    return np.maximum(x, 0)


def length(x, p=2.0):
    return (abs(x) ** p).sum(-1) ** (1 / p)


X, T = drawn(4, 3), drawn(4, 3, seed=1)
SIGNS = np.array([1.0, -1, -1, 1])
BITS = np.array([[1.0, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0]])
COUNTS = np.array([[0.0, 1, 2], [3, 4, 0], [1, 1, 7], [2, 0, 0]])
LABELS = np.array([0, 2, 1, 1])
WEIGHT = np.array([0.5, 2.0, 1.25])
VAR = abs(drawn(4, 1, seed=2)) + 0.2

#: Name, settings, inputs, and each sample's loss. The inputs that are differentiated come first.
LOSSES = [
    (
        "smooth_l1_loss", {"beta": 0.7}, (X, T),
        lambda x, t: np.where(abs(x - t) < 0.7, (x - t) ** 2 / 1.4, abs(x - t) - 0.35),
    ),
    ("smooth_l1_loss", {"beta": 0}, (X, T), lambda x, t: abs(x - t)),
    ("soft_margin_loss", {}, (X[:, 0], SIGNS), lambda x, t: np.log1p(np.exp(-t * x))),
    ("hinge_embedding_loss", {"margin": 0.7}, (X[:, 0], SIGNS), lambda x, t: np.where(t > 0, x, hinge(0.7 - x))),
    ("margin_ranking_loss", {"margin": 0.2}, (X[:, 0], X[:, 1], SIGNS), lambda a, b, t: hinge(0.2 - t * (a - b))),
    (
        "cosine_embedding_loss", {"margin": 0.1}, (X, T, SIGNS),
        lambda a, b, t: np.where(t > 0, 1 - (c := (a * b).sum(-1) / length(a) / length(b)), hinge(c - 0.1)),
    ),
    (
        "triplet_margin_loss", {"eps": 0.0}, (X, T, drawn(4, 3, seed=3)),
        lambda a, p, n: hinge(1 + length(a - p) - length(a - n)),
    ),
    (
        "triplet_margin_loss", {"eps": 0.1, "p": 3, "swap": True, "margin": 2}, (X, T, drawn(4, 3, seed=3)),
        lambda a, p, n: hinge(
            2 + length(a - p + 0.1, 3) - np.minimum(length(a - n + 0.1, 3), length(p - n + 0.1, 3))
        ),
    ),
    ("poisson_nll_loss", {}, (X, COUNTS), lambda x, t: np.exp(x) - t * x),
    (
        "poisson_nll_loss", {"log_input": False, "full": True, "eps": 0.0}, (abs(X) + 0.1, COUNTS),
        lambda x, t: x - t * np.log(x)
        + np.where(t > 1, (m := np.maximum(t, 1)) * np.log(m) - m + 0.5 * np.log(2 * np.pi * m), 0),
    ),
    ("gaussian_nll_loss", {}, (X, T, VAR), lambda x, t, v: 0.5 * (np.log(v) + (x - t) ** 2 / v)),
    (
        "gaussian_nll_loss", {"full": True}, (X, T, VAR[:, 0]),
        lambda x, t, v: 0.5 * (np.log(2 * np.pi * v[:, None]) + (x - t) ** 2 / v[:, None]),
    ),
    (
        "multi_margin_loss", {"p": 2, "margin": 0.6}, (X, LABELS),
        lambda x, y: sum(np.where(y == i, 0, hinge(0.6 - x[np.arange(4), y] + x[:, i]) ** 2) for i in range(3)) / 3,
    ),
    (
        "multi_margin_loss", {"weight": WEIGHT}, (X, LABELS),
        lambda x, y: WEIGHT[y] / 3
        * sum(np.where(y == i, 0, hinge(1 - x[np.arange(4), y] + x[:, i])) for i in range(3)),
    ),
    (
        "multilabel_soft_margin_loss", {"weight": WEIGHT}, (X, BITS),
        lambda x, t: -(WEIGHT * (t * np.log(sigma(x)) + (1 - t) * np.log(sigma(-x)))).mean(-1),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings", "inputs", "definition"), LOSSES, ids=[f"{i}-{row[0]}" for i, row in enumerate(LOSSES)]
)
def test_loss(name, settings, inputs, definition):
    loss = getattr(F, name)
    each = definition(*inputs)
    for reduction, wanted in (("none", each), ("mean", each.mean()), ("sum", each.sum())):
        f = lambda *x, reduction=reduction: loss(*x, reduction=reduction, **settings)  # noqa: E731
        np.testing.assert_allclose(f(*inputs), wanted, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(np.asarray(tg.compile(f)(*inputs)), wanted, rtol=1e-9, atol=1e-12)
    fixed = [x for x in inputs if x is SIGNS or x is LABELS or x is COUNTS or x is BITS]
    free = [x for x in inputs if not any(x is y for y in fixed)]
    check_gradients(lambda *x: loss(*x, *fixed, **settings), *free)
    single = loss(
        *(x if x is LABELS else x.astype(np.float32) for x in inputs),
        **{k: v for k, v in settings.items() if k != "weight"},
    )
    assert single.dtype == np.float32
    with pytest.raises(ValueError, match="reduction"):
        loss(*inputs, reduction="median", **settings)


def test_modules_of_losses_hand_their_settings_on():
    assert nn.TripletMarginLoss(0.5, 1.0, 1e-3, True, "none")(X, T, X).shape == (4,)
    assert nn.SmoothL1Loss("sum", 0.5)(X, T) == F.smooth_l1_loss(X, T, reduction="sum", beta=0.5)
    assert list(nn.MultiMarginLoss(weight=WEIGHT).state_dict()) == ["weight"]
    assert nn.GaussianNLLLoss(full=True)(X, T, 2.0) == F.gaussian_nll_loss(X, T, 2.0, full=True)
    assert nn.PoissonNLLLoss(False)(abs(X), COUNTS) == F.poisson_nll_loss(abs(X), COUNTS, log_input=False)
    assert nn.CosineSimilarity(0)(X, T).shape == (3,)
    assert nn.PairwiseDistance(keepdim=True)(X, T).shape == (4, 1)


def test_scores_far_out_do_not_overflow():
    x = np.array([1000.0, -1000.0])
    assert F.soft_margin_loss(x, np.array([1.0, -1.0])) == 0
    assert F.soft_margin_loss(x, np.array([-1.0, 1.0])) == 1000
    assert F.multilabel_soft_margin_loss(x, np.array([0.0, 1.0])) == 1000


def test_distances():
    np.testing.assert_allclose(F.pairwise_distance(X, T, 3.0, 0.1), length(X - T + 0.1, 3), rtol=1e-10)
    np.testing.assert_allclose(F.cosine_similarity(X, T), (X * T).sum(1) / length(X) / length(T), rtol=1e-12)
    np.testing.assert_allclose(length(F.normalize(X)), 1, rtol=1e-12)
    assert not F.normalize(np.zeros((2, 3))).any()
    check_gradients(F.pairwise_distance, X, T)
    check_gradients(F.cosine_similarity, X, T)
    check_gradients(F.normalize, X)


def test_what_losses_are_given_may_be_lists():
    for loss in (F.l1_loss, F.smooth_l1_loss, F.kl_div, F.poisson_nll_loss, F.multilabel_soft_margin_loss):
        found = loss([0.5, 0.25], [1, 0])
        assert found.item() == pytest.approx(loss(tg.tensor([0.5, 0.25]), tg.tensor([1.0, 0.0])).item()), loss
    assert F.margin_ranking_loss([1.0], [2.0], [1]).item() == 1
    assert F.cross_entropy([[1.0, 1.0]], [0]).item() == pytest.approx(math.log(2))
    assert F.celu([-1.0]).tolist() == F.elu([-1.0]).tolist()


def test_weights_given_as_lists_keep_single_precision():
    x, bits = tg.tensor(X, dtype=tg.float32), BITS.astype(np.float32)
    assert nn.CrossEntropyLoss(weight=[1, 2, 3])(x, LABELS).dtype == np.float32
    assert nn.BCEWithLogitsLoss(weight=[1.0, 2.0, 3.0], pos_weight=2.0)(x, bits).dtype == np.float32
    assert nn.CrossEntropyLoss(weight=np.ones(3))(x, LABELS).dtype == np.float64


@pytest.mark.parametrize("shapes", [((2, 3), (1, 3)), ((2, 3), (3,)), ((2, 1), (2, 3)), ((1,), (2, 3))])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_cosines_of_what_is_broadcast(shapes, dim):
    x, y = (drawn(*shape, seed=seed) for seed, shape in enumerate(shapes))
    whole_x, whole_y = np.broadcast_arrays(x, y)
    length = np.linalg.norm(whole_x, axis=dim) * np.linalg.norm(whole_y, axis=dim)
    np.testing.assert_allclose(F.cosine_similarity(x, y, dim), (x * y).sum(dim) / length, rtol=1e-12)
    check_gradients(lambda x, y: F.cosine_similarity(x, y, dim), x, y)


def test_divergence_of_small_log_probabilities_keeps_its_digits():
    x, t = np.float32([-38.0]), np.float32([-40.0])
    found = F.kl_div(tg.tensor(x), tg.tensor(t), reduction="sum", log_target=True)
    assert found.item() == pytest.approx(-2 * math.exp(-40), rel=1e-5)
    assert F.kl_div(tg.tensor(-1.0), tg.tensor(1.0), reduction="batchmean").item() == 1


def test_a_variance_below_eps_counts_as_eps_and_still_has_a_gradient():
    var = tg.tensor([1e-9], requires_grad=True)
    F.gaussian_nll_loss(np.array([1.0]), np.array([1.0]), var).backward()
    assert var.grad.tolist() == [0.5 / 1e-6]


def test_ignored_labels_keep_single_precision():
    loss = F.cross_entropy(tg.ones((3, 2), dtype=tg.float32), tg.tensor([0, -100, 1]))
    assert loss.dtype == np.float32


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: F.smooth_l1_loss(X, T[:, :1]), "not broadcast"),
        (lambda: F.smooth_l1_loss(X, T, beta=-1), "beta"),
        (lambda: F.soft_margin_loss(X[:, 0], np.array([0, 1, 1, 0])), "1 or −1"),
        (lambda: F.hinge_embedding_loss(X, SIGNS), "not broadcast"),
        (lambda: F.margin_ranking_loss(X[:, 0], X[:, 1], SIGNS[:1]), "not broadcast"),
        (lambda: F.cosine_embedding_loss(X, T, SIGNS[:, None]), r"\(N,\) or \(\)"),
        (lambda: F.triplet_margin_loss(X, T, T[:1]), "not broadcast"),
        (lambda: F.triplet_margin_loss(X, T, T, margin=0), "margin"),
        (lambda: F.gaussian_nll_loss(X, T, np.ones(3)), "var must have shape"),
        (lambda: F.gaussian_nll_loss(X, T, -VAR), "negative"),
        (lambda: F.gaussian_nll_loss(X, T, VAR, eps=0), "eps"),
        (lambda: F.multi_margin_loss(X, LABELS + 1), "0 … 2"),
        (lambda: F.multi_margin_loss(X, LABELS, p=3), "p must be 1 or 2"),
        (lambda: F.multi_margin_loss(X, LABELS[:2]), r"\(N,\) or \(\)"),
        (lambda: F.poisson_nll_loss(X, COUNTS[0]), "not broadcast"),
        (lambda: F.multilabel_soft_margin_loss(X, BITS, weight=np.ones(2)), r"shape \(3,\)"),
        (lambda: F.binary_cross_entropy(BITS[0], BITS[0], weight=np.ones((3, 1))), r"weight must broadcast to \(3,\)"),
        (lambda: F.binary_cross_entropy_with_logits(X, BITS, weight=np.ones((2, *X.shape))), "weight must broadcast"),
        (lambda: F.binary_cross_entropy_with_logits(X, BITS, pos_weight=np.ones(2)), "pos_weight must broadcast"),
        (lambda: F.glu(X, dim=2), "no axis dim=2"),
    ],
)
def test_losses_refuse(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# --- starts ----------------------------------------------------------------------------------------------------------


def started(function, shape, *args, dtype=np.float64, **settings):
    p = nn.Parameter(np.full(shape, np.nan, dtype))
    assert function(p, *args, generator=generator(), **settings) is p
    assert p.dtype == dtype
    return p.numpy()


@pytest.mark.parametrize(
    ("function", "bound"),
    [
        (nn.init.lesson_uniform_, math.sqrt(6) / 300),
        (nn.init.glorot_uniform_, math.sqrt(6 / 300)),
        (nn.init.he_uniform_, math.sqrt(6 / 100)),
        (nn.init.lecun_uniform_, math.sqrt(3 / 100)),
    ],
)
def test_uniform_starts(function, bound):
    for dtype in (np.float32, np.float64):
        values = started(function, (200, 100), dtype=dtype)
        assert 0.999 * bound < np.abs(values).max() <= bound * (1 + 1e-6)
        assert abs(values.std() / (bound / math.sqrt(3)) - 1) < 0.02


def test_normal_starts():
    assert abs(started(nn.init.lecun_normal_, (200, 100)).std() * 10 - 1) < 0.02
    assert abs(started(nn.init.he_normal_, (200, 100)).std() * math.sqrt(50) - 1) < 0.02
    assert abs(started(nn.init.glorot_normal_, (200, 100)).std() * math.sqrt(150) - 1) < 0.02


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0, 1, -2, 2), (1, 0.5, 0, 4), (0, 1, 2.5, 3), (0, 1, -9, -8), (5, 1, -1, 1), (0, 1, 0, 0.01)],
)
def test_truncated_normal(mean, std, a, b):
    values = started(nn.init.trunc_normal_, (100, 50), mean, std, a, b)
    assert values.min() >= a
    assert values.max() <= b
    points = np.linspace(a, b, 20001)
    density = np.exp(-0.5 * ((points - mean) / std) ** 2)
    expected = (points * density).sum() / density.sum()
    spread = math.sqrt(((points - expected) ** 2 * density).sum() / density.sum())
    assert abs(values.mean() - expected) < 5 * spread / math.sqrt(values.size)
    assert abs(values.std() / spread - 1) < 0.05


@given(shape=st.sampled_from([(3, 5), (5, 3), (4, 4), (4, 2, 3), (7, 1, 2)]), gain=st.sampled_from([1, 0.5]))
def test_orthogonal(shape, gain):
    w = started(nn.init.orthogonal_, shape, gain).reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, gain**2 * np.eye(len(product)), atol=1e-12)


def test_sparse():
    w = started(nn.init.sparse_, (10, 400), 0.25, std=0.5)
    assert ((w == 0).sum(0) == 3).all()
    assert abs(w[w != 0].std() - 0.5) < 0.03
    assert len(np.unique((w == 0).argmax(0))) > 5


def test_eye_and_dirac():
    p = nn.Parameter(np.ones((2, 3)))
    assert nn.init.eye_(p).tolist() == [[1, 0, 0], [0, 1, 0]]
    w = nn.init.dirac_(nn.Parameter(np.ones((4, 2, 3, 3))), groups=2).numpy()
    wanted = np.zeros((4, 2, 3, 3))
    for out, channel in ((0, 0), (1, 1), (2, 0), (3, 1)):
        wanted[out, channel, 1, 1] = 1
    np.testing.assert_array_equal(w, wanted)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: nn.init.trunc_normal_(p, std=0), "std must be positive"),
        (lambda p: nn.init.trunc_normal_(p, 0, 1, 2, 1), "a below b"),
        (lambda p: nn.init.trunc_normal_(p, 0, 1e-3, 2, 3), "too far"),
        (lambda p: nn.init.orthogonal_(nn.Parameter(np.ones(3))), "two or more axes"),
        (lambda p: nn.init.sparse_(p, 1.5), r"\[0, 1\]"),
        (lambda p: nn.init.eye_(nn.Parameter(np.ones(3))), "two axes"),
        (lambda p: nn.init.dirac_(p), "must be"),
    ],
)
def test_starts_refuse(call, words):
    with pytest.raises(ValueError, match=words):
        call(nn.Parameter(np.ones((2, 2))))


def test_starts_as_torch_has_them():
    torch = pytest.importorskip("torch")
    for shape, groups in (((4, 2, 3), 1), ((4, 2, 3), 2), ((6, 3, 2, 4), 3), ((2, 5, 3, 3, 3), 1)):
        theirs = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
        np.testing.assert_array_equal(nn.init.dirac_(nn.Parameter(np.ones(shape)), groups).numpy(), theirs)


# --- containers of parameters, Unflatten, Bilinear -------------------------------------------------------------------


def test_parameter_list():
    first = nn.Parameter([1.0])
    found = nn.ParameterList([first, tg.tensor([2.0, 3.0])]).append(4.0)
    assert found[0] is first
    assert [p.shape for p in found] == [(1,), (2,), ()]
    assert list(found.state_dict()) == ["0", "1", "2"]
    assert isinstance(found[1:], nn.ParameterList)
    found[-1] = [5.0]
    assert found[2].tolist() == [5]
    assert len(list(nn.Sequential(found).parameters())) == 3
    with pytest.raises(IndexError):
        found[3]
    assert len(nn.ParameterList()) == 0


def test_parameter_dict():
    found = nn.ParameterDict({"a": [1.0], "b": nn.Parameter(2.0)})
    found["c"] = [3.0]
    del found["a"]
    assert found.keys() == ["b", "c"]
    assert [name for name, _ in found.items()] == list(found) == ["b", "c"]
    assert len(found.values()) == len(found) == 2
    assert "a" not in found
    with pytest.raises(KeyError, match="'b', 'c'"):
        found["a"]
    with pytest.raises(ValueError, match="keys"):
        found["keys"] = [1.0]


def test_unflatten():
    x = tg.tensor(np.arange(24.0).reshape(2, 12))
    np.testing.assert_array_equal(nn.Unflatten(1, (3, 4))(x).numpy(), np.arange(24).reshape(2, 3, 4))
    assert nn.Unflatten(-1, [2, -1, 2])(x).shape == (2, 2, 3, 2)
    assert nn.Unflatten(0, (2, 1))(x).shape == (2, 1, 12)
    for sizes in ((5, 2), (5, -1), (-1, -1)):
        with pytest.raises(ValueError, match="12 elements"):
            nn.Unflatten(1, sizes)(x)


def test_bilinear():
    x, y, w, b = drawn(2, 5, 3), drawn(2, 5, 4, seed=1), drawn(6, 3, 4, seed=2), drawn(6, seed=3)
    wanted = np.array([[[x[i, j] @ w[o] @ y[i, j] + b[o] for o in range(6)] for j in range(5)] for i in range(2)])
    np.testing.assert_allclose(F.bilinear(x, y, w, b), wanted, rtol=1e-9, atol=1e-12)
    check_gradients(F.bilinear, x[0, :2], y[0, :2], w, b)
    layer = nn.Bilinear(3, 4, 6, generator=generator())
    assert layer.weight.shape == (6, 3, 4)
    assert np.abs(layer.weight.numpy()).max() <= 1 / math.sqrt(3)
    with pytest.raises(ValueError, match="bilinear"):
        F.bilinear(x, y[:1], w)
