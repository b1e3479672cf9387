"""Batches of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .dataset import batch_of, check_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class DataLoader:
    """The samples of a dataset in batches; every iteration passes through all of them.

    Parameters
    ----------
    dataset : Dataset
        Or anything that has a length and can be indexed.
    batch_size : int
        Samples in a batch; the last one may have fewer.
    shuffle : bool
        Whether each pass is in a new random order.
    drop_last : bool
        Leave out a last batch that is not full.
    generator : numpy.random.Generator, optional
        For the order; the default one (`tinygrad_nn.manual_seed`) unless given.
    collate_fn : callable, optional
        Makes a batch of a list of samples; `collate` unless given.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> from tinygrad_nn import data
    >>> pairs = data.TensorDataset(tg.arange(5), tg.arange(5) ** 2)
    >>> for x, y in data.DataLoader(pairs, batch_size=2, shuffle=True, generator=np.random.default_rng(0)):
    ...     print(x, y)
    tensor([2, 4]) tensor([ 4, 16])
    tensor([3, 0]) tensor([9, 0])
    tensor([1]) tensor([1])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        generator: np.random.Generator | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        if not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ValueError(f"DataLoader: batch_size must be a positive whole number, not {batch_size!r}")
        check_generator(generator)
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator
        self.collate_fn = collate_fn

    def __iter__(self) -> Iterator[Any]:
        count = len(self.dataset)
        order = check_generator(self.generator).permutation(count) if self.shuffle else np.arange(count)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            indices = order[start : start + self.batch_size]
            if self.collate_fn is None:
                yield batch_of(self.dataset, indices)
            else:
                yield self.collate_fn([self.dataset[int(index)] for index in indices])

    def __len__(self) -> int:
        count = len(self.dataset)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
