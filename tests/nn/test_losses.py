"""Losses: single operations equal their compositions, and bad input is refused with the remedy."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn
from tinygrad_nn.nn import functional as F

RNG = np.random.default_rng(0)
X = RNG.uniform(-3, 3, (4, 3))
P = RNG.uniform(0.05, 0.95, (4, 3))
T = RNG.uniform(0.05, 0.95, (4, 3))
LABELS = np.array([2, 0, 1, 1])


def reduced(losses, reduction):
    return {"mean": tg.mean, "sum": tg.sum, "none": lambda x: x}[reduction](losses)


def bce(x, t):
    return -(t * tg.log(x) + (1 - t) * tg.log(1 - x))


def picked(x, labels):
    return -tg.log_softmax(x, axis=-1)[np.arange(len(labels)), labels]


COMPOSED = {
    "mse_loss": (lambda x, t: (x - t) ** 2, X, T),
    "binary_cross_entropy": (bce, P, T),
    "binary_cross_entropy_with_logits": (lambda x, t: bce(tg.sigmoid(x), t), X, T),
    "cross_entropy": (picked, X, LABELS),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", COMPOSED)
def test_fused_loss_is_its_composition_to_second_order(name, reduction):
    compose, x, t = COMPOSED[name]
    argnums = (0, 1) if name != "cross_entropy" else (0,)
    weights = RNG.uniform(0.5, 2, () if reduction != "none" else np.shape(getattr(F, name)(x, t, reduction="none")))

    def fused(*args):
        return (getattr(F, name)(*args, *(() if len(argnums) == 2 else (t,)), reduction=reduction) * weights).sum()

    def simple(*args):
        return (reduced(compose(*args, *(() if len(argnums) == 2 else (t,))), reduction) * weights).sum()

    args = (x, t)[: len(argnums)]
    close = {"rtol": 1e-10, "atol": 1e-13}
    np.testing.assert_allclose(fused(*args), simple(*args), **close)
    for ours, theirs in zip(tg.grad(fused, argnums)(*args), tg.grad(simple, argnums)(*args)):
        np.testing.assert_allclose(ours, theirs, **close)
    directions = tuple(RNG.standard_normal(a.shape) for a in args)

    def along(f):
        return lambda *a: sum((g * d).sum() for g, d in zip(tg.grad(f, argnums)(*a), directions))

    for ours, theirs in zip(tg.grad(along(fused), argnums)(*args), tg.grad(along(simple), argnums)(*args)):
        np.testing.assert_allclose(ours, theirs, **close)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", [*COMPOSED, "l1_loss", "huber_loss", "kl_div", "nll_loss"])
def test_dtype_is_that_of_the_predictions(name, dtype):
    x = tg.tensor(P.astype(dtype), requires_grad=True)
    t = LABELS if name in ("cross_entropy", "nll_loss") else T.astype(dtype)
    for reduction in ("mean", "sum", "none"):
        loss = getattr(F, name)(x, t, reduction=reduction)
        assert loss.dtype == dtype
        loss.sum().backward()
        assert x.grad.dtype == dtype


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy", "kl_div"])
def test_targets_that_are_bools_or_integers_become_predictions(name):
    x = tg.tensor(P.astype(np.float32), requires_grad=True)
    wanted = getattr(F, name)(x, (T > 0.5).astype(np.float32))
    for kind in (bool, np.int64, np.uint8):
        loss = getattr(F, name)(x, (T > 0.5).astype(kind))
        assert loss.dtype == np.float32
        assert loss.item() == wanted.item()


def test_a_single_number():
    assert F.mse_loss(tg.tensor(3.0), 1.0).item() == 4.0
    assert nn.BCELoss()(tg.tensor(0.5), 1).item() == pytest.approx(np.log(2))
    assert nn.CrossEntropyLoss()(tg.tensor([0.0, 0.0]), 1).item() == pytest.approx(np.log(2))
    w = tg.tensor(0.25, requires_grad=True)
    F.binary_cross_entropy(w, 1.0).backward()
    assert w.grad.item() == -4.0


def test_arrays_give_arrays():
    assert isinstance(F.mse_loss(X, T), np.float64)
    assert type(F.cross_entropy(X, LABELS, reduction="none")) in (np.ndarray, tg.Tensor)
    assert isinstance(F.l1_loss(X, T), np.float64)


# --- extremes --------------------------------------------------------------------------------------------------------


def test_certain_predictions_have_finite_losses():
    x = tg.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    losses = F.binary_cross_entropy(x, tg.tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    assert losses.tolist() == [0, 0, 100, 100]
    losses.sum().backward()
    assert x.grad.tolist() == [0, 0, -1e12, 1e12]
    for dtype in (np.float16, np.float32):
        loss = F.binary_cross_entropy(tg.tensor([0, 1], dtype=dtype), tg.tensor([1, 0], dtype=dtype))
        assert loss.item() == 100.0


def test_many_large_losses_are_limited_one_by_one():
    x = np.array([1e-80, 0.0] + [0.1] * 50)
    wanted = [100.0, 100.0] + [-np.log(0.1)] * 50
    np.testing.assert_allclose(F.binary_cross_entropy(x, np.ones(52), reduction="sum"), np.sum(wanted))


def test_scores_of_any_size():
    x = tg.tensor([-1e6, 1e6, -1e6, 1e6, 800.0], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, tg.tensor([0.0, 1.0, 1.0, 0.0, 0.5]), reduction="sum")
    assert loss.item() == 2e6 + 400
    loss.backward()
    assert x.grad.tolist() == [0, 0, -1, 1, 0.5]
    scores = tg.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]], requires_grad=True)
    loss = F.cross_entropy(scores, [1, 0], reduction="sum")
    assert loss.item() == pytest.approx(2e4 + np.log(3))
    loss.backward()
    np.testing.assert_allclose(scores.grad.numpy(), [[1, -1, 0], [-2 / 3, 1 / 3, 1 / 3]], atol=1e-12)
    masked = F.cross_entropy(tg.tensor([[0.0, -np.inf, 0.0]]), [0])
    assert masked.item() == pytest.approx(np.log(2))


def test_nothing_to_compare():
    assert F.mse_loss(tg.zeros((0, 3)), tg.zeros((0, 3)), reduction="sum").item() == 0
    assert F.cross_entropy(tg.zeros((0, 3)), np.zeros(0, int), reduction="none").shape == (0,)


# --- bad input -------------------------------------------------------------------------------------------------------

SAME_SHAPE = [nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.KLDivLoss]


@pytest.mark.parametrize("loss", SAME_SHAPE)
@pytest.mark.parametrize("settings", [{}, {"reduction": "none"}])
def test_shapes_are_not_broadcast(loss, settings):
    loss_of = loss(**settings)
    column, row = tg.full((4, 1), 0.5), tg.full((4,), 0.5)
    with pytest.raises(ValueError, match=r"\(4, 1\) but targets \(4,\).*target\.reshape\(\(4, 1\)\)"):
        loss_of(column, row)
    with pytest.raises(ValueError, match=r"target\.reshape\(\(4,\)\)"):
        loss_of(row, column)
    with pytest.raises(ValueError, match="one target for each"):
        loss_of(row, tg.full((3,), 0.5))
    with pytest.raises(ValueError, match="not broadcast"):
        loss_of(row, 0.5)


@pytest.mark.parametrize("settings", [{"weight": np.ones(1)}, {"pos_weight": np.ones(1)}])
def test_weights_do_not_hide_a_broadcast(settings):
    with pytest.raises(ValueError, match="not broadcast"):
        nn.BCEWithLogitsLoss(**settings)(tg.zeros((4, 1)), tg.zeros(4))


@pytest.mark.parametrize("bad", [-0.25, 1.25, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("size", [3, 1000])
def test_what_is_no_probability_is_refused(bad, reduction, size):
    x = np.full(size, 0.5)
    x[1] = bad
    for weight in (None, np.ones(size)):
        with pytest.raises(ValueError, match=rf"1 of {size} are not, such as {bad}.*BCEWithLogitsLoss"):
            nn.BCELoss(weight, reduction)(tg.tensor(x), np.ones(size))
    with pytest.raises(ValueError, match="1 of 1 are not"):
        F.binary_cross_entropy(tg.tensor(bad), 1.0)


def test_nan_targets_show():
    assert np.isnan(F.binary_cross_entropy(tg.tensor([0.5]), np.array([np.nan])).item())


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss, nn.NLLLoss])
@pytest.mark.parametrize(
    ("scores", "labels", "error", "words"),
    [
        ((4, 3), [0, 1, 3, 2], ValueError, r"0 … 2, as there are 3 classes, but 1 of 4 are not, such as 3"),
        ((4, 3), [0, 1, -1, 2], ValueError, r"such as -1"),
        ((4, 3), [0, 1, 2], ValueError, r"\(4, 3\) and labels \(3,\)"),
        ((4, 3), [[0], [1], [2], [0]], ValueError, r"reshape the labels to \(4,\)"),
        ((4, 3), np.array([0.0, 1.0, 2.0, 0.0]), TypeError, r"float64 of shape \(4,\).*astype\(int\)"),
        ((4, 3), np.ones((4, 1)), TypeError, r"astype\(int\)"),
        ((4, 3), np.ones(4, bool), TypeError, "integers"),
        ((4, 3), np.ones((4, 3), int), ValueError, r"\(N, C\)"),
        ((), 0, ValueError, r"\(N, C\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(loss, scores, labels, error, words):
    with pytest.raises(error, match=words):
        loss()(tg.zeros(scores), labels)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss, nn.NLLLoss])
def test_a_mean_over_nothing_is_refused(loss):
    with pytest.raises(ValueError, match="ignore_index=1"):
        loss(ignore_index=1)(tg.zeros((2, 3)), [1, 1])
    assert loss(ignore_index=1, reduction="sum")(tg.zeros((2, 3)), [1, 1]).item() == 0


def test_an_ignored_sample_has_no_gradient_whatever_its_scores():
    x = tg.tensor([[-np.inf, 0.0], [0.5, 0.5]], requires_grad=True)
    for label in (-100, 7):
        x.grad = None
        nn.NLLLoss(ignore_index=label)(x, [label, 1]).backward()
        assert x.grad.tolist() == [[0, 0], [0, -1]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.MSELoss("average"), "'average'"),
        (lambda: F.mse_loss(X, T, reduction="average"), "'average'"),
        (lambda: F.l1_loss(X, T, reduction="batchmean"), "'batchmean'"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=1.5), "label_smoothing"),
        (lambda: nn.HuberLoss(delta=0), "delta"),
        (lambda: nn.CrossEntropyLoss(weight=[1.0, 2.0])(tg.zeros((4, 3)), LABELS), r"shape \(3,\)"),
        (lambda: F.gelu(X, "erf"), "'erf'"),
    ],
)
def test_settings_that_are_not_known_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_class_weights_are_part_of_the_state():
    loss = nn.CrossEntropyLoss(weight=np.array([1.0, 2.0], np.float32))
    assert list(loss.state_dict()) == ["weight"]
    assert repr(nn.CrossEntropyLoss(reduction="sum")) == "CrossEntropyLoss(reduction='sum')"
    assert loss.double().weight.dtype == np.float64


@pytest.mark.parametrize("label", [0, 2, -100])
def test_compiled_loss_ignores_labels_that_the_first_call_had_not(label):
    """A padding label, of the classes or not, may come in any call; none of those that are left out counts."""
    loss = nn.CrossEntropyLoss(ignore_index=label)
    compiled = tg.compile(lambda x, labels: loss(x, labels))
    x = tg.tensor(np.random.default_rng(0).standard_normal((3, 3)))
    batches = [[1, 1, 1], [label, 1, 1]] if label >= 0 else [[label, 1, 1], [1, 1, 1]]
    for labels in map(tg.tensor, batches):
        assert compiled(x, labels).item() == pytest.approx(loss(x, labels).item(), rel=1e-12)
