"""Every operation of linear algebra under one name: products, contractions, trace and norms."""

from __future__ import annotations

from . import contraction, products
from .contraction import *  # noqa: F403
from .products import *  # noqa: F403
from .products import norm as norm
from .products import vector_norm as vector_norm

__all__ = []
__all__ += contraction.__all__
__all__ += products.__all__
