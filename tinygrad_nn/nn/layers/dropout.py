"""Layers that act in training only, by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import functional as F
from ..checks import check_probability
from ..function_layer import FunctionLayer

if TYPE_CHECKING:
    import numpy as np

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d"]


class Dropout(FunctionLayer, function=F.dropout):
    """Each element set to 0 with probability `p` in training, the others scaled by 1/(1 − p); in evaluation, nothing.

    Parameters
    ----------
    p : float
        Probability of 0, in [0, 1].
    inplace : bool
        Taken for PyTorch's sake; the result is a new Tensor all the same.
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

    _unshown = ("inplace", "generator")

    def __init__(self, p: float = 0.5, inplace: bool = False, generator: np.random.Generator | None = None) -> None:
        super().__init__()
        check_probability(p)
        if not isinstance(inplace, bool):
            raise TypeError(f"{type(self).__name__}: inplace is a bool, not {inplace!r}; give generator= by name")
        self.p = p
        self.inplace = inplace
        self.generator = generator

    def forward(self, x: Any) -> Any:
        """In training, x with elements or channels dropped; else x."""
        return self._function(x, self.p, self.training, generator=self.generator)


class Dropout1d(Dropout, function=F.dropout1d):
    """Whole channels of inputs of shape (N, C, L) or (C, L) set to 0 in training; see `Dropout`.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.Dropout1d(0.5, generator=np.random.default_rng(0))(tg.ones((1, 4, 2)))[0, :, 0]
    tensor([2., 2., 2., 0.])
    """


class Dropout2d(Dropout, function=F.dropout2d):
    """Whole channels of pictures of shape (N, C, H, W) set to 0 in training; see `Dropout`.

    Notes
    -----
    Tompson, Goroshin, Jain, LeCun and Bregler, 2015, "Efficient object localization using convolutional networks".

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.Dropout2d(0.5)(tg.ones((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """


class AlphaDropout(Dropout, function=F.alpha_dropout):
    """Dropout for networks of `SELU`s, which keeps mean 0 and variance 1; see `nn.functional.alpha_dropout`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.AlphaDropout(0.1)(tg.zeros((3, 4))).shape
    (3, 4)
    """
