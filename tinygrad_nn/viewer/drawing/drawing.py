"""A finished drawing: written to files, shown in notebooks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from ...core.files import write_whole
from ...tensor.files import form_of
from .dot import Style, to_dot
from .fold import fit
from .model import Box, Edge, Graph
from .page import to_html
from .render import NoLayoutError, render, to_svg
from .text import to_json, to_text


class Drawing:
    """The graph of a Tensor, as `tinygrad_nn.draw` found it.

    Attributes
    ----------
    nodes : list of Box
        Leaves and operations, oldest first, with their names, formulas, values and gradients.
    edges : list of Edge
        Which value goes into which operation, with the local derivative.
    source : str
        The picture in the DOT language.
    """

    def __init__(self, graph: Graph, style: Style) -> None:
        self._graph = graph
        self._style = style

    @property
    def nodes(self) -> list[Box]:
        """Leaves and operations, oldest first."""
        return self._graph.boxes

    @property
    def edges(self) -> list[Edge]:
        """Which value goes into which operation."""
        return self._graph.edges

    @cached_property
    def source(self) -> str:
        """The picture in the DOT language, the same for the same program at each run."""
        return to_dot(self._fitted, self._style)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the drawing in the format that the suffix of `path` names.

        Parameters
        ----------
        path : path
            ``.svg``, ``.png`` or ``.pdf`` for the picture, ``.html`` for a page that holds it and needs no other file,
            ``.dot`` for Graphviz, ``.txt`` or ``.json`` for the graph in words or as data. The file is written whole
            or not at all.

        Returns
        -------
        Path
            Where it was written.

        Raises
        ------
        ValueError
            For any other suffix.
        FileNotFoundError
            If the folder does not exist.
        RuntimeError
            If a picture is asked for, and there is neither the `dot` program nor the pygraphviz package.
        """
        make = form_of(path, _FORMATS, "a drawing")
        write_whole(path, make(self))
        return Path(path)

    def __repr__(self) -> str:
        return f"<Drawing of {self._title}>"

    def __str__(self) -> str:
        return to_text(self._graph, self._style)

    def _repr_svg_(self) -> str | None:
        try:
            return self._svg
        except (NoLayoutError, ModuleNotFoundError):
            return None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        svg = self._repr_svg_()
        return {"text/plain": str(self)} if svg is None else {"image/svg+xml": svg, "text/plain": repr(self)}

    @property
    def _title(self) -> str:
        return self._graph.title

    @cached_property
    def _fitted(self) -> Graph:
        return fit(self._graph)

    @cached_property
    def _svg(self) -> str:
        return to_svg(self.source, f"Computation graph of {self._title}")

    def _bitmap_or_pdf(self, form: str) -> bytes:
        return render(self.source, form)


_FORMATS: dict[str, Callable[[Drawing], bytes]] = {
    ".svg": lambda drawing: drawing._svg.encode(),
    ".png": lambda drawing: drawing._bitmap_or_pdf("png"),
    ".pdf": lambda drawing: drawing._bitmap_or_pdf("pdf"),
    ".dot": lambda drawing: drawing.source.encode(),
    ".html": lambda drawing: to_html(drawing._svg, f"Computation graph of {drawing._title}", str(drawing)).encode(),
    ".json": lambda drawing: to_json(drawing._graph, drawing._style).encode(),
    ".txt": lambda drawing: f"{drawing}\n".encode(),
}
