"""Activations as modules. What each computes, and its derivative, is said at the function of `nn.functional`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...ops.elementwise import relu, sigmoid, tanh
from .. import functional as F
from ..checks import check_sizes
from ..module import Module, Parameter

# Without the call of the op itself: these are short, and called at every step.
_sigmoid, _tanh, _relu = sigmoid.apply, tanh.apply, relu.apply


class _MaybeInPlace(Module):
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


class LeakyReLU(_MaybeInPlace):
    """x where x > 0, else negative_slope·x; see `nn.functional.leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        """Either x or negative_slope·x."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """The settings."""
        return f"negative_slope={self.negative_slope}"


class ELU(_MaybeInPlace):
    """x where x > 0, else alpha·(eˣ − 1); see `nn.functional.elu`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
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


class SiLU(_MaybeInPlace):
    """x·σ(x); see `nn.functional.silu`."""

    def forward(self, x: Any) -> Any:
        """The product x·σ(x)."""
        return F.silu(x)


class Softplus(Module):
    """log(1 + e^(beta·x))/beta; see `nn.functional.softplus`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, x: Any) -> Any:
        """log(1 + e^(beta·x))/beta."""
        return F.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """The settings."""
        return f"beta={self.beta}, threshold={self.threshold}"


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


class Softmin(Softmax):
    """e⁻ˣ divided by its sum along `dim`: the softmax of −x."""

    def forward(self, x: Any) -> Any:
        """Softmin along `dim`."""
        return F.softmin(x, self.dim)


class Softmax2d(Module):
    """The softmax over the channels of pictures, of shape (N, C, H, W) or (C, H, W)."""

    def forward(self, x: Any) -> Any:
        """Softmax along the third axis from the end."""
        if len(x.shape) not in (3, 4):
            raise ValueError(f"Softmax2d: the input must have shape (N, C, H, W) or (C, H, W), not {x.shape}")
        return F.softmax(x, -3)


class SELU(_MaybeInPlace):
    """1.0507·elu(x, 1.6733), for networks that normalize themselves; see `nn.functional.selu`."""

    def forward(self, x: Any) -> Any:
        """The scaled ELU."""
        return F.selu(x)


class CELU(_MaybeInPlace):
    """x where x > 0, else alpha·(exp(x/alpha) − 1); see `nn.functional.celu`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """Either x or alpha·(exp(x/alpha) − 1)."""
        return F.celu(x, self.alpha)

    def extra_repr(self) -> str:
        """The settings."""
        return f"alpha={self.alpha}"


class Mish(_MaybeInPlace):
    """x·tanh(log(1 + eˣ)); see `nn.functional.mish`."""

    def forward(self, x: Any) -> Any:
        """The product x·tanh(softplus(x))."""
        return F.mish(x)


class Softsign(Module):
    """x/(1 + |x|); see `nn.functional.softsign`."""

    def forward(self, x: Any) -> Any:
        """The quotient x/(1 + |x|)."""
        return F.softsign(x)


class LogSigmoid(Module):
    """log σ(x), without overflow; see `tinygrad_nn.log_sigmoid`."""

    def forward(self, x: Any) -> Any:
        """The logarithm of σ(x)."""
        return F.logsigmoid(x)


class Tanhshrink(Module):
    """x − tanh x; see `nn.functional.tanhshrink`."""

    def forward(self, x: Any) -> Any:
        """The difference x − tanh x."""
        return F.tanhshrink(x)


class Hardtanh(_MaybeInPlace):
    """x limited to [min_val, max_val]; see `nn.functional.hardtanh`."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.min_val = min_val
        self.max_val = max_val

    def forward(self, x: Any) -> Any:
        """The limited x."""
        return F.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        """The settings."""
        return f"min_val={self.min_val}, max_val={self.max_val}"


class ReLU6(_MaybeInPlace):
    """x limited to [0, 6]; see `nn.functional.relu6`."""

    def forward(self, x: Any) -> Any:
        """The limited x."""
        return F.relu6(x)


class Hardsigmoid(_MaybeInPlace):
    """x/6 + ½ limited to [0, 1]; see `nn.functional.hardsigmoid`."""

    def forward(self, x: Any) -> Any:
        """The limited x/6 + ½."""
        return F.hardsigmoid(x)


class Hardswish(_MaybeInPlace):
    """x·hardsigmoid(x); see `nn.functional.hardswish`."""

    def forward(self, x: Any) -> Any:
        """The product x·hardsigmoid(x)."""
        return F.hardswish(x)


class Hardshrink(Module):
    """x, but 0 where |x| ≤ lambd; see `nn.functional.hardshrink`."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, x: Any) -> Any:
        """Either x or 0."""
        return F.hardshrink(x, self.lambd)

    def extra_repr(self) -> str:
        """The settings."""
        return f"lambd={self.lambd}"


class Softshrink(Module):
    """x moved towards 0 by `lambd`, and 0 where |x| ≤ lambd; see `nn.functional.softshrink`."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, x: Any) -> Any:
        """The moved x."""
        return F.softshrink(x, self.lambd)

    def extra_repr(self) -> str:
        """The settings."""
        return f"lambd={self.lambd}"


class Threshold(_MaybeInPlace):
    """x where x > threshold, else `value`; see `nn.functional.threshold`."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value

    def forward(self, x: Any) -> Any:
        """Either x or `value`."""
        return F.threshold(x, self.threshold, self.value)

    def extra_repr(self) -> str:
        """The settings."""
        return f"threshold={self.threshold}, value={self.value}"


class GLU(Module):
    """The first half of x along `dim` times σ of the second; see `nn.functional.glu`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Any) -> Any:
        """The gated half."""
        return F.glu(x, self.dim)

    def extra_repr(self) -> str:
        """The settings."""
        return f"dim={self.dim}"


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
