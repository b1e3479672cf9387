"""Views: Tensors that share their elements, so that a write to one reaches the others.

A result that shares the elements of an input is linked to it: it knows what it was taken from and how, and that knows
its views. A write to a view becomes a write to what it was taken from, up to the one that is no view; from there every
live view is computed anew. So readers look nothing up: views and writes alone pay.

Which results are views is told from shapes and the chain of views, never from the memory that a kernel happened to
leave, so that it is the same when a program is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from weakref import ref

import numpy as np

from .graph import Recorded, mode, modes
from .op import Op
from .store import read
from .values import new, plain_tensor


class Sharing:
    """How results of an op share the elements of its input.

    Parameters
    ----------
    op : Op
    layout : callable
        ``layout(array, **settings)``: the same view of a plain array, as NumPy has it.
    put : callable or None
        ``put(x, value, **settings)``: `x` with `value` in place of the elements that are shared; None where one write
        would be several.
    """

    def __init__(self, op: Op, layout: Callable[..., Any], put: Callable[..., Any] | None) -> None:
        self.op = op
        self.plain = op.apply
        self.layout = layout
        self.put = put

    def link(self, result: Any, x: Any, settings: dict[str, Any]) -> None:
        """Make `result` a view of `x`; one that is not recorded, of a Tensor that is, stands apart from its graph."""
        if x._node is not None and result._node is None:
            x = detached(x)
        view = new(View)
        view.sharing = self
        view.parent = x
        view.settings = settings
        ties_of(result).view = view
        ties = ties_of(x)
        ties.views = _with(result, ties.views)


class Ties:
    """What a Tensor shares its elements with.

    Attributes
    ----------
    view : View or None
        What it was taken from, and how.
    views : list of weak references
        What was taken from it.
    aliases : list of weak references
        What `detach` gave of it, or of what it was detached from itself, which is the first.
    """

    __slots__ = ("aliases", "view", "views")

    def __init__(self) -> None:
        self.view: View | None = None
        self.views: list[Any] = []
        self.aliases: list[Any] = []


def ties_of(x: Any) -> Ties:
    """The ties of a Tensor, which has none at first."""
    ties: Ties | None = getattr(x, "_ties", None)
    if ties is None:
        ties = x._ties = Ties()
    return ties


def view_of(x: Any) -> View | None:
    """What a Tensor was taken from; None if it is no view."""
    ties = getattr(x, "_ties", None)
    return None if ties is None else ties.view


class View:
    """What a Tensor was taken from, and how."""

    __slots__ = ("parent", "settings", "sharing")

    sharing: Sharing
    parent: Any
    settings: dict[str, Any]

    def again(self, x: Any) -> Any:
        """The same view of another Tensor, recorded if that is; linked to nothing."""
        with mode("recording", True):
            return self.sharing.plain(x, **self.settings)


def shares(
    op: Op, layout: Callable[..., Any], put: Callable[..., Any] | None, when: Callable[..., bool] | None = None
) -> None:
    """Let every result of an op with one input be a view of it, or those of which ``when(x, **settings)`` is true."""
    sharing = Sharing(op, layout, put)
    plain, link, names = op.apply, sharing.link, op.setting_names

    def apply(x: Any, *given: Any, **settings: Any) -> Any:
        if given:
            settings |= zip(names, given)
        out = plain(x, **settings)
        if isinstance(x, Recorded) and (when is None or when(x, **settings)):
            link(out, x, settings)
        return out

    apply.__name__ = apply.__qualname__ = op.name
    apply.__doc__ = op.__doc__
    op.apply = apply


def detached(x: Any) -> Any:
    """A Tensor of the same elements that is cut from what `x` was computed from."""
    result = plain_tensor(read(x))
    view = view_of(x)
    if view is not None:
        parent = view.parent
        view.sharing.link(result, parent if parent._node is None else detached(parent), view.settings)
        return result
    group = _with(result, ties_of(x).aliases or [ref(x)])
    for alias in _live(group):
        ties_of(alias).aliases = group
    return result


def owner(tensor: Any) -> Any:
    """The Tensor that a write to this one ends at, and from which it reaches all that share the elements."""
    while (view := view_of(tensor)) is not None:
        tensor = view.parent
    original = original_of(tensor)
    return original if original is tensor else owner(original)


def original_of(tensor: Any) -> Any:
    """What a Tensor was detached from; itself if it was not, or that is gone and no older one is there."""
    ties = getattr(tensor, "_ties", None)
    return next(_live(ties.aliases)) if ties is not None and ties.aliases else tensor


def array_like(x: Any, base: Any = None) -> Any:
    """An array that is to `base`, one of new elements, as `x` is to the Tensor that it is a view of."""
    views = []
    while (view := view_of(x)) is not None:
        views.append(view)
        x = view.parent
    array = np.zeros(x.shape, x.dtype) if base is None else base
    for view in reversed(views):
        array = view.sharing.layout(array, **view.settings)
    return array


def write(tensor: Any, value: Any, what: str) -> None:
    """Give a Tensor new elements, and with it all that share them; `value` is a Tensor, recorded or not."""
    recording = modes.recording
    while True:
        ties = ties_of(tensor)
        view, group = ties.view, ties.aliases
        if view is not None:
            if view.sharing.put is None:
                raise ValueError(
                    f"{what}: this view (by {view.sharing.op.name}) shows elements more than once, so that one write "
                    "would be several; write to its copy()"
                )
            with mode("recording", recording):
                value = view.sharing.put(view.parent, value, **view.settings)
            tensor = view.parent
            continue
        original = group[0]() if group else None
        if not group or original is tensor:
            break
        if value._node is not None:
            if any(alias is not tensor for alias in _live(group)):
                raise RuntimeError(
                    f"{what} of a Tensor that detach() gave: what is written has a derivative, which would be lost, as "
                    "the elements are shared with what was detached; write to a copy: detach().copy()"
                )
            ties.aliases = []  # nobody shares them any more
        if original is None:
            break
        tensor, recording = original, False
    tensor._bind(value, what, recording)
    spread(tensor)


def spread(tensor: Any) -> None:
    """Let what shares the elements of a Tensor, which is no view, have those that it was given."""
    for alias in _live(ties_of(tensor).aliases):
        if alias is not tensor:
            alias._set(tensor._value, None)
            _compute_views(alias)
    _compute_views(tensor)


def _compute_views(tensor: Any) -> None:
    tensors = [tensor]
    for x in tensors:  # which grows meanwhile
        for result in _live(ties_of(x).views):
            again = result._ties.view.again(x)
            result._set(again._value, again._node)
            tensors.append(result)


def _with(tensor: Any, known: list[Any]) -> list[Any]:
    """A list of weak references with one more; those that are dead go now and then."""
    known.append(ref(tensor))
    count = len(known)
    if count >= 8 and not count & (count - 1):
        known[1:] = [r for r in known[1:] if r() is not None]  # the first is what the others are aliases of
    return known


def _live(references: list[Any]) -> Iterator[Any]:
    for reference in tuple(references):
        tensor = reference()
        if tensor is not None:
            yield tensor
