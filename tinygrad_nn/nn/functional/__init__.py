"""Layers, activations and losses as functions, under PyTorch's names. They take arrays and Tensors."""

from __future__ import annotations

from ...core.moved import publish

# A function that has the name of its file takes the file's place.
from . import (
    activation,
    attention,
    convolution,
    loss_classification,
    loss_embedding,
    loss_regression,
    normalization,
    padding,
    pooling,
)
from . import dropout as dropouts
from . import embedding as embeddings
from . import linear as linears
from .activation import *  # noqa: F403
from .attention import *  # noqa: F403
from .convolution import *  # noqa: F403
from .dropout import *  # noqa: F403
from .embedding import *  # noqa: F403
from .linear import *  # noqa: F403
from .loss_classification import *  # noqa: F403
from .loss_embedding import *  # noqa: F403
from .loss_regression import *  # noqa: F403
from .normalization import *  # noqa: F403
from .padding import *  # noqa: F403
from .pooling import *  # noqa: F403

__all__ = []
__all__ += activation.__all__
__all__ += attention.__all__
__all__ += convolution.__all__
__all__ += dropouts.__all__
__all__ += embeddings.__all__
__all__ += linears.__all__
__all__ += loss_classification.__all__
__all__ += loss_embedding.__all__
__all__ += loss_regression.__all__
__all__ += normalization.__all__
__all__ += padding.__all__
__all__ += pooling.__all__

publish(globals())
