"""Pictures in files: read into arrays, written, and folders of them as datasets. Needs Pillow: the extra ``images``."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.files import write_whole
from ..tensor.creation import wrap
from ..tensor.tensor import Tensor
from .dataset import Dataset
from .transformed import transformed
from .transforms.base import pair, plain
from .transforms.pixels import pixel_dtype, unit_range

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from .idx import PathLike

#: Endings of files that `ImageFolder` takes for pictures.
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def read_image(
    path: PathLike,
    size: int | tuple[int, int] | None = None,
    mode: str = "RGB",
    dtype: npt.DTypeLike = np.float32,
    *,
    channels_last: bool = False,
    flatten: bool = False,
) -> npt.NDArray[Any]:
    """A picture as an array, or as a vector.

    Parameters
    ----------
    path : path
        A file that Pillow reads. A camera's mark that it lies on its side is obeyed.
    size : int or (int, int), optional
        Resize it to (height, width), or both; bilinear, with all pixels that a new one covers taken into it. As it is,
        unless given: the shape is not kept in proportion.
    mode : {"RGB", "L", "RGBA"}
        Colours, grey, or colours and opacity; a file of another kind is converted.
    dtype : dtype
        A float type for values in [0, 1] (the bytes divided by 255), or uint8 for the bytes themselves.
    channels_last : bool
        Shape (H, W, C), as other libraries draw pictures, instead of (C, H, W), as layers take them.
    flatten : bool
        A vector of C·H·W numbers; of (C, H, W), all of red first, then green, then blue.

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    ValueError
        If the file holds no picture, or one of more than 8 bits a channel.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from tinygrad_nn import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "cat.png")
    ...     data.save_image(np.full((3, 128, 128), 1.0), file)
    ...     data.read_image(file).shape, data.read_image(file, 64, flatten=True).shape
    ((3, 128, 128), (12288,))
    """
    if mode not in ("RGB", "L", "RGBA"):
        raise ValueError(f"read_image: mode must be RGB, L or RGBA, not {mode!r}")
    wanted = pixel_dtype(dtype, "read_image")
    array: npt.NDArray[Any] = _bytes(path, None if size is None else pair(size, "read_image", "size"), mode)
    if not channels_last:
        array = np.ascontiguousarray(array.transpose(2, 0, 1))
    if wanted.kind == "f":
        array = unit_range(array, wanted)
    return array.ravel() if flatten else array


def _bytes(path: PathLike, size: tuple[int, int] | None, mode: str) -> npt.NDArray[np.uint8]:
    """(H, W, C) of a file."""
    image_module = _pillow()
    from PIL import ImageOps

    try:
        with image_module.open(path) as file:
            if file.mode.startswith(("I", "F")):
                raise ValueError(
                    f"read_image: {os.fspath(path)} has more than 8 bits a channel (Pillow's mode {file.mode}), which "
                    "would be cut off; read it with Pillow and scale it yourself"
                )
            picture = ImageOps.exif_transpose(file).convert(mode)
    except image_module.UnidentifiedImageError as error:
        raise ValueError(f"read_image: {os.fspath(path)} holds no picture that Pillow knows") from error
    except (OSError, SyntaxError) as error:
        if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError):
            raise
        raise ValueError(f"read_image: {os.fspath(path)} is damaged or cut off: {error}") from error
    if size is not None and size != (picture.height, picture.width):
        picture = picture.resize(size[::-1], image_module.Resampling.BILINEAR)
    array: npt.NDArray[np.uint8] = np.array(picture)
    return array if array.ndim == 3 else array[:, :, None]


def save_image(image: Any, path: PathLike, nrow: int = 8, padding: int = 2) -> None:
    """Write a picture, or a batch of them as one picture in rows.

    Parameters
    ----------
    image : array_like
        (C, H, W) or (H, W), or a batch (N, C, H, W), with 1, 3 or 4 channels; floats from 0 to 1, beyond which they are
        cut off, or uint8.
    path : path
        Its ending tells the format.
    nrow, padding : int
        Pictures of a batch in a row, and black pixels around each.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from tinygrad_nn import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "digits.png")
    ...     data.save_image(np.ones((10, 1, 28, 28)), file, nrow=5, padding=1)
    ...     data.read_image(file, mode="L").shape
    (1, 59, 146)
    """
    array = plain(image.detach() if isinstance(image, Tensor) else image, "save_image")
    if array.ndim == 2:
        array = array[None]
    if array.ndim == 4 and array.size:
        array = _grid(array, nrow, padding)
    if array.ndim != 3 or array.shape[0] not in (1, 3, 4) or not array.size:
        raise ValueError(
            f"save_image: a picture is (C, H, W) with 1, 3 or 4 channels, or (H, W), not {np.shape(image)}"
        )
    if array.dtype.kind == "f":
        if np.isnan(array).any():
            raise ValueError("save_image: the picture has NaN in it")
        array = np.rint(array.clip(0, 1) * np.float64(255)).astype(np.uint8)
    if array.dtype != np.uint8:
        raise TypeError(f"save_image: pixels are floats from 0 to 1 or uint8, not {array.dtype}")
    last = array.transpose(1, 2, 0)
    module, suffix = _pillow(), Path(path).suffix.lower()
    kind = module.registered_extensions().get(suffix)
    if kind is None:
        raise ValueError(f"save_image: Pillow has no kind of file for {suffix or 'a name without an ending'!r}")
    content = BytesIO()
    module.fromarray(np.ascontiguousarray(last[:, :, 0] if last.shape[2] == 1 else last)).save(content, kind)
    write_whole(path, content.getvalue())


def _grid(images: npt.NDArray[Any], nrow: int, padding: int) -> npt.NDArray[Any]:
    """Pictures in rows, as one."""
    if nrow < 1 or padding < 0:
        raise ValueError(f"save_image: nrow must be at least 1 and padding not negative, not {nrow} and {padding}")
    count, channels, height, width = images.shape
    columns = min(nrow, count)
    rows = -(-count // columns)
    cells = np.zeros((rows * columns, channels, height + padding, width + padding), images.dtype)
    cells[:count, :, padding:, padding:] = images
    cells = cells.reshape(rows, columns, *cells.shape[1:]).transpose(2, 0, 3, 1, 4)
    joined = cells.reshape(channels, rows * (height + padding), columns * (width + padding))
    return np.pad(joined, [(0, 0), (0, padding), (0, padding)])


class ImageFolder(Dataset):
    """Pictures in a folder for each class: ``root/cat/1.png``, ``root/dog/7.jpg``, and so on below.

    Parameters
    ----------
    root : path
    transform, target_transform : callable, optional
        For the pictures and the labels; one of `data.transforms` is put to whole batches.
    loader : callable, optional
        Reads a path; `read_image` with the settings below unless given.
    is_valid_file : callable, optional
        Tells of a path whether it is to be taken; by its ending (jpg, png, …) unless given.
    allow_empty : bool
        Whether a class may have no picture.
    size, mode, dtype
        As for `read_image`; pictures of different sizes need `size` to be put into a batch.

    Attributes
    ----------
    classes : list of str
        The folders' names in order.
    class_to_idx : dict
        The label, a number, of each.
    samples : list of (str, int)
        Path and label of all pictures.

    Raises
    ------
    FileNotFoundError
        If there is no folder in `root`, or a class has no picture.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from tinygrad_nn import data
    >>> folder = tempfile.TemporaryDirectory()
    >>> for name, shade in {"night": 0.0, "noon": 1.0}.items():
    ...     pathlib.Path(folder.name, name).mkdir()
    ...     data.save_image(np.full((3, 100, 80), shade), pathlib.Path(folder.name, name, "1.png"))
    >>> pictures = data.ImageFolder(folder.name, size=64)
    >>> images, labels = pictures[:]
    >>> pictures.classes, images.shape, labels
    (['night', 'noon'], (2, 3, 64, 64), tensor([0, 1]))
    >>> folder.cleanup()
    """

    def __init__(
        self,
        root: PathLike,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
        *,
        size: int | tuple[int, int] | None = None,
        mode: str = "RGB",
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.root, self.transform, self.target_transform = os.fspath(root), transform, target_transform
        self.loader, self.size, self.mode, self.dtype = loader, size, mode, np.dtype(dtype)
        self.classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
        if not self.classes:
            raise FileNotFoundError(f"ImageFolder: {self.root} holds no folders; there must be one for each class")
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        self.samples: list[tuple[str, int]] = []
        for name, label in self.class_to_idx.items():
            files = [str(path) for path in sorted(Path(root, name).rglob("*")) if path.is_file()]
            taken = [path for path in files if (is_valid_file or _is_picture)(path)]
            if not taken and not allow_empty:
                raise FileNotFoundError(
                    f"ImageFolder: {Path(root, name)} holds no pictures ({', '.join(ENDINGS)}); "
                    "allow_empty=True allows that"
                )
            self.samples += [(path, label) for path in taken]
        self.targets = [label for _, label in self.samples]

    @property
    def imgs(self) -> list[tuple[str, int]]:
        """The samples, by the name that they have in torchvision too."""
        return self.samples

    def _read(self, index: int) -> Any:
        path = self.samples[index][0]
        return self.loader(path) if self.loader else read_image(path, self.size, self.mode, self.dtype)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, int | np.integer):
            return self.batch(np.arange(len(self))[index])
        sample = self._read(int(index)), wrap(np.asarray(self.samples[index][1]))
        if isinstance(sample[0], np.ndarray):
            sample = Tensor(sample[0]), sample[1]
        return transformed(sample, self.transform, self.target_transform, False)

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        return f"ImageFolder({self.root!r}): {len(self)} pictures of {len(self.classes)} classes"


def _is_picture(path: str) -> bool:
    return path.lower().endswith(ENDINGS)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("pictures are read and written by Pillow: pip install 'tinygrad_nn[images]'") from error
    return Image
