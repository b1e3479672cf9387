"""Every op of the library against its row of the domain table. Nothing here names an op: new ones are covered too."""

import pkgutil
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_nn
from tinygrad_nn import testing
from tinygrad_nn.core.define import registry
from tinygrad_nn.testing import PROPERTIES, cases

for module in pkgutil.walk_packages(tinygrad_nn.__path__, "tinygrad_nn."):
    if ".jax." not in module.name:  # which needs JAX
        import_module(module.name)  # so that no op stays out of sight

OPS = sorted(name for name, op in registry.items() if op.own)


def test_every_op_has_a_row_and_every_row_an_op():
    missing = [name for name in OPS if name not in testing.table]
    assert missing == [], f"add a row for each of {missing} in tinygrad_nn/testing/cases/; see CONTRIBUTING.md"
    assert [name for name in testing.table if name not in OPS] == []


def test_rows_stand_in_files_of_the_names_that_the_files_of_ops_have():
    families = {family.__name__.rpartition(".")[2]: family for family in cases.FAMILIES}
    layers = {name: file for name, file in vars(families["layers"]).items() if hasattr(file, "ROWS")}
    astray = []
    for name in testing.table:
        _, room, *path = testing.table[name].op.__wrapped__.__module__.split(".")
        if room != "ops":  # the few ops of the core
            continue
        family, file = path
        rows = layers.get(file.removesuffix("_gru").removesuffix("_lstm")) if family == "layers" else families[family]
        if rows is None or name not in {row.name for row in rows.ROWS}:
            astray.append((name, ".".join(path)))
    assert astray == []


@pytest.mark.parametrize("name", [name for name in OPS if name in testing.table])
def test_a_row_says_enough(name):
    """A reference, shapes without axes and without elements, inputs that broadcast, a derivative if there is one."""
    row = testing.table[name]
    if row.through:
        assert row.through in testing.table
        return
    assert row.reference is not None
    cases = list(row.examples())
    assert len(cases) > 0
    has_derivative = any(case.differentiable for case in cases)
    assert has_derivative == row.op.differentiable == row.derivatives
    if row.op.rules is not None:
        covered = {i for case in cases for i in case.differentiable}
        assert covered >= {i for i, rule in enumerate(row.op.rules) if rule is not None}
    if row.op.elementwise:
        shapes = [[np.shape(x) for x in case.inputs] for case in cases]
        assert any(() in group for group in shapes)
        if row.op.differentiable:
            assert any(0 in shape for group in shapes for shape in group)
        if len(row.op.input_names) > 1:
            assert any(len(set(group)) > 1 for group in shapes)


@pytest.mark.parametrize("check", PROPERTIES)
@pytest.mark.parametrize("name", [name for name in OPS if name in testing.table])
def test_on_every_case(name, check):
    for case in testing.op_cases(name):
        PROPERTIES[check](case)


@pytest.mark.parametrize("name", [name for name in OPS if name in testing.table and testing.table[name].cases])
@given(data=st.data())
def test_on_random_elements(name, data):
    case = data.draw(testing.strategies.cases(name))
    for check in PROPERTIES.values():
        check(case)
