"""Samplers: which samples a pass takes, in which order. Any iterable with a length can stand for one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..tensor.random import as_generator
from ..tensor.tensor import ArrayLike, as_array


class Sampler:
    """Base of all samplers. Derive from it and write `order`, or ``__iter__`` and ``__len__``.

    Examples
    --------
    >>> from tinygrad_nn import data
    >>> class Backwards(data.Sampler):
    ...     def __init__(self, dataset):
    ...         self.dataset = dataset
    ...
    ...     def __iter__(self):
    ...         return iter(range(len(self.dataset) - 1, -1, -1))
    ...
    ...     def __len__(self):
    ...         return len(self.dataset)
    >>> [batch.tolist() for batch in data.DataLoader([5, 6, 7], 2, sampler=Backwards([5, 6, 7]))]
    [[7, 6], [5]]
    """

    def __iter__(self) -> Iterator[Any]:
        return iter(self.order().tolist())

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__()")

    def order(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """The numbers of all samples of a pass, drawn anew at each call."""
        if type(self).__iter__ is Sampler.__iter__:
            raise NotImplementedError(f"{type(self).__name__} does not define __iter__()")
        return np.fromiter(self, np.intp)


class SequentialSampler(Sampler):
    """All samples, in order.

    Parameters
    ----------
    data_source : Dataset
        What has the length.
    """

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __len__(self) -> int:
        return len(self.data_source)

    def order(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """0, 1, …"""
        return np.arange(len(self))


class RandomSampler(Sampler):
    """Samples in random order.

    Parameters
    ----------
    data_source : Dataset
        What has the length.
    replacement : bool
        Draw each anew from all, so that one may come twice.
    num_samples : int, optional
        As many as there are unless given.
    generator : numpy.random.Generator, optional
        The default one (`tinygrad_nn.manual_seed`) unless given.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn import data
    >>> list(data.RandomSampler(range(5), generator=np.random.default_rng(0)))
    [2, 4, 3, 0, 1]
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        as_generator(generator)
        if num_samples is not None:
            check_count("RandomSampler", num_samples)
        self.data_source = data_source
        self.replacement = replacement
        self.generator = generator
        self._num_samples = num_samples

    @property
    def num_samples(self) -> int:
        """How many a pass takes."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __len__(self) -> int:
        return self.num_samples

    def order(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """A permutation, several in a row if more are asked for than there are; or independent draws."""
        count, wanted = len(self.data_source), self.num_samples
        rng = as_generator(self.generator)
        if not count and wanted:
            raise ValueError(f"RandomSampler: {wanted} samples are asked for, and there are none")
        if self.replacement:
            return rng.integers(count, size=wanted, dtype=np.intp) if wanted else np.empty(0, np.intp)
        if wanted <= count:
            return rng.permutation(count)[:wanted]
        rounds = -(-wanted // count)
        return np.concatenate([rng.permutation(count) for _ in range(rounds)])[:wanted]


class SubsetRandomSampler(Sampler):
    """Given samples, in random order.

    Parameters
    ----------
    indices : sequence of int
    generator : numpy.random.Generator, optional
        The default one unless given.
    """

    def __init__(self, indices: Sequence[int] | np.ndarray[Any, Any], generator: Any = None) -> None:
        as_generator(generator)
        self.indices = indices
        self.generator = generator

    def __len__(self) -> int:
        return len(self.indices)

    def order(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """The numbers given, in a new order."""
        result: np.ndarray[Any, np.dtype[np.intp]] = as_generator(self.generator).permutation(
            np.asarray(self.indices, np.intp)
        )
        return result


class WeightedRandomSampler(Sampler):
    """Samples drawn with given probabilities: to see rare classes as often as others.

    Parameters
    ----------
    weights : array_like
        For each sample a number that its probability is proportional to.
    num_samples : int
        How many a pass takes.
    replacement : bool
        Whether one may come twice.
    generator : numpy.random.Generator, optional
        The default one unless given.

    Raises
    ------
    ValueError
        If weights are negative, not finite or all zero, or if without replacement fewer than `num_samples` are
        positive.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn import data
    >>> list(data.WeightedRandomSampler([0, 1, 0, 3], 6, generator=np.random.default_rng(0)))
    [3, 3, 1, 1, 3, 3]
    """

    def __init__(self, weights: ArrayLike, num_samples: int, replacement: bool = True, generator: Any = None) -> None:
        as_generator(generator)
        check_count("WeightedRandomSampler", num_samples)
        self.weights = np.asarray(as_array(weights, copy=False), np.float64)
        if self.weights.ndim != 1:
            raise ValueError(f"WeightedRandomSampler: one weight a sample, not an array of {self.weights.shape}")
        if not np.all(np.isfinite(self.weights)) or np.any(self.weights < 0) or not np.any(self.weights > 0):
            raise ValueError("WeightedRandomSampler: weights are finite, not negative, and one at least is positive")
        possible = int(np.count_nonzero(self.weights))
        if not replacement and num_samples > possible:
            raise ValueError(
                f"WeightedRandomSampler: without replacement at most {possible} samples can be drawn, as many as have "
                f"a positive weight; {num_samples} are asked for"
            )
        self.num_samples = int(num_samples)
        self.replacement = replacement
        self.generator = generator

    def __len__(self) -> int:
        return self.num_samples

    def order(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """Draws by weight."""
        chances = self.weights / self.weights.sum()
        return as_generator(self.generator).choice(len(chances), self.num_samples, replace=self.replacement, p=chances)


class BatchSampler(Sampler):
    """The numbers of a sampler in batches.

    Parameters
    ----------
    sampler : iterable of int
    batch_size : int
    drop_last : bool
        Leave out a last batch that is not full.

    Examples
    --------
    >>> from tinygrad_nn import data
    >>> list(data.BatchSampler(data.SequentialSampler(range(5)), 2, False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool) -> None:
        check_count("BatchSampler: batch_size", batch_size)
        self.sampler = sampler
        self.batch_size = int(batch_size)
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


def check_count(what: str, count: Any, least: int = 1) -> None:
    """Refuse what is no whole number, or too small a one."""
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < least:
        kind = "positive whole number" if least else "whole number that is not negative"
        raise ValueError(f"{what} takes a {kind}, not {count!r}")
