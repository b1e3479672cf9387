"""Random whole programs, with writes, sharing, modes and several backward passes, against the naive engine."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import tinygrad_nn as tg
from tests.core import naive_engine as naive
from tests.core.naive_engine import Naive
from tinygrad_nn.testing import check_gradients, strategies

SHAPES = [(), (2,), (3, 2), (3, 1)]
LARGEST = 1e3


class Pair:
    """A Tensor and what the naive engine holds in its place. A write rebinds both."""

    def __init__(self, tensor, other):
        self.tensor = tensor
        self.other = other


class Programs(RuleBasedStateMachine):
    pairs = Bundle("pairs")

    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(0)
        self.all = []
        self.leaves = {}
        self.gradients = {}
        self.spent = frozenset()

    def keep(self, tensor, other):
        pair = Pair(tensor, other)
        self.all.append(pair)
        return pair

    def numbers(self, shape):
        return self.rng.uniform(0.25, 1.75, shape) * self.rng.choice([-1.0, 1.0], shape)

    # --- values ------------------------------------------------------------------------------------------------------

    @initialize(target=pairs, seed=st.integers(0, 2**32 - 1))
    def start(self, seed):
        self.rng = np.random.default_rng(seed)
        return self.new_leaf((2,))

    def new_leaf(self, shape):
        value = self.numbers(shape)
        name = f"leaf{len(self.leaves)}"
        tensor = tg.tensor(value, requires_grad=True)
        self.leaves[name] = tensor
        return self.keep(tensor, Naive.leaf(value, name))

    @rule(target=pairs, shape=st.sampled_from(SHAPES), requires_grad=st.booleans())
    def leaf(self, shape, requires_grad):
        if requires_grad:
            return self.new_leaf(shape)
        value = self.numbers(shape)
        return self.keep(tg.tensor(value), Naive(value))

    def result(self, compute, tensors, others, recording=True):
        """The same computation in both engines; too large numbers are replaced by their sine."""
        if recording:
            tensor, other = compute(tg, *tensors), compute(naive, *others)
        else:
            with tg.no_grad():
                tensor = compute(tg, *tensors)
            other = Naive(compute(naive, *others).value)
        if np.max(abs(other.value), initial=0.0) > LARGEST:
            return None
        return tensor, other

    def maybe_keep(self, made, fallback):
        return fallback if made is None else self.keep(*made)

    @rule(target=pairs, name=st.sampled_from(sorted(naive.UNARY)), x=pairs, recording=st.integers(0, 5))
    def unary(self, name, x, recording):
        compute = lambda engine, x: getattr(tg, name)(x) if engine is tg else naive.unary(name, x)  # noqa: E731
        return self.maybe_keep(self.result(compute, [x.tensor], [x.other], bool(recording)), x)

    @rule(target=pairs, name=st.sampled_from(sorted(naive.BINARY)), x=pairs, y=pairs, recording=st.integers(0, 5))
    def binary(self, name, x, y, recording):
        return self._binary(name, x, y, bool(recording))

    def _binary(self, name, x, y, recording=True):
        if name == "divide":
            y = self.positive(y)
        compute = lambda engine, x, y: getattr(tg, name)(x, y) if engine is tg else naive.binary(name, x, y)  # noqa: E731
        if {x.tensor.shape, y.tensor.shape} == {(2,), (3, 1)}:  # broadcast both ways
            assert compute(tg, x.tensor, y.tensor).shape == (3, 2)
        return self.maybe_keep(self.result(compute, [x.tensor, y.tensor], [x.other, y.other], recording), x)

    @rule(target=pairs, name=st.sampled_from(["add", "multiply"]), x=pairs, y=pairs, z=pairs)
    def nested(self, name, x, y, z):
        """Two steps, so that chains and diamonds come soon."""
        first = self._binary(name, x, y)
        return self._binary("multiply", first, z)

    def positive(self, x):
        return Pair(tg.square(x.tensor) + 1, naive.binary("add", naive.unary("square", x.other), Naive(1.0)))

    @rule(target=pairs, x=pairs, number=st.sampled_from([2, -0.5, 1.5]), left=st.booleans())
    def with_a_number(self, x, number, left):
        tensor = number * x.tensor if left else x.tensor - number
        if left:
            other = naive.binary("multiply", Naive(number), x.other)
        else:
            other = naive.binary("subtract", x.other, Naive(number))
        return self.maybe_keep(None if np.max(abs(other.value), initial=0.0) > LARGEST else (tensor, other), x)

    @rule(target=pairs, x=pairs, mean=st.booleans(), first=st.booleans())
    def reduce(self, x, mean, first):
        axis = 0 if first and x.tensor.ndim else None
        f = np.mean if mean else np.sum
        tensor = (tg.mean if mean else tg.sum)(x.tensor, axis=axis)
        return self.keep(tensor, x.other.linear(lambda v: f(v, axis=axis)))

    @rule(target=pairs, x=pairs)
    def row(self, x):
        if not x.tensor.ndim:
            return x
        return self.keep(x.tensor[-1].copy(), x.other.linear(lambda v: v[-1]))

    @rule(target=pairs, x=pairs)
    def gathered(self, x):
        if x.tensor.ndim != 1:
            return x
        rows = [0, -1, -1]
        return self.keep(x.tensor[rows].reshape(3, 1), x.other.linear(lambda v: v[rows].reshape(3, 1)))

    @rule(target=pairs, x=pairs, y=pairs)
    def stacked(self, x, y):
        if x.tensor.shape != y.tensor.shape or x.tensor.ndim > 0:
            return x
        return self.keep(tg.stack([x.tensor, y.tensor]), naive.stack([x.other, y.other]))

    @rule(target=pairs, x=pairs)
    def detach(self, x):
        return self.keep(x.tensor.detach().copy(), Naive(x.other.value))

    # --- writes ------------------------------------------------------------------------------------------------------

    def is_leaf(self, pair):
        return any(pair.tensor is leaf for leaf in self.leaves.values())

    def fitting(self, y, shape):
        """`y` if it broadcasts to a shape, else its mean."""
        if np.broadcast_shapes(shape, y.tensor.shape) == shape:
            return y
        return Pair(tg.mean(y.tensor), y.other.linear(np.mean))

    @rule(x=pairs, y=pairs, name=st.sampled_from(["add", "multiply"]))
    def in_place(self, x, y, name):
        y = self.fitting(y, x.tensor.shape)
        other = naive.binary(name, x.other, y.other)
        if np.max(abs(other.value), initial=0.0) > LARGEST:
            return
        target, operand = x.tensor, y.tensor
        if self.is_leaf(x):
            with pytest.raises(RuntimeError, match="leaf requires gradients"):
                target += operand
            return
        if name == "add":
            target += operand
        else:
            target *= operand
        assert target is x.tensor
        x.other = other

    @rule(x=pairs, y=pairs)
    def write_a_row(self, x, y):
        if x.tensor.ndim == 0 or self.is_leaf(x):
            return
        y = self.fitting(y, x.tensor.shape[1:])
        x.tensor[-1] = y.tensor
        x.other = naive.put(x.other, -1, y.other)

    @rule(x=pairs)
    def update_a_leaf(self, x):
        """As an optimizer does: what was recorded before keeps its values."""
        if not self.is_leaf(x):
            return
        with tg.no_grad():
            x.tensor -= 0.125
        name = next(iter(x.other.jacobians))
        x.other = Naive.leaf(x.other.value - 0.125, name)

    # --- passes ------------------------------------------------------------------------------------------------------

    @rule(x=pairs, retain=st.booleans(), create=st.integers(0, 3))
    def backward(self, x, retain, create):
        self._backward(x, retain_graph=retain, create_graph=create == 0)

    def _backward(self, x, **options):
        gradient = self.numbers(x.tensor.shape)
        if not x.other.requires_grad:
            with pytest.raises(RuntimeError, match="recorded nothing"):
                x.tensor.backward(tg.tensor(gradient), **options)
            return
        if x.other.behind & self.spent:
            before = {name: leaf.grad for name, leaf in self.leaves.items()}
            with pytest.raises(RuntimeError, match="retain_graph=True"):
                x.tensor.backward(tg.tensor(gradient), **options)
            assert all(leaf.grad is before[name] for name, leaf in self.leaves.items())
            return
        x.tensor.backward(tg.tensor(gradient), **options)
        if not any(options.values()):
            self.spent |= x.other.behind
        for name, g in naive.pull(x.other, gradient).items():
            self.gradients[name] = self.gradients.get(name, 0) + g

    def teardown(self):
        """Whatever was made is differentiated in the end, one after the other."""
        for pair in self.all[::-3]:
            self._backward(pair, retain_graph=True)
            self.gradients_agree()

    @rule(x=pairs)
    def clear(self, x):
        for name, leaf in self.leaves.items():
            if leaf is x.tensor:
                leaf.grad = None
                self.gradients.pop(name, None)

    # --- what holds --------------------------------------------------------------------------------------------------

    @invariant()
    def values_agree(self):
        for pair in self.all:
            np.testing.assert_allclose(pair.tensor.numpy(), pair.other.value, rtol=1e-9, atol=1e-9)
            assert pair.tensor.requires_grad == pair.other.requires_grad

    @invariant()
    def gradients_agree(self):
        for name, leaf in self.leaves.items():
            expected = self.gradients.get(name)
            if expected is None:
                assert leaf.grad is None
            else:
                scale = max(1.0, np.max(abs(expected), initial=0.0))
                np.testing.assert_allclose(leaf.grad.numpy(), expected, rtol=1e-8, atol=1e-8 * scale)


def test_random_programs():
    profile = settings.get_profile(settings.get_current_profile_name())
    run_state_machine_as_test(
        Programs,
        settings=settings(profile, max_examples=8 * profile.max_examples, stateful_step_count=40),
    )


@settings(suppress_health_check=list(HealthCheck))
@given(program=strategies.graphs())
def test_programs_of_smooth_ops_have_right_derivatives(program):
    check_gradients(program, *program.inputs, order=2, ulps=1e6)


@given(shapes=strategies.broadcastable(3))
def test_shapes_that_broadcast(shapes):
    np.broadcast_shapes(*shapes)
    assert len(shapes) == 3


@given(tensor=strategies.tensors(dtype=np.float32))
def test_random_tensors(tensor):
    assert isinstance(tensor, tg.Tensor)
    assert tensor.dtype == np.float32
    if tensor.requires_grad:
        tensor.backward(tg.ones(tensor.shape, dtype=np.float32))
        assert tensor.grad.shape == tensor.shape
