"""Results that share their elements with an argument, with a Tensor outside, or with each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.tree import flatten, unflatten
from ..core.views import detached
from .call import MISS
from .trace.sharing import Link, Step


def linking(call: Callable[[Any, Any], Any], links: Sequence[Link], hidden: int) -> Callable[[Any, Any], Any]:
    """A call whose results are linked as `links` say; the last `hidden` ones are there only for that."""
    of_arguments = any(link.argument is not None for link in links)

    def linked(args: Any, kwargs: Any) -> Any:
        out = call(args, kwargs)
        if out is MISS:
            return out
        results, structure = flatten(out)
        arguments = flatten((args, kwargs))[0] if of_arguments else ()
        for link in links:
            root = link.held
            if link.argument is not None:
                root = arguments[link.argument]
            elif link.other is not None and root is None:
                root = results[link.other]
            results[link.result] = _taken(root, link.steps, results[link.result])
        whole = unflatten(structure, results)
        return whole[0] if hidden else whole

    return linked


def _taken(x: Any, steps: Sequence[Step], result: Any) -> Any:
    """What is taken from `x` by all steps; by the last one it is the result that is there."""
    for i, step in enumerate(steps, 1):
        if step is None:
            x = detached(x)
            continue
        sharing, settings = step
        part = result if i == len(steps) else sharing.plain(x, **settings)
        sharing.link(part, x, settings)
        x = part
    return x
