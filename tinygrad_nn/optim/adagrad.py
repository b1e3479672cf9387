"""Adagrad: a learning rate for each element, from the sum of its squared gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..ops.elementwise import sqrt
from ..tensor.tensor import Tensor
from .optimizer import Optimizer, Params
from .settings import check_not_negative, number


class Adagrad(Optimizer):
    """Steps of the gradient over the root of the sum of all squared gradients (Duchi, Hazan and Singer, 2011).

    s → s + g²: w → w − lr/(1 + (t − 1)·lr_decay)·g/(√s + eps) at step t.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to learn; see `Optimizer`.
    lr : float
        Learning rate.
    lr_decay : float
        How fast the learning rate falls with the steps made.
    weight_decay : float
        λ of the L2 penalty ½λ‖w‖²: g → g + λ·w.
    initial_accumulator_value : float
        What s starts from.
    eps : float
        Added to the root that is divided by, so that it is never 0.
    maximize : bool
        Climb instead of descending.

    Raises
    ------
    ValueError
        For negative settings.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> w = tg.tensor(1.0, requires_grad=True)
    >>> optimizer = tg.optim.Adagrad([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> print(f"{w:.4f}")
    0.9000
    """

    _state_names = frozenset({"step", "sum"})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, settings)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Learn further parameters too; what is remembered of them is there at once, as in PyTorch."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for p in group["params"]:
            self.state[p]["step"] = 0
            self.remembered(p, "sum", float(group["initial_accumulator_value"]))

    def check(self, group: dict[str, Any]) -> None:
        check_not_negative(group, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def updated(self, p: Tensor, value: Any, g: Any, group: dict[str, Any]) -> Any:
        """The new value, value − lr·g/(√s + eps)."""
        if group["weight_decay"]:
            g = g + value * float(group["weight_decay"])
        total = self.remembered(p, "sum")
        lr = number(group["lr"]) / (1 + (self.counted(p) - 1) * float(group["lr_decay"]))
        total += g * g
        return value - g / (sqrt(total) + float(group["eps"])) * lr
