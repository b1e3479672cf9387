"""tg.compile: every op, arguments and guards, memory of results, errors, and compiled functions inside others."""

import pkgutil
import warnings
from collections import OrderedDict, namedtuple
from importlib import import_module

import numpy as np
import pytest

import tinygrad_nn
import tinygrad_nn as tg
from tests.compiler.programs import assert_close, assert_same, call_alone, entry_of, numbers
from tinygrad_nn import nn, testing
from tinygrad_nn.core.tree import flatten

for module in pkgutil.walk_packages(tinygrad_nn.__path__, "tinygrad_nn."):
    if ".jax." not in module.name:  # which needs JAX
        import_module(module.name)  # so that no op stays out of sight

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def T(*values, dtype=np.float64):
    return tg.tensor(np.array(values[0] if len(values) == 1 else values, dtype))


def same_twice(function, *args, changed=None, **kwargs):
    """Compiled and not, called twice, then with changed arguments: the same; and kept results stay as they were."""
    compiled = tg.compile(function)
    kept = []
    for given in (args, args, changed or args):
        out = compiled(*given, **kwargs)
        assert_same(out, function(*given, **kwargs))
        kept.append((out, numbers(out)))
    for out, before in kept:
        np.testing.assert_equal(numbers(out), before)
    return compiled


# --- every op --------------------------------------------------------------------------------------------------------


def as_inputs(case):
    """Arrays as Tensors, Python's numbers as they are."""
    return [x if type(x) in (int, float) else tg.tensor(np.asarray(x)) for x in case.inputs]


def value_of(case):
    return lambda *inputs: case.op(*inputs, **case.settings)


def gradient_of(case):
    """The gradient of the weighed sum of all results, with respect to all that have one."""
    where = case.differentiable

    def gradient(*inputs):
        def loss(*parts):
            given = list(inputs)
            for i, part in zip(where, parts, strict=True):
                given[i] = part
            total = 0
            for k, out in enumerate(flatten(case.op(*given, **case.settings))[0]):
                if out.dtype.kind == "f":
                    total = total + (out * np.cos(np.arange(out.size) + k).reshape(out.shape).astype(out.dtype)).sum()
            return total

        return tg.grad(loss, tuple(range(len(where))))(*(inputs[i] for i in where))

    return gradient


@pytest.mark.parametrize("name", sorted(testing.table))
def test_every_op(name):
    """Value and gradient of every case; also from the emitted text alone."""
    for case in testing.op_cases(name):
        inputs = as_inputs(case)
        functions = [value_of(case)]
        if case.differentiable and all(np.asarray(case.inputs[i]).dtype.kind == "f" for i in case.differentiable):
            functions.append(gradient_of(case))
        for function in functions:
            try:
                expected = function(*inputs)
            except TypeError:  # no floating-point result to differentiate
                assert function is not functions[0]
                continue
            try:
                entry = entry_of(function, inputs)
            except TypeError as error:
                assert "depends on the numbers" in str(error)
                continue
            for _ in range(2):
                assert_same(entry.call(tuple(inputs), {}), expected, coarse="f", what=f"{case}\n{entry.source.text}")
            assert_close(call_alone(entry, *inputs), numbers(expected), coarse="f", what=f"{case}\n{entry.source.text}")


# --- where numbers are not finite ------------------------------------------------------------------------------------

GUARDED = [
    lambda x: tg.where(x > 0, tg.log(x), 0.0),
    lambda x: tg.where(x > 0, tg.sqrt(x), 0),
    lambda x: tg.where(x != 0, 1 / x, 0),
    lambda x: tg.where(x > 0, x**-0.5, 0.0),
    lambda x: tg.where(x > 0, tg.log(x) * tg.sqrt(x), x * 0.0),
    lambda x: tg.where(x > 0, 1 / tg.sqrt(tg.log(x + 1)), x),
    lambda x: tg.where(x < 1, tg.arccos(x), tg.exp(x * 1000)),
    lambda x: tg.sqrt(x) * 0.0,
    lambda x: tg.maximum(x, 0) ** 0.5,
    lambda x: tg.where(abs(x) < 1, x, x / (x - x)),
]


#: What is done with a gradient, which may hide that it would have been infinite or NaN without care.
SWALLOWING = [
    lambda g: 1 / (1 + g * g),
    lambda g: g / (1 + abs(g)),
    lambda g: tg.tanh(g),
    lambda g: tg.exp(-g),
    lambda g: tg.minimum(g, 2.0),
    lambda g: tg.where(g > 1, 1.0, g),
    lambda g: tg.clip(g, -1.0, 1.0),
    lambda g: tg.max(g),
    lambda g: g > 0,
    lambda g: tg.argmax(g),
    lambda g: tg.sign(g) * 0.5,
    lambda g: tg.arctan(g),
    lambda g: tg.softmax(g),
    lambda g: (g[1:3], g * 1),
    lambda g: (g * 1, tg.where(g > 1, g, 0.5)),
    lambda g: (g > 0, tg.fmax(g, 0.0), g + g[::-1]),
    lambda g: g * 0,
    lambda g: g**-1.0,
    lambda g: tg.sum(g[::2]) + tg.prod(tg.sigmoid(g)),
]


@pytest.mark.parametrize("number", range(len(SWALLOWING)))
def test_no_use_of_a_gradient_hides_what_it_would_have_been(number):
    for f in (lambda x: tg.where(x > 0, tg.sqrt(x), 0), lambda x: tg.where(x > 0, 1 / x, x)):
        use = lambda x, f=f: SWALLOWING[number](tg.grad(lambda x: tg.sum(f(x)))(x))  # noqa: E731
        compiled = tg.compile(use)
        for x in (T(0.5, 0.7, 0.9, 1.5), T(0.0, 0.5, 0.25, 1.5), T(0.0, 0.0, -0.5, 0.5)):
            assert_same(compiled(x), use(x))


@pytest.mark.parametrize("number", range(len(GUARDED)))
def test_zero_gradients_stay_zero(number):
    """The branch that is not taken lets neither NaN nor infinity into any derivative, as without compilation."""
    f = GUARDED[number]
    first = tg.grad(lambda x: tg.sum(f(x)))
    second = tg.grad(lambda x: tg.sum(first(x)))
    odd = T([0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 1e-320])
    for function in (f, first, second):
        compiled = tg.compile(function)
        for x in (T(np.linspace(0.1, 0.9, 9)), odd, T(np.linspace(0.1, 0.9, 9)), odd):
            got, expected = compiled(x).numpy(), function(x).numpy()
            np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))
            np.testing.assert_array_equal(got == 0, expected == 0)
            np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 1e-200 * 1e-200,
        lambda x: x * 1e-160 * 1e-160,
        lambda x: x / T(0.0, -0.0),
        lambda x: 1 / (x * -1 * 0),
        lambda x: -(x * -1) - 0.0,
        lambda x: x * 10**30,
    ],
)
def test_rewriting_keeps_extreme_numbers(function):
    x = T(1e300, -3e-5)
    np.testing.assert_allclose(tg.compile(function)(x).numpy(), function(x).numpy(), rtol=1e-15, atol=0)


def test_a_formula_of_the_users_own_is_not_cancelled():
    def damped(z, y):
        a = tg.sigmoid(z)
        return (a - y) / tg.maximum(a * (1 - a), 1e-7) * a * (1 - a)

    same_twice(damped, T(-18.0, 3.0), T(1.0, 0.0))


@pytest.mark.parametrize("name", sorted(name for name, row in testing.table.items() if row.op.elementwise))
def test_elementwise_ops_on_results_whose_memory_they_may_take(name):
    one = tg.tensor(1.0)
    for case in testing.op_cases(name):
        scaled = [isinstance(x, np.ndarray) and x.dtype == np.float64 and x.ndim > 0 for x in case.inputs]
        if not any(scaled):
            continue

        def f(one, *inputs, case=case, scaled=scaled):
            return case.op(*(x * one if its else x for x, its in zip(inputs, scaled)), **case.settings)

        inputs = as_inputs(case)
        compiled = tg.compile(f)
        for _ in range(2):
            assert_same(compiled(one, *inputs), f(one, *inputs))


# --- arguments and what is returned ----------------------------------------------------------------------------------

Pair = namedtuple("Pair", "a b")


def test_nested_arguments_and_results():
    def f(d, *, scale, pair=None):
        y = d["w"][0] @ d["x"] * scale
        return {"b": y, "a": [y + 1, (d["x"],)], "c": None, "n": 3, "o": OrderedDict(z=y, a=y)}, Pair(y, "text")

    for k in (1.0, 2.0):
        d = {"w": [T([[1.0, k], [2.0, 3.0]])], "x": T(1.0, 2.0)}
        compiled = same_twice(f, d, scale=k)
    assert list(compiled(d, scale=1.0)[0]) == ["b", "a", "c", "n", "o"]
    assert_same(compiled({"x": d["x"], "w": d["w"]}, scale=1.5), f(d, scale=1.5))
    assert_same(compiled(d, scale=1.5, pair=1), f(d, scale=1.5, pair=1))


def test_keyword_arguments_in_any_order():
    def f(x, *, a, b=2.0):
        return x * a + b

    x = T(1.0, 2.0)
    compiled = tg.compile(f)
    for kwargs in ({"a": 3.0}, {"a": 4.0, "b": 1.0}, {"b": 1.0, "a": 4.0}, {"a": x}, {"b": x, "a": 2.0}):
        assert_same(compiled(x, **kwargs), f(x, **kwargs))


def test_arrays_give_arrays_and_tensors_give_tensors():
    f = lambda x, y: (tg.exp(x) @ y.T, x, tg.sum(y))  # noqa: E731
    x = np.linspace(0, 1, 4).reshape(2, 2)
    for args in ((T(x), x), (x, T(x)), (T(x), T(x))):
        assert_same(tg.compile(f)(*args), f(*args))
    made = tg.compile(f)(x.T[::-1], np.asfortranarray(x))
    assert not any(map(is_tensor, made))
    assert_close(numbers(made), numbers(f(x.T[::-1], x)))


def is_tensor(x):
    return isinstance(x, tg.Tensor)


def test_layouts_dtypes_and_read_only_arrays():
    f = lambda x: tg.sin(x) @ x.T * 2 + x[::-1].sum()  # noqa: E731
    a = np.random.default_rng(0).standard_normal((4, 4))
    compiled = tg.compile(f)
    broad = np.broadcast_to(a[0], (4, 4))
    frozen = a.copy()
    frozen.flags.writeable = False
    for x in (a, a.T, a[::-1], np.asfortranarray(a), a.astype(">f8"), a.astype("f"), broad, frozen):
        assert_close(numbers(compiled(x)), numbers(f(tg.asarray(x))))
        assert_same(compiled(tg.asarray(x)), f(tg.asarray(x)))


def test_floats_vary_and_other_numbers_are_fixed():
    f = lambda x, a: tg.where(x > a, x * a + 1, a)  # noqa: E731
    compiled = tg.compile(f)
    x = T(1.0, 2.0, dtype=np.float32)
    for a in (1.5, 0.5, -0.0, float("inf")):
        assert_same(compiled(x, a), f(x, a))
    assert repr(compiled).endswith("1 recordings>")
    for a in (2, 3, True, 1, np.float32(0.5), np.float64(0.5), np.int64(2)):
        assert_same(compiled(x, a), f(x, a))


def test_static_arguments():
    f = lambda x, a: x / a if a else x  # noqa: E731
    compiled = tg.compile(f, static="a")
    x = T(1.0, 2.0)
    for a in (2.0, 0.5, 0.0, -0.0, 2.0, float("inf"), float("nan"), 2):
        assert_same(compiled(x, a), f(x, a))


def test_pythons_numbers_compute_as_numpys():
    for f in (tg.divide, tg.floor_divide, tg.remainder, tg.power):
        same_twice(lambda x, a, b: x * f(a, b), T(1.0), 1.0, 2.0, changed=(T(1.0), -1.0, 0.0))  # noqa: B023
        same_twice(lambda x, a, b: x * f(a, b), T(1.0), 1.0, 2.0, changed=(T(1.0), -2.0, 0.5))  # noqa: B023
    for f in (lambda a: a * 2, tg.exp, tg.sum, tg.square, lambda a: tg.maximum(a, 0.0), lambda a: abs(-a) + 1):
        assert type(tg.compile(f)(1.5)) is type(f(1.5))
    same_twice(lambda x, a: tg.arctan2(x, tg.square(a) + 1), T(1.0, dtype=np.float32), 1.5)


@pytest.mark.parametrize(
    "name", ["add", "np", "exp", "copyto", "count", "getrefcount", "x", "t1", "one", "print", "i", "p"]
)
def test_names_that_emitted_code_uses_too(name):
    text = f"def {name}(x, {name}_, isfinite):\n    {name} = tg.exp(x) + 1\n    vdot = {name} * isfinite\n"
    text += f"    dot = vdot @ {name}_\n    return dot * {name}, vdot, tg.where(vdot > 2, vdot, {name})"
    space = {"tg": tg}
    exec(text, space)
    same_twice(space[name], T(1.0, 2.0), T(3.0, 4.0), T(0.5, 1.5))
    same_twice(tg.grad(lambda *xs: tg.sum(space[name](*xs)[2] / (xs[0] - 1))), T(1.0, 2.0), T(3.0, 4.0), T(0.5, 1.5))


def test_new_shapes_and_dtypes_are_recorded_anew_and_many_warn():
    f = lambda x: tg.sum(tg.exp(x), axis=0)  # noqa: E731
    compiled = tg.compile(f)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(12):
            for dtype in ("f", "d"):
                x = T(np.ones((k % 6, 2)), dtype=dtype)
                assert_same(compiled(x), f(x))
    assert [str(w.message)[:30] for w in caught] == ["<lambda> has been recorded 9 t"]
    assert caught[0].filename == __file__


def test_masked_arrays_are_refused():
    compiled = tg.compile(lambda x: tg.exp(x))
    for _ in range(2):
        with pytest.raises(TypeError, match="masked"):
            compiled(np.ma.array([1.0, 2.0], mask=[0, 1]))
        compiled(np.array([1.0, 2.0]))


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x * 2)[..., 0, 0],
        lambda x: tg.squeeze((x * 2)[:1, :1], axis=(0, 1)),
        lambda x: (x * 2)[0].reshape(3)[1],
        lambda x: tg.take((x * 2)[0], 0),
        lambda x: [(x * 2).T, (x * 2)[0], (x * 2)[..., 1]],
        lambda x: (lambda y: (y, y, y.T, {"rows": list(y)}))(x * 2),
        lambda x: (x, x.T, x[0], x + 0, tg.exp(x)),
        lambda x: tg.broadcast_to((x * 2)[0], (2, 3)),
    ],
)
def test_results_belong_to_the_caller(function):
    same_twice(function, T(np.arange(6.0).reshape(2, 3)), changed=(T(np.ones((2, 3))),))


def test_whatever_holds_a_result_keeps_it():
    compiled = tg.compile(lambda x: x * 2)
    holds = [lambda r: r, lambda r: r.numpy()[1:], lambda r: memoryview(r.numpy()), lambda r: r.detach(), lambda r: r.T]
    for hold in holds:
        held = [hold(compiled(T([float(i)] * 3))) for i in range(6)]
        for i, x in enumerate(held):
            assert (np.asarray(x.numpy() if is_tensor(x) else x) == 2 * i).all()
    w = tg.tensor(np.ones(3), requires_grad=True)
    graphs = [tg.sum(w * compiled(T([float(i)] * 3))) for i in range(6)]
    for i, graph in enumerate(graphs):
        w.grad = None
        graph.backward()
        np.testing.assert_array_equal(w.grad.numpy(), [2 * i] * 3)


def test_results_as_next_inputs():
    f = lambda h, x: (tg.tanh(h @ x) + h, h)  # noqa: E731
    compiled = tg.compile(f)
    x = T(np.random.default_rng(0).standard_normal((3, 3)))
    h = g = T(np.ones((3, 3)))
    for _ in range(5):
        (h, old), (g, expected) = compiled(h, x), f(g, x)
        assert_same((h, old), (g, expected))


def test_the_same_tensor_twice():
    def f(x, y):
        x += 1
        return x * y

    compiled = tg.compile(f)
    for together in (True, False, True):
        x, z = T(1.0, 2.0), T(1.0, 2.0)
        y, w = (x, z) if together else (T(5.0, 6.0), T(5.0, 6.0))
        assert_same(compiled(x, y), f(z, w))
        assert_same((x, y), (z, w))


def test_a_float_times_an_input():
    x, w = T(np.ones((3, 4))), T(np.arange(8.0).reshape(4, 2))
    for f in (
        lambda x, w, a: x * a + 1,
        lambda x, w, a: ((x @ w) * a, tg.sum(x @ w) * a),
        lambda x, w, a: (tg.exp(x) @ w) * a * a,
        lambda x, w, a: (tg.exp(x) * a, tg.exp(x)),
        lambda x, w, a: (lambda y: (y * a, y.T * a, y * y * a, (y / y) * a))(tg.exp(x)),
        lambda x, w, a: tg.exp(x).reshape(12) * a,
    ):
        same_twice(f, x, w, 3.0, changed=(x, w, 0.0))


# --- Python, which cannot see the numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "look",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: float(x.sum()),
        lambda x: x * int(x[0]),
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
        lambda x: x.tolist(),
        lambda x: x.sum().item(),
        lambda x: [1, 2, 3][x.astype(int)[0]],
        lambda x: max(x[0], x[1]),
        lambda x: sorted(x),
        lambda x: 1.0 in x,
        lambda x: f"{x[0]:.3f}",
        lambda x: x[: x.astype(int)[0]],
        lambda x: x[x > 0],
        lambda x: tg.nonzero(x),
        lambda x: x.sum() == 1 or x,
        lambda x: [x for _ in range(x.astype(int)[0])],
        lambda x: tg.zeros(x.astype(int)[0]),
    ],
)
def test_looking_at_numbers_is_an_error_that_names_the_line(look):
    with pytest.raises(TypeError) as error:
        tg.compile(look)(T(1.0, 2.0))
    assert "test_compile.py" in str(error.value)
    assert f":{look.__code__.co_firstlineno}" in str(error.value)


def test_what_is_kept_outside_is_an_error():
    log = []

    def f(x):
        log.append(x * 2)
        return x

    with pytest.raises(TypeError, match="kept outside f"):
        tg.compile(f)(T(1.0))


# --- inside and outside of other transforms --------------------------------------------------------------------------


def wave(x):
    return tg.sum(tg.sin(x) * x)


TRANSFORMS = {
    "grad": lambda f: tg.grad(f),
    "value_and_grad": lambda f: tg.value_and_grad(f),
    "hessian": lambda f: tg.hessian(f),
    "jacobian": lambda f: tg.jacobian(lambda x: f(x) * x),
    "hvp": lambda f: lambda x: tg.hvp(f, (x,), (x + 1,)),
    "jvp": lambda f: lambda x: tg.jvp(f, (x,), (x + 1,)),
    "vjp": lambda f: lambda x: tg.vjp(f, x)[1](T(2.0)),
    "third": lambda f: tg.grad(lambda x: tg.sum(tg.grad(lambda x: tg.sum(tg.grad(f)(x)))(x))),
    "checkpoint": lambda f: tg.grad(tg.checkpoint(f)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_compiled_transforms_and_transforms_of_compiled(name):
    transform = TRANSFORMS[name]
    inner = tg.compile(wave)
    for x in (T(1.0, 2.0), np.array([0.5, -1.0]), T(np.ones((2, 2)))):
        expected = transform(wave)(x)
        for function in (tg.compile(transform(wave)), transform(inner), tg.compile(transform(inner))):
            for _ in range(2):
                assert_same(function(x), expected)
        assert_same(inner(x), wave(x))


def test_compiled_inside_compiled():
    inner = tg.compile(lambda x: x * 2)
    same_twice(lambda x: inner(x) + inner(x[0]), T(1.0, 2.0), changed=(T(3.0, 4.0),))


def test_backward_through_compiled():
    model = nn.Linear(3, 2)
    compiled = tg.compile(lambda x: tg.tanh(model(x)))
    x, z = (tg.tensor(np.ones((2, 3), np.float32), requires_grad=True) for _ in range(2))
    for _ in range(3):
        (tg.sum(compiled(x * 2)) * 2).backward()
        got = [x.grad, *(p.grad for p in model.parameters())]
        x.grad = None
        model.zero_grad()
        (tg.sum(tg.tanh(model(z * 2))) * 2).backward()
        assert_same(got, [z.grad, *(p.grad for p in model.parameters())])
        z.grad = None
        model.zero_grad()
    with tg.no_grad():
        assert not compiled(x).requires_grad
    assert compiled(x).requires_grad


def test_modes():
    compiled = tg.compile(tg.log)
    compiled(T(1.0, 2.0))
    with tg.detect_anomaly(), pytest.raises(FloatingPointError):
        compiled(T(0.0, 1.0))
    with tg.keep_values():
        assert_same(compiled(T(1.0, 2.0)), tg.log(T(1.0, 2.0)))


def test_methods_can_be_compiled():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)

        @tg.compile
        def forward(self, x):
            return self.inner(x) * 2

    for model in (Scaled(), Scaled()):
        x = T([[1.0, 2.0]], dtype=np.float32)
        for _ in range(2):
            assert_same(model(x), model.inner(x) * 2)
