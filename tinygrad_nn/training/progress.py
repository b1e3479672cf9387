"""The bar that shows how far an epoch is, where somebody can see it."""

from __future__ import annotations

import sys
from typing import Any


class Bar:
    """A tqdm bar for one epoch; nothing where nobody looks, or tqdm is not installed."""

    def __init__(self, shown: bool, title: str, total: int | None, done: int) -> None:
        self._bar: Any = None
        if shown and _watched():
            tqdm = _tqdm()
            if tqdm is not None:
                self._bar = tqdm(desc=title, total=total, initial=done, unit="batch", leave=True, dynamic_ncols=True)
        #: Called after each batch.
        self.step = (lambda: None) if self._bar is None else self._bar.update

    def note(self, figures: dict[str, Any]) -> None:
        """Show figures at the end of the line."""
        if self._bar is not None:
            shown = {k: f"{v:.4g}" for k, v in figures.items() if isinstance(v, float)}
            self._bar.set_postfix(shown, refresh=True)

    def close(self) -> None:
        """Leave the line as it is."""
        if self._bar is not None:
            self._bar.close()


def _watched() -> bool:
    """Whether errors go to a terminal or a notebook."""
    return "ipykernel" in sys.modules or bool(getattr(sys.stderr, "isatty", lambda: False)())


def _tqdm() -> Any:
    try:
        if "ipykernel" in sys.modules:
            from tqdm.auto import tqdm
        else:
            from tqdm import tqdm
    except ImportError:
        return None
    return tqdm
