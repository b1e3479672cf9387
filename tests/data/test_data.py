"""Datasets and batches."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import data

FEATURES = np.arange(30, dtype=np.float32).reshape(10, 3)
LABELS = np.arange(10)


def generator(seed=0):
    return np.random.default_rng(seed)


class Squares(data.Dataset):
    def __init__(self, count=5):
        self.count = count

    def __getitem__(self, index):
        return {"x": index, "xx": (index * index, [np.full(2, index, np.float32)]), "name": str(index)}

    def __len__(self):
        return self.count


# --- datasets --------------------------------------------------------------------------------------------------------


def test_tensor_dataset():
    pairs = data.TensorDataset(tg.tensor(FEATURES), LABELS)
    assert len(pairs) == 10
    x, y = pairs[4]
    assert x.tolist() == [12, 13, 14]
    assert y.item() == 4
    assert [t.shape for t in pairs[2:5]] == [(3, 3), (3,)]
    assert [t.dtype for t in pairs.tensors] == [np.float32, np.int64]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ((), "an array or more"),
        ((FEATURES, LABELS[:9]), "equally long"),
        ((FEATURES, np.float32(1)), "equally long"),
        ((tg.tensor([1.0], requires_grad=True),), "detach"),
    ],
)
def test_tensor_dataset_refuses(arrays, words):
    with pytest.raises(ValueError, match=words):
        data.TensorDataset(*arrays)


def test_subset():
    part = data.Subset(data.TensorDataset(FEATURES, LABELS), [7, 1, 1])
    assert len(part) == 3
    assert [part[i][1].item() for i in range(3)] == [7, 1, 1]
    part = data.Subset(part, [2, 0])
    assert [y.tolist() for _, y in data.DataLoader(part, 2)] == [[1, 7]]
    with pytest.raises(IndexError, match="0 … 9"):
        data.Subset(data.TensorDataset(LABELS), [10])
    with pytest.raises(IndexError, match="0 … 9"):
        data.Subset(data.TensorDataset(LABELS), [-1])
    with pytest.raises(ValueError, match="sequence"):
        data.Subset(data.TensorDataset(LABELS), [[1]])
    assert [batch["x"].tolist() for batch in data.DataLoader(data.Subset(Squares(), [3]))] == [[3]]


@pytest.mark.parametrize(
    ("lengths", "wanted"),
    [
        ([7, 3], [7, 3]),
        ([0.7, 0.3], [7, 3]),
        ([0.5, 0.25, 0.25], [6, 2, 2]),
        ([10, 0], [10, 0]),
        ([1.0], [10]),
        ([10], [10]),
    ],
)
def test_random_split(lengths, wanted):
    parts = data.random_split(data.TensorDataset(LABELS), lengths, generator())
    assert [len(part) for part in parts] == wanted
    seen = [part[i][0].item() for part in parts for i in range(len(part))]
    assert sorted(seen) == list(range(10))
    assert seen != list(range(10))
    again = data.random_split(data.TensorDataset(LABELS), lengths, generator())
    assert [list(part.indices) for part in parts] == [list(part.indices) for part in again]


@pytest.mark.parametrize("lengths", [[7, 2], [0.5, 0.25], [11, -1], [1.5, -0.5], []])
def test_random_split_refuses(lengths):
    with pytest.raises(ValueError, match="add up to 10"):
        data.random_split(data.TensorDataset(LABELS), lengths)


def test_the_base_class_says_what_is_missing():
    with pytest.raises(NotImplementedError, match="__getitem__"):
        data.Dataset()[0]
    with pytest.raises(NotImplementedError, match="__len__"):
        len(data.Dataset())


# --- batches ---------------------------------------------------------------------------------------------------------


def test_batches_in_order():
    loader = data.DataLoader(data.TensorDataset(FEATURES, LABELS), batch_size=4)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert [y.tolist() for _, y in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert all(type(x) is type(y) is tg.Tensor for x, y in batches)
    np.testing.assert_array_equal(np.concatenate([x.numpy() for x, _ in batches]), FEATURES)
    full = data.DataLoader(data.TensorDataset(LABELS), batch_size=4, drop_last=True)
    assert len(full) == len(list(full)) == 2
    assert len(list(data.DataLoader(data.TensorDataset(LABELS), batch_size=5, drop_last=True))) == 2
    assert list(data.DataLoader(data.TensorDataset(np.zeros((0, 3))))) == []
    assert len(data.DataLoader(data.TensorDataset(LABELS), batch_size=20, drop_last=True)) == 0


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_own_their_arrays(shuffle):
    features = FEATURES.copy()
    loader = data.DataLoader(data.TensorDataset(features, LABELS), 10, shuffle)
    ((x, y),) = loader
    assert x._value.base is None
    assert y._value.base is None
    before = x.tolist()
    features[:] = 0
    assert x.tolist() == before


def test_order_comes_from_the_generator():
    def order(**settings):
        return [x.item() for (x,) in data.DataLoader(data.TensorDataset(LABELS), shuffle=True, **settings)]

    first = order(generator=generator(1))
    assert sorted(first) == list(range(10))
    assert first == order(generator=generator(1))
    assert first != order(generator=generator(2))
    loader = data.DataLoader(data.TensorDataset(LABELS), 10, True, generator=generator(1))
    assert [x.tolist() for (x,) in loader] == [first]
    assert [x.tolist() for (x,) in loader] != [first]  # each pass in a new order
    tg.manual_seed(5)
    default = order()
    tg.manual_seed(5)
    assert order() == default


def test_samples_of_any_kind_are_collated():
    (batch, rest) = data.DataLoader(Squares(), batch_size=3)
    assert batch["x"].tolist() == [0, 1, 2]
    squares, (pairs,) = batch["xx"]
    assert squares.tolist() == [0, 1, 4]
    assert pairs.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert pairs.dtype == np.float32
    assert batch["name"] == ["0", "1", "2"]
    assert rest["x"].tolist() == [3, 4]
    (batch,) = data.DataLoader([(1.0, 2), (3.0, 4)], batch_size=2)  # a list will do
    assert [t.tolist() for t in batch] == [[1, 3], [2, 4]]
    pair = namedtuple("pair", "x y")
    (batch,) = data.DataLoader([pair(1, 2), pair(3, 4)], batch_size=2)
    assert batch.y.tolist() == [2, 4]
    (batch,) = data.DataLoader(data.TensorDataset(LABELS), 10, collate_fn=len)
    assert batch == 10


@pytest.mark.parametrize(
    ("samples", "error", "words"),
    [
        ([[1.0], [1.0, 2.0]], ValueError, "different lengths"),
        ([np.ones(2), np.ones(3)], ValueError, "collate_fn"),
        ([{"a": 1}, {"b": 1}], ValueError, "different keys"),
        ([object(), object()], TypeError, "object"),
    ],
)
def test_samples_that_do_not_fit_together(samples, error, words):
    with pytest.raises(error, match=words):
        list(data.DataLoader(samples, batch_size=2))


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, None])
def test_loader_refuses_batch_sizes(batch_size):
    with pytest.raises(ValueError, match="batch_size"):
        data.DataLoader(Squares(), batch_size)


def test_loader_refuses_seeds():
    with pytest.raises(TypeError, match="default_rng"):
        data.DataLoader(Squares(), generator=0)
    with pytest.raises(TypeError, match="default_rng"):
        data.random_split(Squares(), [5], generator=np.random.RandomState(0))
