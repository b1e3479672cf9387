"""Transforms of pictures: each beside its definition, on pictures and batches, with draws that one seed decides."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_nn as tg
from tests.data.pictures import batch, moved, rng
from tinygrad_nn.data import transforms as T

batches = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.uint8]),
    st.tuples(st.sampled_from([4, 2, 1, 0]), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    elements=st.integers(0, 3),
)

#: One of each kind, by name, for what holds of all.
MAKERS = {
    "flip": lambda g: T.RandomHorizontalFlip(generator=g),
    "upside down": lambda g: T.RandomVerticalFlip(0.3, generator=g),
    "shift": lambda g: T.RandomShift((1, 2), generator=g),
    "crop": lambda g: T.RandomCrop((4, 3), padding=(1, 2), generator=g),
    "crop small": lambda g: T.RandomCrop(20, pad_if_needed=True, generator=g),
    "rotation": lambda g: T.RandomRotation(30, generator=g),
    "nearest": lambda g: T.RandomRotation((-90, 45), "nearest", generator=g),
    "affine": lambda g: T.RandomAffine(20, (0.2, 0.1), (0.5, 2), (-10, 10, 5, 6), generator=g),
    "noise": lambda g: T.GaussianNoise(generator=g),
    "apply": lambda g: T.RandomApply([T.RandomShift(1, generator=g)], 0.5, generator=g),
    "compose": lambda g: T.Compose([T.RandomShift(1, generator=g), T.RandomHorizontalFlip(generator=g), T.Flatten()]),
    "center": lambda g: T.CenterCrop(3),
    "pad": lambda g: T.Pad((1, 2, 0, 3), 0.5),
    "normalize": lambda g: T.Normalize([0.5, 0.4], [0.1, 0.2]),
    "dtype": lambda g: T.ToDtype(np.uint8, scale=True),
    "lambda": lambda g: T.Lambda(lambda image: image + 1),
}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


# --- what holds of all -----------------------------------------------------------------------------------------------


def test_a_seed_decides_what_is_drawn(make):
    images = batch(6, 2, 5, 4)
    first = make(rng(1))(images)
    np.testing.assert_array_equal(first, make(rng(1))(images))
    np.testing.assert_array_equal(first, make(tg.random.default_rng(1))(images))
    tg.manual_seed(3)
    default = make(None)(images)
    tg.manual_seed(3)
    np.testing.assert_array_equal(default, make(None)(images))


def test_arrays_give_arrays_and_tensors_tensors(make):
    images = batch(6, 2, 5, 4, dtype=np.float32)
    result, of_tensor = make(rng(1))(images), make(rng(1))(tg.tensor(images))
    assert type(result) is np.ndarray
    assert type(of_tensor) is tg.Tensor
    np.testing.assert_array_equal(of_tensor.numpy(), result)
    assert of_tensor.dtype == result.dtype


def test_nothing_is_written_to_and_layouts_are_free(make):
    images = batch(6, 2, 5, 4)
    before = images.copy()
    wanted = make(rng(1))(images)
    np.testing.assert_array_equal(images, before)
    odd = np.asfortranarray(images)
    odd.flags.writeable = False
    np.testing.assert_array_equal(make(rng(1))(odd), wanted)
    backwards = np.ascontiguousarray(images[::-1, :, ::-1])[::-1, :, ::-1]
    np.testing.assert_array_equal(make(rng(1))(backwards), wanted)


def test_one_picture_and_none(make):
    images = batch(1, 2, 5, 4)
    np.testing.assert_array_equal(make(rng(1))(images[0]), make(rng(1))(images)[0])
    none = make(rng(1))(images[:0])
    assert len(none) == 0
    if make is not MAKERS["lambda"]:
        assert none.shape[1:] == make(rng(1))(images).shape[1:]


def test_transforms_are_pickled(make):
    if make is MAKERS["lambda"]:
        return
    images = batch(6, 2, 5, 4)
    transform = make(rng(1))
    copy = pickle.loads(pickle.dumps(transform))  # noqa: S301
    np.testing.assert_array_equal(transform(images), copy(images))
    assert repr(copy) == repr(transform)
    assert "object at" not in repr(transform)


@pytest.mark.parametrize("name", ["flip", "shift", "crop", "rotation", "affine", "noise"])
def test_each_picture_has_draws_of_its_own(name):
    images = np.repeat(batch(1, 1, 8, 8), 64, axis=0)
    results = MAKERS[name](rng(0))(images)
    assert len({result.tobytes() for result in results}) > 1
    assert len({result.tobytes() for result in MAKERS[name](rng(0))(images[:1])}) == 1


@pytest.mark.parametrize("images", [np.zeros((4, 4)), np.zeros(3), np.zeros((1, 1, 1, 4, 4))])
def test_shapes_that_are_no_pictures(images):
    with pytest.raises(ValueError, match=r"\(C, H, W\)"):
        T.RandomRotation(5)(images)


def test_no_gradient_is_lost():
    with pytest.raises(ValueError, match="detach"):
        T.RandomShift(1)(tg.tensor(batch(1, 1, 4, 4), requires_grad=True))
    with pytest.raises(TypeError, match="real numbers"):
        T.RandomShift(1)(np.zeros((1, 4, 4), complex))


def test_a_compiled_function_does_not_keep_what_was_drawn_once():
    flip, images = T.RandomHorizontalFlip(), batch(4, 1, 3, 3)

    @tg.compile
    def step(x):
        return x + tg.asarray(flip(images)).sum()

    with pytest.raises(TypeError, match="RandomHorizontalFlip cannot be recorded"):
        step(tg.tensor(1.0))


@pytest.mark.parametrize("kind", [T.RandomHorizontalFlip, T.RandomVerticalFlip, T.GaussianNoise])
def test_seeds_are_no_generators(kind):
    with pytest.raises(TypeError, match="default_rng"):
        kind(generator=0)


# --- flips, shifts, crops --------------------------------------------------------------------------------------------


@given(images=batches, vertical=st.booleans(), p=st.sampled_from([0, 0.5, 1]), seed=st.integers(0, 99))
def test_flips(images, vertical, p, seed):
    kind = T.RandomVerticalFlip if vertical else T.RandomHorizontalFlip
    result = kind(p, generator=rng(seed))(images)
    chosen = rng(seed).random(len(images)) < p
    wanted = [(image[:, ::-1] if vertical else image[:, :, ::-1]) if c else image for image, c in zip(images, chosen)]
    assert result.dtype == images.dtype
    np.testing.assert_array_equal(result, np.reshape(wanted, images.shape))


def test_how_often_pictures_flip():
    images = np.tile([0.0, 1.0], (4000, 1, 1, 1))
    share = T.RandomHorizontalFlip(0.3, generator=rng())(images)[:, 0, 0, 0].mean()
    assert abs(share - 0.3) < 0.03


@given(
    images=batches,
    shift=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    fill=st.integers(0, 3),
    seed=st.integers(0, 9),
)
def test_shifts_bring_nothing_back(images, shift, fill, seed):
    images = images + np.arange(images.size).reshape(images.shape).astype(images.dtype)
    result = T.RandomShift(shift, fill, generator=rng(seed))(images)
    assert result.shape == images.shape
    assert result.dtype == images.dtype
    draws = rng(seed)
    downs, rights = (s - draws.integers(2 * s + 1, size=len(images)) for s in shift)
    for image, one, down, right in zip(images, result, downs, rights):
        np.testing.assert_array_equal(one, moved(image, down, right, fill))


def test_every_shift_comes():
    images = np.zeros((2000, 1, 5, 5))
    images[:, 0, 2, 2] = 1
    result = T.RandomShift(2, generator=rng())(images)
    assert set(result.argmax(axis=2).max(axis=2)[:, 0]) == set(range(5))
    counts = result.sum(axis=0)[0]
    assert counts.min() > 40  # 80 expected at each of 25 places
    np.testing.assert_array_equal(T.RandomShift(0)(images), images)


def test_crops_are_windows():
    images = batch(300, 2, 6, 7)
    result = T.RandomCrop((4, 3), generator=rng())(images)
    assert result.shape == (300, 2, 4, 3)
    places = set()
    for image, window in zip(images, result):
        found = [
            (top, left)
            for top in range(3)
            for left in range(5)
            if (image[:, top : top + 4, left : left + 3] == window).all()
        ]
        assert len(found) == 1
        places.add(found[0])
    assert len(places) == 15
    np.testing.assert_array_equal(T.RandomCrop((6, 7))(images), images)
    with pytest.raises(ValueError, match="padding"):
        T.RandomCrop(7)(images)
    assert T.RandomCrop(9, pad_if_needed=True, fill=2)(images).shape == (300, 2, 9, 9)


@pytest.mark.parametrize(("mode", "wanted"), [("edge", "1123"), ("reflect", "2123"), ("symmetric", "1123")])
def test_borders(mode, wanted):
    result = T.Pad((1, 0, 0, 0), padding_mode=mode)(np.array([[[1, 2, 3]]]))
    assert "".join(map(str, result[0, 0])) == wanted


def test_pads():
    image = batch(1, 2, 3)
    np.testing.assert_array_equal(T.Pad(2, 9)(image), np.pad(image, [(0, 0), (2, 2), (2, 2)], constant_values=9))
    np.testing.assert_array_equal(T.Pad((1, 2))(image), np.pad(image, [(0, 0), (2, 2), (1, 1)]))
    np.testing.assert_array_equal(T.Pad((1, 2, 3, 4))(image), np.pad(image, [(0, 0), (2, 4), (1, 3)]))
    with pytest.raises(ValueError, match="no uint8"):
        T.Pad(1, 0.5)(batch(1, 2, 3, dtype=np.uint8))
    with pytest.raises(ValueError, match="no uint8"):
        T.RandomRotation(5, fill=256)(batch(1, 2, 3, dtype=np.uint8))


def test_the_middle():
    image = np.arange(20).reshape(1, 4, 5)
    np.testing.assert_array_equal(T.CenterCrop((2, 3))(image), image[:, 1:3, 1:4])
    np.testing.assert_array_equal(T.CenterCrop((6, 5))(image), np.pad(image, [(0, 0), (1, 1), (0, 0)]))
    assert T.CenterCrop((9, 2))(image).shape == (1, 9, 2)
    np.testing.assert_array_equal(T.CenterCrop((3, 2))(image), image[:, :3, 2:4])  # half to even: 0.5 to 0, 1.5 to 2


# --- turning ---------------------------------------------------------------------------------------------------------


@given(
    images=batches,
    quarters=st.integers(-5, 5),
    interpolation=st.sampled_from(["bilinear", "nearest"]),
    fill=st.integers(0, 1),
)
def test_quarter_turns_are_exact(images, quarters, interpolation, fill):
    side = min(images.shape[2:])
    images = images[:, :, :side, :side] + np.arange(side, dtype=images.dtype)
    result = T.RandomRotation((90 * quarters,) * 2, interpolation, fill=fill)(images)
    np.testing.assert_array_equal(result, np.rot90(images, quarters, axes=(2, 3)))
    assert result.dtype == images.dtype


def read_between(image, x, y, fill):
    """The value of a picture at a point, from the four pixels around, by the definition."""

    def pixel(row, column):
        inside = 0 <= row < image.shape[1] and 0 <= column < image.shape[2]
        return image[:, row, column] if inside else np.full(len(image), fill)

    left, top = int(np.floor(x)), int(np.floor(y))
    wx, wy = x - left, y - top
    return (
        (1 - wx) * (1 - wy) * pixel(top, left)
        + wx * (1 - wy) * pixel(top, left + 1)
        + (1 - wx) * wy * pixel(top + 1, left)
        + wx * wy * pixel(top + 1, left + 1)
    )


def turned(image, degrees, fill, center=None):
    """Turned counter-clockwise, by the definition: where does each pixel of the result come from?"""
    result = np.empty_like(image)
    height, width = image.shape[1:]
    x0, y0 = ((width - 1) / 2, (height - 1) / 2) if center is None else (center[0] - 0.5, center[1] - 0.5)
    for row in range(height):
        for column in range(width):
            point = complex(column - x0, -(row - y0)) * np.exp(-1j * np.radians(degrees))  # y upwards
            result[:, row, column] = read_between(image, point.real + x0, -point.imag + y0, fill)
    return result


@given(
    degrees=st.floats(-400, 400),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    fill=st.sampled_from([0.0, 0.7]),
    center=st.sampled_from([None, (1.0, 2.5)]),
)
def test_rotation_by_its_definition(degrees, shape, fill, center):
    image = batch(*shape)
    result = T.RandomRotation((degrees, degrees), fill=fill, center=center)(image)
    np.testing.assert_allclose(result, turned(image, degrees, fill, center), atol=1e-9)


def test_angles_are_uniform():
    """A picture that is its own angle: a wedge's brightest pixel tells how far it was turned."""
    size = 41
    rows, columns = np.mgrid[:size, :size] - size // 2
    image = np.where((rows == 0) & (columns > 5), 1.0, 0.0)[None]
    result = T.RandomRotation(30, generator=rng())(np.repeat(image[None], 500, axis=0))[:, 0]
    up, right = -(result * rows).sum(axis=(1, 2)), (result * columns).sum(axis=(1, 2))
    angles = np.degrees(np.arctan2(up, right))
    assert -31 < angles.min() < -27
    assert 27 < angles.max() < 31
    assert abs(angles.mean()) < 2.5
    assert abs(angles.std() - 30 / np.sqrt(3)) < 1.5


@given(
    degrees=st.floats(-180, 180),
    scale=st.floats(0.4, 2.5),
    shear=st.tuples(st.floats(-40, 40), st.floats(-40, 40)),
    shape=st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(1, 6)),
)
def test_affine_by_its_definition(degrees, scale, shear, shape):
    """Forward, with y downwards: sheared along x, then y, then turned clockwise and scaled."""
    image = batch(*shape)
    settings = {"scale": (scale, scale), "shear": (shear[0], shear[0], shear[1], shear[1]), "fill": 0.25}
    result = T.RandomAffine((degrees, degrees), **settings)(image)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    tx, ty = np.tan(np.radians(shear))
    forward = scale * np.array([[c, -s], [s, c]]) @ np.array([[1, 0], [-ty, 1]]) @ np.array([[1, -tx], [0, 1]])
    middle = np.array([(shape[2] - 1) / 2, (shape[1] - 1) / 2])
    for row in range(shape[1]):
        for column in range(shape[2]):
            x, y = np.linalg.solve(forward, np.array([column, row]) - middle) + middle
            np.testing.assert_allclose(result[:, row, column], read_between(image, x, y, 0.25), atol=1e-8)


def test_affine_moves_whole_pixels():
    images = batch(200, 1, 5, 10)
    result = T.RandomAffine(0, translate=(0.2, 0.4), fill=7, generator=rng())(images)
    places = set()
    for image, one in zip(images, result):
        found = [(d, r) for d in range(-2, 3) for r in range(-2, 3) if (moved(image, d, r, 7) == one).all()]
        assert len(found) == 1
        places.update(found)
    assert len(places) == 25


def test_affine_that_does_nothing():
    for dtype in (np.uint8, np.float16, np.float32, bool):
        images = batch(3, 2, 5, 4, dtype=np.uint8).astype(dtype)
        result = T.RandomAffine(0, (0, 0), (1, 1), 0)(images)
        np.testing.assert_array_equal(result, images)
        assert result.dtype == dtype


def test_bytes_are_rounded():
    images = batch(4, 1, 6, 6, dtype=np.uint8)
    as_bytes = T.RandomRotation((20, 20))(images)
    exact = T.RandomRotation((20, 20))(images.astype(np.float64))
    np.testing.assert_array_equal(as_bytes, np.rint(exact))


def test_turning_agrees_with_pytorchs_sampling():
    torch = pytest.importorskip("torch")
    images = batch(3, 2, 6, 9)
    turn = rng(5).normal(size=(3, 2, 2))
    x, y = np.meshgrid(np.arange(9) - 4.0, np.arange(6) - 2.5)
    points = np.einsum("nij,jhw->nhwi", turn, np.stack([x, y])) / (4.5, 3.0)  # from -1 to 1, edge to edge
    for mode in ("bilinear", "nearest"):
        wanted = torch.nn.functional.grid_sample(
            torch.tensor(images), torch.tensor(points), mode, "zeros", align_corners=False
        )
        result = T.affine.resample(images, turn, np.zeros((3, 2)), None, mode, 0)
        np.testing.assert_allclose(result, wanted.numpy(), atol=1e-12)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("block", [1, 150, 10**9])
def test_blocks_of_a_batch(monkeypatch, interpolation, block):
    images = batch(7, 2, 6, 5)
    turn, moves = rng(1).normal(size=(7, 2, 2)), rng(2).integers(-2, 3, (7, 2)).astype(float)
    wanted = [
        T.affine.resample(images[n : n + 1], turn[n : n + 1], moves[n : n + 1], None, interpolation, 0.5)[0]
        for n in range(7)
    ]
    monkeypatch.setattr(T.affine, "_BLOCK", block)
    np.testing.assert_array_equal(T.affine.resample(images, turn, moves, None, interpolation, 0.5), wanted)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: T.RandomRotation(-5), "degrees"),
        (lambda: T.RandomRotation((5, 1)), "degrees"),
        (lambda: T.RandomRotation((1, 2, 3)), "degrees"),
        (lambda: T.RandomRotation(np.nan), "degrees"),
        (lambda: T.RandomRotation(5, "bicubic"), "nearest, bilinear"),
        (lambda: T.RandomAffine(5, (2, 0)), "translate"),
        (lambda: T.RandomAffine(5, 0.5), "translate"),
        (lambda: T.RandomAffine(5, scale=(0, 1)), "scale"),
        (lambda: T.RandomAffine(5, scale=2), "scale"),
        (lambda: T.RandomAffine(5, shear=90), "shear"),
        (lambda: T.RandomAffine(5, shear=(1, 2, 3)), "shear"),
        (lambda: T.RandomHorizontalFlip(1.5), "p is a probability"),
        (lambda: T.RandomApply([], -1), "p is a probability"),
        (lambda: T.RandomShift(-1), "shift"),
        (lambda: T.RandomShift(1.5), "shift"),
        (lambda: T.RandomCrop(0), "size"),
        (lambda: T.RandomCrop((1, 2, 3)), "size"),
        (lambda: T.RandomCrop(3, (1, 2, 3)), "padding"),
        (lambda: T.Pad(-1), "padding"),
        (lambda: T.Pad(1, padding_mode="wrap"), "padding_mode"),
        (lambda: T.Normalize([0.5], [0]), "greater than 0"),
        (lambda: T.Normalize([0.5, 0.5], [1]), "2 means, but 1"),
        (lambda: T.GaussianNoise(sigma=-1), "sigma"),
    ],
)
def test_settings_are_checked(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# --- values ----------------------------------------------------------------------------------------------------------


def test_normalize():
    images = batch(4, 2, 3, 3, dtype=np.float32)
    result = T.Normalize((0.1, 0.2), (0.5, 0.25))(images)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[:, 1], (images[:, 1] - 0.2) / 0.25, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="1 means for 2 channels"):
        T.Normalize([0], [1])(images)
    with pytest.raises(TypeError, match="uint8"):
        T.Normalize([0, 0], [1, 1])(images.astype(np.uint8))


def test_pictures_of_other_libraries():
    pixels = batch(4, 5, 3, dtype=np.uint8)
    for given_as in (pixels, pytest.importorskip("PIL.Image").fromarray(pixels)):
        result = T.ToTensor()(given_as)
        np.testing.assert_array_equal(result.numpy(), (pixels.transpose(2, 0, 1) / 255).astype(np.float32))
        assert result.dtype == np.float32
    assert T.ToTensor()(pixels[:, :, 0]).shape == (1, 4, 5)
    assert T.ToTensor()(batch(4, 5, 1)).dtype == np.float64
    with pytest.raises(ValueError, match="ToDtype"):
        T.ToTensor()(np.zeros((1, 28, 28), np.uint8))


def test_dtypes_with_their_ranges():
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    floats = T.ToDtype(np.float32, scale=True)(values)
    np.testing.assert_array_equal(floats, (values / 255).astype(np.float32))
    np.testing.assert_array_equal(T.ToDtype(np.uint8, scale=True)(floats), values)
    assert T.ToDtype(np.float64)(values).max() == 255
    assert T.ToDtype(np.float64, scale=True)(floats).dtype == np.float64
    with pytest.raises(ValueError, match="0 to 1"):
        T.ToDtype(np.uint8, scale=True)(np.full((1, 2, 2), 1.5))
    with pytest.raises(ValueError, match="0 to 1"):
        T.ToDtype(np.uint8, scale=True)(np.full((1, 2, 2), np.nan))
    with pytest.raises(TypeError, match="from integers to floats or back"):
        T.ToDtype(np.uint16, scale=True)(values)
    with pytest.raises(TypeError, match="32 bits"):
        T.ToDtype(np.int64, scale=True)(floats)
    with pytest.raises(TypeError, match="complex"):
        T.ToDtype(complex)


def test_noise():
    images = np.full((200, 1, 10, 10), 0.5, np.float32)
    result = T.GaussianNoise(0.1, 0.05, generator=rng())(images)
    assert result.dtype == np.float32
    assert abs(result.mean() - 0.6) < 0.005
    assert abs(result.std() - 0.05) < 0.002
    assert T.GaussianNoise(sigma=3, generator=rng())(images).max() == 1
    assert T.GaussianNoise(sigma=3, clip=False, generator=rng())(images).max() > 3
    with pytest.raises(TypeError, match="uint8"):
        T.GaussianNoise()(images.astype(np.uint8))


def test_functions_of_one_picture():
    images = batch(3, 1, 4, 4)
    shapes = []

    def look(image):
        shapes.append(image.shape)
        return image[:, :2]

    steps = T.Compose([look, T.Lambda(look), T.Lambda(lambda many: many * 2, batched=True)])
    np.testing.assert_array_equal(steps(images), images[:, :, :2] * 2)
    assert shapes == [(1, 4, 4)] * 3 + [(1, 2, 4)] * 3
    assert type(steps(tg.tensor(images))) is tg.Tensor
    for kind in (T.Compose, T.RandomApply):
        with pytest.raises(TypeError, match="cannot be called"):
            kind([1])
    with pytest.raises(TypeError, match="cannot be called"):
        T.Lambda(1)


def test_applied_to_some():
    images = batch(400, 1, 2, 2)
    result = T.RandomApply([lambda image: image + 1], 0.25, generator=rng())(images)
    changed = (result != images).any(axis=(1, 2, 3))
    np.testing.assert_allclose(result - changed[:, None, None, None], images)
    assert abs(changed.mean() - 0.25) < 0.06
    with pytest.raises(ValueError, match="another shape"):
        T.RandomApply([T.CenterCrop(1)], 1)(images)
    with pytest.raises(NotImplementedError, match="apply"):
        T.Transform()(images)
