"""Nested tuples, lists and dicts of arrays, taken apart into leaves and put together again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, TypeVar

T = TypeVar("T")


def of_finite_depth(function: Callable[..., T]) -> Callable[..., T]:
    """A function that goes down a nest, with words for one that has no end."""

    @wraps(function)
    def checked(*args: Any) -> T:
        try:
            return function(*args)
        except RecursionError:
            raise ValueError("a list, tuple or dict holds itself, or is nested too deeply") from None

    return checked


@of_finite_depth
def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of a nest of tuples, lists and dicts, and the structure to rebuild it with `unflatten`."""
    return _flatten(tree)


def _flatten(tree: Any) -> tuple[list[Any], Any]:
    if not isinstance(tree, dict | tuple | list):
        return [tree], None
    keys = tuple(tree) if isinstance(tree, dict) else None
    leaves: list[Any] = []
    structures = []
    for child in tree.values() if isinstance(tree, dict) else tree:
        inner, structure = _flatten(child)
        leaves += inner
        structures.append(structure)
    return leaves, (type(tree), keys, tuple(structures))


def unflatten(structure: Any, leaves: Iterable[Any]) -> Any:
    """The nest that `flatten` took apart, with other leaves."""
    leaves = iter(leaves)
    if structure is None:
        return next(leaves)
    kind, keys, structures = structure
    children = [unflatten(child, leaves) for child in structures]
    if keys is not None:
        pairs = zip(keys, children, strict=True)
        return OrderedDict(pairs) if kind is OrderedDict else dict(pairs)
    if hasattr(kind, "_fields"):  # a named tuple
        return kind(*children)
    return kind(children)


def paths(structure: Any) -> list[str]:
    """How each leaf of a nest is reached, such as ``['weight'][0]``."""
    if structure is None:
        return [""]
    _, keys, children = structure
    names = range(len(children)) if keys is None else keys
    return [f"[{name!r}]{path}" for name, child in zip(names, children) for path in paths(child)]


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The nest with `function` applied to each leaf."""
    leaves, structure = flatten(tree)
    return unflatten(structure, map(function, leaves))
