"""What happens when an operation is called: unwrap, compute, record.

Written out for one to three inputs: calls, loops and tuples that a general form needs would double the cost of an op.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import values as _values
from .errors import check_finite, explain, user_line
from .graph import SMALL, Node, Recorded, Spec, StandIn, describe, modes, next_order, switch
from .hints import for_setting
from .op import Op, Parts, expand_variadic, registry
from .values import (
    ARRAYS,
    FIXED,
    PLAIN,
    PYTHON,
    constant,
    copy_if_aliased,
    frozen,
    holds_tensor,
    new,
    plain_tensor,
    to_value,
    unowned,
)

ndarray = np.ndarray


#: What results are; told with that of `values`.
Tensor: type[Recorded]


def set_tensor_type(cls: type[Recorded]) -> None:
    """Tell what results are: `Tensor` has operators, which are made here."""
    global Tensor
    Tensor = cls
    _values.set_tensor_type(cls)


def dispatch_of(op: Op) -> Callable[..., Any]:
    """The function that applies `op`, in the quickest form that its inputs and settings allow."""
    special = {1: _unary_dispatch, 2: _binary_dispatch, 3: _ternary_dispatch, -2: _binary_with_settings}
    count = len(op.input_names)
    if op.variadic or not op.differentiable:
        count = 0
    elif op.setting_names:
        count = -count
    apply: Any = special.get(count, _general_dispatch)(op)
    apply.__name__ = apply.__qualname__ = op.name
    apply.__doc__ = op.__doc__
    return apply  # type: ignore[no-any-return]


def _unary_dispatch(op: Op) -> Callable[[Any], Any]:
    kernel = op.kernel
    reads = op.reads
    general = _general_dispatch(op)

    def apply(x: Any) -> Any:
        if switch.active:
            return general(x)
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
        if xn is None:
            return unrecorded(out, (xv,))
        if type(out) is tuple:
            return record(op, (x,), (xv,), 1, None, out)
        keep_x, keep_out = reads[1]
        node = new(Node)
        node.op = op
        node.x = xn
        node.y = None
        node.a = xv if keep_x or type(xv) is not ndarray else None if keep_x is None else Spec(xv.shape, xv.dtype)
        node.params = None
        node.value = out if keep_out or type(out) is not ndarray or out.size <= SMALL else Spec(out.shape, out.dtype)
        node.order = next_order()
        node.extra = None
        result._node = node
        return result

    return apply


def _binary_dispatch(op: Op) -> Callable[[Any, Any], Any]:
    kernel = op.kernel
    reads = op.reads
    general = _general_dispatch(op)

    def apply(x: Any, y: Any) -> Any:
        if switch.active:
            return general(x, y)
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
                    xv, out = copy_if_aliased(xv, out, keep_x)
                    result._value = out
        elif yn is None:
            keep_x, keep_y, keep_out = reads[1]
            if type(y) in PLAIN:
                yn = yv
            else:
                yn = constant(y, yv)
                if unowned(y, yv):
                    yv, out = copy_if_aliased(yv, out, keep_y)
                    result._value = out
        else:
            keep_x, keep_y, keep_out = reads[3]
        node = new(Node)
        node.op = op
        node.x = xn
        node.y = yn
        node.a = xv if keep_x or type(xv) is not ndarray else None if keep_x is None else Spec(xv.shape, xv.dtype)
        node.b = yv if keep_y or type(yv) is not ndarray else None if keep_y is None else Spec(yv.shape, yv.dtype)
        node.params = None
        node.value = out if keep_out or type(out) is not ndarray or out.size <= SMALL else Spec(out.shape, out.dtype)
        node.order = next_order()
        node.extra = None
        result._node = node
        return result

    return apply


def _binary_with_settings(op: Op) -> Callable[..., Any]:
    kernel = op.kernel
    reads = op.reads
    defaults = op.defaults
    known = frozenset(op.setting_names)
    general = _general_dispatch(op)

    def apply(*inputs: Any, **settings: Any) -> Any:
        if len(inputs) != 2 or switch.active or not known.issuperset(settings):
            return general(*inputs, **settings)
        x, y = inputs
        if not (isinstance(x, Tensor) and isinstance(y, Tensor) and FIXED.issuperset(map(type, settings.values()))):
            return general(x, y, **settings)
        settings = {**defaults, **settings}
        xv = x._value
        yv = y._value
        try:
            out = kernel(xv, yv, **settings)
        except Exception as error:
            raise explain(op, (xv, yv), settings, error)
        xn = x._node
        yn = y._node
        mask = (xn is not None) + 2 * (yn is not None)
        if not mask or type(out) is tuple:
            return record(op, inputs, (xv, yv), mask, settings, out) if mask else unrecorded(out, (xv, yv))
        keep_x, keep_y, keep_out = reads[mask]
        if xn is None:
            xn = constant(x, xv)
            if unowned(x, xv):
                xv, out = copy_if_aliased(xv, out, keep_x)
        elif yn is None:
            yn = constant(y, yv)
            if unowned(y, yv):
                yv, out = copy_if_aliased(yv, out, keep_y)
        node = new(Node)
        node.op = op
        node.x = xn
        node.y = yn
        node.a = xv if keep_x or type(xv) is not ndarray else None if keep_x is None else Spec(xv.shape, xv.dtype)
        node.b = yv if keep_y or type(yv) is not ndarray else None if keep_y is None else Spec(yv.shape, yv.dtype)
        node.params = settings
        node.value = out if keep_out or type(out) is not ndarray or out.size <= SMALL else Spec(out.shape, out.dtype)
        node.order = next_order()
        node.extra = None
        result = new(Tensor)
        result._value = out
        result._node = node
        return result

    return apply


def _ternary_dispatch(op: Op) -> Callable[..., Any]:
    kernel = op.kernel
    reads = op.reads
    general = _general_dispatch(op)

    def apply(*inputs: Any, **settings: Any) -> Any:
        if len(inputs) != 3 or settings or switch.active:
            return general(*inputs, **settings)
        x, y, z = inputs
        if not (isinstance(x, Tensor) and isinstance(y, Tensor) and isinstance(z, Tensor)):
            return general(x, y, z)
        xv = x._value
        yv = y._value
        zv = z._value
        try:
            out = kernel(xv, yv, zv)
        except Exception as error:
            raise explain(op, (xv, yv, zv), {}, error)
        xn = x._node
        yn = y._node
        zn = z._node
        mask = (xn is not None) + 2 * (yn is not None) + 4 * (zn is not None)
        if not mask or type(out) is tuple:
            return record(op, inputs, (xv, yv, zv), mask, None, out) if mask else unrecorded(out, (xv, yv, zv))
        keep_x, keep_y, keep_z, keep_out = reads[mask]
        if xn is None:
            xn = constant(x, xv)
            if unowned(x, xv):
                xv, out = copy_if_aliased(xv, out, keep_x)
        if yn is None:
            yn = constant(y, yv)
            if unowned(y, yv):
                yv, out = copy_if_aliased(yv, out, keep_y)
        if zn is None:
            zn = constant(z, zv)
            if unowned(z, zv):
                zv, out = copy_if_aliased(zv, out, keep_z)
        node = new(Node)
        node.op = op
        node.x = (xn, yn, zn)
        node.y = None
        node.a = (
            xv if keep_x or type(xv) is not ndarray else None if keep_x is None else Spec(xv.shape, xv.dtype),
            yv if keep_y or type(yv) is not ndarray else None if keep_y is None else Spec(yv.shape, yv.dtype),
            zv if keep_z or type(zv) is not ndarray else None if keep_z is None else Spec(zv.shape, zv.dtype),
        )
        node.params = None
        node.value = out if keep_out or type(out) is not ndarray or out.size <= SMALL else Spec(out.shape, out.dtype)
        node.order = next_order()
        node.extra = None
        result = new(Tensor)
        result._value = out
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
                unknown = min(settings.keys() - known)
                there = sorted(known) or "none"
                raise TypeError(f"{op.name} has no setting {unknown!r}; it has {there}{for_setting(unknown)}")
            for name, setting in settings.items():
                if type(setting) not in FIXED:
                    settings[name] = frozen(op, name, setting)
            settings = {**defaults, **settings}
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
                if type(x) is list and count == 1 and holds_tensor(x):
                    return apply(joined(x), **settings)
                values.append(x if type(x) in PLAIN else to_value(op, x))
            bit += bit
        if not tensors:
            return _compute(op, tuple(values), settings)
        if switch.active:
            values, out = modes.store.compute(op, inputs, values, settings)
        else:
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


def _name_settings(op: Op, args: tuple[Any, ...], settings: dict[str, Any]) -> tuple[Any, ...]:
    """The inputs of a call alone: what was given by position beyond them is put in `settings`, by its name."""
    count = len(op.input_names)
    for name in op.input_names[len(args) :]:
        if name not in settings:
            break
        args += (settings.pop(name),)
    names = op.setting_names[: len(args) - count]
    if len(args) != count + len(names) or not settings.keys().isdisjoint(names):
        raise TypeError(
            f"{op.name} takes {count} inputs ({', '.join(op.input_names)}) and the settings "
            f"({', '.join(op.setting_names) or 'none'}); {len(args)} arguments were given by position"
            + (f" and {sorted(settings)} by name" if settings else "")
        )
    settings.update(zip(names, args[count:]))
    return args[:count]


def joined(x: Any) -> Any:
    """A list of Tensors of one shape as one Tensor; anything else as it is."""
    if type(x) is list and holds_tensor(x):
        return registry["stack"](*map(joined, x), axis=0)
    return x


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
    """Record in the general form: any number of inputs, a bit of `mask` for each with a node, and several results."""
    keep = op.reads[mask]
    if op.variadic:
        keep = expand_variadic(op, keep, len(inputs))
    sources: list[Any] = []
    kept: list[Any] = []
    for x, value, keep_x in zip(inputs, values, keep):
        if mask & 1:
            sources.append(x._node)
        else:
            sources.append(value if type(x) in PLAIN else constant(x, value))
            if unowned(x, value):
                value, out = copy_if_aliased(value, out, keep_x)
        mask >>= 1
        if not keep_x and type(value) in ARRAYS:
            value = None if keep_x is None else Spec(value.shape, value.dtype)
        kept.append(value)
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
        return tuple(record_part(node, index, result) for index, result in enumerate(out))
    node.value = out if keep[-1] or type(out) not in ARRAYS or out.size <= SMALL else Spec(out.shape, out.dtype)
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
    modes.store.recorded(node, out)


def _compute(op: Op, values: tuple[Any, ...], settings: dict[str, Any]) -> Any:
    """The op on plain arrays: nothing is recorded, and the result is an array."""
    if switch.active and modes.store.compiling and any(isinstance(v, StandIn) for v in values):
        return modes.store.compute(op, values, values, settings)[1]
    if values and type(values[0]) in PYTHON and all(type(v) in PYTHON for v in values):
        values = tuple(np.asarray(v)[()] for v in values)  # NumPy's arithmetic, not Python's: 1/0 is inf
    try:
        return op.kernel(*values, **settings)
    except Exception as error:
        raise explain(op, values, settings, error)


def record_part(source: Node, index: int, value: Any) -> Any:
    """One of several results of an op, as a node of its own."""
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


def _part_definition(parts: Any, *, index: int) -> Any:
    """One of several results of an op."""
    return parts[index]


part = registry["part"] = Op(_part_definition, name="part")
part.apply = dispatch_of(part)
part.derivatives(
    lambda g, out, parts, *, index: Parts(g if i == index else None for i in range(len(parts))),
    reads=(),
)
