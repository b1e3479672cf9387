"""What optimizers share that evaluate the loss several times in a step: the closure, all parameters as one vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core.store import refuse
from ..tensor.tensor import Tensor, as_array, plain_tensor
from .optimizer import Optimizer

Closure = Callable[[], Any]


class ClosureOptimizer(Optimizer):
    """Base of optimizers whose `step` needs a closure; all state is kept with the first parameter, as in PyTorch."""

    #: Entries of the state that are vectors, lists of vectors, and lists of numbers.
    _vectors: frozenset[str] = frozenset()
    _vector_lists: frozenset[str] = frozenset()
    _number_lists: frozenset[str] = frozenset()
    #: Entries of PyTorch's that say nothing about later steps.
    _passing: frozenset[str] = frozenset()
    #: What the closure must have left when it returns: gradients, or the graph of the loss.
    _closure_leaves = "gradients"

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Take the one group of parameters that there can be.

        Raises
        ------
        ValueError
            For a second group: the curvature of all parameters is estimated together.
        """
        if self.param_groups:
            raise ValueError(f"{type(self).__name__} has one group of parameters; give all in one list")
        super().add_param_group(param_group)

    def _begin(self, closure: Closure | None) -> Closure:
        """The closure, where a step can be made with it."""
        name = type(self).__name__
        refuse(
            f"compile: {name}.step() decides by the numbers of the loss how to go on, so it cannot be recorded; "
            "compile what computes the loss, and call that in the closure: loss_of = tg.compile(...)"
        )
        if not callable(closure):
            raise TypeError(
                f"{name}.step() needs a closure, a function that computes the loss anew and returns it; "
                f"given {type(closure).__name__}"
            )
        self._stepped = True
        return closure

    def _number_of(self, loss: Any) -> float:
        """The loss as a number."""
        closure = f"the closure given to {type(self).__name__}.step()"
        if loss is None:
            raise TypeError(f"{closure} must return the loss; it returned None")
        if not isinstance(loss, Tensor | np.ndarray | np.generic | int | float):
            raise TypeError(f"{closure} must return the loss, not a {type(loss).__name__}")
        value = np.asarray(loss.numpy() if isinstance(loss, Tensor) else loss)
        if value.size != 1:
            raise ValueError(
                f"{closure} returned a loss of shape {value.shape}; reduce it to one number, by .mean() or .sum()"
            )
        return float(value.item())

    @property
    def _params(self) -> list[Tensor]:
        params: list[Tensor] = self.param_groups[0]["params"]
        return params

    @property
    def _dtype(self) -> np.dtype[Any]:
        return np.result_type(*(p.dtype for p in self._params))

    def _joined(self, parts: list[Any]) -> Any:
        """Arrays in the shapes of the parameters, as one new vector; None stands for zeros."""
        flat = [np.zeros(p.size) if part is None else np.ravel(part) for p, part in zip(self._params, parts)]
        return np.concatenate(flat, dtype=self._dtype, casting="same_kind")

    def _split(self, vector: Any) -> list[Any]:
        """The elements of a vector that belong to each parameter."""
        return np.split(vector, np.cumsum([p.size for p in self._params])[:-1])

    def _values(self) -> Any:
        return self._joined([p._value for p in self._params])

    def _gradients(self) -> Any:
        return self._joined([None if p.grad is None else p.grad._value for p in self._params])

    def _move_to(self, vector: Any) -> None:
        """Give the parameters the values of a vector."""
        for p, elements in zip(self._params, self._split(vector)):
            p._assign(np.array(elements.reshape(p.shape), p.dtype)[()])

    def _ends_at(self, loss: float, gradient: Any) -> bool:
        """Whether a point is stationary, or has a loss or a gradient that is not finite."""
        tolerance = self.param_groups[0]["tolerance_grad"]
        return not (math.isfinite(loss) and tolerance < largest(gradient) < math.inf)

    @contextmanager
    def _back_to(self, vector: Any) -> Iterator[None]:
        """Give the parameters these values again if a trial fails or is interrupted."""
        try:
            yield
        except BaseException:
            self._move_to(vector)
            raise

    @property
    def _memory(self) -> dict[str, Any]:
        """What is remembered of all parameters."""
        return self.state[self._params[0]]

    def state_dict(self) -> dict[str, Any]:
        """Settings and what is remembered, in PyTorch's layout; for `tinygrad_nn.save`."""
        state = super().state_dict()
        for entries in state["state"].values():
            for name in self._vector_lists & entries.keys():
                entries[name] = [plain_tensor(vector.copy()) for vector in entries[name]]
            for name in self._number_lists & entries.keys():
                entries[name] = list(entries[name])
        return state

    def _checked_entries(self, position: int, p: Tensor, entries: Mapping[str, Any]) -> dict[str, Any]:
        missing = self._state_names - entries.keys()
        if missing:
            raise ValueError(f"the state lacks {sorted(missing)}; it is another optimizer's")
        checked: dict[str, Any] = {}
        for name, value in entries.items():
            if name in self._vector_lists:
                checked[name] = [self._checked_vector(name, item) for item in value]
            elif name in self._number_lists:
                checked[name] = [float(item) for item in value]
            elif name in self._vectors and value is not None:
                checked[name] = self._checked_vector(name, value)
            elif value is None or isinstance(value, bool | int | float | str):
                checked[name] = value
            elif name not in self._passing:
                number = np.asarray(as_array(value, copy=False))
                if number.size != 1:
                    raise ValueError(f"{name} must be one number, not of shape {number.shape}; nothing was loaded")
                checked[name] = float(number.item())
        return checked

    def _checked_vector(self, name: str, value: Any) -> Any:
        vector = np.array(as_array(value, copy=False), self._dtype, order="C")
        size = sum(p.size for p in self._params)
        if vector.shape != (size,):
            raise ValueError(
                f"{name} has shape {vector.shape}, all parameters together {size} elements; nothing was loaded"
            )
        return vector


def largest(vector: Any) -> float:
    """The largest absolute value of a vector; NaN if one is in it."""
    return float(np.abs(vector).max(initial=0))


def dot(x: Any, y: Any) -> float:
    """The inner product of two vectors."""
    return float(x @ y)
