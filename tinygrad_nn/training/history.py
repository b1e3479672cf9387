"""What came of each epoch, as a small table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from ..core.files import write_whole
from ..tensor.tensor import Tensor
from .stopping import better_is, monitored


class History:
    """The figures of a training by epoch.

    Parameters
    ----------
    rows : iterable of dict
        One for each epoch: names and numbers.

    Attributes
    ----------
    rows : list of dict

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> history = tg.training.History()
    >>> history.append({"epoch": 1, "loss": 0.7, "val_loss": 0.6})
    >>> history.append({"epoch": 2, "loss": 0.5, "val_loss": 0.55})
    >>> history["loss"]
    [0.7, 0.5]
    >>> history.best("loss")["epoch"]
    2
    >>> print(history)
     epoch  loss  val_loss
         1   0.7       0.6
         2   0.5      0.55
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self.rows: list[dict[str, Any]] = []
        for row in rows:
            self.append(row)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add an epoch; numbers become Python's."""
        self.rows.append({str(name): _as_number(value) for name, value in row.items()})

    @property
    def columns(self) -> list[str]:
        """All names, in the order of their first coming."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def __getitem__(self, key: str | int) -> Any:
        """A column as a list with None where an epoch lacks it, or by number the row of an epoch."""
        if not isinstance(key, str):
            return self.rows[key]
        if key not in self.columns:
            raise KeyError(f"there is no column {key!r}; there are {', '.join(map(repr, self.columns)) or 'none'}")
        return [row.get(key) for row in self.rows]

    def __contains__(self, key: object) -> bool:
        return key in self.columns

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self.rows == other.rows

    __hash__ = None  # type: ignore[assignment]

    def best(self, monitor: str = "loss", mode: str = "auto") -> dict[str, Any]:
        """The row of the epoch in which a figure was best; see `EarlyStopping` for both arguments."""
        figures = [(monitored(monitor, row), row) for row in self.rows]
        known = [pair for pair in figures if pair[0] == pair[0]]
        if not known:
            raise ValueError(f"there is no epoch with a figure {monitor!r}")
        choose = min if better_is(monitor, mode) == "min" else max
        return choose(known, key=lambda pair: pair[0])[1]

    # --- files -------------------------------------------------------------------------------------------------------

    def save(self, path: Any) -> None:
        """Write the table as ``.json``, a list of rows, or as ``.csv``."""
        import csv
        import io
        import json

        kind = _kind(path)
        if kind == ".json":
            text = json.dumps(self.rows, indent=1, ensure_ascii=False) + "\n"
        else:
            buffer = io.StringIO()
            writer = csv.DictWriter(buffer, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)  # a float is written with all the digits that it takes to read it back
            text = buffer.getvalue()
        write_whole(path, text.encode())

    @classmethod
    def load(cls, path: Any) -> History:
        """Read what `save` wrote."""
        import csv
        import json

        kind = _kind(path)
        with open(path, encoding="utf-8", newline="") as file:
            if kind == ".json":
                return cls(json.load(file))
            return cls({n: _read(v) for n, v in row.items() if v != ""} for row in csv.DictReader(file))

    def plot(self, path: Any = None) -> Any:
        """Draw loss and metrics by epoch, training and validation together.

        Parameters
        ----------
        path : path-like, optional
            Where to save the picture; the ending tells the format (``.svg``, ``.png``, ``.pdf``).

        Returns
        -------
        matplotlib.figure.Figure
            Shows itself in a notebook.

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        return _drawn(self, path)

    def __repr__(self) -> str:
        columns = self.columns
        cells = [columns, *([_text(row.get(name)) for name in columns] for row in self.rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        lines = ["  ".join(text.rjust(width) for text, width in zip(line, widths)) for line in cells]
        return "\n".join(" " + line for line in lines) if columns else "History()"


def _as_number(value: Any) -> Any:
    """A figure as Python's number, so that files keep it exactly; strings and None as they are."""
    if value is None or isinstance(value, str | bool):
        return value
    if getattr(value, "size", 1) != 1:
        raise TypeError(f"a history holds numbers and text, not an array of shape {value.shape}")
    value = value.item() if isinstance(value, Tensor) or hasattr(value, "item") else value
    return value if isinstance(value, int | str) else float(value)


def _kind(path: Any) -> str:
    kind = Path(path).suffix
    if kind not in (".json", ".csv"):
        raise ValueError(f"a history is saved as .json or .csv, not as {Path(path).name!r}")
    return kind


def _read(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"True": True, "False": False}.get(text, text)


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _drawn(history: History, path: Any) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("History.plot needs matplotlib: pip install matplotlib") from error
    panels = _panels(history)
    if not panels:
        raise ValueError("History.plot: there is nothing to draw yet; train an epoch first")
    figure = Figure(figsize=(4.5 * len(panels), 3.4), layout="constrained")
    epochs = [row.get("epoch", number) for number, row in enumerate(history, start=1)]
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        for column, label, color in ((name, "training", "tab:blue"), (f"val_{name}", "validation", "tab:red")):
            if column in history:
                figures = [float("nan") if x is None else x for x in history[column]]
                axes.plot(epochs, figures, label=label, color=color, marker="." if len(epochs) < 40 else None)
        axes.set_xlabel("epoch")
        axes.set_title(name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    if path is not None:
        content = BytesIO()
        figure.savefig(content, format=Path(path).suffix[1:] or "png")
        write_whole(path, content.getvalue())
    return figure


def _panels(history: History) -> list[str]:
    names = []
    for column in history.columns:
        numbers = [x for x in history[column] if isinstance(x, int | float) and not isinstance(x, bool)]
        if column not in ("epoch", "lr") and numbers:
            names.append(column.removeprefix("val_"))
    return list(dict.fromkeys(names))
