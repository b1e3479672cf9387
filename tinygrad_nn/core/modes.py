"""Switches for the current thread: whether operations are recorded, searched for NaN, or kept with all values."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import wraps
from types import coroutine
from typing import Any, TypeVar

from .graph import mode

F = TypeVar("F", bound=Callable[..., Any])

GENERATOR, COROUTINE, ASYNC_GENERATOR = 0x20, 0x80, 0x200  # as `inspect` has them, which would cost the import more


class _Decorating(mode):
    """A mode that is also a decorator; each call of the decorated function enters it afresh."""

    def __init__(self) -> None:
        super().__init__(*self._setting)

    _setting: tuple[str, bool]

    def __call__(self, function: F) -> F:
        flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
        if flags & ASYNC_GENERATOR:
            raise TypeError(
                f"{type(self).__name__} cannot decorate an asynchronous generator; enter it inside: "
                f"`with {type(self).__name__}():` round what is computed between two yields"
            )
        if flags & (GENERATOR | COROUTINE):
            return self._stepwise(function, bool(flags & COROUTINE))

        @wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return inside  # type: ignore[return-value]

    def _stepwise(self, function: F, awaited: bool) -> F:
        """A generator or coroutine that is in the mode while it runs itself, and not while it waits."""

        def steps(running: Any) -> Generator[Any, Any, Any]:
            resume, argument = running.send, None
            while True:
                try:
                    with type(self)():
                        yielded = resume(argument)
                except StopIteration as stop:
                    return stop.value
                try:
                    argument = yield yielded
                    resume = running.send
                except GeneratorExit:
                    with type(self)():
                        running.close()
                    raise
                except BaseException as error:
                    resume, argument = running.throw, error

        if awaited:

            @wraps(function)
            async def inside(*args: Any, **kwargs: Any) -> Any:
                return await coroutine(steps)(function(*args, **kwargs))
        else:

            @wraps(function)
            def inside(*args: Any, **kwargs: Any) -> Any:
                return (yield from steps(function(*args, **kwargs)))

        return inside  # type: ignore[return-value]


class no_grad(_Decorating):
    """Compute without recording, in this thread; the former state returns on any exit.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> w = tg.tensor(2.0, requires_grad=True)
    >>> with tg.no_grad():
    ...     w -= 0.5
    >>> w
    tensor(1.5, requires_grad=True)
    """

    _setting = ("recording", False)


class enable_grad(_Decorating):
    """Record again inside `no_grad`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> w = tg.tensor(2.0, requires_grad=True)
    >>> with tg.no_grad(), tg.enable_grad():
    ...     (w * w).requires_grad
    True
    """

    _setting = ("recording", True)


class detect_anomaly(_Decorating):
    """Raise at the first NaN or infinity, forward or backward.

    The error names the operation, shapes and statistics of its inputs, and the line of the user's code. Slow: every
    value is looked at.

    Raises
    ------
    FloatingPointError
        At the operation, or the derivative, that made the first value that is not finite.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> x = tg.tensor(0.0, requires_grad=True)
    >>> with tg.detect_anomaly():
    ...     tg.sqrt(x).backward()
    Traceback (most recent call last):
    ...
    FloatingPointError: the derivative of sqrt gave float64[] with 0 NaN, 1 inf, no finite value, ...
    """

    _setting = ("anomaly", True)


class keep_values(_Decorating):
    """Keep every value and gradient on the graph, whatever its size, so that a drawing can tell of all of them.

    Otherwise a large intermediate result is let go where no derivative reads it, and its gradient as soon as it has
    been passed on.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> x = tg.ones(1000, requires_grad=True)
    >>> with tg.keep_values():
    ...     loss = (x + 1).sum()
    ...     loss.backward()
    >>> loss.inputs[0].numpy().max()
    np.float64(2.0)
    """

    _setting = ("keeping", True)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    from .graph import modes

    return modes.recording


__all__ = ["detect_anomaly", "enable_grad", "is_grad_enabled", "keep_values", "no_grad"]
