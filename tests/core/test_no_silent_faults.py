"""Ways in which an engine could give a wrong gradient without a word, each of which must be right or raise."""

import copy
import functools
import math
import pickle
import sys
import threading
import warnings

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn


def leaf(x, **kwargs):
    return tg.tensor(x, requires_grad=True, **kwargs)


def test_an_op_with_several_results_whose_rule_reads_them_has_a_second_derivative():
    @tg.op
    def exp_and_sin(x):
        return np.exp(x), np.sin(x)

    exp_and_sin.derivatives(lambda g, out, x: g[0] * out[0] + g[1] * tg.cos(x))
    assert tg.grad(tg.grad(lambda x: exp_and_sin(x)[0]))(1.0) == pytest.approx(np.e)
    assert tg.grad(tg.grad(lambda x: exp_and_sin(x)[1]))(1.0) == pytest.approx(-np.sin(1.0))


def test_checkpoint_keeps_its_arguments_as_they_were():
    x, c = leaf(3.0), tg.tensor(2.0)
    y = tg.checkpoint(lambda x, c: x * x * c)(x, c)
    c += 1
    y.backward()
    assert x.grad.item() == 12.0
    x, c = leaf([3.0]), np.array([2.0])
    y = tg.checkpoint(lambda x, c: x * x * c)(x, c)
    c[:] = 9.0
    y.sum().backward()
    assert x.grad.numpy().tolist() == [12.0]


def test_checkpoint_notices_that_what_it_closes_over_has_changed():
    x, c = leaf(3.0), tg.tensor(2.0)
    y = tg.checkpoint(lambda x: x * x * c)(x)
    c += 1
    with pytest.raises(RuntimeError, match="other values"):
        y.backward()


def test_a_pullback_belongs_to_the_result_as_it_was():
    x = leaf(3.0)
    out, pullback = tg.vjp(lambda x: x * x, x)
    out *= 10
    assert pullback(1.0)[0].item() == 6.0


def test_recorded_gradients_are_tensors_of_their_own():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (a + b).sum().backward(create_graph=True)
    a.grad *= 2
    assert b.grad.numpy().tolist() == [1.0, 1.0]
    v = leaf([1.0, 1.0])
    x = leaf([1.0, 2.0])
    (x * 1).backward(v, create_graph=True)
    assert x.grad is not v


def test_a_hook_that_binds_the_gradient_anew_changes_it_for_nobody_else():
    def double(g):
        g *= 2

    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    a.register_hook(double)
    (a + b).sum().backward(create_graph=True)
    assert a.grad.numpy().tolist() == [1.0, 1.0]
    assert b.grad.numpy().tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("function", "setting", "other"),
    [
        (lambda x, s: tg.permute_dims(x, axes=s), [1, 2, 0], [2, 0, 1]),
        (lambda x, s: tg.roll(x, shift=s, axis=(0, 1, 2)), [1, 2, 0], [0, 0, 0]),
        (lambda x, s: tg.tensordot(x, np.arange(12.0).reshape(3, 4), axes=s), [[1], [0]], [[0], [0]]),
        (lambda x, s: tg.sum(x, axis=tuple(s)), [1, 2], [0, 1]),
    ],
)
def test_a_list_given_as_a_setting_may_change_later(function, setting, other):
    gradients = []
    for change in (False, True):
        given = [list(s) if isinstance(s, list) else s for s in setting]
        x = leaf(np.arange(24.0).reshape(2, 3, 4))
        y = function(x, given)
        if change:
            given[:] = other
        (y * np.arange(y.size).reshape(y.shape)).sum().backward()
        gradients.append(x.grad.numpy())
    np.testing.assert_array_equal(*gradients)


def test_a_memory_map_is_copied_as_any_array(tmp_path):
    m = np.memmap(tmp_path / "m", float, "w+", shape=3)
    m[:] = 2.0
    x = leaf(np.ones(3))
    y = (x * m).sum()
    m[:] = 9.0
    y.backward()
    assert x.grad.numpy().tolist() == [2.0, 2.0, 2.0]


def test_a_masked_array_is_refused():
    masked = np.ma.masked_array([1.0, 2.0], mask=[True, False])
    with pytest.raises(TypeError, match="mask"):
        leaf([1.0, 2.0]) * tg.asarray(masked)
    with pytest.raises(TypeError, match="mask"):
        tg.tensor(masked)


def test_retain_grad_follows_the_tensor_when_it_is_bound_anew():
    y = leaf([1.0, 2.0]) * 2
    y.retain_grad()
    y *= 3
    y.sum().backward()
    assert y.grad.numpy().tolist() == [1.0, 1.0]


def test_a_tensor_that_requires_gradients_is_no_setting():
    slope = leaf(0.1)
    with pytest.raises(TypeError, match="setting"):
        nn.functional.leaky_relu(leaf([1.0, -1.0]), slope)

    @tg.op
    def scaled(x, *, k):
        return x * k

    scaled.derivatives(lambda g, out, x, *, k: g * k)
    with pytest.raises(TypeError, match="'k'.*requires gradients"):
        scaled(leaf(1.0), k=slope)
    assert scaled(leaf(1.0), k=tg.tensor(3.0)).item() == 3.0


def test_means_and_sums_of_many_in_float16():
    x = leaf(np.ones(70_000, np.float16))
    x.mean().backward()
    np.testing.assert_allclose(x.grad.numpy(), 1 / 70_000, rtol=0.05)
    bias = leaf(np.zeros(2, np.float16))
    (tg.zeros((5000, 2), dtype=tg.float16) + bias).sum().backward()
    assert bias.grad.numpy().tolist() == [5000.0, 5000.0]
    loss = nn.MSELoss()(leaf(np.ones(70_000, np.float16)), tg.zeros(70_000, dtype=tg.float16))
    assert loss.item() == 1.0


def test_an_op_that_returns_its_input_does_not_share_it_with_the_user():
    @tg.op
    def straight_through(x, q):
        return q

    straight_through.derivatives(lambda g, out, x, q: g, None)
    for wrap in (lambda q: q, tg.asarray):
        x, q = leaf([1.0, 2.0]), np.array([5.0, 6.0])
        y = straight_through(x, wrap(q))
        loss = (y * y).sum()
        q[:] = 0.0
        loss.backward()
        assert x.grad.numpy().tolist() == [10.0, 12.0]
    q[:] = 3.0
    constant = straight_through(tg.tensor([1.0, 2.0]), q)
    w = leaf([1.0, 1.0])
    loss = (w * constant).sum()
    q[:] = 7.0
    loss.backward()
    assert w.grad.numpy().tolist() == [3.0, 3.0]


def test_a_hook_on_what_a_checkpoint_reads_runs_once():
    x = leaf(3.0)
    x.register_hook(lambda g: g * 10)
    tg.checkpoint(lambda x: x * x)(x).backward()
    assert x.grad.item() == 60.0


def test_passes_in_several_threads_all_arrive():
    w = leaf(np.zeros(2000))

    def work():
        for _ in range(200):
            (w * 1.0).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    np.testing.assert_array_equal(w.grad.numpy(), 800.0)


def test_one_mode_entered_by_two_threads_restores_each():
    shared = tg.no_grad()
    inside, leave, states = threading.Event(), threading.Event(), []

    def work():
        with tg.no_grad(), shared:
            inside.set()
            leave.wait()
        states.append(tg.is_grad_enabled())

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    with shared:
        leave.set()
        thread.join()
        states.append(tg.is_grad_enabled())
    states.append(tg.is_grad_enabled())
    assert states == [True, False, True]


def test_a_rule_with_a_default_argument_keeps_what_it_reads():
    @tg.op
    def scaled(x, y):
        return x * y

    scaled.derivatives(lambda g, out, x, y, k=1: g * y * k, lambda g, out, x, y: g * x)
    for n in (3, 100):
        x, y = leaf(np.ones(n)), np.full(n, 2.0)
        loss = scaled(x, y).sum()
        y[:] = 9.0
        loss.backward()
        np.testing.assert_array_equal(x.grad.numpy(), 2.0)


def test_what_only_a_forward_rule_reads_is_kept():
    @tg.op
    def exponential(x):
        return np.exp(x)

    exponential.derivatives(lambda g, out, x: g * out)
    exponential.forward_derivative(lambda t, out, x: t[0] * tg.exp(x))
    x = np.ones(100)
    np.testing.assert_allclose(tg.jvp(exponential, x, x)[1], np.e)


def test_a_rule_or_kernel_that_writes_in_place_is_an_error():
    @tg.op
    def greedy(x):
        return x * 1

    def doubled(g, out, x):
        g *= 2
        return g

    greedy.derivatives(doubled)
    a = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        (greedy(a) + a).sum().backward()

    @tg.op
    def careless(x):
        x *= 2
        return x

    with pytest.raises(ValueError, match="careless.*read-only"):
        careless(a)
    assert a.numpy().tolist() == [1.0, 2.0]


def test_what_a_kernel_may_return():
    @tg.op
    def a_float(x):
        return float(x[0])

    @tg.op
    def a_list(x):
        return [1.0, 2.0]

    assert a_float(tg.tensor([3.0])).item() == 3.0
    with pytest.raises(TypeError, match="a_list.*list"):
        a_list(tg.tensor([3.0]))


def test_settings_keep_their_type_and_their_values():
    @tg.op
    def pick(x, *, rows):
        return x[rows]

    x = tg.tensor(np.arange(6.0).reshape(3, 2))
    assert pick(x, rows=[0, 1]).shape == (2, 2)

    @tg.op
    def scaled(x, *, by):
        return x * by["k"]

    scaled.derivatives(lambda g, out, x, *, by: g * by["k"])
    w, by = leaf(1.0), {"k": 2.0}
    y = scaled(w, by=by)
    by["k"] = 9.0
    y.backward()
    assert w.grad.item() == 2.0


def test_a_discrete_result_beside_a_differentiable_one():
    @tg.op
    def split_sign(x):
        return np.abs(x), x > 0

    split_sign.derivatives(lambda g, out, x: tg.where(out[1], g[0], -g[0]) * 1.0)
    np.testing.assert_array_equal(tg.elementwise_grad(lambda x: split_sign(x)[0] ** 2)(np.array([3.0, -2.0])), [6, -4])
    np.testing.assert_array_equal(
        tg.elementwise_grad(tg.elementwise_grad(lambda x: split_sign(x)[0] ** 2))(np.array([3.0, -2.0])), [2, 2]
    )


def test_a_gradient_that_was_set_is_not_the_callers_tensor():
    p, t = leaf(1.0), leaf(2.0) * 3
    p.grad = t
    t *= 10
    assert p.grad.item() == 6.0


def test_a_repeated_index_in_float16():
    x = leaf(np.ones(4000, np.float16))
    x[np.zeros(5000, int)].sum().backward()
    assert x.grad.numpy()[0] == 5000.0


def test_a_checkpointed_function_may_bind_its_argument_anew():
    def f(x):
        x *= 2
        return x * x

    x = leaf(3.0)
    tg.checkpoint(f)(x * 1).backward()
    assert x.grad.item() == 24.0


def test_a_recorded_result_is_not_cut_in_place():
    x = leaf(2.0)
    y = x * 3
    with tg.no_grad(), pytest.raises(RuntimeError, match=r"no_grad.*detach"):
        y += 1
    (y * x).backward()
    assert x.grad.item() == 12.0


def test_infinite_gradients_stay_out_where_relu_is_zero():
    x = leaf([-1.0, 4.0])
    tg.sqrt(tg.relu(x)).sum().backward()
    assert x.grad.numpy().tolist() == [0.0, 0.25]


def test_products_and_variances_at_their_limits():
    assert tg.grad(tg.prod)(np.array([np.inf])).tolist() == [1.0]
    np.testing.assert_array_equal(tg.grad(tg.prod)(np.array([1e200, 1e-200])), [1e-200, 1e200])
    x = leaf([3.0])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tg.var(x, correction=1).backward()
    assert np.isnan(x.grad.numpy()).all()


def test_an_argument_named_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        tg.grad(lambda x, y: x * y, argnums=(0, -2))(3.0, 2.0)


def test_a_rule_that_writes_in_a_recorded_pass_reaches_nobody_else():
    @tg.op
    def greedy(x):
        return x * 1

    def doubled(g, out, x):
        g *= 2
        return g

    greedy.derivatives(doubled)
    a, b = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    (b + greedy(a)).sum().backward(create_graph=True)
    assert b.grad.numpy().tolist() == [1.0, 1.0]
    assert a.grad.numpy().tolist() == [2.0, 2.0]


def test_a_forward_rule_cannot_write_to_a_tangent():
    @tg.op
    def identity(x):
        return x * 1

    def doubled(tangents, out, x):
        tangents[0] *= 2
        return tangents[0]

    identity.derivatives(lambda g, out, x: g)
    identity.forward_derivative(doubled)
    with pytest.raises(ValueError, match="read-only"):
        tg.jvp(lambda x: identity(x) + x, np.ones(3), np.ones(3))


@pytest.mark.parametrize("kind", ["method", "default", "partial", "object"])
def test_what_an_unusual_rule_reads_is_kept(kind):
    @tg.op
    def scaled(x, y):
        return x * y

    class Rules:
        def method(self, g, out, x, y=None):
            return g * y

        def __call__(self, g, out, x, y):
            return g * y

    def default(g, out, x, y=None):
        return g * y

    rule = {
        "method": Rules().method,
        "default": default,
        "partial": functools.partial(lambda k, g, out, x, y: g * y * k, 1),
        "object": Rules(),
    }[kind]
    scaled.derivatives(rule, None)
    for n in (3, 100):
        x, y = leaf(np.ones(n)), np.full(n, 2.0)
        loss = scaled(x, y).sum()
        y[:] = 9.0
        loss.backward()
        np.testing.assert_array_equal(x.grad.numpy(), 2.0)


def test_a_buffer_that_a_kernel_keeps_is_not_written_to_under_a_result():
    buffer = np.empty(3)

    @tg.op
    def exponential(x):
        return np.exp(x, out=buffer)

    exponential.derivatives(lambda g, out, x: g * out)
    x = leaf([0.0, 0.5, 1.0])
    a = exponential(x)
    exponential(a).sum().backward()
    value = np.exp([0.0, 0.5, 1.0])
    np.testing.assert_allclose(a.numpy(), value)
    np.testing.assert_allclose(x.grad.numpy(), np.exp(value) * value)


@pytest.mark.parametrize(
    "make",
    [
        lambda t: tg.Tensor(t * 2),
        lambda t: tg.tensor(t * 2),
        lambda t: tg.full((2,), [t, t]),
        lambda t: tg.linspace([t, t], 3.0, 3),
        lambda t: nn.functional.cross_entropy(tg.ones((1, 2)), tg.tensor([0]), weight=[t, t]),
        lambda t: t * [t, t],
    ],
)
def test_what_would_cut_a_tensor_from_its_graph_is_refused(make):
    with pytest.raises(TypeError, match=r"graph|stack"):
        make(leaf(1.0))


def test_complex_python_numbers():
    assert (1j * tg.tensor(2.0)).shape == ()


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * math.sin(x),
        lambda x: x * float(x),
        lambda x: (np.array([x, x]) * x).sum(),
        lambda x: x * np.asarray(x),
    ],
)
def test_a_conversion_inside_a_transform_is_refused(f):
    with pytest.raises(TypeError, match=r"inside a transform.*\.item\(\)"):
        tg.grad(f)(1.0)
    assert tg.grad(lambda x: x * x.item())(3.0) == 3.0


def test_an_array_filled_inside_a_transform_is_refused():
    def f(x):
        a = np.zeros(2)
        a[0] = x[0] ** 2
        return (x * a).sum()

    with pytest.raises((TypeError, ValueError)):
        tg.grad(f)(np.array([1.0, 2.0]))


def test_conversions_outside_transforms_are_the_users_own():
    x = leaf(3.0)
    assert math.sin(x) == np.sin(3.0)
    assert copy.copy(x * 2).item() == 6.0


# --- what was refused, or done without what belongs to it ------------------------------------------------------------


def test_forward_mode_refuses_complex_numbers():
    for f in (lambda x: tg.imag(tg.exp(1j * x)), lambda x: tg.real((x + 1j) ** 2), lambda x: tg.absolute(x * 1j)):
        with pytest.raises(TypeError, match="complex"):
            tg.jvp(f, (0.5,), (1.0,))
        with pytest.raises(TypeError, match="complex"):
            tg.grad(f)(0.5)
    np.testing.assert_allclose(tg.jvp(tg.real, (0.5,), (1.0,)), (0.5, 1.0))


def test_results_of_one_element_and_constants_have_gradients():
    assert tg.grad(lambda x: tg.reshape(x**2, (1,)))(3.0) == 6
    assert tg.value_and_grad(lambda x: x[:1] * 2)(np.array([3.0, 1.0]))[1].tolist() == [2, 0]
    for constant in (3, 3.0, np.float32(3), np.array(3.0)):
        assert tg.grad(lambda x, constant=constant: constant)(2.0) == 0
        assert tg.grad(lambda x, constant=constant: constant)(np.ones(2)).tolist() == [0, 0]
    with pytest.raises(TypeError, match="returned str, not a Tensor"):
        tg.grad(lambda x: "text")(2.0)


def test_inputs_by_name():
    condition, x = np.array([True, False]), tg.tensor([1.0, 2.0], requires_grad=True)
    y = tg.where(condition=condition, x=x, y=tg.zeros(2))
    assert y.tolist() == [1, 0]
    assert tg.where(condition, y=0.0, x=x).requires_grad
    assert tg.sum(x=x, axis=0).item() == 3
    with pytest.raises(TypeError, match="takes 3 inputs"):
        tg.where(condition=condition, x=x)


def test_lists_of_tensors_are_joined_where_one_array_is_taken():
    a, b = (tg.tensor(x, requires_grad=True) for x in (3.0, 4.0))
    tg.mean([a, b]).backward()
    assert a.grad.item() == 0.5
    assert tg.linalg.norm([a, b]).item() == 5
    assert tg.std([[a, b], [b, 5.0]], axis=1).tolist() == [0.5, 0.5]


def test_numbers_that_a_dtype_does_not_hold():
    with pytest.raises(OverflowError):
        tg.full((2,), 300, dtype=tg.int8)
    assert tg.full((2,), 100, dtype=tg.int8).tolist() == [100, 100]
    with pytest.raises(TypeError, match="masked array"):
        tg.from_dlpack(np.ma.masked_array([1.0, 2.0], [True, False]))


def pickled(x):
    return pickle.loads(pickle.dumps(x))  # noqa: S301 - our own


def test_copies_and_pickles_have_the_gradient():
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    (w**2).sum().backward()
    for again in (copy.deepcopy(w), pickled(w), copy.copy(w)):
        assert again.grad.tolist() == [2, 4]
        again.grad[0] = 9.0
        assert w.grad.tolist() == [2, 4]


def test_batch_norm_with_arrays_and_with_nothing():
    F, nn = tg.nn.functional, tg.nn
    x = np.arange(6.0).reshape(3, 2)
    mean, var = np.zeros(2), np.ones(2)
    F.batch_norm(tg.tensor(x, requires_grad=True), mean, var, training=True, momentum=0.5)
    np.testing.assert_allclose(mean, [1.0, 1.5])
    layer = nn.BatchNorm1d(3)
    assert layer(tg.zeros((0, 3), dtype=np.float32)).shape == (0, 3)
    assert layer.running_mean.tolist() == [0, 0, 0]
    assert F.pad(tg.zeros((0, 3)), (1, 1)).shape == (0, 5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adagrad", "Rprop"])
@pytest.mark.parametrize("compiled", [False, True])
def test_optimizers_of_float16(name, compiled):
    """As in float32, rounded; small squares and eps do not vanish."""
    from tinygrad_nn import nn, optim

    gradient = np.array([0.0, 1e-3, 1.0], np.float16)
    half, single = (nn.Parameter(np.array([1.0, 2.0, 3.0]), dtype=d) for d in (np.float16, np.float32))
    steps = [getattr(optim, name)([p], lr=0.01) for p in (half, single)]
    step = tg.compile(lambda: steps[0].step()) if compiled else steps[0].step
    for _ in range(3):
        half.grad, single.grad = tg.tensor(gradient), tg.tensor(gradient.astype(np.float32))
        step()
        steps[1].step()
    assert half.dtype == np.float16
    np.testing.assert_allclose(half.numpy(), single.numpy(), rtol=2e-3)
    again = getattr(optim, name)([half], lr=0.01)
    again.load_state_dict(steps[0].state_dict())
    kept = [e for entries in again.state.values() for e in entries.values() if isinstance(e, np.ndarray)]
    assert all(e.dtype == np.float32 for e in kept)
