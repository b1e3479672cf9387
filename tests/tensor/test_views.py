"""Tensors that share their elements: a write to one reaches the others, with the right derivative, or says that not."""

import gc
import random
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn import nn, optim


def leaf(x):
    return tg.tensor(x, requires_grad=True)


def arange(*shape):
    return tg.tensor(np.arange(float(np.prod(shape))).reshape(shape))


# --- what NumPy's user writes ----------------------------------------------------------------------------------------

#: Programs that write to `a` through a view.
WRITES = {
    "an element of a row": "a[0][1] = 50",
    "a row": "r = a[0]; r[:] = 5",
    "a row in place": "r = a[0]; r += 5",
    "a column": "a.T[0] = 3",
    "iteration": "for r in a: r += 1",
    "an augmented slice": "a[:, 1:] *= 2",
    "an augmented row": "a[0] += 1",
    "the matrix transposed": "a.mT[0] = 3",
    "steps backwards": "a[::-1][0] = 7",
    "new axes": "a[None, :, None][0, 1] = 7",
    "an ellipsis": "s = a[0, 0, ...]; s[...] = 9",
    "all": "a[...][0] = 1; a[()][1] = 2",
    "reshape": "a.reshape(-1)[4] = 9",
    "reshape of rows": "a[1:].reshape(3)[0] = 9",
    "ravel": "a.ravel()[0] = 9",
    "transpose": "a.transpose(1, 0)[0, 1] = 9",
    "swapaxes": "np.swapaxes(a, 0, 1)[0, 1] = 9",
    "moveaxis": "np.moveaxis(a, 0, 1)[0, 1] = 9",
    "squeeze": "np.squeeze(a[:1])[2] = 9",
    "expand_dims": "np.expand_dims(a, 0)[0, 1] = 9",
    "split": "p, q = np.split(a, [1]); q += p",
    "split along columns": "p, q = np.split(a, [1], axis=1); q *= 2; p[1] = 0",
    "a view of a view of a view": "a[1:].T[1:][0] = 8",
    "a value that is a view": "a[0] = a[1]; a[1] += 1",
    "one view from another": "r, c = a[0], a[:, 0]; r += 10; c += r[0]",
}
#: And those that do not, in NumPy.
COPIES = {
    "flatten": "a.flatten()[0] = 9",
    "copy": "a.copy()[0] = 9",
    "index arrays": "a[[0, 1]][0] = 9",
    "a mask": "a[a > 2][0] = 9",
    "reshape of what does not lie in order": "a.T.reshape(-1)[0] = 9",
    "reshape of columns": "a[:, 1:].reshape(-1)[0] = 9",
    "a number": "s = a[0, 0]; s += 9",
    "numbers of a row": "for s in a[0]: s += 1",
    "arithmetic": "b = a + 0; b[0] = 9",
}


@pytest.mark.parametrize("program", [*WRITES.values(), *COPIES.values()], ids=[*WRITES, *COPIES])
def test_as_in_numpy(program):
    a, b = arange(2, 3), np.arange(6.0).reshape(2, 3)
    before = b.copy()
    exec(program, {"a": a, "np": np})
    exec(program, {"a": b, "np": np})
    np.testing.assert_array_equal(a.numpy(), b)
    assert np.array_equal(b, before) == (program in COPIES.values())


def test_functions_of_the_standard():
    a = arange(2, 3)
    first, _ = tg.unstack(a)
    first += 10
    tg.permute_dims(a, (1, 0))[0] = 1
    tg.squeeze(a[:1])[2] = 2
    assert a.tolist() == [[1, 11, 2], [1, 4, 5]]
    assert [x.tolist() for x in tg.split(a, [1])] == [[[1, 11, 2]], [[1, 4, 5]]]
    numbers = tg.unstack(arange(2))
    numbers[0].__iadd__(5)
    assert [x.tolist() for x in numbers] == [5, 1]


def test_complex_parts():
    z = tg.tensor([1 + 2j, 3 + 4j])
    z.real[0] = 9
    z.imag[:] = 7
    assert z.tolist() == [9 + 7j, 3 + 7j]
    x = arange(2)
    tg.real(x)[0] = 5
    assert x.tolist() == [5, 1]


def test_a_decoder_that_fills_a_row():
    out = tg.zeros((1, 4), dtype=tg.int64)
    for i, symbol in enumerate([3, 1, 2]):
        out[0][i] = symbol
    assert out.tolist() == [[3, 1, 2, 0]]


def test_a_broadcast_view_cannot_be_written_to():
    a = arange(3)
    wide = tg.broadcast_to(a, (2, 3))
    for view in (wide, wide[0], tg.broadcast_arrays(a, arange(2, 1))[0].T):
        with pytest.raises(ValueError, match="more than once.*copy()"):
            view[0] = 1
    assert wide[0].copy().tolist() == [0, 1, 2]
    a += 1
    assert wide.tolist() == [[1, 2, 3]] * 2


# --- derivatives -----------------------------------------------------------------------------------------------------


def test_a_write_through_a_view_is_differentiated():
    x, w = leaf([1.0, 2.0, 3.0]), leaf([4.0, 5.0])
    y = x * 2
    view, whole = y[1:], y.T
    view *= w
    whole[0] = w[1] ** 2
    y.sum().backward()
    assert x.grad.tolist() == [0, 8, 10]
    assert w.grad.tolist() == [4, 16]


def test_what_was_computed_before_keeps_its_values():
    x = leaf([1.0, 2.0, 3.0])
    y = x * 1
    view = y[1:]
    square = view**2
    view += 10
    square.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [0, 4, 6]
    assert view.tolist() == [12, 13]


def test_a_view_of_a_leaf():
    w = leaf([1.0, 2.0, 3.0])
    view, before = w[1:], w.T
    for write in (lambda: view.__iadd__(1), lambda: view.__setitem__(0, 1.0)):
        with pytest.raises(RuntimeError, match="leaf requires gradients.*no_grad"):
            write()
    with tg.no_grad():
        view[0] = 5.0
        w[2] = 7.0
    assert w.is_leaf
    assert w.tolist() == before.tolist() == [1, 5, 7]
    (view**2).sum().backward()
    assert w.grad.tolist() == [0, 10, 14]


def test_a_leaf_that_is_a_view_stays_one():
    flat = arange(4)
    w = flat[:2]
    w.requires_grad_()
    flat += 1
    assert w.is_leaf
    assert w.tolist() == [1, 2]
    with tg.no_grad():
        w *= 2
    assert flat.tolist() == [2, 4, 3, 4]
    (w * flat[2:]).sum().backward()
    assert w.grad.tolist() == [3, 4]


def test_under_no_grad_a_recorded_result_is_not_written_to():
    x = leaf([1.0, 2.0])
    y = x * 2
    view = y[:1]
    with tg.no_grad():
        late = y[1:]
        for target in (view, late, y.T):
            with pytest.raises(RuntimeError, match="would cut this result"):
                target[0] = 1.0
    with pytest.raises(RuntimeError, match="would cut this result"):
        late[0] = 1.0
    with pytest.raises(RuntimeError, match="has a derivative, which would be lost"):
        late[0] = x[0]
    assert y.tolist() == [2, 4]
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_retained_gradients_and_hooks_follow_the_tensor():
    x = leaf([1.0, 2.0])
    y = x * 3
    y.retain_grad()
    y[:1] *= 2
    (y**2).sum().backward()
    assert y.grad.tolist() == [12, 12]
    assert x.grad.tolist() == [72, 36]


# --- detach and data -------------------------------------------------------------------------------------------------


def test_detach_shares_elements():
    w = leaf([1.0, 2.0, 3.0])
    detached = w.detach()
    detached[0] = 9.0
    w.data[1:] *= 2
    w.detach()[1:].T[1] += 1
    assert w.tolist() == detached.tolist() == [9, 4, 7]
    assert w.is_leaf
    assert not detached.requires_grad
    with tg.no_grad():
        w -= 1
    assert detached.tolist() == [8, 3, 6]
    w.data = [0.0, 0.0, 1.0]
    assert w.tolist() == detached.tolist() == [0, 0, 1]
    with pytest.raises(ValueError, match="shape"):
        w.data = [1.0]


def test_detach_of_a_result():
    x = leaf([1.0, 2.0])
    y = x * 2
    detached = y.detach()
    for target in (detached, detached[:1], y[:1].detach()):
        with pytest.raises(RuntimeError, match=r"cut this result.*detach\(\).copy\(\)"):
            target[0] = 1.0
        with pytest.raises(RuntimeError, match=r"derivative, which would be lost.*detach\(\).copy\(\)"):
            target[0] = x[0]
    y += 1  # is recorded, and what is detached has the new elements
    assert detached.tolist() == [3, 5]
    del y, target
    detached[0] = 7.0
    detached *= x
    detached.sum().backward()
    assert x.grad.tolist() == [7, 5]


def test_two_that_were_detached_from_what_is_gone():
    a = arange(2) + 0
    b, c = a.detach(), a.detach()
    del a
    b[0] = 5
    assert c.tolist() == [5, 1]
    view = c[1:]
    b[1] = 6
    assert view.tolist() == [6]


def test_a_state_that_is_detached_at_each_step_holds_no_graph():
    x = leaf(np.ones(1000))
    state = x * 1
    for _ in range(3):
        node = weakref.ref(state)
        state = (state * 2).detach()
        gc.collect()
        assert node() is None


def test_plain_copies_share_nothing():
    a = arange(3)
    others = [a.copy(), tg.tensor(a), tg.asarray(a.numpy()), tg.asarray(a, name="other"), tg.stop_gradient(a)]
    state = nn.Sequential(nn.Linear(1, 1)).state_dict()
    a[:] = 9
    assert all(other.tolist() == [0, 1, 2] for other in others)
    assert state


def test_steps_of_optimizers_reach_views():
    layer = nn.Linear(3, 2)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    row, detached = layer.weight[0], layer.weight.detach()
    for step in (optimizer.step, tg.compile(optimizer.step)):
        for _ in range(3):
            layer.weight.grad = tg.ones((2, 3), dtype=tg.float32)
            step()
            np.testing.assert_array_equal(row.numpy(), layer.weight.numpy()[0])
            np.testing.assert_array_equal(detached.numpy(), layer.weight.numpy())


def test_a_compiled_step_with_views_outside_is_the_ordinary_one():
    weights = []
    for compiled in (False, True):
        tg.manual_seed(0)
        layer = nn.Linear(3, 2)
        optimizer = optim.SGD(layer.parameters(), lr=0.01)
        views = layer.weight[0], layer.weight.detach()

        def step(x, layer=layer, optimizer=optimizer):
            loss = (layer(x) ** 2).sum()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        run = tg.compile(step) if compiled else step
        for _ in range(4):
            run(tg.ones((4, 3), dtype=tg.float32))
        np.testing.assert_array_equal(views[0].numpy(), layer.weight.numpy()[0])
        weights.append(layer.weight.numpy())
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-5)


# --- what it costs ---------------------------------------------------------------------------------------------------


def test_views_that_are_gone_are_forgotten():
    a = arange(4)
    for _ in range(1000):
        a[1:]
        a.detach()
    assert len(a._ties.views) < 10
    assert len(a._ties.aliases) < 10


def test_a_chain_of_views_is_freed():
    a = arange(2000)
    for _ in range(1500):
        a = a[1:]
    a[0] = 7
    assert a.tolist()[0] == 7
    first = weakref.ref(a._ties.view.parent)
    del a
    gc.collect()
    assert first() is None


# --- random programs -------------------------------------------------------------------------------------------------


class Programs:
    """Lines that make views of arrays and write to them, which mean the same with NumPy and here."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.shape = self.dice.choice([(6,), (2, 3), (4, 3), (2, 3, 2), (1, 4), (3, 1, 2)])
        self.shapes = {"a": self.shape}
        self.lines = []
        for _ in range(self.dice.randint(3, 9)):
            self.dice.choice([self.view, self.view, self.write, self.write, self.compute])()

    def pick(self):
        return self.dice.choice(sorted(self.shapes))

    def new(self, line, shape):
        name = f"v{len(self.shapes)}"
        self.lines.append(f"{name} = {line}")
        self.shapes[name] = shape

    def shape_of(self, expression, shape):
        return eval(expression, {"x": np.zeros(shape), "np": np}).shape

    def index(self, shape):
        parts = []
        for n in shape[: self.dice.randint(1, len(shape))]:
            start = self.dice.randrange(n)
            parts.append(
                self.dice.choice(
                    [":", str(start), f"{start}:", f"::{self.dice.choice([-1, 2])}", f"{start - n}", "..."]
                )
            )
        if "..." in parts:
            parts = parts[: parts.index("...") + 1]
        if self.dice.random() < 0.2:
            parts.insert(0, "None")
        return ", ".join(parts)

    def view(self):
        x = self.pick()
        shape = self.shapes[x]
        if not shape:
            return
        size = int(np.prod(shape))
        kind = self.dice.choice(["index", "index", "T", "reshape", "ravel", "swap", "squeeze", "expand", "split"])
        text = {
            "index": f"x[{self.index(shape)}]",
            "T": "x.T",
            "reshape": f"x.reshape({self.dice.choice([n for n in range(1, size + 1) if not size % n])}, -1)",
            "ravel": "x.ravel()",
            "swap": f"np.swapaxes(x, 0, {len(shape) - 1})",
            "squeeze": "np.squeeze(x)",
            "expand": "np.expand_dims(x, 0)",
            "split": f"np.split(x, [{self.dice.randint(0, shape[0])}])[{self.dice.randint(0, 1)}]",
        }[kind]
        made = self.shape_of(text, shape)
        if 0 not in made and made:
            self.new(text.replace("x[", f"{x}[").replace("x.", f"{x}.").replace("(x", f"({x}"), made)

    def compute(self):
        x, y = self.pick(), self.pick()
        try:
            shape = np.broadcast_shapes(self.shapes[x], self.shapes[y])
        except ValueError:
            return
        self.new(f"own({x} * {y} + 0.5)", shape)

    def write(self):
        target, source = self.pick(), self.pick()
        shape = self.shapes[target]
        value = f"0.3 * {source}"
        if self.dice.random() < 0.4:
            index = self.index(shape)
            place = self.shape_of(f"x[{index}]", shape)
            whole = f"{target}[{index}]"
        else:
            place, whole = shape, target
        try:
            if np.broadcast_shapes(place, self.shapes[source]) != place:
                raise ValueError
        except ValueError:
            value = f"0.3 * own({source}.sum())"
        operator = self.dice.choice(["=", "+=", "*="]) if whole != target else self.dice.choice(["+=", "*="])
        self.lines.append(f"{whole} {operator} {value}")

    def function(self, own, before=()):
        """What runs the lines on the array `a`, and gives all arrays."""
        source = "\n    ".join([*before, *self.lines, f"return {', '.join(self.shapes)},"])
        space = {"np": np, "own": own}
        exec(f"def f(a):\n    {source}", space)
        return space["f"]

    def start(self):
        return np.random.default_rng(len(self.lines)).uniform(0.5, 1.5, self.shape)


def own(x):
    return np.array(x, order="C")  # as results lie here, whatever they were computed from


def weighed(arrays):
    return sum((np.sum if isinstance(x, np.ndarray) else tg.sum)(x * x * (i + 1.0)) for i, x in enumerate(arrays))


many = st.integers(0, 10**6)


@given(seeds=st.lists(many, min_size=20, max_size=20))
def test_random_programs_have_numpys_values(seeds):
    for seed in seeds:
        program = Programs(seed)
        expected = program.function(own)(program.start())
        for start in (tg.tensor(program.start()), leaf(program.start()) * 1):
            results = program.function(lambda x: x * 1)(start)
            for x, y in zip(results, expected, strict=True):
                np.testing.assert_allclose(x.numpy(), y, rtol=1e-12, err_msg="\n".join(program.lines))


@given(seeds=st.lists(many, min_size=5, max_size=5))
def test_random_programs_have_the_right_gradients(seeds):
    for seed in seeds:
        program = Programs(seed)
        f = program.function(lambda x: x * 1)
        loss = lambda x, f=f: weighed(f(x * 1))  # noqa: E731
        x, what = program.start(), "\n".join(program.lines)
        expected = np.empty(x.shape)
        for i in np.ndindex(*x.shape):  # a complex step
            z = x.astype(complex)
            z[i] += 1e-30j
            expected[i] = weighed(program.function(own)(z)).imag / 1e-30
        np.testing.assert_allclose(tg.grad(loss)(x), expected, rtol=1e-9, atol=1e-12, err_msg=what)
        v, h = np.random.default_rng(seed).standard_normal(x.shape), 1e-5
        product = tg.grad(lambda x, loss=loss, v=v: tg.sum(tg.grad(loss)(x) * v))(x)
        slope = (tg.grad(loss)(x + h * v) - tg.grad(loss)(x - h * v)) / (2 * h)
        np.testing.assert_allclose(product, slope, rtol=1e-5, atol=1e-4 * np.abs(slope).max(), err_msg=what)


@given(seeds=st.lists(many, min_size=3, max_size=3))
def test_random_programs_compiled(seeds):
    for seed in seeds:
        program = Programs(seed)
        f = program.function(lambda x: x * 1, before=["a = a * 1"])
        compiled, gradient = tg.compile(f), tg.grad(lambda x, f=f: weighed(f(x)))
        compiled_gradient = tg.compile(gradient)
        for k in range(3):
            x = program.start() + k
            what = "\n".join(program.lines)
            for p, q in zip(compiled(tg.tensor(x)), f(tg.tensor(x)), strict=True):
                np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-12, err_msg=what)
            np.testing.assert_allclose(compiled_gradient(x), gradient(x), rtol=1e-9, atol=1e-12, err_msg=what)


@given(seeds=st.lists(many, min_size=3, max_size=3))
def test_random_programs_on_state_compiled(seeds):
    """The array and some of its views are outside, others are made later; results are written to as well."""
    for seed in seeds:
        program = Programs(seed)
        worlds = []
        for compiled in (False, True):
            state = tg.tensor(program.start())
            f = program.function(lambda x: x * 1, before=["a = state"])
            f.__globals__["state"] = state
            outside = [state.T, state[-1:], state.detach()]
            worlds.append((state, outside, tg.compile(f) if compiled else f))
        for k in range(4):
            for state, outside, f in worlds:
                results = f(k)
                outside += [x for x in results if isinstance(x, tg.Tensor)]
                outside[k % len(outside)].__imul__(0.5)
                if k == 1:
                    outside.append(state[:1])
            for x, y in zip(worlds[0][1], worlds[1][1], strict=True):
                np.testing.assert_allclose(
                    x.numpy(), y.numpy(), rtol=1e-9, atol=1e-300, err_msg=f"call {k}\n" + "\n".join(program.lines)
                )


@pytest.mark.filterwarnings("ignore:The use of `x.T` on tensors")
def test_random_programs_beside_pytorch():
    torch = pytest.importorskip("torch")
    compared = 0
    for seed in range(600):
        program = Programs(seed)
        lines = "\n".join(program.lines)
        if any(text in lines for text in ("np.", "reshape", "ravel", "::-1")):
            continue  # what PyTorch has under other names, or not
        x, f = program.start(), program.function(lambda x: x * 1)
        gradient = tg.grad(lambda x, f=f: weighed(f(x * 1)))
        t = torch.tensor(x, requires_grad=True)
        try:
            loss = sum((y * y).sum() * (i + 1.0) for i, y in enumerate(f(t * 1)))
            (first,) = torch.autograd.grad(loss, t, create_graph=True)
            (second,) = torch.autograd.grad(first.sum(), t)
        except RuntimeError as error:
            assert "modified by an inplace operation" in str(error) or "single memory location" in str(error), lines
            continue  # values that a graph needs are kept here
        compared += 1
        np.testing.assert_allclose(gradient(x), first.detach().numpy(), rtol=1e-9, err_msg=lines)
        total = lambda x, gradient=gradient: tg.sum(gradient(x))  # noqa: E731
        np.testing.assert_allclose(tg.grad(total)(x), second.numpy(), rtol=1e-9, atol=1e-9, err_msg=lines)
    assert compared > 50
