"""Layers that act in training only, by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import functional as F
from ._losses import check_probability
from .module import Module

if TYPE_CHECKING:
    import numpy as np


class Dropout(Module):
    """Each element set to 0 with probability `p` in training, the others scaled by 1/(1 − p); in evaluation, nothing.

    Parameters
    ----------
    p : float
        Probability of 0, in [0, 1].
    generator : numpy.random.Generator, optional
        The default one (`tinygrad_nn.manual_seed`) unless given.

    Notes
    -----
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, 2014. Scaling in training keeps the expected value,
    so that evaluation needs no change.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> layer = nn.Dropout(0.5, generator=np.random.default_rng(0))
    >>> layer(tg.ones(8))
    tensor([2., 2., 2., 0., 0., 0., 0., 0.])
    >>> layer.eval()(tg.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, p: float = 0.5, generator: np.random.Generator | None = None) -> None:
        super().__init__()
        check_probability(p)
        self.p = p
        self.generator = generator

    def forward(self, x: Any) -> Any:
        """In training, x with elements dropped; else x."""
        return F.dropout(x, self.p, self.training, self.generator)

    def extra_repr(self) -> str:
        """The settings."""
        return f"p={self.p}"
