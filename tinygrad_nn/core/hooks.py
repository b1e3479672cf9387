"""Handles of gradient hooks."""

from __future__ import annotations

import itertools
from typing import Any

from .graph import changes


class HookHandle:
    """Takes a hook away again."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self._hooks = hooks
        self._id = next(self._ids)
        hooks[self._id] = hook
        changes.count += 1

    def remove(self) -> None:
        """Take the hook away; once more does nothing."""
        self._hooks.pop(self._id, None)
        changes.count += 1

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
