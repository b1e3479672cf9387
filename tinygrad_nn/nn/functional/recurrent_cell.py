"""One step of each recurrent cell, composed of simple operations: a graph of it can be read."""

from __future__ import annotations

from typing import Any

from ...ops.elementwise import relu, sigmoid, tanh
from ...ops.shapes import split
from ...tensor.tensor import Tensor
from .linear import linear


def named(value: Any, name: str) -> Any:
    """The value, called so in drawings if the user has no name for it."""
    if isinstance(value, Tensor) and value._node is not None:
        value._note("role", name)
    return value


def rnn_step(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, *, nonlinearity: str) -> Any:
    """H ← tanh(x·W_ihᵀ + b_ih + h·W_hhᵀ + b_hh), or relu."""
    total = linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)
    return named(tanh(total) if nonlinearity == "tanh" else relu(total), "h")


def lstm_step(x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> tuple[Any, Any]:
    """The new h and c of an LSTM."""
    total = linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)
    parts = split(total, indices_or_sections=4, axis=-1)
    i, f, g, o = (
        named(act(part), name)
        for act, part, name in zip((sigmoid, sigmoid, tanh, sigmoid), parts, ("i", "f", "candidate", "o"))
    )
    c = named(f * c + i * g, "c")
    return named(o * tanh(c), "h"), c


def gru_step(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    """The new h of a GRU."""
    x_r, x_z, x_n = split(linear(x, w_ih, b_ih), indices_or_sections=3, axis=-1)
    h_r, h_z, h_n = split(linear(h, w_hh, b_hh), indices_or_sections=3, axis=-1)
    r = named(sigmoid(x_r + h_r), "r")
    z = named(sigmoid(x_z + h_z), "z")
    n = named(tanh(x_n + r * h_n), "candidate")
    return named((1 - z) * n + z * h, "h")


def check_nonlinearity(what: str, nonlinearity: str) -> None:
    """Refuse any but those that there are."""
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f'{what}: nonlinearity must be "tanh" or "relu", not {nonlinearity!r}')
