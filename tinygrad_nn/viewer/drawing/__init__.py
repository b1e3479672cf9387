"""Drawings of the graph that a Tensor was computed by.

`read` turns the recording into a plain model (`model`), with the names that `names` finds in the user's variables;
`fold` makes it fit a picture; `dot`, `text` and `page` write it; `render` lays it out.
"""

from __future__ import annotations

import sys
from typing import Literal

from ...tensor.tensor import Tensor
from ..common.names import Holders
from ..common.recording import check_recorded
from .dot import Style
from .drawing import Drawing
from .fold import fold_calls
from .read import read

__all__ = ["Drawing", "draw"]

_DIRECTIONS = ("LR", "RL", "TB", "BT")


def draw(
    t: Tensor,
    *,
    values: bool = True,
    gradients: bool = True,
    depth: int | None = None,
    direction: Literal["LR", "RL", "TB", "BT"] = "LR",
    heat: bool = False,
) -> Drawing:
    """Draw the graph that a Tensor was computed by: formulas, values, gradients and local derivatives.

    Values are blue. Gradients are red, and a dash until `Tensor.backward` has been called. Each arrow tells its local
    derivative, ``∂u/∂b = c = 2``; by the chain rule a card's gradient is, summed over the arrows that leave it, the
    gradient at the arrow's head times the derivative on it. An array shows its numbers where they are few, else its
    smallest, mean and largest element; of a large one that the recording did not keep, shape and dtype (record
    inside `keep_values` to keep all). What a call of a module computed is drawn in a frame with the module's name.

    A Tensor has the name it was given, else that of the variable which holds it where `draw` is called, else its path
    in the module it is a parameter of, else one from its position in the graph, such as ``v₃``.

    Parameters
    ----------
    t : Tensor
        A result, of any shape.
    values, gradients : bool
        Whether to show values; gradients and local derivatives.
    depth : int, optional
        Calls of modules nested deeper than this are drawn as one box each: 0 folds all modules, 1 those inside
        others. A graph too large for a picture is folded as far as it needs, and says so.
    direction : {"LR", "RL", "TB", "BT"}
        Which way the values go: left to right, right to left, top to bottom, bottom to top.
    heat : bool
        Colour each card by the root mean square of its gradient, from the smallest to the largest on a logarithmic
        scale, so that one sees where gradients vanish or explode. Gradients of large intermediate results are known
        if the recording was made inside `keep_values`.

    Returns
    -------
    Drawing
        Shows itself in a notebook; `Drawing.save` writes it to a file. It keeps the values and gradients of this
        moment, whatever is computed later.

    Raises
    ------
    TypeError
        If `t` is no Tensor.
    ValueError
        If nothing was recorded for `t`, or a setting is not one of those above.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> a, b, c = (tg.tensor(x, requires_grad=True) for x in (5.0, 3.0, 2.0))
    >>> u = b * c
    >>> v = a + u
    >>> J = 3 * v
    >>> J.backward()
    >>> print(tg.draw(J))
    J: 3 operations, 3 inputs
    <BLANKLINE>
    a = 5            ∂J/∂a = 3
    b = 3            ∂J/∂b = 6
    c = 2            ∂J/∂c = 9
    u = b·c = 6      ∂J/∂u = 3    ∂u/∂b = c = 2, ∂u/∂c = b = 3
    v = a + u = 11   ∂J/∂v = 3    ∂v/∂a = 1, ∂v/∂u = 1
    J = 3·v = 33     ∂J/∂J = 1    ∂J/∂v = 3
    """
    check_recorded(t, "draw", "draw")
    if direction not in _DIRECTIONS:
        raise ValueError(f"draw: direction is {direction!r}, not one of {', '.join(map(repr, _DIRECTIONS))}")
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 0):
        raise ValueError(f"draw: depth is {depth!r}; it is how many levels of module calls to open, from 0, or None")
    graph = read(t, Holders(sys._getframe(1)))
    if depth is not None:
        graph = fold_calls(graph, depth)
    return Drawing(graph, Style(values, gradients, direction, heat))
