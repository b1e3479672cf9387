"""The drawing in the DOT language, by the ``graphviz`` package: one card for each box, in the house style."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ...core.formula import number
from ..common.values import Summary, shape_and_dtype
from .fold import merge_parallel
from .heat import Heat, heat_of
from .model import Box, Edge, Graph, Result

# Blue and red stay apart for colour-blind readers and, as dark blue and mid red, on a grey print; no meaning
# hangs on colour alone: gradients are written ∂J/∂u, leaves are filled, the result has a heavy border.
BLUE, RED, DARK_RED = "#0B4F9E", "#C2181F", "#8C2A2E"
INK, GREY, LINE, EDGE = "#15202B", "#5F6B7A", "#8A97A6", "#5C7FA8"
FILLS = {"variable": "#EAF2FB", "parameter": "#FFF4DC", "constant": "#F0F1F3", "module": "#F3F0FA", "fold": "#F7F7F7"}
BORDERS = {"variable": "#9DB7D5", "parameter": "#D2B36A", "constant": "#BCC3CB", "module": "#A79CC8", "fold": "#A0A0A0"}
GRIDS = {BLUE: "#B9CDE6", RED: "#E8BFC1"}
CLUSTERS = ("#F8F9FB", "#EFF2F6", "#E6EBF1")

#: DejaVu Sans and Verdana have nearly the same widths: a layout made with one fits the other in a reader's browser.
FONT = "DejaVu Sans,Verdana,sans-serif"

_COURSES = {"LR": ("left", "right"), "RL": ("right", "left"), "TB": ("top", "bottom"), "BT": ("bottom", "top")}

SPACE = "\N{NO-BREAK SPACE}"  # a plain one at the end of a text counts in the layout, but is not shown everywhere

_LONGEST = 60  # characters in a line of a card
_LONGEST_LABEL = 30  # and in an edge's only line; where it has several, half as many again


@dataclass(frozen=True)
class Style:
    """What a drawing shows, and in which direction it runs."""

    values: bool = True
    gradients: bool = True
    direction: str = "LR"
    heat: bool = False


def to_dot(graph: Graph, style: Style) -> str:
    """Write a graph as DOT. The same graph gives the same text.

    Raises
    ------
    ModuleNotFoundError
        If the ``graphviz`` package is not installed.
    """
    try:
        import graphviz
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "writing DOT, and every format laid out from it, needs the graphviz package: "
            "pip install 'tinygrad_nn[viz]'; the .txt and .json formats need nothing"
        ) from error
    root = next(box for box in graph.boxes if box.id == graph.root)
    heat = heat_of(graph) if style.heat else None
    dot = graphviz.Digraph(name=f"computation graph of {root.name}")
    dot.attr(
        rankdir=style.direction,
        fontname=FONT,
        fontsize="10",
        fontcolor=GREY,
        nodesep="0.3",
        ranksep="0.55",
        pad="0.2",
        bgcolor="white",
        label=f"<{_legend(graph, style, heat)}>",
        labelloc="b",
        labeljust="l",
        tooltip=" ",
    )
    dot.attr("node", shape="plain", fontname=FONT)
    dot.attr("edge", fontname=FONT, fontsize="11", fontcolor=DARK_RED, color=EDGE, penwidth="1.3", arrowsize="0.7")
    _write_boxes(dot, graph, style, heat)
    ported = {box.id for box in graph.boxes if len(box.results) > 1}
    for edge in merge_parallel(graph.edges):
        _write_edge(dot, edge, graph, style, ported)
    return str(dot.source)


def _write_boxes(dot: Any, graph: Graph, style: Style, heat: Heat | None) -> None:
    """Boxes in the clusters of their calls; inner clusters are closed before those around them."""
    import graphviz

    used = {call for box in graph.boxes for call in graph.around(box.call)}
    clusters = {}
    for index in sorted(used):
        call = graph.calls[index]
        cluster = graphviz.Digraph(name=f"cluster_{index}")
        cluster.attr(
            label=f'<<FONT POINT-SIZE="12" COLOR="{GREY}">{_html(_cut(call.label, _LONGEST))}</FONT>>',
            labelloc="t",
            labeljust="l",
            style="rounded,filled",
            fillcolor=CLUSTERS[(call.level - 1) % len(CLUSTERS)],
            color="#C3CBD5",
            margin="10",
            tooltip=_tip(f"a call of {call.label}"),
        )
        clusters[index] = cluster
    for box in graph.boxes:
        place = dot if box.call is None else clusters[box.call]
        place.node(box.id, label=f"<{_card(box, style, heat)}>", tooltip=_tip(tooltip(box, style)))
    for index in sorted(used, reverse=True):  # calls are listed from the outside inwards
        parent = graph.calls[index].parent
        (dot if parent is None else clusters[parent]).subgraph(clusters[index])


def _write_edge(dot: Any, edge: Edge, graph: Graph, style: Style, ported: set[str]) -> None:

    traits: dict[str, str] = {}
    tail = edge.source
    if edge.source in ported and edge.count == 1:
        tail = f"{edge.source}:r{edge.result}"
    if edge.count > 1:
        label = f"{edge.count} edges"
        traits["label"] = label
    elif style.gradients:
        lines = _edge_lines(edge.label(style.values))
        if lines:
            traits["label"] = "<" + "<BR/>".join(f"{SPACE}{_html(line)}{SPACE}" for line in lines) + ">"
    if not edge.differentiable:
        traits["color"] = BORDERS["constant"]
    traits["tooltip"] = traits["labeltooltip"] = _tip(edge_tooltip(edge, graph, style))
    dot.edge(tail, edge.target, **traits)


def _edge_lines(parts: list[str]) -> list[str]:
    """``∂u/∂b = c = 2`` in one line, or in more where that is long."""
    whole = " = ".join(parts)
    if len(whole) <= _LONGEST_LABEL:
        return [whole] if parts else []
    lines = [parts[0], *(f"= {part}" for part in parts[1:])]
    return [_cut(line, _LONGEST_LABEL * 3 // 2) for line in lines]


# --- cards -----------------------------------------------------------------------------------------------------------


def _card(box: Box, style: Style, heat: Heat | None) -> str:
    rows = [_row(_text(box.heading, 14, INK, bold=box.kind in ("module", "fold")))]
    rows += [_row(_text(note, 10, GREY)) for note in box.notes]
    several = len(box.results) > 1 or box.kind in ("module", "fold")
    for index, result in enumerate(box.results):
        blocks = _result_rows(result, style, named=several)
        if several:
            inner = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{"".join(blocks)}</TABLE>'
            rows.append(f'<HR/><TR><TD PORT="r{index}">{inner}</TD></TR>')
        else:
            rows += blocks
    fill = FILLS.get(box.kind, "white")
    if heat is not None:
        fill = heat.color(box, otherwise="white")
        rows += [_row(_text(note, 10, DARK_RED))] if (note := heat.note(box)) else []
    border = INK if box.is_root else BORDERS.get(box.kind, LINE)
    return (
        f'<TABLE BORDER="{2 if box.is_root else 1}" COLOR="{border}" BGCOLOR="{fill}" '
        f'STYLE="ROUNDED" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3">{"".join(rows)}</TABLE>'
    )


def _result_rows(result: Result, style: Style, named: bool) -> list[str]:
    """What a card says of one value: name if it is one of several, shape and dtype, value, gradient."""
    rows = [_row(_text(result.name, 13, INK))] if named else []
    value, gradient = result.value, result.gradient
    array = shape_and_dtype(value)
    if array:
        rows.append(_row(_text(array, 10, GREY)))
    show_gradient = style.gradients and bool(result.gradient_name)
    if (style.values and _tabled(value)) or (show_gradient and gradient is not None and _tabled(gradient)):
        rows.append(_row(_statistics_table(result, style.values, show_gradient)))
        return rows
    if style.values and value.known:
        rows.append(_row(_numbers(value, BLUE)))
    if show_gradient and gradient is not None:
        if value.scalar:
            rows += ["<HR/>", _row(_text(f"{result.gradient_name} = {gradient.brief()}", 12, RED))]
        else:
            rows += ["<HR/>", _row(_text(result.gradient_name, 12, RED)), _row(_numbers(gradient, RED))]
    elif show_gradient and not result.gradient_note.startswith("not kept"):
        rows += ["<HR/>", _row(_text(f"{result.gradient_name} = –", 12, RED))]
    return rows


def _tabled(summary: Summary) -> bool:
    return summary.known and not summary.scalar and not summary.tiny


def _numbers(value: Summary, color: str) -> str:
    """All numbers of a tiny value: a scalar in large type, an array as a grid."""
    if value.scalar:
        return _text(value.brief(), 20 if color == BLUE else 12, color, bold=color == BLUE)
    rows = ""
    for row in value.rows():
        rows += "<TR>" + "".join(f'<TD BGCOLOR="white">{_text(x, 12, color)}</TD>' for x in row) + "</TR>"
    return f'<TABLE BORDER="0" COLOR="{GRIDS[color]}" CELLBORDER="1" CELLSPACING="0" CELLPADDING="3">{rows}</TABLE>'


def _statistics_table(result: Result, values: bool, gradients: bool) -> str:
    """Smallest, mean and largest element of a value and of its gradient, under one heading."""
    words = "".join(f'<TD ALIGN="RIGHT">{_text(word, 10, GREY)}</TD>' for word in ("min", "mean", "max"))
    rows = [f"<TR><TD></TD>{words}</TR>"]
    if values and result.value.known:
        rows.append(_statistics_row("value", result.value, BLUE))
    if gradients and not result.gradient_note.startswith("not kept"):
        name = result.gradient_name if len(result.gradient_name) <= 18 else "gradient"
        rows.append(_statistics_row(name, result.gradient, RED))
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{"".join(rows)}</TABLE>'


def _statistics_row(name: str, summary: Summary | None, color: str) -> str:
    cells = [f'<TD ALIGN="LEFT">{_text(name, 11, color)}</TD>']
    if summary is None:
        cells.append(f'<TD COLSPAN="3">{_text("–", 12, color)}</TD>')
    elif summary.lowest is None:
        words = summary.odd or ("empty" if 0 in summary.shape else "–")
        cells.append(f'<TD COLSPAN="3">{_text(words, 11, color)}</TD>')
    else:
        for x in (summary.lowest, summary.mean, summary.highest):
            cells.append(f'<TD ALIGN="RIGHT">{_text(number(x, 3), 12, color)}</TD>')
    row = f"<TR>{''.join(cells)}</TR>"
    if summary is not None and summary.odd and summary.lowest is not None:
        row += f'<TR><TD></TD><TD COLSPAN="3">{_text(summary.odd, 11, color, bold=True)}</TD></TR>'
    return row


def _row(content: str) -> str:
    return f"<TR><TD>{content}</TD></TR>"


def _text(text: str, size: int, color: str, bold: bool = False) -> str:
    inner = f"{SPACE}{_html(_cut(text, _LONGEST))}{SPACE}"
    if bold:
        inner = f"<B>{inner}</B>"
    return f'<FONT POINT-SIZE="{size}" COLOR="{color}">{inner}</FONT>'


def _html(text: str) -> str:
    """Text for an HTML-like label, in which Graphviz would replace what begins with a backslash."""
    return escape(text).replace("\\", "\\\\") or SPACE


def _tip(text: str) -> str:
    """Text for a tooltip, in lines that Graphviz takes: it refuses strings of more than 16,384 bytes."""
    import graphviz

    lines = [_cut(line, 4 * _LONGEST) for line in text.split("\n")]
    return str(graphviz.escape(_cut("\n".join(lines), 50 * _LONGEST)))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


# --- words around the cards ------------------------------------------------------------------------------------------


def _legend(graph: Graph, style: Style, heat: Heat | None) -> str:
    """What the colours mean, and what the reader must know of this drawing."""
    start, end = _COURSES[style.direction]
    lines = []
    if style.values:
        lines.append(f'<FONT COLOR="{BLUE}"><B>blue</B></FONT>{SPACE}values, computed from {start} to {end}')
    if style.gradients:
        lines.append(
            f'<FONT COLOR="{RED}"><B>red</B></FONT>{SPACE}gradients, carried from {end} to {start}: '
            "multiplied along the arrows, added where they meet"
        )
    if heat is not None:
        lines.append(heat.legend())
    results = [result for box in graph.boxes for result in box.results]
    if style.gradients and not graph.backward:
        lines.append("–  no gradient: backward() has not been called")
    elif style.gradients and any(result.gradient_note.startswith("no gradient came") for result in results):
        lines.append("–  no gradient came here, or it was cleared, or nobody holds the Tensor any more")
    if (style.values and any(not result.value.known for result in results)) or (
        style.gradients and any(result.gradient_note.startswith("not kept") for result in results)
    ):
        lines.append("a card without numbers: a large array that was not kept; tg.keep_values() keeps all")
    lines += [_html(_cut(note, 4 * _LONGEST)) for note in graph.notes]
    rows = "".join(f'<TR><TD ALIGN="LEFT">{line}</TD></TR>' for line in lines)
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1"><TR><TD></TD></TR>{rows}</TABLE>'


def tooltip(box: Box, style: Style) -> str:
    """All that is known of a box, for the reader who points at it."""
    lines = [box.heading]
    if box.op:
        settings = ", ".join(f"{key}={value}" for key, value in box.settings.items())
        lines.append(f"operation {box.op}" + (f" ({settings})" if settings else ""))
    lines += box.notes
    for result in box.results:
        if len(box.results) > 1 or box.kind in ("module", "fold"):
            lines.append(f"{result.name}:")
        lines += _result_lines(result, style)
    if box.source:
        lines.append(f"recorded at {box.source}")
    return "\n".join(lines)


def _result_lines(result: Result, style: Style) -> Iterable[str]:
    value = result.value
    yield f"{value.shape or 'scalar'} {value.dtype}"
    if style.values:
        unknown = "value not kept: large, and no derivative reads it; tg.keep_values() keeps it"
        yield f"value {value.brief()}" if value.known else unknown
    if style.gradients and result.gradient_name:
        gradient = "–" if result.gradient is None else result.gradient.brief()
        note = f" ({result.gradient_note})" if result.gradient_note else ""
        yield f"{result.gradient_name} = {gradient}{note}"


def edge_tooltip(edge: Edge, graph: Graph, style: Style) -> str:
    """An edge's step of the chain rule: ``∂J/∂u · ∂u/∂b = 3 · 2 = 6``."""
    if edge.count > 1:
        return f"{edge.count} edges"
    if not style.gradients:
        return " "
    if not edge.differentiable:
        return "no gradient flows here"
    lines = [" = ".join(edge.label(style.values))]
    if style.values and edge.contribution is not None and edge.derivative is not None:
        target = next(box for box in graph.boxes if box.id == edge.target).results[0]
        if target.gradient is not None and target.gradient.numbers is not None:
            lines.append(
                f"carries back {target.gradient_name} · {edge.symbol} = "
                f"{number(target.gradient.numbers)} · {number(edge.derivative)} = {number(edge.contribution)}"
            )
    return "\n".join(lines).strip() or " "


__all__: Sequence[str] = ["Style", "edge_tooltip", "to_dot", "tooltip"]
