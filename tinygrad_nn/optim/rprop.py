"""Resilient backpropagation: steps by the signs of gradients alone."""

from __future__ import annotations

from typing import Any

from ..ops.elementwise import clip, sign
from ..ops.elementwise.choice import where
from ..tensor.tensor import Tensor
from .optimizer import Optimizer, Params
from .settings import check_not_negative


class Rprop(Optimizer):
    """Steps of each element's own size, which grows while the gradient keeps its sign (Riedmiller and Braun, 1993).

    A gradient of the other sign than before makes the step smaller and is passed over once; for whole batches, as
    noise turns signs.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to learn; see `Optimizer`.
    lr : float
        The size of the first step; later changes of it have no effect.
    etas : tuple of float
        Factors by which the steps shrink and grow.
    step_sizes : tuple of float
        The smallest and the largest step.
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
    >>> optimizer = tg.optim.Rprop([w], lr=0.1)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (w * w).backward()
    ...     optimizer.step()
    >>> print(f"{w:.4f}")
    0.7800
    """

    changing = frozenset()
    _state_names = frozenset({"prev", "step_size"})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize}
        super().__init__(params, settings)

    def check(self, group: dict[str, Any]) -> None:
        check_not_negative(group, "lr")
        shrink, grow = group["etas"]
        if not 0 < shrink < 1 < grow:
            raise ValueError(f"etas must be a factor in (0, 1) and one above 1, not {group['etas']!r}")
        smallest, largest = group["step_sizes"]
        if not 0 <= smallest <= largest:
            raise ValueError(f"step_sizes must be the smallest and the largest step, not {group['step_sizes']!r}")

    def updated(self, p: Tensor, value: Any, g: Any, group: dict[str, Any]) -> Any:
        """The new value, value − step·sign g."""
        (shrink, grow), (smallest, largest) = group["etas"], group["step_sizes"]
        self.counted(p)
        turn = self.remembered(p, "prev") * g
        size = self.remembered(p, "step_size", float(group["lr"]))
        number = value.dtype.type
        size = size * where(turn > 0, number(grow), where(turn < 0, number(shrink), number(1)))
        size = clip(size, float(smallest), float(largest))
        g = where(turn < 0, number(0), g)
        self.remember(p, "step_size", size)
        self.remember(p, "prev", g)
        return value - sign(g) * size
