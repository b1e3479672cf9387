"""What goes into an operation: values taken out of what the user gives, and what stands for it in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from .graph import Constant, Node, Recorded, Spec, StandIn, describe, next_order, switch
from .op import Op
from .store import as_constant, compiling, read
from .tree import of_finite_depth

if TYPE_CHECKING:
    import numpy.typing as npt


ndarray = np.ndarray
new = object.__new__

#: Types that pass through the dispatch as they are; Python's own numbers stay weakly typed (NEP 50).
PLAIN: frozenset[type] = frozenset(
    (int, float, bool, np.float64, np.float32, np.float16, np.int64, np.int32, np.bool_, np.complex128)
)
#: Those of them that are Python's own.
PYTHON: frozenset[type] = frozenset((int, float, bool, complex))

#: Types of what holds an array's elements: while a program is recorded, also what stands for one.
ARRAYS: set[type] = {np.ndarray}  # Traced adds itself

#: Types of settings that nobody can change later.
FIXED = PLAIN | {str, type(None), type}


#: What results are: a kind of `Recorded`, with operators, told by `set_tensor_type` when it exists.
Tensor: type[Recorded]


def set_tensor_type(cls: type[Recorded]) -> None:
    global Tensor
    Tensor = cls


def plain_tensor(value: Any) -> Any:
    """A Tensor around `value`, with nothing recorded."""
    result = new(Tensor)
    result._value = value
    result._node = None
    return result


def tensor_at(node: Node, value: Any) -> Any:
    """A Tensor of `value` that stands at the place of `node` in its graph."""
    tensor = plain_tensor(value)
    if type(node) is Constant:
        tensor._constant = node
    else:
        tensor._node = node
    return tensor


def alias_of(tensor: Any) -> Any:
    """Another Tensor of the same value at the same place in the graph: binding one anew leaves the other."""
    result = plain_tensor(read(tensor))
    result._node = tensor._node
    return result


def _no_tensor() -> None:
    """The dead reference of a node that no Tensor ever held."""


def leaf(tensor: Any) -> Node:
    """A new leaf that stands for `tensor` in the graphs recorded from now on."""
    node = new(Node)
    node.op = node.params = node.extra = node.x = node.y = node.a = None
    node.value = tensor._value
    node.order = next_order()
    node.tensor = ref(tensor)
    return node


def constant(x: Any, value: Any) -> Constant:
    """What stands in a graph for an input without gradient."""
    known: Constant | None = getattr(x, "_constant", None)
    if known is not None:
        return known
    node = new(Constant)
    node.op = node.params = node.extra = node.x = node.y = node.a = None
    node.value = describe(value)
    node.order = next_order()
    node.tensor = _no_tensor
    if isinstance(x, Tensor):
        node.tensor = ref(x)
        if (type(value) is not ndarray or value.base is None) and not (switch.active and compiling()):
            x._constant = node
    return node


def unowned(x: Any, value: Any) -> bool:
    """Whether somebody else can write to the value of a constant input."""
    return type(value) is ndarray and (value.base is not None or not isinstance(x, Tensor))


def copy_if_aliased(value: Any, out: Any, kept: bool | None) -> tuple[Any, Any]:
    """An unowned value, as a rule will read it later, and the result: copies, so that a later write reaches neither."""
    if type(out) is ndarray and (out is value or out.base is not None):
        out = out.copy()
    elif type(out) is tuple:
        out = tuple([copy_if_aliased(value, part, False)[1] for part in out])
    return value.copy() if kept else value, out


def to_value(op: Op, x: Any) -> Any:
    """A value that the kernels take: Tensors unwrapped, sequences made arrays."""
    if type(x) is ndarray and x.ndim and x.dtype.kind in "fibuc":
        return x
    if isinstance(x, Tensor):
        return x._value
    if isinstance(x, StandIn):
        if not compiling():
            x.numpy()  # raises: it was kept from a recording
        return x
    if isinstance(x, ndarray | np.generic | Spec) and x.dtype.kind in "biufc":
        if isinstance(x, ndarray):
            return plain_array(x) if x.ndim else x[()]
        return x
    if isinstance(x, list | tuple) and holds_tensor(x):
        raise TypeError(f"{op.name}: {several(x)}")
    try:
        value = np.asarray(x)
    except Exception as error:
        raise TypeError(f"{op.name}: cannot use {x!r} as an array") from error
    if value.dtype.kind not in "biufc":
        raise TypeError(
            f"{op.name}: cannot compute with {type(x).__name__} {x!r} (dtype {value.dtype}); "
            "give numbers, an array or a Tensor"
        )
    return value if value.ndim else value[()]


def plain_array(x: Any) -> Any:
    """An array without what a subclass adds: a memory map is read as an array, a masked array is refused."""
    if type(x) is ndarray:
        return x
    if hasattr(x, "mask"):
        raise TypeError("a masked array would lose its mask here; give x.filled(...) and use the mask with tg.where")
    return np.asarray(x)


def precise(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that a parameter of another is stepped in by an optimizer, and in which what it remembers is kept."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


@of_finite_depth
def holds_tensor(items: Any) -> bool:
    return any(isinstance(x, Tensor) or (isinstance(x, list | tuple) and holds_tensor(x)) for x in items)


def several(items: Any) -> str:
    """What to say where one array was wanted, of a list or tuple of Tensors."""
    if hasattr(items, "batch_sizes"):
        return f"a {type(items).__name__} is no array; take its .data, or pad it: nn.utils.rnn.pad_packed_sequence"
    if type(items) is tuple and len(items) == 2:
        return (
            "a pair of Tensors is no array: of (output, state), which recurrent layers give, take [0]; "
            "others are joined with tg.stack([...])"
        )
    return f"a {type(items).__name__} of Tensors is no array; join them first with tg.stack([...])"


def frozen(op: Op, name: str, setting: Any) -> Any:
    """A setting as a rule will read it later: a copy of what the caller may change until then."""
    kind = type(setting)
    if kind is list or kind is tuple:
        return kind([frozen(op, name, item) for item in setting])
    if kind is dict:
        return {key: frozen(op, name, item) for key, item in setting.items()}
    if isinstance(setting, ndarray):
        return setting.copy()
    if isinstance(setting, StandIn):
        raise TypeError(
            f"{op.name}: the setting {name!r} is a Tensor whose number differs from call to call, but settings are "
            f"fixed when a function is compiled; give a plain number"
        )
    if isinstance(setting, Tensor):
        if setting._node is not None:
            raise TypeError(
                f"{op.name}: the setting {name!r} is a Tensor that requires gradients, but settings have none; "
                f"give a number ({name}.item()), or compute with operations that take it as an input"
            )
        return frozen(op, name, setting._value) if isinstance(setting._value, StandIn) else np.copy(setting._value)[()]
    return setting


def as_array(data: Any, dtype: npt.DTypeLike | None = None, *, copy: bool) -> Any:
    """`data` as an array of numbers, or as a NumPy scalar if it has no axes.

    Tensors inside a list, which would be cut from their graph, and anything but numbers raise a TypeError.
    """
    held = isinstance(data, StandIn)  # by the user, who may write to it
    if isinstance(data, Tensor):
        data = data._value
    if isinstance(data, list | tuple):
        if holds_tensor(data):
            raise TypeError(several(data))
    elif isinstance(data, ndarray):
        data = plain_array(data)
        if switch.active and data.ndim and data.dtype.kind in "biufc":
            data = as_constant(data)  # a program reads it again at each call
    if isinstance(data, StandIn):
        if dtype is not None and data.dtype != dtype:
            return data.astype(dtype)
        return data.aside() if copy and held else data
    try:
        value = np.array(data, dtype) if copy else np.asarray(data, dtype)
    except ValueError as error:
        raise ValueError(f"cannot make a Tensor of this data: {error}") from error
    if value.dtype.kind not in "biufc":
        raise TypeError(f"cannot make a Tensor of {type(data).__name__} of dtype {value.dtype}: give numbers or bools")
    if value.ndim == 0:
        return value[()]
    return value if copy else value.view()
