"""Readers of the graph that take derivatives: the reverse pass, the forward pass, and the transforms built on them."""

from .checkpoint import checkpoint
from .control import cond, scan, while_loop
from .transforms import (
    elementwise_grad,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
)

__all__ = [
    "checkpoint",
    "cond",
    "elementwise_grad",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "scan",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "while_loop",
]
