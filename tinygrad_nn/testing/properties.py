"""What must hold for every op, on any of its cases. Each function raises AssertionError where it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..core.graph import Spec
from ..core.op import expand_variadic
from ..tensor.tensor import Tensor, plain_tensor
from .check import Settings, check_problem
from .oracle import estimate
from .problem import Array, Problem, as_leaf, is_float
from .rows import LAYOUTS, Case, Row


def _outputs(out: Any) -> list[Any]:
    return list(out) if isinstance(out, tuple) else [out]


def _raw(x: Any) -> Any:
    return np.asarray(x._value) if isinstance(x, Tensor) else np.asarray(x)


def _assert_same(
    got: Any,
    expected: Any,
    what: str,
    ulps: float = 0.0,
    eps: float | None = None,
    sensitivity: Callable[[], list[float]] | None = None,
) -> None:
    """Equal shape, dtype and elements; the latter up to rounding if `ulps` are allowed.

    Rounding is measured by the largest element, and, where that is not enough, by how much the results change with the
    inputs: a sum that cancels has larger errors than its value tells.
    """
    pairs = list(zip(map(_raw, _outputs(got)), map(_raw, _outputs(expected)), strict=True))
    scales = None
    for k, (a, b) in enumerate(pairs):
        assert a.shape == b.shape, f"{what}: shape {a.shape}, expected {b.shape}"
        assert eps is not None or a.dtype == b.dtype, f"{what}: dtype {a.dtype}, expected {b.dtype}"
        if ulps == 0 or a.dtype.kind not in "fc":
            assert np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"), f"{what}: {a!r}, expected {b!r}"
            continue
        unit = eps or float(np.finfo(a.dtype).eps)
        scale = float(np.max(abs(b[np.isfinite(b)]), initial=float(np.finfo(a.dtype).tiny)))
        if not _near(a, b, ulps * unit * scale) and sensitivity is not None:
            scales = scales or sensitivity()
            scale = max(scale, scales[k])
        assert _near(a, b, ulps * unit * scale), f"{what}: {a!r}, expected {b!r}"


def _near(a: Array, b: Array, allowed: float) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(np.all((a == b) | (abs(a - b) <= allowed) | (np.isnan(a) & np.isnan(b))))


def _sensitivity(compute: Callable[[Case], Any], case: Case) -> list[float]:
    """How much each result changes, for a relative change of the inputs by 1."""
    step = 2.0**-20
    rng = np.random.default_rng(0)
    case = _in(case, np.float64)
    here = [_raw(out) for out in _outputs(compute(case))]
    largest = [0.0] * len(here)
    for _ in range(4):
        moved = case.with_inputs(
            x * (1 + step * rng.choice([-1.0, 1.0], x.shape)) if is_float(x) else x for x in case.inputs
        )
        for k, out in enumerate(_outputs(compute(moved))):
            change = abs(_raw(out) - here[k]) / step
            largest[k] = max(largest[k], float(np.max(change[np.isfinite(change)], initial=0.0)))
    return largest


def _in(case: Case, dtype: Any) -> Case:
    """The case with its floating-point inputs in a precision."""
    return case.with_inputs(np.asarray(x).astype(dtype) if is_float(x) else x for x in case.inputs)


def _leaves(case: Case) -> tuple[list[Any], list[Tensor]]:
    """The inputs with each differentiable one as a Tensor that requires gradients, and those Tensors."""
    chosen = case.differentiable
    tensors = {i: Tensor(case.inputs[i], requires_grad=True) for i in chosen}
    return [tensors.get(i, x) for i, x in enumerate(case.inputs)], list(tensors.values())


def _seeds(outs: Sequence[Any], seed: int = 1) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.uniform(0.5, 1.5, _raw(out).shape)).astype(_raw(out).dtype) for out in outs]


def _recorded(case: Case) -> tuple[list[Any], list[Tensor], list[Tensor]]:
    """The inputs with Tensors in the place of differentiable ones, those Tensors, and the results to differentiate."""
    full, tensors = _leaves(case)
    return full, tensors, [out for out in _outputs(case(*full)) if isinstance(out, Tensor) and out.requires_grad]


def _pull_back(outs: Sequence[Tensor]) -> list[Tensor]:
    """Call `backward` of each result with a fixed random gradient; these are returned."""
    seeds = [plain_tensor(g[()]) for g in _seeds(outs)]
    for out, g in zip(outs, seeds, strict=True):
        out.backward(g, retain_graph=True)
    return seeds


def gradients(case: Case, inputs: Sequence[Any] | None = None) -> tuple[Array, ...]:
    """Gradients of one op in its differentiable inputs by `backward`, from fixed random gradients of its results."""
    _, tensors, outs = _recorded(case if inputs is None else case.with_inputs(inputs))
    _pull_back(outs)
    return tuple(np.zeros(t.shape, t.dtype) if t.grad is None else _raw(t.grad) for t in tensors)


def value_is_the_references(case: Case) -> None:
    """The value agrees with NumPy's, in shape and dtype too; arrays in give arrays out."""
    expected = None
    if case.row.reference is not None:
        with np.errstate(all="ignore"):
            expected = case.row.reference(*map(np.array, case.inputs), **case.settings)
    out = case()
    for result in _outputs(out):
        assert isinstance(result, np.ndarray | np.generic), f"{case}: gave {type(result).__name__} on arrays"
        assert not (type(result) is np.ndarray and result.ndim == 0), f"{case}: gave a 0-d array, not a scalar"
    if expected is not None:
        expected = tuple(expected) if isinstance(expected, list) else expected
        _assert_same(out, expected, f"{case}", case.row.ulps, sensitivity=partial(_sensitivity, Case.__call__, case))


def tensors_give_what_arrays_give(case: Case) -> None:
    """Tensors in give Tensors out, bit for bit what arrays give, recorded or not."""
    expected = case()
    plain = [Tensor(x) if isinstance(x, np.ndarray) else x for x in case.inputs]
    if not any(isinstance(x, Tensor) for x in plain):
        return
    for inputs in (plain, _leaves(case)[0]):
        if any(isinstance(x, Tensor) for x in inputs):
            out = case(*inputs)
            assert all(isinstance(result, Tensor) for result in _outputs(out)), f"{case}: no Tensor for Tensors"
            _assert_same(out, expected, f"{case} on Tensors")


def derivatives_are_the_oracles(case: Case, order: int = 2) -> None:
    """First and second order, reverse and forward."""
    if case.differentiable:
        check_problem(Problem.of_op(case.op, case.inputs, case.settings), order, Settings(case.row.gradient_ulps))


def analytic_ops_take_a_complex_step(case: Case) -> None:
    """The trait `analytic` is true: the derivative can be found, and is found, by a complex step."""
    if not case.op.analytic or not case.differentiable:
        return
    problem = Problem.of_op(case.op, case.inputs, case.settings)
    cotangents = _seeds(problem([as_leaf(x) for x in problem.values]))
    for i in range(len(problem.values)):
        gradient = estimate(problem, i, cotangents, analytic=True)
        assert gradient.method == "complex step", f"{case}: said to be analytic, but a complex step in input {i} fails"


def inputs_are_left_alone(case: Case) -> None:
    """Neither the op nor its derivative writes to an input; no gradient is a view of an input or of another one."""
    before = [np.array(x) for x in case.inputs]
    with np.errstate(all="ignore"):
        case()
    full, tensors, outs = _recorded(case)
    values = [np.array(_raw(out)) for out in outs]
    seeds = _pull_back(outs)
    for x, y in zip(before, case.inputs, strict=True):
        assert np.array_equal(x, np.asarray(y), equal_nan=x.dtype.kind in "fc"), f"{case}: an input was written to"
    for out, value in zip(outs, values, strict=True):
        assert np.array_equal(_raw(out), value, equal_nan=True), f"{case}: backward wrote to the result"
    held = [_raw(x) for x in (*full, *outs, *seeds)]
    for i, tensor in enumerate(tensors):
        grad = None if tensor.grad is None else tensor.grad._value
        others = [t.grad._value for t in tensors[i + 1 :] if t.grad is not None]
        for other in (*held, *others):
            if type(grad) is np.ndarray and type(other) is np.ndarray:
                assert not np.shares_memory(grad, other), f"{case}: a gradient shares memory with something else"


def layout_does_not_matter(case: Case) -> None:
    """Strided, reversed, transposed and read-only inputs give what contiguous ones give."""
    for compute, what, ulps in ((Case.__call__, f"{case}", 8.0), (gradients, f"gradient of {case}", 64.0)):
        expected, sensitivity = compute(case), partial(_sensitivity, compute, case)
        for layout in (*LAYOUTS.values(), _read_only):
            moved = case.with_inputs(layout(x) if isinstance(x, np.ndarray) and x.ndim else x for x in case.inputs)
            _assert_same(compute(moved), expected, f"{what} on another memory layout", ulps, sensitivity=sensitivity)


def _read_only(x: Array) -> Array:
    view = x.view()
    view.flags.writeable = False
    return view


def single_precision_stays_single(case: Case) -> None:
    """float32 in gives float32 out, and gradients of each input's own dtype near those in float64."""
    if not case.row.single or not any(map(is_float, case.inputs)):
        return
    floats = [i for i, x in enumerate(case.inputs) if is_float(x)]
    small = _in(case, np.float32)
    double = _in(small, np.float64)
    ulps = 16 * case.row.gradient_ulps**0.5 + case.row.ulps
    for out in _outputs(small()):
        assert "dtype" in case.settings or _raw(out).dtype != np.float64, f"{case} in float32 gave float64"
    for gradient in gradients(small):
        assert gradient.dtype == np.float32, f"{case}: the gradient of a float32 input is {gradient.dtype}"
    for compute, what, allowed in ((Case.__call__, f"{case}", ulps), (gradients, f"gradient of {case}", 8 * ulps)):
        sensitivity = partial(_sensitivity, compute, case)
        _assert_same(compute(small), compute(double), f"{what} in float32", allowed, 2.0**-23, sensitivity)
    if len(floats) > 1:  # mixed precision: each gradient in its input's
        mixed = [x.astype(np.float32) if i == floats[0] else x for i, x in enumerate(double.inputs)]
        for got, i in zip(gradients(double, mixed), double.with_inputs(mixed).differentiable, strict=True):
            assert got.dtype == mixed[i].dtype, f"{case}: the gradient of a {mixed[i].dtype} input is {got.dtype}"


def rules_read_what_they_say(case: Case) -> None:
    """A rule gives the same when it has exactly the values that `op.reads` lists, and shapes of the others."""
    op = case.op
    chosen = case.differentiable
    if not chosen or (op.rules is None and op.joint is None):
        return
    out = case()
    g = tuple(_seeds(out)) if isinstance(out, tuple) else _seeds([out])[0][()]
    values = [np.asarray(x)[()] if isinstance(x, np.ndarray) else x for x in case.inputs]
    for i in chosen:
        keep = op.reads[1 << i]
        if op.variadic:
            keep = expand_variadic(op, keep, len(values))
        saved = [x if kept else _spec(x) for x, kept in zip(values, keep, strict=False)]
        result = out if keep[-1] else tuple(map(_spec, out)) if isinstance(out, tuple) else _spec(out)
        with np.errstate(all="ignore"):
            whole = _rule(case, i, g, out, values)
            try:
                spare = _rule(case, i, g, result, saved)
            except Exception as error:
                raise AssertionError(
                    f"{case}: the derivative in input {i} needs more than op.reads says it reads: {error}"
                ) from error
        if whole is not None:
            _assert_same(spare, whole, f"{case}: derivative in input {i} with what it says it reads")


def _spec(x: Any) -> Any:
    return Spec(x.shape, x.dtype) if isinstance(x, np.ndarray | np.generic) else x


def _rule(case: Case, i: int, g: Any, out: Any, values: Sequence[Any]) -> Any:
    op = case.op
    settings = {**op.defaults, **case.settings}
    if op.joint is not None:
        return op.joint(tuple(k == i for k in range(len(values))), g, out, *values, **settings)[i]
    assert op.rules is not None
    rule = op.rules[i]
    return None if rule is None else rule(g, out, *values, **settings)


def python_numbers_are_weak(case: Case) -> None:
    """A Python number in the place of an input leaves dtypes alone, and the other gradients are the same."""
    floats = [i for i, x in enumerate(case.inputs) if is_float(x)]
    if not case.op.elementwise or len(floats) < 2 or not np.size(case.inputs[floats[0]]):
        return
    for i in floats:
        number = float(np.asarray(case.inputs[i]).flat[0])
        if case.row.single:
            small = [np.float32(x) if k in floats else x for k, x in enumerate(case.inputs)]
            out = case(*(number if k == i else Tensor(x) for k, x in enumerate(small)))
            assert out.dtype != np.float64, f"{case}: beside a Python number float32 became float64"
        weak = case.with_inputs(number if k == i else x for k, x in enumerate(case.inputs))
        strong = case.with_inputs(np.float64(number) if k == i else x for k, x in enumerate(case.inputs))
        expected = dict(zip(strong.differentiable, gradients(strong), strict=True))
        for k, got in zip(weak.differentiable, gradients(weak), strict=True):
            _assert_same(got, expected[k], f"gradient of {case} beside a Python number", ulps=8.0)


def without_derivative_is_not_recorded(case: Case) -> None:
    """The results of ops without a derivative are plain Tensors, whatever they are made from."""
    if case.op.differentiable:
        return
    inputs = [Tensor(x, requires_grad=True) if is_float(x) else x for x in case.inputs]
    if any(isinstance(x, Tensor) for x in inputs):
        for out in _outputs(case(*inputs)):
            assert isinstance(out, Tensor), f"{case}: no Tensor for Tensors"
            assert not out.requires_grad, f"{case}: recorded, though it has no derivative"


#: All of them, by name.
PROPERTIES: dict[str, Callable[[Case], None]] = {
    f.__name__: f
    for f in (
        inputs_are_left_alone,
        value_is_the_references,
        tensors_give_what_arrays_give,
        derivatives_are_the_oracles,
        analytic_ops_take_a_complex_step,
        layout_does_not_matter,
        single_precision_stays_single,
        rules_read_what_they_say,
        python_numbers_are_weak,
        without_derivative_is_not_recorded,
    )
}


def check_op(row: Row, *, seed: int = 0) -> None:
    """Hold an op to all that the library's own ops are held to, on every case of its row.

    Parameters
    ----------
    row : Row
        What the op takes.
    seed : int
        Of the random elements.

    Raises
    ------
    AssertionError
        Naming the case and what does not hold.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> from tinygrad_nn import testing
    >>> @tg.op(elementwise=True, analytic=True)
    ... def cube(x):
    ...     return x**3
    >>> cube.derivatives(lambda g, out, x: g * 3 * x**2)
    <op cube(x)>
    >>> testing.check_op(testing.Row(cube, reference=lambda x: np.power(x, 3)))
    """
    for case in row.examples(seed):
        for check in PROPERTIES.values():
            check(case)
