"""`assert_close`: results are those that were expected, up to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.tree import paths
from ..tensor.tensor import Tensor

#: By the characters of dtypes: the relative and absolute difference that rounding may make. Others must be equal.
TOLERANCES = {"e": (1e-3, 1e-5), "f": (1.3e-6, 1e-5), "d": (1e-7, 1e-7), "F": (1.3e-6, 1e-5), "D": (1e-7, 1e-7)}


def assert_close(actual: Any, desired: Any, *, rtol: float | None = None, atol: float | None = None) -> None:
    """Raise unless two results are nested alike, and their arrays have the same shapes and nearly the same numbers.

    What `numpy.testing` asks for arrays alone: it refuses a Tensor that has a derivative, since it would lose it. Here
    the numbers are compared and nothing else.

    Parameters
    ----------
    actual, desired : array_like, or nests of them in tuples, lists and dicts
        Tensors and arrays mix freely. NaN equals NaN.
    rtol, atol : float, optional
        ``|actual − desired| ≤ atol + rtol·|desired|``. By default those of the less precise of both dtypes: 1e-3 and
        1e-5 for float16, 1.3e-6 and 1e-5 for float32, 1e-7 and 1e-7 for float64; integers and bools must be equal. One
        that is given makes the other 0 by default.

    Raises
    ------
    AssertionError
        With the place in the nest, and NumPy's account of what differs.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import testing
    >>> w = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> testing.assert_close({"w": w * 2}, {"w": [2.0, 4.0]})
    """
    if isinstance(actual, Tensor | np.ndarray | np.generic) or isinstance(desired, Tensor | np.ndarray | np.generic):
        (actual_leaves, structure), (desired_leaves, other) = (([_array(x)], None) for x in (actual, desired))
    else:
        (actual_leaves, structure), (desired_leaves, other) = map(_leaves, (actual, desired))
    if structure != other:
        raise AssertionError(f"the results are nested differently: {_shape_of(actual)} and {_shape_of(desired)}")
    for place, a, b in zip(paths(structure), actual_leaves, desired_leaves, strict=True):
        if a.shape != b.shape:
            raise AssertionError(f"shape {a.shape} instead of {b.shape}{place and f', at {place}'}")
        default = max(TOLERANCES.get(a.dtype.char, (0.0, 0.0)), TOLERANCES.get(b.dtype.char, (0.0, 0.0)))
        if rtol is not None or atol is not None:
            default = (0.0, 0.0)
        limits = [limit if limit is not None else chosen for limit, chosen in zip((rtol, atol), default)]
        np.testing.assert_allclose(a, b, limits[0], limits[1], equal_nan=True, err_msg=place and f"at {place}")


def _leaves(tree: Any) -> tuple[list[Any], Any]:
    """The arrays of a nest; a list of plain numbers is one array."""
    if not isinstance(tree, dict | tuple | list) or (isinstance(tree, list) and not _holds_arrays(tree)):
        return [_array(tree)], None
    parts = [_leaves(child) for child in (tree.values() if isinstance(tree, dict) else tree)]
    keys = tuple(tree) if isinstance(tree, dict) else None
    return [leaf for leaves, _ in parts for leaf in leaves], (type(tree), keys, tuple(part for _, part in parts))


def _array(x: Any) -> Any:
    return np.asarray(x.numpy() if isinstance(x, Tensor) else x)


def _holds_arrays(items: list[Any]) -> bool:
    return any(
        isinstance(x, Tensor | np.ndarray | dict | tuple) or (isinstance(x, list) and _holds_arrays(x)) for x in items
    )


def _shape_of(tree: Any) -> str:
    return f"{type(tree).__name__} of {len(tree)}" if isinstance(tree, dict | tuple | list) else type(tree).__name__
