"""Tensor: an array that records what is computed with it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..core import reverse, values, views
from ..core.define import Op, part
from ..core.dispatch import set_tensor_type
from ..core.graph import Constant, HookHandle, Node, Spec, StandIn, changes, mode, modes, switch
from ..core.hints import add_hints
from ..core.values import as_array, constant, leaf, ndarray, new
from .methods import ArrayMethods
from .writes import Writes

if TYPE_CHECKING:
    from types import ModuleType

    import numpy.typing as npt

ArrayLike: TypeAlias = "Tensor | npt.ArrayLike"

# The core makes Tensors without knowing the class; from here on it is known.
plain_tensor: Callable[[Any], Tensor] = values.plain_tensor
tensor_at: Callable[[Node, Any], Tensor] = values.tensor_at
alias_of: Callable[[Any], Tensor] = values.alias_of


class Tensor(ArrayMethods, Writes):
    """An n-dimensional array whose operations are recorded, so that they can be differentiated and drawn.

    Parameters
    ----------
    data : array_like
        Copied, so that later writes to it change nothing here.
    dtype : dtype, optional
        NumPy's; that of `data` unless given.
    requires_grad : bool
        Record what is computed from this Tensor, and collect its gradient in `grad`.
    name : str, optional
        How drawings and messages call it.

    Raises
    ------
    TypeError
        If `data` is no array of numbers, or gradients are asked for integers or bools.

    Notes
    -----
    A value is never written to: ``t[i] = v`` and ``t += v`` bind the Tensor to a new value, and what was computed
    from it before keeps the old one. `numpy` and ``np.asarray`` give read-only views.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> x = tg.Tensor([1.0, 2.0], requires_grad=True)
    >>> (x**2).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ()
    __array_priority__ = 1000

    _value: Any
    _node: Node | None
    _constant: Constant
    _grad: Tensor | None

    def __init__(
        self, data: ArrayLike, dtype: npt.DTypeLike | None = None, requires_grad: bool = False, name: str | None = None
    ) -> None:
        if isinstance(data, Tensor) and data._node is not None:
            raise TypeError(
                "a copy of a Tensor that requires gradients would be cut from its graph; use it itself, or its detach()"
            )
        self._value = as_array(data, dtype, copy=True)
        self._node = None
        if requires_grad:
            self.requires_grad_()
        if name is not None:
            self.name = name

    # --- what it is --------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        shape: tuple[int, ...] = self._value.shape
        return shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._value.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(self._value.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy dtype of the elements."""
        dtype: np.dtype[Any] = self._value.dtype
        return dtype

    @property
    def nbytes(self) -> int:
        """Bytes that the elements take."""
        return self.size * self.dtype.itemsize

    @property
    def device(self) -> str:
        """``"cpu"``, as in the array API standard."""
        return "cpu"

    @property
    def requires_grad(self) -> bool:
        """Whether what is computed from this Tensor is recorded for differentiation."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    @property
    def is_leaf(self) -> bool:
        """Whether the Tensor was made by the user rather than by a recorded operation."""
        return self._node is None or self._node.op is None

    @property
    def op(self) -> Op | None:
        """The operation that made this Tensor, None for a leaf."""
        node = self._node
        if node is not None and node.op is part:
            node = node.x
        return None if node is None else node.op

    @property
    def inputs(self) -> tuple[Any, ...]:
        """What the operation was applied to: Tensors, and plain numbers as they were given.

        A leaf is the very Tensor that was used. The value of an intermediate result that is large and was not needed
        for a derivative is no longer there: its shape and dtype are.
        """
        node = self._node
        if node is None:
            return ()
        if node.op is part:
            node = node.x
        return tuple(tensor_of(source) if isinstance(source, Node) else source for source in node.inputs)

    @property
    def name(self) -> str | None:
        """Name in drawings and messages, None unless given."""
        node = self._node or getattr(self, "_constant", None)
        return None if node is None or node.extra is None else node.extra.get("name")

    @name.setter
    def name(self, name: str | None) -> None:
        if self._node is None:
            node: Node = constant(self, self._value)
            self._constant = node  # type: ignore[assignment]
        self._note("name", name)

    @property
    def grad(self) -> Tensor | None:
        """Gradient collected by `backward`, of this Tensor's shape and dtype; None before."""
        if switch.active:
            return modes.store.gradient(self)  # type: ignore[no-any-return]
        return getattr(self, "_grad", None)

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if gradient is not None:
            gradient = reverse.check_gradient(gradient, self, "grad")
            gradient = alias_of(gradient) if isinstance(gradient, Tensor) else plain_tensor(gradient)
        self._set_gradient(gradient)

    def _set_gradient(self, gradient: Tensor | None) -> None:
        if switch.active:
            modes.store.bind_gradient(self, gradient)
        else:
            self._grad = gradient

    # --- differentiation ---------------------------------------------------------------------------------------------

    def backward(
        self, gradient: ArrayLike | None = None, *, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Add the gradient of this Tensor with respect to every leaf that requires it to that leaf's `grad`.

        Parameters
        ----------
        gradient : array_like, optional
            ∂L/∂self to start from, of this Tensor's shape and dtype; 1 for a scalar.
        retain_graph : bool
            Keep the saved values, so that `backward` can pass here again.
        create_graph : bool
            Record the pass itself, so that the gradients can be differentiated; implies `retain_graph`.

        Raises
        ------
        RuntimeError
            If nothing was recorded, if an earlier pass let the saved values go, or if the Tensor is no scalar and
            no gradient is given.
        ValueError, TypeError
            If `gradient` has another shape or dtype.

        Examples
        --------
        >>> import tinygrad_nn as tg
        >>> x = tg.tensor(3.0, requires_grad=True)
        >>> (x * x).backward()
        >>> x.grad
        tensor(6.)
        """
        reverse.backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph)

    def detach(self) -> Tensor:
        """The same elements, cut from what they were computed from; a write counts as one under `no_grad`.

        Raises
        ------
        RuntimeError
            When it is written to while the result that it was detached from is there, whose graph would become wrong,
            or with what has a derivative, which would be lost; ``detach().copy()`` can be written to.
        """
        return views.detached(self)  # type: ignore[no-any-return]

    @property
    def data(self) -> Tensor:
        """The same elements, as `detach` gives them; assignment gives the Tensor new ones."""
        return self.detach()

    @data.setter
    def data(self, data: ArrayLike) -> None:
        with mode("recording", False):
            self._rebind(plain_tensor(as_array(data, copy=True)), "an assignment to data")

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for gradients of this Tensor, or no longer; returns it.

        Raises
        ------
        TypeError
            For integer and bool Tensors, which have no derivatives.
        RuntimeError
            If turned off for a computed result; use `detach`.
        """
        changes.count += 1
        if requires_grad and self._node is None:
            if self.dtype.kind != "f":
                raise TypeError(
                    f"only floating-point Tensors can require gradients, this one is {self.dtype}; "
                    "convert it first: x.astype(tg.float64)"
                )
            if type(self._value) is ndarray and self._value.base is not None:
                self._value = self._value.copy()  # shared with an array that somebody else can write to
            known = getattr(self, "_constant", None)
            self._node = leaf(self)
            if known is not None:
                self._node.extra = known.extra
        elif not requires_grad and self._node is not None:
            if self._node.op is not None:
                raise RuntimeError(
                    f"requires_grad cannot be turned off for a result (of {self._node.op.name}); use detach()"
                )
            self._node = None
        return self

    def retain_grad(self) -> None:
        """Collect the gradient of this intermediate result in `grad`, as for a leaf."""
        node = self._recorded("retain_grad()")
        if node.op is not None:
            from weakref import ref

            node.tensor = ref(self)
            self._note("retain", True)

    def register_hook(self, hook: Callable[[Tensor], ArrayLike | None]) -> HookHandle:
        """Call `hook` with this Tensor's gradient whenever one is computed; a result replaces the gradient.

        Returns
        -------
        HookHandle
            Its ``remove()`` takes the hook away.

        Examples
        --------
        >>> import tinygrad_nn as tg
        >>> x = tg.tensor(3.0, requires_grad=True)
        >>> handle = x.register_hook(lambda g: g * 10)
        >>> (x * 2).backward()
        >>> x.grad
        tensor(20.)
        """
        node = self._recorded("register_hook()")
        hooks = (node.extra or {}).get("hooks")
        if hooks is None:
            hooks = {}
            self._note("hooks", hooks)
        return HookHandle(hooks, hook)

    def _recorded(self, caller: str) -> Node:
        if self._node is None:
            raise RuntimeError(f"{caller} on a Tensor that does not require gradients; make it with requires_grad=True")
        return self._node

    def _note(self, key: str, value: Any) -> None:
        """Set one of the rare things that a node can hold."""
        node = self._node if self._node is not None else self._constant
        node.extra = {**(node.extra or {}), key: value}

    def _accumulate(self, gradient: Tensor) -> None:
        """Add a gradient that nobody else has to `grad`, in a new array: the old one may be held by somebody."""
        if gradient._value.dtype is not self._value.dtype:  # the Tensor was converted since
            gradient = gradient.astype(self.dtype)
        if switch.active:
            old = self.grad
            self._set_gradient(gradient if old is None else old + gradient)
            return
        old = getattr(self, "_grad", None)
        self._grad = gradient if old is None else old + gradient

    # --- out to NumPy and Python -------------------------------------------------------------------------------------

    def numpy(self) -> npt.NDArray[Any]:
        """A read-only view of the value as a NumPy array; ``.copy()`` it to write."""
        self._look()
        view: npt.NDArray[Any] = np.asarray(self._value).view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        self._check_array()
        self._look()
        if copy or (dtype is not None and np.dtype(dtype) != self.dtype):
            return np.array(self._value, dtype)
        return self.numpy()

    def __dlpack__(self, **settings: Any) -> Any:
        self._check_array()
        array = self.numpy()
        try:
            return array.__dlpack__(**settings)
        except BufferError:  # the other library might write to what is read-only
            return array.copy().__dlpack__(**settings)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # the CPU

    def item(self, *index: Any) -> Any:
        """The only element, or the one at `index`, as a Python number."""
        self._look()
        if not index and self._value.size != 1:
            raise ValueError(
                f"item() of a Tensor of shape {self.shape}: name the element, item(i), or take all with numpy()"
            )
        return self._value.item(*index)

    def tolist(self) -> Any:
        """Elements as nested lists of Python numbers."""
        self._look()
        return self._value.tolist()

    def _check_array(self) -> None:
        """Refuse that what knows nothing of derivatives takes a Tensor that has one for an array."""
        if self._node is not None and modes.recording:
            self._check_conversion("an array")
            raise TypeError(
                "NumPy, or what uses it, took a Tensor that has a derivative for a plain array, and the derivative "
                "would be lost: where numbers are meant, give them, t.numpy() or t.detach(); to go on computing, join "
                "Tensors with tg.stack([...]), and write into a Tensor instead of an array"
            )

    def _check_conversion(self, to: str) -> None:
        """Inside a transform, refuse what would make its derivative wrong: ``math.sin(x)``, ``array[0] = x``."""
        if modes.transforming and self._node is not None:
            raise TypeError(
                f"inside a transform, a Tensor made from its inputs was converted to {to}, which would be left out of "
                "the derivative: compute with operators and tg's functions (tg.stack joins Tensors); "
                "where the plain number is meant, take it with .item(), .numpy() or .detach()"
            )

    def __float__(self) -> float:
        self._check_conversion("a float")
        return float(self._scalar("float"))

    def __int__(self) -> int:
        return int(self._scalar("int"))

    def __bool__(self) -> bool:
        self._look()
        return bool(self._value)

    def __complex__(self) -> complex:
        self._check_conversion("a complex number")
        return complex(self._scalar("complex"))

    def __index__(self) -> int:
        self._look()
        return self._value.__index__()  # type: ignore[no-any-return]

    def _look(self) -> None:
        """Before Python takes the numbers: while a program is recorded, those that it computes cannot be had."""
        if switch.active:
            modes.store.looked_at(self)
        if self._node is not None and modes.transforming:
            modes.taken += 1

    def _scalar(self, kind: str) -> Any:
        self._look()
        if self._value.size != 1:
            raise TypeError(f"{kind}() of a Tensor of shape {self.shape}: only one element can be converted")
        return self._value.item()

    def __len__(self) -> int:
        if not self._value.shape:
            raise TypeError("len() of a Tensor without axes")
        return int(self._value.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if not self._value.shape:
            raise TypeError("cannot iterate over a Tensor without axes")
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        self._look()
        return bool(np.any(self._value == (value._value if isinstance(value, Tensor) else value)))

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        if isinstance(self._value, StandIn):
            return f"tensor(being recorded, shape={self.shape}, dtype={self.dtype})"
        if type(self._value) is Spec:
            return f"tensor(not kept, shape={self.shape}, dtype={self.dtype})"
        body = np.array2string(np.asarray(self._value), separator=", ", prefix="tensor(")
        notes = [] if self.dtype in (np.float64, np.int64, np.bool_) else [f"dtype={self.dtype}"]
        if self.op is not None:
            notes.append(f"op={self.op.name}")
        elif self.requires_grad:
            notes.append("requires_grad=True")
        return f"{'parameter' if type(self).__name__ == 'Parameter' else 'tensor'}({', '.join([body, *notes])})"

    def __format__(self, spec: str) -> str:
        return format(self._value.item(), spec) if spec and self.size == 1 else format(repr(self), spec)

    def __copy__(self) -> Tensor:
        return self.__deepcopy__({}) if self.is_leaf else alias_of(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError("a recorded result cannot be deep-copied with its graph; copy its detach()")
        result = new(type(self))
        result._value = self._value  # values are never written to, but by who shared an array
        if type(result._value) is ndarray and result._value.base is not None:
            result._value = result._value.copy()
        result._node = None
        result.requires_grad_(self.requires_grad)
        memo[id(self)] = result
        if self.name is not None:
            result.name = self.name
        if self.grad is not None:
            from copy import deepcopy

            result._set_gradient(deepcopy(self.grad, memo) if self.grad.is_leaf else self.grad.detach().copy())
        return result

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise RuntimeError("a recorded result cannot be pickled with its graph; pickle its detach()")
        grad = None if self.grad is None else self.grad.numpy()
        return _remade, (type(self), np.asarray(self._value), self.requires_grad, self.name, grad)

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        return sys.modules[__name__.partition(".")[0]]


def _remade(kind: type[Tensor], value: Any, requires_grad: bool, name: str | None, grad: Any = None) -> Tensor:
    result = kind(value, requires_grad=requires_grad, name=name)
    if grad is not None:
        result._grad = plain_tensor(np.array(grad)[()])
    return result


_remade.__module__ = __name__.rpartition(".")[0]  # where pickles look for it


def tensor_of(node: Node) -> Tensor:
    """The Tensor that a node belongs to: for a leaf the user's own, else a new one at that place in the graph."""
    holder: Tensor | None = node.tensor() if node.op is None else None
    if holder is not None:
        return holder
    return tensor_at(node, node.value)


set_tensor_type(Tensor)
add_hints(Tensor)

__all__ = ["ArrayLike", "HookHandle", "Tensor", "alias_of", "as_array", "plain_tensor", "tensor_at", "tensor_of"]
