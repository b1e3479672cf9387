"""A line of progress while a large graph is recorded."""

from __future__ import annotations

import sys
from typing import Any

#: A sign of life after so many operations: the first comes after some tenths of a second.
STEPS_A_SIGN = 5000


class Progress:
    """Shows how many operations were recorded, where somebody looks at a terminal and tqdm is installed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar: Any = None

    def show(self, count: int) -> None:
        """So many operations by now."""
        if self._bar is None:
            if not sys.stderr.isatty():
                return
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._bar = tqdm(desc=f"recording {self._name}", unit=" operations", leave=False)
        self._bar.update(count - self._bar.n)

    def close(self) -> None:
        """Take the line away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
