"""Tensor, its methods, NumPy's protocols, how Tensors are made, sampled, and kept in files."""

from .tensor import Tensor, _remade

__all__ = ["Tensor", "_remade"]  # the second is what pickles call
