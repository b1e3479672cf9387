"""Samples by number: whole arrays of them, parts, and what a user defines."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.tree import of_finite_depth
from ..tensor.random import as_generator
from ..tensor.tensor import ArrayLike, Tensor, as_array, plain_tensor

Indices = npt.NDArray[np.intp]


class Dataset:
    """Samples that are found by number. Derive from it and write ``__getitem__`` and ``__len__``.

    Examples
    --------
    >>> from tinygrad_nn import data
    >>> class Squares(data.Dataset):
    ...     def __getitem__(self, index):
    ...         return float(index), float(index) ** 2
    ...
    ...     def __len__(self):
    ...         return 100
    >>> next(iter(data.DataLoader(Squares(), batch_size=3)))
    (tensor([0., 1., 2.]), tensor([0., 1., 4.]))
    """

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__()")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__()")

    def batch(self, indices: Indices) -> Any:
        """The samples at `indices`, collated; a dataset that has them in arrays does it at once."""
        return collate([self[int(index)] for index in indices])


class TensorDataset(Dataset):
    """Arrays whose first axis counts samples: features and labels, say.

    Parameters
    ----------
    *tensors : array_like
        Of the same length. Not copied; batches are.

    Raises
    ------
    ValueError
        If the lengths differ, or a Tensor requires gradients, which batches would not pass on.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> from tinygrad_nn import data
    >>> pairs = data.TensorDataset(tg.zeros((10, 4)), tg.arange(10))
    >>> len(pairs), pairs[3][1]
    (10, tensor(3))
    """

    def __init__(self, *tensors: ArrayLike) -> None:
        if not tensors:
            raise ValueError("TensorDataset needs an array or more")
        for tensor in tensors:
            if isinstance(tensor, Tensor) and tensor.requires_grad:
                raise ValueError("TensorDataset: batches do not pass gradients on to this Tensor; give its detach()")
        self.arrays: tuple[npt.NDArray[Any], ...] = tuple(np.asarray(as_array(t, copy=False)) for t in tensors)
        shapes = [array.shape for array in self.arrays]
        if any(not shape or shape[0] != shapes[0][0] for shape in shapes):
            raise ValueError(f"TensorDataset: the first axis counts samples, so it must be equally long: {shapes}")

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The arrays as Tensors."""
        return tuple(Tensor(array) for array in self.arrays)

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(Tensor(array[index]) for array in self.arrays)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def batch(self, indices: Indices) -> tuple[Tensor, ...]:
        """The samples at `indices`: one look-up for each array."""
        return tuple(plain_tensor(array.take(indices, axis=0)) for array in self.arrays)


class Subset(Dataset):
    """Some samples of a dataset.

    Parameters
    ----------
    dataset : Dataset
    indices : sequence of int
        Which, in which order.

    Notes
    -----
    A slice or an array of numbers gives a batch: ``subset[:]`` is all of it.
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | Indices) -> None:
        self.dataset = dataset
        self.indices: Indices = np.asarray(indices, np.intp)
        if self.indices.ndim != 1:
            raise ValueError(f"Subset needs a sequence of numbers, not an array of shape {self.indices.shape}")
        count = len(dataset)
        if self.indices.size and (self.indices.min() < 0 or self.indices.max() >= count):
            raise IndexError(f"Subset: the numbers must be in 0 … {count - 1}, as there are {count} samples")

    def __getitem__(self, index: Any) -> Any:
        chosen = self.indices[index]
        return self.batch(np.arange(len(self))[index]) if isinstance(chosen, np.ndarray) else self.dataset[int(chosen)]

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: Indices) -> Any:
        """The samples at `indices` of this part."""
        return batch_of(self.dataset, self.indices[indices])


class ConcatDataset(Dataset):
    """Datasets one after the other.

    Parameters
    ----------
    datasets : iterable of Dataset

    Examples
    --------
    >>> from tinygrad_nn import data
    >>> both = data.ConcatDataset([data.TensorDataset([1, 2]), data.TensorDataset([3])])
    >>> len(both), both[2]
    (3, (tensor(3),))
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset needs at least one dataset")
        self.cumulative_sizes: list[int] = np.cumsum([len(dataset) for dataset in self.datasets]).tolist()

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice | np.ndarray):
            return self.batch(np.arange(len(self))[index])
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"ConcatDataset: there is no sample {index} among {len(self)}")
        which = bisect_right(self.cumulative_sizes, place)
        return self.datasets[which][int(place - (self.cumulative_sizes[which - 1] if which else 0))]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


def random_split(dataset: Any, lengths: Sequence[float], generator: np.random.Generator | None = None) -> list[Subset]:
    """A dataset divided by chance.

    Parameters
    ----------
    dataset : Dataset
    lengths : sequence of int or of float
        How many samples each part has, or which share: numbers that add up to all, or shares that add up to 1.
        What shares leave over by rounding goes to the first parts, one sample each.
    generator : numpy.random.Generator, optional
        The default one (`tinygrad_nn.manual_seed`) unless given.

    Returns
    -------
    list of Subset

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> from tinygrad_nn import data
    >>> train, test = data.random_split(data.TensorDataset(tg.arange(10)), [0.8, 0.2], np.random.default_rng(0))
    >>> len(train), len(test)
    (8, 2)
    """
    total = len(dataset)
    counts = [int(n) for n in lengths]
    if any(isinstance(n, float | np.floating) for n in lengths) and abs(sum(lengths) - 1) < 1e-6:
        counts = [int(total * share) for share in lengths]
        for i in range(total - sum(counts)):
            counts[i % len(counts)] += 1
    if sum(counts) != total or any(n < 0 for n in lengths):
        raise ValueError(
            f"random_split: the lengths must add up to {total}, the number of samples, or to 1 if they are shares; "
            f"{list(lengths)} do not"
        )
    order = as_generator(generator).permutation(total)
    ends = np.cumsum(counts)
    return [Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends)]


def batch_of(dataset: Any, indices: Indices) -> Any:
    """The samples of anything that can be indexed, collated."""
    if isinstance(dataset, Dataset):
        return dataset.batch(indices)
    return collate([dataset[int(index)] for index in indices])


@of_finite_depth
def collate(samples: Sequence[Any]) -> Any:
    """Samples as one: numbers and arrays stacked along a new first axis; tuples, lists and dicts entry by entry.

    Raises
    ------
    TypeError
        For what cannot be stacked.
    ValueError
        If the samples' shapes or entries differ.
    """
    first = samples[0]
    if isinstance(first, Mapping):
        if any(sample.keys() != first.keys() for sample in samples):
            raise ValueError("collate: the samples of a batch have different keys")
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple | list):
        if any(len(sample) != len(first) for sample in samples):
            raise ValueError(f"collate: the samples of a batch have different lengths: {[len(s) for s in samples]}")
        parts: Iterable[Any] = (collate([sample[i] for sample in samples]) for i in range(len(first)))
        if hasattr(first, "_fields"):
            return type(first)(*parts)
        return type(first)(parts)
    if isinstance(first, str | bytes):
        return list(samples)
    arrays = [as_array(sample, copy=False) for sample in samples]
    if any(array.shape != arrays[0].shape for array in arrays):
        shapes = sorted({array.shape for array in arrays})
        raise ValueError(f"collate: samples of shapes {shapes} cannot be stacked; give a collate_fn that pads them")
    return plain_tensor(np.stack(arrays))


#: PyTorch's name of it.
default_collate = collate
