"""Losses of classes: of probabilities and scores against labels, and of distributions against each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...ops.elementwise import exp, log, log_sigmoid, relu, softplus, where
from ...ops.layers import loss as fused
from ...ops.layers.neural import one_hot
from ...ops.reductions import log_softmax
from ...ops.shapes import astype, moveaxis, reshape, shape_of
from ...ops.shapes.indexing import index
from ...tensor.tensor import Tensor, as_array, plain_tensor
from ..checks import as_operand, broadcasts, check_probability, is_recorded
from .loss import cast_target, check_labels, check_reduction, checked_signs, matched, reduced

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "kl_div",
    "multi_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "soft_margin_loss",
]

_binary_cross_entropy = fused.binary_cross_entropy.apply


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """Binary cross-entropy −t·log x − (1 − t)·log(1 − x) of probabilities x.

    Parameters
    ----------
    input, target : array_like
        Probabilities x and targets t of one shape; they are not broadcast.
    weight : array_like, optional
        Factor on each element's loss, of a shape that broadcasts.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        ∂/∂x = (x − t)/(x(1 − x)), over the number of elements for the mean.

    Raises
    ------
    ValueError
        If a probability is outside [0, 1] or NaN, or the shapes differ.

    Notes
    -----
    As in PyTorch each logarithm is at least −100, and x(1 − x), the divisor of the derivative, at least 1e-12: a
    certain and wrong prediction has a finite loss and derivative. `binary_cross_entropy_with_logits` needs no such
    limit.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.binary_cross_entropy(tg.tensor([0.5, 0.5]), tg.tensor([0.0, 1.0]))
    tensor(0.69314718)
    """
    target = cast_target(input, target)
    if weight is None:
        return _binary_cross_entropy(input, target, reduction=reduction)
    losses = fused.binary_cross_entropy(input, target, reduction="none")
    return reduced(losses * _factor("binary_cross_entropy", "weight", weight, losses.shape), reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Binary cross-entropy of σ(x), exact for scores x of any size.

    Parameters
    ----------
    input, target : array_like
        Scores x and targets t of one shape; they are not broadcast.
    weight : array_like, optional
        Factor on each element's loss, of a shape that broadcasts.
    reduction : {"mean", "sum", "none"}
    pos_weight : array_like, optional
        Factor on the loss where the target is 1, of a shape that broadcasts.

    Returns
    -------
    Tensor
        ∂/∂x = σ(x) − t, over the number of elements for the mean.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.binary_cross_entropy_with_logits(tg.tensor([-1000.0, 0.0]), tg.tensor([0.0, 1.0]))
    tensor(0.34657359)
    """
    name = "binary_cross_entropy_with_logits"
    if weight is None and pos_weight is None:
        return fused.binary_cross_entropy_with_logits(input, cast_target(input, target), reduction=reduction)
    input, target = matched(name, input, target)
    if pos_weight is None:
        losses = fused.binary_cross_entropy_with_logits(input, target, reduction="none")
    else:
        pos_weight = _factor(name, "pos_weight", pos_weight, input.shape)
        losses = (1 - target) * input + (1 + (pos_weight - 1) * target) * softplus(-input)
    return reduced(losses if weight is None else losses * _factor(name, "weight", weight, input.shape), reduction)


def nll_loss(input: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """Negative log-likelihood: minus the log-probability of the labelled class.

    Parameters
    ----------
    input : array_like
        Log-probabilities of shape (N, C), (C,) or (N, C, …), as `log_softmax` gives them.
    target : array_like of int
        Labels 0 … C − 1, of shape (N,), () or (N, …).
    weight : array_like, optional
        Factor for each class; the mean is then that weighted by it.
    ignore_index : int
        A label whose samples count for nothing, in the mean too.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        ∂/∂input = −1 at the label and 0 elsewhere, times the weight, over the sum of weights for the mean.

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If a label is out of range, the shapes do not fit, or the mean is over no sample.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.nll_loss(tg.log(tg.tensor([[0.25, 0.75]])), tg.tensor([1]))
    tensor(0.28768207)
    """
    codes, _ = class_numbers("nll_loss", target)
    scores = _classes_last("nll_loss", input, codes.shape)
    return _labelled("nll_loss", scores, codes, weight, ignore_index, reduction, 0.0)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross-entropy of softmax(x): the `nll_loss` of its logarithm.

    Parameters
    ----------
    input : array_like
        Scores x of shape (N, C), (C,) or (N, C, …).
    target : array_like
        Integer labels 0 … C − 1 of shape (N,), () or (N, …), or floating-point probabilities of the shape of `input`.
    weight : array_like, optional
        Factor for each class; with labels the mean is then that weighted by it.
    ignore_index : int
        A label whose samples count for nothing, in the mean too.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        The share, in [0, 1], of each target that is spread evenly over the classes.

    Returns
    -------
    Tensor
        ∂/∂x = softmax(x) − one_hot(label), over the number of samples for the mean.

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If a label is out of range, the shapes do not fit, or the mean is over no sample.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.functional.cross_entropy(tg.tensor([[1000.0, 0.0], [0.0, 0.0]]), tg.tensor([0, 1]))
    tensor(0.34657359)
    """
    check_probability(label_smoothing, "label_smoothing")
    if as_operand(target).dtype.kind == "f" and shape_of(target) == shape_of(input):
        return _against_probabilities(input, target, weight, reduction, label_smoothing)
    codes, labels = class_numbers("cross_entropy", target)
    scores = _classes_last("cross_entropy", input, codes.shape)
    classes = scores.shape[-1]
    if weight is None and label_smoothing == 0 and codes.size:
        check_reduction(reduction)
        codes, counted = _mask_ignored("cross_entropy", codes, ignore_index, classes, reduction)
        if counted is None:
            return fused.cross_entropy(scores, labels, reduction=reduction)
        losses = where(counted, fused.cross_entropy(scores, codes, reduction="none"), 0)
        return losses.sum() / astype(counted, losses.dtype).sum() if reduction == "mean" else reduced(losses, reduction)
    scores = log_softmax(scores, axis=-1)
    return _labelled("cross_entropy", scores, codes, weight, ignore_index, reduction, label_smoothing)


def _labelled(
    name: str, scores: Any, codes: Any, weight: Any, ignore_index: int, reduction: str, smoothing: float
) -> Any:
    """Minus the log-probabilities at the labels, classes last, with all that can be asked for."""
    check_reduction(reduction)
    classes = scores.shape[-1]
    weight = class_weight(weight, classes)
    codes, counted = _mask_ignored(name, codes, ignore_index, classes, reduction)
    flat = reshape(scores, shape=(-1, classes))
    losses = reshape(-flat[np.arange(codes.size), codes.ravel()], shape=codes.shape)
    shares = None if weight is None else index(weight, codes)
    losses = losses if shares is None else losses * shares
    if smoothing:
        total = -(scores if weight is None else scores * weight).sum(-1)
        losses = (1 - smoothing) * losses + smoothing / classes * total
    if counted is not None:
        losses = where(counted, losses, 0)
        shares = where(counted, losses.dtype.type(1) if shares is None else shares, 0)
    return losses.sum() / shares.sum() if reduction == "mean" and shares is not None else reduced(losses, reduction)


def _mask_ignored(name: str, codes: Any, ignore_index: int, classes: int, reduction: str) -> tuple[Any, Any]:
    """Labels with 0 for those that are ignored, once the others are known to be in range; and which are not ignored.

    None if all are known to be kept; a recording knows that of no later call.
    """
    recorded = is_recorded(codes)
    if not recorded and not np.any(codes == ignore_index):
        return check_range(name, codes, classes), None
    checked, not_ignored = (op if recorded else op.kernel for op in (fused.checked_labels, fused.kept_labels))
    counted = not_ignored(codes, ignore_index=ignore_index, name=name, some=reduction == "mean")
    return checked(codes, classes=classes, name=name, ignore_index=ignore_index), counted


def _against_probabilities(input: Any, target: Any, weight: Any, reduction: str, smoothing: float) -> Any:
    check_reduction(reduction)
    axis = 1 if len(shape_of(input)) > 1 else 0
    scores = log_softmax(moveaxis(input, axis, -1), axis=-1)
    target = moveaxis(cast_target(input, target), axis, -1)
    if smoothing:
        target = target * (1 - smoothing) + smoothing / scores.shape[-1]
    weight = class_weight(weight, scores.shape[-1])
    losses = -(scores * target if weight is None else scores * target * weight).sum(-1)
    return reduced(losses, reduction)


def kl_div(input: Any, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback–Leibler divergence t·(log t − x) of log-probabilities x from probabilities t.

    Parameters
    ----------
    input : array_like
        Log-probabilities, as `log_softmax` gives them.
    target : array_like
        Probabilities of the same shape; 0·log 0 counts as 0.
    reduction : {"mean", "batchmean", "sum", "none"}
        As in PyTorch ``"mean"`` divides by the number of elements; the divergence of distributions is ``"batchmean"``,
        which divides by the length of the first axis.
    log_target : bool
        `target` holds log-probabilities too.

    Returns
    -------
    Tensor
        ∂/∂x = −t.
    """
    check_reduction(reduction, "batchmean")
    input, target = matched("kl_div", input, target)
    if log_target:
        losses = exp(target) * (target - input)
    else:
        present = target > 0
        losses = where(present, target * log(where(present, target, 1)), 0) - target * input
    if reduction == "batchmean":
        return losses.sum() / (losses.shape[0] if losses.ndim else 1)
    return reduced(losses, reduction)


def soft_margin_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """log(1 + exp(−t·x)) of scores x and targets t of 1 or −1, without overflow; ∂/∂x = −t·σ(−t·x)."""
    input, target = matched("soft_margin_loss", input, target)
    target = checked_signs("soft_margin_loss", target)
    return reduced(softplus(-target * input), reduction)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, *, reduction: str = "mean"
) -> Any:
    """Σ max(0, margin − x_y + x_i)ᵖ / C over the classes i other than the labelled y: a hinge for several classes.

    Parameters
    ----------
    input : array_like
        Scores, shape (N, C) or (C,).
    target : array_like of int
        Labels 0 … C − 1, shape (N,) or ().
    p : {1, 2}
    margin : float
    weight : array_like, optional
        Factor for each class.
    reduction : {"mean", "sum", "none"}
    """
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p must be 1 or 2, not {p!r}")
    check_reduction(reduction)
    input = as_operand(input)
    codes, _ = class_numbers("multi_margin_loss", target)
    check_labels("multi_margin_loss", input.shape, codes.shape)
    classes = input.shape[-1]
    codes = check_range("multi_margin_loss", codes, classes)
    labelled = one_hot(codes, num_classes=classes, dtype=np.bool_)
    own = where(labelled, input, 0).sum(-1, keepdims=True)
    losses = where(labelled, 0, relu(margin - own + input))
    losses = (losses if p == 1 else losses * losses).sum(-1) / classes
    weight = class_weight(weight, classes)
    return reduced(losses if weight is None else losses * index(weight, codes), reduction)


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """−t·log σ(x) − (1 − t)·log σ(−x), averaged over the classes, the last axis, each with a factor in `weight`."""
    input, target = matched("multilabel_soft_margin_loss", input, target)
    weight = class_weight(weight, input.shape[-1])
    losses = -(target * log_sigmoid(input) + (1 - target) * log_sigmoid(-input))
    return reduced((losses if weight is None else losses * weight).mean(-1), reduction)


# --- what is checked -------------------------------------------------------------------------------------------------


def class_numbers(name: str, target: Any) -> tuple[Any, Any]:
    """Labels as an array of indices, and as they can be given to an op."""
    labels = target if isinstance(target, Tensor) else plain_tensor(as_array(target, copy=True))
    values = labels._value
    if values.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: labels must be integers, but these are {values.dtype} of shape {values.shape}; convert them with "
            ".astype(int), or give probabilities in the shape of the scores to cross_entropy"
        )
    if is_recorded(labels):
        return astype(labels, np.intp), labels
    return np.asarray(values, np.intp), labels


def _classes_last(name: str, input: Any, shape: tuple[int, ...]) -> Any:
    """Scores of shape (N, C, …) with the classes as last axis."""
    scores = shape_of(input)
    needed = scores[:1] + scores[2:] if len(scores) > 1 else ()
    if not scores or shape != needed:
        raise ValueError(
            f"{name}: scores have shape {scores} and labels {shape}; scores are (N, C), (C,) or (N, C, …), "
            f"and labels the same without the classes, as integers{_remedy(scores, shape, needed)}"
        )
    return moveaxis(input, 1, -1) if len(scores) > 2 else as_operand(input)


def _remedy(scores: tuple[int, ...], shape: tuple[int, ...], needed: tuple[int, ...]) -> str:
    """What would make scores and labels of these shapes fit."""
    if scores and shape == scores:
        return ": of rows with a one at the label take labels.argmax(1), or give them as floating-point probabilities"
    if scores and shape == scores[:-1]:
        return (
            ": here the classes are the last axis; put them second, tg.moveaxis(scores, -1, 1), or give "
            f"scores.reshape(-1, {scores[-1]}) and labels.reshape(-1)"
        )
    return f": reshape the labels to {needed}" if scores and math.prod(shape) == math.prod(needed) else ""


def check_range(name: str, codes: Any, classes: int) -> Any:
    """The labels, once they are known to be of the classes that there are."""
    check = fused.checked_labels if is_recorded(codes) else fused.checked_labels.kernel
    return check(codes, classes=classes, name=name)


def class_weight(weight: Any, classes: int) -> Any:
    """A factor for each class as an array, or None."""
    if weight is not None and shape_of(weight) != (classes,):
        raise ValueError(f"weight must have shape ({classes},), one for each class; it has {shape_of(weight)}")
    return weight if weight is None else as_operand(weight)


def _factor(name: str, key: str, factor: Any, shape: tuple[int, ...]) -> Any:
    """A factor on losses of a shape, which it must not enlarge."""
    if not broadcasts(shape_of(factor), shape):
        raise ValueError(f"{name}: {key} must broadcast to {shape}, the shape of the input; it has {shape_of(factor)}")
    return as_operand(factor)
