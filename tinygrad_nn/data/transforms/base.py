"""What transforms have in common, and those that are made of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...tensor.random import as_generator
from ...tensor.sampling import refuse_recording
from ...tensor.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt


class Transform:
    """What takes a picture (C, H, W) or a batch (N, C, H, W). Derive from it and write `apply`, which takes batches.

    Any function of one picture serves as a transform too; one derived from this class is given whole batches.

    Parameters
    ----------
    generator : numpy.random.Generator, optional
        For those that draw; the default one (`tinygrad_nn.manual_seed`) unless given.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn import data
    >>> class Negative(data.transforms.Transform):
    ...     def apply(self, images):
    ...         return 1 - images
    >>> Negative()(np.zeros((3, 8, 8))).mean()
    np.float64(1.0)
    """

    def __init__(self, *, generator: Any = None) -> None:
        as_generator(generator)
        self.generator = generator

    @property
    def rng(self) -> np.random.Generator:
        """What is drawn from now; a compiled function would draw the same at each call, so it is an error there."""
        refuse_recording(type(self).__name__)
        return as_generator(self.generator)

    def apply(self, images: npt.NDArray[Any]) -> Any:
        """The transformed batch; `images` has shape (N, C, H, W) and is not to be written to."""
        raise NotImplementedError(f"{type(self).__name__} does not define apply()")

    def __call__(self, images: Any) -> Any:
        array = plain(images, type(self).__name__)
        if array.ndim not in (3, 4):
            raise ValueError(
                f"{type(self).__name__}: a picture has shape (C, H, W), a batch of them (N, C, H, W); this is "
                f"{array.shape}{', so a grey picture lacks its first axis: images[None]' if array.ndim == 2 else ''}"
            )
        result = self.apply(array) if array.ndim == 4 else self.apply(array[None])[0]
        return Tensor(result) if isinstance(images, Tensor) else result

    def __repr__(self) -> str:
        settings = {name: value for name, value in vars(self).items() if name != "generator"}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in settings.items())})"


class Compose(Transform):
    """Transforms one after another.

    Parameters
    ----------
    transforms : sequence of callable
        Transforms of this module, or any functions of one picture, which are put to each picture of a batch.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_nn.data import transforms
    >>> steps = transforms.Compose([transforms.ToDtype(np.float32, scale=True), transforms.Normalize([0.5], [0.5])])
    >>> steps(np.uint8([[[0, 255]]]))
    array([[[-1.,  1.]]], dtype=float32)
    """

    def __init__(self, transforms: Iterable[Callable[[Any], Any]]) -> None:
        super().__init__()
        self.transforms = list(transforms)
        for transform in self.transforms:
            if not callable(transform):
                raise TypeError(f"Compose: {transform!r} cannot be called")

    def __call__(self, images: Any) -> Any:
        many = getattr(images, "ndim", 3) == 4
        for transform in self.transforms:
            if many and not isinstance(transform, Transform) and len(images):
                done = np.stack([plain(transform(one), "Compose") for one in images])
                images = Tensor(done) if isinstance(images, Tensor) else done
            else:
                images = transform(images)
        return images

    def __repr__(self) -> str:
        return "Compose([" + "".join(f"\n    {transform!r}," for transform in self.transforms) + "\n])"


class Lambda(Transform):
    """A function as a transform.

    Parameters
    ----------
    lambd : callable
        Of one picture, an array (C, H, W).
    batched : bool
        It takes batches (N, C, H, W) as well, and is given them whole.
    """

    def __init__(self, lambd: Callable[[Any], Any], *, batched: bool = False) -> None:
        super().__init__()
        if not callable(lambd):
            raise TypeError(f"Lambda: {lambd!r} cannot be called")
        self.lambd, self.batched = lambd, batched

    def apply(self, images: npt.NDArray[Any]) -> Any:
        if self.batched:
            return plain(self.lambd(images), "Lambda")
        return np.stack([plain(self.lambd(image), "Lambda") for image in images]) if len(images) else images


class RandomApply(Transform):
    """Transforms put to each picture with probability p, or not at all.

    Parameters
    ----------
    transforms : sequence of callable
        They must keep the shape.
    p : float
    generator : numpy.random.Generator, optional
        The default one unless given.
    """

    def __init__(self, transforms: Iterable[Callable[[Any], Any]], p: float = 0.5, *, generator: Any = None) -> None:
        super().__init__(generator=generator)
        self.transforms, self.p = Compose(transforms), probability(p, "RandomApply")

    def apply(self, images: npt.NDArray[Any]) -> Any:
        chosen = self.rng.random(len(images)) < self.p
        result = images.copy()
        if chosen.any():
            changed = plain(self.transforms(images[chosen]), "RandomApply")
            if changed.shape[1:] != images.shape[1:]:
                raise ValueError(
                    f"RandomApply: pictures of {images.shape[1:]} become {changed.shape[1:]}, and those left as they "
                    "are would have another shape"
                )
            result = result.astype(np.result_type(result, changed), copy=False)
            result[chosen] = changed
        return result


def plain(images: Any, what: str) -> npt.NDArray[Any]:
    """Pictures as an array; no gradient is lost without a word."""
    if isinstance(images, Tensor):
        if images.requires_grad:
            raise ValueError(f"{what}: transforms are not differentiated; give the detach() of this Tensor")
        return images.numpy()
    array = np.asarray(images)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what}: a picture is an array of real numbers, not {type(images).__name__} of {array.dtype}")
    return array


def probability(p: float, what: str) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"{what}: p is a probability, from 0 to 1, not {p!r}")
    return float(p)


def whole(value: Any, least: int) -> tuple[int, ...] | None:
    """A whole number, or a sequence of them, as a tuple; None if it is something else."""
    values = tuple(value) if np.ndim(value) == 1 else (value,)
    good = all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= least for n in values)
    return tuple(int(n) for n in values) if good else None


def pair(value: Any, what: str, name: str, least: int = 1) -> tuple[int, int]:
    """(height, width) of a whole number or of two."""
    values = whole(value, least)
    if values is None or len(values) not in (1, 2):
        raise ValueError(
            f"{what}: {name} is a whole number, at least {least}, or two for (height, width), not {value!r}"
        )
    return values[0], values[-1]
