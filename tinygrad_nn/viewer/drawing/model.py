"""The plain model of a drawing: boxes, edges and module calls, free of the engine and of any output format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ...core.formula import number
from ..common.calls import Call
from ..common.values import Summary

Kind: TypeAlias = Literal["variable", "parameter", "constant", "operation", "module", "fold"]


@dataclass
class Result:
    """A value: what a leaf holds, or one of the results of an operation.

    Attributes
    ----------
    name : str
        The user's or one made from the position; no two results of a drawing share one.
    value : Summary
        Shape and dtype, and numbers or statistics where they are known.
    gradient : Summary or None
        None before ``backward()``, and where it was not kept.
    gradient_name : str
        ``∂J/∂u``; ``u.grad`` or ``gradient of u`` where it is of something else; empty for constants.
    gradient_note : str
        What is to be known of the gradient: that it was not kept, or that it was collected from several passes.
    is_root : bool
        Whether this is what was to be drawn.
    """

    name: str
    value: Summary
    gradient: Summary | None = None
    gradient_name: str = ""
    gradient_note: str = ""
    is_root: bool = False


@dataclass
class Box:
    """What is drawn in one piece: a leaf, an operation with its results, or several operations folded together.

    Attributes
    ----------
    id : str
        ``n1``, ``n2``, ... in the order of creation.
    kind : str
        ``variable`` (a leaf that requires gradients), ``parameter``, ``constant``, ``operation``,
        ``module`` (a folded call of a module) or ``fold`` (folded for want of room).
    title : str
        The right-hand side of the formula for an operation; what a folded box stands for.
    op : str
        Name of the operation, empty for others.
    settings : dict
        Of the operation, where they are not the defaults.
    results : list of Result
    outputs : str
        Left-hand side of an operation's formula: the names of its results.
    call : int or None
        Index of the module call it is drawn in.
    source : str
        The user's line, where it was recorded.
    is_root : bool
        Whether this is what was to be drawn.
    notes : list of str
        Further lines: what a folded box holds.
    """

    id: str
    kind: Kind
    title: str
    order: int
    op: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    outputs: str = ""
    call: int | None = None
    source: str = ""
    is_root: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the first result."""
        return self.results[0].name if self.results else ""

    @property
    def heading(self) -> str:
        """The box's first line: ``u = b·c``, the name of a leaf, or what is folded."""
        if self.kind != "operation":
            return self.title
        return f"{self.outputs} = {self.title}"

    @property
    def is_leaf(self) -> bool:
        """Whether the box is an input of the graph."""
        return self.kind in ("variable", "parameter", "constant")


@dataclass
class Edge:
    """A value on its way into an operation.

    Attributes
    ----------
    source, target : str
        Ids of the boxes.
    result : int
        Which of the source's results.
    position : int
        Which of the target's inputs, counted from 0.
    differentiable : bool
        Whether a gradient flows back along it.
    symbol : str
        ``∂u/∂b``; empty where none flows, and where what it is the derivative of is not shown.
    formula : str
        Of the local derivative, in the names of the drawing; empty if the operation has none.
    derivative : float or None
        Its number, where everything is scalar and known.
    contribution : float or None
        What reaches the source by this edge: the target's gradient times `derivative`.
    count : int
        How many edges this one stands for.
    """

    source: str
    target: str
    result: int = 0
    position: int = 0
    differentiable: bool = False
    symbol: str = ""
    formula: str = ""
    derivative: float | None = None
    contribution: float | None = None
    count: int = 1

    def label(self, numbers: bool = True) -> list[str]:
        """The local derivative as ``["∂u/∂b", "c", "2"]``, to be joined by equal signs; empty if nothing is known."""
        if not self.symbol:
            return []
        parts = [self.formula] if self.formula else []
        if numbers and self.derivative is not None and number(self.derivative) not in parts:
            parts.append(number(self.derivative))
        return [self.symbol, *parts] if parts else []


@dataclass
class Graph:
    """All of a drawing: boxes in the order of creation, edges, module calls, and notes to the reader."""

    boxes: list[Box]
    edges: list[Edge]
    calls: list[Call]
    root: str
    backward: bool
    notes: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What is drawn, and how much of it: ``J: 3 operations, 3 inputs``."""
        kinds = [box.kind for box in self.boxes]
        root = next(box for box in self.boxes if box.id == self.root)
        name = next((result.name for result in root.results if result.is_root), root.name)
        sizes = [counted(kinds.count("operation"), "operation")]
        if "module" in kinds:
            sizes.append(counted(kinds.count("module"), "folded module"))
        sizes.append(counted(sum(box.is_leaf for box in self.boxes), "input"))
        return f"{name}: {', '.join(sizes)}"

    def around(self, call: int | None) -> list[int]:
        """A call and those it lies in, from the inside outwards."""
        results = []
        while call is not None:
            results.append(call)
            call = self.calls[call].parent
        return results

    def common(self, calls: list[int | None]) -> int | None:
        """The innermost call that all of `calls` lie in."""
        first, *others = (self.around(call) for call in set(calls))
        for call in first:
            if all(call in other for other in others):
                return call
        return None


def counted(count: int, thing: str) -> str:
    """``3 operations``, ``1 operation``."""
    return f"{count:,} {thing}" + ("" if count == 1 else "s")
