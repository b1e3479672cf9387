"""scan, cond and while_loop: as Python's loops and branches, and recorded as single steps of a program."""

from collections import namedtuple

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.compiler.ir import check, run
from tinygrad_nn.compiler.rewrite.loops import bodies, prune
from tinygrad_nn.compiler.trace.recording import record
from tinygrad_nn.core.tree import flatten

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 3)) / 2
XS = RNG.normal(size=(5, 3))
H = RNG.normal(size=3)


def recorded(f, *args):
    """A function that runs what a run of `f` on `args` recorded on other arguments."""
    found = record(f, args, {}, (), [f"x{i}" for i in range(len(flatten(args)[0]))], "f")
    check(found.program)

    def call(*args):
        leaves, _ = flatten(args)
        given = [x for x, argument in zip(leaves, found.arguments) if argument.kind != "fixed"]
        values = [x.numpy()[()] if isinstance(x, tg.Tensor) else x for x in given]
        results = run(found.program, [*values, *(place.read() for place in found.places)])
        call.writes = {}
        for _, place, new in found.writes:
            call.writes[type(place).__name__, id(place.holder)] = results[found.program.needed.index(new)]
        rest = iter(results)
        return [next(rest) if kind != "fixed" else value for kind, value in found.leaves]

    call.program = found.program
    call.steps = [step.op.name for step in found.program.steps]
    return call


def numbers(out):
    return [x.numpy() if isinstance(x, tg.Tensor) else x for x in flatten(out)[0]]


def agree(f, *args, others=(), **close):
    """Record `f` on `args`: the program gives what `f` gives, on these arguments and on others."""
    compiled = recorded(f, *args)
    for given in (args, *others):
        for mine, expected in zip(compiled(*given), numbers(f(*given)), strict=True):
            assert np.shape(mine) == np.shape(expected)
            if expected is not None:
                assert np.asarray(mine).dtype == np.asarray(expected).dtype
                np.testing.assert_allclose(mine, expected, **{"rtol": 1e-9, "atol": 1e-12, **close})
    return compiled


def rnn(h, xs, w):
    def step(carry, x):
        h = tg.tanh(carry["h"] @ w + x)
        return {"h": h, "steps": carry["steps"] + 1}, (h * 2, carry["steps"])

    last, (ys, places) = tg.scan(step, {"h": h, "steps": 0}, xs)
    return last["h"], last["steps"], ys, places


def rnn_loss(h, xs, w):
    last, _, ys, _ = rnn(h, xs, w)
    return (last**2).sum() + (tg.sin(ys) * ys).sum()


def others():
    rng = np.random.default_rng(1)
    return [(tg.tensor(rng.normal(size=3)), tg.tensor(rng.normal(size=(5, 3))), tg.tensor(rng.normal(size=(3, 3))))]


TENSORS = [tg.tensor(H), tg.tensor(XS), tg.tensor(A)]

# --- as Python's loops and branches ----------------------------------------------------------------------------------


def test_scan_is_the_loop_that_it_stands_for():
    h, rows = H, []
    for x in XS:
        h = np.tanh(h @ A + x)
        rows.append(h * 2)
    last, steps, ys, places = rnn(H, XS, A)
    assert type(ys) is np.ndarray
    np.testing.assert_allclose(last, h)
    np.testing.assert_allclose(ys, rows)
    assert steps == 5
    assert places.tolist() == [0, 1, 2, 3, 4]


def test_scan_in_reverse_leaves_rows_at_the_places_of_their_slices():
    last, ys = tg.scan(lambda c, x: (c + x, c), 0.0, np.array([1.0, 2.0, 4.0]), reverse=True)
    assert last == 7
    assert ys.tolist() == [6, 4, 0]


def test_arrays_for_arrays_and_tensors_for_tensors():
    def f(c, x):
        return c + x, c

    assert all(isinstance(x, np.ndarray | np.generic) for x in tg.scan(f, 0.0, np.ones(3)))
    assert all(isinstance(x, tg.Tensor) for x in tg.scan(f, tg.tensor(0.0), np.ones(3)))
    assert isinstance(tg.while_loop(lambda x: x < 3, lambda x: x + 1, 0.0), np.float64)
    assert isinstance(tg.while_loop(lambda x: x < 3, lambda x: x + 1, tg.tensor(0.0)), tg.Tensor)
    assert isinstance(tg.cond(True, lambda x: x, lambda x: -x, np.ones(2)), np.ndarray)
    assert isinstance(tg.cond(tg.tensor(True), lambda x: x, lambda x: -x, np.ones(2)), tg.Tensor)
    assert isinstance(tg.cond(True, lambda: tg.tensor(1.0), lambda: tg.tensor(2.0)), tg.Tensor)


def test_results_share_no_memory_with_inputs():
    x = np.ones(3)
    out = tg.cond(True, lambda x: (x, x), lambda x: (x, x), x)
    last, ys = tg.scan(lambda c, _: (c, c), x, None, length=2)
    for made in (*out, last, ys):
        made += 1
    assert x.tolist() == [1, 1, 1]
    assert out[0].tolist() == [2, 2, 2]


def test_functions_may_bind_what_they_are_given_anew():
    def f(c, x):
        y = c
        c += x
        return c, y

    for start in (tg.tensor(1.0), tg.tensor(1.0, requires_grad=True)):
        last, ys = tg.scan(f, start, tg.tensor([1.0, 2.0]))
        assert (start.item(), last.item(), ys.tolist()) == (1, 4, [2, 4])


@pytest.mark.parametrize("length", [0, 1, 3])
def test_without_slices(length):
    last, ys = tg.scan(lambda c, x: (c * 2, {"x": x, "c": c}), 1.0, None, length=length)
    assert last == 2**length
    assert ys["x"] is None
    assert ys["c"].tolist() == [2.0**i for i in range(length)]
    assert ys["c"].dtype == np.float64


def test_nothing_to_stack():
    assert tg.scan(lambda c, x: (c + x, None), 0, np.arange(4))[1] is None


Pair = namedtuple("Pair", "a b")


def test_nests_keep_their_kinds():
    last, ys = tg.scan(lambda c, x: (Pair(c.b, c.a + x[0]), [c.a, (x[0],)]), Pair(1, 2), (np.arange(3),))
    assert last == Pair(3, 3)
    assert type(last) is Pair
    assert type(ys) is list
    assert type(ys[1]) is tuple


def test_a_dict_may_come_back_in_another_order():
    last, _ = tg.scan(lambda c, x: ({"b": c["a"], "a": c["b"]}, None), {"a": 1.0, "b": 2.0}, None, length=1)
    assert last == {"a": 2.0, "b": 1.0}


def test_cond_computes_one_branch_only():
    calls = []
    assert tg.cond(3, lambda x: x, lambda x: calls.append(x), 5.0) == 5
    assert calls == []


@pytest.mark.parametrize("order", [1, 2, 3])
def test_all_orders_of_derivative_outside_compile(order):
    def power(x):
        return tg.scan(lambda c, _: (c * x, None), 1.0, None, length=4)[0]

    def tower(x):
        return tg.while_loop(lambda s: s[0] < 4, lambda s: (s[0] + 1, s[1] * x), (0, 1.0))[1]

    def branch(x):
        return tg.cond(x > 0, lambda x: x**4, lambda x: x, x)

    plain = lambda x: x**4  # noqa: E731
    for _ in range(order):
        power, tower, branch, plain = map(tg.grad, (power, tower, branch, plain))
    for f in (power, tower, branch):
        assert f(1.3) == pytest.approx(plain(1.3))


# --- recorded: values ------------------------------------------------------------------------------------------------


def test_a_loop_is_one_step_of_a_program():
    compiled = agree(rnn, *TENSORS, others=others())
    assert compiled.steps == ["scan"]
    (step,) = compiled.program.steps
    body = step.params["body"]
    assert [x.op.name for x in body.steps] == ["matmul", "add", "tanh", "add", "multiply"]
    assert len(body.inputs) == len(step.inputs)
    assert len(body.results) == 4
    assert (step.params["consts"], step.params["carry"], step.params["length"]) == (1, 2, 5)
    assert step.params["history"] == ()


def test_length_costs_no_steps():
    def f(x, length):
        return tg.grad(lambda x: tg.scan(lambda c, _: (tg.sin(c) * x, None), x, None, length=length)[0])(x)

    few, many = recorded(f, tg.tensor(0.3), 2), recorded(f, tg.tensor(0.3), 60)
    assert few.steps == many.steps
    assert few.steps.count("scan") == 2


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 4])
def test_directions_and_lengths(length, reverse):
    def f(c, xs):
        return tg.scan(lambda c, x: (c * x + 1, (c, x * 2)), c, xs, reverse=reverse)

    def loss(c, xs):
        last, (ys, zs) = f(c, xs)
        return last.sum() + (ys**2).sum() + zs.sum()

    args = tg.tensor(0.5), tg.tensor(RNG.normal(size=length))
    agree(f, *args, others=[(tg.tensor(2.0), tg.tensor(RNG.normal(size=length)))])
    agree(tg.grad(loss, (0, 1)), *args)
    agree(lambda *args: tg.grad(lambda *a: sum((g**2).sum() for g in tg.grad(loss, (0, 1))(*a)), (0, 1))(*args), *args)


def test_arrays_and_numbers_are_given_for_them():
    def f(c, xs, k):
        return tg.scan(lambda c, x: (c * k + x, c), c, xs)

    agree(f, 1.0, XS[:, 0], 0.5, others=[(2.0, XS[:, 1], 0.25)])
    agree(lambda x: tg.while_loop(lambda x: x < 10, lambda x: x * 2, x), 1.0, others=[(7.0,), (20.0,)])
    agree(lambda x: tg.cond(x > 0, lambda x: x + 1, lambda x: x * 2, x), 1.0, others=[(-1.0,)])
    agree(lambda x, y: tg.cond(x > y, lambda: x + y, lambda: y * 2), 1.0, H[0], others=[(-1.0, H[1])])


def test_float32_stays():
    def f(h, xs):
        return tg.scan(lambda h, x: (tg.tanh(h * 2 + x), h), h, xs)

    args = tg.tensor(H.astype(np.float32)), tg.tensor(XS.astype(np.float32))
    agree(f, *args)
    agree(tg.grad(lambda h, xs: f(h, xs)[1].sum(), (0, 1)), *args, rtol=1e-5)


def test_float32_of_a_number_from_outside():
    def f(h, lr):
        return tg.scan(lambda h, _: (h * lr, None), h, None, length=3)[0]

    agree(f, tg.tensor(H.astype(np.float32)), 0.5, others=[(tg.tensor(H.astype(np.float32)), 0.25)])


def count_up(x):
    return tg.while_loop(lambda s: s[0] < 20, lambda s: (s[0] * 2, s[1] + 1), (x, 0))


def test_the_number_of_rounds_differs_from_call_to_call():
    compiled = agree(count_up, tg.tensor(3.0), others=[(tg.tensor(x),) for x in (0.1, 7.0, 30.0)])
    assert compiled.steps == ["while_loop"]
    assert compiled(tg.tensor(30.0)) == [30, 0]


def test_branches_of_any_kind():
    def f(x, p):
        return tg.cond(p, lambda x: {"a": x.sum(), "b": x}, lambda x: {"a": tg.tensor(0.0), "b": x * A[0]}, x)

    compiled = agree(f, tg.tensor(H), tg.tensor(True), others=[(tg.tensor(H), tg.tensor(False))])
    assert compiled.steps == ["cond"]
    agree(lambda x: tg.cond(x.sum(), lambda: x, lambda: -x), tg.tensor(H), others=[(tg.tensor(0 * H),)])


def test_a_known_condition_leaves_one_branch():
    assert recorded(lambda x: tg.cond(True, tg.sin, tg.cos, x), tg.tensor(1.0)).steps == ["sin"]


def test_a_branch_that_is_not_taken_neither_warns_nor_fails():
    agree(lambda x: tg.cond(x > 0, lambda: tg.log(x) / x, lambda: x), tg.tensor(0.0), others=[(tg.tensor(2.0),)])


def test_what_nobody_reads_is_pruned():
    def f(h, xs, w, p):
        last, _, ys, _ = rnn(h, xs, w)
        a, _ = tg.cond(p, lambda: (last * w, tg.sin(ys)), lambda: (w * w, ys))
        _, x = tg.while_loop(lambda s: s[1] < 20, lambda s: (s[0] + 1, s[1] * 2), (0, (h**2).sum() + 1))
        return a, x

    args = [*TENSORS, tg.tensor(True)]
    for w in (TENSORS[2], tg.tensor(A, requires_grad=True)):
        args[2] = w
        compiled = recorded(f, *args)
        before = compiled(*args)
        program, needed = compiled.program, set(compiled.program.needed)
        for i, step in reversed([*enumerate(program.steps)]):
            program.steps[i] = step = prune(step, needed)
            needed.update(step.reads)
        check(program)
        for step in program.steps:
            for body in bodies(step).values():
                check(body)
        for x, y in zip(before, compiled(*args), strict=True):
            np.testing.assert_array_equal(x, y)
        loop, branch, while_loop = (s for s in program.steps if s.op.name in ("scan", "cond", "while_loop"))
        assert len(loop.outputs) == 2
        assert len(loop.params["body"].steps) == 4
        assert loop.params["history"] == ()
        assert len(branch.outputs) == 1
        assert while_loop.params["history"] is False


# --- recorded: derivatives -------------------------------------------------------------------------------------------


def test_first_derivatives_of_a_scan():
    compiled = agree(tg.grad(rnn_loss, (0, 1, 2)), *TENSORS, others=others())
    assert compiled.steps.count("scan") == 2


def test_second_derivatives_of_a_scan():
    def second(*args):
        return tg.grad(lambda *a: sum((g**2).sum() for g in tg.grad(rnn_loss, (0, 1, 2))(*a)), (0, 1, 2))(*args)

    agree(second, *TENSORS, others=others())


def test_third_derivative_of_a_scan():
    def f(x):
        return tg.scan(lambda c, _: (tg.sin(c) * x, None), x, None, length=3)[0]

    agree(tg.grad(tg.grad(tg.grad(f))), 0.7, others=[(1.3,)])


def of_branch(x):
    return tg.cond(x.sum() > 0, lambda x: (tg.sin(x) * x).sum(), lambda x: (x**3 * A[0]).sum(), x)


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_of_a_branch(order):
    f = tg.grad(of_branch)
    if order == 2:
        f = tg.grad(lambda x: (tg.grad(of_branch)(x) ** 2).sum())
    agree(f, tg.tensor(abs(H)), others=[(tg.tensor(-abs(H)),)])


def test_an_operand_that_one_branch_uses():
    def f(x, y):
        return tg.cond(x > 0, lambda x, y: x * x, lambda x, y: y * y * x, x, y)

    agree(tg.grad(f, (0, 1)), 1.0, 3.0, others=[(-1.0, 3.0)])


def newton(a):
    """√a."""
    return tg.while_loop(lambda x: abs(x * x - a) > 1e-12, lambda x: (x + a / x) / 2, tg.ones_like(a))


def test_derivative_of_a_while_loop():
    compiled = agree(tg.grad(newton), tg.tensor(2.0), others=[(tg.tensor(9.0),), (tg.tensor(100.0),)])
    assert compiled.steps.count("unwind") == 1
    assert compiled(tg.tensor(4.0))[0] == pytest.approx(1 / 4)
    agree(tg.grad(lambda x: count_up(x)[0]), tg.tensor(3.0), others=[(tg.tensor(30.0),)])


def test_second_derivative_of_a_recorded_while_loop_is_refused():
    with pytest.raises(RuntimeError, match="while_loop: .* use tg.scan"):
        recorded(tg.grad(tg.grad(newton)), tg.tensor(2.0))


def test_forward_mode():
    agree(lambda x: tg.jvp(newton, x, 1.0), tg.tensor(2.0), others=[(tg.tensor(9.0),)])
    agree(lambda x: tg.jvp(lambda x: tg.jvp(newton, x, 1.0)[1], x, 1.0), tg.tensor(2.0), others=[(tg.tensor(9.0),)])
    agree(lambda x: tg.jvp(lambda x: count_up(x)[0], x, 1.0), tg.tensor(2.0))
    agree(lambda *args: tg.jvp(rnn_loss, args, tuple(args)), *TENSORS, others=others())
    agree(lambda x: tg.jvp(of_branch, x, x), tg.tensor(abs(H)), others=[(tg.tensor(-abs(H)),)])
    agree(lambda *args: tg.hvp(lambda h: rnn_loss(h, *args[1:]), args[0], args[0]), *TENSORS, others=others())
    agree(lambda x: tg.hessian(of_branch)(x), tg.tensor(abs(H)), others=[(tg.tensor(-abs(H)),)])


def test_gradients_of_captured_parameters():
    w, b = tg.tensor(A, requires_grad=True), tg.tensor(H, requires_grad=True)
    scale = tg.tensor(0.5)

    def training(xs):
        last, ys = tg.scan(lambda h, x: (tg.tanh(h @ w + b * x) * scale, h), tg.zeros(3), xs)
        loss = (last**2).sum() + ys.sum()
        loss.backward()
        return loss

    compiled = recorded(training, tg.tensor(XS))
    assert w.grad is None
    (loss,) = compiled(tg.tensor(XS))
    assert loss == pytest.approx(training(tg.tensor(XS)).item())
    for p in (w, b):
        np.testing.assert_allclose(compiled.writes["GradientPlace", id(p)], p.grad.numpy())


def test_a_training_step_around_a_loop():
    w = tg.tensor(A, requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = (tg.while_loop(lambda h: (h**2).sum() > 0.1, lambda h: tg.tanh(h @ w) / 2, x) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    compiled = recorded(step, tg.tensor(H))
    before = w.numpy().copy()
    for x in (H, 10 * H, 3 * H):
        (loss,) = compiled(tg.tensor(x))
        new = compiled.writes["TensorPlace", id(w)]
        assert step(tg.tensor(x)).item() == pytest.approx(loss)
        np.testing.assert_allclose(new, w.numpy(), rtol=1e-9)
    assert not np.allclose(before, w.numpy())


def test_what_lets_go_of_the_graph_does_so_in_a_body():
    def f(x, k):
        def step(c, _):
            held = tg.stop_gradient(c) * k
            with tg.no_grad():
                also = tg.sin(c * k) * c
            z = c.detach().requires_grad_()
            slope = tg.grad(lambda z: tg.sin(z) * z * c)(z)
            return c * held + also * c + tg.stop_gradient(slope) + slope, tg.stop_gradient(c) * also

        last, ys = tg.scan(step, x, None, length=3)
        return last + ys.sum()

    def g(x, k):
        return tg.cond(k > 0, lambda: tg.stop_gradient(x) * x, lambda: tg.sin(x.detach()) + x * 0, x)

    for function in (f, lambda x, k: tg.cond(k > 0, lambda x: tg.stop_gradient(x) * x, lambda x: x.detach(), x)):
        agree(tg.grad(function, (0, 1)), 0.7, 0.3, others=[(0.5, -0.2)])
        agree(tg.grad(tg.grad(function)), 0.7, 0.3, others=[(0.5, -0.2)])


def test_backward_inside_on_a_leaf_of_the_body():
    def step(c, x):
        z = c.detach().requires_grad_()
        (z * z * x).sum().backward()
        return c + z.grad, z.grad * c

    agree(lambda c, xs: tg.scan(step, c, xs), tg.tensor(1.0), tg.tensor([1.0, 2.0]))
    agree(tg.grad(lambda c, xs: tg.scan(step, c, xs)[1].sum()), tg.tensor(1.0), tg.tensor([1.0, 2.0]))


# --- recorded: nested ------------------------------------------------------------------------------------------------


def nested(x, xs):
    def outer(c, x):
        inner, ys = tg.scan(lambda d, y: (d * c + y * x, d), c, xs)
        c = tg.cond(inner > 0, lambda: tg.sin(inner) + c, lambda: inner * x * ys.sum() / 9)
        return tg.while_loop(lambda c: abs(c) > 1, lambda c: c * 0.5 * tg.cos(x), c), ys.mean()

    last, ys = tg.scan(outer, x, xs)
    return last + (ys**2).sum()


def test_loops_in_loops():
    args = tg.tensor(0.5), tg.tensor(XS[:, 0])
    other = tg.tensor(1.5), tg.tensor(XS[:, 1])
    agree(nested, *args, others=[other])
    agree(tg.grad(nested, (0, 1)), *args, others=[other])


def test_second_derivatives_of_loops_in_loops():
    def f(x, xs):
        def outer(c, x):
            inner, ys = tg.scan(lambda d, y: (tg.sin(d * c) + y * x, d), c, xs)
            return tg.cond(inner > 0, lambda: tg.sin(inner) + c, lambda: inner * x), ys.mean()

        last, ys = tg.scan(outer, x, xs)
        return last + (ys**2).sum()

    def second(*args):
        return tg.grad(lambda *a: sum((g**2).sum() for g in tg.grad(f, (0, 1))(*a)), (0, 1))(*args)

    agree(second, tg.tensor(0.5), tg.tensor(XS[:, 0]), others=[(tg.tensor(1.5), tg.tensor(XS[:, 1]))])


def test_gradient_descent_in_a_loop_is_differentiated():
    def f(x, rate):
        loss = lambda w: ((w - x) ** 2).sum() + (w**4).sum()  # noqa: E731
        return tg.scan(lambda w, _: (w - rate * tg.grad(loss)(w), loss(w)), tg.zeros_like(x), None, length=4)

    agree(f, tg.tensor(H), 0.05, others=[(tg.tensor(XS[0]), 0.02)])
    agree(tg.grad(lambda x, rate: f(x, rate)[1].sum(), (0, 1)), tg.tensor(H), 0.05, others=[(tg.tensor(XS[0]), 0.02)])


def test_a_module_in_a_loop():
    cell = tg.nn.Sequential(tg.nn.Linear(3, 3), tg.nn.Tanh())

    def loss(xs):
        total = tg.scan(lambda h, x: (cell(h + x), None), tg.zeros(3, dtype=tg.float32), xs)[0].sum()
        total.backward()
        return total

    compiled = recorded(loss, tg.tensor(XS.astype(np.float32)))
    (value,) = compiled(tg.tensor(XS.astype(np.float32)))
    assert value == pytest.approx(loss(tg.tensor(XS.astype(np.float32))).item(), rel=1e-5)
    for p in cell.parameters():
        np.testing.assert_allclose(compiled.writes["GradientPlace", id(p)], p.grad.numpy(), rtol=1e-4)


# --- refused ---------------------------------------------------------------------------------------------------------

W = tg.tensor([1.0, 2.0], requires_grad=True)


def refuse(message, f, error=TypeError, both=True):
    """`f` raises as a call, if `both`, and when it is recorded."""
    x = tg.tensor([1.0, 2.0])
    if both:
        with pytest.raises(error, match=message):
            f(x)
    with pytest.raises(error, match=message):
        recorded(f, x)
    assert W.tolist() == [1, 2]
    assert W.grad is None


@pytest.mark.parametrize(
    ("message", "f", "error"),
    [
        ("not the pair", lambda x: tg.scan(lambda c, x: c, x, x), TypeError),
        ("another structure .* list of 1", lambda x: tg.scan(lambda c, x: ([c], None), x, x), TypeError),
        ("another structure .* not a dict", lambda x: tg.scan(lambda c, x: (c["a"], None), {"a": x}, x), TypeError),
        (r"shape \(\) at scan: init, where", lambda x: tg.scan(lambda c, x: (c.sum(), None), x, x), ValueError),
        ("dtype float64 .* int64", lambda x: tg.scan(lambda c, x: (c + x, None), 0, x), TypeError),
        ("None stands", lambda x: tg.scan(lambda c, x: (None, None), x, x), TypeError),
        (r"scan: y is str", lambda x: tg.scan(lambda c, x: (c, "a"), x, x), TypeError),
        (r"scan: init\['a'\] is str", lambda x: tg.scan(lambda c, x: (c, x), {"a": "b"}, x), TypeError),
        (r"lengths differ: 2 .* and 1", lambda x: tg.scan(lambda c, x: (c, x), x, (x, np.ones(1))), ValueError),
        (r"lengths differ: 3 \(length\)", lambda x: tg.scan(lambda c, x: (c, x), x, x, length=3), ValueError),
        ("number of steps must be given", lambda x: tg.scan(lambda c, x: (c, x), x, None), ValueError),
        ("is negative", lambda x: tg.scan(lambda c, x: (c, x), x, None, length=-1), ValueError),
        ("has no axes", lambda x: tg.scan(lambda c, x: (c, x), x, x.sum()), ValueError),
        ("f is Tensor, not a function", lambda x: tg.scan(x, x, x), TypeError),
        (r"pred has shape \(2,\)", lambda x: tg.cond(x > 0, tg.sin, tg.cos, x), ValueError),
        ("pred is str", lambda x: tg.cond("yes", tg.sin, tg.cos, x), TypeError),
        ("cond: operand .* is str", lambda x: tg.cond(x[0] > 0, tg.sin, tg.cos, "x"), TypeError),
        ("result of <lambda> is str", lambda x: tg.cond(x[0] > 0, lambda x: "a", tg.cos, x), TypeError),
        (r"cond_fn gave has shape \(2,\)", lambda x: tg.while_loop(lambda x: x < 9, lambda x: x * 2, x), ValueError),
        ("another structure", lambda x: tg.while_loop(lambda x: x[0] < 9, lambda x: (x, x), x), TypeError),
        ("holds no array", lambda x: tg.while_loop(lambda x: False, lambda x: x, ()), TypeError),
    ],
)  # fmt: skip
def test_clear_errors(message, f, error):
    refuse(message, f, error)


def test_what_a_step_gives_must_not_change():
    rounds = []

    def f(c, x):
        rounds.append(x)
        return c, (None if len(rounds) > 1 else x)

    with pytest.raises(TypeError, match="None stands"):
        tg.scan(f, 0.0, np.ones(3))


def write_to_w(x):
    with tg.no_grad():
        W.__iadd__(x)
    return x


def assign(x):
    with tg.no_grad():
        W[0] = 3.0
    return x


def step_of_optimizer(x):
    tg.optim.SGD([W], lr=0.1).step()
    return x


def backward(x):
    (W * x).sum().backward()
    return x


def hook(x):
    y = x * W
    y.register_hook(lambda g: g * 2)
    return y


@pytest.mark.parametrize(
    ("message", "f"),
    [
        ("binds a Tensor from outside", write_to_w),
        ("binds a Tensor from outside", assign),
        ("step of an optimizer", step_of_optimizer),
        ("sets the gradient of a Tensor from outside", backward),
        ("draws random numbers", lambda x: x * tg.random.normal(size=(2,))),
        ("draws random numbers", lambda x: tg.nn.Dropout(0.5)(x)),
        ("hook", hook),
        ("asked for the number", lambda x: x if x.sum() > 0 else -x),
    ],
)
@pytest.mark.parametrize("loop", ["scan", "cond", "while_loop"])
def test_what_a_recorded_body_cannot_do(message, f, loop):
    loops = {
        "scan": lambda x: tg.scan(lambda c, x: (f(c), None), x, None, length=2)[0],
        "cond": lambda x: tg.cond(x[0] > 0, f, f, x),
        "while_loop": lambda x: tg.while_loop(lambda x: x[0] < 0, f, x),
    }
    refuse(message, loops[loop], both=False)


def test_branches_that_differ_are_refused_in_recording():
    refuse("same structure", lambda x: tg.cond(x[0] > 0, lambda x: (x, x), lambda x: x, x), both=False)
    refuse("same shapes and dtypes", lambda x: tg.cond(x[0] > 0, lambda x: x, lambda x: x.sum(), x), both=False)
    refuse("float64.* int64", lambda x: tg.cond(x[0] > 0, lambda x: x[0], lambda x: 1, x), both=False)


def test_a_body_may_bind_its_own_tensors_anew():
    def step(c, x):
        total = tg.zeros(2)
        total += c * x
        c += total
        return c, total

    agree(lambda c, xs: tg.scan(step, c, xs), tg.tensor([1.0, 2.0]), tg.tensor([0.5, 0.25, 3.0]))
    agree(tg.grad(lambda c, xs: tg.scan(step, c, xs)[0].sum()), tg.tensor([1.0, 2.0]), tg.tensor([0.5, 0.25, 3.0]))
