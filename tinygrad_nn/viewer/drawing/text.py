"""The drawing in words, and as data."""

from __future__ import annotations

import json
import math
from typing import Any

from ..common.values import Summary, shape_and_dtype
from .dot import Style
from .model import Box, Edge, Graph, Result

#: A column is as wide as the widest entry up to this; longer entries push the rest of their line to the right.
_WIDEST = (48, 64, 64, 1000)


def to_text(graph: Graph, style: Style) -> str:
    """The graph as a program: a line for each leaf and operation, indented by the module call it belongs to."""
    incoming: dict[str, list[Edge]] = {}
    for edge in graph.edges:
        incoming.setdefault(edge.target, []).append(edge)
    table: list[tuple[str, ...]] = []
    open_calls: list[int] = []
    for box in _in_reading_order(graph, incoming):
        around = graph.around(box.call)[::-1]
        same = sum(a == b for a, b in zip(around, open_calls))
        for call in around[same:]:
            table.append(("  " * (graph.calls[call].level - 1) + graph.calls[call].label, "", "", ""))
        open_calls = around
        for what, *columns in _lines(box, incoming.get(box.id, []), style):
            table.append(("  " * len(around) + what, *columns))
    widths = [
        max((len(entry) for entry in column if len(entry) <= widest), default=0)
        for column, widest in zip(zip(*table), _WIDEST)
    ]
    lines = [graph.title, *graph.notes, ""]
    for row in table:
        lines.append("   ".join(f"{entry:<{width}}" for entry, width in zip(row, widths) if width).rstrip())
    return "\n".join(lines)


def _in_reading_order(graph: Graph, incoming: dict[str, list[Edge]]) -> list[Box]:
    """Inputs of the whole graph first, those of a module call right before the operation that first uses them."""
    by_id = {box.id: box for box in graph.boxes}
    order = {box.id: box for box in graph.boxes if box.is_leaf and box.call is None}
    for box in graph.boxes:
        if not box.is_leaf:
            sources = (by_id[edge.source] for edge in incoming.get(box.id, []))
            order.update((source.id, source) for source in sources if source.is_leaf)
            order[box.id] = box
    return list(order.values())


def _lines(box: Box, incoming: list[Edge], style: Style) -> list[tuple[str, str, str, str]]:
    """What there is to say of a box, in columns: what it is, array and statistics, gradient, local derivatives."""
    labels = [" = ".join(edge.label(style.values)) for edge in incoming] if style.gradients else []
    derivatives = ", ".join(label for label in labels if label)
    if len(box.results) == 1 and not box.notes:
        (result,) = box.results
        return [(box.heading + _exactly(result, style), _array(result, style), _gradient(result, style), derivatives)]
    rows = [(box.heading, "; ".join(box.notes), "", derivatives)]
    for result in box.results:
        rows.append(("  " + result.name + _exactly(result, style), _array(result, style), _gradient(result, style), ""))
    return rows


def _exactly(result: Result, style: Style) -> str:
    value = result.value
    return f" = {value.brief()}" if style.values and value.known and (value.scalar or value.tiny) else ""


def _array(result: Result, style: Style) -> str:
    value = result.value
    statistics = value.brief() if style.values and not (value.scalar or value.tiny) else ""
    return "  ".join(part for part in (shape_and_dtype(value), statistics) if part)


def _gradient(result: Result, style: Style) -> str:
    if not style.gradients or not result.gradient_name or result.gradient_note.startswith("not kept"):
        return ""
    if result.gradient is None:
        return f"{result.gradient_name} = –"
    exact = result.gradient.scalar or result.gradient.tiny
    return f"{result.gradient_name}{' =' if exact else ':'} {result.gradient.brief()}"


def to_json(graph: Graph, style: Style) -> str:
    """The graph as data, complete. Numbers that JSON does not know are strings: ``"nan"``, ``"inf"``, ``"-inf"``."""
    document = {
        "format": "tinygrad_nn drawing 1",
        "result": graph.root,
        "backward": graph.backward,
        "notes": graph.notes,
        "modules": [
            {"label": call.label, "path": call.path, "class": call.class_name, "parent": call.parent}
            for call in graph.calls
        ],
        "nodes": [_node(box, style) for box in graph.boxes],
        "edges": [_edge(edge, style) for edge in graph.edges],
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _node(box: Box, style: Style) -> dict[str, Any]:
    node: dict[str, Any] = {"id": box.id, "kind": box.kind, "heading": box.heading, "module": box.call}
    if box.op:
        node |= {"op": box.op, "settings": box.settings}
    if box.notes:
        node["notes"] = box.notes
    if box.source:
        node["source"] = box.source
    node["results"] = [
        {"name": result.name}
        | _summary(result.value, style.values)
        | ({"gradient": _gradient_data(result)} if style.gradients and result.gradient_name else {})
        for result in box.results
    ]
    return node


def _gradient_data(result: Result) -> dict[str, Any]:
    data: dict[str, Any] = {"name": result.gradient_name}
    if result.gradient_note:
        data["note"] = result.gradient_note
    return data | (_summary(result.gradient, True) if result.gradient is not None else {"value": None})


def _summary(summary: Summary, numbers: bool) -> dict[str, Any]:
    data: dict[str, Any] = {"shape": list(summary.shape), "dtype": summary.dtype}
    if numbers:
        data["value"] = _plain(summary.numbers)
        if summary.lowest is not None:
            data |= {"min": summary.lowest, "mean": _plain(summary.mean), "max": summary.highest}
        if summary.odd:
            data["odd"] = summary.odd
    return data


def _edge(edge: Edge, style: Style) -> dict[str, Any]:
    data: dict[str, Any] = {"from": edge.source, "result": edge.result, "to": edge.target, "position": edge.position}
    data["differentiable"] = edge.differentiable
    if style.gradients and edge.symbol:
        data |= {"symbol": edge.symbol, "formula": edge.formula or None}
        if style.values:
            data |= {"derivative": _plain(edge.derivative), "contribution": _plain(edge.contribution)}
    return data


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    return value
