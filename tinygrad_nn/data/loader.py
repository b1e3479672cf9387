"""Batches of samples."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from ..tensor.random import as_generator, default_generator
from ..tensor.tensor import plain_tensor
from .dataset import Subset, TensorDataset
from .sampler import RandomSampler, Sampler, SequentialSampler, check_count
from .seeding import Fetcher, Task, generators_in, put_back, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .workers import Workers


class DataLoader:
    """The samples of a dataset in batches; every iteration passes through all of them.

    Parameters
    ----------
    dataset : Dataset
        Or anything that has a length and can be indexed.
    batch_size : int
        Samples in a batch; the last one may have fewer.
    shuffle : bool
        Whether each pass is in a new random order.
    sampler : iterable of int, optional
        Which samples, in which order, instead of `shuffle`: a `Sampler`, or anything that can be iterated over again
        and again and has a length.
    batch_sampler : iterable of sequence of int, optional
        Which samples make each batch, instead of `batch_size`, `shuffle`, `sampler` and `drop_last`.
    num_workers : int
        Processes that make batches in advance: worth it where a sample takes Python some time to make, as a picture
        that is read and turned. Batches of whole arrays (`TensorDataset`, and a `Subset` of one) are made quicker than
        they could be sent, so for them no process is started.
    collate_fn : callable, optional
        Makes a batch of a list of samples; `collate` unless given.
    pin_memory : bool
        There for PyTorch's order of arguments; arrays are in main memory anyway.
    drop_last : bool
        Leave out a last batch that is not full.
    timeout : float
        Seconds to wait for a batch of a worker process before that is an error; 0 for as long as it takes.
    worker_init_fn : callable, optional
        Called in each worker process with its number, at its start.
    multiprocessing_context : str or multiprocessing context, optional
        How processes are started: ``"fork"``, ``"forkserver"`` or ``"spawn"``. Unless given, as Python does it by
        default; but where that is to copy this process, ``"fork"``, and JAX, TensorFlow or Polars is loaded or another
        thread runs (daemons aside), ``"forkserver"``, as a copy could wait for them for ever. Processes that are no
        copies take longer to start, import the main module, and take only what `pickle` does.
    generator : numpy.random.Generator, optional
        For the order; the default one (`tinygrad_nn.manual_seed`) unless given.
    prefetch_factor : int, optional
        Batches that each worker process makes in advance; 2 unless given.
    persistent_workers : bool
        Keep the processes, with their copies of the dataset, for the next pass.

    Raises
    ------
    ValueError
        For arguments that exclude each other or are out of range.
    TypeError
        If the dataset or a function must be pickled for worker processes and cannot be.
    RuntimeError
        If a worker process dies. What is raised in one is raised here too, with its traceback as the cause.

    Notes
    -----
    One seed gives the same batches, whatever `num_workers` and the context are, also where samples are made by chance:
    while a batch is made, the generators that the dataset and `collate_fn` hold, the default one, `random` and
    `numpy.random` start from a seed that belongs to that batch, and are afterwards as before. A generator counts as
    held if attributes, short lists and dicts, closures, or global variables that methods name lead to it.

    Ending a loop early ends the processes.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> from tinygrad_nn import data
    >>> pairs = data.TensorDataset(tg.arange(5), tg.arange(5) ** 2)
    >>> for x, y in data.DataLoader(pairs, batch_size=2, shuffle=True, generator=np.random.default_rng(0)):
    ...     print(x, y)
    tensor([2, 4]) tensor([ 4, 16])
    tensor([3, 0]) tensor([9, 0])
    tensor([1]) tensor([1])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Iterable[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: np.random.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
    ) -> None:
        prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        check_count("DataLoader: batch_size", batch_size)
        check_count("DataLoader: num_workers", num_workers, least=0)
        check_count("DataLoader: prefetch_factor", prefetch_factor)
        _check_context(multiprocessing_context)
        as_generator(generator)
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: a sampler decides the order itself; leave shuffle out, or the sampler")
        if batch_sampler is not None and (sampler is not None or shuffle or drop_last or batch_size != 1):
            raise ValueError(
                "DataLoader: a batch_sampler decides all about the batches; leave batch_size, shuffle, sampler and "
                "drop_last out"
            )
        if isinstance(sampler, int | np.integer | bool):
            raise TypeError("DataLoader: the fourth argument is the sampler; give drop_last, num_workers, … by name")
        if not timeout >= 0:
            raise ValueError(f"DataLoader: timeout is a number of seconds, or 0, not {timeout!r}")
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = bool(shuffle)
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = int(num_workers)
        self.collate_fn = collate_fn
        self.pin_memory = pin_memory
        self.drop_last = bool(drop_last)
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = int(prefetch_factor)
        self.persistent_workers = persistent_workers
        self._pool: Workers | None = None
        #: Batches given in the pass that began last, None once it has ended; and the generators at its start.
        self._position: int | None = None
        self._start: list[dict[str, Any]] = []
        self._resumed: tuple[int, list[dict[str, Any]]] | None = None

    def __len__(self) -> int:
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        count = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        generators = self._generators()
        resumed, self._resumed = self._resumed, None
        now = [state_of(g) for g in generators]
        first = 0
        if resumed is not None:
            first, states = resumed
            _put_all_back(generators, states)
        start = [state_of(g) for g in generators]
        self._start, self._position = start, first
        result = self._made(itertools.islice(self._batches(), first, None), first)
        if resumed is not None:
            _put_all_back(generators, now)
        return self._counted(result, start, first)

    def _counted(self, made: Iterator[Any], start: list[Any], number: int) -> Iterator[Any]:
        """Batches as they are made, counted for `state_dict`; of several passes at once the last counts."""
        for batch in made:
            number += 1
            if self._start is start:
                self._position = number
            yield batch
        if self._start is start:
            self._position = None

    # --- which samples -----------------------------------------------------------------------------------------------

    def _batches(self) -> Iterator[Any]:
        """The numbers of the samples of each batch; all that is drawn is drawn now."""
        if self.batch_sampler is not None:
            batches = self.batch_sampler
            return (_as_indices(batch) for batch in (list(batches) if hasattr(batches, "__len__") else batches))
        sampler: Any = self.sampler
        if sampler is None:
            sampler = RandomSampler(self.dataset, generator=self.generator) if self.shuffle else None
            sampler = SequentialSampler(self.dataset) if sampler is None else sampler
        known = isinstance(sampler, Sampler) and type(sampler).__iter__ is Sampler.__iter__
        order = sampler.order() if known else _as_indices(sampler)
        size = self.batch_size
        stop = len(order) // size * size if self.drop_last else len(order)
        return (order[start : start + size] for start in range(0, stop, size))

    def _generators(self) -> list[np.random.Generator]:
        """All that a pass draws from in this process: for the order, and for the seeds of its batches."""
        results = []
        seeded = self._arrays() is None
        if seeded or self.shuffle:
            results.append(as_generator(self.generator))
        if self.sampler is not None or self.batch_sampler is not None:
            results += [default_generator(), *generators_in(self.sampler, self.batch_sampler)]
        if seeded:
            results += generators_in(self.dataset, self.collate_fn)
        return list({id(g): g for g in results}.values())

    # --- the batches themselves --------------------------------------------------------------------------------------

    def _arrays(self) -> tuple[tuple[Any, ...], list[Any]] | None:
        """Arrays that batches are rows of, and the parts that numbers count in; None if samples are made one by one."""
        if self.collate_fn is not None or self.worker_init_fn is not None:
            return None
        dataset, parts = self.dataset, []
        while isinstance(dataset, Subset) and type(dataset).batch is Subset.batch:
            parts.append(dataset.indices)
            dataset = dataset.dataset
        if isinstance(dataset, TensorDataset) and type(dataset).batch is TensorDataset.batch:
            return dataset.arrays, parts
        return None

    def _made(self, batches: Iterator[Any], first: int) -> Iterator[Any]:
        result = self._arrays()
        if result is not None:
            return _rows(*result, batches)
        fetcher = Fetcher(self.dataset, self.collate_fn)
        bases = fetcher.seeds.bases(as_generator(self.generator))
        tasks = (Task(number, indices, bases) for number, indices in enumerate(batches, start=first))
        return self._by_workers(tasks, bases[0]) if self.num_workers else (fetcher.seeded(t) for t in tasks)

    def _by_workers(self, tasks: Iterator[Task], seed: int) -> Iterator[Any]:
        from .workers import Workers

        pool, self._pool = self._pool, None  # a second pass at the same time has processes of its own
        if pool is None:
            pool = Workers(
                self.num_workers,
                self.multiprocessing_context,
                seed,
                self.dataset,
                self.collate_fn,
                self.worker_init_fn,
            )
        try:
            yield from pool.run(tasks, self.prefetch_factor, self.timeout)
        except GeneratorExit:
            raise
        except BaseException:  # an answer may be half read
            pool.close()
            raise
        finally:
            if self.persistent_workers and self._pool is None and pool.processes:
                self._pool = pool
            else:
                pool.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pool": None}

    # --- state -------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: between two passes, or within the one that began last; for `tinygrad_nn.save`.

        Examples
        --------
        >>> import numpy as np
        >>> from tinygrad_nn import data
        >>> def loader():
        ...     return data.DataLoader(range(6), 2, shuffle=True, generator=np.random.default_rng(0))
        >>> first = loader()
        >>> batches = iter(first)
        >>> _ = next(batches)
        >>> state = first.state_dict()
        >>> second = loader()
        >>> second.load_state_dict(state)
        >>> [batch.tolist() for batch in batches] == [batch.tolist() for batch in second]
        True
        """
        generators = [state_of(g) for g in self._generators()]
        if self._resumed is not None:
            position, start = self._resumed
        else:
            position, start = self._position, self._start  # type: ignore[assignment]
        return {
            "samples": len(self.dataset),
            "batches": len(self) if self.batch_sampler is None or hasattr(self.batch_sampler, "__len__") else None,
            "position": position,
            "start": start if position is not None else [],
            "generators": generators,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`: the next pass has the batches that were left of that one, or is the one after it.

        The generators of the loader, its samplers and its dataset go on from where they then were. Samplers of your
        own must give the same order from the same generators.

        Raises
        ------
        ValueError
            If it is of a loader with other samples, batches or generators.
        """
        names = {"samples", "batches", "position", "start", "generators"}
        if not names <= state_dict.keys():
            raise ValueError(f"the state of a DataLoader is a dict with entries {', '.join(sorted(names))}")
        own = self.state_dict()
        for name in ("samples", "batches"):
            if own[name] != state_dict[name]:
                raise ValueError(f"this state is of a DataLoader of {state_dict[name]} {name}, not {own[name]}")
        generators = self._generators()
        if len(generators) != len(state_dict["generators"]):
            raise ValueError(
                f"this state has {len(state_dict['generators'])} random generators, the DataLoader {len(generators)}; "
                "give it the same shuffle, sampler, dataset and collate_fn"
            )
        _put_all_back(generators, state_dict["generators"])
        position = state_dict["position"]
        self._resumed = None if position is None else (int(position), list(state_dict["start"]))
        self._position = None


def _rows(arrays: tuple[Any, ...], parts: list[Any], batches: Iterator[Any]) -> Iterator[Any]:
    """Batches of whole arrays: one look-up each."""
    for indices in batches:
        for part in parts:
            indices = part[indices]
        yield tuple([plain_tensor(array.take(indices, axis=0)) for array in arrays])


def _as_indices(given: Any) -> Any:
    indices = np.asarray(given if isinstance(given, np.ndarray | list) else list(given))
    if indices.dtype.kind not in "iu" and indices.size:
        raise TypeError(f"DataLoader: a sampler gives the numbers of samples, not {indices.dtype}")
    if indices.ndim != 1:
        raise TypeError("DataLoader: a sampler gives one number at a time; one that gives batches is batch_sampler=")
    return indices.astype(np.intp, copy=False)


def _put_all_back(generators: list[np.random.Generator], states: list[dict[str, Any]]) -> None:
    for generator, state in zip(generators, states, strict=True):
        put_back(generator, state)


def _check_context(given: Any) -> None:
    if given is not None:
        from multiprocessing import get_all_start_methods

        if given not in get_all_start_methods() and not hasattr(given, "get_start_method"):
            raise ValueError(
                f"DataLoader: multiprocessing_context is {', '.join(map(repr, get_all_start_methods()))} or a context "
                f"of multiprocessing, not {given!r}"
            )
