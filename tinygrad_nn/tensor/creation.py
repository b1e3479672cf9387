"""Functions that make Tensors: from data, filled with a value, or from a range."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Never, TypeAlias

import numpy as np

from ..core.adjoint import broadcast_to
from ..core.graph import StandIn
from ..core.store import read
from ..core.values import holds_tensor, plain_array, plain_tensor
from ..ops.shapes import astype, reshape, shape_of, stack
from ..ops.shapes import copy as copy_of
from .tensor import ArrayLike, Tensor, as_array

if TYPE_CHECKING:
    import numpy.typing as npt

Shape: TypeAlias = "int | Sequence[int]"
DType: TypeAlias = "npt.DTypeLike | None"


def wrap(value: Any, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """A Tensor around a new array, which nobody else holds."""
    if value.dtype.kind not in "biufc":
        raise TypeError(f"a Tensor holds numbers or bools, not {value.dtype}")
    result = plain_tensor(value if value.ndim or isinstance(value, StandIn) else value[()])
    return marked(result, requires_grad, name)


def marked(result: Tensor, requires_grad: bool, name: str | None) -> Tensor:
    """`result`, with gradients if they are required, under its name."""
    if requires_grad:
        result.requires_grad_()
    if name is not None:
        result.name = name
    return result


def _lengths(shape: Any, more: tuple[Any, ...] = ()) -> Any:
    """A shape whose lengths are plain numbers; a Tensor that has none while a program is recorded raises."""
    if more:
        raise TypeError(f"the shape is given as one tuple, {(shape, *more)}; settings such as dtype by name")
    if isinstance(shape, Tensor):
        return shape.__index__() if shape.ndim == 0 else tuple(map(operator.index, shape))
    return tuple(map(operator.index, shape)) if isinstance(shape, list | tuple) else shape


def tensor(data: ArrayLike, *, dtype: DType = None, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """A Tensor with a copy of `data`.

    Parameters
    ----------
    data : array_like
        Numbers or bools: a number, nested lists, an array. NaN and infinity are taken as they are.
    dtype : dtype, optional
        That of `data` unless given; float64 for Python's floats.
    requires_grad : bool
        Record what is computed from it, and collect its gradient.
    name : str, optional
        How drawings and messages call it.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError
        If `data` is no array of numbers, if it is or holds a Tensor that would be cut from its graph, or if gradients
        are asked for integers or bools.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.tensor([1.0, 2.0], requires_grad=True)
    tensor([1., 2.], requires_grad=True)
    """
    if isinstance(data, Tensor) and data.requires_grad:
        raise TypeError(
            "tensor() of a Tensor that requires gradients would cut it from its graph: "
            "use t.copy() to stay connected, or t.detach() to be cut"
        )
    return Tensor(data, dtype, requires_grad, name)


def asarray(
    obj: ArrayLike,
    dtype: DType = None,
    *,
    copy: bool | None = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """A Tensor that shares its memory with `obj` where it can.

    Parameters
    ----------
    obj : array_like
        A Tensor stays what it is. Lists may hold Tensors, which are joined by `stack` and stay connected.
    dtype : dtype, optional
    copy : bool, optional
        True: never share. False: raise where sharing is not possible. None: copy only if needed.
    requires_grad : bool
        The value is then copied: nobody may write to what is differentiated.
    name : str, optional

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If `copy` is False and a copy is needed.
    TypeError
        If `obj` is no array of numbers, or gradients are asked for integers or bools.

    Notes
    -----
    A later write to an array that is shared changes the Tensor too. What was recorded from it does not change.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> array = np.zeros(2)
    >>> t = tg.asarray(array)
    >>> array[0] = 1.0
    >>> t
    tensor([1., 0.])
    """
    if isinstance(obj, list | tuple) and holds_tensor(obj):
        if copy is False:
            raise ValueError("asarray: a list of Tensors cannot be joined without a copy")
        obj = _joined(obj)
        copy = None
    if isinstance(obj, Tensor):
        return _converted(obj, dtype, copy, requires_grad, name)
    if copy is False:
        try:
            np.asarray(obj, dtype, copy=False)
        except ValueError:
            raise ValueError(
                f"asarray: a Tensor{f' of {np.dtype(dtype)}' if dtype is not None else ''} cannot be made of this "
                f"{type(obj).__name__} without a copy; leave out copy=False"
            ) from None
    return marked(plain_tensor(as_array(obj, dtype, copy=bool(copy))), requires_grad, name)


def _joined(items: Any) -> Any:
    return stack([_joined(x) if isinstance(x, list | tuple) and holds_tensor(x) else x for x in items])


def _converted(obj: Tensor, dtype: DType, copy: bool | None, requires_grad: bool, name: str | None) -> Tensor:
    result = obj
    if dtype is not None and obj.dtype != dtype:
        if copy is False:
            raise ValueError(
                f"asarray: {obj.dtype} cannot be converted to {np.dtype(dtype)} without a copy; leave out copy=False"
            )
        result = astype(obj, dtype)
    elif copy:
        result = copy_of(obj)
    if result is obj and ((requires_grad and not obj.requires_grad) or (name is not None and name != obj.name)):
        # The caller's own Tensor stays as it is.
        result = copy_of(obj) if obj.requires_grad else plain_tensor(read(obj))
    return marked(result, requires_grad, name)


def from_dlpack(x: Any, *, copy: bool | None = None) -> Tensor:
    """A Tensor that shares the memory of another library's array, through the DLPack protocol."""
    return asarray(np.from_dlpack(plain_array(x) if isinstance(x, np.ndarray) else x, copy=copy))


def zeros(
    shape: Shape, *more: Never, dtype: DType = None, requires_grad: bool = False, name: str | None = None
) -> Tensor:
    """A Tensor of zeros, float64 unless `dtype` is given.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.zeros((2, 2))
    tensor([[0., 0.],
            [0., 0.]])
    """
    return wrap(np.zeros(_lengths(shape, more), dtype), requires_grad, name)


def ones(
    shape: Shape, *more: Never, dtype: DType = None, requires_grad: bool = False, name: str | None = None
) -> Tensor:
    """A Tensor of ones, float64 unless `dtype` is given."""
    return wrap(np.ones(_lengths(shape, more), dtype), requires_grad, name)


def empty(
    shape: Shape, *more: Never, dtype: DType = None, requires_grad: bool = False, name: str | None = None
) -> Tensor:
    """A Tensor whose elements are not set: whatever was in memory."""
    return wrap(np.empty(_lengths(shape, more), dtype), requires_grad, name)


def full(
    shape: Shape,
    fill_value: ArrayLike,
    *,
    dtype: DType = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """A Tensor filled with `fill_value`; if that is a Tensor, the result is connected to it.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.full(2, 3.0)
    tensor([3., 3.])
    """
    if isinstance(fill_value, Tensor):
        shape = _lengths(shape)
        lengths = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        filled = broadcast_to(fill_value, shape=lengths)
        return marked(filled if dtype is None else astype(filled, dtype, copy=False), requires_grad, name)
    value = as_array(fill_value, copy=False)
    if type(fill_value) is int and dtype is not None:
        value = np.asarray(fill_value, dtype)  # an OverflowError for what the dtype does not hold
    return wrap(np.full(_lengths(shape), value, dtype), requires_grad, name)


def zeros_like(x: ArrayLike, *, dtype: DType = None, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """Zeros in the shape of `x`, and in its dtype unless another is given; not connected to `x`."""
    return zeros(shape_of(x), dtype=_dtype_of(x, dtype), requires_grad=requires_grad, name=name)


def ones_like(x: ArrayLike, *, dtype: DType = None, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """Ones in the shape of `x`, and in its dtype unless another is given; not connected to `x`."""
    return ones(shape_of(x), dtype=_dtype_of(x, dtype), requires_grad=requires_grad, name=name)


def empty_like(x: ArrayLike, *, dtype: DType = None, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """Elements not set, in the shape of `x`, and in its dtype unless another is given."""
    return empty(shape_of(x), dtype=_dtype_of(x, dtype), requires_grad=requires_grad, name=name)


def full_like(
    x: ArrayLike,
    fill_value: ArrayLike,
    *,
    dtype: DType = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """`fill_value` in the shape of `x`, and in its dtype unless another is given; not connected to `x`."""
    return full(shape_of(x), fill_value, dtype=_dtype_of(x, dtype), requires_grad=requires_grad, name=name)


def _dtype_of(x: Any, dtype: DType) -> np.dtype[Any]:
    if dtype is None:
        dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
    return np.dtype(dtype)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    *,
    k: int = 0,
    dtype: DType = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """A matrix with ones on the diagonal `k` and zeros elsewhere.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return wrap(np.eye(n_rows, n_cols, k, _or_float(dtype)), requires_grad, name)


def tri(
    n_rows: int,
    n_cols: int | None = None,
    *,
    k: int = 0,
    dtype: DType = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """A matrix with ones on and below the diagonal `k` and zeros above it."""
    return wrap(np.tri(n_rows, n_cols, k, _or_float(dtype)), requires_grad, name)


def _or_float(dtype: DType) -> np.dtype[Any]:
    return np.dtype(np.float64 if dtype is None else dtype)


def arange(
    start: Any,
    stop: Any = None,
    step: Any = 1,
    *,
    dtype: DType = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """Numbers from `start` up to, but without, `stop`; from 0 up to `start` if that alone is given.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.arange(3)
    tensor([0, 1, 2])
    """
    if stop is None:
        start, stop = 0, start
    if any(isinstance(x, Tensor) and x.requires_grad for x in (start, stop, step)):
        raise TypeError("arange: bounds get no gradient; detach them, or use tg.linspace, whose bounds get theirs")
    if step == 0:
        raise ValueError("arange: step must not be zero")
    return wrap(np.arange(start, stop, step, dtype), requires_grad, name)  # type: ignore[call-overload]


def linspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    *,
    endpoint: bool = True,
    dtype: DType = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """`num` numbers at equal distances from `start` to `stop`, that one included if `endpoint`.

    Bounds may be arrays, for rows of the result to run between; the result is connected to bounds that are Tensors.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.linspace(0, 1, 3)
    tensor([0. , 0.5, 1. ])
    """
    first: Any = start
    last: Any = stop
    if not isinstance(first, Tensor) and not isinstance(last, Tensor):
        first, last = as_array(first, copy=False), as_array(last, copy=False)
        return wrap(np.linspace(first, last, num, endpoint, dtype=dtype), requires_grad, name)
    first, last = asarray(first), asarray(last)
    ndim = max(first.ndim, last.ndim)
    part = np.linspace(0.0, 1.0, num, endpoint).reshape((num,) + (1,) * ndim)
    result = first * (1 - part) + last * part  # exact at both ends
    return marked(result if dtype is None else astype(result, dtype, copy=False), requires_grad, name)


def meshgrid(*arrays: Any, indexing: Literal["xy", "ij"] = "xy") -> tuple[Any, ...]:
    """The coordinates of a grid's points from those along each axis.

    Parameters
    ----------
    *arrays : array_like
        Vectors.
    indexing : {"xy", "ij"}
        Whether the second vector runs along the first axis, as in plots, or the first one.

    Returns
    -------
    tuple of Tensor
        For each vector an array of the grid's shape, connected to it.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> x, y = tg.meshgrid(tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0]))
    >>> y
    tensor([[3., 3.],
            [4., 4.]])
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is 'xy' or 'ij', not {indexing!r}")
    vectors = [asarray(x) for x in arrays]
    if any(x.ndim > 1 for x in vectors):
        raise ValueError(f"meshgrid: takes vectors, not shapes {', '.join(str(x.shape) for x in vectors)}")
    axes = list(range(len(vectors)))
    if indexing == "xy":
        axes[:2] = axes[1::-1]
    shape = tuple(vectors[axis].size for axis in axes)
    return tuple(
        broadcast_to(reshape(x, shape=(x.size, *(1,) * (len(axes) - axis - 1))), shape=shape)
        for axis, x in zip(axes, vectors, strict=True)
    )


def one_hot(
    labels: ArrayLike,
    num_classes: int | None = None,
    *,
    dtype: DType = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """Rows of zeros with a one at each label's place.

    Parameters
    ----------
    labels : array_like of int
        Of any shape, from 0 to `num_classes` − 1.
    num_classes : int, optional
        Length of the new last axis; one more than the largest label unless given.
    dtype : dtype, optional
        float64 unless given.

    Raises
    ------
    TypeError
        If the labels are no integers.
    ValueError
        If a label is out of range.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.one_hot([0, 2], 3)
    tensor([[1., 0., 0.],
            [0., 0., 1.]])
    """
    if isinstance(labels._value if isinstance(labels, Tensor) else labels, StandIn):
        if num_classes is None:
            raise TypeError(
                "one_hot: the shape depends on the largest label, which differs from call to call of a compiled "
                "function; give the number of classes"
            )
        return _recorded_one_hot(asarray(labels), num_classes, _or_float(dtype))
    places = np.asarray(labels._value if isinstance(labels, Tensor) else labels)
    if places.dtype.kind not in "iu":
        raise TypeError(f"one_hot: labels must be integers, not {places.dtype}; convert them with astype(int)")
    if num_classes is None:
        num_classes = int(places.max()) + 1 if places.size else 0
    if places.size and not (places.min() >= 0 and places.max() < num_classes):
        raise ValueError(
            f"one_hot: labels run from {places.min()} to {places.max()}, but with {num_classes} classes they must be "
            f"from 0 to {num_classes - 1}"
        )
    rows = np.zeros((places.size, num_classes), _or_float(dtype))
    rows[np.arange(places.size), places.ravel()] = 1
    return wrap(rows.reshape(*places.shape, num_classes), requires_grad, name)


def _recorded_one_hot(labels: Tensor, num_classes: int, dtype: Any) -> Tensor:
    from ..ops.layers.loss import checked_labels
    from ..ops.layers.neural import one_hot as rows

    places = checked_labels(labels, classes=num_classes, name="one_hot")
    result: Tensor = rows(places, num_classes=num_classes, dtype=np.dtype(dtype).type)
    return result


__all__ = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "one_hot",
    "ones",
    "ones_like",
    "tensor",
    "tri",
    "zeros",
    "zeros_like",
]
