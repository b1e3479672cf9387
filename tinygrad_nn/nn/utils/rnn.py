"""Sequences of different lengths as one batch: padded, or packed without padding. PyTorch's names and shapes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ...core.moved import publish
from ...ops.shapes import concat, reshape
from ...tensor.tensor import Tensor, plain_tensor
from ..checks import is_recorded


class PackedSequence(NamedTuple):
    """Sequences of different lengths without padding: all first elements, then all second ones, and so on.

    Made by `pack_padded_sequence` and `pack_sequence`; what recurrent layers take and then give.

    Attributes
    ----------
    data : Tensor
        Shape (sum of the lengths, …): the longest sequence first within each step.
    batch_sizes : Tensor of int
        How many sequences have a first, a second, … element; never rising.
    sorted_indices : Tensor of int or None
        Which sequence of the caller's stands at each place, the longest first; None where they came so.
    unsorted_indices : Tensor of int or None
        The place of each of the caller's sequences.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn.nn.utils.rnn import pack_sequence
    >>> packed = pack_sequence([tg.tensor([1.0, 2.0, 3.0]), tg.tensor([4.0, 5.0])])
    >>> packed.data
    tensor([1., 4., 2., 5., 3.])
    >>> packed.batch_sizes
    tensor([2, 2, 1])
    """

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None


def invert_permutation(permutation: Any) -> Tensor | None:
    """The places that a permutation puts things from: ``inverse[permutation[i]] == i``."""
    if permutation is None:
        return None
    return plain_tensor(np.argsort(np.asarray(permutation), kind="stable"))


def _whole_numbers(what: str, values: Any) -> np.ndarray[Any, Any]:
    """Lengths as an array of integers, none of them below 1."""
    if is_recorded(values):
        raise TypeError(
            f"{what}: the shapes of what is computed depend on the lengths, so a compiled function cannot take them as "
            "a Tensor or array, whose numbers differ from call to call: give a list or tuple of ints"
        )
    numbers = np.asarray(values)
    if numbers.ndim != 1 or not numbers.size or numbers.dtype.kind not in "iu":
        raise ValueError(f"{what}: lengths must be one whole number for each sequence, not {values!r}")
    if numbers.min() < 1:
        raise ValueError(f"{what}: every length must be at least 1, given {numbers.tolist()}")
    return numbers.astype(np.int64)


def batch_sizes_of(lengths: Any) -> np.ndarray[Any, Any]:
    """How many sequences of these lengths have a first, a second, … element."""
    return np.asarray((lengths[:, None] > np.arange(lengths.max())).sum(0))


def _places(lengths: Any, batch: Any) -> tuple[Any, Any]:
    """Step and sequence of each packed row, from the lengths in falling order and the sequences that have them."""
    present = np.arange(lengths.max())[:, None] < lengths
    steps, columns = np.nonzero(present)
    return steps, batch[columns]


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a batch of padded sequences.

    Parameters
    ----------
    input : array_like
        Shape (T, B, …), or (B, T, …) with `batch_first`.
    lengths : sequence of int
        Of the B sequences, each from 1 to T.
    batch_first : bool
    enforce_sorted : bool
        The sequences come in falling order of length, which is checked. False: in any order.

    Returns
    -------
    PackedSequence
        Gradients pass to the elements that are packed; the padding's are 0.

    Raises
    ------
    ValueError
        If the lengths are not B numbers from 1 to T, or not in falling order though they should be.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn.nn.utils.rnn import pack_padded_sequence
    >>> x = tg.tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]])
    >>> pack_padded_sequence(x, [3, 1], batch_first=True).data
    tensor([1., 4., 2., 3.])
    """
    counts = _whole_numbers("pack_padded_sequence", lengths)
    if len(input.shape) < 2:
        raise ValueError(f"pack_padded_sequence: input needs axes for steps and sequences, its shape is {input.shape}")
    batch, time = input.shape[:2] if batch_first else input.shape[1::-1]
    if len(counts) != batch or counts.max() > time:
        raise ValueError(
            f"pack_padded_sequence: an input of shape {input.shape} has {batch} sequences of up to {time} steps; "
            f"the lengths {counts.tolist()} do not fit (batch_first={batch_first})"
        )
    falling = bool(np.all(counts[:-1] >= counts[1:]))
    if enforce_sorted and not falling:
        raise ValueError(
            f"pack_padded_sequence: the lengths {counts.tolist()} are not in falling order; sort the sequences, or "
            "give enforce_sorted=False"
        )
    order = np.argsort(-counts, kind="stable")
    steps, sequences = _places(counts[order], order)
    rows = sequences * time + steps if batch_first else steps * batch + sequences
    flat = reshape(input, shape=(batch * time, *input.shape[2:]))
    sizes = plain_tensor(batch_sizes_of(counts))
    if enforce_sorted:
        return PackedSequence(flat[rows], sizes)
    return PackedSequence(flat[rows], sizes, plain_tensor(order), invert_permutation(order))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, Tensor]:
    """Undo `pack_padded_sequence`.

    Parameters
    ----------
    sequence : PackedSequence
    batch_first : bool
        Whether the result has shape (B, T, …) instead of (T, B, …).
    padding_value : float
    total_length : int, optional
        T, where it is to be more than the longest sequence has.

    Returns
    -------
    padded : Tensor
        In the caller's order of the sequences.
    lengths : Tensor of int

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn.nn.utils.rnn import pack_sequence, pad_packed_sequence
    >>> packed = pack_sequence([tg.tensor([1.0, 2.0, 3.0]), tg.tensor([4.0])])
    >>> pad_packed_sequence(packed, batch_first=True)
    (tensor([[1., 2., 3.],
            [4., 0., 0.]]), tensor([3, 1]))
    """
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"pad_packed_sequence takes a PackedSequence, not {type(sequence).__name__}")
    sizes = sizes_of(sequence)
    counts = batch_sizes_of(np.asarray(sizes))  # how many steps there are of each sequence
    time = len(sizes)
    if total_length is not None:
        if total_length < time:
            raise ValueError(
                f"pad_packed_sequence: total_length={total_length}, but the longest sequence has {time} steps"
            )
        time = total_length
    order = np.arange(sizes[0]) if sequence.sorted_indices is None else np.asarray(sequence.sorted_indices)
    steps, sequences = _places(counts, order)
    data = sequence.data
    rows = np.full((time, sizes[0]), data.shape[0])
    rows[steps, sequences] = np.arange(data.shape[0])
    padding = plain_tensor(np.full((1, *data.shape[1:]), padding_value, data.dtype))
    lengths = np.empty_like(counts)
    lengths[order] = counts
    return concat([data, padding])[rows.T if batch_first else rows], plain_tensor(lengths)


def sizes_of(sequence: PackedSequence) -> tuple[int, ...]:
    """The batch sizes as numbers."""
    sizes = sequence.batch_sizes
    if is_recorded(sizes):
        raise TypeError(
            "a PackedSequence was given to a compiled function, where its batch sizes, which the shapes of what is "
            "computed depend on, would differ from call to call: pack inside, from lengths given as a tuple of ints"
        )
    return tuple(np.asarray(sizes).tolist())


def pad_sequence(
    sequences: Iterable[Any], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Sequences of different lengths as one batch, with `padding_value` after (or before) the shorter ones.

    Parameters
    ----------
    sequences : iterable of array_like
        Each of shape (length, …).
    batch_first : bool
        Whether the result has shape (B, T, …) instead of (T, B, …).
    padding_value : float
    padding_side : {"right", "left"}

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn.nn.utils.rnn import pad_sequence
    >>> pad_sequence([tg.tensor([1.0, 2.0]), tg.tensor([3.0])], batch_first=True)
    tensor([[1., 2.],
            [3., 0.]])
    """
    if padding_side not in ("right", "left"):
        raise ValueError(f'pad_sequence: padding_side must be "right" or "left", not {padding_side!r}')
    tensors = _sequences("pad_sequence", sequences)
    time = max(x.shape[0] for x in tensors)
    padded = []
    for x in tensors:
        lacking = time - x.shape[0]
        if lacking:
            padding = plain_tensor(np.full((lacking, *x.shape[1:]), padding_value, x.dtype))
            x = concat([x, padding] if padding_side == "right" else [padding, x])
        padded.append(reshape(x, shape=(1, *x.shape) if batch_first else (time, 1, *x.shape[1:])))
    return concat(padded, axis=0 if batch_first else 1)


def _sequences(what: str, sequences: Iterable[Any]) -> list[Any]:
    tensors = [x if isinstance(x, Tensor) else plain_tensor(np.asarray(x)) for x in sequences]
    if not tensors:
        raise ValueError(f"{what}: needs at least one sequence")
    shapes = [x.shape for x in tensors]
    if any(len(s) < 1 or s[1:] != shapes[0][1:] for s in shapes):
        raise ValueError(f"{what}: the sequences may differ in length alone, but have the shapes {shapes}")
    return tensors


def pack_sequence(sequences: Iterable[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences, each of shape (length, …); see `pack_padded_sequence`."""
    tensors = _sequences("pack_sequence", sequences)
    return pack_padded_sequence(pad_sequence(tensors), [x.shape[0] for x in tensors], enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """Undo `pad_sequence`: a list of the sequences without their padding."""
    counts = _whole_numbers("unpad_sequence", lengths)
    if batch_first:
        return [padded_sequences[k, :count] for k, count in enumerate(counts.tolist())]
    return [padded_sequences[:count, k] for k, count in enumerate(counts.tolist())]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """Undo `pack_sequence`: a list of the sequences in the caller's order."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), batch_first=True)


__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]

publish(globals())
