"""Writes in place to arrays that a compiled function computes: all names and views see them, or they are refused."""

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import optim

X = np.array([[1.0, 0.0], [0.0, 3.0]])


def both(function, *args):
    """What an ordinary call gives, and the second of two compiled ones."""
    copies = lambda: [x.copy() if isinstance(x, np.ndarray) else x for x in args]  # noqa: E731
    compiled = tg.compile(function)
    compiled(*copies())
    return function(*copies()), compiled(*copies())


def halve(r):
    r *= 0.5


def through_a_function(x):
    h = x + 0.0
    halve(h)
    return h, h * 2


def through_a_second_name(x):
    h = x + 0.0
    g = h
    g += 1
    return h * 2


def through_a_list(x):
    held = [x + 0.0]
    held[0] -= 1
    y = held[0]
    y /= 2
    return held[0]


def through_an_attribute(x):
    class Holder:
        pass

    holder = Holder()
    holder.h = x * 2
    other = holder.h
    holder.h += 1
    return other


def through_a_slice(x):
    y = x + 0.0
    v = y[1:]
    v += 1
    return y, v


def through_one_of_two_slices(x):
    y = x + 0.0
    v, u = y[1:], y[:, 0]
    v += 1
    return y, v, u


def under_a_slice(x):
    y = x + 0.0
    v = y[1:]
    y *= 3
    return y, v


def to_elements(x):
    y = x + 0.0
    y[0] *= 10
    y[:, 1] += 1
    y[0] = 7.0
    y[y > 8] = 0.0
    return y


def of_a_part_to_another(x):
    y = x + 0.0
    v = y[1:]
    y[:1] = v
    v[...] = 5.0
    return y, v


def of_a_part_of_a_row(x):
    y = x + 0.0
    y[0][1] = 5.0
    y[0][0] += 2
    return y


def to_what_nothing_else_shows(x):
    v = (x + 0.0)[1:]
    v += 1
    v *= 2
    return v


def to_a_number(x):
    s = x.sum()
    t = s
    t += 1
    return s, t


def to_a_smaller_dtype(x):
    y = x.astype(np.float32)
    z = y
    z += x
    return y


def beside_a_tensor_that_copies(x):
    h = x + 0.0
    t = tg.tensor(h)
    h *= 3
    return t, h


def beside_a_tensor_that_shares(x):
    h = x + 0.0
    t = tg.asarray(h)
    h *= 3
    return t, h


WRITES = [
    through_a_function,
    through_a_second_name,
    through_a_list,
    through_an_attribute,
    through_a_slice,
    through_one_of_two_slices,
    under_a_slice,
    to_elements,
    of_a_part_to_another,
    of_a_part_of_a_row,
    to_what_nothing_else_shows,
    to_a_number,
    to_a_smaller_dtype,
    beside_a_tensor_that_copies,
    beside_a_tensor_that_shares,
]


@pytest.mark.parametrize("function", WRITES, ids=lambda f: f.__name__)
def test_a_write_is_seen_everywhere(function):
    expected, found = both(function, X)
    as_list = lambda x: list(x) if isinstance(x, tuple) else [x]  # noqa: E731
    for x, y in zip(as_list(expected), as_list(found), strict=True):
        assert type(x) is type(y)
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))
        assert x.dtype == y.dtype


@pytest.mark.parametrize("operator", ["+=", "-=", "*=", "/=", "//=", "%=", "**=", "@="])
def test_each_operator(operator):
    space = {}
    other = "h.copy()" if operator == "@=" else "2.0"
    exec(f"def f(x):\n    h = x + 1.0\n    g = h\n    g {operator} {other}\n    return h", space)
    expected, found = both(space["f"], X)
    np.testing.assert_array_equal(found, expected)


def test_a_gradient_through_a_write():
    def loss(w, x):
        h = x + 0.0
        halve(h)
        return ((h @ w) ** 2).sum()

    expected, found = both(tg.grad(loss), np.array([1.0, 2.0]), X)
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(found, [0.5, 9.0])


def transposed(x):
    y = x + 0.0
    v = y.T
    v += np.arange(2.0)[:, None]
    return y


def reshaped(x):
    y = x + 0.0
    v = y.reshape(-1)
    y += 1
    return v


def part_of_a_part(x):
    y = x + 0.0
    v = y[1:]
    u = v[:, 0]
    u += 1
    return y


@pytest.mark.parametrize("function", [transposed, reshaped, part_of_a_part], ids=lambda f: f.__name__)
def test_a_write_that_a_view_would_miss_is_refused(function):
    with pytest.raises(TypeError, match=r"shares memory with others.*\n  at .*test_writes.py"):
        tg.compile(function)(X.copy())


def part_of_an_argument(x):
    x[:2] *= 10
    return x * 1


def elements_of_an_argument(x):
    x[0] = 1.0
    return x * 1


def transposed_argument(x):
    v = x.T
    v += 1
    return x * 1


def whole_argument(x):
    x += 1
    return x * 1


@pytest.mark.parametrize(
    "function",
    [part_of_an_argument, elements_of_an_argument, transposed_argument, whole_argument],
    ids=lambda f: f.__name__,
)
def test_an_argument_is_not_written_to(function):
    x = X.copy()
    with pytest.raises(TypeError, match="which its caller would see"):
        tg.compile(function)(x)
    np.testing.assert_array_equal(x, X)


def test_what_numpy_refuses_is_refused():
    def too_large(x):
        y = x[0] + 0.0
        y += x
        return y

    def complex_to_float(x):
        y = x + 0.0
        y += 1j
        return y

    def tensor_into_array(x):
        y = x + 0.0
        y += tg.tensor([1.0, 2.0])
        return y

    def element_of_a_number(x):
        s = x.sum()
        s[()] = 1.0
        return s

    for function, kind in (
        (too_large, ValueError),
        (complex_to_float, TypeError),
        (tensor_into_array, TypeError),
        (element_of_a_number, TypeError),
    ):
        with pytest.raises(kind):
            function(X)
        with pytest.raises(kind):
            tg.compile(function)(X)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "Rprop", "Adadelta", "NAdam"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_several_steps_of_an_optimizer_in_one_call(name, momentum):
    """What is remembered after the first is not the gradient itself, which the second would write into."""
    settings = {"momentum": momentum} if name in ("SGD", "RMSprop") else {}
    worlds = []
    for compiled in (False, True):
        w = tg.tensor([1.0, 2.0], requires_grad=True)
        optimizer = getattr(optim, name)([w], lr=0.1, **settings)

        def f(x, w=w, optimizer=optimizer):
            (w * x).sum().backward()
            for _ in range(3):
                optimizer.step()

        worlds.append((w, tg.compile(f) if compiled else f))
    for _ in range(3):
        for _, f in worlds:
            f(tg.tensor([1.0, 0.5]))
        (w, _), (v, _) = worlds
        np.testing.assert_allclose(v.numpy(), w.numpy(), rtol=1e-12)
        np.testing.assert_allclose(v.grad.numpy(), w.grad.numpy(), rtol=1e-12)


def test_a_mask_without_axes_is_refused_as_others_are():
    for f in (lambda x: (x[x > 0] * 2).sum(), lambda x: x[x > 0]):
        for number in (-1.0, 1.0):
            with pytest.raises(TypeError, match="depends on the numbers"):
                tg.compile(f)(tg.tensor(number))
    known = tg.compile(lambda x: x[np.True_] * 2)
    assert [known(tg.tensor(v)).tolist() for v in (1.0, 3.0)] == [[2.0], [6.0]]
