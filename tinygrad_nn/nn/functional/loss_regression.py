"""Losses of numbers that are predicted: errors, and likelihoods of counts and of normal distributions."""

from __future__ import annotations

import math
from typing import Any

from ...ops.elementwise import absolute, exp, greater, less, log, maximum, where
from ...ops.layers import loss as fused
from ...ops.shapes import expand_dims
from ..checks import as_operand
from .loss import cast_target, checked, difference_of, matched, plain, reduced

__all__ = ["gaussian_nll_loss", "huber_loss", "l1_loss", "mse_loss", "poisson_nll_loss", "smooth_l1_loss"]


def mse_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Squared error (x − t)².

    Parameters
    ----------
    input, target : array_like
        Predictions x and targets t of one shape; they are not broadcast.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        ∂/∂x = 2(x − t), over the number of elements for the mean.

    Raises
    ------
    ValueError
        If the shapes differ: (N, 1) against (N,) would be a table of every prediction against every target.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.mse_loss(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0]))
    tensor(2.)
    """
    return fused.mse_loss(input, cast_target(input, target), reduction=reduction)


def l1_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Absolute error |x − t|, with derivative sign(x − t), 0 where they are equal.

    Parameters, errors: as for `mse_loss`.
    """
    return reduced(absolute(difference_of("l1_loss", input, target)), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """½d² for an error d = x − t within ±delta, delta·(|d| − ½delta) beyond (Huber, 1964).

    The derivative is d limited to ±delta. Parameters, errors: as for `mse_loss`.
    """
    check_delta(delta)
    difference = difference_of("huber_loss", input, target)
    size = absolute(difference)
    return reduced(where(size <= delta, 0.5 * difference * difference, delta * (size - 0.5 * delta)), reduction)


def check_delta(delta: float) -> None:
    """Refuse a bound that is not positive."""
    if not delta > 0:
        raise ValueError(f"delta must be positive, not {delta!r}")


def smooth_l1_loss(input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """½d²/beta for an error d = x − t within ±beta, |d| − ½beta beyond: `huber_loss` divided by beta (Girshick, 2015).

    The derivative is d/beta limited to ±1. Parameters, errors: as for `mse_loss`.
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, it is {beta}")
    difference = difference_of("smooth_l1_loss", input, target)
    size = absolute(difference)
    if beta == 0:
        return reduced(size, reduction)
    return reduced(where(less(size, beta), 0.5 / beta * difference * difference, size - 0.5 * beta), reduction)


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
) -> Any:
    """Negative log-likelihood of counts t under Poisson distributions.

    Parameters
    ----------
    input, target : array_like
        Expected counts x, or their logarithms, and counts t of one shape.
    log_input : bool
        The input holds logarithms: eˣ − t·x; else x − t·log(x + eps).
    full : bool
        Add Stirling's formula for log t!, t·log t − t + ½·log(2πt), where t > 1.
    eps : float
    reduction : {"mean", "sum", "none"}
    """
    input, target = matched("poisson_nll_loss", input, target)
    losses = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        many = greater(target, 1)
        counts = where(many, target, 1)
        losses = losses + where(many, counts * log(counts) - counts + 0.5 * log(2 * math.pi * counts), 0)
    return reduced(losses, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """Negative log-likelihood ½·(log v + (x − t)²/v) of targets under normal distributions of mean x and variance v.

    Parameters
    ----------
    input, target : array_like
        Of one shape.
    var : array_like
        Variances: a number, the shape of `input`, or that with a last axis of length 1, or without it.
    full : bool
        Add ½·log 2π.
    eps : float
        The least variance; the derivative takes no notice of this bound.
    reduction : {"mean", "sum", "none"}
    """
    difference = difference_of("gaussian_nll_loss", input, target)
    if not eps > 0:
        raise ValueError(f"gaussian_nll_loss: eps must be positive, it is {eps}")
    var = as_operand(var)
    shape = difference.shape
    if var.shape and var.shape == shape[:-1] and var.shape != shape:
        var = expand_dims(var, axis=-1)
    elif var.shape not in ((), shape, (*shape[:-1], 1)):
        raise ValueError(f"gaussian_nll_loss: var must have shape {shape}, {(*shape[:-1], 1)} or (), not {var.shape}")
    var = checked(var, plain(var) >= 0, "gaussian_nll_loss: a variance is negative")
    bare = plain(var)
    var = var + (maximum(bare, eps) - bare)
    losses = 0.5 * (log(var) + difference * difference / var)
    return reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)
