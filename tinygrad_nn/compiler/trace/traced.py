"""Traced: what stands in the place of an array while a computation is recorded for compilation."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NoReturn
from weakref import ref

import numpy as np

from ...core.errors import user_line
from ...core.graph import StandIn, modes
from ...core.store import compiling
from ...core.values import ARRAYS
from ...ops.shapes.indexing import index, index_update
from ...tensor.methods import ArrayMethods
from ...tensor.numpy_protocol import no_write_to_array
from ...tensor.tensor import Tensor


class Traced(ArrayMethods, StandIn):
    """A value of a recorded program: shape and dtype are known, the numbers differ from call to call.

    Operations on it are recorded; whatever needs the numbers themselves raises, as it could only be right for the
    one call that is being recorded.
    """

    __slots__ = ()
    __array_priority__ = 1000

    var: Any  # not the method of an array

    def __init__(self, var: Any, value: Any) -> None:
        self.variable = var
        self.value = value  # in this one call, for the recorder alone
        self.shared = False  # whether it is read from outside: what an optimizer remembers, or an array argument
        #: Weak references to all that show the same memory, itself included; empty if it is alone.
        self.relatives: list[Any] = []
        #: Of a view by basic indexing: what it shows a part of, and the index.
        self.source: tuple[Traced, Any] | None = None

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
        return prod(self.shape)

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
        raise TypeError(unknown(self, "an array"))

    __bool__ = __float__ = __int__ = __complex__ = __index__ = _needs_number

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        if not compiling():
            raise TypeError(unknown(self))
        raise TypeError(
            f"compile: np.array or np.asarray was given what stands for an array (shape {self.shape}, {self.dtype}), "
            f"or a list of such, while a call was being recorded\n  at {user_line()}\n  It is an array already: use it "
            "as it is, x.astype(dtype) or x.copy(); make one of several with np.stack or np.concatenate."
        )

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        if type(part) is Traced and part.relatives:
            part.source = self, key
        return part

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(value) is Traced and value.is_part(self, key) and not self.shared:
            return  # of ``x[key] += y``, which has written through the view: that shows what is there
        check_write(self)
        if isinstance(value, Tensor):
            value._check_conversion("an array")
            value = modes.store.read(value)
        if not isinstance(self.value, np.ndarray):
            raise TypeError(f"'{type(self.value).__name__}' object does not support item assignment")
        self._overwrite(index_update(self, value, key))

    def aside(self) -> Traced:
        """Another stand-in of the same value, as a copy: writes to this one leave it alone."""
        other: Traced = modes.store.traced(self.variable, self.value)
        return other

    def is_part(self, other: Traced, key: Any) -> bool:
        """Whether it is a view of the other by a basic index."""
        return self.source is not None and self.source[0] is other and _same_key(self.source[1], key)

    def show_memory_of(self, other: Traced) -> None:
        """Know that it is a view of the other's memory."""
        if not other.relatives:
            other.relatives.append(ref(other))
        other.relatives.append(ref(self))
        self.relatives = other.relatives

    def _overwrite(self, result: Any) -> None:
        """Stand for another result in the same memory, and let views and what they are views of stand for theirs."""
        if result.shape != self.shape:
            raise ValueError(
                f"non-broadcastable output operand with shape {self.shape} doesn't match the broadcast shape "
                f"{result.shape}"
            )
        if result.dtype != self.dtype:
            if not np.can_cast(result.dtype, self.dtype, "same_kind"):
                raise TypeError(f"an array of {self.dtype} cannot take {result.dtype} results in place")
            result = result.astype(self.dtype)
        self.variable, self.value = result.variable, result.value
        base = self
        if self.source is not None:
            base, key = self.source
            whole = index_update(base, self, key)
            base.variable, base.value = whole.variable, whole.value
        for other in _alive(self.relatives):
            if other is not self and other.source is not None and other.source[0] is base:
                part = index(base, other.source[1])
                other.variable, other.value = part.variable, part.value

    __contains__ = __format__ = tolist = item = numpy = _needs_number


def _in_place(operator: Callable[[Any, Any], Any]) -> Callable[[Traced, Any], Traced]:
    """The in-place form: the array changes under all its names; a number is immutable, and its name is bound anew."""

    def in_place(self: Traced, other: Any) -> Traced:
        result: Any = operator(self, other)
        if not isinstance(self.value, np.ndarray) and not self.shared:
            return result  # type: ignore[no-any-return]
        if isinstance(result, Tensor):
            raise no_write_to_array(f"{operator.__name__.strip('_')} in place")
        check_write(self)
        self._overwrite(result)
        return self

    return in_place


def check_write(array: Traced) -> None:
    """Raise if a write to an array would be missed by its caller, or by a view that cannot be made anew."""
    base = array.source[0] if array.source is not None else array
    others = [x for x in _alive(array.relatives) if x is not array]
    if any(x.shared for x in others) or (array.shared and isinstance(array.value, np.ndarray) and others):
        raise TypeError(
            f"compile: an array argument is changed in place, which its caller would see\n  at {user_line()}\n"
            "  Give a Tensor, or compute a new array: tg.index_update(x, value, index)."
        )
    if any(x is not base and (x.source is None or x.source[0] is not base) for x in others):
        raise TypeError(
            f"compile: an array is changed in place that shares memory with others, views of it or what it is a view "
            f"of (transposed, reshaped, or a part of a part)\n  at {user_line()}\n  Write to a copy, `x = x.copy()`, "
            "or compute a new array: tg.index_update(x, value, index)."
        )


def _alive(relatives: list[Any]) -> list[Traced]:
    return [x for x in (one() for one in relatives) if x is not None]


def _same_key(x: Any, y: Any) -> bool:
    """Whether two basic indices are the same."""
    return type(x) is type(y) and (
        len(x) == len(y) and all(map(_same_key, x, y)) if isinstance(x, tuple) else x is y or bool(x == y)
    )


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
    setattr(Traced, f"__i{_name}__", _in_place(getattr(ArrayMethods, f"__{_name}__")))


def unknown(value: Traced, what: str = "a Tensor") -> str:
    """What to say where Python asks for the numbers of a value that is being recorded."""
    if not compiling():
        return (
            f"{what} of shape {value.shape} was kept while a function was being recorded by tg.compile, and has no "
            "numbers: return it from the function instead"
        )
    return (
        f"compile: Python asked for the number in {what} (shape {value.shape}, {value.dtype}) while a call was being "
        "recorded. A compiled function runs the recorded operations with new numbers each time, so `if`, `while`, "
        "float(), item(), numpy() and the like cannot look at them.\n"
        f"  at {user_line()}\n"
        "  Choose between values with tg.where(condition, a, b), or between branches with tg.cond; loop with "
        "tg.while_loop or tg.scan; return the Tensor and look at it outside; or name an argument that is to be "
        "fixed: tg.compile(f, static=['name'])."
    )


ARRAYS.add(Traced)
