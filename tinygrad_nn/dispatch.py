"""What happens when an operation is called: unwrap, compute, record.

Written out for one and two inputs: calls, loops and tuples that a general form needs would double the cost of an op.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from .errors import check_finite, explain, user_line
from .graph import SMALL, Constant, Node, Spec, describe, modes, next_order, switch
from .reads import spread

if TYPE_CHECKING:
    from .op import Op
    from .tensor import Tensor

ndarray = np.ndarray
new = object.__new__

#: Types that pass through the dispatch as they are; Python's own numbers stay weakly typed (NEP 50).
PLAIN: frozenset[type] = frozenset(
    (int, float, bool, complex, np.float64, np.float32, np.float16, np.int64, np.int32, np.bool_, np.complex128)
)
#: Those of them that are Python's own.
PYTHON: frozenset[type] = frozenset((int, float, bool, complex))


def bind_tensor_type(cls: type[Tensor]) -> None:
    """Tell the dispatch what it makes: `Tensor` is defined above this module, from the ops that are made here."""
    global Tensor
    Tensor = cls  # type: ignore[misc]


def dispatch_of(op: Op) -> Callable[..., Any]:
    """The function that applies `op`, in the quickest form that its inputs and settings allow."""
    special = {1: _unary_dispatch, 2: _binary_dispatch}
    plain = not (op.variadic or op.setting_names) and op.differentiable
    apply: Any = special.get(len(op.input_names) if plain else 0, _general_dispatch)(op)
    apply.__name__ = apply.__qualname__ = op.name
    apply.__doc__ = op.__doc__
    return apply  # type: ignore[no-any-return]


def _unary_dispatch(op: Op) -> Callable[[Any], Any]:
    kernel = op.kernel
    reads = op.reads

    def apply(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return _compute(op, (x if type(x) in PLAIN else to_value(op, x),), {})
        xv = x._value
        xn = x._node
        try:
            out = kernel(xv)
        except Exception as error:
            raise explain(op, (xv,), {}, error)
        result = new(Tensor)
        result._value = out
        if switch.active:
            if modes.anomaly:
                check_finite(op, (xv,), out)
            if not modes.recording:
                xn = None
        if xn is None:
            return unrecorded(out, (xv,))
        if type(out) is tuple:
            return record(op, (x,), (xv,), 1, None, out)
        keep_x, keep_out = reads[1]
        node = new(Node)
        node.op = op
        node.x = xn
        node.y = None
        node.a = xv if keep_x or type(xv) is not ndarray else describe(xv)
        node.params = None
        node.value = out if keep_out or type(out) is not ndarray or out.size <= SMALL else Spec(out.shape, out.dtype)
        node.order = next_order()
        node.extra = None
        if switch.active:
            note(node, out)
        result._node = node
        return result

    return apply


def _binary_dispatch(op: Op) -> Callable[[Any, Any], Any]:
    kernel = op.kernel
    reads = op.reads

    def apply(x: Any, y: Any) -> Any:
        if isinstance(x, Tensor):
            xv = x._value
            xn = x._node
        else:
            xv = x if type(x) in PLAIN else to_value(op, x)
            xn = None
        if isinstance(y, Tensor):
            yv = y._value
            yn = y._node
        else:
            yv = y if type(y) in PLAIN else to_value(op, y)
            yn = None
            if xn is None and not isinstance(x, Tensor):
                return _compute(op, (xv, yv), {})
        try:
            out = kernel(xv, yv)
        except Exception as error:
            raise explain(op, (xv, yv), {}, error)
        result = new(Tensor)
        result._value = out
        if switch.active:
            if modes.anomaly:
                check_finite(op, (xv, yv), out)
            if not modes.recording:
                xn = yn = None
        if xn is None and yn is None:
            return unrecorded(out, (xv, yv))
        if type(out) is tuple:
            return record(op, (x, y), (xv, yv), (xn is not None) + 2 * (yn is not None), None, out)
        if xn is None:
            keep_x, keep_y, keep_out = reads[2]
            if type(x) in PLAIN:
                xn = xv
            else:
                xn = constant(x, xv)
                if unowned(x, xv):
                    xv, out = apart(xv, out, keep_x)
                    result._value = out
        elif yn is None:
            keep_x, keep_y, keep_out = reads[1]
            if type(y) in PLAIN:
                yn = yv
            else:
                yn = constant(y, yv)
                if unowned(y, yv):
                    yv, out = apart(yv, out, keep_y)
                    result._value = out
        else:
            keep_x, keep_y, keep_out = reads[3]
        node = new(Node)
        node.op = op
        node.x = xn
        node.y = yn
        node.a = xv if keep_x or type(xv) is not ndarray else describe(xv)
        node.b = yv if keep_y or type(yv) is not ndarray else describe(yv)
        node.params = None
        node.value = out if keep_out or type(out) is not ndarray or out.size <= SMALL else Spec(out.shape, out.dtype)
        node.order = next_order()
        node.extra = None
        if switch.active:
            note(node, out)
        result._node = node
        return result

    return apply


def _general_dispatch(op: Op) -> Callable[..., Any]:
    defaults = op.defaults
    known = frozenset(op.setting_names)
    count = len(op.input_names)

    def apply(*inputs: Any, **settings: Any) -> Any:
        if len(inputs) != count and not op.variadic:
            inputs = _name_settings(op, inputs, settings)
        if settings:
            if not known.issuperset(settings):
                unknown = sorted(settings.keys() - known)
                raise TypeError(f"{op.name} has no setting {unknown[0]!r}; it has {sorted(known) or 'none'}")
            settings = {**defaults, **{name: frozen(op, name, setting) for name, setting in settings.items()}}
        else:
            settings = defaults
        tensors = False
        mask = 0  # a bit for each input that has a node
        bit = 1
        values = []
        for x in inputs:
            if isinstance(x, Tensor):
                tensors = True
                values.append(x._value)
                if x._node is not None:
                    mask += bit
            else:
                values.append(x if type(x) in PLAIN else to_value(op, x))
            bit += bit
        if not tensors:
            return _compute(op, tuple(values), settings)
        try:
            out = op.kernel(*values, **settings)
        except Exception as error:
            raise explain(op, tuple(values), settings, error)
        if switch.active:
            if modes.anomaly:
                check_finite(op, tuple(values), out)
            if not modes.recording:
                mask = 0
        if not mask or not op.differentiable:
            return unrecorded(out, values)
        return record(op, inputs, values, mask, settings or None, out)

    return apply


def _name_settings(op: Op, given: tuple[Any, ...], settings: dict[str, Any]) -> tuple[Any, ...]:
    """The inputs of a call alone: what was given by position beyond them is put in `settings`, by its name."""
    count = len(op.input_names)
    names = op.setting_names[: len(given) - count]
    if len(given) != count + len(names) or not settings.keys().isdisjoint(names):
        raise TypeError(
            f"{op.name} takes {count} inputs ({', '.join(op.input_names)}) and the settings "
            f"({', '.join(op.setting_names) or 'none'}); {len(given)} arguments were given by position"
            + (f" and {sorted(settings)} by name" if settings else "")
        )
    settings.update(zip(names, given[count:]))
    return given[:count]


def frozen(op: Op, name: str, setting: Any) -> Any:
    """A setting as a rule will read it later: lists and arrays are copied, as the caller may change them until then."""
    kind = type(setting)
    if kind is list or kind is tuple:
        return tuple([frozen(op, name, item) for item in setting])
    if isinstance(setting, ndarray):
        return setting.copy()
    if isinstance(setting, Tensor):
        if setting._node is not None:
            raise TypeError(
                f"{op.name}: the setting {name!r} is a Tensor that requires gradients, but settings have none; "
                f"give a number ({name}.item()), or compute with operations that take it as an input"
            )
        return np.copy(setting._value)[()]
    return setting


def unrecorded(out: Any, values: Sequence[Any]) -> Any:
    """What an op made of `values`, in Tensors, with nothing recorded."""
    if type(out) is tuple:
        return tuple([unrecorded(part, values) for part in out])
    if type(out) is ndarray:
        for value in values:
            if out is value:
                out = out.view()  # so that it does not pass for an array of the Tensor's own
                break
    return plain_tensor(out)


def record(
    op: Op, inputs: Sequence[Any], values: Sequence[Any], mask: int, settings: dict[str, Any] | None, out: Any
) -> Any:
    """Record in the general form: any number of inputs, those with a node in the bits of `mask`, and several results."""
    keep = op.reads[mask]
    if op.variadic:
        keep = spread(op, keep, len(inputs))
    sources: list[Any] = []
    kept: list[Any] = []
    for x, value, keep_x in zip(inputs, values, keep):
        if mask & 1:
            sources.append(x._node)
        else:
            sources.append(value if type(x) in PLAIN else constant(x, value))
            if unowned(x, value):
                value, out = apart(value, out, keep_x)
        mask >>= 1
        kept.append(value if keep_x or type(value) is not ndarray else describe(value))
    node = new(Node)
    node.op = op
    node.x = tuple(sources)
    node.y = None
    node.a = tuple(kept)
    node.params = settings
    node.order = next_order()
    node.extra = None
    if type(out) is tuple:
        node.value = out if keep[-1] else tuple(map(describe, out))
        if switch.active:
            note(node, out)
        return tuple(_record_part(node, index, result) for index, result in enumerate(out))
    node.value = out if keep[-1] or type(out) is not ndarray or out.size <= SMALL else Spec(out.shape, out.dtype)
    if switch.active:
        note(node, out)
    result = new(Tensor)
    result._value = out
    result._node = node
    return result


def note(node: Node, out: Any) -> None:
    """What a node holds in the rarer modes: the user's source line, and its value whatever its size."""
    if modes.anomaly:
        node.extra = {"source": user_line()}
    if modes.keeping:
        node.value = out


def plain_tensor(value: Any) -> Tensor:
    """A Tensor around `value`, with nothing recorded."""
    result = new(Tensor)
    result._value = value
    result._node = None
    return result


def _compute(op: Op, values: tuple[Any, ...], settings: dict[str, Any]) -> Any:
    """The op on plain arrays: nothing is recorded, and the result is an array."""
    if values and type(values[0]) in PYTHON and all(type(v) in PYTHON for v in values):
        values = tuple(np.asarray(v)[()] for v in values)  # NumPy's arithmetic, not Python's: 1/0 is inf
    try:
        return op.kernel(*values, **settings)
    except Exception as error:
        raise explain(op, values, settings, error)


def _record_part(source: Node, index: int, value: Any) -> Tensor:
    """One of several results of an op, as a node of its own."""
    from .op import part

    result = plain_tensor(value)
    if value.dtype.kind in "fc":
        node = new(Node)
        node.op = part
        node.x = source
        node.y = None
        node.a = source.value
        node.params = {"index": index}
        node.value = describe(value)
        node.order = next_order()
        node.extra = source.extra
        result._node = node
    return result


def _no_tensor() -> None:
    """The dead reference of a node that no Tensor ever held."""


def leaf(tensor: Tensor) -> Node:
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
        if type(value) is not ndarray or value.base is None:
            x._constant = node
    return node


def unowned(x: Any, value: Any) -> bool:
    """Whether somebody else can write to the value of a constant input."""
    return type(value) is ndarray and (value.base is not None or not isinstance(x, Tensor))


def apart(value: Any, out: Any, kept: bool) -> tuple[Any, Any]:
    """An unowned value, as a rule will read it later, and the result: copies, so that a later write reaches neither."""
    if type(out) is ndarray and (out is value or out.base is not None):
        out = out.copy()
    elif type(out) is tuple:
        out = tuple([apart(value, part, False)[1] for part in out])
    return value.copy() if kept else value, out


def to_value(op: Op, x: Any) -> Any:
    """A value that the kernels take: Tensors unwrapped, sequences made arrays."""
    if isinstance(x, Tensor):
        return x._value
    if isinstance(x, ndarray | np.generic | Spec) and x.dtype.kind in "biufc":
        if isinstance(x, ndarray):
            return plain_array(x) if x.ndim else x[()]
        return x
    if isinstance(x, list | tuple) and holds_tensor(x):
        raise TypeError(f"{op.name}: a list of Tensors is no array; join them first with tg.stack([...])")
    try:
        value = np.asarray(x)
    except Exception as error:
        raise TypeError(f"{op.name}: cannot use {x!r} as an array") from error
    if value.dtype.kind not in "biufc":
        raise TypeError(
            f"{op.name}: cannot compute with {type(x).__name__} {x!r} (dtype {value.dtype}); "
            "give numbers, an array or a Tensor"
        )
    return value


def plain_array(x: Any) -> Any:
    """An array without what a subclass adds: a memory map is read as an array, a masked array is refused."""
    if type(x) is ndarray:
        return x
    if hasattr(x, "mask"):
        raise TypeError("a masked array would lose its mask here; give x.filled(...) and use the mask with tg.where")
    return np.asarray(x)


def holds_tensor(items: Any) -> bool:
    return any(isinstance(x, Tensor) or (isinstance(x, list | tuple) and holds_tensor(x)) for x in items)
