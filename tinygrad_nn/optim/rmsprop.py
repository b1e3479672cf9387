"""RMSprop: a learning rate for each element, from the running mean of its squared gradients."""

from __future__ import annotations

from typing import Any

from ..ops.elementwise import maximum, sqrt
from ..tensor.tensor import Tensor
from .optimizer import Optimizer, Params
from .settings import check_not_negative, is_set, number


class RMSprop(Optimizer):
    """Steps of the gradient over the root of the running mean of its square (Tieleman and Hinton, 2012).

    v → α·v + (1 − α)·g²: w → w − lr·g/(√v + eps).

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to learn; see `Optimizer`.
    lr : float
        Learning rate.
    alpha : float
        α, in [0, 1).
    eps : float
        Added to the root that is divided by, so that it is never 0.
    weight_decay : float
        λ of the L2 penalty ½λ‖w‖²: g → g + λ·w.
    momentum : float
        With μ > 0 the step follows b → μ·b + g/(√v + eps): w → w − lr·b.
    centered : bool
        Divide by the root of the variance instead: the squared mean of g is taken from v (Graves, 2013).
    maximize : bool
        Climb instead of descending.

    Raises
    ------
    ValueError
        For settings outside their ranges.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> w = tg.tensor(1.0, requires_grad=True)
    >>> optimizer = tg.optim.RMSprop([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> print(f"{w:.4f}")
    0.0000
    """

    _state_names = frozenset({"square_avg"})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, settings)

    def check(self, group: dict[str, Any]) -> None:
        check_not_negative(group, "lr", "momentum", "alpha", "eps", "weight_decay")
        if group["alpha"] >= 1:
            raise ValueError(f"alpha must be a number in [0, 1), not {group['alpha']!r}")

    def updated(self, p: Tensor, value: Any, g: Any, group: dict[str, Any]) -> Any:
        """The new value, value − lr·g/(√v + eps), with what else was asked for."""
        alpha = float(group["alpha"])
        if group["weight_decay"]:
            g = g + value * float(group["weight_decay"])
        self.counted(p)
        square = self.remembered(p, "square_avg")
        square *= alpha
        square += g * g * (1 - alpha)
        velocity = self.remembered(p, "momentum_buffer") if is_set(group["momentum"]) else None
        variance = square
        if group["centered"]:
            mean = self.remembered(p, "grad_avg")
            mean += (g - mean) * (1 - alpha)
            variance = maximum(square - mean * mean, 0.0)  # rounding can bring it below 0
        g = g / (sqrt(variance) + float(group["eps"]))
        if velocity is not None:
            velocity *= number(group["momentum"])
            velocity += g
            g = velocity
        return value - g * number(group["lr"])
