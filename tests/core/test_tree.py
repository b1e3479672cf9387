"""Nests without an end are refused in words, wherever one is taken."""

import pytest

import tinygrad_nn as tg
from tinygrad_nn import data, nn


def endless():
    nest = [1.0]
    nest.append(nest)
    return nest


TAKERS = {
    "compile": lambda s: tg.compile(lambda a: 1.0)(s),
    "what compile returns": lambda s: tg.compile(lambda a: s)(1.0),
    "grad": lambda s: tg.grad(lambda a: a[0] * 2)(s),
    "jvp": lambda s: tg.jvp(lambda a: a[0], (s,), (s,)),
    "jacobian": lambda s: tg.jacobian(lambda a: a[0])(s),
    "checkpoint": lambda s: tg.checkpoint(lambda a: a[0])(s),
    "cond": lambda s: tg.cond(True, lambda a: a, lambda a: a, s),
    "scan": lambda s: tg.scan(lambda c, x: (c, x), s, tg.tensor([1.0])),
    "tensor": tg.tensor,
    "asarray": tg.asarray,
    "sum": tg.sum,
    "stack": tg.stack,
    "collate": lambda s: data.collate([s, s]),
}


@pytest.mark.parametrize("name", TAKERS)
def test_a_nest_that_holds_itself(name):
    with pytest.raises(ValueError, match="holds itself"):
        TAKERS[name](endless())


def test_a_dict_that_holds_itself():
    nest = {"a": 1.0}
    nest["b"] = nest
    with pytest.raises(ValueError, match="holds itself"):
        tg.value_and_grad(lambda a: a["a"] * 2)(nest)


def test_a_module_that_holds_itself():
    outer, inner = nn.Module(), nn.Module()
    outer.inner = inner
    with pytest.raises(ValueError, match="no part of itself"):
        inner.outer = outer
    with pytest.raises(ValueError, match="no part of itself"):
        outer.add_module("self", outer)
    inner.other = nn.Linear(1, 1)
    assert len(list(outer.parameters())) == 2
