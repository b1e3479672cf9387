"""What makes an array of a Tensor that has a derivative says so; what is explicit is not asked."""

import math

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import testing

#: They take a Tensor for an array.
IMPLICIT = [
    "np.asarray(x)", "np.array(x, dtype=float)", "out.__setitem__(slice(None), x)", "np.array([x.sum(), x.sum()])",
    "np.mean([t for t in x])", "out.dot(x)", "np.sum([x, x])", "np.testing.assert_allclose(x, [1, 2])",
    "np.from_dlpack(x)", "np.array([x[0], 2.0])", "[*map(np.asarray, [x])]",
]  # fmt: skip
#: They say what they do.
EXPLICIT = [
    "x.numpy()", "np.asarray(x.detach())", "float(x[0])", "math.sin(x[0])", "x[0].item()", "x.tolist()",
    "out.__setitem__(0, x[0])", "np.from_dlpack(x.detach())", "np.exp(x)", "out * x", "testing.assert_close(x, [1, 2])",
    "np.isnan(x).any()", "repr(x)", "f'{x[0]:.3f}'",
]  # fmt: skip


def run(text, x):
    return eval(text, {"x": x, "np": np, "out": np.zeros(2), "math": math, "testing": testing})


@pytest.mark.parametrize("text", IMPLICIT)
@pytest.mark.parametrize("leaf", [True, False])
def test_implicit(text, leaf):
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"derivative would be lost.*t\.numpy\(\) or t\.detach\(\)"):
        run(text, x if leaf else x * 1)
    with tg.no_grad():
        run(text, x)
    run(text, tg.tensor([1.0, 2.0]))


@pytest.mark.parametrize("text", EXPLICIT)
def test_explicit(text):
    run(text, tg.tensor([1.0, 2.0], requires_grad=True) * 1)


def test_dlpack_shares_no_memory_that_could_be_written_to():
    x = tg.tensor([1.0, 2.0])
    array = np.from_dlpack(x)
    assert array.tolist() == [1, 2]
    assert x.__dlpack_device__() == (1, 0)
    if array.flags.writeable:
        array[0] = 5
    assert x.tolist() == [1, 2]


def test_plots_say_what_to_give():
    plt = pytest.importorskip("matplotlib.pyplot")
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    figure, axes = plt.subplots()
    with pytest.raises(TypeError, match="derivative would be lost"):
        axes.plot(w)
    axes.plot(w.numpy())
    axes.plot(tg.tensor([1.0, 2.0]))
    plt.close(figure)


def test_assert_close():
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    testing.assert_close(w * 2, np.array([2.0, 4.0]))
    testing.assert_close({"a": (w, [w, 3])}, {"a": (np.array([1.0, 2.0]), [w.detach(), 3])})
    testing.assert_close(np.float32(1) + np.float32(1e-6), 1.0)
    testing.assert_close([math.nan, 1.0], w * [math.nan, 0.5])
    for actual, desired, what in [
        (w, [1.0, 2.0001], "Mismatched"),
        (w, [[1.0, 2.0]], "shape"),
        ({"a": w}, {"b": w}, "nested differently"),
        ({"a": [w, w]}, {"a": [w, w + 1]}, r"\['a'\]\[1\]"),
        (tg.tensor([1]), [2], "Mismatched"),
        (1.0 + 1e-6, 1.0, "Mismatched"),
    ]:
        with pytest.raises(AssertionError, match=what):
            testing.assert_close(actual, desired)
    testing.assert_close(1.1, 1.0, atol=0.2)
    with pytest.raises(AssertionError):
        testing.assert_close(1.1, 1.0, rtol=0.01)
