"""Cases of `tests.nn.cases`: embedding and attention."""

from functools import partial

import numpy as np

from tests.nn.cases import Case

#: Queries 0 and 1 of 4 keys.
MASK = np.array([[False, True, False, False], [True, False, False, True]])
PADDING = np.array([[False, False, False, True], [False, True, False, False]])
ADDED = np.array([[0.5, -1.0, 0.0, 2.0], [0.0, float("-inf"), 1.0, -0.5]])


def attention(nn, **settings):
    return nn.MultiheadAttention(4, 2, **settings)


def same(module, x, **settings):
    return module(x, x, x, **settings)


def sdpa(nn):
    return nn.functional.scaled_dot_product_attention


CASES = {
    "embedding": Case(lambda nn: nn.Embedding(5, 3), inputs=(np.array([[1, 0, 4], [1, 1, 2]]),)),
    "embedding_padding": Case(lambda nn: nn.Embedding(5, 3, padding_idx=-4), inputs=(np.array([1, 0, 4, 1, 2]),)),
    "embedding_linear": Case(
        lambda nn: nn.Sequential(
            nn.Embedding(4, 2), nn.Linear(2, 2)
        ),
        inputs=(np.array([3, 0, 3]),),
    ),
    "attention_self": Case(attention, inputs=((3, 2, 4),), call=same),
    "attention_batch_first": Case(
        partial(attention, batch_first=True), inputs=((2, 2, 4), (2, 4, 4), (2, 4, 4)), dtype="float64"
    ),
    "attention_sizes": Case(
        partial(attention, kdim=3, vdim=5, bias=False), inputs=((2, 2, 4), (4, 2, 3), (4, 2, 5)),
        call=lambda m, q, k, v: m(q, k, v, average_attn_weights=False),
    ),
    "attention_unbatched": Case(attention, inputs=((2, 4), (4, 4), (4, 4))),
    "attention_masks": Case(
        partial(attention, batch_first=True), inputs=((2, 2, 4), (2, 4, 4), MASK, PADDING),
        call=lambda m, q, k, mask, padding: m(q, k, k, key_padding_mask=padding, attn_mask=mask),
    ),
    "attention_added_mask": Case(
        attention, inputs=((2, 1, 4), (4, 1, 4), ADDED),
        call=lambda m, q, k, mask: m(q, k, k, attn_mask=mask, need_weights=False),
    ),
    "attention_mask_for_each_head": Case(
        partial(attention, batch_first=True), inputs=((2, 2, 4), (2, 4, 4), np.stack([MASK, ~MASK, MASK, MASK])),
        call=lambda m, q, k, mask: m(q, k, k, attn_mask=mask),
    ),
    "sdpa": Case(sdpa, inputs=((2, 3, 4), (2, 5, 4), (2, 5, 6))),
    "sdpa_causal": Case(
        sdpa, inputs=((2, 3, 4), (2, 5, 4), (2, 5, 6)), call=lambda f, q, k, v: f(q, k, v, is_causal=True, scale=0.3)
    ),
    "sdpa_mask": Case(
        sdpa, inputs=((1, 2, 3), (1, 4, 3), (1, 4, 3), ~MASK), call=lambda f, q, k, v, mask: f(q, k, v, attn_mask=mask)
    ),
    "sdpa_nothing_to_see": Case(
        sdpa, inputs=((1, 2, 3), (1, 4, 3), (1, 4, 3), np.array([[True] * 4, [False] * 4])),
        call=lambda f, q, k, v, mask: f(q, k, v, attn_mask=mask),
    ),
    "sdpa_learned_mask": Case(
        sdpa, inputs=((2, 2, 3), (2, 4, 3), (2, 4, 3), (2, 4)), call=lambda f, q, k, v, mask: f(q, k, v, attn_mask=mask)
    ),
    "sdpa_groups": Case(
        sdpa, inputs=((2, 4, 3, 2), (2, 2, 5, 2), (2, 2, 5, 2)), call=lambda f, q, k, v: f(q, k, v, enable_gqa=True)
    ),
}  # fmt: skip
