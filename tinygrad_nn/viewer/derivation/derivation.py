"""A finished derivation: printed, shown in notebooks, written to files."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from os import PathLike
from pathlib import Path as FilePath
from typing import Any

from ...core.files import write_whole
from ...tensor.files import form_of
from .model import Explanation, Path
from .text import to_text
from .typeset import to_latex


class _Written:
    """What has a text and a LaTeX form."""

    @property
    def text(self) -> str:
        raise NotImplementedError

    @property
    def latex(self) -> str:
        raise NotImplementedError

    def save(self, path: str | PathLike[str]) -> FilePath:
        r"""Write the derivation in the format that the suffix of `path` names.

        Parameters
        ----------
        path : path
            ``.txt`` for text, ``.tex`` for LaTeX to be ``\input`` (it needs the package amsmath), ``.md`` for
            Markdown with the LaTeX in it. The file is written whole or not at all.

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
        """
        make = form_of(path, _FORMATS, "a derivation")
        write_whole(path, make(self).encode())
        return FilePath(path)

    def __str__(self) -> str:
        return self.text

    def _displays(self) -> list[str]:
        return [self.latex]

    def _repr_latex_(self) -> str:
        return "\n\n".join(f"$$\n{one}\n$$" for one in self._displays())


_FORMATS: dict[str, Callable[[_Written], str]] = {
    ".txt": lambda written: f"{written.text}\n",
    ".tex": lambda written: "".join(f"\\[\n{one}\n\\]\n" for one in written._displays()),
    ".md": lambda written: f"{written._repr_latex_()}\n",
}


class Derivation(_Written):
    """How one derivative comes about, as `tinygrad_nn.explain` found it.

    Attributes
    ----------
    result, variable : str
        What is differentiated, and with respect to what.
    value : array or number
        The gradient, of the variable's shape and dtype.
    path_count : int
        How many paths lead from the variable to the result.
    paths : tuple of Path
        All of them, if they are at most as many as `explain` was told to write out; else none.
    steps : tuple of str
        The gradient of each intermediate result, from the result back.
    text, latex : str
        The whole derivation; the LaTeX is blocks of ``aligned`` equations, as KaTeX and MathJax take it between ``$$``.
    """

    def __init__(self, explanation: Explanation) -> None:
        self._explanation = explanation

    @property
    def result(self) -> str:
        """Name of what is differentiated."""
        return self._explanation.result

    @property
    def variable(self) -> str:
        """Name of what it is differentiated with respect to."""
        return self._explanation.variable

    @property
    def value(self) -> Any:
        """The gradient.

        Raises
        ------
        RuntimeError
            If an earlier ``backward()`` has let go of values that it needs.
        """
        if self._explanation.value is None:
            raise RuntimeError(f"{self._explanation.symbol.text} is {self._explanation.notes[0]}")
        return self._explanation.value

    @property
    def path_count(self) -> int:
        """How many paths lead from the variable to the result."""
        return self._explanation.count

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths that are written out."""
        return self._explanation.paths

    @property
    def steps(self) -> tuple[str, ...]:
        """The gradient of each intermediate result, from the result back, as text: that of the variable is the last."""
        lines = self._explanation.steps
        return tuple(" = ".join([line.left.text, *(side.text for side in line.right)]) for line in lines)

    @cached_property
    def text(self) -> str:
        """The derivation as plain text."""
        return to_text(self._explanation)

    @cached_property
    def latex(self) -> str:
        """The derivation as LaTeX, to stand in a display."""
        return to_latex(self._explanation)

    def __repr__(self) -> str:
        return f"<Derivation of {self._explanation.symbol.text}>"


class Derivations(tuple[Derivation, ...], _Written):
    """Several derivations, one after the other."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """All of them as plain text."""
        return "\n\n".join(one.text for one in self)

    @property
    def latex(self) -> str:
        """All of them as LaTeX, each to stand in a display of its own."""
        return "\n\n".join(self._displays())

    def _displays(self) -> list[str]:
        return [one.latex for one in self]

    def __repr__(self) -> str:
        return f"<Derivations of {', '.join(one._explanation.symbol.text for one in self)}>"
