"""Gradient descent, with momentum."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor.tensor import Tensor
from .optimizer import Optimizer, Params
from .settings import check_not_negative, is_set, number


class SGD(Optimizer):
    """Gradient descent, on batches of samples a stochastic one: w → w − lr·g.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to learn; see `Optimizer`.
    lr : float
        Learning rate.
    momentum : float
        With μ > 0 the step follows v → μ·v + (1 − dampening)·g, v = g at first: w → w − lr·v.
    dampening : float
        Share of each gradient but the first that is left out of v.
    weight_decay : float
        λ of the L2 penalty ½λ‖w‖²: g → g + λ·w.
    nesterov : bool
        Step along g + μ·v instead (Nesterov, 1983, in the form of Sutskever et al., 2013).
    maximize : bool
        Climb instead of descending.

    Raises
    ------
    ValueError
        For negative settings, or `nesterov` without momentum or with dampening.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> w = tg.tensor(1.0, requires_grad=True)
    >>> optimizer = tg.optim.SGD([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w
    tensor(0.8, requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, settings)

    def check(self, group: dict[str, Any]) -> None:
        check_not_negative(group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise ValueError("nesterov needs a momentum above 0 and no dampening")

    def updated(self, p: Tensor, value: Any, g: Any, group: dict[str, Any]) -> Any:
        """The new value, value − lr·g, with what else was asked for."""
        if group["weight_decay"]:
            g = g + value * float(group["weight_decay"])
        if is_set(group["momentum"]):
            g = self._with_momentum(p, g, group)
        lr = group["lr"]
        change = g * (lr if type(lr) is float else number(lr))  # Python numbers leave the dtype alone
        return np.subtract(value, change, out=change) if type(change) is np.ndarray else value - change

    def _with_momentum(self, p: Tensor, g: Any, group: dict[str, Any]) -> Any:
        momentum = number(group["momentum"])
        if self.state[p].get("momentum_buffer") is None:
            # Of its own: the next step writes into it, and the gradient stays as it is.
            velocity = np.array(g) if isinstance(g, np.ndarray | np.generic) else g.aside()
            self.state[p]["momentum_buffer"] = velocity
        else:
            velocity = self.remembered(p, "momentum_buffer")
            velocity *= momentum
            velocity += g * (1 - float(group["dampening"]))
        return g + velocity * momentum if group["nesterov"] else velocity
