"""Recurrent cells: one step of a sequence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import init
from ..checks import as_operand, check_sizes
from ..functional.recurrent_cell import check_nonlinearity, gru_step, lstm_step, rnn_step
from ..module import Module, Parameter

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class RNNCellBase(Module):
    """What all cells have: the weights of input and state, for some number of gates."""

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    _gates: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        check_sizes(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = self._gates * hidden_size
        self.weight_ih = Parameter(np.empty((rows, input_size), dtype))
        self.weight_hh = Parameter(np.empty((rows, hidden_size), dtype))
        self.bias_ih = Parameter(np.empty(rows, dtype)) if bias else None
        self.bias_hh = Parameter(np.empty(rows, dtype)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: np.random.Generator | None = None) -> None:
        """New starting values: evenly spread over ±1/√hidden_size."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound, generator)

    def _checked(self, x: Any, *states: Any) -> tuple[Any, ...]:
        """The states, zeros for those that are not given; refuses shapes that do not fit."""
        name = type(self).__name__
        x, *hidden = (each if each is None else as_operand(each) for each in (x, *states))
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: input must be ({self.input_size},) or (batch, {self.input_size}), its shape is {x.shape}"
            )
        shape = (*x.shape[:-1], self.hidden_size)
        for state in hidden:
            if state is not None and state.shape != shape:
                raise ValueError(f"{name}: for an input of {x.shape} each state must be {shape}, not {state.shape}")
        return tuple(np.zeros(shape, self.weight_hh.dtype) if state is None else state for state in hidden)

    def _weights(self) -> tuple[Any, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """One step of a plain recurrent network: h' = tanh(x·W_ihᵀ + b_ih + h·W_hhᵀ + b_hh).

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    nonlinearity : {"tanh", "relu"}
    dtype : dtype
        Of the parameters.
    generator : numpy.random.Generator, optional
        For the starting values, evenly spread over ±1/√hidden_size.

    Notes
    -----
    Called as ``cell(x, h)`` with x of shape (batch, input_size) and h of (batch, hidden_size), or without batch; h is
    zeros unless given. Elman, 1990, "Finding structure in time".

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> cell = nn.RNNCell(3, 4)
    >>> h = None
    >>> for x in tg.ones((5, 2, 3)):
    ...     h = cell(x, h)
    >>> h.shape
    (2, 4)
    """

    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: npt.DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        check_nonlinearity("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias, dtype=dtype, generator=generator)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Any:
        """The next state."""
        (h,) = self._checked(input, hx)
        return rnn_step(input, h, *self._weights(), nonlinearity=self.nonlinearity)

    def extra_repr(self) -> str:
        """The settings."""
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of an LSTM: gates decide what the cell state c forgets, takes in and shows.

    ::

        i, f, o = σ(x·W_ihᵀ + b_ih + h·W_hhᵀ + b_hh)     input, forget and output gate
        g = tanh(…)                                        candidate
        c' = f·c + i·g
        h' = o·tanh(c')

    The rows of the weights are in the order i, f, g, o.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    dtype : dtype
        Of the parameters.
    generator : numpy.random.Generator, optional
        For the starting values, evenly spread over ±1/√hidden_size.

    Notes
    -----
    Called as ``cell(x, (h, c))``, gives (h', c'); h and c are zeros unless given. In drawings the gates are called i, f
    and o. Hochreiter and Schmidhuber, 1997; the forget gate is Gers, Schmidhuber and Cummins', 2000.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> cell = nn.LSTMCell(3, 4)
    >>> h, c = cell(tg.ones((2, 3)))
    >>> h, c = cell(tg.ones((2, 3)), (h, c))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    _gates = 4

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """The next h and c."""
        h, c = self._checked(input, *(hx if hx is not None else (None, None)))
        return lstm_step(input, h, c, *self._weights())


class GRUCell(RNNCellBase):
    """One step of a GRU.

    ::

        r, z = σ(x·W_ihᵀ + b_ih + h·W_hhᵀ + b_hh)     reset and update gate
        n = tanh(x·W_inᵀ + b_in + r·(h·W_hnᵀ + b_hn))  candidate
        h' = (1 − z)·n + z·h

    The rows of the weights are in the order r, z, n.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    dtype : dtype
        Of the parameters.
    generator : numpy.random.Generator, optional
        For the starting values, evenly spread over ±1/√hidden_size.

    Notes
    -----
    Called as ``cell(x, h)``; h is zeros unless given. Cho et al., 2014; the reset gate acts on the product with h, as
    in PyTorch.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> nn.GRUCell(3, 4)(tg.ones((2, 3))).shape
    (2, 4)
    """

    _gates = 3

    def forward(self, input: Any, hx: Any = None) -> Any:
        """The next state."""
        (h,) = self._checked(input, hx)
        return gru_step(input, h, *self._weights())
