"""MNIST and its family from folders."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import data
from tinygrad_nn.data import transforms

#: The real test set, where there is one: a variable's, or a folder beside the repository.
REAL = Path(os.environ.get("TINYGRAD_NN_MNIST") or Path(__file__).resolve().parents[3] / "shared" / "data" / "mnist10k")


def pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % 10


def fill(folder, part="t10k", count=20, pattern="{}-idx{}-ubyte.gz"):
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = pictures(count)
    data.write_idx(folder / pattern.format(f"{part}-images", 3), images)
    data.write_idx(folder / pattern.format(f"{part}-labels", 1), labels)
    return images, labels


@pytest.mark.parametrize("pattern", ["{}-idx{}-ubyte.gz", "{}-idx{}-ubyte", "{}.idx{}-ubyte", "{}.idx{}-ubyte.gz"])
@pytest.mark.parametrize("inside", [".", "raw", "MNIST/raw"])
def test_a_folder_as_it_comes(tmp_path, pattern, inside):
    images, labels = fill(tmp_path / inside, pattern=pattern)
    digits = data.mnist(str(tmp_path))
    assert len(digits) == 20
    assert digits.split == "test"
    assert digits.classes == tuple("0123456789")
    assert type(digits.images) is type(digits.labels) is tg.Tensor
    assert digits.images.shape == (20, 1, 28, 28)
    assert digits.images.dtype == np.float32
    assert digits.labels.dtype == digits.targets.dtype == np.int64
    np.testing.assert_array_equal(digits.images.numpy()[:, 0], (images / 255).astype(np.float32))
    np.testing.assert_array_equal(digits.targets.numpy(), labels)
    image, label = digits[3]
    assert image.shape == (1, 28, 28)
    assert label.item() == 3
    (x, y), *_ = data.DataLoader(digits, batch_size=8)
    assert x.shape == (8, 1, 28, 28)
    assert y.tolist() == list(range(8))
    assert "MNIST (test): 20 samples" in repr(digits)


def test_which_set_it_is(tmp_path):
    fill(tmp_path, "train", 30)
    assert data.mnist(tmp_path).split == "train"
    fill(tmp_path, "t10k", 20)
    assert [len(data.mnist(tmp_path, train=train)) for train in (None, True, False)] == [30, 30, 20]
    assert [data.mnist(tmp_path, train=train).split for train in (None, True, False)] == ["train", "train", "test"]


def test_values_and_shapes_as_asked_for(tmp_path):
    images, _ = fill(tmp_path)
    flat = data.mnist(tmp_path, flatten=True)
    assert flat[0][0].shape == (784,)
    np.testing.assert_array_equal(flat.images.numpy(), data.mnist(tmp_path).images.numpy().reshape(20, 784))
    raw = data.mnist(tmp_path, dtype=np.uint8)
    np.testing.assert_array_equal(raw.images.numpy()[:, 0], images)
    for dtype in (np.float16, np.float64, "float32"):
        digits = data.mnist(tmp_path, dtype=dtype)
        assert digits.images.dtype == dtype
        np.testing.assert_allclose(digits.images.numpy()[:, 0], images / 255, rtol=1e-3)
    with pytest.raises(TypeError, match="int64"):
        data.mnist(tmp_path, dtype=np.int64)


def test_every_byte_is_the_nearest_float(tmp_path):
    fill(tmp_path, count=1)
    data.write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", np.arange(784).astype(np.uint8).reshape(1, 28, 28))
    values = data.mnist(tmp_path, flatten=True).images.numpy()[0, :256]
    np.testing.assert_array_equal(values, (np.arange(256) / 255).astype(np.float32))


class OneHot:
    def __call__(self, label):
        return np.eye(10, dtype=np.float32)[label]


def test_transforms_serve_samples_and_batches(tmp_path):
    fill(tmp_path)
    mean_std = transforms.Normalize((0.1307,), (0.3081,))
    plain = data.mnist(tmp_path)
    digits = data.mnist(tmp_path, transform=mean_std, target_transform=OneHot())
    wanted = (plain.images.numpy() - np.float32(0.1307)) / np.float32(0.3081)
    image, label = digits[4]
    np.testing.assert_array_equal(image.numpy(), wanted[4])
    assert label.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    x, y = digits[2:5]
    assert x.shape == (3, 1, 28, 28)
    assert y.shape == (3, 10)
    copy = pickle.loads(pickle.dumps(digits))  # noqa: S301
    (x, y), *_ = data.DataLoader(copy, batch_size=20)
    np.testing.assert_array_equal(x.numpy(), wanted)
    assert y.shape == (20, 10)
    np.testing.assert_array_equal(digits.images.numpy(), plain.images.numpy())  # untransformed
    flat = data.mnist(tmp_path, transform=mean_std, flatten=True)
    assert flat[0][0].shape == (784,)
    assert flat.batch(np.arange(5))[0].shape == (5, 784)
    each = data.mnist(tmp_path, transform=lambda image: image[:, ::2, ::2])
    assert each[0][0].shape == (1, 14, 14)
    assert each.batch(np.arange(5))[0].shape == (5, 1, 14, 14)


def test_no_transform_writes_into_the_dataset(tmp_path):
    fill(tmp_path)

    def careless(image):
        image[:] = 0
        return image

    with pytest.raises(ValueError, match="read-only"):
        data.mnist(tmp_path, transform=careless)[0]


def test_other_sets_of_the_family(tmp_path):
    fill(tmp_path / "FashionMNIST" / "raw")
    fashion = data.mnist(tmp_path, variant="fashion")
    assert fashion.classes[9] == "Ankle boot"
    assert repr(fashion).startswith("Fashion-MNIST")
    fill(tmp_path)
    assert data.mnist(tmp_path, variant="kmnist").classes[1] == "ki"
    with pytest.raises(ValueError, match="mnist, fashion, kmnist"):
        data.mnist(tmp_path, variant="cifar")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        data.mnist(tmp_path)
    message = str(caught.value)
    for words in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", str(tmp_path), "download=True", "raw", ".gz"):
        assert words in message
    with pytest.raises(FileNotFoundError, match="which is not a folder"):
        data.mnist(tmp_path / "nowhere")
    fill(tmp_path)
    with pytest.raises(FileNotFoundError, match="the test set is there, train=False reads it"):
        data.mnist(tmp_path, train=True)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="no t10k-labels-idx1-ubyte in"):
        data.mnist(tmp_path)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (np.zeros((5, 28, 28), np.uint8), np.zeros(4, np.uint8), r"\(4,\) of uint8"),
        (np.zeros((5, 28), np.uint8), np.zeros(5, np.uint8), r"\(5, 28\)"),
        (np.zeros((5, 28, 28), np.float32), np.zeros(5, np.uint8), "float32"),
        (np.zeros((5, 28, 28), np.uint8), np.zeros((5, 1), np.uint8), r"\(5, 1\)"),
        (np.zeros((5, 28, 28), np.uint8), np.uint8([0, 1, 2, 3, 10]), "label 10"),
    ],
)
def test_files_that_hold_something_else(tmp_path, images, labels, words):
    data.write_idx(tmp_path / "t10k-images-idx3-ubyte", images)
    data.write_idx(tmp_path / "t10k-labels-idx1-ubyte", labels)
    with pytest.raises(ValueError, match=words):
        data.mnist(tmp_path)


def test_empty_sets(tmp_path):
    fill(tmp_path, count=0)
    assert len(data.mnist(tmp_path)) == 0
    assert data.mnist(tmp_path, flatten=True).images.shape == (0, 784)


# --- the real files --------------------------------------------------------------------------------------------------

real = pytest.mark.skipif(not REAL.is_dir(), reason="no folder with MNIST's test set")


@real
def test_the_real_test_set():
    digits = data.mnist(REAL)
    assert len(digits) == 10_000
    assert digits.labels.tolist()[:10] == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(digits.labels.numpy()).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    pixels = digits.images.numpy()
    assert (pixels.min(), pixels.max()) == (0, 1)
    np.testing.assert_allclose(pixels.mean(dtype=np.float64), 0.13251, atol=1e-5)


@real
def test_the_real_files_are_known_however_they_are_compressed(tmp_path):
    from tinygrad_nn.data.digits import FAMILIES, _make_sure

    for path in REAL.glob("t10k*"):
        shutil.copy(path, tmp_path)
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        _make_sure(tmp_path, FAMILIES["mnist"], name)
    assert len(data.mnist(tmp_path, train=False, download=True)) == 10_000  # nothing is missing, so nothing is asked
    images = data.read_idx(tmp_path / "t10k-images-idx3-ubyte.gz")
    images[5, 3, 3] += 1
    data.write_idx(tmp_path / "t10k-images-idx3-ubyte", images)  # which is looked at first
    with pytest.raises(ValueError, match="not the published t10k-images-idx3-ubyte of MNIST"):
        data.mnist(tmp_path, train=False, download=True)
    assert len(data.mnist(tmp_path)) == 10_000
