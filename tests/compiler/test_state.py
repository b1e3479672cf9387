"""Compiled steps and what is outside of them: changes between calls, writes, errors in the middle, and threads."""

import sys
import threading
import tracemalloc

import numpy as np
import pytest

import tinygrad_nn as tg
from tests.compiler.programs import assert_close, assert_same, numbers, shown
from tinygrad_nn import nn, optim

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

# --- what is looked at again before a recording is used --------------------------------------------------------------


def twins(build):
    """Twice the same objects: for an ordinary and a compiled step."""
    tg.manual_seed(0)
    first = build()
    tg.manual_seed(0)
    second = build()
    return first, second, tg.compile(second.step)


class Fit:
    """Two parameters and an optimizer."""

    def __init__(self, kind=optim.SGD, **options):
        self.w = tg.tensor([1.0, 2.0], requires_grad=True)
        self.v = tg.tensor([0.5, -1.0], requires_grad=True)
        self.optimizer = kind([self.w, self.v], **{"lr": 0.1, **options})

    def step(self, x):
        self.optimizer.zero_grad()
        loss = tg.sum((self.w * x + self.v) ** 2)
        loss.backward()
        self.optimizer.step()
        return loss

    @property
    def state(self):
        entries = [v for p in (self.w, self.v) for v in self.optimizer.state.get(p, {}).values()]
        return numbers([self.w, self.v, self.w.grad, self.v.grad, entries])


CHANGES = {
    "a parameter is frozen": lambda m: m.v.requires_grad_(False),
    "a gradient is cleared": lambda m: setattr(m.v, "grad", None),
    "a learning rate in NumPy": lambda m: m.optimizer.param_groups[0].update(lr=np.float32(0.25)),
    "a learning rate without fraction": lambda m: m.optimizer.param_groups[0].update(lr=1),
    "weight decay": lambda m: m.optimizer.param_groups[0].update(weight_decay=0.5),
    "momentum": lambda m: m.optimizer.param_groups[0].update(momentum=0.5),
    "a parameter leaves": lambda m: m.optimizer.param_groups[0].update(params=[m.w]),
    "a group is added": lambda m: m.optimizer.add_param_group({"params": [tg.ones(2, requires_grad=True)], "lr": 1.0}),
    "nothing is remembered": lambda m: m.optimizer.state.clear(),
    "a hook is added": lambda m: m.w.register_hook(lambda g: g * 0.5),
    "a parameter is bound anew": lambda m: setattr(m, "w", tg.tensor([3.0, 3.0], requires_grad=True)),
    "a parameter is written to": lambda m: m.w._assign(np.array([5.0, 6.0])),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_between_calls(name):
    plain, other, compiled = twins(lambda: Fit(momentum=0.9, dampening=0.25))
    for k in range(5):
        if k == 3:
            CHANGES[name](plain)
            CHANGES[name](other)
        x = tg.tensor([1.0, 0.5 * k])
        assert_same(compiled(x), plain.step(x))
        assert_close(other.state, plain.state, what=f"{name}, step {k}")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(0.1), nn.Dropout(0.5))
        self.register_buffer("mean", tg.zeros(2))
        self.register_buffer("count", tg.tensor(0.0))
        self.scale = 2.0

    def forward(self, x):
        self.mean *= 0.9
        self.mean += tg.mean(x, axis=0) * 0.1
        self.count = self.count + 1
        return self.layers(x - self.mean) * self.scale / self.count

    step = forward


def bound_anew(net):
    net.layers[0].weight = nn.Parameter(np.ones((2, 2), np.float32))


NET_CHANGES = {
    "another parameter": bound_anew,
    "another layer": lambda net: net.layers.append(nn.Linear(2, 3, bias=False)),
    "a layer in another place": lambda net: setattr(net, "layers", nn.Sequential(net.layers[0])),
    "an attribute": lambda net: setattr(net, "scale", 3.0),
    "a layer's setting": lambda net: setattr(net.layers[2], "p", 0.25),
    "a forward hook": lambda net: net.layers.register_forward_hook(lambda module, args, out: out * 2),
    "evaluation": lambda net: net.eval(),
    "one layer in evaluation": lambda net: net.layers[2].eval(),
    "a buffer": lambda net: net.mean._assign(np.ones(2, np.float32)),
    "another dtype": lambda net: net.double(),
    "another seed": lambda net: tg.manual_seed(5),
}


@pytest.mark.parametrize("name", NET_CHANGES)
def test_changes_of_a_module_between_calls(name):
    plain, other, compiled = twins(Net)
    x = tg.tensor(np.array([[1.0, 2.0], [3.0, 5.0]], np.float32))
    for k in range(5):
        tg.manual_seed(k)
        if k == 3:
            NET_CHANGES[name](plain)
        expected = plain(x)
        tg.manual_seed(k)
        if k == 3:
            NET_CHANGES[name](other)
        assert_same(compiled(x), expected, what=f"{name}, step {k}")
        assert_same([*other.buffers()], [*plain.buffers()])


def test_variables_of_the_function_are_read_anew():
    w, many, array, number = tg.tensor([1.0, 2.0]), [tg.tensor([3.0, 4.0])], np.ones((2, 2)), 2.0

    def f(x):
        return x * w + many[0] + array[0] + tg.tensor(array[1]) + x * number

    compiled = tg.compile(f)
    x = tg.tensor([1.0, 3.0])
    for k in range(6):
        assert_same(compiled(x), f(x), what=str(k))
        if k == 0:
            array[:] = 5.0
        elif k == 1:
            w = tg.tensor([7.0, 8.0])
        elif k == 2:
            number = 3.0
        elif k == 3:
            w *= 2.0
        elif k == 4:
            many[0] *= 3.0


def test_a_number_that_python_looked_at():
    limit = tg.tensor(3.0)
    f = lambda x: x * float(limit) if limit.item() > 2 else -x  # noqa: E731
    compiled = tg.compile(f)
    for value in (3.0, 1.0, 5.0):
        limit._assign(np.float64(value))
        assert_same(compiled(tg.tensor([1.0])), f(tg.tensor([1.0])))


# --- writes ----------------------------------------------------------------------------------------------------------


class Remembering(optim.Optimizer):
    """Keeps old values and swaps them: what is written last is what another place held before."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def updated(self, p, value, g, group):
        first, second = self.remembered(p, "first"), self.remembered(p, "second")
        self.state[p]["first"], self.state[p]["second"] = second, value
        return value - g * group["lr"] + first * 0.1


def test_old_values_that_are_kept_elsewhere():
    plain, other, compiled = twins(lambda: Fit(Remembering))
    for k in range(5):
        x = tg.tensor([1.0, 0.5 * k])
        assert_same(compiled(x), plain.step(x))
        assert_close(other.state, plain.state)


class Counting(optim.Optimizer):
    """Uses `state` as the dict that it is, and numbers besides arrays."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def updated(self, p, value, g, group):
        entries = self.state[p]
        total = entries["total"] = entries.setdefault("total", 0.5) + 1.5
        entries["steps"] = self.remembered_number(p, "steps", 2) + 1
        mean = self.remembered(p, "mean")
        mean += g * 0.5
        return value - mean * group["lr"] / (total + entries["steps"])


def test_an_optimizer_may_use_its_state_as_a_dict():
    plain, other, compiled = twins(lambda: Fit(Counting))
    for one in (plain, other):
        one.optimizer.state[one.w]["mean"] = None  # as a file may have it
    for k in range(5):
        x = tg.tensor([1.0, 0.5 * k])
        assert_same(compiled(x), plain.step(x))
        assert_close(other.state, plain.state)
        assert [*other.optimizer.state[other.w]] == [*plain.optimizer.state[plain.w]]
    assert type(other.optimizer.state) is type(plain.optimizer.state)


def test_a_step_that_fails_while_it_is_recorded_leaves_the_state_of_the_optimizer():
    class Failing(Counting):
        def updated(self, p, value, g, group):
            super().updated(p, value, g, group)
            raise KeyError("failed")

    fit = Fit(Failing)
    state = fit.optimizer.state
    with pytest.raises(KeyError, match="failed"):
        tg.compile(fit.step)(tg.tensor([1.0, 2.0]))
    assert fit.optimizer.state is state
    assert state == {}


def crossing(p, q, x):
    old = p.T
    p[...] = q[::-1] + x
    q[...] = old
    p[0] = q[1]
    return p @ q, old


def swapping(p, q, x):
    p[...], q[...] = q * 1, p * 1


def read_late(p, q, x):
    old = p[...]
    p += x
    q += old


def mirrored(p, q, x):
    p += p.T
    q *= q[::-1]


def former(p, q, x):
    rows, old = p[0], p.T
    p *= x
    q[...] = p
    p += q.T
    return rows, old, q[1], p[1] * 1


def chained(p, q, x):
    p += x
    q += p
    p *= q
    q -= p[0]


@pytest.mark.parametrize("write", [crossing, swapping, read_late, mirrored, former, chained])
def test_tensors_that_are_written_from_each_other(write):
    def make():
        p, q = tg.tensor([[1.0, 2.0], [3.0, 4.0]]), tg.tensor([[5.0, 6.0], [7.0, 8.0]])
        return (p, q), lambda x: write(p, q, x)

    ((p, q), f), ((r, s), g) = make(), make()
    compiled = tg.compile(g)
    kept = []
    for k in range(4):
        out = compiled(tg.tensor(0.1 * k))
        assert_same(out, f(tg.tensor(0.1 * k)))
        assert_same((r, s), (p, q))
        kept.append((shown(out), numbers(out)))
    for out, before in kept:
        np.testing.assert_equal(numbers(out), before)


def test_gradients_that_are_given_away():
    w = tg.tensor([1.0, 2.0], requires_grad=True)

    def f(x):
        tg.sum(w * x).backward()
        given, w.grad = w.grad, None
        return given

    compiled = tg.compile(f)
    for k, made in enumerate([compiled(tg.tensor([float(k), 1.0])) for k in range(5)]):
        np.testing.assert_array_equal(made.numpy(), [k, 1.0])


def test_arguments_that_learn():
    def f(x):
        tg.sum(x * x).backward()
        return x.grad

    compiled = tg.compile(f)
    for _ in range(2):
        x, y = (tg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
        for _ in range(3):
            assert_same(compiled(x), f(y))
            assert_same(x.grad, y.grad)


# --- errors and threads ----------------------------------------------------------------------------------------------


def test_an_error_in_a_step_leaves_all_as_it_was():
    calls = []

    @tg.op
    def fragile(x):
        calls.append(1)
        if len(calls) % 3 == 0:
            raise ValueError("a kernel that fails")
        return x * 2

    fragile.derivatives(lambda g, out, x: fragile(g))

    for options in ({"kind": optim.Adam, "amsgrad": True}, {"momentum": 0.9}):
        model = Fit(**options)
        drop = nn.Dropout(0.5)

        def step(x, model=model, drop=drop):
            model.optimizer.zero_grad()
            loss = tg.sum(drop(fragile(model.w) * x) + model.v)
            loss.backward()
            model.optimizer.step()
            return loss

        compiled = tg.compile(step, verify=False)  # which would call the kernel once more
        failed = 0
        for _ in range(12):
            before = model.state
            try:
                compiled(tg.tensor([1.0, 2.0]))
            except ValueError:
                failed += 1
                assert_close(model.state, before)
                assert type(model.w._value) is np.ndarray
        assert failed > 2


def test_an_error_while_recording_leaves_all_as_it_was():
    model = Fit(optim.Adam)

    def step(x):
        model.step(x)
        tg.random.standard_normal(3)
        raise ValueError("after everything")

    random = str(tg.random.get_state())
    with pytest.raises(ValueError, match="after everything"):
        tg.compile(step)(tg.tensor([1.0, 2.0]))
    assert str(tg.random.get_state()) == random
    assert not model.optimizer.state
    assert_close(model.state[:2], Fit().state[:2])
    assert model.w.grad is None
    assert model.w.is_leaf


def test_two_threads_train_one_model():
    for _ in range(5):
        model = Fit(lr=1e-3)
        compiled = tg.compile(model.step)
        errors = []

        def work(compiled=compiled, errors=errors):
            try:
                for _ in range(20):
                    compiled(tg.tensor([1.0, 2.0]))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        alone = Fit(lr=1e-3)
        for _ in range(40):
            alone.step(tg.tensor([1.0, 2.0]))
        assert_close(model.state[:2], alone.state[:2])


def test_two_threads_share_a_compiled_function():
    compiled = tg.compile(lambda x, y: tg.sum(tg.exp(x @ y) * 2, axis=0))
    errors = []

    def work(seed):
        try:
            rng = np.random.default_rng(seed)
            for _ in range(100):
                x, y = rng.standard_normal((2, 4, 4))
                made = compiled(tg.tensor(x), tg.tensor(y))
                np.testing.assert_allclose(made.numpy(), np.exp(x @ y).sum(0) * 2)
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == []


def test_an_error_when_called_is_the_ops_own():
    @tg.op
    def inverse(x):
        return np.linalg.inv(x)

    compiled = tg.compile(lambda x: inverse(x) * 2)
    for _ in range(2):
        np.testing.assert_array_equal(compiled(tg.tensor(np.eye(2))).numpy(), 2 * np.eye(2))
        with pytest.raises(np.linalg.LinAlgError, match="Singular"):
            compiled(tg.tensor(np.ones((2, 2))))


# --- operations of the user's, and large or long programs ------------------------------------------------------------


def test_kernels_that_share_memory():
    buffer = np.zeros(3)

    @tg.op
    def into_buffer(x):
        return np.multiply(x, 2, out=buffer)

    @tg.op
    def first_two(x):
        return x[:2]

    f = lambda x: (into_buffer(x), into_buffer(x + 1), first_two(x * 2), tg.exp(x * 3) * tg.sin(x))  # noqa: E731
    compiled = tg.compile(f)
    kept = []
    for k in range(4):
        x = tg.tensor([1.0, 2.0, float(k)])
        kept.append((compiled(x), numbers(f(x))))
    for out, expected in kept:
        assert_close(numbers(out), expected)


def test_operations_that_are_no_functions_are_called_each_time():
    count = [0]

    @tg.op
    def counted(x):
        count[0] += 1
        return x + count[0]

    compiled = tg.compile(lambda x: (counted(x), counted(x)), verify=False)
    first, second = (numbers(compiled(tg.zeros(1))) for _ in range(2))
    assert [x.item() for x in second] == [x.item() + 2 for x in first]
    assert first[1] == first[0] + 1


def test_long_programs():
    def f(x):
        for _ in range(700):
            x = tg.sin(x) + 0.1
        return x

    x = tg.tensor([1.0, 2.0])
    for function in (f, tg.grad(lambda x: tg.sum(f(x)))):
        assert_same(tg.compile(function)(x), function(x))


@pytest.mark.parametrize("layout", ["C", "F", "strided", "float32"])
def test_large_arrays_in_pieces(layout):
    x = np.random.default_rng(0).standard_normal((301, 702))
    x = {"C": x, "F": np.asfortranarray(x), "strided": x[:, ::2], "float32": x.astype("f")}[layout]
    wave = lambda x: tg.tanh(x) * tg.sigmoid(x) + tg.exp(-(x**2))  # noqa: E731
    functions = [
        lambda x: (wave(x), tg.sum(wave(x))),
        tg.grad(lambda x: tg.sum(wave(x) * x)),
        lambda x: wave(x.T) + wave(x).T,
        lambda x: tg.cumulative_sum(wave(x), axis=0) * wave(x),
        lambda x: (wave(x) > 0.5, wave(x).astype(np.float32) * 2 + 1, wave(x)[1:]),
        tg.grad(lambda x: tg.sum(tg.where(x > 0, tg.log(x) * tg.sqrt(x), 0.0))),
    ]
    for function in functions:
        compiled = tg.compile(function)
        for given in (tg.asarray(x), tg.asarray(-x)):
            assert_same(compiled(given), function(given), scale=1e3)


def test_a_large_step():
    plain, other, compiled = twins(lambda: Fit(optim.Adam, amsgrad=True, weight_decay=0.1))
    rng = np.random.default_rng(0)
    for model in (plain, other):
        for p in (model.w, model.v):
            p._assign(np.linspace(-1, 1, 150_000))
    held = []
    for _ in range(3):
        x = tg.tensor(rng.standard_normal(150_000))
        assert_same(compiled(x), plain.step(x))
        assert_close(other.state, plain.state)
        held.append((other.w.numpy(), np.array(other.w.numpy())))
    for old, before in held:
        np.testing.assert_array_equal(old, before)


def test_what_a_next_call_would_record_anew_is_not_saved(tmp_path):
    fit = Fit(momentum=0.9)
    compiled = tg.compile(fit.step)
    for _ in range(2):
        compiled(tg.tensor([1.0, 2.0]))
    compiled.save(tmp_path / "step.py")
    fit.optimizer.param_groups[0]["lr"] = 0.5  # read at each call
    compiled.save(tmp_path / "step.py")
    fit.optimizer.param_groups[0]["weight_decay"] = 0.5
    with pytest.raises(RuntimeError, match="for what is past by now"):
        compiled.save(tmp_path / "step.py")
    compiled(tg.tensor([1.0, 2.0]))
    compiled.save(tmp_path / "step.py")


def test_an_argument_that_is_the_written_state_itself():
    state = tg.tensor([1.0, 1.0, 1.0])

    def double(x):
        state[...] = x * 2
        return state

    compiled = tg.compile(double)
    for expected in (2.0, 4.0, 8.0):
        assert compiled(state).tolist() == [expected] * 3
        assert state.tolist() == [expected] * 3
    assert compiled(tg.tensor([5.0, 5.0, 5.0])).tolist() == [10.0] * 3
    assert compiled(state).tolist() == [20.0] * 3


def test_the_first_call_of_a_network_takes_little_more_memory_than_an_ordinary_one():
    """Values are let go as the pass goes, and nothing of the recording is held while buffers are made."""

    def peak(compiled):
        tg.manual_seed(0)
        net = nn.Sequential(nn.Linear(200, 500), nn.ReLU(), nn.Linear(500, 500), nn.ReLU(), nn.Linear(500, 10))
        optimizer = optim.SGD(net.parameters(), lr=0.1)

        def step(x, y):
            loss = nn.functional.mse_loss(net(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        run = tg.compile(step) if compiled else step
        x, y = tg.tensor(np.ones((2000, 200), np.float32)), tg.tensor(np.zeros((2000, 10), np.float32))
        peaks = []
        tracemalloc.start()
        for _ in range(2):
            tracemalloc.reset_peak()
            run(x, y)
            peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        return (*peaks, sum(p.nbytes for p in net.parameters()))

    plain, _, state = peak(False)
    first, later, _ = peak(True)
    assert first < 1.4 * plain + state
    assert later < 1.2 * plain
