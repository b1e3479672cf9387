"""Random numbers of samples: each batch has its own, whichever process makes it.

While a batch is made, every generator that its samples may draw from stands where a seed of that batch alone puts it:
the default one, those that the dataset holds, `random` and `numpy.random`. So what is drawn depends neither on the
number of worker processes nor on what is drawn elsewhere meanwhile.
"""

from __future__ import annotations

import random as python_random
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ..tensor.random import Generator, as_generator, default_generator
from ..tensor.tensor import Tensor
from .dataset import batch_of

#: Objects looked at for generators, and entries of a list: data itself is not searched.
_MOST_OBJECTS, _MOST_ENTRIES = 10_000, 256
_NOT_SEARCHED = (str, bytes, int, float, complex, np.ndarray, np.generic, Tensor, type, types.ModuleType)


def generators_in(*holders: Any) -> list[np.random.Generator]:
    """The generators that objects hold or name: in attributes, short lists and dicts, closures, global variables.

    Each comes once, in an order that is the same for a copy of the objects.
    """
    results: dict[int, np.random.Generator] = {}
    seen: dict[int, Any] = {}
    waiting = list(reversed(holders))
    while waiting and len(seen) < _MOST_OBJECTS:
        holder = waiting.pop()
        if holder is None or isinstance(holder, _NOT_SEARCHED) or id(holder) in seen:
            continue
        seen[id(holder)] = holder
        if isinstance(holder, np.random.Generator | Generator):
            generator = as_generator(holder)
            results.setdefault(id(generator), generator)
        else:
            waiting += reversed(list(_parts(holder)))
    return list(results.values())


def all_generators(*holders: Any) -> list[np.random.Generator]:
    """The default generator and those that objects hold or name."""
    default = default_generator()
    return [default, *(g for g in generators_in(*holders) if g is not default)]


def _parts(holder: Any) -> Iterable[Any]:
    if isinstance(holder, dict):
        return holder.values() if len(holder) <= _MOST_ENTRIES else ()
    if isinstance(holder, list | tuple | set | frozenset):
        return holder if len(holder) <= _MOST_ENTRIES else ()
    if isinstance(holder, types.MethodType):
        return (holder.__self__, holder.__func__)
    if isinstance(holder, types.FunctionType):
        cells = [cell.cell_contents for cell in holder.__closure__ or () if cell != _EMPTY]
        return [*cells, *(holder.__defaults__ or ()), *(holder.__kwdefaults__ or {}).values(), *_named(holder)]
    parts = [holder.func, holder.args, holder.keywords] if hasattr(holder, "keywords") else []
    parts += [getattr(holder, name, None) for kind in type(holder).__mro__ for name in _slots(kind)]
    parts += getattr(holder, "__dict__", {}).values()
    kinds = [kind for kind in type(holder).__mro__ if kind.__module__.partition(".")[0] not in _LIBRARIES]
    return [*parts, *(x for kind in kinds for x in kind.__dict__.values() if isinstance(x, types.FunctionType))]


#: Whose methods draw from no global generator.
_LIBRARIES = ("builtins", "numpy", __name__.partition(".")[0])


def _named(function: types.FunctionType) -> Iterator[Any]:
    """Generators in global variables that a function uses."""
    codes = [function.__code__]
    for code in codes:
        codes += [inner for inner in code.co_consts if isinstance(inner, types.CodeType)]
        for name in code.co_names:
            value = function.__globals__.get(name)
            if isinstance(value, np.random.Generator | Generator):
                yield value


def _slots(kind: type) -> Iterable[str]:
    slots = kind.__dict__.get("__slots__", ())
    return [slots] if isinstance(slots, str) else slots


_EMPTY = types.CellType()


def state_of(generator: np.random.Generator) -> dict[str, Any]:
    """Where a generator stands, as `tinygrad_nn.save` takes it."""
    return dict(generator.bit_generator.state)


def put_back(generator: np.random.Generator, state: dict[str, Any]) -> None:
    """Bring a generator to a state of `state_of`, which may have been in a file."""
    name = type(generator.bit_generator).__name__
    if state.get("bit_generator") != name:
        raise ValueError(f"this state is of a {state.get('bit_generator')} generator, not of a {name} one")
    generator.bit_generator.state = with_arrays(state)


def with_arrays(state: Any) -> Any:
    """A state as NumPy takes it, with arrays in place of the Tensors that a file gives."""
    if isinstance(state, Mapping):
        return {key: with_arrays(value) for key, value in state.items()}
    return np.asarray(state) if isinstance(state, Tensor) else state


class BatchSeeds:
    """Puts generators where a batch needs them, and back.

    Parameters
    ----------
    *holders : object
        What makes the samples: the dataset, the function that collates.
    """

    def __init__(self, *holders: Any) -> None:
        self.generators = all_generators(*holders)
        self._legacy = np.random.MT19937(0)

    def bases(self, source: np.random.Generator) -> list[int]:
        """A number from each generator, and for the default one from `source`, on which the batches' seeds depend."""
        return [int(g.integers(2**63)) for g in (source, *self.generators[1:])]

    @contextmanager
    def of_batch(self, bases: list[int], number: int) -> Iterator[None]:
        """Generators as batch `number` finds them; afterwards they are as before."""
        before = [g.bit_generator.state for g in self.generators]
        python = python_random.getstate()
        legacy = np.random.get_bit_generator()  # type: ignore[attr-defined]
        try:
            self.start(bases, number)
            yield
        finally:
            for generator, state in zip(self.generators, before):
                generator.bit_generator.state = state
            python_random.setstate(python)
            np.random.set_bit_generator(legacy)  # type: ignore[attr-defined]

    def start(self, bases: list[int], number: int) -> None:
        """Put all generators where batch `number` begins, and leave them there."""
        for place, (generator, base) in enumerate(zip(self.generators, bases, strict=True)):
            seed = np.random.SeedSequence((base, number, place))
            generator.bit_generator.state = type(generator.bit_generator)(seed).state
        first = int(np.random.SeedSequence((bases[0], number)).generate_state(1)[0])
        python_random.seed(first)
        np.random.set_bit_generator(self._legacy)  # type: ignore[attr-defined]
        np.random.seed(first)  # noqa: NPY002


class Task(NamedTuple):
    """One batch to make: its number in the pass, its samples, and what its random numbers start from."""

    number: int
    indices: Any
    bases: list[int]


class Fetcher:
    """Makes a batch of given samples, with random numbers that are the batch's own."""

    def __init__(self, dataset: Any, collate_fn: Callable[[list[Any]], Any] | None) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.seeds = BatchSeeds(dataset, collate_fn)

    def __call__(self, indices: Any) -> Any:
        if self.collate_fn is None:
            return batch_of(self.dataset, indices)
        return self.collate_fn([self.dataset[index] for index in indices.tolist()])

    def seeded(self, task: Task) -> Any:
        """The batch of a task; all generators are then as before."""
        with self.seeds.of_batch(task.bases, task.number):
            return self(task.indices)


class WorkerInfo(NamedTuple):
    """What a dataset can ask in a worker process.

    Attributes
    ----------
    id : int
        The number of the worker, from 0.
    num_workers : int
        How many there are.
    seed : int
        Of the worker.
    dataset : Dataset
        This process's copy.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


#: Set in worker processes.
info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process of a `DataLoader`, which one it is; elsewhere None."""
    return info
