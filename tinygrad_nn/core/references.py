"""Whether something else holds a value too, told by its number of references where Python counts them exactly."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

#: What Python says; where it does not count, nothing.
getrefcount: Callable[[Any], int] = getattr(sys, "getrefcount", lambda value: 0)


def _is_exact() -> bool:
    """Whether every holder is counted: from CPython 3.14 on the stack borrows, and threads without the GIL defer."""
    return (
        sys.implementation.name == "cpython"
        and sys.version_info < (3, 14)
        and "free-threading" not in sys.version
        and getattr(sys, "_is_gil_enabled", lambda: True)()
    )


def _measured() -> int:
    """References that `getrefcount` counts of a value besides its holders: of the call itself."""
    local = object()
    return getrefcount(local) - 1


#: That number; None where counts are not exact.
_OF_THE_CALL = _measured() if _is_exact() else None


def count_of(holders: int) -> int:
    """What `getrefcount` gives at most for a value that only so many objects, containers and local variables hold.

    Where counts are not exact every number is above it, so that a value passes for shared, and is copied.
    """
    return -1 if _OF_THE_CALL is None else holders + _OF_THE_CALL


def is_held_elsewhere(owner: Any, name: str, holders: int) -> bool:
    """Whether more hold an attribute's value than these `holders`, `owner` among them; True where nobody can tell."""
    return getrefcount(getattr(owner, name)) > count_of(holders)
