"""The tables of docs/kinks.md, row by row."""

import math
from pathlib import Path

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import testing

PAGE = Path(__file__).parents[2] / "docs" / "kinks.md"


def rows(heading):
    """The rows of the tables whose last column has this heading."""
    found, column = [], ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split(" | ")]
        if line.startswith("| expression"):
            column = cells[-1]
        elif line.startswith("| `") and column == heading:
            found.append(cells)
    return found


ROWS, BACKWARDS, SECOND = rows("derivative"), rows("derivative, backwards"), rows("second derivative")
NAMES = {**{name: getattr(tg, name) for name in dir(tg)}, "F": tg.nn.functional}
NUMBERS = {"inf": math.inf, "nan": math.nan}


def evaluate(expression, x):
    with np.errstate(all="ignore"):
        return eval(expression, {**NAMES, "x": x})


def test_the_page_is_read():
    assert len(ROWS) > 50
    assert BACKWARDS
    assert len(SECOND) > 5
    assert all(len(row) == 3 for row in [*ROWS, *BACKWARDS, *SECOND])


@pytest.mark.parametrize(("expression", "x", "derivative"), ROWS, ids=[f"{row[0]} at {row[1]}" for row in ROWS])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_row(expression, x, derivative, dtype):
    x = np.asarray(eval(x, NUMBERS), dtype)
    expected = np.asarray(eval(derivative, NUMBERS), dtype)

    def close(got):
        testing.assert_close(got, expected, rtol=1e-6)

    for create_graph in (False, True):
        leaf = tg.tensor(x, requires_grad=True)
        evaluate(expression, leaf).sum().backward(create_graph=create_graph)
        assert leaf.grad.dtype == dtype
        close(leaf.grad)
    close(tg.grad(lambda x: evaluate(expression, x).sum())(x[()]))
    columns = []
    for index in np.ndindex(x.shape):
        direction = np.zeros_like(x)
        direction[index] = 1
        columns.append(tg.jvp(lambda x: evaluate(expression, x).sum(), (x[()],), (direction[()],))[1])
    close(np.reshape(columns, x.shape))


@pytest.mark.parametrize(("expression", "x", "derivative"), ROWS, ids=[f"{row[0]} at {row[1]}" for row in ROWS])
def test_a_zero_gradient_stays_zero(expression, x, derivative):
    """Times 0, each row's derivative is 0, whatever it was; in an array as for a number."""
    x = np.asarray(eval(x, NUMBERS), float)
    leaf = tg.tensor(x, requires_grad=True)
    out = evaluate(expression, leaf)
    out.backward(tg.zeros(out.shape))
    assert np.all(leaf.grad.numpy() == 0), leaf.grad


@pytest.mark.parametrize(("expression", "x", "derivative"), BACKWARDS)
def test_backwards_alone(expression, x, derivative):
    gradient = tg.grad(lambda x: evaluate(expression, x).sum())(np.asarray(eval(x, NUMBERS), float)[()])
    np.testing.assert_array_equal(gradient, eval(derivative, NUMBERS))


@pytest.mark.parametrize(("expression", "x", "derivative"), SECOND, ids=[f"{row[0]} at {row[1]}" for row in SECOND])
@pytest.mark.parametrize("compiled", [False, True])
def test_second_derivatives(expression, x, derivative, compiled):
    x = np.asarray(eval(x, NUMBERS), float)
    first = tg.grad(lambda x: evaluate(expression, x).sum())
    second = tg.grad(lambda x: tg.sum(first(x)))
    np.testing.assert_array_equal((tg.compile(second) if compiled else second)(x[()]), eval(derivative, NUMBERS))
    hessian = np.asarray(tg.hessian(lambda x: evaluate(expression, x).sum())(x[()]))
    np.testing.assert_array_equal(np.isnan(hessian), np.isnan(np.asarray(eval(derivative, NUMBERS))).any())
