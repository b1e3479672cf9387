"""Whole random functions, by every target: values, gradients, and state after several calls with new numbers."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
from hypothesis import settings

import tinygrad_nn as tg
from tinygrad_nn.testing import random_program
from tinygrad_nn.testing.program_families import FAMILIES

COUNT = 3000 if settings.get_current_profile_name() == "intense" else 60


def fault_of(program, transform):
    """A message with the smallest program that fails as this one does; empty if it does not."""
    if not program.difference(transform):
        return ""
    small = program.shrunk(lambda smaller: bool(smaller.difference(transform)))
    return f"seed {program.seed}: {small.difference(transform)}\n{small.source}"


@pytest.mark.parametrize("start", range(0, COUNT, 20))
def test_compiled(start):
    for seed in range(start, start + 20):
        fault = fault_of(random_program(seed), tg.compile)
        assert not fault, fault


@pytest.mark.parametrize("start", range(0, COUNT // 5, 6))
def test_by_jax(start):
    pytest.importorskip("jax")
    for seed in range(start, start + 6):
        fault = fault_of(random_program(seed), partial(tg.compile, target="jax"))
        assert not fault, fault


def test_they_are_made_of_many_kinds_of_steps_and_of_one_seed_alone():
    assert len(FAMILIES) >= 80
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    programs = [random_program(seed) for seed in range(200)]
    used = Counter(name for program in programs for name in program.families)
    assert len(used) > 0.9 * len(FAMILIES)
    assert {program.kind for program in programs} == {"values", "gradients", "training"}
    again = random_program(7)
    assert again.source == programs[7].source
    for x, y in zip(again.inputs(2), programs[7].inputs(2), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def wrong_tanh(function):
    """Runs a function with a tanh that is off by a thousandth."""

    def run(*args):
        kernel = tg.tanh.kernel
        tg.tanh.kernel = lambda x: kernel(x) * 1.001
        try:
            return function(*args)
        finally:
            tg.tanh.kernel = kernel

    return run


def test_a_difference_is_found_and_its_program_made_small():
    found = [p for p in map(random_program, range(80)) if p.difference(wrong_tanh)]
    assert found
    for program in found[:3]:
        small = program.shrunk(lambda smaller: bool(smaller.difference(wrong_tanh)))
        assert len(small.lines) <= len(program.lines)
        assert "tanh" in small.source
        assert small.difference(wrong_tanh)
    assert any(len(p.shrunk(lambda q: bool(q.difference(wrong_tanh))).lines) < len(p.lines) for p in found)


def test_the_random_generator_of_everybody_is_left_alone():
    tg.manual_seed(5)
    expected = tg.random.random()
    tg.manual_seed(5)
    function, inputs = random_program(11)
    random_program(12).difference(tg.compile)
    assert tg.random.random() == expected
    assert isinstance(inputs, tuple)
    assert callable(function)
