"""Transforms put to datasets: anew whenever samples are taken, or once to enlarge a set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..tensor.creation import wrap
from ..tensor.tensor import Tensor, as_array
from .dataset import Dataset, TensorDataset, batch_of, collate
from .transforms.base import Transform

if TYPE_CHECKING:
    from collections.abc import Callable

    from .dataset import Indices


class Transformed(Dataset):
    """A dataset whose pictures are transformed whenever they are taken, so that each pass sees others.

    Parameters
    ----------
    dataset : Dataset
        Its samples are pictures, or tuples that begin with a picture and go on with its label.
    transform : callable, optional
        For the pictures: one of `data.transforms`, which takes a batch at once, or any function of one picture.
    target_transform : callable, optional
        For the second entry of the samples, the label.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn import data
    >>> pictures = data.TensorDataset(np.arange(12.0).reshape(2, 1, 2, 3), np.array([0, 1]))
    >>> flipped = data.Transformed(pictures, data.transforms.RandomHorizontalFlip(p=1))
    >>> flipped[0][0]
    tensor([[[2., 1., 0.],
             [5., 4., 3.]]])
    """

    def __init__(
        self,
        dataset: Any,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        self.dataset, self.transform, self.target_transform = dataset, transform, target_transform

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int | np.integer):
            return transformed(self.dataset[int(index)], self.transform, self.target_transform, False)
        return self.batch(np.arange(len(self))[index])

    def __len__(self) -> int:
        return len(self.dataset)

    def batch(self, indices: Indices) -> Any:
        """The samples at `indices`, transformed all at once."""
        return transformed(batch_of(self.dataset, indices), self.transform, self.target_transform, True)


def augment(dataset: Any, transform: Callable[[Any], Any], copies: int = 1) -> TensorDataset:
    """A set enlarged once: every sample, then `copies` transformed versions of each, with its label.

    Parameters
    ----------
    dataset : Dataset
        Of tuples that begin with a picture; all of it is held in memory.
    transform : callable
        A random one of `data.transforms`, or any function of one picture.
    copies : int
        So the result is 1 + `copies` times as long.

    Returns
    -------
    TensorDataset
        The originals in their order, then all once transformed, then all once more, and so on.

    Notes
    -----
    `Transformed` draws new versions in every pass instead, and takes no memory.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn import data
    >>> few = data.TensorDataset(np.eye(3, dtype=np.float32).reshape(1, 1, 3, 3), np.array([7]))
    >>> shifted = data.transforms.RandomShift(1, generator=np.random.default_rng(0))
    >>> many = data.augment(few, shifted, copies=2)
    >>> len(many), many.tensors[1]
    (3, tensor([7, 7, 7]))
    """
    if not isinstance(copies, int | np.integer) or copies < 0:
        raise ValueError(f"augment: copies must be a whole number that is not negative, not {copies!r}")
    whole = batch_of(dataset, np.arange(len(dataset)))
    if not isinstance(whole, tuple | list) or not all(isinstance(part, Tensor) for part in whole):
        raise TypeError(f"augment: the samples must be tuples of a picture and its label, not {type(whole).__name__}")
    versions = [tuple(whole)] + [transformed(tuple(whole), transform, None, True) for _ in range(copies)]
    for version in versions:
        if version[0].shape != whole[0].shape:
            raise ValueError(
                f"augment: the transform changes the shape from {whole[0].shape[1:]} to {version[0].shape[1:]}, "
                "so originals and copies cannot stand in one array"
            )
    dtype = whole[0].dtype
    parts = [np.concatenate([np.asarray(part, part.dtype) for part in column]) for column in zip(*versions)]
    return TensorDataset(parts[0].astype(dtype, copy=False), *parts[1:])


def transformed(sample: Any, transform: Any, target_transform: Any, many: bool) -> Any:
    """A sample, or a batch (`many`), with transforms put to its picture and its label."""
    if transform is None and target_transform is None:
        return sample
    if not isinstance(sample, tuple | list):
        if target_transform is not None:
            raise TypeError("target_transform: the samples have no label; they are no tuples")
        return put(transform, sample, many)
    entries = list(sample)
    for place, function in enumerate((transform, target_transform)):
        if function is not None:
            if place >= len(entries):
                raise TypeError("target_transform: the samples have no label; they have one entry")
            entries[place] = put(function, entries[place], many)
    return type(sample)(*entries) if hasattr(sample, "_fields") else type(sample)(entries)


def put(function: Any, value: Any, many: bool) -> Any:
    """A transform put to one picture or label, or to each of a batch; the result as Tensors."""
    if isinstance(value, Tensor):
        value = value.numpy()  # read-only, so that no function writes into the dataset
    if isinstance(function, Transform) or not many:
        result = function(value)
        return wrap(as_array(result, copy=False)) if _stackable(result) else result
    results = [function(one) for one in value]
    return collate(results) if results else wrap(np.asarray(value))


def _stackable(result: Any) -> bool:
    return isinstance(result, np.ndarray | np.generic | int | float | Tensor)
