"""Domain rows of recurrent layers over whole sequences; the references go step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....ops.layers import recurrent, recurrent_gru, recurrent_lstm  # noqa: F401  (else registered only with networks)
from ...rows import Domain, Row

SMALL = Domain(-1.0, 1.0)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _over_steps(step: Callable[..., Any], states: list[Any], x: Any, sizes: Any) -> tuple[Any, Any, Any]:
    """Every h, the last states, and what else `step` gives, from ``step(x, *states)`` with the new states first."""
    counts = [sizes] * (len(x) // sizes if sizes else 1) if isinstance(sizes, int) else sizes
    last = [state.copy() for state in states]
    every, extra = [], []
    start = 0
    for count in counts:
        news, more = step(x[start : start + count], *(state[:count] for state in last))
        for state, new in zip(last, news, strict=True):
            state[:count] = new
        every.append(news[0])
        extra.append(more)
        start += count
    return np.concatenate(every), last, np.concatenate(extra, axis=1)


def _rnn(x: Any, h: Any, w_ih: Any, w_hh: Any, *biases: Any, sizes: Any, relu: bool = False) -> Any:
    def step(x: Any, h: Any) -> Any:
        z = x @ w_ih.T + h @ w_hh.T + sum(biases)
        new = np.where(z > 0, z, 0) if relu else np.tanh(z)
        return (new,), new[None]

    every, (last,), _ = _over_steps(step, [h], x, sizes)
    return every, last


def _lstm(x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, *biases: Any, sizes: Any) -> Any:
    formers = []

    def step(x: Any, h: Any, c: Any) -> Any:
        formers.append(np.concatenate([h, x, *[np.ones((len(x), 1), x.dtype)] * bool(biases)], axis=1))
        i, f, g, o = np.split(x @ w_ih.T + h @ w_hh.T + sum(biases), 4, axis=1)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        new = f * c + i * g
        return (o * np.tanh(new), new), np.stack([o, i, f, g, c, np.tanh(new)])

    every, (h, c), parts = _over_steps(step, [h, c], x, sizes)
    return every, h, c, parts, np.concatenate(formers)


def _gru(x: Any, h: Any, w_ih: Any, w_hh: Any, *biases: Any, sizes: Any) -> Any:
    b_ih, b_hh = biases or (0, 0)

    def step(x: Any, h: Any) -> Any:
        x_r, x_z, x_n = np.split(x @ w_ih.T + b_ih, 3, axis=1)
        h_r, h_z, h_n = np.split(h @ w_hh.T + b_hh, 3, axis=1)
        r, z = _sigmoid(x_r + h_r), _sigmoid(x_z + h_z)
        n = np.tanh(x_n + r * h_n)
        return ((1 - z) * n + z * h,), np.stack([r, z, n, h_n])

    every, (last,), parts = _over_steps(step, [h], x, sizes)
    return every, last, parts


def _cases(gates: int, states: int, **settings: Any) -> tuple[Any, ...]:
    """Sequences of one length and of several, and an empty batch; with biases and without."""

    def case(rows: int, batch: int, sizes: Any, width: int, hidden: int, bias: bool) -> Any:
        wide = gates * hidden
        weights = ((wide, width), (wide, hidden), *[(wide,)] * (2 * bias))
        return ((rows, width), *[(batch, hidden)] * states, *weights, {"sizes": sizes, **settings})

    return case(2, 1, 1, 2, 1, True), case(3, 2, (2, 1), 1, 2, False), case(0, 0, 0, 2, 1, True)


def _away_from_kinks(case: Any) -> Callable[..., Any]:
    """Inputs with which no sum before a relu is near 0: all positive."""
    *shapes, settings = case
    return lambda rng: ([Domain(0.1, 0.6).sample(rng, shape) for shape in shapes], settings)


# fmt: off
ROWS = [
    Row("rnn_sequence", (SMALL,), (
        *_cases(1, 1), _away_from_kinks(_cases(1, 1, relu=True)[0]),
    ), _rnn, ulps=32),
    Row("lstm_sequence", (SMALL,), _cases(4, 2), _lstm, ulps=32),
    Row("gru_sequence", (SMALL,), _cases(3, 1), _gru, ulps=32),
    Row("rnn_adjoint", cases=(), through="rnn_sequence", derivatives=False),
    Row("lstm_adjoint", cases=(), through="lstm_sequence", derivatives=False),
    Row("gru_adjoint", cases=(), through="gru_sequence", derivatives=False),
]
