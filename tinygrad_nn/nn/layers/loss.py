"""What the losses share as modules: the reduction, and factors on elements or classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...tensor.tensor import Tensor
from ..function_layer import FunctionLayer
from ..functional.loss import check_reduction

if TYPE_CHECKING:
    from ...tensor.tensor import ArrayLike


def factors(weight: ArrayLike) -> ArrayLike:
    """Weights; lists and Python numbers in float32, as parameters are, so that losses keep the dtype of the model."""
    return weight if hasattr(weight, "dtype") else Tensor(weight, np.float32)


class Loss(FunctionLayer):
    """A loss and its reduction."""

    weight: Tensor | None = None
    _more_reductions: tuple[str, ...] = ()

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        check_reduction(reduction, *self._more_reductions)
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:  # type: ignore[override]
        """The loss of predictions and targets; the class says which shapes they have."""
        return self._result(input, target)

    def _result(self, *inputs: Any) -> Any:
        """What the function gives, whose reduction is taken by name."""
        settings = {}
        for name in self._settings:  # at every step: a comprehension would cost a frame more
            settings[name] = getattr(self, name)
        return self._function(*inputs, **settings)

    def extra_repr(self) -> str:
        """The settings, where they are not the usual ones."""
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class WeightedLoss(Loss):
    """A loss with a factor on each element's, or on each class's."""

    _by_class = False

    def __init__(self, weight: ArrayLike | None = None, reduction: str = "mean") -> None:
        shape = np.shape(weight) if self._by_class and weight is not None else None
        if shape is not None and (len(shape) != 1 or np.asarray(weight).dtype.kind not in "fiu"):
            raise self._called_too_early(f"weight must be a number for each class, not of shape {shape}")
        super().__init__(reduction)
        if weight is not None:
            if isinstance(weight, Tensor) and not weight.is_leaf:
                raise self._called_too_early(f"weight must be given numbers, not a result, of shape {weight.shape}")
            self.register_buffer("weight", factors(weight))

    def _label(self, ignore_index: int) -> int:
        if isinstance(ignore_index, bool) or not isinstance(ignore_index, int | np.integer):
            raise self._called_too_early(f"ignore_index must be a label, not {type(ignore_index).__name__}")
        return int(ignore_index)

    def _called_too_early(self, problem: str) -> TypeError:
        name = type(self).__name__
        return TypeError(f"{name}: {problem}; the module is made before it is called: nn.{name}()(input, target)")
