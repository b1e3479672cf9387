"""Activations as modules. What each computes, and its derivative, is said at the function of `nn.functional`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...ops.elementwise import relu, sigmoid, tanh
from .. import functional as F
from ..checks import check_sizes
from ..function_layer import FunctionLayer
from ..module import Module, Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]

# Without the call of the op itself: these are short, and called at every step.
_sigmoid, _tanh, _relu = sigmoid.apply, tanh.apply, relu.apply


class _MaybeInPlace(FunctionLayer):
    """An activation that takes `inplace` where PyTorch does; its result is a new Tensor all the same."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


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


class ReLU(_MaybeInPlace):
    """max(x, 0), with derivative 0 at 0; see `tinygrad_nn.relu`. Whatever `inplace` is, the result is a new Tensor."""

    def forward(self, x: Any) -> Any:
        """max(x, 0)."""
        return _relu(x)


class LeakyReLU(_MaybeInPlace, function=F.leaky_relu):
    """x where x > 0, else negative_slope·x; see `nn.functional.leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope


class ELU(_MaybeInPlace, function=F.elu):
    """x where x > 0, else alpha·(eˣ − 1); see `nn.functional.elu`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha


class GELU(FunctionLayer, function=F.gelu):
    """x·Φ(x), or its approximation by tanh; see `nn.functional.gelu`."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate


class SiLU(_MaybeInPlace, function=F.silu):
    """x·σ(x); see `nn.functional.silu`."""


class Softplus(FunctionLayer, function=F.softplus):
    """log(1 + e^(beta·x))/beta; see `nn.functional.softplus`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold


class Softmax(FunctionLayer, function=F.softmax):
    """eˣ divided by its sum along `dim`; see `tinygrad_nn.softmax`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim


class LogSoftmax(Softmax, function=F.log_softmax):
    """The logarithm of the softmax along `dim`, without its overflow; see `tinygrad_nn.log_softmax`."""


class Softmin(Softmax, function=F.softmin):
    """e⁻ˣ divided by its sum along `dim`: the softmax of −x."""


class Softmax2d(Module):
    """The softmax over the channels of pictures, of shape (N, C, H, W) or (C, H, W)."""

    def forward(self, x: Any) -> Any:
        """Softmax along the third axis from the end."""
        if len(x.shape) not in (3, 4):
            raise ValueError(f"Softmax2d: the input must have shape (N, C, H, W) or (C, H, W), not {x.shape}")
        return F.softmax(x, -3)


class SELU(_MaybeInPlace, function=F.selu):
    """1.0507·elu(x, 1.6733), for networks that normalize themselves; see `nn.functional.selu`."""


class CELU(_MaybeInPlace, function=F.celu):
    """x where x > 0, else alpha·(exp(x/alpha) − 1); see `nn.functional.celu`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha


class Mish(_MaybeInPlace, function=F.mish):
    """x·tanh(log(1 + eˣ)); see `nn.functional.mish`."""


class Softsign(FunctionLayer, function=F.softsign):
    """x/(1 + |x|); see `nn.functional.softsign`."""


class LogSigmoid(FunctionLayer, function=F.logsigmoid):
    """log σ(x), without overflow; see `tinygrad_nn.log_sigmoid`."""


class Tanhshrink(FunctionLayer, function=F.tanhshrink):
    """x − tanh x; see `nn.functional.tanhshrink`."""


class Hardtanh(_MaybeInPlace, function=F.hardtanh):
    """x limited to [min_val, max_val]; see `nn.functional.hardtanh`."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.min_val = min_val
        self.max_val = max_val


class ReLU6(_MaybeInPlace, function=F.relu6):
    """x limited to [0, 6]; see `nn.functional.relu6`."""


class Hardsigmoid(_MaybeInPlace, function=F.hardsigmoid):
    """x/6 + ½ limited to [0, 1]; see `nn.functional.hardsigmoid`."""


class Hardswish(_MaybeInPlace, function=F.hardswish):
    """x·hardsigmoid(x); see `nn.functional.hardswish`."""


class Hardshrink(FunctionLayer, function=F.hardshrink):
    """x, but 0 where |x| ≤ lambd; see `nn.functional.hardshrink`."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd


class Softshrink(FunctionLayer, function=F.softshrink):
    """x moved towards 0 by `lambd`, and 0 where |x| ≤ lambd; see `nn.functional.softshrink`."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd


class Threshold(_MaybeInPlace, function=F.threshold):
    """x where x > threshold, else `value`; see `nn.functional.threshold`."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value


class GLU(FunctionLayer, function=F.glu):
    """The first half of x along `dim` times σ of the second; see `nn.functional.glu`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim


class PReLU(Module):
    """x where x > 0, else weight·x, with a weight that is learned; see `nn.functional.prelu`.

    Parameters
    ----------
    num_parameters : int
        1 for one weight, or the number of channels, the second axis, for one each.
    init : float
        Start of the weights.
    dtype : dtype

    Attributes
    ----------
    weight : Parameter
        Shape (num_parameters,). Weight decay would pull it to 0, which makes a ReLU.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.PReLU()(tg.tensor([-1.0, 2.0], dtype=tg.float32)).tolist()
    [-0.25, 2.0]
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype: npt.DTypeLike = np.float32) -> None:
        super().__init__()
        check_sizes("PReLU", num_parameters=num_parameters)
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(np.full(num_parameters, init, dtype))

    def forward(self, x: Any) -> Any:
        """Either x or weight·x."""
        return F.prelu(x, self.weight)

    def extra_repr(self) -> str:
        """The settings."""
        return f"num_parameters={self.num_parameters}"
