"""Recurrent layers against loops over cells, NumPy's equations, and each other."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_nn as tg
from tests.compiler.programs import call_alone, entry_of
from tinygrad_nn import nn, testing
from tinygrad_nn.nn.utils import rnn as sequences

KINDS = ("RNN", "LSTM", "GRU")
settings = st.fixed_dictionaries(
    {
        "num_layers": st.integers(1, 3),
        "bias": st.booleans(),
        "batch_first": st.booleans(),
        "bidirectional": st.booleans(),
    }
)


def make(kind, **more):
    return getattr(nn, kind)(3, 2, dtype=np.float64, generator=np.random.default_rng(5), **more)


def cell_of(layer, suffix):
    """The cell with the weights of one layer and direction."""
    width = getattr(layer, f"weight_ih{suffix}").shape[1]
    kind = {"RNN": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}[type(layer).__name__]
    more = {"nonlinearity": layer.nonlinearity} if kind is nn.RNNCell else {}
    cell = kind(width, layer.hidden_size, layer.bias, dtype=np.float64, **more)
    for name in dict(cell.named_parameters()):
        setattr(cell, name, getattr(layer, name + suffix))
    return cell


def by_cells(layer, sequence, states=None):
    """What a layer gives for one sequence (steps, in), by its cells; every h, and the last states of each."""
    rows, last = sequence, []
    for number in range(layer.num_layers):
        sides = []
        for back in range(1 + layer.bidirectional):
            cell = cell_of(layer, f"_l{number}" + "_reverse" * back)
            state = None if states is None else states[len(last)]
            outs = []
            for x in rows[::-1] if back else rows:
                state = cell(x, state)
                outs.append(state[0] if isinstance(state, tuple) else state)
            sides.append(tg.stack(outs[::-1] if back else outs))
            last.append(state if isinstance(state, tuple) else (state,))
        rows = tg.concat(sides, axis=1)
    return rows, [tg.stack(group) for group in zip(*last)]


def states_for(layer, batch, rng):
    shape = (layer.num_layers * (1 + layer.bidirectional), batch, 2)
    return [tg.tensor(rng.standard_normal(shape), requires_grad=True) for _ in range(1 + isinstance(layer, nn.LSTM))]


def flat(result):
    every, last = result
    return [every, *(last if isinstance(last, tuple | list) else [last])]


def loss_of(outs):
    return sum(((k + 1) * out * out + tg.sin(out)).sum() for k, out in enumerate(outs))


def gradients(loss, *tensors):
    for t in tensors:
        t.grad = None
    loss.backward()
    return [t.grad.numpy() for t in tensors]


# --- layers against cells --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@given(chosen=settings, steps=st.integers(1, 4), batch=st.integers(1, 3), given_states=st.booleans())
def test_a_layer_is_a_loop_over_its_cell(kind, chosen, steps, batch, given_states):
    layer = make(kind, **chosen)
    rng = np.random.default_rng(0)
    x = tg.tensor(rng.standard_normal((steps, batch, 3)), requires_grad=True)
    hx = states_for(layer, batch, rng) if given_states else None
    pair = None if hx is None else tuple(hx) if kind == "LSTM" else hx[0]
    outs = flat(layer(tg.swapaxes(x, 0, 1) if chosen["batch_first"] else x, pair))
    if chosen["batch_first"]:
        outs[0] = tg.swapaxes(outs[0], 0, 1)
    loops = []
    for k in range(batch):
        first = None
        if hx is not None:
            first = [tuple(s[i, k] for s in hx) for i in range(hx[0].shape[0])]
            first = first if kind == "LSTM" else [state for (state,) in first]
        loops.append(flat(by_cells(layer, x[:, k], first)))
    expected = [tg.stack(group, axis=1) for group in zip(*loops)]
    for a, b in zip(outs, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-14)
    tensors = [x, *layer.parameters(), *(hx or [])]
    for a, b in zip(gradients(loss_of(outs), *tensors), gradients(loss_of(expected), *tensors), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@given(chosen=settings, lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4), given_states=st.booleans())
def test_packed_sequences_are_each_run_alone(kind, chosen, lengths, given_states):
    layer = make(kind, **chosen)
    rng = np.random.default_rng(1)
    xs = [tg.tensor(rng.standard_normal((n, 3)), requires_grad=True) for n in lengths]
    hx = states_for(layer, len(lengths), rng) if given_states else None
    pair = None if hx is None else tuple(hx) if kind == "LSTM" else hx[0]
    packed, last = layer(sequences.pack_sequence(xs, enforce_sorted=False), pair)
    padded, counts = sequences.pad_packed_sequence(packed, batch_first=True)
    assert counts.tolist() == lengths
    outs = [*sequences.unpad_sequence(padded, counts, batch_first=True), *flat((None, last))[1:]]
    alone = []
    for k, x in enumerate(xs):
        mine = None if hx is None else [s[:, k] for s in hx]
        alone.append(flat(layer(x, None if mine is None else tuple(mine) if kind == "LSTM" else mine[0])))
    expected = [a[0] for a in alone] + [tg.stack(group, axis=1) for group in zip(*(a[1:] for a in alone))]
    for a, b in zip(outs, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-14)
    assert np.all(padded.numpy()[np.arange(padded.shape[1]) >= np.array(lengths)[:, None]] == 0)
    tensors = [*xs, *layer.parameters(), *(hx or [])]
    for a, b in zip(gradients(loss_of(outs), *tensors), gradients(loss_of(expected), *tensors), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# --- derivatives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_are_those_of_the_loop(kind):
    layer = make(kind, num_layers=2, bidirectional=True)
    x = tg.tensor(np.random.default_rng(0).standard_normal((3, 3)), requires_grad=True)
    tensors = [x, *layer.parameters()]

    def second(outs):
        for t in tensors:
            t.grad = None
        loss_of(outs).backward(create_graph=True)
        return gradients(sum((t.grad * t.grad).sum() for t in tensors), *tensors)

    for a, b in zip(second(flat(layer(x))), second(flat(by_cells(layer, x))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_forward_mode_is_that_of_the_loop(kind):
    layer = make(kind, bidirectional=True)
    x, v = np.random.default_rng(0).standard_normal((2, 3, 3))
    for a, b in zip(
        tg.jvp(lambda x: layer(x)[0], (x,), (v,)), tg.jvp(lambda x: by_cells(layer, x)[0], (x,), (v,)), strict=True
    ):
        testing.assert_close(a, b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_a_hessian_is_that_of_the_loop(kind):
    layer = make(kind)
    x = np.random.default_rng(0).standard_normal((3, 3))

    def whole(x):
        return tg.sum(layer(x)[0] ** 3)

    def loop(x):
        return tg.sum(by_cells(layer, x)[0] ** 3)

    testing.assert_close(tg.hessian(whole)(x), tg.hessian(loop)(x), rtol=1e-9, atol=1e-11)


def test_a_saturated_lstm_has_no_nan():
    layer = nn.LSTM(3, 2)
    x = tg.tensor(np.full((4, 1, 3), 1e4, np.float32), requires_grad=True)
    with tg.detect_anomaly():
        layer(x)[0].sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_the_bend_of_relu_has_slope_zero():
    layer = nn.RNN(2, 2, nonlinearity="relu")
    x = tg.zeros((3, 2), dtype=np.float32, requires_grad=True)
    with tg.no_grad():
        for p in layer.parameters():
            p[...] = 0
    layer(x)[0].sum().backward()
    assert np.all(x.grad.numpy() == 0)
    assert np.all(layer.bias_ih_l0.grad.numpy() == 0)


def test_compiled_for_jax():
    pytest.importorskip("jax")
    layer = nn.LSTM(3, 4)
    x = np.random.default_rng(0).standard_normal((3, 2, 3)).astype(np.float32)
    f = tg.value_and_grad(lambda x: tg.sum(layer(x)[0] ** 2))
    for a, b in zip(tg.compile(f, target="jax")(x), f(x), strict=True):
        testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


# --- compiled --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "chosen"), list(product(KINDS, ({}, {"num_layers": 2, "bidirectional": True}))))
def test_a_compiled_training_step_is_the_eager_one(kind, chosen):
    rng = np.random.default_rng(0)
    x, y = tg.tensor(rng.standard_normal((4, 3, 3))), tg.tensor(rng.integers(0, 4, 3))
    nets = []
    for _ in range(2):
        layer = make(kind, **chosen)
        head = nn.Linear(2 * (1 + layer.bidirectional), 4, dtype=np.float64, generator=np.random.default_rng(1))
        optimizer = tg.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.1)
        nets.append((layer, head, optimizer))

    def step_of(layer, head, optimizer):
        def step(x, y):
            loss = nn.functional.cross_entropy(head(layer(x)[0][-1]), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        return step

    eager, compiled = step_of(*nets[0]), tg.compile(step_of(*nets[1]))
    for _ in range(3):
        np.testing.assert_allclose(eager(x, y).item(), compiled(x, y).item(), rtol=1e-10)
    for a, b in zip(nets[0][0].parameters(), nets[1][0].parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_packing_is_compiled_for_lengths_that_are_fixed(kind):
    layer = make(kind)
    x = np.random.default_rng(0).standard_normal((4, 3, 3))

    def run(x, lengths):
        packed = sequences.pack_padded_sequence(x, lengths, enforce_sorted=False)
        every, _ = layer(packed)
        return tg.value_and_grad(lambda x: tg.sum(x**2))(sequences.pad_packed_sequence(every)[0])

    quick = tg.compile(run)
    for lengths in ((2, 4, 1), (4, 4, 4), (2, 4, 1)):
        for a, b in zip(run(x, lengths), quick(x, lengths), strict=True):
            testing.assert_close(a, b, rtol=1e-12)
    with pytest.raises(TypeError, match="tuple of ints"):
        quick(x, np.array([2, 4, 1]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_step_computes_into_memory_that_it_keeps(kind):
    layer = make(kind)

    @tg.compile
    def step(x):
        (layer(x)[0] ** 2).sum().backward()

    step(np.ones((5, 2, 3)))
    assert f"_{kind.lower()}_into((" in step.source
    assert f"_{kind.lower()}_adjoint_into((" in step.source


@pytest.mark.parametrize("kind", KINDS)
def test_the_emitted_text_needs_numpy_alone(kind):
    layer = make(kind, bidirectional=True)
    for p in layer.parameters():
        p.requires_grad_(False)
    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    function = tg.value_and_grad(lambda x: tg.sum(layer(x)[0] ** 2))
    entry = entry_of(function, (x,))
    assert not entry.source.missing
    for a, b in zip(call_alone(entry, x), function(x), strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-12)


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_between_layers_in_training_alone(kind):
    layer = make(kind, num_layers=2, dropout=0.5)
    plain = make(kind, num_layers=2)
    plain.load_state_dict(layer.state_dict())
    x = np.random.default_rng(0).standard_normal((3, 2, 3))
    assert not np.allclose(layer(x)[0].numpy(), layer(x)[0].numpy())
    np.testing.assert_array_equal(layer.eval()(x)[0].numpy(), plain(x)[0].numpy())
    layer.train().dropout = 1.0  # nothing reaches the last layer
    np.testing.assert_array_equal(layer(x)[0].numpy(), layer(2 * x)[0].numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_may_be_empty(kind):
    layer = make(kind, bidirectional=True)
    every, _ = layer(np.zeros((4, 0, 3)))
    assert every.shape == (4, 0, 4)
    every.sum().backward()
    assert all(np.all(p.grad.numpy() == 0) for p in layer.parameters())


def test_starting_values_lie_within_the_bound():
    for layer in (nn.LSTM(3, 64, 2, bidirectional=True), nn.GRUCell(3, 64)):
        values = nn.utils.parameters_to_vector(layer.parameters()).numpy()
        assert values.dtype == np.float32
        assert 0.12 < abs(values).max() <= 1 / 8


def test_the_settings_are_shown():
    assert nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2).extra_repr() == (
        "3, 4, num_layers=2, bidirectional=True, proj_size=2"
    )
    assert nn.RNNCell(3, 4, nonlinearity="relu").extra_repr() == "3, 4, nonlinearity=relu"


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: nn.LSTM(0, 4), "input_size must be a positive whole number"),
        (lambda: nn.LSTM(3, 4, num_layers=1.5), "num_layers must be a positive whole number"),
        (lambda: nn.RNN(3, 4, nonlinearity="sigmoid"), '"tanh" or "relu"'),
        (lambda: nn.GRU(3, 4, dropout=2), "dropout must be a probability"),
        (lambda: nn.LSTM(3, 4, proj_size=4), "below hidden_size"),
        (lambda: nn.LSTM(3, 4)(tg.zeros((5, 2, 4))), "in=3"),
        (lambda: nn.LSTM(3, 4)(tg.zeros((0, 2, 3))), "at least one step"),
        (lambda: nn.LSTM(3, 4)(tg.zeros((5, 2, 3)), tg.zeros((1, 2, 4))), r"pair \(h, c\)"),
        (lambda: nn.GRU(3, 4)(tg.zeros((5, 2, 3)), tg.zeros((1, 3, 4))), r"\(1, 2, 4\)"),
        (lambda: nn.GRU(3, 4)(tg.zeros((5, 3)), tg.zeros((1, 1, 4))), r"\(1, 4\)"),
        (lambda: nn.LSTMCell(3, 4)(tg.zeros((2, 4))), r"\(batch, 3\)"),
        (lambda: nn.GRUCell(3, 4)(tg.zeros((2, 3)), tg.zeros((1, 4))), "each state must be"),
        (lambda: sequences.pack_padded_sequence(tg.zeros((3, 2)), [1, 2]), "falling order"),
        (lambda: sequences.pack_padded_sequence(tg.zeros((3, 2)), [4, 2]), "do not fit"),
        (lambda: sequences.pack_padded_sequence(tg.zeros((3, 2)), [2, 0]), "at least 1"),
        (lambda: sequences.pack_padded_sequence(tg.zeros((3, 2)), [2]), "do not fit"),
        (lambda: sequences.pad_sequence([]), "at least one sequence"),
        (lambda: sequences.pad_sequence([tg.zeros((2, 3)), tg.zeros((2, 4))]), "length alone"),
        (
            lambda: sequences.pad_packed_sequence(sequences.pack_sequence([tg.zeros(3)]), total_length=2),
            "longest sequence has 3",
        ),
    ],
)
def test_what_is_wrong_is_said(act, message):
    with pytest.raises((ValueError, TypeError), match=message):
        act()


# --- packing ---------------------------------------------------------------------------------------------------------


@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=5), batch_first=st.booleans())
def test_packing_and_unpacking_are_inverse(lengths, batch_first):
    xs = [tg.tensor(np.arange(2.0 * n).reshape(n, 2) + 10 * k, requires_grad=True) for k, n in enumerate(lengths)]
    padded = sequences.pad_sequence(xs, batch_first=batch_first, padding_value=-1.0)
    packed = sequences.pack_padded_sequence(padded, lengths, batch_first=batch_first, enforce_sorted=False)
    assert packed.data.shape == (sum(lengths), 2)
    assert packed.batch_sizes.tolist() == [sum(n > t for n in lengths) for t in range(max(lengths))]
    again, counts = sequences.pad_packed_sequence(packed, batch_first, -1.0, total_length=max(lengths) + 1)
    short = again[:, :-1] if batch_first else again[:-1]
    np.testing.assert_array_equal(short.numpy(), padded.numpy())
    assert np.all((again[:, -1] if batch_first else again[-1]).numpy() == -1)
    for x, y in zip(xs, sequences.unpack_sequence(packed), strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())
    (again * again).sum().backward()
    for x in xs:
        np.testing.assert_array_equal(x.grad.numpy(), 2 * x.numpy())
    assert counts.tolist() == lengths


def test_padding_can_stand_before():
    padded = sequences.pad_sequence([[1.0, 2.0], [3.0]], batch_first=True, padding_side="left")
    np.testing.assert_array_equal(padded.numpy(), [[1, 2], [0, 3]])


# --- drawings --------------------------------------------------------------------------------------------------------


def test_the_gates_of_a_cell_have_their_names():
    h, _ = nn.LSTMCell(2, 3)(tg.ones((1, 2)))
    text = str(tg.draw(h))
    for name in ("i = σ(", "f = σ(", "o = σ(", "candidate = tanh(", "c = "):
        assert name in text
    mine, _ = nn.LSTMCell(2, 3)(tg.ones((1, 2)))
    assert "mine = o·" in str(tg.draw(mine))


def test_an_unrolled_loop_is_folded():
    cell, state = nn.RNNCell(2, 3), None
    for x in tg.ones((20, 1, 2)):
        state = cell(x, state)
    total = state.sum()
    drawn = tg.draw(total, depth=0)
    assert "cell: RNNCell(2, 3) ×16" in str(drawn)
    assert len(drawn.source) < 20_000
    names = [name for name, _ in cell.named_parameters()]
    assert all(name in str(drawn) for name in names)


def test_what_all_steps_of_a_folded_loop_give_is_one_arrow():
    cell, head, state, outs = nn.RNNCell(2, 3), nn.Linear(3, 1), None, []
    for x in tg.ones((20, 1, 2)):
        state = cell(x, state)
        outs.append(head(state))
    drawn = tg.draw(tg.concat(outs).sum(), depth=0)
    assert "16 edges" in drawn.source
    folded = str(drawn).split("×16", 1)[1].split("RNNCell", 1)[0]
    assert folded.count(" = [[") <= 2
