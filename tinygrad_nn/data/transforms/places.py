"""Transforms that move whole pixels: flips, crops, shifts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Transform, pair, probability, whole

if TYPE_CHECKING:
    import numpy.typing as npt

MODES = ("constant", "edge", "reflect", "symmetric")


class _Flip(Transform):
    axis: int

    def __init__(self, p: float = 0.5, *, generator: Any = None) -> None:
        super().__init__(generator=generator)
        self.p = probability(p, type(self).__name__)

    def apply(self, images: npt.NDArray[Any]) -> Any:
        chosen = self.rng.random(len(images)) < self.p
        result = images.copy()
        result[chosen] = np.flip(images[chosen], self.axis)
        return result


class RandomHorizontalFlip(_Flip):
    """Left and right exchanged, with probability p for each picture.

    Parameters
    ----------
    p : float
    generator : numpy.random.Generator, optional
        The default one unless given.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn.data import transforms
    >>> transforms.RandomHorizontalFlip(p=1)(np.array([[[1, 2, 3]]]))
    array([[[3, 2, 1]]])
    """

    axis = 3


class RandomVerticalFlip(_Flip):
    """Top and bottom exchanged, with probability p for each picture.

    Parameters
    ----------
    p : float
    generator : numpy.random.Generator, optional
        The default one unless given.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn.data import transforms
    >>> transforms.RandomVerticalFlip(p=1)(np.array([[[1], [2]]]))
    array([[[2],
            [1]]])
    """

    axis = 2


class Pad(Transform):
    """A border around each picture.

    Parameters
    ----------
    padding : int or sequence of int
        For all sides; for (left and right, top and bottom); or for (left, top, right, bottom).
    fill : float
        The border's value.
    padding_mode : {"constant", "edge", "reflect", "symmetric"}
        What the border holds: `fill`, the outermost pixels, or the picture mirrored without or with its outermost row.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn.data import transforms
    >>> transforms.Pad((1, 0))(np.array([[[1, 2]]]))
    array([[[0, 1, 2, 0]]])
    """

    def __init__(self, padding: Any, fill: float = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        self.padding, self.fill, self.padding_mode = sides(padding, "Pad"), fill, mode(padding_mode, "Pad")

    def apply(self, images: npt.NDArray[Any]) -> Any:
        return padded(images, self.padding, self.fill, self.padding_mode)


class CenterCrop(Transform):
    """The middle of each picture; what is smaller gets a border of zeros first.

    Parameters
    ----------
    size : int or (int, int)
        (height, width), or both.
    """

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = pair(size, "CenterCrop", "size")

    def apply(self, images: npt.NDArray[Any]) -> Any:
        (height, width), (h, w) = images.shape[2:], self.size
        above, left = max(h - height, 0) // 2, max(w - width, 0) // 2
        border = left, above, max(w - width, 0) - left, max(h - height, 0) - above
        images = padded(images, border, 0, "constant")
        # Half to even, as round() does, is where torchvision puts an odd remainder.
        top, left = (round((have - want) / 2) for have, want in zip(images.shape[2:], self.size))
        return images[:, :, top : top + h, left : left + w].copy()


class RandomCrop(Transform):
    """A part of each picture, at a random place.

    Parameters
    ----------
    size : int or (int, int)
        (height, width), or both.
    padding : int or sequence of int, optional
        A border to put around first, as for `Pad`.
    pad_if_needed : bool
        Put a border around pictures that are smaller than `size`.
    fill : float
    padding_mode : {"constant", "edge", "reflect", "symmetric"}
    generator : numpy.random.Generator, optional
        The default one unless given.

    Raises
    ------
    ValueError
        If the pictures are smaller than `size`.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn.data import transforms
    >>> transforms.RandomCrop(28, padding=2)(np.zeros((16, 1, 28, 28))).shape
    (16, 1, 28, 28)
    """

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: float = 0,
        padding_mode: str = "constant",
        *,
        generator: Any = None,
    ) -> None:
        super().__init__(generator=generator)
        self.size = pair(size, "RandomCrop", "size")
        self.padding = None if padding is None else sides(padding, "RandomCrop")
        self.pad_if_needed, self.fill, self.padding_mode = pad_if_needed, fill, mode(padding_mode, "RandomCrop")

    def apply(self, images: npt.NDArray[Any]) -> Any:
        if self.padding is not None:
            images = padded(images, self.padding, self.fill, self.padding_mode)
        height, width = (max(want - have, 0) for have, want in zip(images.shape[2:], self.size))
        if (height or width) and not self.pad_if_needed:
            raise ValueError(
                f"RandomCrop: pictures of {images.shape[2:]} have no part of {self.size}; give padding, or "
                "pad_if_needed=True"
            )
        images = padded(images, (width, height, width, height), self.fill, self.padding_mode)
        return cropped(images, self.size, self.rng)


class RandomShift(Transform):
    """Each picture moved by whole pixels, up to a number of them in every direction; what leaves does not come back.

    Parameters
    ----------
    shift : int or (int, int)
        The most pixels, both ways: (down or up, left or right), or both.
    fill : float
        What comes in from outside.
    generator : numpy.random.Generator, optional
        The default one unless given.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn.data import transforms
    >>> shifted = transforms.RandomShift((0, 1), generator=np.random.default_rng(1))
    >>> shifted(np.array([[[1, 2, 3]]] * 3)[:, None])[:, 0, 0]
    array([[1, 2, 3],
           [1, 2, 3],
           [2, 3, 0]])
    """

    def __init__(self, shift: Any, fill: float = 0, *, generator: Any = None) -> None:
        super().__init__(generator=generator)
        self.shift, self.fill = pair(shift, "RandomShift", "shift", 0), fill

    def apply(self, images: npt.NDArray[Any]) -> Any:
        vertical, horizontal = self.shift
        around = padded(images, (horizontal, vertical, horizontal, vertical), self.fill, "constant")
        return cropped(around, images.shape[2:], self.rng)


def sides(padding: Any, what: str) -> tuple[int, int, int, int]:
    """(left, top, right, bottom)."""
    values = whole(padding, 0)
    if values is None or len(values) not in (1, 2, 4):
        raise ValueError(
            f"{what}: padding is a whole number, two for (left and right, top and bottom), or four for (left, top, "
            f"right, bottom), none negative; not {padding!r}"
        )
    left, top, right, bottom = (values * (4 // len(values)))[:4]
    return left, top, right, bottom


def mode(name: str, what: str) -> str:
    if name not in MODES:
        raise ValueError(f"{what}: padding_mode is one of {', '.join(MODES)}, not {name!r}")
    return name


def padded(images: npt.NDArray[Any], around: tuple[int, int, int, int], fill: float, name: str) -> npt.NDArray[Any]:
    """Pictures with a border of (left, top, right, bottom) pixels."""
    left, top, right, bottom = around
    if not any(around):
        return images
    settings: dict[str, Any] = {"constant_values": as_pixel(fill, images.dtype)} if name == "constant" else {}
    return np.pad(images, [(0, 0), (0, 0), (top, bottom), (left, right)], mode=name, **settings)  # type: ignore[call-overload,no-any-return]


def as_pixel(fill: float, dtype: np.dtype[Any]) -> Any:
    """`fill` as an element of pictures of a dtype, if it is one."""
    if dtype.kind in "iu" and not (float(fill).is_integer() and np.iinfo(dtype).min <= fill <= np.iinfo(dtype).max):
        raise ValueError(f"fill={fill!r} is no {dtype}, which these pictures are made of")
    return dtype.type(fill)


def cropped(images: npt.NDArray[Any], size: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[Any]:
    """A window of each picture, at a place of its own."""
    high = [have - want + 1 for have, want in zip(images.shape[2:], size)]
    top, left = (rng.integers(n, size=len(images)) for n in high)
    windows = np.lib.stride_tricks.sliding_window_view(images, size, axis=(2, 3))
    return np.ascontiguousarray(windows[np.arange(len(images)), :, top, left])
