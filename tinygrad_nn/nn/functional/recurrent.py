"""What recurrent layers do with the rows of all steps beside their operations."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops.layers.neural import linear_map
from ...ops.layers.recurrent import running, steps_of
from ...ops.shapes import concat, reshape
from ..utils.rnn import batch_sizes_of
from .recurrent_cell import lstm_step


def reverse_sequences(rows: Any, sizes: Any) -> Any:
    """The rows with each sequence turned round."""
    if isinstance(sizes, int):
        shape = rows.shape
        return reshape(reshape(rows, shape=(shape[0] // sizes if sizes else 0, sizes, shape[1]))[::-1], shape=shape)
    return rows[_reversal(sizes)]


def _reversal(sizes: tuple[int, ...]) -> Any:
    """Which row stands at each place once each sequence is turned round."""
    lengths = batch_sizes_of(np.asarray(sizes))
    starts = np.array([start for start, _ in steps_of(sizes, 0)])
    return np.concatenate([starts[lengths[:size] - 1 - t] + np.arange(size) for t, size in enumerate(sizes)])


def projected_lstm(x: Any, states: tuple[Any, ...], weights: list[Any], sizes: Any) -> tuple[Any, ...]:
    """Every h, and the last h and c, of an LSTM whose h is projected: its steps are recorded one by one."""
    w_ih, w_hh, *biases, w_hr = weights
    b_ih, b_hh = biases or (None, None)
    h, c = states
    every = []
    for start, stop in steps_of(sizes, x.shape[0]):
        size = stop - start
        new_h, new_c = lstm_step(x[start:stop], h[:size], c[:size], w_ih, w_hh, b_ih, b_hh)
        new_h = linear_map(new_h, w_hr)
        h, c = running(h, new_h), running(c, new_c)
        every.append(new_h)
    return (concat(every) if every else x[:, :0] @ w_hr.T[:0], h, c)
