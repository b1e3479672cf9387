"""Activations as modules. What each computes, and its derivative, is said at the function of `nn.functional`."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .module import Module

# Without the call of the op itself: these are short, and called at every step.
_sigmoid, _tanh, _relu = F.sigmoid.apply, F.tanh.apply, F.relu.apply


class Sigmoid(Module):
    """1/(1 + e⁻ˣ); see `tinygrad_nn.sigmoid`."""

    def forward(self, x: Any) -> Any:
        """σ(x)."""
        return _sigmoid(x)


class Tanh(Module):
    """tanh x; see `tinygrad_nn.tanh`."""

    def forward(self, x: Any) -> Any:
        """The hyperbolic tangent of x."""
        return _tanh(x)


class ReLU(Module):
    """max(x, 0), with derivative 0 at 0; see `tinygrad_nn.relu`."""

    def forward(self, x: Any) -> Any:
        """max(x, 0)."""
        return _relu(x)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope·x; see `nn.functional.leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        """Either x or negative_slope·x."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """The settings."""
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """x where x > 0, else alpha·(eˣ − 1); see `nn.functional.elu`."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """Either x or alpha·(eˣ − 1)."""
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        """The settings."""
        return f"alpha={self.alpha}"


class GELU(Module):
    """x·Φ(x), or its approximation by tanh; see `nn.functional.gelu`."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        """The product x·Φ(x)."""
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        """The settings."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x·σ(x); see `nn.functional.silu`."""

    def forward(self, x: Any) -> Any:
        """The product x·σ(x)."""
        return F.silu(x)


class Softplus(Module):
    """log(1 + e^(beta·x))/beta; see `nn.functional.softplus`."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: Any) -> Any:
        """log(1 + e^(beta·x))/beta."""
        return F.softplus(x, self.beta)

    def extra_repr(self) -> str:
        """The settings."""
        return f"beta={self.beta}"


class Softmax(Module):
    """eˣ divided by its sum along `dim`; see `tinygrad_nn.softmax`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Any) -> Any:
        """Softmax along `dim`."""
        return F.softmax(x, self.dim)

    def extra_repr(self) -> str:
        """The settings."""
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """The logarithm of the softmax along `dim`, without its overflow; see `tinygrad_nn.log_softmax`."""

    def forward(self, x: Any) -> Any:
        """Logarithm of the softmax along `dim`."""
        return F.log_softmax(x, self.dim)
