"""A table whose rows are learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from .. import functional as F
from .. import init
from ..checks import check_sizes
from ..functional.embedding import check_settings, row_number
from ..module import Module, Parameter

if TYPE_CHECKING:
    from ...tensor.tensor import ArrayLike

__all__ = ["Embedding"]


class Embedding(Module):
    """Rows of a learned table by number: from integers of shape (…) to (…, embedding_dim).

    Parameters
    ----------
    num_embeddings : int
        How many rows: the size of a vocabulary.
    embedding_dim : int
        Their length.
    padding_idx : int, optional
        A row that starts at zero and is not learned; negative ones count from the end.
    max_norm, norm_type, scale_grad_by_freq, sparse
        PyTorch's, at their defaults only: rows are not rescaled, and gradients are dense.
    dtype : dtype
    generator : numpy.random.Generator, optional
        For the starting values; the default one (`tinygrad_nn.manual_seed`) unless given.

    Attributes
    ----------
    weight : Parameter
        The table, shape (num_embeddings, embedding_dim); starts standard normal.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> words = nn.Embedding(10, 3, padding_idx=0)
    >>> words(tg.tensor([[1, 2, 0], [4, 3, 0]])).shape
    (2, 3, 3)
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        dtype: npt.DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
        *,
        _weight: Parameter | None = None,
    ) -> None:
        super().__init__()
        check_sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        check_settings("Embedding", max_norm, scale_grad_by_freq, sparse)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else row_number("Embedding", padding_idx, num_embeddings)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is not None:
            self.weight = _weight
            return
        self.weight = Parameter(np.empty((num_embeddings, embedding_dim), dtype))
        init.normal_(self.weight, generator=generator)
        if self.padding_idx is not None:
            table = self.weight.numpy().copy()
            table[self.padding_idx] = 0
            self.weight._assign(table)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: ArrayLike,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """A table of known rows, which is not learned unless ``freeze=False``.

        Parameters
        ----------
        embeddings : array_like
            Floating-point numbers of shape (rows, width); copied.
        freeze : bool
        padding_idx : int, optional
            A row that is not learned; here it keeps its values.
        max_norm, norm_type, scale_grad_by_freq, sparse
            See `Embedding`.

        Examples
        --------
        >>> from tinygrad_nn import nn
        >>> nn.Embedding.from_pretrained([[1.0, 2.0], [3.0, 4.0]])([1])
        tensor([[3., 4.]], dtype=float32)
        """
        parameter = Parameter(embeddings, requires_grad=False)
        if parameter.ndim != 2 or parameter.dtype.kind != "f":
            raise ValueError(
                "Embedding.from_pretrained: a table of floating-point numbers, of shape (rows, width), is needed, "
                f"not {parameter.dtype} of shape {parameter.shape}"
            )
        rows, width = parameter.shape
        parameter.requires_grad_(not freeze)
        # Given to the constructor, so that no starting values are drawn: that would change what is drawn next.
        return cls(rows, width, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight=parameter)

    def forward(self, input: Any) -> Any:
        """The rows."""
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """The settings."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
