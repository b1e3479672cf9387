"""Transforms of the values of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...tensor.tensor import Tensor
from .base import Transform, plain

if TYPE_CHECKING:
    import numpy.typing as npt


class ToTensor:
    """A picture as it is read, (H, W, C) or (H, W), as a Tensor (C, H, W); bytes become float32 in [0, 1].

    For what other libraries read: Pillow's images, and arrays with the channels last. `read_image` and the datasets
    here give (C, H, W) already; for bytes in that order there is ``ToDtype(np.float32, scale=True)``.

    Raises
    ------
    ValueError
        If the last axis is not 1 to 4 channels.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn.data import transforms
    >>> transforms.ToTensor()(np.full((64, 48, 3), 255, np.uint8)).shape
    (3, 64, 48)
    """

    def __call__(self, picture: Any) -> Tensor:
        array = plain(picture, "ToTensor")
        if array.ndim == 2:
            array = array[:, :, None]
        if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
            raise ValueError(
                f"ToTensor: a picture is (height, width) or (height, width, channels), with 1 to 4 channels, not "
                f"{array.shape}; one that is (C, H, W) already takes ToDtype(np.float32, scale=True)"
            )
        array = array.transpose(2, 0, 1)
        if array.dtype == np.uint8:
            return Tensor(unit_range(array, np.dtype(np.float32)))
        return Tensor(np.array(array, order="C"))

    def __repr__(self) -> str:
        return "ToTensor()"


def pixel_dtype(dtype: npt.DTypeLike, what: str) -> np.dtype[Any]:
    """The dtype of pictures that are read from bytes."""
    wanted = np.dtype(dtype)
    if wanted != np.uint8 and wanted.kind != "f":
        raise TypeError(f"{what}: dtype must be a float type, for values in [0, 1], or uint8, not {wanted}")
    return wanted


def unit_range(images: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Pictures of an integer type as floats in [0, 1]: divided, so that every value is the nearest to what is meant."""
    wide = np.promote_types(dtype, np.float32)
    values: npt.NDArray[Any] = np.divide(images, np.iinfo(images.dtype).max, dtype=wide)
    return values.astype(dtype, copy=False)


class ToDtype(Transform):
    """Pictures in another dtype.

    Parameters
    ----------
    dtype : dtype
    scale : bool
        Let the whole range of an integer type stand for [0, 1] of a float type, and the other way round.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn.data import transforms
    >>> transforms.ToDtype(np.uint8, scale=True)(np.array([[[0.0, 0.5, 1.0]]]))
    array([[[  0, 128, 255]]], dtype=uint8)
    """

    def __init__(self, dtype: npt.DTypeLike, scale: bool = False) -> None:
        super().__init__()
        self.dtype, self.scale = np.dtype(dtype), scale
        if self.dtype.kind not in "iuf":
            raise TypeError(f"ToDtype: pixels are integers or floats, not {self.dtype}")

    def apply(self, images: npt.NDArray[Any]) -> Any:
        if not self.scale or images.dtype == self.dtype or images.dtype.kind == self.dtype.kind == "f":
            return images.astype(self.dtype)
        if self.dtype.kind == "f" and images.dtype.kind in "iu":
            return unit_range(images, self.dtype)
        if self.dtype.kind in "iu" and images.dtype.kind == "f":
            if images.size and not (images.min() >= 0 and images.max() <= 1):
                raise ValueError(f"ToDtype: values from 0 to 1 become {self.dtype}; these are not all in that range")
            if self.dtype.itemsize > 4:  # the largest of these numbers is none that a float has
                raise TypeError(f"ToDtype: scale=True makes integers of at most 32 bits, not {self.dtype}")
            return np.rint(images * np.float64(np.iinfo(self.dtype).max)).astype(self.dtype)
        raise TypeError(
            f"ToDtype: scale=True goes from integers to floats or back, not from {images.dtype} to {self.dtype}"
        )


class Normalize(Transform):
    """(x − mean) / std, with a mean and a standard deviation for each channel.

    Parameters
    ----------
    mean, std : sequence of float
        One for each channel.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn.data import transforms
    >>> transforms.Normalize([0.5], [0.25])(np.float32([[[0.0, 0.5, 1.0]]]))
    array([[[-2.,  0.,  2.]]], dtype=float32)
    """

    def __init__(self, mean: Any, std: Any) -> None:
        super().__init__()
        self.mean, self.std = [float(m) for m in np.ravel(mean)], [float(s) for s in np.ravel(std)]
        if len(self.mean) != len(self.std):
            raise ValueError(f"Normalize: {len(self.mean)} means, but {len(self.std)} standard deviations")
        if not all(s > 0 for s in self.std):
            raise ValueError(f"Normalize: standard deviations must be greater than 0, not {self.std}")

    def apply(self, images: npt.NDArray[Any]) -> Any:
        if images.dtype.kind != "f":
            raise TypeError(
                f"Normalize: pixels must be floats, not {images.dtype}: put ToDtype(np.float32, True) before"
            )
        if images.shape[1] != len(self.mean):
            raise ValueError(f"Normalize: {len(self.mean)} means for {images.shape[1]} channels; give one for each")
        mean, std = (np.asarray(values, images.dtype)[:, None, None] for values in (self.mean, self.std))
        result = images - mean
        result /= std
        return result


class Flatten(Transform):
    """Pictures as vectors: (N, C, H, W) becomes (N, C·H·W), all of the first channel first.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn.data import transforms
    >>> transforms.Flatten()(np.zeros((3, 64, 64))).shape
    (12288,)
    """

    def apply(self, images: npt.NDArray[Any]) -> Any:
        return images.reshape(len(images), int(np.prod(images.shape[1:])))


class GaussianNoise(Transform):
    """Normal noise added to each pixel.

    Parameters
    ----------
    mean, sigma : float
    clip : bool
        Keep the values in [0, 1].
    generator : numpy.random.Generator, optional
        The default one unless given.
    """

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True, *, generator: Any = None) -> None:
        super().__init__(generator=generator)
        if not sigma >= 0:
            raise ValueError(f"GaussianNoise: sigma is a standard deviation, so it is not negative; it is {sigma!r}")
        self.mean, self.sigma, self.clip = float(mean), float(sigma), clip

    def apply(self, images: npt.NDArray[Any]) -> Any:
        if images.dtype.kind != "f":
            raise TypeError(f"GaussianNoise: pixels must be floats in [0, 1], not {images.dtype}")
        drawn = np.float32 if images.dtype.itemsize <= 4 else np.float64
        noise = self.rng.standard_normal(images.shape, drawn) * drawn(self.sigma) + drawn(self.mean)
        result = (images + noise).astype(images.dtype, copy=False)
        return result.clip(0, 1) if self.clip else result
