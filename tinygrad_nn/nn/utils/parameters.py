"""Work on the parameters of a network as a whole: limits on gradients, all values as one vector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.store import compiling
from ...ops.elementwise import absolute, clip, minimum
from ...ops.shapes import concat, ravel, stack
from ...tensor.tensor import Tensor, plain_tensor

if TYPE_CHECKING:
    from collections.abc import Iterable


def _with_gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p for p in parameters if p.grad is not None]


def _norm(parts: list[Any], norm_type: float) -> Any:
    """The norm of all elements of `parts` together."""
    if norm_type == math.inf:
        return max(np.abs(part).max(initial=0) for part in parts)
    # Each part's norm is taken in its own precision, their sum in double.
    total = sum(float(np.linalg.norm(np.ravel(part), norm_type)) ** norm_type for part in parts)
    return total ** (1 / norm_type)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients by one factor, so that their norm together is at most `max_norm`.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those without gradient are passed over.
    max_norm : float
    norm_type : float
        Order of the norm; ``math.inf`` for the largest element.
    error_if_nonfinite : bool
        Raise if the norm is NaN or infinite, instead of scaling by it.

    Returns
    -------
    Tensor
        The norm before.

    Notes
    -----
    The factor is max_norm/(norm + 1e-6) where that is below 1, as in PyTorch
    (Pascanu, Mikolov and Bengio, 2013, "On the difficulty of training recurrent neural networks").

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> w = tg.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> nn.utils.clip_grad_norm_(w, 1.0)
    tensor(5.)
    >>> w.grad
    tensor([0.59999988, 0.79999984])
    """
    tensors = _with_gradients(parameters)
    if not max_norm >= 0 or not norm_type > 0:
        raise ValueError(f"max_norm must not be negative, norm_type must be positive; given {max_norm}, {norm_type}")
    if not tensors:
        return plain_tensor(np.float32(0))
    if compiling():
        return _clip_recorded(tensors, max_norm, norm_type)
    norm = _norm([p.grad._value for p in tensors if p.grad is not None], norm_type)
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {norm}, so they cannot be scaled by it")
    factor = max_norm / (norm + 1e-6)
    if not factor >= 1:  # NaN too, so that it stays visible
        for p in tensors:
            assert p.grad is not None
            p.grad = plain_tensor(p.grad._value * p.dtype.type(factor))
    return plain_tensor(np.result_type(*(p.dtype for p in tensors)).type(norm))


def _clip_recorded(tensors: list[Tensor], max_norm: float, norm_type: float) -> Tensor:
    """The same while a program is recorded: without a look at the norm, all gradients are scaled, perhaps by 1."""
    grads = [p.grad for p in tensors if p.grad is not None]
    if norm_type == math.inf:
        norm = stack([absolute(g).max().astype(np.float64) for g in grads]).max()
    else:
        powers = [(absolute(g.astype(np.float64)) ** norm_type).sum() for g in grads]
        norm = sum(powers[1:], powers[0]) ** (1 / norm_type)
    factor = minimum(max_norm / (norm + 1e-6), 1.0)
    for p, g in zip(tensors, grads, strict=True):
        p.grad = g * factor.astype(p.dtype)
    return norm.astype(np.result_type(*(p.dtype for p in tensors)))  # type: ignore[no-any-return]


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of the gradients to ±clip_value."""
    if not clip_value >= 0:
        raise ValueError(f"clip_value must not be negative, given {clip_value}")
    for p in _with_gradients(parameters):
        assert p.grad is not None
        p.grad = clip(p.grad.detach(), -clip_value, clip_value)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All values as one vector, through which gradients pass.

    Examples
    --------
    >>> from tinygrad_nn import nn
    >>> nn.utils.parameters_to_vector(nn.Linear(784, 30).parameters()).shape
    (23550,)
    """
    result: Tensor = concat([ravel(p) for p in parameters])
    return result


def vector_to_parameters(vec: Any, parameters: Iterable[Tensor]) -> None:
    """Give the parameters the values of a vector, in the order of `parameters_to_vector`.

    Raises
    ------
    ValueError
        If the vector has another length than all parameters together. None is changed then.
    """
    targets = list(parameters)
    values = np.asarray(vec)
    total = sum(p.size for p in targets)
    if values.shape != (total,):
        raise ValueError(f"vector_to_parameters: the parameters need a vector of {total} values, not {values.shape}")
    start = 0
    for p in targets:
        part = np.array(values[start : start + p.size].reshape(p.shape), p.dtype)
        p._assign(part if part.ndim else part[()])
        start += p.size
