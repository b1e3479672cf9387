"""Attention against its definition in loops, with all masks, and what is refused."""

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


def looped(query, key, value, allowed=None, added=None, scale=None):
    """For each query the mean of the values, weighted by the exponentials of its scores."""
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    out = np.zeros((*query.shape[:-1], value.shape[-1]))
    weights = np.zeros((*query.shape[:-1], key.shape[-2]))
    for place in np.ndindex(*query.shape[:-1]):
        *batch, _ = place
        scores = [scale * (query[place] * key[(*batch, j)]).sum() for j in range(key.shape[-2])]
        scores = [s + (0 if added is None else added[(*place, j)]) for j, s in enumerate(scores)]
        shares = [math.exp(s) if allowed is None or allowed[(*place, j)] else 0.0 for j, s in enumerate(scores)]
        if sum(shares):
            weights[place] = np.array(shares) / sum(shares)
        out[place] = weights[place] @ value[tuple(batch)]
    return out, weights


@given(
    batch=st.sampled_from([(), (2,), (2, 3)]),
    sizes=st.tuples(*(st.integers(1, 4),) * 4),
    mask=st.sampled_from(["none", "bool", "added", "causal", "rows left out"]),
    scale=st.sampled_from([None, 0.3]),
    seed=st.integers(0, 5),
)
def test_attention_is_its_definition(batch, sizes, mask, scale, seed):
    queries, keys, width, out_width = sizes
    q, k, v = (
        drawn(*batch, *s, seed=seed + i) for i, s in enumerate([(queries, width), (keys, width), (keys, out_width)])
    )
    full = (*batch, queries, keys)
    given_mask, allowed, added = None, None, None
    if mask == "bool":
        given_mask = allowed = np.broadcast_to(drawn(queries, keys, seed=9) > -0.5, full)
    elif mask == "added":
        given_mask = added = np.broadcast_to(drawn(queries, keys, seed=9), full)
    elif mask == "causal":
        allowed = np.broadcast_to(np.tri(queries, keys) > 0, full)
    elif mask == "rows left out":
        given_mask = np.where(np.arange(queries)[:, None] == 0, -np.inf, np.zeros((queries, keys)))
        allowed = np.broadcast_to(given_mask == 0, full)
    ours = F.scaled_dot_product_attention(tg.tensor(q), k, v, given_mask, is_causal=mask == "causal", scale=scale)
    wanted, _ = looped(q, k, v, allowed, added, scale)
    np.testing.assert_allclose(ours.numpy(), wanted, rtol=1e-9, atol=1e-12)


NOWHERE = np.array([[True, False, True], [False, False, False]])


@pytest.mark.parametrize(
    "mask", [None, NOWHERE, np.where(NOWHERE, 0.5, -np.inf), np.array([[0.5, -1, 2], [0, 1.0, 1]])], ids=range(4)
)
def test_gradients_to_second_order(mask):
    q, k, v = drawn(2, 2), drawn(3, 2, seed=1), drawn(3, 2, seed=2)
    check_gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, mask), q, k, v)
    if mask is not None and np.isfinite(mask).all() and mask.dtype.kind == "f":
        check_gradients(lambda mask: F.scaled_dot_product_attention(q, k, v, mask), mask)


def test_a_query_that_may_look_nowhere_gets_zeros_and_a_zero_gradient():
    tensors = [tg.tensor(drawn(2, 3, seed=i), requires_grad=True) for i in range(3)]
    for mask in (np.array([[False, False], [True, False]]), np.array([[-np.inf, -np.inf], [0, -np.inf]])):
        out = F.scaled_dot_product_attention(*tensors, mask)
        assert out[0].tolist() == [0, 0, 0]
        out.sum().backward()
        for t in tensors:
            assert np.isfinite(t.grad.numpy()).all()
            t.grad = None


def test_large_scores_do_not_overflow():
    x = np.array([[1e4], [-1e4]], np.float32)
    out = F.scaled_dot_product_attention(x, x, np.array([[1.0], [2.0]], np.float32))
    assert out.tolist() == [[1], [2]]
    assert out.dtype == np.float32


def test_float_masks_keep_the_dtype_of_the_scores():
    x = tg.tensor(drawn(2, 3), dtype=tg.float32)
    assert F.scaled_dot_product_attention(x, x, x, np.zeros((2, 2))).dtype == np.float32


def test_heads_that_share_keys():
    q, k, v = drawn(2, 6, 3, 4), drawn(2, 2, 5, 4, seed=1), drawn(2, 2, 5, 3, seed=2)
    ours = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    wanted, _ = looped(q, *(np.stack([x[:, i // 3] for i in range(6)], 1) for x in (k, v)))
    np.testing.assert_allclose(ours, wanted, rtol=1e-9)


def test_dropout_of_weights():
    q = tg.zeros((400, 1))
    out = F.scaled_dot_product_attention(
        q, tg.zeros((5, 1)), tg.ones((5, 1)), dropout_p=0.5, generator=np.random.default_rng(0)
    )
    counts = out.numpy().round(6)
    assert set(np.unique(counts)) <= {0.0, 0.4, 0.8, 1.2, 1.6, 2.0}
    assert abs(counts.mean() - 1) < 0.05


# --- MultiheadAttention ----------------------------------------------------------------------------------------------


def by_heads(layer, q, k, v, allowed=None, added=None):
    """The layer's result and weights, from (N, L, features), head by head."""
    size, heads = layer.embed_dim, layer.num_heads
    width = size // heads
    if layer.in_proj_weight is not None:
        weights = np.split(layer.in_proj_weight.numpy(), 3)
    else:
        weights = [p.numpy() for p in (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)]
    biases = [0, 0, 0] if layer.in_proj_bias is None else np.split(layer.in_proj_bias.numpy(), 3)
    q, k, v = (x @ w.T + b for x, w, b in zip((q, k, v), weights, biases))
    parts = [np.s_[..., i * width : (i + 1) * width] for i in range(heads)]
    results = [looped(q[part], k[part], v[part], allowed, added) for part in parts]
    out = np.concatenate([r[0] for r in results], -1) @ layer.out_proj.weight.numpy().T
    return out + (0 if layer.out_proj.bias is None else layer.out_proj.bias.numpy()), np.stack(
        [r[1] for r in results], 1
    )


@given(
    heads=st.sampled_from([1, 2, 4]),
    bias=st.booleans(),
    others=st.booleans(),
    first=st.booleans(),
    masks=st.sampled_from(["none", "places", "padding", "both", "added", "causal"]),
    seed=st.integers(0, 5),
)
def test_multihead_attention_is_its_definition(heads, bias, others, first, masks, seed):
    rng = np.random.default_rng(seed)
    sizes = {"kdim": 3, "vdim": 5} if others else {}
    layer = nn.MultiheadAttention(4, heads, bias=bias, batch_first=first, dtype=np.float64, generator=rng, **sizes)
    for p in layer.parameters():
        nn.init.normal_(p, generator=rng)
    n, queries, keys = 2, 3, 4
    q, k, v = drawn(n, queries, 4), drawn(n, keys, layer.kdim, seed=1), drawn(n, keys, layer.vdim, seed=2)
    full = (n, queries, keys)
    allowed, added, given = np.ones(full, bool), None, {}
    if masks in ("places", "both"):
        given["attn_mask"] = drawn(queries, keys, seed=3) > 0.8
        allowed = allowed & ~given["attn_mask"]
    if masks in ("padding", "both"):
        given["key_padding_mask"] = np.array([[False, False, True, True], [False, True, False, False]])
        allowed = allowed & ~given["key_padding_mask"][:, None]
    if masks == "added":
        given["attn_mask"] = drawn(queries, keys, seed=3)
        given["key_padding_mask"] = drawn(n, keys, seed=4)
        added = given["attn_mask"] + given["key_padding_mask"][:, None]
    if masks == "causal":
        given["is_causal"] = True
        allowed = np.broadcast_to(np.tri(queries, keys) > 0, full)
    wanted, weights = by_heads(layer, q, k, v, allowed, added)
    inputs = [x if first else x.swapaxes(0, 1) for x in (q, k, v)]
    out, mean = layer(*inputs, **given)
    np.testing.assert_allclose((out if first else out.swapaxes(0, 1)).numpy(), wanted, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(mean.numpy(), weights.mean(1), rtol=1e-8, atol=1e-12)
    out, each = layer(*inputs, average_attn_weights=False, **given)
    np.testing.assert_allclose(each.numpy(), weights, rtol=1e-8, atol=1e-12)
    assert layer(*inputs, need_weights=False, **given)[1] is None


def test_without_a_batch():
    layer = nn.MultiheadAttention(4, 2, dtype=np.float64)
    q, k = drawn(3, 4), drawn(5, 4, seed=1)
    out, weights = layer(q, k, k, key_padding_mask=np.array([False] * 4 + [True]))
    batched, shares = layer(q[:, None], k[:, None], k[:, None], key_padding_mask=np.array([[False] * 4 + [True]]))
    np.testing.assert_allclose(out.numpy(), batched[:, 0].numpy(), rtol=1e-12)
    np.testing.assert_allclose(weights.numpy(), shares[0].numpy(), rtol=1e-12)
    assert weights.shape == (3, 5)


def test_gradients_of_the_layer():
    layer = nn.MultiheadAttention(2, 2, dtype=np.float64, generator=np.random.default_rng(0))
    check_gradients(lambda x: layer(x, x, x)[0], drawn(3, 1, 2))
    x = tg.tensor(drawn(3, 1, 2))
    layer(x, x, x)[0].sum().backward()
    same = [p.grad.numpy() for p in layer.parameters()]
    layer.zero_grad()
    layer(x, x.copy(), x.copy())[0].sum().backward()  # projected one by one
    for one, p in zip(same, layer.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), one, rtol=1e-10, atol=1e-14)


def test_how_the_layer_starts_and_what_it_keeps():
    layer = nn.MultiheadAttention(8, 2, generator=np.random.default_rng(0))
    assert list(layer.state_dict()) == ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
    assert not layer.in_proj_bias.numpy().any()
    assert not layer.out_proj.bias.numpy().any()
    assert np.abs(layer.in_proj_weight.numpy()).max() <= math.sqrt(6 / (24 + 8))
    other = nn.MultiheadAttention(8, 2, kdim=3, bias=False)
    assert list(other.state_dict()) == ["q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"]
    assert other.k_proj_weight.shape == (8, 3)
    assert other.v_proj_weight.shape == (8, 8)
    assert "kdim=3" in repr(other)


def test_dropout_only_in_training():
    layer = nn.MultiheadAttention(4, 2, dropout=0.5, generator=np.random.default_rng(0))
    x = drawn(6, 1, 4).astype(np.float32)
    assert (layer(x, x, x)[1].numpy() == 0).any()
    layer.eval()
    np.testing.assert_array_equal(layer(x, x, x)[0].numpy(), layer(x, x, x)[0].numpy())


x = np.ones((3, 2, 4), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: nn.MultiheadAttention(4, 3), ValueError, "does not divide"),
        (lambda m: nn.MultiheadAttention(4, 2, add_bias_kv=True), ValueError, "not supported"),
        (lambda m: nn.MultiheadAttention(4, 2, dropout=2.0), ValueError, r"\[0, 1\]"),
        (lambda m: m(x, x[..., :3], x), ValueError, r"\(L, N, 4\), \(S, N, 4\), \(S, N, 4\)"),
        (lambda m: m(x, x[:2], x), ValueError, "must have shapes"),
        (lambda m: m(x, x[:, :1], x[:, :1]), ValueError, "must have shapes"),
        (lambda m: m(x, x, x, attn_mask=np.ones((2, 2), bool)), ValueError, r"attn_mask must have shape \(3, 3\)"),
        (lambda m: m(x, x, x, key_padding_mask=np.ones((3, 2), bool)), ValueError, r"must have shape \(2, 3\)"),
        (lambda m: m(x, x, x, attn_mask=np.ones((3, 3), int)), TypeError, "bools or floating-point"),
        (lambda m: F.scaled_dot_product_attention(x, x[..., :2], x), ValueError, "query is"),
        (lambda m: F.scaled_dot_product_attention(x, x, x, np.ones((3, 2), bool)), ValueError, "broadcast to"),
        (
            lambda m: F.scaled_dot_product_attention(x, x, x, np.ones((2, 2), bool), is_causal=True),
            ValueError,
            "not both",
        ),
        (lambda m: F.scaled_dot_product_attention(x, x[:2], x[:2], enable_gqa=True), ValueError, "must divide"),
    ],
)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(nn.MultiheadAttention(4, 2))


def test_compiled_masks_of_each_call():
    attend = tg.compile(lambda x, mask: F.scaled_dot_product_attention(x, x, x, mask))
    x = drawn(3, 2)
    for mask in (np.ones((3, 3), bool), np.tri(3) > 0, np.tri(3, k=-1) > 0):
        np.testing.assert_allclose(np.asarray(attend(x, mask)), looped(x, x, x, mask)[0], rtol=1e-9, atol=1e-12)
