"""Adam, and AdamW."""

from __future__ import annotations

from typing import Any

from ..ops.elementwise import maximum, sqrt
from ..tensor.tensor import Tensor
from .moments import MomentOptimizer
from .optimizer import Params
from .settings import number


class Adam(MomentOptimizer):
    """Steps of the mean gradient over the root of the mean squared gradient (Kingma and Ba, 2015).

    m → β₁·m + (1 − β₁)·g and v → β₂·v + (1 − β₂)·g², both corrected for their start at 0 by 1/(1 − βᵗ):
    w → w − lr·m̂/(√v̂ + eps).

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to learn; see `Optimizer`.
    lr : float
        Learning rate.
    betas : tuple of float
        β₁ and β₂, in [0, 1).
    eps : float
        Added to the root that is divided by, so that it is never 0.
    weight_decay : float
        λ of the L2 penalty ½λ‖w‖²: g → g + λ·w.
    amsgrad : bool
        Use the largest v so far (Reddi, Kale and Kumar, 2018).
    maximize : bool
        Climb instead of descending.
    decoupled_weight_decay : bool
        Shrink the weights by lr·λ themselves, outside of the means, as `AdamW` does.

    Raises
    ------
    ValueError
        For settings outside their ranges.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> w = tg.tensor(1.0, requires_grad=True)
    >>> optimizer = tg.optim.Adam([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> print(f"{w:.4f}")
    0.9000
    """

    _newer_settings = frozenset({"decoupled_weight_decay", "maximize"})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        more = {"amsgrad": amsgrad, "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, lr, betas, eps, weight_decay, **more)

    def updated(self, p: Tensor, value: Any, g: Any, group: dict[str, Any]) -> Any:
        """The new value, value − lr·m̂/(√v̂ + eps)."""
        lr, decay = number(group["lr"]), float(group["weight_decay"])
        beta1, beta2 = map(number, group["betas"])
        if decay and group["decoupled_weight_decay"]:
            value = value * (1 - lr * decay)
        elif decay:
            g = g + value * decay
        mean, square = self.remembered(p, "exp_avg"), self.remembered(p, "exp_avg_sq")
        count = self.counted(p)
        mean += (g - mean) * (1 - beta1)
        square *= beta2
        square += g * g * (1 - beta2)
        if group["amsgrad"]:
            square = maximum(self.remembered(p, "max_exp_avg_sq"), square)
            self.remember(p, "max_exp_avg_sq", square)
        deviation = sqrt(square) / (1 - beta2**count) ** 0.5
        return value - mean * (lr / (1 - beta1**count)) / (deviation + float(group["eps"]))


class AdamW(Adam):
    """`Adam` with decoupled weight decay, w → (1 − lr·λ)·w before each step (Loshchilov and Hutter, 2019).

    Parameters are those of `Adam`; ``weight_decay`` is 0.01 unless given.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)
