"""What has been made of Adam: Adamax, NAdam, RAdam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ..ops.elementwise import absolute, maximum, sqrt
from .optimizer import Optimizer, Params, check_betas, check_not_negative, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..tensor.tensor import Tensor


class Adamax(Optimizer):
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
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, settings)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse settings that make no sense."""
        check_not_negative(group, "lr", "eps", "weight_decay")
        check_betas(group)

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


class _Means(Optimizer):
    """What the variants share that keep Adam's two running means."""

    _state_names = frozenset({"step", "exp_avg", "exp_avg_sq"})

    def check(self, group: dict[str, Any]) -> None:
        """Refuse settings that make no sense."""
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


class NAdam(_Means):
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
    weight_decay : float
        λ of the L2 penalty ½λ‖w‖²: g → g + λ·w.
    momentum_decay : float
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

    _state_names = _Means._state_names | {"mu_product"}
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
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, settings)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse settings that make no sense."""
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


class RAdam(_Means):
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
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, settings)

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
        spread = (limit - 4) * (limit - 2) * length * certain + (1 - certain)
        rectified = abs((length - 4) * (length - 2) * limit / spread) ** 0.5 * certain
        scale = rectified * unbiased**0.5 / (sqrt(square) + float(group["eps"])) + (1 - certain)
        return value - mean * (number(group["lr"]) / (1 - beta1**count)) * scale
