"""Random numbers as Tensors, from `numpy.random.Generator` objects; functions have a default one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..core.graph import StandIn
from ..core.store import sample
from ..ops.elementwise import add, multiply, subtract
from ..ops.shapes import ravel, reshape
from ..ops.shapes.indexing import take, take_along_axis
from .creation import DType, asarray, marked, wrap
from .methods import one_or_many
from .sampling import plain, refuse_recorded, refuse_recording
from .tensor import ArrayLike, Tensor

if TYPE_CHECKING:
    from numpy.random import Generator as NumPyGenerator

Size: TypeAlias = "int | tuple[int, ...] | None"

_default: Generator | None = None  # made when first needed, as numpy.random takes a while to import


class Generator:
    """NumPy's random generator with Tensors for results.

    Methods that are not here are those of `numpy.random.Generator`: ``exponential``, ``poisson``, …
    Samples of `uniform` and `normal` are connected to bounds, mean and deviation that are Tensors.

    Parameters
    ----------
    generator : numpy.random.Generator
        What samples; also in the attribute `numpy_generator`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> rng = tg.random.default_rng(0)
    >>> rng.normal(size=(2, 3)).shape
    (2, 3)
    """

    def __init__(self, generator: NumPyGenerator) -> None:
        self.numpy_generator = generator

    def __repr__(self) -> str:
        return f"Generator({type(self.numpy_generator.bit_generator).__name__})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "numpy_generator":
            raise AttributeError(name)
        method = getattr(self.numpy_generator, name)
        if name in ("bit_generator", "bytes") or not callable(method):
            return method

        def sampler(*args: Any, **kwargs: Any) -> Any:
            refuse_recorded(name, (*args, *kwargs.values()))
            refuse_recording(name)
            samples = method(*map(plain, args), **{key: plain(value) for key, value in kwargs.items()})
            return wrap(np.asarray(samples)) if isinstance(samples, np.ndarray | np.generic | int | float) else samples

        return sampler

    def random(
        self, size: Size = None, dtype: DType = None, *, requires_grad: bool = False, name: str | None = None
    ) -> Tensor:
        """Uniform on [0, 1)."""
        return wrap(self._floats("random", size, dtype), requires_grad, name)

    def standard_normal(
        self, size: Size = None, dtype: DType = None, *, requires_grad: bool = False, name: str | None = None
    ) -> Tensor:
        """Normal with mean 0 and deviation 1."""
        return wrap(self._floats("standard_normal", size, dtype), requires_grad, name)

    def uniform(
        self,
        low: ArrayLike = 0.0,
        high: ArrayLike = 1.0,
        size: Size = None,
        dtype: DType = None,
        *,
        requires_grad: bool = False,
        name: str | None = None,
    ) -> Tensor:
        """Uniform on [low, high)."""
        return marked(self._scaled("random", low, subtract(high, low), size, dtype), requires_grad, name)

    def normal(
        self,
        loc: ArrayLike = 0.0,
        scale: ArrayLike = 1.0,
        size: Size = None,
        dtype: DType = None,
        *,
        requires_grad: bool = False,
        name: str | None = None,
    ) -> Tensor:
        """Normal with mean `loc` and standard deviation `scale`."""
        if not isinstance(plain(scale), StandIn) and np.any(plain(scale) < 0):
            raise ValueError("normal: scale is a standard deviation, so it must not be negative")
        return marked(self._scaled("standard_normal", loc, scale, size, dtype), requires_grad, name)

    def _floats(self, method: str, size: Size, dtype: DType) -> Any:
        wanted = np.dtype(np.float64 if dtype is None else dtype)
        if wanted.kind != "f":
            raise TypeError(f"{method}: samples are floating-point numbers, not {wanted}")
        sampled = wanted if wanted in (np.float32, np.float64) else np.dtype(np.float64)  # NumPy samples no others
        return sample(self.numpy_generator, method, size, sampled).astype(wanted, copy=False)

    def _scaled(self, method: str, shift: Any, scale: Any, size: Size, dtype: DType) -> Tensor:
        shape = np.broadcast_shapes(np.shape(plain(shift)), np.shape(plain(scale)))
        size = shape if size is None else (size,) if isinstance(size, int | np.integer) else tuple(size)
        if len(shape) > len(size) or any(n not in (1, m) for n, m in zip(shape[::-1], size[::-1])):
            raise ValueError(f"random: parameters of shape {shape} do not fit into size {size}")
        standard = self._floats(method, size, dtype)
        if isinstance(shift, Tensor) or isinstance(scale, Tensor):
            return add(shift, multiply(scale, standard))  # type: ignore[no-any-return]
        return wrap((shift + scale * standard).astype(standard.dtype, copy=False))

    def integers(
        self,
        low: Any,
        high: Any = None,
        size: Size = None,
        dtype: DType = None,
        *,
        endpoint: bool = False,
        name: str | None = None,
    ) -> Tensor:
        """Integers from `low` up to, but without, `high`; from 0 up to `low` if that alone is given."""
        wanted: Any = np.int64 if dtype is None else dtype
        return wrap(
            sample(self.numpy_generator, "integers", plain(low), plain(high), size, wanted, endpoint), name=name
        )

    def bernoulli(
        self,
        p: ArrayLike = 0.5,
        size: Size = None,
        dtype: DType = None,
        *,
        requires_grad: bool = False,
        name: str | None = None,
    ) -> Tensor:
        """1 with probability `p`, else 0."""
        refuse_recorded("bernoulli", (p,))
        chance = plain(p)
        if not np.all((chance >= 0) & (chance <= 1)):
            raise ValueError("bernoulli: p is a probability, from 0 to 1")
        hits = sample(self.numpy_generator, "random", chance.shape if size is None else size) < chance
        return wrap(hits.astype(np.float64 if dtype is None else dtype), requires_grad, name)

    def permutation(self, x: Any, axis: int = 0) -> Tensor:
        """The numbers below `x` in random order, or the slices of an array along `axis`; connected to a Tensor."""
        if isinstance(x, int | np.integer):
            return wrap(sample(self.numpy_generator, "permutation", int(x)))
        source = asarray(x)
        return _taken(source, sample(self.numpy_generator, "permutation", _length(source, axis, "permutation")), axis)

    def permuted(self, x: Any, axis: int | None = None) -> Tensor:
        """As `permutation`, but along `axis` each vector in an order of its own; all elements if `axis` is None."""
        refuse_recording("permuted")
        source = asarray(x)
        if axis is None:
            return reshape(self.permutation(ravel(source)), shape=source.shape)  # type: ignore[no-any-return]
        length = _length(source, axis, "permuted")
        places = np.broadcast_to(np.arange(length), np.moveaxis(source.numpy(), axis, -1).shape)
        order = np.moveaxis(self.numpy_generator.permuted(places, axis=-1), -1, axis)
        return take_along_axis(source, order, axis)  # type: ignore[no-any-return]

    def choice(
        self,
        a: Any,
        size: Size = None,
        replace: bool = True,
        p: ArrayLike | None = None,
        axis: int = 0,
        shuffle: bool = True,
    ) -> Tensor:
        """Numbers below `a`, or slices of an array along `axis`, sampled with probabilities `p`; see `choice` below."""
        refuse_recorded("choice: probabilities", (p,))
        chances = None if p is None else plain(p)
        if isinstance(a, int | np.integer):
            return wrap(sample(self.numpy_generator, "choice", int(a), size, replace, chances, 0, shuffle))
        source = asarray(a)
        length = _length(source, axis, "choice")
        places = sample(self.numpy_generator, "choice", length, size, replace, chances, 0, shuffle)
        return _taken(source, places, axis)

    def spawn(self, n_children: int) -> list[Generator]:
        """Generators that are independent of this one and of each other."""
        return [Generator(child) for child in self.numpy_generator.spawn(n_children)]

    def shuffle(self, x: Any, axis: int = 0) -> None:
        """Bring the slices of a NumPy array into random order, in place."""
        if isinstance(x, Tensor):
            raise TypeError("shuffle writes in place, and values of Tensors are never written to: use permutation(t)")
        self.numpy_generator.shuffle(x, axis)


def _length(x: Tensor, axis: int, caller: str) -> int:
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"{caller}: a Tensor of shape {x.shape} has no axis {axis}")
    return x.shape[axis]


def _taken(x: Tensor, places: Any, axis: int) -> Tensor:
    result: Tensor = take(x, places, axis)
    return result


def default_rng(seed: Any = None) -> Generator:
    """A new generator, from a seed or from what the operating system gives.

    Parameters
    ----------
    seed : int or anything else that `numpy.random.default_rng` takes, optional

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> a, b = tg.random.default_rng(1), tg.random.default_rng(1)
    >>> (a.random(3) == b.random(3)).all()
    tensor(True)
    """
    return seed if isinstance(seed, Generator) else Generator(np.random.default_rng(seed))


def _rng(generator: Any = None) -> Generator:
    """The generator of what a ``generator`` argument was given."""
    global _default
    if generator is None:
        if _default is None:
            _default = default_rng()
        return _default
    if isinstance(generator, Generator):
        return generator
    if not isinstance(generator, np.random.Generator):
        raise TypeError(
            f"generator must be a numpy.random.Generator, or one made by tg.random.default_rng(seed), not {generator!r}"
        )
    return Generator(generator)


def default_generator() -> NumPyGenerator:
    """The NumPy generator that everything samples from which is given no other."""
    return _rng().numpy_generator


def as_generator(generator: Any = None) -> NumPyGenerator:
    """The NumPy generator of what a ``generator`` argument was given: the default one for None.

    Raises
    ------
    TypeError
        If it is no generator.
    """
    return _rng(generator).numpy_generator


def manual_seed(seed: int) -> Generator:
    """Start the default generator anew, from a seed: the same numbers follow each time.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> _ = tg.manual_seed(0)
    >>> a = tg.random.random(3)
    >>> _ = tg.manual_seed(0)
    >>> (tg.random.random(3) == a).all()
    tensor(True)
    """
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"manual_seed: a seed is a non-negative integer, not {seed!r}")
    # In place, so that whoever holds the default generator goes on with the new numbers.
    default_generator().bit_generator.state = np.random.PCG64(int(seed)).state
    return _rng()


def get_state(generator: Any = None) -> dict[str, Any]:
    """Where a generator stands: what `set_state` takes to bring it back there."""
    from copy import deepcopy

    return deepcopy(dict(as_generator(generator).bit_generator.state))


def set_state(state: dict[str, Any], generator: Any = None) -> None:
    """Bring a generator to where it, or another of its kind, stood when `get_state` was called."""
    as_generator(generator).bit_generator.state = state


def random(
    size: Size = None,
    *,
    generator: Any = None,
    dtype: DType = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """Samples uniform on [0, 1)."""
    return _rng(generator).random(size, dtype, requires_grad=requires_grad, name=name)


def uniform(
    low: ArrayLike = 0.0,
    high: ArrayLike = 1.0,
    size: Size = None,
    *,
    generator: Any = None,
    dtype: DType = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """Samples uniform on [low, high).

    Parameters
    ----------
    low, high : array_like
        A sample is low + (high − low)·u, so it is connected to bounds that are Tensors.
    size : int or tuple of int, optional
        Shape of the result; that of the bounds unless given.
    generator : Generator or numpy.random.Generator, optional
        The default one unless given.
    dtype : dtype, optional
        float64 unless given.
    requires_grad : bool
    name : str, optional

    Returns
    -------
    Tensor

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.random.uniform(-1.0, 1.0, (2, 3)).shape
    (2, 3)
    """
    return _rng(generator).uniform(low, high, size, dtype, requires_grad=requires_grad, name=name)


def normal(
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    size: Size = None,
    *,
    generator: Any = None,
    dtype: DType = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """Samples of a normal distribution with mean `loc` and standard deviation `scale`; see `uniform` for the others.

    A sample is loc + scale·z, so it is connected to parameters that are Tensors (the reparameterization of D. Kingma
    and M. Welling, "Auto-Encoding Variational Bayes", 2014).

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> mean = tg.tensor(1.0, requires_grad=True)
    >>> tg.random.normal(mean, 2.0, (3,)).sum().backward()
    >>> mean.grad
    tensor(3.)
    """
    return _rng(generator).normal(loc, scale, size, dtype, requires_grad=requires_grad, name=name)


def standard_normal(
    size: Size = None,
    *,
    generator: Any = None,
    dtype: DType = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """Samples of the normal distribution with mean 0 and deviation 1."""
    return _rng(generator).standard_normal(size, dtype, requires_grad=requires_grad, name=name)


def integers(
    low: Any,
    high: Any = None,
    size: Size = None,
    *,
    generator: Any = None,
    dtype: DType = None,
    endpoint: bool = False,
    name: str | None = None,
) -> Tensor:
    """Random integers from `low` up to, but without, `high`; from 0 up to `low` if that alone is given."""
    return _rng(generator).integers(low, high, size, dtype, endpoint=endpoint, name=name)


def bernoulli(
    p: ArrayLike = 0.5,
    size: Size = None,
    *,
    generator: Any = None,
    dtype: DType = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """Ones with probability `p`, else zeros; `p` must not require gradients."""
    return _rng(generator).bernoulli(p, size, dtype, requires_grad=requires_grad, name=name)


def permutation(x: Any, axis: int = 0, *, generator: Any = None) -> Tensor:
    """The numbers below `x` in random order, or the slices of an array along `axis`; connected to a Tensor."""
    return _rng(generator).permutation(x, axis)


def choice(
    a: Any,
    size: Size = None,
    replace: bool = True,
    p: ArrayLike | None = None,
    axis: int = 0,
    *,
    generator: Any = None,
) -> Tensor:
    """Numbers below `a`, or slices of an array along `axis`, sampled with probabilities `p`; connected to a Tensor."""
    return _rng(generator).choice(a, size, replace, p, axis)


# --- PyTorch's names -------------------------------------------------------------------------------------------------


def rand(*size: Any, **options: Any) -> Tensor:
    """Samples uniform on [0, 1), with the lengths of the axes as arguments; options as in `random`."""
    return random(one_or_many(size), **options)


def randn(*size: Any, **options: Any) -> Tensor:
    """Samples of the standard normal distribution, the lengths of the axes as arguments; options as in `random`."""
    return standard_normal(one_or_many(size), **options)


def randint(low: int, high: int, size: Size = None, **options: Any) -> Tensor:
    """Integers from `low` up to, but without, `high`; options as in `integers`."""
    return integers(low, high, size, **options)


def randperm(n: int, *, generator: Any = None) -> Tensor:
    """The numbers below `n` in random order."""
    return permutation(int(n), generator=generator)


__all__ = [
    "Generator",
    "as_generator",
    "bernoulli",
    "choice",
    "default_generator",
    "default_rng",
    "get_state",
    "integers",
    "manual_seed",
    "normal",
    "permutation",
    "rand",
    "randint",
    "randn",
    "random",
    "randperm",
    "set_state",
    "standard_normal",
    "uniform",
]
