"""Networks: modules, layers, activations and losses, with the names, shapes and `state_dict` keys of PyTorch."""

from ..core.moved import publish
from . import container, functional, init, layers, utils
from .container import *  # noqa: F403
from .layers.activation import *  # noqa: F403
from .layers.attention import *  # noqa: F403
from .layers.convolution import *  # noqa: F403
from .layers.dropout import *  # noqa: F403
from .layers.embedding import *  # noqa: F403
from .layers.linear import *  # noqa: F403
from .layers.loss_classification import *  # noqa: F403
from .layers.loss_embedding import *  # noqa: F403
from .layers.loss_regression import *  # noqa: F403
from .layers.normalization import *  # noqa: F403
from .layers.padding import *  # noqa: F403
from .layers.pooling import *  # noqa: F403
from .layers.recurrent import *  # noqa: F403
from .layers.recurrent_cell import *  # noqa: F403
from .module import Module, Parameter

__all__ = ["Module", "Parameter", "functional", "init", "utils"]
__all__ += container.__all__
__all__ += layers.activation.__all__
__all__ += layers.attention.__all__
__all__ += layers.convolution.__all__
__all__ += layers.dropout.__all__
__all__ += layers.embedding.__all__
__all__ += layers.linear.__all__
__all__ += layers.loss_classification.__all__
__all__ += layers.loss_embedding.__all__
__all__ += layers.loss_regression.__all__
__all__ += layers.normalization.__all__
__all__ += layers.padding.__all__
__all__ += layers.pooling.__all__
__all__ += layers.recurrent.__all__
__all__ += layers.recurrent_cell.__all__

publish(globals())
