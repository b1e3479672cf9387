"""What Adam and its variants share: two running means, of the gradient and of its square."""

from __future__ import annotations

from typing import Any

from ..tensor.tensor import Tensor
from .optimizer import Optimizer, Params
from .settings import check_betas, check_not_negative, number


class MomentOptimizer(Optimizer):
    """Base of the optimizers that keep estimates of the gradient's first and second moments."""

    _state_names = frozenset({"step", "exp_avg", "exp_avg_sq"})

    def __init__(
        self, params: Params, lr: float, betas: tuple[float, float], eps: float, weight_decay: float, **more: Any
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, **more})

    def check(self, group: dict[str, Any]) -> None:
        check_not_negative(group, "lr", "eps", "weight_decay")
        check_betas(group)

    def _decayed(self, value: Any, g: Any, group: dict[str, Any]) -> tuple[Any, Any]:
        """Value and gradient after the decay of weights, of either kind."""
        decay = float(group["weight_decay"])
        if decay and group["decoupled_weight_decay"]:
            return value * (1 - number(group["lr"]) * decay), g
        return value, g + value * decay if decay else g

    def _means(self, p: Tensor, g: Any, group: dict[str, Any]) -> tuple[Any, Any]:
        """Running means of the gradient and of its square."""
        beta1, beta2 = map(number, group["betas"])
        mean, square = self.remembered(p, "exp_avg"), self.remembered(p, "exp_avg_sq")
        mean += (g - mean) * (1 - beta1)
        square *= beta2
        square += g * g * (1 - beta2)
        return mean, square
