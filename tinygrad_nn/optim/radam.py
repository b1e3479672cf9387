"""RAdam: Adam that rectifies its early steps."""

from __future__ import annotations

from typing import Any

from ..ops.elementwise import sqrt
from ..tensor.tensor import Tensor
from .moments import MomentOptimizer
from .optimizer import Params
from .settings import number


class RAdam(MomentOptimizer):
    """`Adam` that rectifies the spread of its early steps, when v rests on few gradients (Liu et al., 2020).

    With ρ = 2/(1 − β₂) − 1 and ρₜ = ρ − 2t·β₂ᵗ/(1 − β₂ᵗ): where ρₜ > 5,
    w → w − lr·√((ρₜ − 4)(ρₜ − 2)ρ/((ρ − 4)(ρ − 2)ρₜ))·m̂/(√v̂ + eps); before that w → w − lr·m̂.

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
    decoupled_weight_decay : bool
        Shrink the weights by lr·λ themselves, outside of the means.
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
    >>> optimizer = tg.optim.RAdam([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> print(f"{w:.4f}")
    0.8000
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        more = {"maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, lr, betas, eps, weight_decay, **more)

    def updated(self, p: Tensor, value: Any, g: Any, group: dict[str, Any]) -> Any:
        """The new value, rectified or with plain momentum."""
        beta1, beta2 = map(number, group["betas"])
        value, g = self._decayed(value, g, group)
        count = self.counted(p)
        mean, square = self._means(p, g, group)
        unbiased = 1 - beta2**count
        limit = 2 / (1 - beta2) - 1
        length = limit - 2 * count * beta2**count / unbiased
        # Chosen by arithmetic: in compiled code the count is known at each call only.
        certain = length > 5
        divisor = (limit - 4) * (limit - 2) * length * certain + (1 - certain)
        rectified = abs((length - 4) * (length - 2) * limit / divisor) ** 0.5 * certain
        scale = rectified * unbiased**0.5 / (sqrt(square) + float(group["eps"])) + (1 - certain)
        return value - mean * (number(group["lr"]) / (1 - beta1**count)) * scale
