"""Transforms that turn, move, stretch and shear pictures, and read them between their pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Transform
from .places import as_pixel

if TYPE_CHECKING:
    import numpy.typing as npt

INTERPOLATIONS = ("nearest", "bilinear")


class RandomAffine(Transform):
    """Each picture turned, moved, scaled and sheared at random about its centre, in one step.

    Parameters
    ----------
    degrees : float or (float, float)
        The angle is uniform between these, or between −degrees and degrees; clockwise, as torchvision has it here.
    translate : (float, float), optional
        The most that pictures move, to the left or right and up or down, as fractions of their width and height.
        Moves are by whole pixels.
    scale : (float, float), optional
        The factor is uniform between these.
    shear : float or sequence of float, optional
        Angles in degrees, uniform: ±shear along x; (low, high) along x; or (low x, high x, low y, high y).
    interpolation : {"bilinear", "nearest"}
        How values between pixels are read: mixed from the four around, or that of the nearest. torchvision takes the
        nearest unless told, which is coarse on small pictures.
    fill : float
        What comes in from outside.
    center : (float, float), optional
        The point (x, y) that stays, from the upper left corner, instead of the middle.
    generator : numpy.random.Generator, optional
        The default one unless given.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn.data import transforms
    >>> wobble = transforms.RandomAffine(10, translate=(0.1, 0.1), scale=(0.9, 1.1))
    >>> wobble(np.zeros((16, 1, 28, 28), np.float32)).shape
    (16, 1, 28, 28)
    """

    def __init__(
        self,
        degrees: Any,
        translate: tuple[float, float] | None = None,
        scale: tuple[float, float] | None = None,
        shear: Any = None,
        interpolation: str = "bilinear",
        fill: float = 0,
        center: tuple[float, float] | None = None,
        *,
        generator: Any = None,
    ) -> None:
        super().__init__(generator=generator)
        self.degrees = interval(degrees, "RandomAffine", "degrees")
        if translate is not None and not (np.shape(translate) == (2,) and all(0 <= t <= 1 for t in translate)):
            raise ValueError(f"RandomAffine: translate is two fractions of (width, height), not {translate!r}")
        if scale is not None and not (np.shape(scale) == (2,) and 0 < scale[0] <= scale[1] < np.inf):
            raise ValueError(f"RandomAffine: scale is (smallest, largest), greater than 0, not {scale!r}")
        self.translate, self.scale = translate, scale
        self.shear = None if shear is None else _shears(shear)
        self.interpolation, self.fill, self.center = checked(interpolation, "RandomAffine"), fill, center

    def apply(self, images: npt.NDArray[Any]) -> Any:
        count, (height, width), rng = len(images), images.shape[2:], self.rng
        turn = inverse_turn(rng.uniform(*self.degrees, count))
        if self.shear is not None:
            x, y = (np.tan(np.radians(rng.uniform(low, high, count))) for low, high in self.shear)
            # A point is first sheared along x, then along y, then turned; here all of it undone.
            one, zero = np.ones(count), np.zeros(count)
            turn = _matrices(one, x, zero, one) @ _matrices(one, zero, y, one) @ turn
        if self.scale is not None:
            turn = turn / rng.uniform(*self.scale, count)[:, None, None]
        moved = np.zeros((count, 2))
        if self.translate is not None:
            most = np.multiply(self.translate, (width, height))
            moved = np.rint(rng.uniform(-most, most, (count, 2)))
        return resample(images, turn, moved, self.center, self.interpolation, self.fill)


class RandomRotation(Transform):
    """Each picture turned about its centre by a random angle; what comes in at the corners is `fill`.

    Parameters
    ----------
    degrees : float or (float, float)
        The angle is uniform between these, or between −degrees and degrees; counter-clockwise. A turn by 90° is exact.
    interpolation : {"bilinear", "nearest"}
        How values between pixels are read: mixed from the four around, or that of the nearest. torchvision takes the
        nearest unless told, which is coarse on small pictures.
    fill : float
    center : (float, float), optional
        The point (x, y) that stays, from the upper left corner, instead of the middle.
    generator : numpy.random.Generator, optional
        The default one unless given.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn.data import transforms
    >>> transforms.RandomRotation((90, 90))(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    array([[[2., 4.],
            [1., 3.]]])
    """

    def __init__(
        self,
        degrees: Any,
        interpolation: str = "bilinear",
        *,
        center: tuple[float, float] | None = None,
        fill: float = 0,
        generator: Any = None,
    ) -> None:
        super().__init__(generator=generator)
        self.degrees = interval(degrees, "RandomRotation", "degrees")
        self.interpolation, self.fill, self.center = checked(interpolation, "RandomRotation"), fill, center

    def apply(self, images: npt.NDArray[Any]) -> Any:
        turn = inverse_turn(-self.rng.uniform(*self.degrees, len(images)))
        return resample(images, turn, np.zeros((len(images), 2)), self.center, self.interpolation, self.fill)


def interval(value: Any, what: str, name: str) -> tuple[float, float]:
    """(low, high) of two numbers, or of one that is meant both ways."""
    low, high = (-value, value) if np.ndim(value) == 0 else value if np.shape(value) == (2,) else (1, 0)
    if not (np.isfinite([low, high]).all() and low <= high):
        raise ValueError(f"{what}: {name} is a number that is not negative, or (low, high), not {value!r}")
    return float(low), float(high)


def checked(interpolation: str, what: str) -> str:
    # torchvision's InterpolationMode has the name for its value.
    name = getattr(interpolation, "value", interpolation)
    if name not in INTERPOLATIONS:
        raise ValueError(f"{what}: interpolation is one of {', '.join(INTERPOLATIONS)}, not {interpolation!r}")
    return str(name)


def _shears(shear: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    if np.ndim(shear) == 1 and len(shear) == 4:
        x, y = (interval(part, "RandomAffine", "shear") for part in (shear[:2], shear[2:]))
    else:
        x, y = interval(shear, "RandomAffine", "shear"), (0.0, 0.0)
    if max(map(abs, (*x, *y))) >= 90:
        raise ValueError(f"RandomAffine: shear is by less than 90 degrees, not {shear!r}")
    return x, y


def _matrices(a: Any, b: Any, c: Any, d: Any) -> npt.NDArray[np.float64]:
    return np.stack([a, b, c, d], axis=-1).reshape(-1, 2, 2)


def inverse_turn(degrees: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What undoes turns of (x, y) clockwise, with y downwards: matrices (N, 2, 2), exact at multiples of 90°."""
    quarters, rest = np.divmod(degrees, 90.0)
    cos, sin = np.cos(np.radians(rest)), np.sin(np.radians(rest))
    quarter = quarters.astype(np.int64) % 4
    cos, sin = (np.choose(quarter, choices) for choices in ((cos, -sin, -cos, sin), (sin, cos, -sin, -cos)))
    return _matrices(cos, sin, -sin, cos)


#: Pixels that are worked on together: few enough to stay in a cache, enough to make calls worth it.
_BLOCK = 65536


def resample(
    images: npt.NDArray[Any],
    inverse: npt.NDArray[np.float64],
    moved: npt.NDArray[np.float64],
    center: tuple[float, float] | None,
    interpolation: str,
    fill: float,
) -> npt.NDArray[Any]:
    """Pictures (N, C, H, W) read where a matrix each, (N, 2, 2), leads from the pixels (x, y) of the result.

    `moved` is by how much, (N, 2), each result is moved in the end.
    """
    count, channels, height, width = images.shape
    middle = ((width - 1) / 2, (height - 1) / 2) if center is None else (center[0] - 0.5, center[1] - 0.5)
    pixel = as_pixel(fill, images.dtype)
    result = np.empty_like(images, order="C")
    together = max(1, _BLOCK // max(1, channels * height * width))
    for start in range(0, count, together):
        block = slice(start, start + together)
        px, py = _places(inverse[block], moved[block], middle, (width, height))
        result[block] = _read(images[block], px, py, interpolation == "nearest", pixel)
    return result


def _places(inverse: Any, moved: Any, middle: tuple[float, float], size: tuple[int, ...]) -> Any:
    """Where each pixel of the results comes from: columns and rows, (N, H, W) both."""
    x, y = (np.arange(n) - m - by[:, None] for n, m, by in zip(size, middle, moved.T))
    return ((inverse[:, i, :1] * x + middle[i])[:, None, :] + (inverse[:, i, 1:] * y)[:, :, None] for i in range(2))


def _read(images: npt.NDArray[Any], px: Any, py: Any, nearest: bool, fill: Any) -> npt.NDArray[Any]:
    """The values of pictures at places."""
    count, channels, height, width = images.shape
    # Pixels of `fill` around, to which all that lies farther out is drawn back; two where the next pixel is read too.
    around = np.pad(images, [(0, 0), (0, 0), (1, 2), (1, 2)], constant_values=fill)
    for places, last in ((px, width + 1), (py, height + 1)):
        places += 1.5 if nearest else 1.0
        np.clip(places, 0, last, out=places)
    left, top = px.astype(np.intp), py.astype(np.intp)
    row_length = width + 3
    planes = np.arange(count * channels).reshape(count, channels, 1, 1) * (row_length * (height + 3))
    corner = (top * row_length + left)[:, None] + planes
    if nearest:
        result: npt.NDArray[Any] = np.take(around, corner)
        return result
    px -= left
    py -= top
    return _mixed(around.ravel(), corner, row_length, px[:, None], py[:, None])


def _mixed(flat: npt.NDArray[Any], corner: Any, row_length: int, wx: Any, wy: Any) -> npt.NDArray[Any]:
    """Four pixels mixed: one at `corner`, the next in its row, and those below; `wx` and `wy` say how far on it is."""
    dtype = flat.dtype if flat.dtype.kind == "f" else np.dtype(np.float64)
    wx, wy = wx.astype(dtype, copy=False), wy.astype(dtype, copy=False)

    def between(here: Any, there: Any, weight: Any) -> Any:
        there -= here  # in place, as each pass over the pixels counts
        there *= weight
        there += here
        return there

    def at(start: int) -> Any:
        return np.take(flat[start:], corner).astype(dtype, copy=False)

    mixed: npt.NDArray[Any] = between(between(at(0), at(1), wx), between(at(row_length), at(row_length + 1), wx), wy)
    return (mixed if flat.dtype.kind == "f" else np.rint(mixed)).astype(flat.dtype, copy=False)
