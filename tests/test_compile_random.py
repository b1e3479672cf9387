"""Random programs, compiled and not: values, gradients, memory that is used again, and each pass by itself."""

import numpy as np
import pytest
from compile_programs import (
    assert_close,
    assert_same,
    assume_tame,
    call,
    call_alone,
    entry_of,
    finite,
    numbers,
    poison,
    random_programs,
)
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn.compiling import blocks

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

PROFILE = settings.get_profile(settings.get_current_profile_name())
more = settings(PROFILE, max_examples=6 * PROFILE.max_examples, suppress_health_check=list(HealthCheck))


@pytest.fixture(params=[False, True], ids=["whole", "pieces"])
def pieces(request, monkeypatch):
    """Elementwise chains are run piece by piece, also on small arrays."""
    if request.param:
        monkeypatch.setattr(blocks, "LEAST_BYTES", 16)
        monkeypatch.setattr(blocks, "PIECE_BYTES", 40)
        monkeypatch.setattr(blocks, "LEAST_STEPS", 1)
    return request.param


def check_calls(entry, function, program, calls=4):
    """Several calls with new numbers, in poisoned memory: each is right, and leaves the results of those before."""
    kept = []
    for seed in range(calls):
        inputs = program.inputs(seed)
        given_numbers = numbers(inputs)
        with np.errstate(all="ignore"):
            expected = function(*inputs)
        poison(entry)
        made = call(entry, *inputs)
        assert_same(made, expected, scale=10.0, coarse=program.coarse, what=f"call {seed}\n{entry.source.text}")
        assert_close(numbers(inputs), given_numbers, what="inputs were written to")
        kept.append((made, numbers(made)))
        if seed == 1:
            del kept[0]  # whose memory may be used again
        for old, before in kept:
            np.testing.assert_equal(numbers(old), before)


@more
@given(program=random_programs(), reuse=st.booleans())
def test_values(pieces, program, reuse):
    entry = entry_of(program.function, program.inputs(0), reuse=reuse)
    check_calls(entry, program.function, program)


@more
@given(program=random_programs(), reuse=st.booleans())
def test_gradients(pieces, program, reuse):
    assume(isinstance(program.loss(*program.inputs(0)), tg.Tensor))
    for seed in range(4):
        assume_tame(program.gradient(*program.inputs(seed)))
    entry = entry_of(program.gradient, program.inputs(0), reuse=reuse)
    check_calls(entry, program.gradient, program)


@more
@given(program=random_programs(max_steps=5))
def test_second_derivatives(program):
    assume(isinstance(program.loss(*program.inputs(0)), tg.Tensor))
    for seed in range(4):
        assume_tame(program.gradient(*program.inputs(seed)), 1e2)
        assume_tame(program.second(*program.inputs(seed)), 1e3)
    entry = entry_of(program.second, program.inputs(0))
    check_calls(entry, program.second, program)


@more
@given(program=random_programs())
def test_source_alone(program):
    inputs = program.inputs(0)
    assume(isinstance(program.loss(*inputs), tg.Tensor))
    for function in (program.function, program.gradient):
        entry = entry_of(function, inputs)
        expected = [np.asarray(x) for x in numbers(function(*inputs))]
        assume(finite(expected))
        assert_close(call_alone(entry, *inputs), expected, scale=10.0, coarse=program.coarse, what=entry.source.text)
