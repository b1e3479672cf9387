"""How NumPy computes each operation: with one call into a given array, as a view, as an expression, or by a kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir import Step, Var


@dataclass(frozen=True)
class Form:
    """How a step is written.

    Its kind is ``"into"``: a call that puts its result into a given array; ``"elementwise"``: such a one that may be
    given one of its inputs for it; ``"view"``: an expression for a view of its input; ``"number"``: an expression for a
    number; ``"call"``: a call that makes its result; ``"filled"``: a call of `Op.fill` with arrays for the results.
    """

    kind: str
    text: str  # with {0}, {1}, … for the inputs and {out} for the array
    names: tuple[str, ...] = ()  # what is used of NumPy
    kernel: bool = False  # whether it is a call of the op's own kernel, which takes the array for the result as out=


#: These warn when the array for the result is given by position.
_BY_NAME = frozenset(("maximum", "minimum", "fmax", "fmin"))

#: Python's own numbers are computed with as NumPy does: 1/0 is infinity.
_WEAK = {
    "divide": "{0} / {1} if {1} else float(np.divide({0}, {1}))",
    "floor_divide": "{0} // {1} if {1} else float(np.floor_divide({0}, {1}))",
    "remainder": "{0} % {1} if {1} else float(np.remainder({0}, {1}))",
    "power": "{0} ** {1} if {0} > 0 else np.power({0}, {1}).item()",
}


def form_of(step: Step) -> Form:
    """The form of a step; ``"call"`` with an empty text where only the op's kernel computes it."""
    if step.op.fill is not None and all(out.size and out.shape for out in step.outputs):
        return FILLED
    if step.several:
        return CALL
    if step.out.scalar:
        return _number_form(step)
    ufunc = ufunc_name(step)
    if ufunc is not None:
        return _ufunc_form(step, ufunc)
    if step.op.reduces is not None:
        return _reduction(step, step.op.reduces.__name__) or CALL
    if step.name in _WITH_OUT:
        return _WITH_OUT[step.name]
    form = _FORMS.get(step.name)
    return (form(step) if form is not None else None) or CALL


CALL = Form("call", "")
FILLED = Form("filled", "")
CHAIN = Form("chain", "")


def ufunc_name(step: Step) -> str | None:
    """NumPy's function that computes a step element by element."""
    if step.op.ufunc is not None:
        return step.op.ufunc.__name__
    # Of integers NumPy's gives integers.
    exact = step.name == "reciprocal" and type(x := step.inputs[0]) is Var and x.dtype.kind in "fc"
    return "reciprocal" if exact else None


def _ufunc_form(step: Step, name: str) -> Form:
    places = ", ".join(f"{{{i}}}" for i in range(len(step.inputs)))
    keyword = "out=" if name in _BY_NAME else ""
    return Form("elementwise", f"{name}({places}, {keyword}{{out}})", (name,))


def _number_form(step: Step) -> Form:
    name = step.name
    if step.op.operator is not None and all(type(x) is not Var or x.scalar for x in step.inputs):
        risky = step.out.weak and name in _WEAK and not _is_safe(step)
        return Form("number", _WEAK[name] if risky else step.op.operator.text)
    if step.out.weak:
        return CALL
    ufunc = ufunc_name(step)
    if ufunc is not None:
        places = ", ".join(f"{{{i}}}" for i in range(len(step.inputs)))
        return Form("number", f"{ufunc}({places})", (ufunc,))
    if name == "look":
        return Form("number", "vdot({0}, {0})", ("vdot",))
    if step.op.reduces is not None:
        ufunc = step.op.reduces.__name__
        plain = step.params["axis"] is None and step.params.get("dtype") is None
        plain = is_plain_sum(step) if name == "sum" else plain
        return Form("number", f"{ufunc}.reduce({{0}}, None)", (ufunc,)) if plain else CALL
    if name == "matmul":
        return Form("number", "dot({0}, {1})", ("dot",))
    if name == "index" and len(step.inputs) == 1:
        key = step.params["key"]
        whole = "[()]" if Ellipsis in (key if isinstance(key, tuple) else (key,)) else ""  # gives an array without axes
        return Form("number", f"{{0}}[{key_text(key)}]{whole}")
    if name == "reshape":
        return Form("number", "{0}.reshape(())[()]")
    if name == "astype" and type(step.inputs[0]) is Var:
        return Form("number", f"np.{step.out.dtype.name}({{0}})")
    return CALL


def _is_safe(step: Step) -> bool:
    """Whether Python computes with numbers as NumPy does: no division by zero, no root of a negative number."""
    x, y = step.inputs
    decisive = x if step.name == "power" else y
    if step.name == "power":  # large powers overflow
        return isinstance(decisive, int | float) and 0 < decisive <= 1
    return isinstance(decisive, int | float) and decisive > 0


def is_plain_sum(step: Step) -> bool:
    """Whether a sum is what NumPy's `add.reduce` gives as it is."""
    x = step.inputs[0]
    return (
        step.params.get("dtype") is None
        and type(x) is Var
        and x.dtype.kind in "fc"
        and x.dtype != np.float16
        and x.dtype == step.out.dtype
    )


def _reduction(step: Step, ufunc: str) -> Form | None:
    x = step.inputs[0]
    if type(x) is not Var or x.dtype != step.out.dtype or x.dtype == np.float16 or x.dtype.kind not in "fiu":
        return None
    if step.params.get("dtype") is not None:
        return None
    axis, keepdims = step.params["axis"], step.params["keepdims"]
    keep = ", keepdims=True" if keepdims else ""
    return Form("into", f"{ufunc}.reduce({{0}}, {axis!r}, None, {{out}}{keep})", (ufunc,))


def _matmul(step: Step) -> Form | None:
    x, y = step.inputs
    if type(x) is not Var or type(y) is not Var or not x.dtype == y.dtype == step.out.dtype:
        return None
    name = "dot" if len(x.shape) <= 2 and len(y.shape) <= 2 else "matmul"
    return Form("into", f"{name}({{0}}, {{1}}, {{out}})", (name,))


def _transposed(step: Step) -> Form | None:
    x = step.inputs[0]
    if type(x) is not Var:
        return None
    return Form("view", "{0}.T" if len(x.shape) == 2 else "{0}.swapaxes(-1, -2)")


def _index(step: Step) -> Form | None:
    if len(step.inputs) > 1 or not isinstance(step.inputs[0], Var):
        return None
    return Form("view", f"{{0}}[{key_text(step.params['key'])}]")


def _where(step: Step) -> Form | None:
    condition, x, y = step.inputs
    if type(condition) is not Var or condition.dtype != np.bool_ or condition.shape != step.out.shape:
        return None
    same = type(x) is Var and (x.shape, x.dtype) == (step.out.shape, step.out.dtype)
    if same and _is_plain_zero(y) and step.out.dtype.char in "efd":
        # Times 0 or 1 as integers: an element's bits, or 0 whatever it is. A tenth of the time that masks take.
        bits = f"np.int{8 * step.out.dtype.itemsize}"
        return Form("elementwise", f"multiply({{1}}.view({bits}), {{0}}, {{out}}.view({bits}))", ("multiply",))
    if (type(x) is Var and x.weak) or (type(y) is Var and y.weak):
        return None
    return Form("chosen", "copyto({out}, {2})\ncopyto({out}, {1}, where={0})", ("copyto",))


def _is_plain_zero(x: Any) -> bool:
    """Whether something is the number 0, and not −0."""
    return isinstance(x, int | float | np.floating) and x == 0 and not np.signbit(x)


def _joined(step: Step) -> Form | None:
    if any(type(x) is not Var or x.dtype != step.out.dtype for x in step.inputs):
        return None
    places = ", ".join(f"{{{i}}}" for i in range(len(step.inputs)))
    return Form("into", f"concatenate(({places},), {step.params['axis']}, {{out}})", ("concatenate",))


def _scattered(step: Step) -> Form | None:
    x = step.inputs[0]
    if len(step.inputs) > 1 or type(x) is not Var or x.dtype != step.out.dtype:
        return None
    return Form("into", f"{{out}}.fill(0)\n{{out}}[{key_text(step.params['key'])}] = {{0}}")


def _converted(step: Step) -> Form | None:
    x = step.inputs[0]
    if type(x) is not Var or not x.shape or (x.dtype.kind == "c" and step.out.dtype.kind != "c"):
        return None
    return Form("into", "copyto({out}, {0}, casting='unsafe')", ("copyto",))


def _view(text: str) -> Callable[[Step], Form | None]:
    return lambda step: Form("view", text.format_map(_Settings(step))) if type(step.inputs[0]) is Var else None


class _Settings(dict[str, Any]):
    """Settings of a step, for the text of a view; ``{0}`` stays."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.params)
        self["shape"] = step.out.shape

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


_FORMS: dict[str, Callable[[Step], Form | None]] = {
    "matmul": _matmul,
    "matrix_transpose": _transposed,
    "permute_dims": lambda step: Form("view", f"{{0}}.transpose({step.params['axes']!r})"),
    "reshape": lambda step: Form("view", f"{{0}}.reshape({step.out.shape!r})"),
    "index": _index,
    "where": _where,
    "astype": _converted,
    "concat": _joined,
    "scatter_add": _scattered,
}


#: Operations whose own kernels take the array for the result; those that are elementwise may be given their input's.
_WITH_OUT = {
    "order_by_phase": Form("into", "", kernel=True),
    "share_among_phases": Form("elementwise", "", kernel=True),
    "unfold": Form("into", "", kernel=True),
}


def key_text(key: Any) -> str:
    """An index as Python source."""
    parts = key if isinstance(key, tuple) else (key,)
    return ", ".join(map(_part_text, parts)) if parts else "()"


def _part_text(part: Any) -> str:
    if isinstance(part, slice):
        bounds = ["" if x is None else str(x) for x in (part.start, part.stop)]
        return ":".join(bounds) + ("" if part.step is None else f":{part.step}")
    if part is Ellipsis:
        return "..."
    return "None" if part is None else str(part)
