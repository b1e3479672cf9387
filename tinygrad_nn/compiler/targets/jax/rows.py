"""How jax.numpy computes each operation: a row for each op, which writes a step of it as an expression.

What a row writes gives what the op's kernel gives: the same shape, the same dtype (by NumPy's rules, which are not
JAX's), and the same numbers up to rounding, infinities and NaN too.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ....ops.reductions.axes import reduced_count
from ...ir import Step, Var
from .shape_rows import SHAPE_ROWS, same
from .text import (
    Row,
    Writer,
    dtype_of,
    dtype_of_all,
    dtype_text,
    number_text,
    setting_text,
    settings_text,
    shape_of,
)
from .window_rows import WINDOW_ROWS

# --- element by element ----------------------------------------------------------------------------------------------


def _infix(operator: str, function: str) -> Row:
    def row(w: Writer, step: Step) -> str:
        x, y = (w.cast(x, step.out.dtype) for x in step.inputs)
        return _applied(step, operator, function, x, y)

    return row


def _compared(operator: str, function: str) -> Row:
    def row(w: Writer, step: Step) -> str | None:
        dtype = dtype_of_all(step.inputs)
        if dtype is None:
            return None
        x, y = (w.cast(x, dtype) for x in step.inputs)
        return _applied(step, operator, function, x, y)

    return row


def _applied(step: Step, operator: str, function: str, x: str, y: str) -> str:
    """The operator where one side is an array for sure, else the function, which takes Python's numbers too."""
    arrays = any(type(x) is Var and not x.weak and x.kind != "constant" for x in step.inputs)
    return f"{x} {operator} {y}" if arrays else f"jnp.{function}({x}, {y})"


def _function(name: str) -> Row:
    """A function of jax.numpy that computes in the dtype of its result."""
    return lambda w, step: f"jnp.{name}({', '.join(w.cast(x, step.out.dtype) for x in step.inputs)})"


def _test(name: str) -> Row:
    """A function of jax.numpy that takes any dtype."""
    return lambda w, step: f"jnp.{name}({', '.join(map(w.of, step.inputs))})"


def _of_parts(name: str) -> Row:
    """One that takes complex numbers to real ones."""

    def row(w: Writer, step: Step) -> str:
        x = step.inputs[0]
        given = dtype_of(x)
        return f"jnp.{name}({w.of(x) if given.kind == 'c' else w.cast(x, step.out.dtype)})"

    return row


def _rounded(name: str) -> Row:
    def row(w: Writer, step: Step) -> str:
        x = w.cast(step.inputs[0], step.out.dtype)
        return x if step.out.dtype.kind in "biu" else f"jnp.{name}({x})"

    return row


def _round(w: Writer, step: Step) -> str | None:
    x, decimals = w.cast(step.inputs[0], step.out.dtype), step.params["decimals"]
    if step.out.dtype.kind in "biu":
        return x if decimals >= 0 else None
    if decimals == 0:
        return f"jnp.round({x})"
    factor = number_text(10.0 ** abs(decimals))
    return f"jnp.round({x} * {factor}) / {factor}" if decimals > 0 else f"jnp.round({x} / {factor}) * {factor}"


def _signbit(w: Writer, step: Step) -> str:
    x = step.inputs[0]
    given = dtype_of(x)
    return f"jnp.signbit({w.of(x) if given.kind == 'f' else w.cast(x, np.float64, exactly=True)})"


def _power(w: Writer, step: Step) -> str | None:
    y = step.inputs[1]
    if step.out.dtype.kind in "iu" and type(y) is Var and y.dtype.kind == "i":
        w.refuse(f"jnp.any({w.of(y)} < 0)", ValueError, "power: integers have no negative powers that are integers")
    return _infix("**", "power")(w, step)


def _whole(helper: str) -> Row:
    """A division of integers by zero gives 0."""

    def row(w: Writer, step: Step) -> str:
        x, y = (w.cast(x, step.out.dtype, exactly=True) for x in step.inputs)
        return f"{w.use(helper)}({x}, {y})"

    return row


def _where(w: Writer, step: Step) -> str:
    condition, x, y = step.inputs
    chosen = ", ".join(w.cast(x, step.out.dtype) for x in (x, y))
    return f"jnp.where({w.cast(condition, np.bool_)}, {chosen})"


def _clip(w: Writer, step: Step) -> str:
    x, least, most = (w.cast(x, step.out.dtype) for x in step.inputs)
    return f"jnp.minimum(jnp.maximum({x}, {least}), {most})"


def _sigmoid(w: Writer, step: Step) -> str | None:
    if step.out.dtype.kind == "c":
        return None
    bound = {"e": 11.0, "f": 20.0}.get(step.out.dtype.char, 40.0)
    return f"{w.use('sigmoid')}({w.cast(step.inputs[0], step.out.dtype)}, {bound})"


def _zero_where_zero(w: Writer, step: Step) -> str:
    g, r, x = step.inputs
    zero = f"jnp.zeros((), {dtype_text(step.out.dtype)})"
    guarded = f"({w.of(g)} == 0) & ~jnp.isfinite({w.of(r)})"
    return f"jnp.where({guarded}, {zero}, {w.cast(x, step.out.dtype, exactly=True)})"


def _normal_cdf(w: Writer, step: Step) -> str:
    (x,) = step.inputs
    given = dtype_of(x)
    x = w.cast(x, given if given.kind == "f" else np.float64, exactly=True)
    ratio = f"({x} * {number_text(-(0.5**0.5))}).astype(jnp.float64)"
    return f"(0.5 * jax.scipy.special.erfc({ratio})).astype({dtype_text(step.out.dtype)})"


def _formula(text: str) -> Row:
    """A formula with ``{x}`` for the input and names of settings for those."""

    def row(w: Writer, step: Step) -> str:
        settings = {name: number_text(value) for name, value in step.params.items()}
        return text.format(x=w.cast(step.inputs[0], step.out.dtype), **settings)

    return row


# --- reductions ------------------------------------------------------------------------------------------------------


def _reduction(name: str) -> Row:
    """Sum or product, in the dtype of the result."""

    def row(w: Writer, step: Step) -> str:
        (x,) = step.inputs
        own = type(x) is Var and x.dtype == step.out.dtype
        dtype = "" if own else f", dtype={dtype_text(step.out.dtype)}"
        return f"jnp.{name}({w.of(x)}{settings_text(step, 'axis', 'keepdims', 'include_initial')}{dtype})"

    return row


def _extreme(w: Writer, step: Step) -> str:
    return f"jnp.{step.op.name}({w.of(step.inputs[0])}{settings_text(step, 'axis', 'keepdims')})"


def _counted(w: Writer, step: Step) -> str:
    return f"{_extreme(w, step)}.astype({dtype_text(step.out.dtype)})"


def _mean(w: Writer, step: Step) -> str:
    (x,) = step.inputs
    settings = settings_text(step, "axis", "keepdims")
    if step.out.dtype.char == "e":
        return f"jnp.mean({w.of(x)}{settings})"
    return f"jnp.sum({w.of(x)}{settings}) / {reduced_count(shape_of(x), step.params['axis'])}"


def _variance(w: Writer, step: Step) -> str:
    (x,) = step.inputs
    axis, keepdims = step.params["axis"], step.params["keepdims"]
    count = reduced_count(shape_of(x), axis)
    given = dtype_of(x)
    half = given.char == "e"
    text = w.cast(x, np.float32 if half else given if given.kind in "fc" else np.float64, exactly=True)
    freedom = number_text(max(count - step.params["correction"], 0))
    text = f"{w.use('variance')}({text}, {setting_text(axis)}, {keepdims!r}, {count}, {freedom})"
    text = f"{text}.astype(jnp.float16)" if half else text
    return f"jnp.sqrt({text})" if step.op.name == "std" else text


def _sum_to(w: Writer, step: Step) -> str:
    (x,) = step.inputs
    shape = step.params["shape"]
    given = shape_of(x)
    lead = len(given) - len(shape)
    axes = (*range(lead), *(i + lead for i, n in enumerate(shape) if n == 1 and given[i + lead] != 1))
    if not axes:
        return w.cast(x, step.out.dtype, exactly=True)
    own = type(x) is Var and x.dtype == step.out.dtype
    text = f"jnp.sum({w.of(x)}, axis={setting_text(axes)}{'' if own else f', dtype={dtype_text(step.out.dtype)}'})"
    return text if len(axes) == lead else f"{text}.reshape({setting_text(shape)})"


def _in_float(helper: str, *settings: str) -> Row:
    def row(w: Writer, step: Step) -> str:
        chosen = ", ".join(setting_text(step.params[name]) for name in settings)
        return f"{w.use(helper)}({w.cast(step.inputs[0], step.out.dtype, exactly=True)}, {chosen})"

    return row


# --- products --------------------------------------------------------------------------------------------------------


def _matmul(w: Writer, step: Step) -> str | None:
    if step.out.dtype.kind == "b":
        return None
    x, y = (w.cast(x, step.out.dtype) for x in step.inputs)
    return f"{x} @ {y}"


def _vecdot(w: Writer, step: Step) -> str | None:
    if step.out.dtype.kind == "b":
        return None
    x, y = (w.cast(x, step.out.dtype, exactly=True) for x in step.inputs)
    return f"jnp.vecdot({x}, {y}, axis={step.params['axis']})"


def _tensordot(w: Writer, step: Step) -> str | None:
    axes = step.params["axes"]
    x, y = step.inputs
    if step.out.dtype.kind == "b":
        return None
    if isinstance(axes, int | np.integer):
        ndim = len(shape_of(x))
        in_x, in_y = tuple(range(ndim - int(axes), ndim)), tuple(range(int(axes)))
    else:
        in_x, in_y = (normalize_axis_tuple(a, len(shape_of(z))) for a, z in zip(axes, (x, y), strict=True))
    x, y = (w.cast(x, step.out.dtype, exactly=True) for x in (x, y))
    return f"jnp.tensordot({x}, {y}, axes={setting_text((in_x, in_y))})"


def _einsum(w: Writer, step: Step) -> str | None:
    if step.out.dtype.kind == "b":
        return None
    operands = ", ".join(w.cast(x, step.out.dtype, exactly=True) for x in step.inputs)
    return f"jnp.einsum({step.params['subscripts']!r}, {operands})"


def _linear_map(w: Writer, step: Step) -> str:
    x, weight = step.inputs[:2]
    dtype = np.result_type(x.dtype, weight.dtype)
    text = f"{w.cast(x, dtype)} @ {w.cast(weight, dtype)}.T"
    if len(step.inputs) == 2:
        return text
    text = text if dtype == step.out.dtype else f"({text}).astype({dtype_text(step.out.dtype)})"
    return f"{text} + {w.cast(step.inputs[2], step.out.dtype)}"


def _vector_norm(w: Writer, step: Step) -> str:
    (x,) = step.inputs
    given = dtype_of(x)
    text = w.of(x) if given.kind == "c" else w.cast(x, step.out.dtype, exactly=True)
    return f"jnp.linalg.vector_norm({text}{settings_text(step, 'axis', 'keepdims', 'ord')})"


# --- losses and layers -----------------------------------------------------------------------------------------------


def _one_hot(w: Writer, step: Step) -> str:
    text = f"{w.array(step.inputs[0])}[..., None] == jnp.arange({step.params['num_classes']})"
    return f"({text}).astype({dtype_text(step.out.dtype)})"


def _reduced(losses: str, step: Step, size: int) -> str:
    reduction = step.params["reduction"]
    if reduction == "none":
        return losses
    if reduction == "sum":
        return f"jnp.sum({losses})"
    return f"jnp.mean({losses})" if step.out.dtype.char == "e" else f"jnp.sum({losses}) / {size}"


def _mse_loss(w: Writer, step: Step) -> str:
    x, target = (w.cast(x, step.out.dtype, exactly=True) for x in step.inputs)
    return _reduced(f"jnp.square({x} - {target})", step, prod(shape_of(step.inputs[0])))


def _binary_cross_entropy(w: Writer, step: Step) -> str:
    x, target = (w.cast(x, step.out.dtype, exactly=True) for x in step.inputs)
    w.refuse(
        f"~jnp.all(({x} >= 0) & ({x} <= 1))",
        ValueError,
        "binary_cross_entropy: predictions must be probabilities in [0, 1], but some are not; put a Sigmoid before, or "
        "give the scores as they are to BCEWithLogitsLoss",
    )
    return _reduced(f"{w.use('binary_cross_entropy')}({x}, {target})", step, prod(shape_of(step.inputs[0])))


def _with_logits(w: Writer, step: Step) -> str:
    x, target = (w.cast(x, step.out.dtype, exactly=True) for x in step.inputs)
    losses = f"jnp.maximum({x}, 0) - {x} * {target} + jnp.log1p(jnp.exp(-jnp.abs({x})))"
    return _reduced(losses, step, prod(shape_of(step.inputs[0])))


def _checked_labels(w: Writer, step: Step) -> str:
    x, classes = w.of(step.inputs[0]), step.params["classes"]
    message = f"{step.params['name']}: labels must be in 0 … {classes - 1}, as there are {classes} classes"
    w.refuse(f"jnp.any(({x} < 0) | ({x} >= {classes}))", ValueError, message)
    return x


def _cross_entropy(w: Writer, step: Step) -> str:
    x, labels = step.inputs
    classes = shape_of(x)[-1]
    if type(labels) is Var and labels.kind != "constant":
        name = w.of(labels)
        w.refuse(
            f"jnp.any(({name} < {-classes}) | ({name} >= {classes}))",
            IndexError,
            f"cross_entropy: a label is out of range for {classes} classes",
        )
    losses = f"{w.use('cross_entropy')}({w.cast(x, step.out.dtype)}, {w.cast(labels, np.int64, exactly=True)})"
    return _reduced(losses, step, prod(shape_of(labels)))


# --- loops and branches ----------------------------------------------------------------------------------------------


def _tuple(w: Writer, inputs: tuple[Any, ...]) -> str:
    return f"({''.join(f'{w.cast(x, dtype_of(x), exactly=True)}, ' for x in inputs)})"


def _scan(w: Writer, step: Step) -> str | None:
    body = w.define(step.params["body"])
    if body is None:
        return None
    consts, carry, length, reverse, history = (
        step.params[name] for name in ("consts", "carry", "length", "reverse", "history")
    )
    fixed, state = step.inputs[:consts], step.inputs[consts : consts + carry]
    given = ", ".join(_tuple(w, inputs) for inputs in (fixed, state, step.inputs[consts + carry :]))
    return f"{w.use('scan')}({body}, {given}, {length}, {reverse}, {setting_text(history)})"


def _cond(w: Writer, step: Step) -> str | None:
    then, otherwise = w.define(step.params["then"]), w.define(step.params["otherwise"])
    if then is None or otherwise is None:
        return None
    choice, *operands = step.inputs
    given = "".join(f", {w.cast(x, dtype_of(x), exactly=True)}" for x in operands)
    return f"jax.lax.cond({w.cast(choice, np.bool_, exactly=True)}, {then}, {otherwise}{given})"


def _while_loop(w: Writer, step: Step) -> str | None:
    if step.params["history"]:  # of a length that only the loop tells
        return None
    test, body = w.define(step.params["test"]), w.define(step.params["body"])
    if test is None or body is None:
        return None
    consts = step.params["consts"]
    given = ", ".join(_tuple(w, inputs) for inputs in (step.inputs[:consts], step.inputs[consts:]))
    return f"{w.use('while_loop')}({test}, {body}, {given})"


# --- all rows --------------------------------------------------------------------------------------------------------

_SAME_NAME = (
    "sqrt cbrt hypot sign copysign exp expm1 log log2 log10 log1p logaddexp sin cos tan arcsin arccos arctan "
    "arctan2 sinh cosh tanh arcsinh arccosh arctanh deg2rad rad2deg maximum minimum fmax fmin left_shift right_shift"
)

#: Ops whose expressions are tuples of results.
PARTED = frozenset(("split", "unstack", "scan", "cond", "while_loop"))

#: By name of the op. An op without a row is computed by its own kernel, outside of what JAX compiles.
ROWS: dict[str, Row] = {
    **{name: _function(name) for name in _SAME_NAME.split()},
    **{name: _test(name) for name in ("isfinite", "isinf", "isnan", "logical_and", "logical_or", "logical_xor")},
    **{name: _test(name) for name in ("logical_not", "invert")},
    **{name: _of_parts(name) for name in ("absolute", "real", "imag", "conjugate")},
    **{name: _rounded(name) for name in ("floor", "ceil", "trunc")},
    "add": _infix("+", "add"),
    "subtract": _infix("-", "subtract"),
    "multiply": _infix("*", "multiply"),
    "divide": _infix("/", "divide"),
    "power": _power,
    "bitwise_and": _infix("&", "bitwise_and"),
    "bitwise_or": _infix("|", "bitwise_or"),
    "bitwise_xor": _infix("^", "bitwise_xor"),
    "equal": _compared("==", "equal"),
    "not_equal": _compared("!=", "not_equal"),
    "less": _compared("<", "less"),
    "less_equal": _compared("<=", "less_equal"),
    "greater": _compared(">", "greater"),
    "greater_equal": _compared(">=", "greater_equal"),
    "negative": _function("negative"),
    "positive": same,
    "reciprocal": _formula("1 / {x}"),
    "square": _function("square"),
    "floor_divide": _whole("divide_down"),
    "remainder": _whole("remainder"),
    "round": _round,
    "signbit": _signbit,
    "where": _where,
    "clip": _clip,
    "nan_to_num": lambda w, step: (
        f"jnp.nan_to_num({w.of(step.inputs[0])}{settings_text(step, 'nan', 'posinf', 'neginf')})"
    ),
    "sigmoid": _sigmoid,
    "exp2": _formula("2.0 ** {x}"),  # jnp.exp2 loses digits of large numbers
    "softplus": _formula("jnp.logaddexp({x}, 0.0)"),
    "log_sigmoid": _formula("-jnp.logaddexp(-{x}, 0.0)"),
    "relu": _formula("jnp.maximum({x}, 0)"),
    "leaky_relu": _formula("jnp.where({x} > 0, {x}, {x} * {negative_slope})"),
    "elu": _formula("jnp.where({x} > 0, {x}, jnp.expm1(jnp.minimum({x}, 0)) * {alpha})"),
    "normal_cdf": _normal_cdf,
    "zero_where_zero": _zero_where_zero,
    # reductions
    "sum": _reduction("sum"),
    "prod": _reduction("prod"),
    "cumulative_sum": _reduction("cumulative_sum"),
    "cumulative_prod": _reduction("cumulative_prod"),
    "mean": _mean,
    "var": _variance,
    "std": _variance,
    "max": _extreme,
    "min": _extreme,
    "any": _extreme,
    "all": _extreme,
    "argmax": _counted,
    "argmin": _counted,
    "count_nonzero": _counted,
    "logsumexp": _in_float("log_sum_exp", "axis", "keepdims"),
    "softmax": _in_float("softmax", "axis"),
    "log_softmax": _in_float("log_softmax", "axis"),
    "sum_to": _sum_to,
    **SHAPE_ROWS,
    **WINDOW_ROWS,
    # products and layers
    "matmul": _matmul,
    "vecdot": _vecdot,
    "tensordot": _tensordot,
    "einsum": _einsum,
    "linear_map": _linear_map,
    "linear": _linear_map,
    "vector_norm": _vector_norm,
    # loops and branches
    "stop_gradient": same,
    "scan": _scan,
    "cond": _cond,
    "while_loop": _while_loop,
    # losses
    "one_hot": _one_hot,
    "mse_loss": _mse_loss,
    "binary_cross_entropy": _binary_cross_entropy,
    "binary_cross_entropy_with_logits": _with_logits,
    "checked_labels": _checked_labels,
    "cross_entropy": _cross_entropy,
}
