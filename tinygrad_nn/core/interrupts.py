"""Ctrl-C held back while something is half written: it is made whole before KeyboardInterrupt is raised."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` gives, in a tenth of its time: that makes enumerations of numbers
from _thread import get_ident
from typing import Any

#: The thread that holds Ctrl-C back, and what stood for it before; empty while nothing is held back.
_held: list[Any] = []
#: The frames that it came in meanwhile.
_pending: list[Any] = []


def hold() -> None:
    """Hold Ctrl-C back until `release`; twice is once. Only the main thread gets it: in others this does nothing."""
    if _held:
        return
    handler = _signal.getsignal(_signal.SIGINT)
    if callable(handler):  # else it is ignored, ends the process, or is not Python's
        try:
            _signal.signal(_signal.SIGINT, _note)
        except ValueError:  # another thread
            return
        _held[:] = get_ident(), handler


def release() -> None:
    """Let Ctrl-C through again, and what has come meanwhile."""
    if not _held or _held[0] != get_ident():
        return
    handler = _held[1]
    _held.clear()
    _signal.signal(_signal.SIGINT, handler)
    if _pending:
        frame = _pending[0]
        _pending.clear()
        handler(_signal.SIGINT, frame)


def _note(signum: int, frame: Any) -> None:
    _pending.append(frame)
