"""Pictures in files, and folders of them."""

from __future__ import annotations

import pickle
import re
import sys

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import data
from tinygrad_nn.data import transforms

pil = pytest.importorskip("PIL.Image")

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


@pytest.fixture
def picture(tmp_path):
    pil.fromarray(PIXELS).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def test_a_picture_as_an_array(picture):
    read = data.read_image(picture)
    assert read.dtype == np.float32
    assert read.flags.c_contiguous
    assert read.flags.writeable
    np.testing.assert_array_equal(read, (PIXELS.transpose(2, 0, 1) / 255).astype(np.float32))
    np.testing.assert_array_equal(data.read_image(str(picture), dtype=np.uint8), PIXELS.transpose(2, 0, 1))
    np.testing.assert_array_equal(data.read_image(picture, dtype=np.uint8, channels_last=True), PIXELS)
    np.testing.assert_array_equal(data.read_image(picture, dtype=np.float64), PIXELS.transpose(2, 0, 1) / 255)
    assert data.read_image(picture, dtype=np.float16).dtype == np.float16
    assert data.read_image(picture, mode="L").shape == (1, 5, 7)
    assert data.read_image(picture, mode="RGBA").shape == (4, 5, 7)
    assert data.read_image(picture, (10, 20)).shape == (3, 10, 20)


def test_the_lessons_vector(tmp_path):
    """64 × 64 × 3 becomes 12288 features: all of red, then green, then blue."""
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[..., 1], colours[..., 2] = 51, 255
    pil.fromarray(colours).save(tmp_path / "cat.png")
    vector = data.read_image(tmp_path / "cat.png", flatten=True)
    assert vector.shape == (12288,)
    np.testing.assert_array_equal(vector.reshape(3, 64 * 64), np.float32([[0.0], [0.2], [1.0]]) * np.ones(4096))
    assert data.read_image(tmp_path / "cat.png", 8, flatten=True).shape == (192,)


def test_resizing_covers_all_pixels(tmp_path):
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    pil.fromarray(stripes).save(tmp_path / "stripes.png")
    small = data.read_image(tmp_path / "stripes.png", 8, mode="L")
    np.testing.assert_allclose(small, 0.5, atol=0.05)


def test_kinds_of_files(tmp_path):
    grey = PIXELS[:, :, 0]
    pil.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(data.read_image(tmp_path / "grey.png", dtype=np.uint8), np.stack([grey] * 3))
    pil.fromarray(PIXELS).quantize(4).save(tmp_path / "palette.gif")
    assert data.read_image(tmp_path / "palette.gif").shape == (3, 5, 7)
    pil.fromarray(PIXELS).save(tmp_path / "picture.jpg", quality=95)
    assert data.read_image(tmp_path / "picture.jpg").shape == (3, 5, 7)
    mark = pil.Exif()
    mark[0x0112] = 6  # lies on its side: to be turned clockwise
    pil.fromarray(PIXELS).save(tmp_path / "side.png", exif=mark)
    turned = data.read_image(tmp_path / "side.png", dtype=np.uint8, channels_last=True)
    np.testing.assert_array_equal(turned, np.rot90(PIXELS, -1))


def test_files_that_are_no_pictures(tmp_path, picture):
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.png holds no picture"):
        data.read_image(tmp_path / "text.png")
    (tmp_path / "cut.png").write_bytes(picture.read_bytes()[:60])
    with pytest.raises(ValueError, match=r"cut\.png is damaged or cut off"):
        data.read_image(tmp_path / "cut.png")
    with pytest.raises(FileNotFoundError):
        data.read_image(tmp_path / "none.png")
    pil.fromarray(np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match="more than 8 bits"):
        data.read_image(tmp_path / "deep.png")
    with pytest.raises(ValueError, match="CMYK"):
        data.read_image(picture, mode="CMYK")
    with pytest.raises(TypeError, match="int32"):
        data.read_image(picture, dtype=np.int32)
    with pytest.raises(ValueError, match="size"):
        data.read_image(picture, 2.5)
    with pytest.raises(ValueError, match="size"):
        data.read_image(picture, 0)


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_what_is_saved_is_read(tmp_path, channels, dtype):
    pixels = np.random.default_rng(1).integers(0, 256, (channels, 6, 4), np.uint8)
    image = pixels if dtype == np.uint8 else (pixels / 255).astype(dtype)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    for given in (image, tg.tensor(image)):
        data.save_image(given, tmp_path / "x.png")
        np.testing.assert_array_equal(data.read_image(tmp_path / "x.png", mode=mode, dtype=np.uint8), pixels)


def test_batches_are_saved_in_rows(tmp_path):
    batch = np.stack([np.full((1, 2, 3), n, np.uint8) for n in (10, 20, 30)])
    data.save_image(batch, tmp_path / "x.png", nrow=2, padding=1)
    wanted = np.zeros((7, 9), np.uint8)
    wanted[1:3, 1:4], wanted[1:3, 5:8], wanted[4:6, 1:4] = 10, 20, 30
    np.testing.assert_array_equal(data.read_image(tmp_path / "x.png", mode="L", dtype=np.uint8)[0], wanted)
    data.save_image(batch, tmp_path / "z.png", padding=0)
    assert data.read_image(tmp_path / "z.png", mode="L").shape == (1, 2, 9)


def test_values_beyond_are_cut_off(tmp_path):
    data.save_image(np.array([[-1.0, 0.5, 2.0]]), tmp_path / "x.png")
    np.testing.assert_array_equal(data.read_image(tmp_path / "x.png", mode="L", dtype=np.uint8)[0], [[0, 128, 255]])


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (np.zeros((2, 4, 4)), ValueError, "1, 3 or 4 channels"),
        (np.zeros(4), ValueError, "1, 3 or 4 channels"),
        (np.zeros((0, 1, 4, 4)), ValueError, "1, 3 or 4 channels"),
        (np.full((1, 4, 4), np.nan), ValueError, "NaN"),
        (np.zeros((1, 4, 4), np.int64), TypeError, "int64"),
        (np.zeros((1, 4, 4), complex), TypeError, "complex"),
    ],
)
def test_what_is_no_picture_is_not_saved(tmp_path, image, error, words):
    with pytest.raises(error, match=words):
        data.save_image(image, tmp_path / "x.png")
    with pytest.raises(ValueError, match="nrow"):
        data.save_image(np.zeros((2, 1, 4, 4)), tmp_path / "x.png", nrow=0)
    assert not (tmp_path / "x.png").exists()


# --- folders ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def zoo(tmp_path):
    root = tmp_path / "zoo"
    for name, count in (("dog", 3), ("cat", 2)):
        (root / name / "more").mkdir(parents=True)
        for i in range(count):
            place = root / name / ("more" if i == 0 else "") / f"{i}.PNG"
            data.save_image(np.full((3, 6 + i, 5), 50 * i + (name == "dog"), np.uint8), place)
        (root / name / "notes.txt").write_text("not a picture")
    return root


def test_a_folder_for_each_class(zoo):
    folder = data.ImageFolder(zoo, size=4)
    assert folder.classes == ["cat", "dog"]
    assert folder.class_to_idx == {"cat": 0, "dog": 1}
    assert len(folder) == 5
    assert folder.targets == [0, 0, 1, 1, 1]
    assert folder.imgs == folder.samples
    assert [path.removeprefix(str(zoo)) for path, _ in folder.samples][:2] == ["/cat/1.PNG", "/cat/more/0.PNG"]
    image, label = folder[0]
    assert type(image) is type(label) is tg.Tensor
    assert image.shape == (3, 4, 4)
    assert (image.dtype, label.dtype, label.item()) == (np.float32, np.int64, 0)
    np.testing.assert_array_equal(image.numpy(), np.float32(50 / 255))
    images, labels = folder[1:4]
    assert images.shape == (3, 3, 4, 4)
    assert labels.tolist() == [0, 1, 1]
    (x, y), *rest = data.DataLoader(folder, batch_size=3)
    assert x.shape == (3, 3, 4, 4)
    assert y.tolist() == [0, 0, 1]
    assert len(rest) == 1
    assert "5 pictures of 2 classes" in repr(folder)
    assert data.ImageFolder(zoo, size=4, mode="L", dtype=np.float64)[0][0].shape == (1, 4, 4)


def test_pictures_of_different_sizes_need_one(zoo):
    with pytest.raises(ValueError, match="cannot be stacked"):
        data.ImageFolder(zoo)[:]


def test_transforms_and_loaders_of_folders(zoo):
    steps = transforms.Compose([transforms.Normalize([0.5] * 3, [0.5] * 3), transforms.Flatten()])
    folder = data.ImageFolder(zoo, steps, target_transform=lambda label: 10 * label, size=4)
    image, label = folder[4]
    assert image.shape == (48,)
    assert label.item() == 10
    for one, two in zip(folder[:], data.ImageFolder(zoo, size=4)[:]):
        assert len(one) == len(two) == 5
    np.testing.assert_array_equal(folder[:][0].numpy()[4], image.numpy())
    pillows = data.ImageFolder(zoo, transforms.Compose([transforms.ToTensor()]), loader=_open_with_pillow)
    assert pillows[1][0].shape == (3, 6, 5)
    np.testing.assert_array_equal(pillows[1][0].numpy(), data.ImageFolder(zoo)[1][0].numpy())
    texts = data.ImageFolder(zoo, loader=lambda path: len(path), is_valid_file=lambda path: path.endswith(".txt"))
    assert len(texts) == 2


def _open_with_pillow(path):
    with pil.open(path) as file:
        return file.convert("RGB")


def test_folders_go_to_worker_processes(zoo):
    steps = transforms.RandomRotation(90, generator=np.random.default_rng(3))
    folder = data.ImageFolder(zoo, steps, size=4)
    assert len(pickle.loads(pickle.dumps(folder))[0]) == 2  # noqa: S301

    def batches(workers):
        loader = data.DataLoader(folder, 2, num_workers=workers, generator=np.random.default_rng(0))
        steps.generator.bit_generator.state = np.random.PCG64(3).state
        return [x.numpy() for x, _ in loader]

    for one, two in zip(batches(0), batches(2), strict=True):
        np.testing.assert_array_equal(one, two)


def test_folders_without_pictures(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folders"):
        data.ImageFolder(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(FileNotFoundError, match="cat holds no pictures"):
        data.ImageFolder(tmp_path)
    assert len(data.ImageFolder(tmp_path, allow_empty=True)) == 0
    with pytest.raises(FileNotFoundError):
        data.ImageFolder(tmp_path / "nowhere")


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'tinygrad_nn[images]'")):
        data.read_image(tmp_path / "x.png")
    with pytest.raises(ImportError, match="Pillow"):
        data.save_image(np.zeros((4, 4)), tmp_path / "x.png")
