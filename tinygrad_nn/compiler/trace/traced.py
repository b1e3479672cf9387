"""Traced: what stands in the place of an array while a computation is recorded for compilation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from ...core.errors import user_line
from ...core.graph import StandIn
from ...core.store import compiling
from ...core.values import ARRAYS
from ...tensor.methods import ArrayMethods


class Traced(ArrayMethods, StandIn):
    """A value of a recorded program: shape and dtype are known, the numbers differ from call to call.

    Operations on it are recorded; whatever needs the numbers themselves raises, as it could only be right for the
    one call that is being recorded.

    Attributes
    ----------
    variable : Var
        Its place in the program.
    value : array or number
        What it is in this one call, for the recorder alone.
    shared : bool
        Whether ``+=`` writes to it, as to an array that an optimizer remembers, instead of binding a name anew.
    """

    __slots__ = ()
    __array_priority__ = 1000

    var: Any  # not the method of an array

    def __init__(self, var: Any, value: Any) -> None:
        self.variable = var
        self.value = value
        self.shared = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        shape: tuple[int, ...] = self.variable.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy dtype of the elements."""
        dtype: np.dtype[Any] = self.variable.dtype
        return dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.variable.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        size = 1
        for length in self.variable.shape:
            size *= length
        return size

    @property
    def nbytes(self) -> int:
        """Bytes that the elements take."""
        return self.size * self.dtype.itemsize

    base = None  # as of an array that owns its memory: values are never written to

    def __repr__(self) -> str:
        return f"array(being recorded, shape={self.shape}, dtype={self.dtype})"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def _needs_number(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(unknown(self))

    __bool__ = __float__ = __int__ = __complex__ = __index__ = __array__ = _needs_number

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TypeError(
            f"compile: an array argument is changed in place, which its caller would see\n  at {user_line()}\n"
            "  Give a Tensor, or compute a new array: tg.index_update(x, value, index)."
        )

    __contains__ = __format__ = tolist = item = numpy = _needs_number


def _in_place(operator: Callable[[Any, Any], Any]) -> Callable[[Traced, Any], Traced]:
    """The in-place form: an array that others share changes for all of them, any other name is bound to the result."""

    def in_place(self: Traced, other: Any) -> Traced:
        result: Traced = operator(self, other)
        if not self.shared:
            return result
        self.variable, self.value = result.variable, result.value
        return self

    return in_place


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
    setattr(Traced, f"__i{_name}__", _in_place(getattr(ArrayMethods, f"__{_name}__")))


def unknown(value: Traced) -> str:
    """What to say where Python asks for the numbers of a value that is being recorded."""
    if not compiling():
        return (
            f"a Tensor of shape {value.shape} was kept while a function was being recorded by tg.compile, and has no "
            "numbers: return it from the function instead"
        )
    return (
        f"compile: Python asked for the number in a Tensor (shape {value.shape}, {value.dtype}) while a call was being "
        "recorded. A compiled function runs the recorded operations with new numbers each time, so `if`, `while`, "
        "float(), item(), numpy() and the like cannot look at them.\n"
        f"  at {user_line()}\n"
        "  Choose between values with tg.where(condition, a, b), or between branches with tg.cond; loop with "
        "tg.while_loop or tg.scan; return the Tensor and look at it outside; or name an argument that is to be "
        "fixed: tg.compile(f, static=['name'])."
    )


ARRAYS.add(Traced)
