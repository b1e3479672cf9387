"""Ctrl-C between two steps, where all is whole."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any, NoReturn


class Interrupt:
    """A context in which the first Ctrl-C asks to stop, and the second one stops.

    In other threads, and where a program has a handler of its own, Ctrl-C does what it did.

    Attributes
    ----------
    wanted : bool
        Whether somebody pressed Ctrl-C.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._installed = False

    def __enter__(self) -> Interrupt:
        ours = threading.current_thread() is threading.main_thread()
        if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
            self._installed = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _handle(self, number: int, frame: Any) -> None:
        if self.wanted:
            signal.default_int_handler(number, frame)
        self.wanted = True
        print("\nstopping after this step; press Ctrl-C again to stop at once", file=sys.stderr)

    def now(self) -> NoReturn:
        """Stop, as Ctrl-C does."""
        raise KeyboardInterrupt
