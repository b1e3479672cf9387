"""Folds parts of a graph into single boxes: calls of modules below a depth, and what would not fit a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from .model import Box, Edge, Graph, Kind, counted


@dataclass
class Group:
    """Boxes to be drawn as one, and how."""

    kind: Kind
    title: str
    call: int | None
    boxes: list[Box] = field(default_factory=list)


#: A picture has at most this many boxes and, counting parallel ones once, this many edges: more would be unreadable,
#: and slow to lay out.
BOXES, EDGES = 200, 600

#: Where that is not enough, about this many operations stay around those that are folded.
KEPT = 60

#: Of more calls of one module than this, as an unrolled loop has, only the first and last few are drawn one by one.
REPEATED = 6
ENDS = 2

#: So many edges from one box to another are drawn each on its own.
PARALLEL = 4


def fold_calls(graph: Graph, depth: int) -> Graph:
    """The graph with each call of a module deeper than `depth` as one box."""
    groups: dict[int, Group] = {}
    for box in graph.boxes:
        deep = [call for call in graph.around(box.call) if graph.calls[call].level > depth]
        if deep:
            call = graph.calls[deep[-1]]
            groups.setdefault(deep[-1], Group("module", call.label, call.parent)).boxes.append(box)
    return _fold_repeated(_with_folded(graph, list(groups.values())))


def _fold_repeated(graph: Graph) -> Graph:
    """The graph with the middle of an unrolled loop as one box: from the third call of a module to its last but two.

    What else the loop does between those calls is folded with them, as arrows would lead out of the box and back in.
    """
    while True:
        calls: dict[tuple[str, int | None], list[Box]] = {}
        for box in graph.boxes:
            if box.kind == "module":
                calls.setdefault((box.title, box.call), []).append(box)
        repeated = [boxes for boxes in calls.values() if len(boxes) > REPEATED]
        if not repeated:
            return graph
        longest = max(repeated, key=len)
        count = len(longest) - 2 * ENDS
        first, last = longest[ENDS - 1].order, longest[-ENDS - 1].order
        middle = [box for box in graph.boxes if not box.is_leaf and first < box.order <= last]
        inside = sorted([*_leaves_of(graph, middle), *middle], key=_order)
        title = f"{longest[0].title} ×{count}"
        graph = _with_folded(graph, [Group("fold", title, graph.common([box.call for box in middle]), inside)])
        graph = _bundled(graph, next(box for box in graph.boxes if box.title == title))


def _bundled(graph: Graph, box: Box) -> Graph:
    """The graph without those results of a folded box that go with many others to one operation: an edge tells them."""
    counts = Counter(edge.target for edge in graph.edges if edge.source == box.id)
    shown = sorted({e.result for e in graph.edges if e.source == box.id and counts[e.target] <= PARALLEL})
    hidden = len(box.results) - len(shown)
    if box.is_root or not hidden or not shown:
        return graph
    box.results = [box.results[index] for index in shown]
    box.notes.append(counted(hidden, "more result"))
    edges: list[Edge] = []
    for edge in graph.edges:
        if edge.source != box.id:
            edges.append(edge)
        elif counts[edge.target] <= PARALLEL:
            edges.append(replace(edge, result=shown.index(edge.result)))
        elif all(e.source != box.id or e.target != edge.target for e in edges):
            edges.append(Edge(box.id, edge.target, differentiable=True, count=counts[edge.target]))
    return replace(graph, edges=edges)


def fit(graph: Graph) -> Graph:
    """The graph with as much folded as a readable picture needs, and a note that says what; itself if it is small."""
    if _fits(graph):
        return graph
    results = []
    deepest = max((call.level for call in graph.calls), default=0)
    size = _size(graph)
    for depth in range(deepest - 1, -1, -1):
        folded = fold_calls(graph, depth)
        if len(folded.boxes) < 4:  # nothing would be left to see
            break
        if _fits(folded) or depth == 0:
            results.append(f"modules at depth {depth}")
            graph = folded
            break
    if not _fits(graph):
        graph, more = _fold_middle(graph)
        results += more
    note = f"{size} are too many to draw: folded are {', '.join(results)}; .json and .txt have every part"
    return replace(graph, notes=[*graph.notes, note])


def _fits(graph: Graph) -> bool:
    return len(graph.boxes) <= BOXES and len({(edge.source, edge.target) for edge in graph.edges}) <= EDGES


def _size(graph: Graph) -> str:
    leaves = sum(box.is_leaf for box in graph.boxes)
    return f"{counted(len(graph.boxes) - leaves, 'operation')} and {counted(leaves, 'input')}"


def _fold_middle(graph: Graph) -> tuple[Graph, list[str]]:
    """Fold the middle of the operations, then of the inputs: what is near the beginning and near the result stays."""
    kept = KEPT
    while True:
        operations = [box for box in graph.boxes if not box.is_leaf]
        leaves = [box for box in graph.boxes if box.is_leaf]
        groups = []
        if len(operations) > kept:
            middle = operations[kept // 3 : len(operations) - (kept - kept // 3)]
            call = graph.common([box.call for box in middle])
            title = f"{counted(len(middle), 'operation')}, folded"
            groups.append(Group("fold", title, call, sorted([*_leaves_of(graph, middle), *middle], key=_order)))
        gone = {box.id for group in groups for box in group.boxes}
        leaves = [box for box in leaves if box.id not in gone]
        if len(leaves) > kept:
            middle = leaves[kept // 2 : len(leaves) - (kept - kept // 2)]
            groups.append(Group("fold", f"{counted(len(middle), 'input')}, folded", None, middle))
        folded = _with_folded(graph, groups)
        if _fits(folded) or kept < 8:
            return folded, [group.title.removesuffix(", folded") for group in groups]
        kept //= 2


def _order(box: Box) -> int:
    return box.order


def _leaves_of(graph: Graph, boxes: list[Box]) -> list[Box]:
    """The inputs that only `boxes` use."""
    inside = {box.id for box in boxes}
    used_outside = {edge.source for edge in graph.edges if edge.target not in inside}
    used = {edge.source for edge in graph.edges if edge.target in inside}
    return [box for box in graph.boxes if box.is_leaf and box.id in used and box.id not in used_outside]


def _contents(boxes: Iterable[Box]) -> list[str]:
    """What was folded, counted."""
    operations = Counter(box.op for box in boxes if box.kind == "operation")
    lines = []
    if operations:
        named = [f"{count}× {op}" if count > 1 else op for op, count in operations.most_common()]
        lines.append(_listed(named))
    modules = Counter(box.title for box in boxes if box.kind == "module")
    if len(modules) > 1:  # of one kind alone the title tells
        lines.append(_listed([f"{count}× {title}" if count > 1 else title for title, count in modules.items()]))
    parameters = [result for box in boxes if box.kind == "parameter" for result in box.results]
    if parameters:
        numbers = sum(_size_of(result.value.shape) for result in parameters)
        lines.append(f"{counted(len(parameters), 'parameter')}, {counted(numbers, 'number')}")
    others = sum(box.kind in ("variable", "constant") for box in boxes)
    if others:
        lines.append(counted(others, "input"))
    return lines


def _listed(words: list[str]) -> str:
    return ", ".join(words if len(words) <= 4 else [*words[:3], f"{len(words) - 3} other kinds"])


def _size_of(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _with_folded(graph: Graph, groups: list[Group]) -> Graph:
    """The graph with each group replaced by one box, which has those results of theirs that are used outside it."""
    into: dict[str, Box] = {}
    for group in groups:
        last = group.boxes[-1]
        folded = Box(last.id, group.kind, group.title, last.order, call=group.call, notes=_contents(group.boxes))
        into.update(dict.fromkeys((box.id for box in group.boxes), folded))
    leaving = {
        (edge.source, edge.result)
        for edge in graph.edges
        if edge.source in into and into[edge.source] is not into.get(edge.target)
    }
    place: dict[tuple[str, int], int] = {}
    for box in graph.boxes:
        made_of = into.get(box.id)
        for index, result in enumerate(box.results if made_of else ()):
            if made_of and (box.is_root or (box.id, index) in leaving):
                place[box.id, index] = len(made_of.results)
                made_of.results.append(result)
                made_of.is_root = made_of.is_root or box.is_root
    edges: list[Edge] = []
    drawn: set[tuple[str, int, str]] = set()
    for edge in graph.edges:
        source, target = into.get(edge.source), into.get(edge.target)
        if source is not None and source is target:
            continue
        led = replace(edge)
        if source is not None:
            led.source, led.result = source.id, place[edge.source, edge.result]
        if target is not None:  # the derivative would be of a value that is not shown
            led = Edge(led.source, target.id, led.result, differentiable=edge.differentiable)
            if (led.source, led.result, led.target) in drawn:
                continue
            drawn.add((led.source, led.result, led.target))
        edges.append(led)
    boxes = [into.get(box.id, box) for box in graph.boxes if box.id not in into or into[box.id].id == box.id]
    root = into[graph.root].id if graph.root in into else graph.root
    return replace(graph, boxes=boxes, edges=edges, root=root)


def merge_parallel(edges: list[Edge]) -> list[Edge]:
    """Edges between the same two boxes as one that tells their number, where they are more than a few."""
    between = Counter((edge.source, edge.target) for edge in edges)
    merged: dict[tuple[str, str], Edge] = {}
    results = []
    for edge in edges:
        pair = (edge.source, edge.target)
        if between[pair] <= PARALLEL:
            results.append(edge)
        elif pair not in merged:
            merged[pair] = Edge(*pair, count=between[pair])
            results.append(merged[pair])
    return results
