"""Recurrent layers over whole sequences."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ops.layers.recurrent import rnn_sequence
from ...ops.layers.recurrent_gru import gru_sequence
from ...ops.layers.recurrent_lstm import lstm_sequence
from ...ops.shapes import concat, reshape, stack, swapaxes
from .. import functional as F
from .. import init
from ..checks import as_operand, check_sizes
from ..functional.recurrent import projected_lstm, reverse_sequences
from ..functional.recurrent_cell import check_nonlinearity
from ..module import Module, Parameter
from ..utils.rnn import PackedSequence, sizes_of

__all__ = ["GRU", "LSTM", "RNN"]


class RNNBase(Module):
    """What `RNN`, `LSTM` and `GRU` have in common: layers, directions, shapes, states and packed sequences."""

    _gates: int
    _states: int = 1
    _callers: int = 2  # from a warning up to who makes the layer; a constructor that calls the one here is one more

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: npt.DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_sizes(name, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout must be a probability, in [0, 1], not {dropout!r}")
        if dropout and num_layers == 1:
            text = f"{name}: dropout={dropout} is applied between layers, and does nothing with num_layers=1"
            warnings.warn(text, stacklevel=self._callers)
        proj_size = vars(self).get("proj_size", 0)  # which an LSTM has set
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"{name}: proj_size must be 0, for none, or below hidden_size, not {proj_size!r}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.proj_size: int = proj_size
        self.generator = generator
        shown = proj_size or hidden_size
        rows = self._gates * hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else shown * (1 + bidirectional)
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, width), "weight_hh": (rows, shown)}
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if bias else {}
            shapes |= {"weight_hr": (proj_size, hidden_size)} if proj_size else {}
            for suffix in self._suffixes(layer):
                for part, shape in shapes.items():
                    setattr(self, part + suffix, Parameter(np.empty(shape, dtype)))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: np.random.Generator | None = None) -> None:
        """New starting values: evenly spread over ±1/√hidden_size."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound, generator)

    def flatten_parameters(self) -> None:
        """Does nothing: PyTorch lays parameters out for a device by it."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [self._weights(suffix) for layer in range(self.num_layers) for suffix in self._suffixes(layer)]

    def _suffixes(self, layer: int) -> tuple[str, ...]:
        """What the names of a layer's parameters end with, for each direction."""
        return (f"_l{layer}", f"_l{layer}_reverse")[: 1 + self.bidirectional]

    def _weights(self, suffix: str) -> list[Parameter]:
        parts = ["weight_ih", "weight_hh", *["bias_ih", "bias_hh"] * self.bias, *["weight_hr"] * bool(self.proj_size)]
        return [getattr(self, part + suffix) for part in parts]

    # --- one layer in one direction ----------------------------------------------------------------------------------

    def _run(self, x: Any, states: tuple[Any, ...], weights: list[Parameter], sizes: Any) -> tuple[Any, ...]:
        """Every h, and the last states, from rows of all steps."""
        raise NotImplementedError

    # --- all of them -------------------------------------------------------------------------------------------------

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Every state of the last layer, and the last state of each layer and direction."""
        every, (last,) = self._forward(input, None if hx is None else (hx,))
        return every, last

    def _forward(self, input: Any, states: tuple[Any, ...] | None) -> tuple[Any, list[Any]]:
        """The results in the form of the input, and the last states of all layers and directions."""
        states = None if states is None else tuple(map(self._one_state, states))
        if isinstance(input, PackedSequence):
            sizes: Any = sizes_of(input)
            if states is not None and input.sorted_indices is not None:
                states = tuple(state[:, input.sorted_indices] for state in states)
            self._check_input(input.data, 2)
            rows, last = self._layers(input.data, self._started(states, sizes[0], True), sizes)
            if input.unsorted_indices is not None:
                last = [state[:, input.unsorted_indices] for state in last]
            return input._replace(data=rows), last
        input = as_operand(input)
        self._check_input(input, 2, 3)
        batched = input.ndim == 3
        by_step = swapaxes(input, 0, 1) if batched and self.batch_first else input
        steps, batch = by_step.shape[0], by_step.shape[1] if batched else 1
        if not steps:
            raise ValueError(f"{type(self).__name__}: a sequence needs at least one step; the input is {input.shape}")
        x = reshape(by_step, shape=(steps * batch, self.input_size)) if batched else by_step
        rows, last = self._layers(x, self._started(states, batch, batched), batch)
        if not batched:
            return rows, [state[:, 0] for state in last]
        every = reshape(rows, shape=(steps, batch, rows.shape[1]))
        return (swapaxes(every, 0, 1) if self.batch_first else every), last

    def _one_state(self, state: Any) -> Any:
        if isinstance(state, tuple):
            form = "as one array h" if self._states == 1 else "as a pair (h, c) of arrays"
            raise TypeError(f"{type(self).__name__}: the first states are given {form}, not in a tuple of {len(state)}")
        return as_operand(state)

    def _check_input(self, x: Any, *axes: int) -> None:
        if x.ndim not in axes or x.shape[-1] != self.input_size:
            order = "(batch, steps, in)" if self.batch_first else "(steps, batch, in)"
            raise ValueError(
                f"{type(self).__name__}: the input must be {order}, (steps, in) or a PackedSequence, with "
                f"in={self.input_size}; its shape is {x.shape}"
            )

    def _started(self, states: tuple[Any, ...] | None, batch: int, batched: bool) -> list[list[Any]]:
        """The first states by layer and direction: those given, or zeros."""
        count = self.num_layers * (1 + self.bidirectional)
        widths = (self.proj_size or self.hidden_size, self.hidden_size)[: self._states]
        dtype = self._weights("_l0")[0].dtype
        if states is None:
            return [[np.zeros((batch, width), dtype) for width in widths]] * count
        for state, width in zip(states, widths, strict=True):
            shape = (count, batch, width) if batched else (count, width)
            if state.shape != shape:
                raise ValueError(
                    f"{type(self).__name__}: for this input each first state must be {shape}, "
                    f"({'layers·directions, batch, hidden' if batched else 'layers·directions, hidden'}), "
                    f"not {state.shape}"
                )
        return [[reshape(s[k], shape=(batch, w)) for s, w in zip(states, widths)] for k in range(count)]

    def _layers(self, x: Any, states: list[list[Any]], sizes: Any) -> tuple[Any, list[Any]]:
        """Every h of the last layer, and the last states stacked."""
        last: list[Any] = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training, generator=self.generator)
            sides = []
            for backward, suffix in enumerate(self._suffixes(layer)):
                source = reverse_sequences(x, sizes) if backward else x
                rows, *ends = self._run(source, tuple(states[len(last)]), self._weights(suffix), sizes)
                sides.append(reverse_sequences(rows, sizes) if backward else rows)
                last.append(ends)
            x = concat(sides, axis=1) if len(sides) > 1 else sides[0]
        return x, [stack(of_one) if len(of_one) > 1 else reshape(of_one[0], shape=(1, *of_one[0].shape))
                   for of_one in zip(*last)]  # fmt: skip

    def extra_repr(self) -> str:
        """The settings, where they are not the usual ones."""
        usual = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0, "bidirectional": False}
        more = [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        more += [f"proj_size={self.proj_size}"] * bool(self.proj_size)
        return ", ".join([str(self.input_size), str(self.hidden_size), *more])


class RNN(RNNBase):
    """A plain recurrent network over sequences: h_t = tanh(x_t·W_ihᵀ + b_ih + h_(t−1)·W_hhᵀ + b_hh).

    Parameters
    ----------
    input_size, hidden_size : int
        Lengths of x_t and h_t.
    num_layers : int
        Each further layer takes the h_t of the one before.
    nonlinearity : {"tanh", "relu"}
    bias : bool
    batch_first : bool
        The input is (batch, steps, in), not (steps, batch, in); states are (layers, batch, hidden) in any case.
    dropout : float
        Probability with which elements are dropped between layers, in training.
    bidirectional : bool
        A second run of each layer from the last step to the first; results stand side by side.
    dtype : dtype
        Of the parameters.
    generator : numpy.random.Generator, optional
        For the starting values, evenly spread over ±1/√hidden_size, and for dropout.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, … : Parameter
        Of layer 0; those of its backward run end with ``_reverse``.

    Notes
    -----
    Called as ``rnn(x, h)`` with h of shape (layers·directions, batch, hidden), zeros unless given; gives every h_t of
    the last layer, and the last h of each layer and direction. Without the batch axis, or with a `PackedSequence` of
    sequences of different lengths, the results have that form too. Each layer and direction is one operation with a
    derivative of its own, of any order. Elman, 1990, "Finding structure in time".

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> rnn = nn.RNN(3, 4, num_layers=2)
    >>> every, last = rnn(tg.ones((5, 2, 3)))
    >>> every.shape, last.shape
    ((5, 2, 4), (2, 2, 4))
    """

    _gates = 1
    _callers = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: npt.DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        check_nonlinearity("RNN", nonlinearity)
        self.nonlinearity = nonlinearity
        settings = (input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        super().__init__(*settings, dtype=dtype, generator=generator)

    def _run(self, x: Any, states: tuple[Any, ...], weights: list[Parameter], sizes: Any) -> tuple[Any, ...]:
        every, last = rnn_sequence(x, *states, *weights, sizes=sizes, relu=self.nonlinearity == "relu")
        return every, last


class LSTM(RNNBase):
    """An LSTM over sequences; `LSTMCell` has the equations of a step.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int
    bias : bool
    batch_first : bool
    dropout : float
    bidirectional : bool
    proj_size : int
        Where it is above 0, h_t is W_hr·(o·tanh(c_t)), of this length (Sak, Senior and Beaufays, 2014). The steps are
        then recorded one by one, which takes several times as long.
    dtype : dtype
    generator : numpy.random.Generator, optional
        Those not described are as in `RNN`.

    Notes
    -----
    Called as ``lstm(x, (h, c))``, gives every h_t of the last layer and (h, c), the last ones of each layer and
    direction.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> lstm = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    >>> every, (h, c) = lstm(tg.ones((2, 5, 3)))
    >>> every.shape, h.shape, c.shape
    ((2, 5, 8), (2, 2, 4), (2, 2, 4))
    """

    _gates = 4
    _states = 2
    _callers = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: npt.DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.proj_size = proj_size
        settings = (input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        super().__init__(*settings, dtype=dtype, generator=generator)

    def _run(self, x: Any, states: tuple[Any, ...], weights: list[Parameter], sizes: Any) -> tuple[Any, ...]:
        if self.proj_size:
            return projected_lstm(x, states, weights, sizes)
        every, h, c, *_ = lstm_sequence(x, *states, *weights, sizes=sizes)
        return every, h, c

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, tuple[Any, Any]]:
        """Every h of the last layer, and the last h and c of each layer and direction."""
        if hx is not None and (not isinstance(hx, tuple | list) or len(hx) != 2):
            form = f"{type(hx).__name__} of {len(hx)}" if isinstance(hx, tuple | list) else type(hx).__name__
            raise TypeError(f"LSTM: the first states are given as a pair (h, c), not as {form}")
        every, (h, c) = self._forward(input, None if hx is None else tuple(hx))
        return every, (h, c)


class GRU(RNNBase):
    """A GRU over sequences; `GRUCell` has the equations of a step.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int
    bias : bool
    batch_first : bool
    dropout : float
    bidirectional : bool
    dtype : dtype
    generator : numpy.random.Generator, optional
        All as in `RNN`.

    Notes
    -----
    Called as ``gru(x, h)``, gives every h_t of the last layer, and the last h of each layer and direction.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> every, last = nn.GRU(3, 4)(tg.ones((5, 3)))
    >>> every.shape, last.shape
    ((5, 4), (1, 4))
    """

    _gates = 3

    def _run(self, x: Any, states: tuple[Any, ...], weights: list[Parameter], sizes: Any) -> tuple[Any, ...]:
        every, last, _ = gru_sequence(x, *states, *weights, sizes=sizes)
        return every, last
