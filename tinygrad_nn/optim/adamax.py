"""Adamax: Adam with a maximum for the root mean square."""

from __future__ import annotations

from typing import Any

from ..ops.elementwise import absolute, maximum
from ..tensor.tensor import Tensor
from .moments import MomentOptimizer
from .optimizer import Params
from .settings import number


class Adamax(MomentOptimizer):
    """`Adam` with the largest gradient so far, slowly forgotten, for the root mean square (Kingma and Ba, 2015).

    m → β₁·m + (1 − β₁)·g and u → max(β₂·u, |g| + eps): w → w − lr/(1 − β₁ᵗ)·m/u.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to learn; see `Optimizer`.
    lr : float
        Learning rate.
    betas : tuple of float
        β₁ and β₂, in [0, 1).
    eps : float
        Added to |g|, so that u is never 0.
    weight_decay : float
        λ of the L2 penalty ½λ‖w‖²: g → g + λ·w.
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
    >>> optimizer = tg.optim.Adamax([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> print(f"{w:.4f}")
    0.9000
    """

    _state_names = frozenset({"step", "exp_avg", "exp_inf"})

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, maximize=maximize)

    def updated(self, p: Tensor, value: Any, g: Any, group: dict[str, Any]) -> Any:
        """The new value, value − lr·m̂/u."""
        beta1, beta2 = map(number, group["betas"])
        if group["weight_decay"]:
            g = g + value * float(group["weight_decay"])
        count = self.counted(p)
        mean = self.remembered(p, "exp_avg")
        mean += (g - mean) * (1 - beta1)
        largest = maximum(self.remembered(p, "exp_inf") * beta2, absolute(g) + float(group["eps"]))
        self.remember(p, "exp_inf", largest)
        return value - mean / largest * (number(group["lr"]) / (1 - beta1**count))
