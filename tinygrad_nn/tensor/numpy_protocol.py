"""NumPy's own functions called on Tensors: each is handed to its counterpart here, so that it is recorded.

What has no counterpart raises a TypeError. Nothing is computed on the bare arrays unseen, except questions that have no
derivative, such as `numpy.shape` and `numpy.allclose`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from inspect import Parameter, Signature, signature
from typing import Any

import numpy as np

from ..core.define import Op, registry
from ..core.graph import Recorded, StandIn
from ..core.store import as_constant
from ..core.tree import flatten
from ..ops.shapes import reshape

#: The public face: what a user knows by NumPy's name is looked up there, when it is asked for.
_public: Any = sys.modules[__name__.partition(".")[0]]

_EXPLICIT = "nothing is cut from its graph silently: use t.numpy() or np.asarray(t) to compute on the bare array"


#: NumPy's names of ufuncs that are called otherwise here.
_UFUNCS = {"degrees": "rad2deg", "fabs": "absolute", "radians": "deg2rad", "rint": "round"}

#: By ufunc, what ``accumulate`` gives.
_RUNNING = {"add": "cumsum", "multiply": "cumprod"}


def call_ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Any], settings: Mapping[str, Any]) -> Any:
    """What ``ufunc(t)``, ``array * t`` or ``ufunc.reduce(t)`` gives where some input is a Tensor.

    Raises
    ------
    TypeError
        For ufuncs and settings without a counterpart, and for what would write into an array: ``out=`` and
        ``array += t``.
    """
    called = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
    settings = {key: value for key, value in settings.items() if not _is_default(key, value)}
    if "out" in settings:
        raise no_write_to_array(called)
    if method == "__call__":
        if ufunc is np.divmod:
            return _public.floor_divide(*inputs), _public.remainder(*inputs)
        op = _of_ufunc(ufunc, called)
        _check_settings(called, settings, frozenset(op.setting_names))
        return op(*inputs, **settings)
    if method == "at":
        raise TypeError(
            f"{called} writes in place, and values of Tensors are never written to: use tg.index_update(t, v, index)"
        )
    if method == "outer":
        _check_settings(called, settings, frozenset())
        x, y = inputs
        shape = (*np.shape(x), *(1,) * np.ndim(y))
        return _of_ufunc(ufunc, called)(reshape(x, shape=shape), y)
    counterpart = _reduction_of(ufunc) if method == "reduce" else None
    if method == "accumulate" and ufunc.__name__ in _RUNNING:
        counterpart = getattr(_public, _RUNNING[ufunc.__name__])
    if counterpart is None:
        raise _lacking(called)
    axis = settings.pop("axis", inputs[1] if len(inputs) > 1 else 0)
    _check_settings(called, settings, _names_of(counterpart))
    return counterpart(inputs[0], axis=axis, **settings)


def _of_ufunc(ufunc: np.ufunc, called: str) -> Op:
    op = registry.get(_UFUNCS.get(ufunc.__name__, ufunc.__name__))
    if op is None or len(op.input_names) != ufunc.nin:
        raise _lacking(called)
    return op


@lru_cache(None)
def _reduction_of(ufunc: np.ufunc) -> Any:
    """The op that gives what ``ufunc.reduce`` gives."""
    if ufunc is np.logaddexp:
        return _public.logsumexp
    return next((op for op in registry.values() if op.reduces is ufunc), None)


#: Questions without a derivative that shape and dtype answer.
_OF_SHAPES = frozenset(("can_cast", "common_type", "iscomplexobj", "isrealobj", "ndim", "result_type", "shape", "size"))

#: Those that the bare arrays answer, and functions that write them to files.
_OF_NUMBERS = frozenset(
    (
        "allclose",
        "array2string",
        "array_equal",
        "array_equiv",
        "array_repr",
        "array_str",
        "isclose",
        "may_share_memory",
        "min_scalar_type",
        "save",
        "savetxt",
        "savez",
        "savez_compressed",
        "shares_memory",
    )
)

#: Names of NumPy's parameters that are called otherwise here.
_SETTINGS = {"a_max": "max", "a_min": "min", "ddof": "correction", "newshape": "shape"}


def call_function(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What ``np.sum(t)``, ``np.concatenate([t, t])`` and NumPy's other functions give where some argument is a Tensor.

    Raises
    ------
    TypeError
        For functions and settings without a counterpart, and for ``out=``.
    """
    name = function.__name__
    module = "np.linalg" if function.__module__ == "numpy.linalg" else "np"
    called = f"{module}.{name}"
    if module == "np" and (name in _OF_SHAPES or name in _OF_NUMBERS):
        bare = partial(_bare, numbers=name in _OF_NUMBERS)
        return function(*map(bare, args), **{key: bare(value) for key, value in kwargs.items()})
    counterpart = _counterpart(function)
    if counterpart is None:
        raise _lacking(called if function.__module__ in ("numpy", "numpy.linalg") else f"{function.__module__}.{name}")
    if function is np.where:
        return _public.nonzero(*args) if len(args) == 1 else _public.where(*args)
    inputs, settings = _translated(_signature(function), args, kwargs)
    if "out" in settings:
        raise no_write_to_array(called)
    if function is np.linalg.trace or function is np.linalg.diagonal:
        settings = {"axis1": -2, "axis2": -1, **settings}
    _check_settings(called, settings, _names_of(counterpart))
    result = counterpart(*inputs, **settings)
    if isinstance(result, Recorded) and not any(isinstance(x, Recorded) for x in flatten((inputs, settings))[0]):
        return as_constant(result._value)  # `np.zeros_like` of an array, while a program is recorded
    return result


def _counterpart(function: Callable[..., Any]) -> Callable[..., Any] | None:
    name = function.__name__
    if function.__module__ == "numpy" and name in _public.__all__:
        return getattr(_public, name)  # type: ignore[no-any-return]
    if function.__module__ == "numpy.linalg" and name in _public.linalg.__all__:
        return getattr(_public.linalg, name)  # type: ignore[no-any-return]
    return None


@lru_cache(None)
def _signature(function: Callable[..., Any]) -> Signature | None:
    try:
        return signature(function)
    except ValueError:  # of a function written in C
        return None


def _translated(
    parameters: Signature | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """What a counterpart is given by position and by name: NumPy's settings by name, but those left at default."""
    if parameters is None:
        return list(args), dict(kwargs)
    inputs: list[Any] = []
    settings: dict[str, Any] = {}
    for name, value in parameters.bind(*args, **kwargs).arguments.items():
        parameter = parameters.parameters[name]
        if parameter.kind is Parameter.VAR_POSITIONAL:
            inputs.extend(value)
        elif parameter.kind is Parameter.VAR_KEYWORD:
            settings.update(value)
        elif parameter.default is Parameter.empty:
            inputs.append(value)
        elif not (value is parameter.default or (isinstance(value, str | bool | int) and value == parameter.default)):
            settings[_SETTINGS.get(name, name)] = value
    return inputs, {name: value for name, value in settings.items() if not _is_default(name, value)}


def _is_default(name: str, value: Any) -> bool:
    """Whether a setting is as good as not given."""
    if name == "out" and isinstance(value, tuple):
        return all(array is None for array in value)
    return (name == "where" and value is True) or (name in ("out", "dtype") and value is None)


@lru_cache(None)
def _names_of(counterpart: Callable[..., Any]) -> frozenset[str]:
    if isinstance(counterpart, Op):
        return frozenset(counterpart.setting_names)
    return frozenset(signature(counterpart).parameters)


def _bare(x: Any, numbers: bool) -> Any:
    """The arrays of Tensors in a nest; without `numbers`, arrays of their shapes and dtypes."""
    if isinstance(x, Recorded | StandIn):
        return x.numpy() if numbers else np.broadcast_to(np.zeros((), x.dtype), x.shape)
    return type(x)([_bare(item, numbers) for item in x]) if type(x) in (list, tuple) else x


def _check_settings(called: str, settings: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(settings.keys() - known)
    if unknown:
        remedy = "choose elements with tg.where" if unknown[0] == "where" else f"it takes {sorted(known) or 'none'}"
        raise TypeError(f"{called} of a Tensor takes no setting {unknown[0]!r}; {remedy}")


def _lacking(called: str) -> TypeError:
    return TypeError(f"{called} has no counterpart for Tensors; {_EXPLICIT}")


def no_write_to_array(called: str) -> TypeError:
    """What to raise where an array would take a result that belongs to a graph."""
    return TypeError(
        f"{called} of a Tensor cannot write into an array (`out=`, or in place as `array += t`), which would cut the "
        "result from its graph: bind it to a new name, `result = array + t`, or use t.numpy() to be cut explicitly"
    )
