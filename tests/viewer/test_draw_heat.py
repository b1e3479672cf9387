"""Heat in drawings: the colours follow the gradients' size, and say so."""

import re

import numpy as np
import pytest

import tinygrad_nn as tg


def chain(depth):
    """x scaled down by 10 at each of `depth` steps."""
    x = tg.tensor([1.0, -1.0], requires_grad=True, name="x")
    y = x
    for _ in range(depth):
        y = y * 0.1
    J = y.sum()
    J.backward()
    return J, x


def cards(source):
    """Name or formula of each card with its colour."""
    found = re.findall(
        r'<TABLE BORDER="[12]" COLOR="#\w+" BGCOLOR="(#\w+|white)" STYLE="ROUNDED".*?>\xa0(.*?)\xa0<', source
    )
    return {name: colour for colour, name in found}


def lightness(colour):
    return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def test_the_larger_the_gradient_the_stronger_the_colour():
    J, _x = chain(4)
    source = tg.draw(J, heat=True).source
    found = cards(source)
    steps = [lightness(colour) for name, colour in found.items() if "·" in name or name == "x"]
    assert len(steps) == 5
    assert steps == sorted(steps, reverse=True)
    assert len(set(steps)) == 5
    assert source.count("gradient’s RMS") == 6
    assert "gradient’s RMS 0.0001" in source
    assert "from 0.0001 (pale) to 1 (strong)" in source


def test_without_heat_nothing_changes():
    J, _x = chain(2)
    assert "RMS" not in tg.draw(J).source
    assert cards(tg.draw(J).source)["x"] == "#EAF2FB"


def test_no_gradient_no_heat():
    x = tg.tensor(2.0, requires_grad=True)
    source = tg.draw(x * x, heat=True).source
    assert "no heat" in source
    assert set(cards(source).values()) == {"white"}


def test_equal_gradients_and_zeros_and_infinities():
    a, b, c = (tg.tensor(v, requires_grad=True) for v in (1.0, 0.0, 4.0))
    J = a + b + c
    J.backward()
    assert len(set(cards(tg.draw(J, heat=True).source).values())) == 1
    x = tg.tensor([0.0, 1.0], requires_grad=True, name="x")
    with np.errstate(all="ignore"):
        J = tg.sqrt(x).sum()
        J.backward()  # infinite at 0: the finite elements tell the heat
    assert cards(tg.draw(J, heat=True).source)["x"].startswith("#")
    zero = tg.tensor(3.0, requires_grad=True, name="zero")
    J = zero * 0.0
    J.backward()
    assert cards(tg.draw(J, heat=True).source)["zero"] == "white"


@pytest.mark.parametrize("direction", ["LR", "TB"])
def test_folded_modules_have_heat_too(direction):
    model = tg.nn.Sequential(*(tg.nn.Sequential(tg.nn.Linear(3, 3), tg.nn.Sigmoid()) for _ in range(3)))
    with tg.keep_values():
        J = model(tg.ones((2, 3), dtype=tg.float32)).sum()
        J.backward()
    source = tg.draw(J, heat=True, depth=1, direction=direction).source
    assert source.count("gradient’s RMS") >= 3
