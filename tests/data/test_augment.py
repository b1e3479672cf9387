"""Datasets whose pictures are transformed: anew in each pass, or once to enlarge a set."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_nn as tg
from tests.data.pictures import batch, moved, rng
from tinygrad_nn import data
from tinygrad_nn.data import transforms as T


def small():
    return data.TensorDataset(batch(10, 1, 6, 6, dtype=np.float32), np.arange(10))


def test_transformed_datasets_differ_in_every_pass():
    shifted = data.Transformed(small(), T.RandomShift(2), lambda label: -label)
    tg.manual_seed(0)
    first, second = (next(iter(data.DataLoader(shifted, 10, generator=np.random.default_rng(seed)))) for seed in (0, 1))
    assert first[1].tolist() == [-n for n in range(10)]
    assert (first[0].numpy() != second[0].numpy()).any()
    assert len(shifted) == 10
    image, label = shifted[3]
    assert image.shape == (1, 6, 6)
    assert label.item() == -3
    assert [part.shape for part in shifted[2:4]] == [(2, 1, 6, 6), (2,)]
    part = data.Subset(shifted, [5, 1])
    assert part[:][1].tolist() == [-5, -1]


@pytest.mark.parametrize("held", [True, False])
def test_batches_are_the_same_whatever_number_of_processes(held):
    def passes(workers):
        tg.manual_seed(4)
        steps = T.Compose([T.RandomRotation(20, generator=rng(7) if held else None), T.RandomShift(1)])
        loader = data.DataLoader(
            data.Transformed(small(), steps), 3, shuffle=True, num_workers=workers, generator=rng(1)
        )
        return [x.numpy() for _ in range(2) for x, _ in loader]

    alone = passes(0)
    assert len({x.tobytes() for x in alone}) == len(alone)
    for one, two in zip(alone, passes(2), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_small_set_enlarged():
    original = small()
    many = data.augment(original, T.RandomShift(2, generator=rng()), copies=3)
    assert type(many) is data.TensorDataset
    assert len(many) == 40
    images, labels = many.arrays
    assert labels.tolist() == list(range(10)) * 4
    np.testing.assert_array_equal(images[:10], original.arrays[0])
    for copy in range(1, 4):
        for n in range(10):
            places = [moved(images[n], d, r, 0) for d in range(-2, 3) for r in range(-2, 3)]
            assert any((images[10 * copy + n] == place).all() for place in places)
    assert not (images[10:20] == images[20:30]).all()
    again = data.augment(small(), T.RandomShift(2, generator=rng()), copies=3)
    np.testing.assert_array_equal(images, again.arrays[0])
    assert len(data.augment(original, T.RandomShift(1), copies=0)) == 10
    images[:] = 0
    assert original.arrays[0].any()
    mirrored = data.augment(original, lambda picture: picture[:, ::-1])  # of one picture, (C, H, W)
    np.testing.assert_array_equal(mirrored.arrays[0][10:], original.arrays[0][:, :, ::-1])


def test_what_cannot_be_enlarged():
    with pytest.raises(ValueError, match="copies"):
        data.augment(small(), T.RandomShift(1), copies=-1)
    with pytest.raises(ValueError, match=r"from \(1, 6, 6\) to \(1, 2, 2\)"):
        data.augment(small(), T.CenterCrop(2))
    with pytest.raises(TypeError, match="tuples"):
        data.augment([np.zeros((1, 2, 2))], T.RandomShift(1))
    with pytest.raises(TypeError, match="no label"):
        data.Transformed([np.zeros((1, 2, 2))], None, abs)[0]
    with pytest.raises(TypeError, match="no label"):
        data.Transformed(data.TensorDataset(np.zeros((1, 2, 2))), None, abs)[0]


def test_samples_keep_their_form():
    from typing import NamedTuple

    class Sample(NamedTuple):
        image: object
        label: int
        weight: float

    samples = [Sample(np.ones((1, 2, 2)), n, 0.5) for n in range(3)]
    doubled = data.Transformed(samples, lambda image: image * 2)
    assert doubled[1].image.sum().item() == 8
    assert doubled[1].label == 1
    x = doubled[:]
    assert x.image.shape == (3, 1, 2, 2)
    assert x.weight.tolist() == [0.5] * 3
    alone = data.Transformed([np.ones((1, 2, 2))], T.Flatten())
    assert alone[0].shape == (4,)
    assert alone[:].shape == (1, 4)
