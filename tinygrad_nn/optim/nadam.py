"""NAdam: Adam with Nesterov's momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..ops.elementwise import sqrt
from ..tensor.tensor import Tensor
from .moments import MomentOptimizer
from .optimizer import Params
from .settings import check_not_negative, number


class NAdam(MomentOptimizer):
    """`Adam` with Nesterov's momentum (Dozat, 2016).

    With μₜ = β₁·(1 − ½·0.96^(t·momentum_decay)) and πₜ = μ₁·…·μₜ, m and v as in Adam:
    w → w − lr·((1 − μₜ)/(1 − πₜ)·g + μₜ₊₁/(1 − πₜ₊₁)·m)/(√v̂ + eps).

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
    momentum_decay : float
        How fast μₜ goes from β₁/2 to β₁.
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
    >>> optimizer = tg.optim.NAdam([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> print(f"{w:.4f}")
    0.8944
    """

    _state_names = MomentOptimizer._state_names | {"mu_product"}
    _state_numbers: ClassVar[Mapping[str, type]] = {"step": int, "mu_product": float}

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        more = {
            "momentum_decay": momentum_decay,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, lr, betas, eps, weight_decay, **more)

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        check_not_negative(group, "momentum_decay")

    def updated(self, p: Tensor, value: Any, g: Any, group: dict[str, Any]) -> Any:
        """The new value, value − lr·(share of g + share of m)/(√v̂ + eps)."""
        lr, decay = number(group["lr"]), float(group["momentum_decay"])
        beta1, beta2 = map(number, group["betas"])
        value, g = self._decayed(value, g, group)
        count = self.counted(p)
        momentum, following = (beta1 * (1 - 0.5 * 0.96 ** (t * decay)) for t in (count, count + 1))
        product = self.remembered_number(p, "mu_product", 1.0) * momentum
        self.state[p]["mu_product"] = product
        mean, square = self._means(p, g, group)
        deviation = sqrt(square / (1 - beta2**count)) + float(group["eps"])
        ahead = g * (lr * (1 - momentum) / (1 - product)) + mean * (lr * following / (1 - product * following))
        return value - ahead / deviation
