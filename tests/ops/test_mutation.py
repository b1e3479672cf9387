"""A sample of what `python -m tests.ops.mutate` tries in full: wrong derivatives are noticed."""

import pytest

from tests.ops import mutate
from tinygrad_nn import testing
from tinygrad_nn.core.define import registry


@pytest.mark.parametrize("name", ["multiply", "tanh", "sum", "matmul", "concat", "softmax"])
def test_every_mutant_of_some_ops_is_noticed(name):
    tally = mutate.run([name])
    assert tally.noticed >= 3
    assert not tally.missed


def test_one_mutant_in_twenty_of_all_ops():
    tally = mutate.run((name for name in registry if name in testing.table), every=20)
    assert tally.noticed > 30
    assert not tally.missed


def test_mutants_leave_nothing_behind():
    for mutant in mutate.mutants("logaddexp"):
        mutate.noticed(mutant)
    for name in ("logaddexp", "multiply"):
        for case in testing.op_cases(name):
            testing.PROPERTIES["derivatives_are_the_oracles"](case)


def test_a_mutant_that_the_checks_miss_is_told(monkeypatch):
    monkeypatch.setattr(mutate, "checks", lambda row: iter(()))
    tally = mutate.run(["negative"])
    assert tally.noticed == 0
    assert [str(mutant) for mutant in tally.missed] == [
        "negative: rule of input 0 (x) sign turned",
        "negative: rule of input 0 (x) doubled",
        "negative: rule of input 0 (x) dropped",
        "negative: rule of input 0 (x): `-g` without its sign",
    ]


def test_what_is_no_mutant():
    same = {str(m): m.same for m in mutate.mutants("add") if m.same}
    assert same == {"add: rules of inputs 0 and 1 exchanged": "both rules have the same code"}
