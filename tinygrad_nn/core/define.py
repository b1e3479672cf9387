"""Making operations: a function on arrays becomes one that computes on Tensors and records."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, overload

import numpy as np

from .dispatch import dispatch_of, part
from .op import Op, Parts, Rule, registry
from .values import alias_of


def define(definition: Callable[..., Any], **traits: Any) -> Op:
    """An operation that can be called, registered nowhere."""
    result = Op(definition, **traits)
    if not result.own:
        result._wrap_rule = _reading_only
        result.kernel = _checked(result.kernel, result.name)
    result.apply = dispatch_of(result)
    return result


def _reading_only(function: Rule) -> Rule:
    """A user's function that cannot write to the arrays it is given: others hold them too."""

    @wraps(function)
    def reading(*args: Any, **settings: Any) -> Any:
        return function(*map(_read_only, args), **settings)

    return reading


def _read_only(x: Any) -> Any:
    """An array that cannot be written to, or a Tensor that nobody else has."""
    if type(x) is np.ndarray:
        x = x.view()
        x.flags.writeable = False
    elif type(x) is tuple or type(x) is list:
        x = type(x)(map(_read_only, x))
    elif hasattr(x, "_node"):
        x = alias_of(x)
    return x


def _checked(kernel: Rule, name: str) -> Rule:
    """A user's kernel that cannot write to its inputs, and whose results are arrays."""
    from .references import count_of, getrefcount  # not needed for the operations that are here

    reading = _reading_only(kernel)
    alone = count_of(1)  # of an array that one variable holds

    @wraps(kernel)
    def checked(*inputs: Any, **settings: Any) -> Any:
        out = reading(*inputs, **settings)
        if isinstance(out, tuple):
            return tuple([_as_result(x, name).copy() for x in out])
        # A buffer that the kernel keeps for the next call would be written to under the result.
        if type(out) is np.ndarray and (out.base is not None or getrefcount(out) > alone):
            return out.copy()
        return _as_result(out, name)

    return checked


def _as_result(x: Any, name: str) -> Any:
    if isinstance(x, np.ndarray | np.generic):
        return x
    if isinstance(x, int | float | complex):
        return np.asarray(x)[()]
    raise TypeError(f"{name} gave {type(x).__name__}; an op's kernel gives an array, or a tuple of arrays")


@overload
def op(definition: Callable[..., Any], /) -> Op: ...
@overload
def op(
    *,
    name: str | None = None,
    kernel: Callable[..., Any] | None = None,
    elementwise: bool = False,
    linear: Literal[False, "jointly", "separately"] = False,
    analytic: bool = False,
    singular: bool = False,
    differentiable: bool = True,
    formula: str | None = None,
) -> Callable[[Callable[..., Any]], Op]: ...
def op(definition: Callable[..., Any] | None = None, /, **traits: Any) -> Any:
    """Make an operation of a function on arrays, and register it under its name.

    Positional parameters are the differentiable inputs, keyword-only ones are settings (a caller may also give them by
    position, after the inputs, as in ``tg.sum(x, 0)``). Give the local derivatives with
    `Op.derivatives`. The traits are those of `Op`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> @tg.op(elementwise=True)
    ... def halve(x):
    ...     return x / 2
    >>> halve.derivatives(lambda g, out, x: g / 2)
    <op halve(x)>
    """

    def register(definition: Callable[..., Any]) -> Op:
        result = define(definition, **traits)
        key = result.name if result.own else f"{result.__module__}.{result.name}"
        if result.own and key in registry:
            raise ValueError(f"an op named {key!r} is registered already, in {registry[key].__module__}")
        registry[key] = result
        return result

    return register if definition is None else register(definition)


__all__ = ["Op", "Parts", "Rule", "define", "op", "part", "registry"]
