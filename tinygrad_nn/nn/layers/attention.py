"""Attention with learned projections."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...ops.elementwise import logical_not
from ...ops.shapes import reshape, split
from .. import functional as F
from .. import init
from ..checks import as_operand, check_probability, check_sizes
from ..functional.attention import attend, causal, merged
from ..module import Module, Parameter
from .linear import Linear

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention by several heads, each with projections of its own (Vaswani et al., 2017).

    Each of the H heads projects queries, keys and values to `embed_dim`/H features, attends, and the heads' results are
    joined and projected: see `nn.functional.scaled_dot_product_attention`.

    Parameters
    ----------
    embed_dim : int
        Features of queries and results.
    num_heads : int
        H, which divides `embed_dim`.
    dropout : float
        Probability with which a weight is set to 0 in training.
    bias : bool
        Whether the projections have one.
    add_bias_kv, add_zero_attn : bool
        PyTorch's, False only.
    kdim, vdim : int, optional
        Features of keys and values; `embed_dim` unless given.
    batch_first : bool
        Whether inputs and results are (N, L, features) rather than (L, N, features).
    dtype : dtype
    generator : numpy.random.Generator, optional
        For the starting values and the dropout; the default one (`tinygrad_nn.manual_seed`) unless given.

    Attributes
    ----------
    in_proj_weight : Parameter or None
        The projections of queries, keys and values one below the other, shape (3·embed_dim, embed_dim).
    q_proj_weight, k_proj_weight, v_proj_weight : Parameter or None
        Instead, if keys or values have other features: (embed_dim, embed_dim), (embed_dim, kdim), (embed_dim, vdim).
    in_proj_bias : Parameter or None
        Shape (3·embed_dim,); starts at 0.
    out_proj : Linear

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> attention = nn.MultiheadAttention(4, 2, batch_first=True)
    >>> x = tg.ones((3, 5, 4), dtype=tg.float32)
    >>> out, weights = attention(x, x, x)
    >>> out.shape, weights.shape
    ((3, 5, 4), (3, 5, 5))
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        dtype: npt.DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        if add_bias_kv or add_zero_attn:
            raise ValueError("MultiheadAttention: add_bias_kv and add_zero_attn are not supported")
        kdim, vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        check_sizes("MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads, kdim=kdim, vdim=vdim)
        if embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: num_heads={num_heads} does not divide embed_dim={embed_dim}")
        check_probability(dropout, "dropout")
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.kdim = kdim
        self.vdim = vdim
        self.batch_first = batch_first
        self.generator = generator

        def projection(rows: int, columns: int) -> Parameter:
            return init.xavier_uniform_(Parameter(np.empty((rows, columns), dtype)), generator=generator)

        together = kdim == vdim == embed_dim
        self.in_proj_weight = projection(3 * embed_dim, embed_dim) if together else None
        self.q_proj_weight = None if together else projection(embed_dim, embed_dim)
        self.k_proj_weight = None if together else projection(embed_dim, kdim)
        self.v_proj_weight = None if together else projection(embed_dim, vdim)
        self.in_proj_bias = Parameter(np.zeros(3 * embed_dim, dtype)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype, generator)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """What the queries find.

        Parameters
        ----------
        query : array_like
            Shape (L, N, embed_dim), with `batch_first` (N, L, embed_dim), without a batch (L, embed_dim).
        key, value : array_like
            The same with S instead of L, and with `kdim` and `vdim` features.
        key_padding_mask : array_like, optional
            Shape (N, S), without a batch (S,). Bools: True for keys that are ignored; numbers: added to the scores.
        need_weights : bool
            Whether the weights are returned too.
        attn_mask : array_like, optional
            Shape (L, S) or (N·num_heads, L, S). Bools: True where a query may not look; numbers: added to the scores.
        average_attn_weights : bool
            Whether the weights are averaged over the heads.
        is_causal : bool
            Query i looks at the keys up to i alone. As in PyTorch the same is given as `attn_mask`; it may be left out
            here.

        Returns
        -------
        out : Tensor
            Of the shape of `query`. A query that may look nowhere finds zeros.
        weights : Tensor or None
            Shape (N, L, S), or (N, num_heads, L, S) if not averaged; without a batch, without N.
        """
        alone = query is key and key is value
        query, key, value = map(as_operand, (query, key, value))
        batched = query.ndim == 3
        self._check(query, key, value)
        first = self.batch_first or not batched
        if not batched:
            query, key, value = query[None], key[None], value[None]
        batch, length, count = (query.shape[0], query.shape[1], key.shape[1]) if first else (
            query.shape[1], query.shape[0], key.shape[0]
        )  # fmt: skip
        mask = self._mask(key_padding_mask, attn_mask, is_causal, batch, length, count)
        parts = self._projected(query, query if alone else key, query if alone else value)
        q, k, v = (self._heads(x, first) for x in parts)
        p = self.dropout if self.training else 0.0
        out, weights = attend(q, k, v, mask, p, None, self.generator)
        order = (0, 2, 1, 3) if first else (2, 0, 1, 3)
        joined = reshape(out.transpose(order), shape=(*((batch, length) if first else (length, batch)), self.embed_dim))
        out = self.out_proj(joined)
        if need_weights and average_attn_weights:
            weights = weights.mean(axis=1)
        if not batched:
            out, weights = out[0], weights[0]
        return out, (weights if need_weights else None)

    def _check(self, query: Any, key: Any, value: Any) -> None:
        features = (self.embed_dim, self.kdim, self.vdim)
        shapes = query.shape, key.shape, value.shape
        axis = 0 if self.batch_first else 1
        if (
            query.ndim not in (2, 3)
            or query.ndim != key.ndim
            or key.ndim != value.ndim
            or tuple(shape[-1] for shape in shapes) != features
            or key.shape[:-1] != value.shape[:-1]
            or (query.ndim == 3 and query.shape[axis] != key.shape[axis])
        ):
            forms = [f"({'N, L' if self.batch_first else 'L, N'}, {n})" for n in features]
            forms = [forms[0], *(form.replace("L", "S") for form in forms[1:])]
            raise ValueError(
                f"MultiheadAttention: query, key and value must have shapes {', '.join(forms)}, or none of them the "
                f"axis N; they have {', '.join(map(str, shapes))}"
            )

    def _mask(self, key_padding_mask: Any, attn_mask: Any, is_causal: bool, batch: int, length: int, count: int) -> Any:
        """Both masks as one that broadcasts to (N, heads, L, S); bools are True where a query may look."""
        padding = _allowing("key_padding_mask", key_padding_mask)
        if padding is not None:
            if padding.shape not in ((batch, count), (count,) if batch == 1 else ()):
                raise ValueError(
                    f"MultiheadAttention: key_padding_mask must have shape {(batch, count)}, not {padding.shape}"
                )
            padding = reshape(padding, shape=(batch, 1, 1, count))
        places = _allowing("attn_mask", attn_mask)
        if places is None and is_causal:
            places = causal(length, count)
        elif places is not None:
            full = (batch * self.num_heads, length, count)
            if places.shape not in (full, full[1:]):
                raise ValueError(
                    f"MultiheadAttention: attn_mask must have shape {full[1:]} or {full}, not {places.shape}"
                )
            if places.ndim == 3:
                places = reshape(places, shape=(batch, self.num_heads, length, count))
        return merged(places, padding)

    def _projected(self, query: Any, key: Any, value: Any) -> Any:
        """Queries, keys and values of all heads, side by side."""
        size, bias = self.embed_dim, self.in_proj_bias
        if self.in_proj_weight is not None:
            if query is key and key is value:
                return split(F.linear(query, self.in_proj_weight, bias), indices_or_sections=3, axis=-1)
            weights = split(self.in_proj_weight, indices_or_sections=3)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None,) * 3 if bias is None else split(bias, indices_or_sections=(size, 2 * size))
        return [F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases)]

    def _heads(self, x: Any, first: bool) -> Any:
        """From (N, L, E) or (L, N, E) to (N, heads, L, E/heads)."""
        x = reshape(x, shape=(*x.shape[:2], self.num_heads, self.embed_dim // self.num_heads))
        return x.transpose((0, 2, 1, 3) if first else (1, 2, 0, 3))

    def extra_repr(self) -> str:
        """The settings, where they are not the usual ones."""
        others = {"kdim": self.kdim, "vdim": self.vdim}
        words = [f"embed_dim={self.embed_dim}", f"num_heads={self.num_heads}"]
        words += [f"dropout={self.dropout}"] if self.dropout else []
        words += [f"{name}={size}" for name, size in others.items() if size != self.embed_dim]
        words += ["batch_first=True"] if self.batch_first else []
        return ", ".join(words)


def _allowing(name: str, mask: Any) -> Any:
    """A mask whose bools are True where a query may look: the other way round from what is given."""
    if mask is None:
        return None
    mask = as_operand(mask)
    if mask.dtype.kind not in "bf":
        raise TypeError(f"MultiheadAttention: {name} holds bools or floating-point numbers, not {mask.dtype}")
    return logical_not(mask) if mask.dtype.kind == "b" else mask
