"""Operators and methods of a Tensor: an ndarray's own, as sugar over the operations."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn, Self, SupportsIndex, TypeAlias, TypeVar

import numpy as np

from ..core.define import Op
from ..core.hints import OF_TENSOR
from ..ops import elementwise as ew
from ..ops import reductions as reduction
from ..ops import shapes as shaping
from ..ops.linalg import products as linalg
from ..ops.shapes import indexing
from .numpy_protocol import call_function, call_ufunc

if TYPE_CHECKING:
    import numpy.typing as npt


Axis: TypeAlias = "int | tuple[int, ...] | None"
T = TypeVar("T")
ArrayLike: TypeAlias = Any
Binary: TypeAlias = Callable[[Any, Any], T]
Unary: TypeAlias = Callable[[Any], T]


def _reflected(op: Op) -> Binary[Any]:
    """The operator's form for a Tensor on the right: ``2 - t``."""
    apply = op.apply

    def reflected(self: Any, other: Any) -> Any:
        return apply(other, self)

    return reflected


def _in_place(op: Op) -> Binary[Any]:
    """The operator's in-place form: the Tensor is bound to the result, as an immutable value would be."""
    apply = op.apply

    def in_place(self: Any, other: Any) -> Any:
        self._check_write(f"{op.name} in place")
        self._rebind(apply(self, other), f"{op.name} in place")
        return self

    return in_place


class ArrayMethods:
    """What an ndarray has; `Tensor` adds what records and differentiates."""

    __slots__ = ()

    ndim: Any
    dtype: Any
    __hash__ = object.__hash__  # by identity, as == compares elements

    # --- operators: the dispatch of each op itself, so that no call is spent between ---------------------------------

    __add__: Binary[Self] = ew.add.apply
    __radd__: Binary[Self] = _reflected(ew.add)
    __iadd__: Binary[Self] = _in_place(ew.add)
    __sub__: Binary[Self] = ew.subtract.apply
    __rsub__: Binary[Self] = _reflected(ew.subtract)
    __isub__: Binary[Self] = _in_place(ew.subtract)
    __mul__: Binary[Self] = ew.multiply.apply
    __rmul__: Binary[Self] = _reflected(ew.multiply)
    __imul__: Binary[Self] = _in_place(ew.multiply)
    __truediv__: Binary[Self] = ew.divide.apply
    __rtruediv__: Binary[Self] = _reflected(ew.divide)
    __itruediv__: Binary[Self] = _in_place(ew.divide)
    __floordiv__: Binary[Self] = ew.floor_divide.apply
    __rfloordiv__: Binary[Self] = _reflected(ew.floor_divide)
    __ifloordiv__: Binary[Self] = _in_place(ew.floor_divide)
    __mod__: Binary[Self] = ew.remainder.apply
    __rmod__: Binary[Self] = _reflected(ew.remainder)
    __imod__: Binary[Self] = _in_place(ew.remainder)
    __pow__: Binary[Self] = ew.power.apply
    __rpow__: Binary[Self] = _reflected(ew.power)
    __ipow__: Binary[Self] = _in_place(ew.power)
    __matmul__: Binary[Self] = linalg.matmul.apply
    __rmatmul__: Binary[Self] = _reflected(linalg.matmul)
    __imatmul__: Binary[Self] = _in_place(linalg.matmul)
    __and__: Binary[Self] = ew.bitwise_and.apply
    __rand__: Binary[Self] = _reflected(ew.bitwise_and)
    __iand__: Binary[Self] = _in_place(ew.bitwise_and)
    __or__: Binary[Self] = ew.bitwise_or.apply
    __ror__: Binary[Self] = _reflected(ew.bitwise_or)
    __ior__: Binary[Self] = _in_place(ew.bitwise_or)
    __xor__: Binary[Self] = ew.bitwise_xor.apply
    __rxor__: Binary[Self] = _reflected(ew.bitwise_xor)
    __ixor__: Binary[Self] = _in_place(ew.bitwise_xor)
    __lshift__: Binary[Self] = ew.left_shift.apply
    __rshift__: Binary[Self] = ew.right_shift.apply
    __lt__: Binary[Self] = ew.less.apply
    __le__: Binary[Self] = ew.less_equal.apply
    __gt__: Binary[Self] = ew.greater.apply
    __ge__: Binary[Self] = ew.greater_equal.apply
    __neg__: Unary[Self] = ew.negative.apply
    __pos__: Unary[Self] = ew.positive.apply
    __abs__: Unary[Self] = ew.absolute.apply
    __invert__: Unary[Self] = ew.invert.apply

    def __eq__(self, other: object) -> Self:  # type: ignore[override]
        return NotImplemented if other is None or isinstance(other, str) else ew.equal(self, other)

    def __ne__(self, other: object) -> Self:  # type: ignore[override]
        return NotImplemented if other is None or isinstance(other, str) else ew.not_equal(self, other)

    def __divmod__(self, other: ArrayLike) -> tuple[Self, Self]:
        return self // other, self % other

    def __round__(self, decimals: int = 0) -> Self:
        return ew.round(self, decimals=decimals)

    def __getitem__(self, index: Any) -> Self:
        return indexing.index(self, index)

    # --- methods, as an ndarray has them -----------------------------------------------------------------------------

    @property
    def T(self) -> Self:
        """All axes in reverse order."""
        return shaping.matrix_transpose(self) if self.ndim == 2 else shaping.permute_dims(self)

    @property
    def mT(self) -> Self:
        """The last two axes exchanged."""
        return shaping.matrix_transpose(self)

    @property
    def real(self) -> Self:
        """The real parts, a view; see `tinygrad_nn.real`."""
        return ew.real(self)

    @property
    def imag(self) -> Self:
        """The imaginary parts, a view; see `tinygrad_nn.imag`."""
        return ew.imag(self)

    def __dir__(self) -> list[str]:
        """Without the names that only say what to write instead."""
        return [name for name in object.__dir__(self) if name not in OF_TENSOR]

    def astype(self, dtype: npt.DTypeLike, *, copy: bool = True) -> Self:
        """The value in another dtype; the gradient comes back in this one."""
        return shaping.astype(self, dtype, copy=copy)

    def to(self, dtype: npt.DTypeLike) -> Self:
        """The value in another dtype, itself if it has that already. ``to("cpu")`` changes nothing."""
        if isinstance(dtype, str) and dtype.partition(":")[0] in ("cpu", "cuda", "mps"):
            if dtype != "cpu":
                raise ValueError(f"to({dtype!r}): arrays are on the CPU, there is no other device")
            return shaping.astype(self, self.dtype, copy=False)
        return shaping.astype(self, dtype, copy=False)

    def float(self) -> Self:
        """As float32, as in PyTorch."""
        return self.to(np.float32)

    def double(self) -> Self:
        """As float64, as in PyTorch."""
        return self.to(np.float64)

    def copy(self) -> Self:
        """A copy; the gradient passes through it."""
        return shaping.copy(self)

    clone = copy

    def sum(self, axis: Axis = None, keepdims: bool = False, *, dtype: npt.DTypeLike | None = None) -> Self:
        """Sum over `axis`; see `tinygrad_nn.sum`."""
        return reduction.sum(self, axis=axis, keepdims=keepdims, dtype=dtype)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """Mean over `axis`; see `tinygrad_nn.mean`."""
        return reduction.mean(self, axis=axis, keepdims=keepdims)

    def var(self, axis: Axis = None, correction: Any = 0, keepdims: bool = False, *, ddof: Any = None) -> Self:
        """Variance over `axis`; see `tinygrad_nn.var`."""
        return reduction.var(self, axis=axis, correction=correction if ddof is None else ddof, keepdims=keepdims)

    def std(self, axis: Axis = None, correction: Any = 0, keepdims: bool = False, *, ddof: Any = None) -> Self:
        """Standard deviation over `axis`; see `tinygrad_nn.std`."""
        return reduction.std(self, axis=axis, correction=correction if ddof is None else ddof, keepdims=keepdims)

    def prod(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """Product over `axis`; see `tinygrad_nn.prod`."""
        return reduction.prod(self, axis=axis, keepdims=keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """Largest element along `axis`; see `tinygrad_nn.max`."""
        return reduction.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """Smallest element along `axis`; see `tinygrad_nn.min`."""
        return reduction.min(self, axis=axis, keepdims=keepdims)

    def all(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """Whether all elements along `axis` are true."""
        return reduction.all(self, axis=axis, keepdims=keepdims)

    def any(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """Whether any element along `axis` is true."""
        return reduction.any(self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Self:
        """Index of the largest element along `axis`."""
        return reduction.argmax(self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Self:
        """Index of the smallest element along `axis`."""
        return reduction.argmin(self, axis=axis, keepdims=keepdims)

    def argsort(self, axis: int = -1) -> Self:
        """Indices that sort the elements along `axis`."""
        return shaping.argsort(self, axis=axis)

    def cumsum(self, axis: int | None = None) -> Self:
        """Running sums along `axis`; see `tinygrad_nn.cumulative_sum`."""
        return reduction.cumsum(self, axis)

    def reshape(self, *shape: SupportsIndex | tuple[SupportsIndex, ...]) -> Self:
        """The same elements in another shape, given as one tuple or as several numbers."""
        return shaping.reshape(self, shape=one_or_many(shape))

    view = reshape

    def ravel(self) -> Self:
        """All elements along one axis."""
        return shaping.reshape(self, shape=(-1,))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Self:
        """The axes from `start_dim` to `end_dim` as one."""
        return shaping.flatten(self, start_dim, end_dim)

    def transpose(self, *axes: SupportsIndex | tuple[SupportsIndex, ...]) -> Self:
        """Axes in the order given, reversed if none is."""
        return shaping.permute_dims(self, axes=one_or_many(axes) if axes else None)

    permute = transpose

    def swapaxes(self, axis1: int, axis2: int) -> Self:
        """Two axes exchanged."""
        return shaping.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Axis = None) -> Self:
        """Without the axes of length 1."""
        return shaping.squeeze(self, axis=axis)

    def unsqueeze(self, axis: int) -> Self:
        """With a new axis of length 1."""
        return shaping.expand_dims(self, axis=axis)

    def repeat(self, repeats: int | tuple[int, ...], axis: int | None = None) -> Self:
        """Each element repeated, as in NumPy."""
        return shaping.repeat(self, repeats, axis)

    def take(self, indices: ArrayLike, axis: int | None = None) -> Self:
        """Elements at `indices` along `axis`."""
        return indexing.take(self, indices, axis)

    def sort(self, axis: int = -1) -> NoReturn:
        """Not in place, as values are never written to: use `tinygrad_nn.sort`."""
        raise TypeError("a Tensor cannot be sorted in place; use tg.sort(t), which returns the sorted Tensor")

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self:
        """Elements on a diagonal."""
        return indexing.diagonal(self, offset=offset, axis1=axis1, axis2=axis2)

    def trace(self, offset: int = 0) -> Self:
        """Sum of the diagonal."""
        return self.diagonal(offset).sum(-1)

    def dot(self, other: ArrayLike) -> Self:
        """Product as `numpy.dot` has it."""
        return linalg.dot(self, other)

    def clip(self, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Self:
        """Elements limited to [min, max]."""
        return ew.clip(self, min, max)

    clamp = clip

    def round(self, decimals: int = 0) -> Self:
        """Elements rounded to a number of decimals; the derivative is 0."""
        return ew.round(self, decimals=decimals)

    def conj(self) -> Self:
        """Complex conjugate."""
        return ew.conjugate(self)

    exp: Unary[Self] = ew.exp.apply
    log: Unary[Self] = ew.log.apply
    sqrt: Unary[Self] = ew.sqrt.apply
    square: Unary[Self] = ew.square.apply
    sin: Unary[Self] = ew.sin.apply
    cos: Unary[Self] = ew.cos.apply
    tan: Unary[Self] = ew.tan.apply
    tanh: Unary[Self] = ew.tanh.apply
    sigmoid: Unary[Self] = ew.sigmoid.apply
    relu: Unary[Self] = ew.relu.apply
    abs: Unary[Self] = ew.absolute.apply
    sign: Unary[Self] = ew.sign.apply

    def softmax(self, axis: int = -1) -> Self:
        """Softmax along `axis`."""
        return reduction.softmax(self, axis=axis)

    def log_softmax(self, axis: int = -1) -> Self:
        """Logarithm of the softmax along `axis`."""
        return reduction.log_softmax(self, axis=axis)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **settings: Any) -> Any:
        return call_ufunc(ufunc, method, inputs, settings)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        return call_function(function, args, kwargs)


for _name, _method in vars(ArrayMethods).items():
    if type(_method) is FunctionType and _method.__module__ == __name__:
        _method.__qualname__ = f"Tensor.{_name}"  # what an error about its arguments calls it


def one_or_many(args: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], tuple | list) else args
