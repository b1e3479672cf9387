"""A learning rate for each element, from the sizes of its gradients: Adagrad, RMSprop, Adadelta."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..ops.elementwise import maximum, sqrt
from .optimizer import Optimizer, Params, check_not_negative, is_set, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..tensor.tensor import Tensor


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
    weight_decay : float
        λ of the L2 penalty ½λ‖w‖²: g → g + λ·w.
    initial_accumulator_value : float
        What s starts from.
    eps : float
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
        """Refuse settings that make no sense."""
        check_not_negative(group, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def updated(self, p: Tensor, value: Any, g: Any, group: dict[str, Any]) -> Any:
        """The new value, value − lr·g/(√s + eps)."""
        if group["weight_decay"]:
            g = g + value * float(group["weight_decay"])
        total = self.remembered(p, "sum")
        lr = number(group["lr"]) / (1 + (self.counted(p) - 1) * float(group["lr_decay"]))
        total += g * g
        return value - g / (sqrt(total) + float(group["eps"])) * lr


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
        """Refuse settings that make no sense."""
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
        spread = square
        if group["centered"]:
            mean = self.remembered(p, "grad_avg")
            mean += (g - mean) * (1 - alpha)
            spread = maximum(square - mean * mean, 0.0)  # rounding can bring it below 0
        g = g / (sqrt(spread) + float(group["eps"]))
        if velocity is not None:
            velocity *= number(group["momentum"])
            velocity += g
            g = velocity
        return value - g * number(group["lr"])


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
        """Refuse settings that make no sense."""
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
