"""Every operation that rearranges elements under one name."""

from __future__ import annotations

from . import indexing, joining, layout, ordering, repeating
from .indexing import *  # noqa: F403
from .joining import *  # noqa: F403
from .layout import *  # noqa: F403
from .layout import shape_of as shape_of
from .ordering import *  # noqa: F403
from .repeating import *  # noqa: F403

__all__ = []
__all__ += indexing.__all__
__all__ += joining.__all__
__all__ += layout.__all__
__all__ += ordering.__all__
__all__ += repeating.__all__
