"""Rewriting patterns: each gives, for a step of one op, something equal that is shorter, exacter or faster.

A pattern is called with the builder and the step, whose inputs are those of the new program, and returns what can stand
for the result, or None. `IDENTITIES` always hold; `STABLE` put formulas that do not overflow in the place of those that
can; `LOWER` write composed operations in those that NumPy has a single call for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops.layers.loss import LEAST_VARIANCE
from ..ir import Step, Var
from .builder import ELEMENTWISE, Builder, Pattern, is_weak

_NUMBERS = (bool, int, float, np.generic)


def is_number(x: Any, value: float | None = None) -> bool:
    """Whether `x` is a number known before a call, and the one asked for."""
    return isinstance(x, _NUMBERS) and (value is None or bool(x == value))


def _same(step: Step, x: Any) -> Any:
    """`x`, if it has the shape and dtype of the step's result."""
    out = step.out
    if type(x) is Var:
        return x if (x.shape, x.dtype, x.weak) == (out.shape, out.dtype, out.weak) else None
    return x if isinstance(x, np.generic) and out.scalar and x.dtype == out.dtype else None


def uniform(x: Any) -> Any:
    """The number that all elements of a constant are, if it is one."""
    if type(x) is not Var or x.kind != "constant" or not x.size:
        return None
    flat = np.asarray(x.value).ravel()
    same = (flat == flat[0]).all()
    if same and flat.dtype.kind == "f" and flat[0] == 0:  # 0 and −0 are equal
        same = (np.signbit(flat) == np.signbit(flat[0])).all()
    return flat[0] if same else None


# --- identities ------------------------------------------------------------------------------------------------------


def _forward(builder: Builder, step: Step) -> Any:
    return _same(step, step.inputs[0])


def _conjugate(builder: Builder, step: Step) -> Any:
    return _same(step, step.inputs[0]) if step.out.dtype.kind == "f" else None


def _multiply(builder: Builder, step: Step) -> Any:
    x, y = step.inputs
    if is_number(x) and not is_number(y):
        x, y = y, x
    if is_number(y, 1):
        result = _same(step, x)
        if result is not None:
            return result
    if is_number(y, -1) and _same(step, x) is not None:
        return builder.add("negative", x)
    opposite = builder.made_by(x, "negative")
    if is_number(y) and y != 0 and opposite is not None and _negates(step, opposite):
        return builder.add("multiply", opposite.inputs[0], -step.out.dtype.type(y))
    inner = builder.made_by(x, "multiply")
    if is_number(y) and inner is not None and inner.out.dtype == step.out.dtype and inner.out.dtype.kind == "f":
        a, b = inner.inputs
        if is_number(a):
            a, b = b, a
        if is_number(b) and type(a) is Var and a.dtype == step.out.dtype:
            product = step.out.dtype.type(float(b) * float(y))
            normal = np.finfo(step.out.dtype).tiny <= abs(product) <= np.finfo(step.out.dtype).max
            # Of one kind, so that what overflows or vanishes between them does so after them too.
            alike = (abs(b) >= 1) == (abs(y) >= 1)
            if (normal and alike) or (b == 0 and np.isfinite(y)) or (y == 0 and np.isfinite(b)):
                return builder.add("multiply", a, product)
    return None


def _negates(step: Step, opposite: Step) -> bool:
    """Whether an inner negation is one of the result's own fractions: integers wrap around."""
    return step.out.dtype.kind == "f" and opposite.out.dtype == step.out.dtype and not step.out.weak


def _add(builder: Builder, step: Step) -> Any:
    x, y = step.inputs
    for a, b in ((x, y), (y, x)):
        opposite = builder.made_by(b, "negative")
        if opposite is not None and _negates(step, opposite):
            return builder.add("subtract", a, opposite.inputs[0])
    return None


def _neutral(number: int) -> Pattern:
    """A second operand that changes nothing."""
    return lambda builder, step: _same(step, step.inputs[0]) if is_number(step.inputs[1], number) else None


def _power(builder: Builder, step: Step) -> Any:
    x, y = step.inputs
    if type(x) is not Var or x.weak or x.dtype.kind != "f" or x.dtype != step.out.dtype:
        return None
    if is_number(y, 1):
        return _same(step, x)
    if is_number(y, 2):
        return builder.add("multiply", x, x)
    if is_number(y, -1):
        return builder.add("reciprocal", x)
    return None


def _negative(builder: Builder, step: Step) -> Any:
    inner = builder.made_by(step.inputs[0], "negative")
    if inner is not None:
        return _same(step, inner.inputs[0])
    product = builder.made_by(step.inputs[0], "multiply")
    for x, y in (product.inputs, product.inputs[::-1]) if product is not None else ():
        opposite = builder.known("negative", x)
        if opposite is not None and step.out.dtype.kind == "f" and x.dtype == step.out.dtype:
            return builder.add("multiply", opposite, y)
    return None


def _transposed_twice(builder: Builder, step: Step) -> Any:
    inner = builder.made_by(step.inputs[0], "matrix_transpose")
    return None if inner is None else _same(step, inner.inputs[0])


def _reshape(builder: Builder, step: Step) -> Any:
    (x,) = step.inputs
    result = _same(step, x)
    if result is not None:
        return result
    inner = builder.made_by(x, "reshape")
    if inner is not None and type(inner.inputs[0]) is Var:
        return builder.put("reshape", inner.inputs, step.out.shape, step.out.dtype, step.params)
    return None


def _index(builder: Builder, step: Step) -> Any:
    """All of an array."""
    key = step.params["key"]
    whole = all(part is Ellipsis or part == slice(None) for part in key)
    return _same(step, step.inputs[0]) if whole and len(step.inputs) == 1 else None


def _where(builder: Builder, step: Step) -> Any:
    condition, x, y = step.inputs
    if isinstance(condition, bool | np.bool_):
        return _same(step, x if condition else y)
    return None


def _zero_mask(builder: Builder, step: Step) -> Any:
    """No mask is needed where the gradient is no zero, or where the product's other factors are finite numbers."""
    g, r, x = step.inputs
    same = uniform(g)
    g = g if same is None else same
    if is_number(g):
        return _same(step, x) if g != 0 else None
    above, below = _factors(builder, r)
    known, _ = _factors(builder, g)
    rest = [y for y in above if not any(y is z for z in known)]
    finite = not below and all(is_number(y) and np.isfinite(y) for y in rest)
    return _same(step, x) if finite else None


def _broadcast_operand(builder: Builder, step: Step) -> Any:
    """A broadcast is never made for an elementwise op, which makes it itself."""
    inputs = list(step.inputs)
    changed = False
    for i, x in enumerate(inputs):
        inner = builder.made_by(x, "broadcast_to")
        source = inner.inputs[0] if inner is not None else uniform(x)
        if source is None:
            continue
        shapes = [y.shape for j, y in enumerate(inputs) if j != i and type(y) is Var]
        shape = source.shape if type(source) is Var else ()
        if shapes and np.broadcast_shapes(shape, *shapes) == step.out.shape and not is_weak(source):
            inputs[i] = source
            changed = True
    if not changed:
        return None
    return builder.put(step.op.name, tuple(inputs), step.out.shape, step.out.dtype, step.params)


# --- exact where the plain formula overflows -------------------------------------------------------------------------


def _log(builder: Builder, step: Step) -> Any:
    (x,) = step.inputs
    inner = builder.made_by(x, "sigmoid")
    if inner is not None:
        return builder.add("log_sigmoid", *inner.inputs)
    inner = builder.made_by(x, "softmax")
    if inner is not None:
        return builder.put("log_softmax", inner.inputs, x.shape, x.dtype, inner.params)
    return None


def _binary_cross_entropy(builder: Builder, step: Step) -> Any:
    x, target = step.inputs
    inner = builder.made_by(x, "sigmoid")
    if inner is None or type(inner.inputs[0]) is not Var:
        return None
    inputs = (inner.inputs[0], target)
    return builder.put("binary_cross_entropy_with_logits", inputs, step.out.shape, step.out.dtype, step.params)


def _factors(builder: Builder, x: Any, depth: int = 8) -> tuple[list[Any], list[Any]]:
    """Numerators and denominators of a product, as far as it is made of products."""
    step = builder.producer.get(x) if type(x) is Var and depth else None
    name = step.name if step is not None else ""
    if step is None or name not in ("multiply", "divide", "zero_where_zero") or step.out.dtype.kind != "f":
        return [x], []
    if name == "zero_where_zero":
        return _factors(builder, step.inputs[2], depth - 1) if step.inputs[1] is step.inputs[2] else ([x], [])
    (above, below), (above2, below2) = (_factors(builder, y, depth - 1) for y in step.inputs)
    return (above + above2, below + below2) if name == "multiply" else (above + below2, below + above2)


def _sigmoid_slope(builder: Builder, x: Any) -> tuple[Any, Any] | None:
    """The factors a and 1 − a of x, if it is the divisor of the derivative of cross-entropy for a = σ(z)."""
    step = builder.made_by(x, "maximum")
    if step is None or not is_number(step.inputs[1], LEAST_VARIANCE):
        return None
    above, below = _factors(builder, step.inputs[0])
    if below or len(above) != 2:
        return None
    for a, rest in (above, above[::-1]):
        if builder.made_by(a, "sigmoid") is not None and _is_one_minus(builder, rest, a):
            return a, rest
    return None


def _is_one_minus(builder: Builder, x: Any, a: Any) -> bool:
    step = builder.made_by(x, "subtract")
    return step is not None and is_number(step.inputs[0], 1) and step.inputs[1] is a


def _cancelled(builder: Builder, step: Step) -> Any:
    """(a − y)/max(a·(1 − a), ε) · a·(1 − a) = a − y, as in the derivative of cross-entropy of a sigmoid."""
    above, below = [], []
    for x in step.inputs:
        more_above, more_below = _factors(builder, x)
        above += more_above
        below += more_below
    for divisor in below:
        slope = _sigmoid_slope(builder, divisor)
        if slope is None:
            continue
        rest = list(above)
        for factor in slope:
            at = next((i for i, x in enumerate(rest) if x is factor), None)
            if at is None:
                break
            del rest[at]
        else:
            dividers = [x for x in below if x is not divisor]
            product = _product(builder, rest, dividers)
            return None if product is None else _same(step, product)
    return None


def _product(builder: Builder, above: list[Any], below: list[Any]) -> Any:
    if not above:
        return None
    product = above[0]
    for x in above[1:]:
        product = builder.add("multiply", product, x)
    for x in below:
        product = builder.add("divide", product, x)
    return product


# --- composed operations in simple ones ------------------------------------------------------------------------------


def _slope_last(builder: Builder, step: Step) -> Any:
    """g·((1 − a)·a) as (g·a)·(1 − a): each product can take the place of what it was made from."""
    for g, slope in (step.inputs, step.inputs[::-1]):
        product = builder.made_by(slope, "multiply")
        if product is None:
            continue
        for rest, a in (product.inputs, product.inputs[::-1]):
            if type(a) is Var and a.dtype == step.out.dtype and a.shape and _is_one_minus(builder, rest, a):
                return builder.add("multiply", builder.add("multiply", g, a), rest)
    return None


def _linear(builder: Builder, step: Step) -> Any:
    x, weight, bias = step.inputs
    product = builder.put("linear_map", (x, weight), step.out.shape, np.result_type(x.dtype, weight.dtype))
    return builder.add("add", product, bias)


def _linear_map(builder: Builder, step: Step) -> Any:
    x, weight = step.inputs
    if len(x.shape) != 2:
        return None
    transposed = builder.transpose(weight)
    if x.dtype == np.float32 and x.shape[0] <= 16 and x.shape[1] >= 128:
        # OpenBLAS takes a tenth to a quarter less time in float32 for a few long samples if they are columns.
        columns = builder.transpose(x)
        shape = (weight.shape[0], x.shape[0])
        return builder.transpose(builder.put("matmul", (weight, columns), shape, step.out.dtype))
    return builder.put("matmul", (x, transposed), step.out.shape, step.out.dtype)


def _reduced(builder: Builder, x: Any, step: Step) -> Any:
    """The sum of a loss's terms, or their mean."""
    reduction = step.params["reduction"]
    if reduction == "none":
        return x
    if x.dtype == np.float16:
        return None
    total = builder.put("sum", (x,), (), x.dtype)
    return builder.add("divide", total, x.dtype.type(x.size)) if reduction == "mean" else total


def _with_logits(builder: Builder, step: Step) -> Any:
    z, target = step.inputs
    if type(z) is not Var or z.dtype == np.float16 or not z.shape or step.out.dtype != z.dtype:
        return None
    size = builder.add("negative", builder.add("absolute", z))
    tail = builder.add("log1p", builder.add("exp", size))
    linear = builder.add("subtract", builder.add("maximum", z, 0), builder.add("multiply", z, target))
    return _reduced(builder, builder.add("add", linear, tail), step)


def _mse_loss(builder: Builder, step: Step) -> Any:
    x, target = step.inputs
    if type(x) is not Var or x.dtype.kind != "f" or x.dtype == np.float16 or not x.shape:
        return None
    difference = builder.add("subtract", x, target)
    if difference.dtype != step.out.dtype:
        return None
    return _reduced(builder, builder.add("multiply", difference, difference), step)


def _mean(builder: Builder, step: Step) -> Any:
    (x,) = step.inputs
    if x.dtype.kind != "f" or x.dtype == np.float16 or not x.size:
        return None
    params = {"axis": step.params["axis"], "keepdims": step.params["keepdims"]}
    total = builder.put("sum", (x,), step.out.shape, x.dtype, params)
    return builder.add("divide", total, x.size // max(step.out.size, 1))


def _sum_to(builder: Builder, step: Step) -> Any:
    (x,) = step.inputs
    if x.dtype == np.float16:
        return None
    shape = step.params["shape"]
    lead = len(x.shape) - len(shape)
    axes = (*range(lead), *(i + lead for i, n in enumerate(shape) if n == 1 and x.shape[i + lead] != 1))
    if not axes:
        return _same(step, x)
    keepdims = len(axes) > lead
    between = tuple(1 if i in axes else n for i, n in enumerate(x.shape)) if keepdims else shape
    axis = None if len(axes) == len(x.shape) else axes[0] if len(axes) == 1 else axes
    total = builder.put("sum", (x,), between, x.dtype, {"axis": axis, "keepdims": keepdims})
    return builder.reshape(total, shape) if between != shape else total


def _sigmoid(builder: Builder, step: Step) -> Any:
    (x,) = step.inputs
    if type(x) is not Var or not x.shape or x.dtype.char not in "fd":
        return None
    one = x.dtype.type(1)
    return builder.add("reciprocal", builder.add("add", builder.add("exp", builder.add("negative", x)), one))


def _relu(builder: Builder, step: Step) -> Any:
    (x,) = step.inputs
    return builder.add("maximum", x, 0) if type(x) is Var and x.shape else None


def _square(builder: Builder, step: Step) -> Any:
    (x,) = step.inputs
    plain = type(x) is Var and x.dtype.kind == "f" and not x.weak
    return builder.add("multiply", x, x) if plain else None


def _softmax(builder: Builder, step: Step) -> Any:
    """Softmax and log_softmax, along one axis."""
    (x,) = step.inputs
    one_axis = isinstance(step.params["axis"], int) and type(x) is Var and x.shape
    if not one_axis or x.dtype.char not in "fd" or not x.size:
        return None
    shifted, shape = _shifted(builder, x, step)
    e = builder.add("exp", shifted)
    total = _reduction(builder, "sum", e, step, shape)
    if step.name == "softmax":
        return builder.add("divide", e, total)
    return builder.add("subtract", shifted, builder.add("log", total))


def _cross_entropy(builder: Builder, step: Step) -> Any:
    """Log Σ exp(z − max z) − (z − max z) at the label: what its derivative computes too is computed once."""
    x, labels = step.inputs
    if type(x) is not Var or type(labels) is not Var or len(x.shape) != 2 or not x.size or x.dtype.char not in "fd":
        return None
    if labels.shape != x.shape[:1] or step.out.dtype != x.dtype:
        return None
    whole = Step(step.op, (x,), {"axis": -1}, step.outputs, step.line)
    shifted, shape = _shifted(builder, x, whole)
    total = _reduction(builder, "sum", builder.add("exp", shifted), whole, shape)
    rows = builder.new.constant(np.arange(x.shape[0]))
    picked = builder.put("index", (shifted, rows, labels), labels.shape, x.dtype, {"key": ("array", "array")})
    logs = builder.reshape(builder.add("log", total), labels.shape)
    return _reduced(builder, builder.add("subtract", logs, picked), step)


def _shifted(builder: Builder, x: Var, step: Step) -> tuple[Any, tuple[int, ...]]:
    axis = step.params["axis"] % len(x.shape)
    shape = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
    return builder.add("subtract", x, _reduction(builder, "max", x, step, shape)), shape


def _reduction(builder: Builder, name: str, x: Var, step: Step, shape: tuple[int, ...]) -> Any:
    return builder.put(name, (x,), shape, x.dtype, {"axis": step.params["axis"], "keepdims": True})


IDENTITIES: dict[str, list[Pattern]] = {
    ELEMENTWISE: [_broadcast_operand],
    "add": [_add],
    "subtract": [_neutral(0)],
    "multiply": [_multiply],
    "divide": [_neutral(1)],
    "power": [_power],
    "where": [_where],
    "zero_where_zero": [_zero_mask],
    "alias": [_forward],
    "copy": [_forward],
    "astype": [_forward],
    "positive": [_forward],
    "real": [_forward],
    "conjugate": [_conjugate],
    "broadcast_to": [_forward],
    "sum_to": [_forward],
    "index": [_index],
    "reshape": [_reshape],
    "negative": [_negative],
    "matrix_transpose": [_transposed_twice],
}

#: What computes the same formula without the overflow of a part of it.
WITHOUT_OVERFLOW: dict[str, list[Pattern]] = {
    "log": [_log],
    "binary_cross_entropy": [_binary_cross_entropy],
    "multiply": [_cancelled],
}

STABLE: dict[str, list[Pattern]] = {**IDENTITIES, **WITHOUT_OVERFLOW, "multiply": [_cancelled, _multiply]}

LOWER: dict[str, list[Pattern]] = {
    **IDENTITIES,
    "multiply": [_multiply, _slope_last],
    "linear": [_linear],
    "linear_map": [_linear_map],
    "binary_cross_entropy_with_logits": [_with_logits],
    "cross_entropy": [_cross_entropy],
    "mse_loss": [_mse_loss],
    "mean": [_mean],
    "sum_to": [_forward, _sum_to],
    "sigmoid": [_sigmoid],
    "relu": [_relu],
    "square": [_square],
    "softmax": [_softmax],
    "log_softmax": [_softmax],
}
