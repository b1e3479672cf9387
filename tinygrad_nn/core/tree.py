"""Nested tuples, lists and dicts of arrays, taken apart into leaves and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of a nest of tuples, lists and dicts, and the structure to rebuild it with `unflatten`."""
    if isinstance(tree, dict):
        return _gather(type(tree), tuple(tree), tree.values())
    if isinstance(tree, tuple | list):
        return _gather(type(tree), None, tree)
    return [tree], None


def _gather(kind: type, keys: tuple[Any, ...] | None, children: Any) -> tuple[list[Any], Any]:
    leaves: list[Any] = []
    structures = []
    for child in children:
        found, structure = flatten(child)
        leaves += found
        structures.append(structure)
    return leaves, (kind, keys, tuple(structures))


def unflatten(structure: Any, leaves: list[Any]) -> Any:
    """The nest that `flatten` took apart, with other leaves."""
    return _build(structure, iter(leaves))


def _build(structure: Any, leaves: Iterator[Any]) -> Any:
    if structure is None:
        return next(leaves)
    kind, keys, structures = structure
    children = [_build(child, leaves) for child in structures]
    if keys is not None:
        return dict(zip(keys, children, strict=True))
    if hasattr(kind, "_fields"):  # a named tuple
        return kind(*children)
    return kind(children)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The nest with `function` applied to each leaf."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [function(leaf) for leaf in leaves])
