"""Writes to a Tensor: it is bound to a new value, and with it what shares its elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import views
from ..core.graph import Node, Recorded, mode, modes, switch
from ..core.store import before_write
from ..core.values import leaf, plain_tensor
from ..ops.shapes import indexing


class Writes(Recorded):
    """How a Tensor takes on other elements; graphs recorded before keep the old ones."""

    __slots__ = ()

    retain_grad: Any

    def _check_write(self, what: str) -> None:
        if self._node is not None and self._node.op is None and modes.recording:
            raise RuntimeError(
                f"{what}: this leaf requires gradients, so a write would lose what they belong to; update it "
                "inside `with tg.no_grad():`, or compute a new Tensor instead"
            )

    def _rebind(self, result: Any, what: str) -> None:
        """Take over value and record of `result`; a leaf that requires gradients stays one."""
        if result.shape != self.shape:
            raise ValueError(f"{what} would change the shape from {self.shape} to {result.shape}")
        if result.dtype != self.dtype:
            if not np.can_cast(result.dtype, self.dtype, "same_kind"):
                raise TypeError(f"{what} would change the dtype from {self.dtype} to {result.dtype}; use astype")
            result = result.astype(self.dtype)
        if hasattr(self, "_ties"):
            views.write(self, result, what)
        else:
            self._bind(result, what, modes.recording)

    def _bind(self, result: Any, what: str, recording: bool) -> None:
        """Take over value and record of `result`, if nothing is lost by it."""
        node = self._node
        if node is not None:
            if node.op is None and recording:
                self._check_write(what)
            elif node.op is not None and result._node is None:
                raise RuntimeError(
                    f"{what} {'through detach()' if modes.recording else 'under no_grad()'} would cut this result (of "
                    f"{node.op.name}) from its graph; write to a copy, as detach().copy() gives, or write to it itself "
                    "with recording on"
                )
        self._set(result._value, result._node)

    def _set(self, value: Any, node: Node | None) -> None:
        """Bind to a value; a leaf that requires gradients stays one. Graphs recorded before keep the old value."""
        if switch.active:
            before_write(self)
        known = self._node
        self._value = value
        if node is None and (known is None or known.op is None):
            self._begin_anew()
            return
        retained = known is not None and known.extra is not None and known.extra.pop("retain", False)
        self._node = node
        if retained and node is not None:
            self.retain_grad()  # asked for by the Tensor, which is now this result
        if hasattr(self, "_constant"):
            del self._constant

    def _assign(self, value: Any) -> None:
        """Give a Tensor without record, or a leaf, a new value of the same shape."""
        if hasattr(self, "_ties"):
            with mode("recording", False):
                views.write(self, plain_tensor(value), "a new value")
            return
        if switch.active:
            before_write(self)
        self._value = value
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Stand as a new leaf, or a new constant, in the graphs recorded from now on."""
        known = self._node
        if known is not None:
            self._node = leaf(self)
            self._node.extra = known.extra
        elif hasattr(self, "_constant"):
            del self._constant

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, Recorded) and indexing.is_at(value, self, index):
            return  # what ``t[0] += 1`` does last, after the view t[0] was written to
        self._check_write("assignment to elements")
        self._rebind(indexing.index_update(self, value, index), "assignment to elements")
