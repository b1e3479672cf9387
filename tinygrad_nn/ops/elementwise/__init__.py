"""Every elementwise operation under one name."""

from __future__ import annotations

from . import activation, arithmetic, choice, comparison, exponential, trigonometric
from .activation import *  # noqa: F403
from .arithmetic import *  # noqa: F403
from .choice import *  # noqa: F403
from .comparison import *  # noqa: F403
from .exponential import *  # noqa: F403
from .trigonometric import *  # noqa: F403

__all__ = []
__all__ += activation.__all__
__all__ += arithmetic.__all__
__all__ += choice.__all__
__all__ += comparison.__all__
__all__ += exponential.__all__
__all__ += trigonometric.__all__
