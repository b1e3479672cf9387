"""Programs in which planning or rewriting could go wrong unseen, one for each way."""

from importlib import import_module

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn, optim
from tinygrad_nn.compiler.ir import MalformedProgram
from tinygrad_nn.compiler.rewrite import simplify
from tinygrad_nn.compiler.targets.numpy import blocks


def same(f, *calls, rtol=1e-6):
    compiled = tg.compile(f)
    for args in calls:
        expected, found = f(*args), compiled(*args)
        for a, b in zip(
            expected if isinstance(expected, tuple) else (expected,), found if isinstance(found, tuple) else (found,)
        ):
            assert np.asarray(a).dtype == np.asarray(b).dtype
            np.testing.assert_allclose(np.asarray(b), np.asarray(a), rtol=rtol, atol=1e-12)


def large(seed, shape=(4, 65536)):
    return tg.tensor(np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.parametrize("turned", [lambda a: a[::-1], tg.flip], ids=["view", "flip"])
def test_a_piece_is_not_written_over_a_view_that_is_still_read(turned):
    def f(x):
        a = x.sum(0)
        e = (tg.sin(a) + turned(a)) * 2 + 1
        return tg.cos(e).reshape(256, 256) @ tg.ones((256, 2))

    same(f, (large(0),), (large(1),), rtol=1e-9)


def test_pieces_of_several_dtypes():
    def f(x):
        wide = tg.sin(x).astype(np.float64) * 3 + x
        return tg.exp(wide - 1), (tg.cos(wide) + x).astype(np.float32)

    x = np.random.default_rng(0).standard_normal(300_000).astype(np.float32)
    same(f, (tg.tensor(x),), (tg.tensor(x[::-1].copy()),), rtol=1e-6)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: x + (-y),
        lambda x, y: (-y) * 2.0 + x,
        lambda x, y: -y + x,
        lambda x, y: (-x) * tg.tensor(np.uint8(2)),
    ],
)
def test_negated_integers_wrap_around(f):
    x, y = tg.tensor(np.float32([0.5, -1.5])), tg.tensor(np.uint8([1, 200]))
    same(f, (x, y), (x * 2, y))


@pytest.mark.parametrize("a", [np.inf, 1e10, 1e-30, 0.0, -2.0])
def test_a_factor_stays_where_it_stands_in_a_forward_pass(a):
    x = tg.tensor(np.float32([[0.0, 1.0], [2.0, 80.0]]))
    w = tg.tensor(np.float32([[1e-30, 1.0], [1.0, 1e-30]]))
    with np.errstate(all="ignore"):
        same(lambda x, w, a: (tg.exp(x) @ w) * a, (x, w, a), (x * 0.5, w, a), rtol=1e-5)


def test_scales_of_two_precisions():
    def step(x, a):
        g = tg.grad(lambda w: (w * x).sum() * np.float32(0.1))(x)
        return g * a

    x = tg.tensor([1.0, 3.0])
    same(step, (x, 0.3), (x * 2, 0.7), rtol=1e-14)


def test_one_result_returned_twice_has_both_gradients():
    w = tg.tensor([1.0, 2.0], requires_grad=True)

    def f(x):
        y = w * x
        return y, y

    for function in (f, tg.compile(f), tg.compile(f)):
        w.grad = None
        a, b = function(tg.tensor([3.0, 4.0]))
        (a.sum() + 10 * b.sum()).backward()
        np.testing.assert_array_equal(w.grad.numpy(), [33.0, 44.0])


def test_what_is_changed_before_backward_is_an_error():
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    array = np.array([3.0, 4.0])
    f = tg.compile(lambda: (w * array).sum())
    f().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [3.0, 4.0])
    loss = f()
    array[:] = 0
    with pytest.raises(RuntimeError, match="changed between the call and backward"):
        loss.backward()


def test_a_module_in_another_mode_before_backward_is_an_error():
    net = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    compiled = tg.compile(net)
    loss = compiled(tg.ones((2, 3), dtype=np.float32)).sum()
    net.eval()
    with pytest.raises(RuntimeError, match="changed between the call and backward"):
        loss.backward()


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("n", tg.tensor(1.0))
        self.w = nn.Parameter(np.array(2.0))

    def forward(self, x):
        y = (self.w * self.w * self.n * x).sum()
        self.n = self.n + 1
        return y


def test_a_module_that_counts_and_is_differentiated_outside():
    plain, other = Counting(), Counting()
    compiled = tg.compile(other)
    for x in (1.0, 3.0, 5.0):
        plain.zero_grad(), other.zero_grad()
        plain(tg.tensor(x)).backward()
        compiled(tg.tensor(x)).backward()
        assert (plain.w.grad.item(), plain.n.item()) == (other.w.grad.item(), other.n.item())


def test_a_buffer_bound_anew_twice_in_a_call():
    class Doubling(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("n", tg.zeros(2))

        def forward(self, x):
            self.n = self.n + 1
            self.n = self.n * 2
            self.n = self.n
            return x + self.n

    plain, module = Doubling(), Doubling()
    compiled = tg.compile(module)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(np.ones(2)).numpy(), plain(np.ones(2)).numpy())
        np.testing.assert_array_equal(module.n.numpy(), plain.n.numpy())


def test_a_buffer_bound_anew_while_the_old_one_is_held_is_an_error():
    class Smoothed(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("h", tg.zeros(2))

        def forward(self, x):
            old = self.h
            self.h = 0.5 * old + x
            return self.h - old

    with pytest.raises(TypeError, match="buffer"):
        tg.compile(Smoothed())(tg.ones(2))


def test_a_frozen_parameter_with_momentum_and_gradients_of_zeros():
    def make():
        w, v = (tg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
        optimizer = optim.SGD([w, v], lr=0.1, momentum=0.9)
        optimizer.zero_grad(set_to_none=False)
        w.requires_grad_(False)

        def step(x):
            optimizer.zero_grad(set_to_none=False)
            (v * x).sum().backward()
            optimizer.step()

        return w, v, step

    (w, v, step), (p, q, other) = make(), make()
    compiled = tg.compile(other)
    for k in range(4):
        step(tg.tensor([1.0, k]))
        compiled(tg.tensor([1.0, k]))
        np.testing.assert_allclose(q.numpy(), v.numpy(), rtol=1e-12)
        np.testing.assert_allclose(p.numpy(), w.numpy(), rtol=1e-12)


def test_arguments_are_not_changed_unseen():
    def into_dict(p):
        p["w"] = p["w"] * 2
        return p["w"]

    def in_place(x):
        x -= x.mean()
        return x.sum()

    def into_element(x):
        x[0] = 0.0
        return x.sum()

    for f, given in ((into_dict, {"w": tg.ones(2)}), (in_place, np.ones(3)), (into_element, np.ones(3))):
        with pytest.raises(TypeError, match="compile"):
            tg.compile(f)(given)


def test_a_method_of_an_array_argument_that_python_could_take_for_something_else():
    same(lambda x: x.var() + x.std(), (np.array([1.0, 2.0, 4.0]),), (np.array([0.0, 2.0, 5.0]),))


def minus_itself_squared(x):
    y = tg.sigmoid(x)
    return -y * y


@pytest.mark.parametrize(
    "f",
    [
        tg.value_and_grad(lambda x: tg.sum((x + x + x) ** 2)),
        minus_itself_squared,
        lambda x: (a := tg.exp(x), b := a + 1.0, (b * a) * (b - a))[-1],
        lambda x: tg.sin(-x) * -tg.sin(-x),
    ],
)
def test_steps_that_wait_for_each_other_come_in_order(f):
    same(f, (np.array([0.3, -1.0, 2.0]),), (np.array([1.0, 0.5, -0.5]),))


def reverse_steps(program, *_):
    program.steps = program.steps[::-1]


def drop_first(program, *_):
    del program.steps[0]


@pytest.mark.parametrize("fault", [reverse_steps, drop_first])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("targets.numpy.plan", "_sink"),
        ("targets.numpy.plan", "in_blocks"),
        ("rewrite.simplify", "leave_keep_zeros_out"),
        ("rewrite.simplify", "move_scales"),
        ("rewrite.simplify", "remove_dead"),
    ],
)
def test_a_fault_of_any_pass_is_noticed(monkeypatch, module, name, fault):
    where = import_module(f"tinygrad_nn.compiler.{module}")
    right = getattr(where, name)

    def wrong(program, *rest):
        out = right(program, *rest)
        fault(program)
        return out

    monkeypatch.setattr(where, name, wrong)
    f = tg.compile(tg.grad(lambda x: tg.sum(tg.sqrt(tg.exp(x) * 2.0 + 1.0) * tg.sin(x))))
    with pytest.raises(MalformedProgram, match="after"):
        f(np.array([0.3, 1.0]))


def test_a_fault_within_a_loop_or_a_chain_is_noticed(monkeypatch):
    built = simplify.Builder.build

    def wrong(builder):
        program = built(builder)
        if program.name == "scan":
            program.steps = sorted(program.steps, key=lambda step: -step.out.number)
        return program

    with monkeypatch.context() as m:
        m.setattr(simplify.Builder, "build", wrong)
        f = tg.compile(lambda x: tg.scan(lambda c, row: (tg.sin(c) * row + 1.0, c), x[0], x)[0])
        with pytest.raises(MalformedProgram, match="after shortening loops"):
            f(tg.ones((3, 2)))
    joined = blocks._as_step

    def mixed(steps, outside):
        return joined(steps[::-1], outside)

    monkeypatch.setattr(blocks, "LEAST_BYTES", 16)
    monkeypatch.setattr(blocks, "_as_step", mixed)
    with pytest.raises(MalformedProgram, match="in a chain"):
        tg.compile(lambda x: tg.cos(tg.sin(tg.exp(x) * 2.0)) + 1.0)(tg.ones(64))
