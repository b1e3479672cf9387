"""The derivation as LaTeX, as KaTeX and MathJax take it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..common.latex import escaped
from .model import Explanation, Line
from .phrases import heading, shortened, sides, total
from .terms import Math


def to_latex(explanation: Explanation) -> str:
    """All of the derivation: blocks of equations, aligned each in itself, with words between them."""
    symbol = explanation.symbol
    if not explanation.count:
        words = f"No path leads from {explanation.variable} to {explanation.result}."
        return _stacked([f"{symbol.latex} = 0", _words(words)])
    rows = [_words(f"This is {note}.") for note in explanation.notes]
    rows.append(_aligned(map(_row, (*explanation.given, *explanation.definitions))))
    rows += [_words(heading(explanation)), *_paths(explanation)]
    if explanation.stepwise:
        rows += [_words("Step by step, from the result back:"), _aligned(map(_row, explanation.steps))]
    if explanation.formulas:
        rows += [_words("With the results that have no name written out:"), _aligned(map(_row, explanation.formulas))]
    return _stacked(rows)


def _stacked(rows: Sequence[str]) -> str:
    body = " \\\\[1ex]\n".join(rows)
    return f"\\begin{{array}}{{l}}\n{body}\n\\end{{array}}"


def _aligned(rows: Iterable[str]) -> str:
    body = " \\\\\n".join(rows)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def _words(words: str) -> str:
    return rf"\text{{{escaped(words)}}}"


def _row(line: Line) -> str:
    beside = r",\quad ".join(part.latex for part in line.beside)
    return _equation(line.left, line.right) + (rf" &&\quad {beside}" if beside else "")


def _equation(left: Math, right: Sequence[Math]) -> str:
    if not right:
        return f"&{left.latex}"
    return f"{left.latex} &= {' = '.join(part.latex for part in right)}"


def _paths(explanation: Explanation) -> Iterator[str]:
    symbol, paths = explanation.symbol, explanation.paths
    for i, path in enumerate(paths, start=1):
        number = rf"{i}.\ " if len(paths) > 1 else ""
        yield number + r" \to ".join(node.latex for node in shortened(path))
        if len(paths) > 1 and explanation.scalar:
            yield rf"\quad \displaystyle {' = '.join(side.latex for side in sides(path))}"
    if paths and explanation.scalar:
        if len(paths) > 1:
            yield rf"\displaystyle {symbol.latex} = {' = '.join(side.latex for side in total(explanation))}"
        else:
            written = [side for side in sides(paths[0]) if side.text != symbol.text]
            yield _aligned(f"{'' if i else symbol.latex} &= {side.latex}".strip() for i, side in enumerate(written))
