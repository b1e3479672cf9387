"""Attention: `scaled_dot_product_attention` of `nn.functional`, and what `MultiheadAttention` shares with it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...ops.elementwise import logical_and, logical_not, where
from ...ops.reductions import any as any_along
from ...ops.reductions import softmax
from ...ops.shapes import repeat
from ..checks import as_operand, broadcasts, is_recorded
from .dropout import dropout

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    generator: np.random.Generator | None = None,
) -> Any:
    """Means of values, weighted by how well their keys fit the queries: softmax(q·kᵀ/√E + mask)·v.

    Parameters
    ----------
    query : array_like
        Shape (…, L, E): L queries.
    key, value : array_like
        Shapes (…, S, E) and (…, S, V): S keys and their values.
    attn_mask : array_like, optional
        A shape that broadcasts to (…, L, S). Bools: True where a query may look; numbers: added to the scores.
    dropout_p : float
        Probability with which a weight is set to 0, in evaluation too: give 0 there.
    is_causal : bool
        Query i looks at the keys up to i alone; instead of a mask.
    scale : float, optional
        In the place of 1/√E.
    enable_gqa : bool
        The third axis from the end counts heads; each head of key and value serves several of the query.
    generator : numpy.random.Generator, optional
        For the dropout.

    Returns
    -------
    Tensor
        Shape (…, L, V). A query that may look nowhere gets zeros, with gradient 0. With weights P and gradient g of the
        result: ∂L/∂v = Pᵀ·g, and the scores' gradient is P·(g·vᵀ − Σ P·(g·vᵀ)).

    Notes
    -----
    Vaswani et al., 2017, "Attention is all you need".

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> x, v = tg.tensor([[1.0], [1.0]]), tg.tensor([[2.0], [4.0]])
    >>> nn.functional.scaled_dot_product_attention(x, x, v)
    tensor([[3.],
            [3.]])
    >>> nn.functional.scaled_dot_product_attention(x, x, v, is_causal=True)
    tensor([[2.],
            [3.]])
    """
    query, key, value = as_operand(query), as_operand(key), as_operand(value)
    _check(query, key, value, enable_gqa)
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = repeat(key, times, axis=-3), repeat(value, times, axis=-3)
    if is_causal:
        if attn_mask is not None:
            raise ValueError("scaled_dot_product_attention: give attn_mask or is_causal=True, not both")
        attn_mask = causal(query.shape[-2], key.shape[-2])
    return attend(query, key, value, attn_mask, dropout_p, scale, generator)[0]


def attend(
    query: Any, key: Any, value: Any, mask: Any, dropout_p: float, scale: float | None, generator: Any
) -> tuple[Any, Any]:
    """The weighted means, and the weights as they were applied."""
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query * scale) @ key.swapaxes(-1, -2)
    weights = softmax(scores, axis=-1) if mask is None else _masked_softmax(scores, mask)
    weights = dropout(weights, dropout_p, generator=generator)
    return weights @ value, weights


def _masked_softmax(scores: Any, mask: Any) -> Any:
    """The softmax over what a mask leaves, and zeros where it leaves nothing."""
    mask = as_operand(mask)
    if not broadcasts(mask.shape, scores.shape):
        raise ValueError(
            f"attention: the mask must broadcast to {scores.shape}, (…, queries, keys); it is {mask.shape}"
        )
    if mask.dtype.kind not in "bf":
        raise TypeError(f"attention: a mask holds bools or floating-point numbers, not {mask.dtype}; convert it")
    allowed = mask if mask.dtype.kind == "b" else mask > -math.inf
    some = any_along(allowed, axis=-1, keepdims=True)
    complete = not is_recorded(some) and bool(np.all(some))
    if mask.dtype.kind == "b":
        scores = where(allowed if complete else allowed | logical_not(some), scores, -math.inf)
    else:
        scores = scores + (mask if complete else where(some, mask, 0)).astype(scores.dtype)
    weights = softmax(scores, axis=-1)
    return weights if complete else where(some, weights, 0)


def causal(queries: int, keys: int) -> Any:
    """The mask with which query i looks at the keys up to i."""
    return np.tri(queries, keys, dtype=bool)


def merged(first: Any, second: Any) -> Any:
    """One mask of two, each None, bools (True where a query may look) or numbers to add."""
    if first is None or second is None:
        return second if first is None else first
    if first.dtype.kind == second.dtype.kind == "b":
        return logical_and(first, second)
    first, second = (where(mask, 0.0, -math.inf) if mask.dtype.kind == "b" else mask for mask in (first, second))
    return first + second


def _check(query: Any, key: Any, value: Any, grouped: bool) -> None:
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if (
        min(query.ndim, key.ndim, value.ndim) < 2
        or query.shape[-1] != key.shape[-1]
        or key.shape[-2] != value.shape[-2]
    ):
        raise ValueError(
            f"scaled_dot_product_attention: query is (…, L, E), key (…, S, E) and value (…, S, V), not {shapes}"
        )
    if grouped and (
        min(query.ndim, key.ndim, value.ndim) < 3
        or key.shape[-3] != value.shape[-3]
        or not key.shape[-3]
        or query.shape[-3] % key.shape[-3]
    ):
        raise ValueError(
            f"scaled_dot_product_attention: the heads of key and value, equal in number, must divide those of query "
            f"on the third axis from the end; given {shapes}"
        )
