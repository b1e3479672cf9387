"""Saved functions: one file each, by the user's name whatever that is, with operations of the user's own."""

import importlib.util
import os

import numpy as np
import pytest

import tinygrad_nn as tg


def loaded(path):
    spec = importlib.util.spec_from_file_location("saved", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@tg.op
def twice_and_exp(x):
    return np.asarray(x) * 2 + np.exp(x)


twice_and_exp.derivatives(lambda g, out, x: g * (2 + tg.exp(x)))

NAMES = [
    "f",
    "exp",
    "add",
    "dot",
    "sqrt",
    "np",
    "sum",
    "state",
    "range",
    "float",
    "len",
    "unheld",
    "isfinite",
    "count",
    "references",
    "getrefcount",
    "array",
    "i",
    "copyto",
    "results",
    "_load",
    "_array",
    "_DATA",
    "_argument",
    "_exp",
    "_twice_and_exp",
    "_f_on_arrays",
    "_exp_on_arrays",
    "_",
    "zero",
    "one",
    "x",
    "memory",
    "exp_",
    "t0",
    "isinstance",
    "ValueError",
    "str",
    "dict",
    "tuple",
    "match",
    "type",
    "print",
]

SOURCE = """
def {name}(x):
    y = tg_.exp(x) * weight_ + own_(x) + tg_.sqrt(x * x + 1)
    weight_[...] = weight_ * 0.5
    return y, (y * y).mean()
"""


@pytest.mark.parametrize("name", NAMES)
def test_it_has_the_users_name(name, tmp_path):
    weight = tg.tensor([1.0, 2.0, 3.0])
    space = {"tg_": tg, "own_": twice_and_exp, "weight_": weight, "__name__": "users"}
    exec(SOURCE.format(name=name), space)
    compiled = tg.compile(space[name])
    x = tg.tensor([0.1, 0.2, 0.3])
    compiled(x)
    compiled.save(tmp_path / "saved.py")
    module = loaded(tmp_path / "saved.py")
    state = module.state_ if name == "state" else module.state
    for _ in range(2):
        expected, found = compiled(x), getattr(module, name)(x.numpy())
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(b, a.numpy(), rtol=1e-12)
        np.testing.assert_allclose(next(iter(state.values())), weight.numpy())


def test_large_numbers_are_in_the_same_file(tmp_path):
    weight = tg.tensor(np.arange(300_000.0))
    compiled = tg.compile(lambda x: x * weight)
    compiled(tg.ones(300_000))
    path = tmp_path / "large.py"
    path.write_text("old")
    path.chmod(0o600)
    compiled.save(path)
    assert os.listdir(tmp_path) == ["large.py"]
    np.testing.assert_array_equal(loaded(path).compiled(np.full(300_000, 2.0)), 2 * weight.numpy())
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
