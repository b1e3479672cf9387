"""The picture of a history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .history import History


def draw_history(history: History, path: Any = None) -> Any:
    """A panel for the loss and for each metric, by epoch; see `History.plot`."""
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
        figure.savefig(path)
    return figure


def _panels(history: History) -> list[str]:
    names = []
    for column in history.columns:
        numbers = [x for x in history[column] if isinstance(x, int | float) and not isinstance(x, bool)]
        if column not in ("epoch", "lr") and numbers:
            names.append(column.removeprefix("val_"))
    return list(dict.fromkeys(names))
