"""MNIST and the sets of pictures that come in the same files: 28×28 grey pictures of ten classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .dataset import TensorDataset
from .idx import read_idx, unpacked_digest
from .transformed import transformed
from .transforms.base import Compose
from .transforms.pixels import Flatten, pixel_dtype, unit_range

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ..tensor.tensor import Tensor
    from .dataset import Indices
    from .idx import PathLike

_PARTS = {"train": "train", "test": "t10k"}
#: Folders below the one that a user names where the files may lie; the last two are torchvision's.
_FOLDERS = ("", "raw", "{folder}/raw")


@dataclass(frozen=True)
class Family:
    """What is known of a set: its name, classes, addresses, and checksums of the four files.

    `checksums` are of the files as they are served; `contents`, where known, SHA-256 of what is in them, which is the
    same for every copy however it is compressed.
    """

    title: str
    folder: str
    classes: tuple[str, ...]
    mirrors: tuple[str, ...]
    checksums: dict[str, str]
    contents: dict[str, str]


_IMAGES, _LABELS = "{part}-images-idx3-ubyte", "{part}-labels-idx1-ubyte"


def _four(*values: str) -> dict[str, str]:
    names = [name.format(part=part) for part in _PARTS.values() for name in (_IMAGES, _LABELS)]
    return dict(zip(names, values))


FAMILIES = {
    "mnist": Family(
        "MNIST",
        "MNIST",
        tuple("0123456789"),
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        _four(
            "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
        _four(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "fashion": Family(
        "Fashion-MNIST",
        "FashionMNIST",
        (
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
            "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        _four(
            "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "md5:25c81989df183df01b3e8a0aad5dffbe",
            "md5:bef4ecab320f06d8554ea6380940ec79",
            "md5:bb300cfdad3c16e7a12a480ee83cd310",
        ),
        {},
    ),
    "kmnist": Family(
        "Kuzushiji-MNIST",
        "KMNIST",
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        _four(
            "md5:bdb82020997e1d708af4cf47b453dcf7",
            "md5:e144d726b3acfaa3e44228e80efcd344",
            "md5:5c965bf0a639b31b8f53240b1b52f4d7",
            "md5:7320c461ea6c1c855c0b718fb2a4b134",
        ),
        {},
    ),
}  # fmt: skip


class Digits(TensorDataset):
    """Pictures and their labels, as `mnist` reads them; a `TensorDataset` of both.

    Attributes
    ----------
    images, labels : Tensor
        All of them, before any transform; `targets` is another name for the labels.
    classes : tuple of str
        What each label stands for.
    split : str
        ``"train"`` or ``"test"``.
    """

    def __init__(
        self,
        images: npt.NDArray[Any],
        labels: npt.NDArray[Any],
        *,
        classes: tuple[str, ...],
        split: str,
        title: str = "MNIST",
    ) -> None:
        super().__init__(images, labels)
        self.classes, self.split, self.title = classes, split, title

    @property
    def images(self) -> Tensor:
        """All pictures, untransformed."""
        return self.tensors[0]

    @property
    def labels(self) -> Tensor:
        """All labels."""
        return self.tensors[1]

    targets = labels

    def __repr__(self) -> str:
        images = self.arrays[0]
        return f"{self.title} ({self.split}): {len(self)} samples, images {images.shape[1:]} of {images.dtype}"


class TransformedDigits(Digits):
    """Digits whose pictures or labels are transformed whenever they are taken."""

    transform: Callable[[Any], Any] | None = None
    target_transform: Callable[[Any], Any] | None = None

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        many = not isinstance(index, int | np.integer)
        sample = super().__getitem__(index)
        return transformed(sample, self.transform, self.target_transform, many)  # type: ignore[no-any-return]

    def batch(self, indices: Indices) -> tuple[Tensor, ...]:
        """The samples at `indices`, transformed all at once."""
        sample = super().batch(indices)
        return transformed(sample, self.transform, self.target_transform, True)  # type: ignore[no-any-return]


def mnist(
    root: PathLike,
    train: bool | None = None,
    transform: Callable[[Any], Any] | None = None,
    target_transform: Callable[[Any], Any] | None = None,
    download: bool = False,
    *,
    variant: str = "mnist",
    flatten: bool = False,
    dtype: npt.DTypeLike = np.float32,
) -> Digits:
    """Handwritten digits, from a folder of IDX files: MNIST, or a set that comes in files of the same names.

    Parameters
    ----------
    root : path
        The folder that holds ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``, or ``t10k-…`` for the test
        set; with ``.gz`` or without, with ``.idx3-ubyte`` for ``-idx3-ubyte``. Its folders ``raw`` and ``MNIST/raw``
        are looked into too.
    train : bool, optional
        The training set (60,000 samples of MNIST) or the test set (10,000). Unless given: the training set if its
        files are there, or are to be downloaded, else the test set; `split` of what is returned tells which.
    transform, target_transform : callable, optional
        Applied to pictures and labels when samples are taken; one of `data.transforms` to a whole batch at once, any
        other function to each picture, an array of shape (1, 28, 28), and to each label.
    download : bool
        Fetch what is missing into `root` (`data.fetch`, which needs the extra ``fetch``). Of files that are there, it
        is checked that they are the published ones; for MNIST, however they are compressed.
    variant : {"mnist", "fashion", "kmnist"}
        Which set it is: MNIST, Fashion-MNIST or Kuzushiji-MNIST. It decides `classes`, and what to download.
    flatten : bool
        Pictures as vectors of 784, as a fully connected layer takes them; after the transform.
    dtype : dtype
        Of the pictures: a float type for values in [0, 1] (the bytes divided by 255), or uint8 for the bytes.

    Returns
    -------
    Digits
        A `TensorDataset`: a sample is a picture of shape (1, 28, 28), or (784,), and its label, an int64.
        `images`, `labels`, `classes` and `split` tell of the whole.

    Raises
    ------
    FileNotFoundError
        If the files are not there; it says what was looked for.
    ValueError
        If a file is damaged, or holds something else.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document recognition", 1998.
    H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST", 2017. T. Clanuwat et al., "Deep Learning for Classical Japanese
    Literature", 2018.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np
    >>> from tinygrad_nn import data
    >>> with tempfile.TemporaryDirectory() as folder:  # stands for the folder with the real files
    ...     data.write_idx(pathlib.Path(folder, "t10k-images-idx3-ubyte.gz"), np.full((5, 28, 28), 255, np.uint8))
    ...     data.write_idx(pathlib.Path(folder, "t10k-labels-idx1-ubyte.gz"), np.uint8([7, 2, 1, 0, 4]))
    ...     digits = data.mnist(folder)
    >>> digits
    MNIST (test): 5 samples, images (1, 28, 28) of float32
    >>> image, label = digits[0]
    >>> image.max(), label
    (tensor(1., dtype=float32), tensor(7))
    """
    if variant not in FAMILIES:
        raise ValueError(f"mnist: variant must be one of {', '.join(FAMILIES)}, not {variant!r}")
    family, root = FAMILIES[variant], Path(root)
    split = _split(root, family, train, download)
    names = [name.format(part=_PARTS[split]) for name in (_IMAGES, _LABELS)]
    if download:
        for name in names:
            _make_sure(root, family, name)
    image_file, label_file = (_found(root, family, name) for name in names)
    if image_file is None or label_file is None:
        raise FileNotFoundError(_missing(root, family, train, names))
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.dtype != np.uint8 or images.ndim != 3 or labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"mnist: {image_file} should hold pictures as (N, height, width) of uint8, and {label_file} N labels of "
            f"uint8; they hold {images.shape} of {images.dtype} and {labels.shape} of {labels.dtype}"
        )
    if labels.size and labels.max() >= len(family.classes):
        raise ValueError(f"mnist: {label_file} has label {labels.max()}, and {family.title} has ten classes")
    wanted = pixel_dtype(dtype, "mnist")
    pixels = (images if wanted == np.uint8 else unit_range(images, wanted))[:, None]
    if flatten and transform is None:
        pixels = pixels.reshape(len(pixels), images.shape[1] * images.shape[2])
    elif flatten and transform is not None:
        transform = Compose([transform, Flatten()])
    # Without transforms, a loader takes rows of the arrays.
    kind = Digits if transform is None and target_transform is None else TransformedDigits
    digits = kind(pixels, labels.astype(np.int64), classes=family.classes, split=split, title=family.title)
    if isinstance(digits, TransformedDigits):
        digits.transform, digits.target_transform = transform, target_transform
    return digits


def _split(root: Path, family: Family, train: bool | None, download: bool) -> str:
    if train is not None:
        return "train" if train else "test"
    there = {split: _found(root, family, _IMAGES.format(part=part)) for split, part in _PARTS.items()}
    return "test" if there["test"] and not there["train"] and not download else "train"


def _spellings(name: str) -> list[str]:
    dotted = name.replace("-idx", ".idx")
    return [name, f"{name}.gz", dotted, f"{dotted}.gz"]


def _found(root: Path, family: Family, name: str) -> Path | None:
    for folder in _FOLDERS:
        for spelling in _spellings(name):
            path = root / folder.format(folder=family.folder) / spelling
            if path.is_file():
                return path
    return None


def _missing(root: Path, family: Family, train: bool | None, names: list[str]) -> str:
    """What to say where files are missing."""
    absent = [name for name in names if _found(root, family, name) is None]
    say = f"mnist: no {' and no '.join(absent)} in {root}"
    if not root.is_dir():
        say += ", which is not a folder"
    folders = [str(root / folder.format(folder=family.folder)) for folder in _FOLDERS]
    say += f" (looked in {', '.join(folders)} for {', '.join(_spellings(absent[0]))}{', …' if len(absent) > 1 else ''})"
    other = "test" if names[0].startswith("train") else "train"
    if train is not None and _found(root, family, _IMAGES.format(part=_PARTS[other])):
        say += f"; the {other} set is there, train={other == 'train'} reads it"
    return f"{say}. Put the files of {family.title} there, or let them be fetched: mnist(root, download=True)"


def _make_sure(root: Path, family: Family, name: str) -> None:
    """Fetch a file if it is missing; if it is there, see that it is what was published."""
    from .download import fetch, has_checksum

    path = _found(root, family, name)
    if path is None:
        fetch([f"{mirror}{name}.gz" for mirror in family.mirrors], root / f"{name}.gz", family.checksums[name])
        return
    if has_checksum(path, family.checksums[name]):
        return
    if name in family.contents and unpacked_digest(path) == family.contents[name]:
        return
    raise ValueError(
        f"mnist: {path} is not the published {name} of {family.title}; remove it to have it fetched, or read it as it "
        "is without download=True"
    )
