"""The derivation as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .model import Explanation, Line, Path
from .phrases import heading, shortened, sides, total

_WIDTH = 96
_INDENT = "    "


def to_text(explanation: Explanation) -> str:
    """All of the derivation, in blocks."""
    symbol = explanation.symbol.text
    if not explanation.count:
        return f"{symbol} = 0\n\nNo path leads from {explanation.variable} to {explanation.result}."
    blocks = [f"{symbol} is {note}." for note in explanation.notes]
    if explanation.scalar:
        blocks.append("\n".join([*_given(explanation), *_table(explanation.definitions)]))
    else:
        blocks.append("\n".join(_table([*explanation.given, *explanation.definitions])))
    blocks.append(heading(explanation))
    blocks += _paths(explanation)
    if explanation.stepwise:
        blocks.append("Step by step, from the result back:")
        blocks.append("\n".join(_table(explanation.steps)))
    if explanation.formulas:
        blocks.append("With the results that have no name written out:")
        blocks.append("\n".join(_table(explanation.formulas)))
    return "\n\n".join(block for block in blocks if block)


def _given(explanation: Explanation) -> list[str]:
    """The numbers that are put in, in one line, or as many as it takes."""
    lines, line = [], ""
    for item in (_line(line) for line in explanation.given):
        if line and len(line) + len(item) + 2 > _WIDTH:
            lines.append(line)
            line = ""
        line += f", {item}" if line else item
    return [_INDENT + text for text in [*lines, line] if text]


def _line(line: Line) -> str:
    return " = ".join([line.left.text, *(part.text for part in line.right)])


def _table(lines: Sequence[Line]) -> list[str]:
    """Lines with what is said beside them in a column, at the width of the longest that is not too long."""
    written = [_line(line) for line in lines]
    width = max((len(text) for text, line in zip(written, lines) if line.beside and len(text) <= 64), default=0)
    return [
        (_INDENT + f"{text:<{width}}   {', '.join(part.text for part in line.beside)}").rstrip()
        for text, line in zip(written, lines)
    ]


def _paths(explanation: Explanation) -> Iterator[str]:
    symbol, paths = explanation.symbol.text, explanation.paths
    rows: list[str] = []
    for i, path in enumerate(paths, start=1):
        first = f"{i}. " if len(paths) > 1 else ""
        rows += _path_rows(path, first)
        if len(paths) > 1 and explanation.scalar:
            rows += _equalities([side.text for side in sides(path)])
    if rows:
        yield "\n".join(_INDENT + row for row in rows)
    if paths and explanation.scalar:
        written = [side.text for side in (total(explanation) if len(paths) > 1 else sides(paths[0]))]
        written = written[1:] if written[0] == symbol else written
        together = [" = ".join([symbol, *written])] if len(paths) > 1 else _aligned(symbol, written)
        yield "\n".join(_INDENT + row for row in together)


def _aligned(left: str, sides: Sequence[str]) -> list[str]:
    return [f"{left if not i else ' ' * len(left)} = {side}" for i, side in enumerate(sides)]


def _equalities(sides: Sequence[str]) -> list[str]:
    """Sides of an equation under a numbered path: in one line if there is room."""
    whole = f"   {' = '.join(sides)}"
    if len(whole) <= _WIDTH:
        return [whole]
    return [f"   {'= ' if i else '  '}{side}" for i, side in enumerate(sides)]


def _path_rows(path: Path, first: str) -> list[str]:
    """A path, over as many lines as it takes."""
    rows, row = [], first
    for i, node in enumerate(shortened(path)):
        piece = f" → {node.text}" if i else node.text
        if i and len(row) + len(piece) > _WIDTH:
            rows.append(row)
            row = " " * (len(first) + 2) + piece[1:]
        else:
            row += piece
    return [*rows, row]
