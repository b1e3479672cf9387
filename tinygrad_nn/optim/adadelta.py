"""Adadelta: steps as large as earlier ones were, for the size of their gradients."""

from __future__ import annotations

from typing import Any

from ..ops.elementwise import sqrt
from ..tensor.tensor import Tensor
from .optimizer import Optimizer, Params
from .settings import check_not_negative, number


class Adadelta(Optimizer):
    """Steps whose size is that of earlier steps, relative to the size of the gradients (Zeiler, 2012).

    v → ρ·v + (1 − ρ)·g², Δ = √(u + eps)/√(v + eps)·g, u → ρ·u + (1 − ρ)·Δ²: w → w − lr·Δ.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to learn; see `Optimizer`.
    lr : float
        Factor of each step.
    rho : float
        ρ, in [0, 1].
    eps : float
        Added under both roots: nothing is divided by 0, and the first step is not 0.
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
    >>> optimizer = tg.optim.Adadelta([w])
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> print(f"{w:.4f}")
    0.9968
    """

    _state_names = frozenset({"square_avg", "acc_delta"})

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, settings)

    def check(self, group: dict[str, Any]) -> None:
        check_not_negative(group, "lr", "rho", "eps", "weight_decay")
        if group["rho"] > 1:
            raise ValueError(f"rho must be a number in [0, 1], not {group['rho']!r}")

    def updated(self, p: Tensor, value: Any, g: Any, group: dict[str, Any]) -> Any:
        """The new value, value − lr·Δ."""
        rho, eps = float(group["rho"]), float(group["eps"])
        if group["weight_decay"]:
            g = g + value * float(group["weight_decay"])
        self.counted(p)
        square, moved = self.remembered(p, "square_avg"), self.remembered(p, "acc_delta")
        square *= rho
        square += g * g * (1 - rho)
        delta = sqrt(moved + eps) / sqrt(square + eps) * g
        moved *= rho
        moved += delta * delta * (1 - rho)
        return value - delta * number(group["lr"])
