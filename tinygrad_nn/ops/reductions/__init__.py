"""Every reduction under one name: sums, extremes, the softmax family, running sums and products."""

from __future__ import annotations

from . import cumulative, extremes, sums
from . import softmax as exponentials
from .cumulative import *  # noqa: F403
from .extremes import *  # noqa: F403
from .softmax import *  # noqa: F403
from .sums import *  # noqa: F403

__all__ = []
__all__ += cumulative.__all__
__all__ += extremes.__all__
__all__ += exponentials.__all__
__all__ += sums.__all__
