"""Layers that are a function with its settings, and the folders in which both stand."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn
from tinygrad_nn.nn import functional as F
from tinygrad_nn.nn.function_layer import FunctionLayer

NN = Path(nn.__file__).parent


def test_a_subject_has_the_same_file_name_on_both_sides():
    functions, layers = ({path.name for path in (NN / side).glob("*.py")} for side in ("functional", "layers"))
    assert functions == layers


#: Those that also give parameters, or whether they are in training, have a `forward` of their own.
LAYERS = {
    name: kind
    for name in nn.__all__
    if isinstance(kind := getattr(nn, name), type)
    and issubclass(kind, FunctionLayer)
    and kind.forward is FunctionLayer.forward
}


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_set_reaches_the_parameter_of_its_name(name):
    kind = LAYERS[name]
    settings = {key: object() for key in inspect.signature(kind).parameters}
    called = inspect.signature(kind._function)
    layer = kind(**settings)
    layer._function = lambda *args, **kwargs: called.bind(*args, **kwargs).arguments
    assert layer("x") == called.bind("x", **settings).arguments


def test_a_derived_class_keeps_the_settings_of_its_base():
    class Steep(nn.LeakyReLU):
        def __init__(self, steps):
            super().__init__(0.5)
            self.steps = steps

    assert Steep(3)(tg.tensor([-2.0, 2.0])).tolist() == [-1.0, 2.0]
    assert repr(Steep(3)) == "Steep(negative_slope=0.5)"


def test_a_new_layer_is_a_constructor_and_its_function():
    def power(input, exponent=2.0, *, offset=0.0):
        return input**exponent + offset

    class Power(FunctionLayer, function=power):
        def __init__(self, exponent=2.0, mode="plain", inplace=False):
            super().__init__()
            self.exponent = exponent
            self.mode = mode
            self.inplace = inplace

    layer = Power(3.0)
    np.testing.assert_array_equal(layer(tg.tensor([2.0])).numpy(), [8.0])
    assert repr(layer) == "Power(exponent=3.0, mode='plain')"
    layer.exponent = 1.0
    np.testing.assert_array_equal(layer(tg.tensor([2.0])).numpy(), [2.0])


@pytest.mark.parametrize(
    ("loss", "function", "arrays", "settings"),
    [
        (nn.HuberLoss, F.huber_loss, 2, {"delta": 0.5, "reduction": "sum"}),
        (nn.KLDivLoss, F.kl_div, 2, {"reduction": "batchmean", "log_target": True}),
        (nn.CosineEmbeddingLoss, F.cosine_embedding_loss, 2, {"margin": 0.25, "reduction": "none"}),
    ],
)
def test_losses_give_their_settings_by_name(loss, function, arrays, settings):
    values = [np.random.default_rng(k).random((2, 3)) for k in range(arrays)]
    values += [np.array([1, -1])] if loss is nn.CosineEmbeddingLoss else []
    np.testing.assert_array_equal(loss(**settings)(*values).numpy(), np.asarray(function(*values, **settings)))
