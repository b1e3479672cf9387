"""Cases of `tests.nn.cases`: recurrent layers and cells."""

from tests.nn.cases import Case


def _with_state(module, x, h):
    return module(x, h)


def _with_states(module, x, h, c):
    return module(x, (h, c))


def _packed(lengths, enforce_sorted=False):
    """A call with sequences of several lengths, which gives padded results."""

    def call(module, x):
        from importlib import import_module

        rnn = import_module(f"{type(module).__module__.partition('.')[0]}.nn.utils.rnn")
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=module.batch_first, enforce_sorted=enforce_sorted)
        every, last = module(packed)
        return rnn.pad_packed_sequence(every, batch_first=module.batch_first)[0], last

    return call


CASES = {
    "rnn": Case(lambda nn: nn.RNN(3, 4), inputs=((5, 2, 3),)),
    "rnn_relu_deep": Case(
        lambda nn: nn.RNN(3, 4, 2, "relu", False, True, 0.0, True), inputs=((2, 5, 3), (4, 2, 4)), call=_with_state
    ),
    "rnn_unbatched": Case(lambda nn: nn.RNN(3, 4), inputs=((5, 3), (1, 4)), call=_with_state, dtype="float64"),
    "lstm": Case(lambda nn: nn.LSTM(3, 4), inputs=((5, 2, 3),)),
    "lstm_deep": Case(
        lambda nn: nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True),
        inputs=((2, 5, 3), (4, 2, 4), (4, 2, 4)),
        call=_with_states,
    ),
    "lstm_projected": Case(
        lambda nn: nn.LSTM(3, 4, 2, proj_size=2, bias=False),
        inputs=((5, 2, 3), (2, 2, 2), (2, 2, 4)),
        call=_with_states,
        dtype="float64",
    ),
    "lstm_packed": Case(lambda nn: nn.LSTM(3, 4, 2, bidirectional=True), inputs=((5, 3, 3),), call=_packed([2, 5, 3])),
    "lstm_packed_sorted": Case(
        lambda nn: nn.LSTM(3, 4, batch_first=True), inputs=((3, 4, 3),), call=_packed([4, 2, 2], enforce_sorted=True)
    ),
    "gru": Case(lambda nn: nn.GRU(3, 4), inputs=((5, 2, 3), (1, 2, 4)), call=_with_state),
    "gru_deep": Case(lambda nn: nn.GRU(3, 4, 2, bias=False, bidirectional=True), inputs=((5, 2, 3),), dtype="float64"),
    "gru_packed": Case(lambda nn: nn.GRU(3, 4, bidirectional=True), inputs=((5, 3, 3),), call=_packed([1, 5, 3])),
    "rnn_cell": Case(lambda nn: nn.RNNCell(3, 4, nonlinearity="relu"), inputs=((2, 3), (2, 4))),
    "lstm_cell": Case(lambda nn: nn.LSTMCell(3, 4), inputs=((2, 3), (2, 4), (2, 4)), call=_with_states),
    "gru_cell": Case(lambda nn: nn.GRUCell(3, 4), inputs=((3,), (4,))),
}
