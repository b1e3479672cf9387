"""What an ordinary call checks about values, compiled code checks too; and no batch decides what is recorded."""

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.nn import functional as F

T = tg.tensor
SCORES = np.array([[0.1, 0.2, 0.3], [0.4, 0.1, 0.2], [0.3, 0.3, 0.9]])
LABELS, TOO_LARGE, NEGATIVE, IGNORED = (np.array(x) for x in ([0, 1, 2], [0, 1, 3], [0, -1, 2], [-100] * 3))
SIGNS, ZEROS = np.array([1.0, -1.0, 1.0]), np.array([0.0, 1.0, 1.0])
ROW = SCORES[0]

#: Name: function, arguments of a good call, of a bad one.
CHECKED = {
    "one_hot": (lambda y: F.one_hot(y, 3), [LABELS], [TOO_LARGE]),
    "one_hot, negative": (lambda y: F.one_hot(y, 3), [LABELS], [NEGATIVE]),
    "tg.one_hot": (lambda y: tg.one_hot(y, 3), [LABELS], [TOO_LARGE]),
    "soft_margin": (F.soft_margin_loss, [ROW, SIGNS], [ROW, ZEROS]),
    "hinge_embedding": (F.hinge_embedding_loss, [ROW, SIGNS], [ROW, ZEROS]),
    "cosine_embedding": (F.cosine_embedding_loss, [SCORES, SCORES + 1, SIGNS], [SCORES, SCORES + 1, ZEROS]),
    "margin_ranking": (F.margin_ranking_loss, [ROW, ROW + 1, SIGNS], [ROW, ROW + 1, ZEROS]),
    "gaussian_nll": (F.gaussian_nll_loss, [ROW, SIGNS, ROW], [ROW, SIGNS, -ROW]),
    "cross_entropy": (F.cross_entropy, [SCORES, LABELS], [SCORES, TOO_LARGE]),
    "cross_entropy, all ignored": (F.cross_entropy, [SCORES, LABELS], [SCORES, IGNORED]),
    "nll, all ignored": (F.nll_loss, [SCORES, LABELS], [SCORES, IGNORED]),
    "multi_margin": (F.multi_margin_loss, [SCORES, LABELS], [SCORES, TOO_LARGE]),
    "binary_cross_entropy": (F.binary_cross_entropy, [ROW, ZEROS], [ROW + 1, ZEROS]),
    "embedding": (F.embedding, [LABELS, SCORES], [TOO_LARGE, SCORES]),
    "index": (lambda x, i: x[i], [ROW, LABELS], [ROW, TOO_LARGE]),
    "take_along_axis": (lambda x, i: tg.take_along_axis(x, i, axis=0), [ROW, LABELS], [ROW, TOO_LARGE]),
    "integer power": (lambda x, i: (x * 10).astype(int) ** i, [ROW, LABELS], [ROW, NEGATIVE]),
}


@pytest.mark.parametrize("kind", [T, np.array], ids=["tensors", "arrays"])
@pytest.mark.parametrize("name", CHECKED)
def test_a_bad_value_in_a_later_call(name, kind):
    function, good, bad = CHECKED[name]
    good, bad = [kind(x) for x in good], [kind(x) for x in bad]
    with pytest.raises((ValueError, IndexError)) as eager:
        function(*bad)
    compiled = tg.compile(lambda *args: function(*args))
    expected = function(*good)
    for _ in range(2):
        np.testing.assert_allclose(np.asarray(compiled(*good)), np.asarray(expected), rtol=1e-12)
    with pytest.raises(eager.type) as later:
        compiled(*bad)
    if "all ignored" in name or "targets" in str(eager.value) or "variance" in str(eager.value):
        assert str(later.value) == str(eager.value)


def test_a_gradient_passes_through_what_is_checked():
    loss = lambda x, v: F.gaussian_nll_loss(x, SIGNS, v)  # noqa: E731
    both = tg.grad(loss, argnums=(0, 1))
    for x, y in zip(tg.compile(both)(ROW, ROW), both(ROW, ROW), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)


BATCHES = [np.array(y) for y in ([0, 1, 2, 0], [0, 1, 2, -100], [-100, -100, 1, 2])]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("settings", [{}, {"weight": np.array([1.0, 2.0, 0.5])}, {"label_smoothing": 0.1}], ids=str)
def test_no_batch_decides_how_labels_are_taken(order, reduction, settings):
    x = np.concatenate([SCORES, SCORES[:1] + 1])
    loss = lambda x, y: F.cross_entropy(x, y, reduction=reduction, **settings)  # noqa: E731
    value = lambda x, y: tg.sum(loss(x, y))  # noqa: E731
    compiled, slope = tg.compile(loss), tg.compile(tg.grad(value))
    for i in order:
        np.testing.assert_allclose(np.asarray(compiled(x, BATCHES[i])), np.asarray(loss(x, BATCHES[i])), rtol=1e-12)
        np.testing.assert_allclose(slope(x, BATCHES[i]), tg.grad(value)(x, BATCHES[i]), rtol=1e-9, atol=1e-12)
    assert len(compiled._entries) == 1


def test_padding_that_comes_later():
    table = T(SCORES)
    f = tg.compile(lambda i: tg.sum(F.embedding(i, table, padding_idx=1) * table))
    for rows in ([0, 2, 2], [0, 1, 2]):
        assert f(T(rows)).item() == pytest.approx(tg.sum(F.embedding(T(rows), table, padding_idx=1) * table).item())


# --- what NumPy's user writes ----------------------------------------------------------------------------------------

MASK = np.array([True, False, True])

NUMPY = {
    "zeros_like": lambda x: np.zeros_like(x) + x,
    "zeros_like alone": np.zeros_like,
    "ones_like": lambda x: np.ones_like(x) * x,
    "full_like": lambda x: np.full_like(x, 3.0) - x,
    "mask": lambda x: x[MASK],
    "mask of columns": lambda x: x[:, MASK],
    "mask of elements": lambda x: x[np.eye(3, dtype=bool)],
    "mask and numbers": lambda x: x[MASK, [0, 1]],
    "embedding of an array": lambda x: F.embedding(np.array([0, 1, 2]), x, padding_idx=0),
    "stack": lambda x: np.stack([x[0], x[1]]),
    "where": lambda x: np.where(x > 0.2, x, 0),
}


@pytest.mark.parametrize("name", NUMPY)
def test_numpys_ways_on_array_arguments(name):
    function = NUMPY[name]
    compiled = tg.compile(function)
    for x in (SCORES, SCORES + 1):
        expected, found = function(x), compiled(x)
        assert type(found) is type(expected)
        np.testing.assert_array_equal(found, expected)


def test_a_mask_that_changes_is_noticed():
    mask = MASK.copy()
    of_tensor = T(MASK)
    f, g = tg.compile(lambda x: x[mask]), tg.compile(lambda x: x[of_tensor])
    assert f(ROW).shape == g(T(ROW)).shape == (2,)
    mask[1] = True
    of_tensor[1] = True
    np.testing.assert_array_equal(f(ROW), ROW)
    np.testing.assert_array_equal(g(T(ROW)).numpy(), ROW)


@pytest.mark.parametrize(
    "function", [np.asarray, np.array, lambda x: np.array([x[0], x[1]]), lambda x: np.array([x[0, 0]])]
)
def test_what_makes_an_array_of_arrays_is_refused_in_words(function):
    with pytest.raises(TypeError, match=r"np.array or np.asarray was given.*\n  at .*\n.*np.stack"):
        tg.compile(lambda x: function(x))(SCORES)


@pytest.mark.parametrize("function", [F.one_hot, tg.one_hot])
def test_rows_of_unknown_length_are_refused_in_words(function):
    with pytest.raises(TypeError, match="the shape depends on the largest label"):
        tg.compile(lambda y: function(y))(LABELS)
