"""DataLoader: samplers, worker processes, and its state."""

from __future__ import annotations

import functools
import multiprocessing
import os
import random
import signal
import time

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import data
from tinygrad_nn.data import seeding

LABELS = np.arange(10)
FORK = "fork" in multiprocessing.get_all_start_methods()
needs_fork = pytest.mark.skipif(not FORK, reason="processes are started anew here, which takes too long")


def rng(seed=0):
    return np.random.default_rng(seed)


class Numbers(data.Dataset):
    """Sample i is i."""

    def __init__(self, count=10):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return index


def draw_from(generator):
    return generator.random()


class Drawn(Numbers):
    """Samples by chance, from every source there is."""

    def __init__(self, count=10, generator=None):
        super().__init__(count)
        self.tools = {"own": generator or rng(7)}
        self.hidden = functools.partial(draw_from, tg.random.default_rng(8))

    def __getitem__(self, index):
        own = self.tools["own"].random()
        return index, float(tg.random.random()), own, self.hidden(), random.random(), np.random.rand()  # noqa: NPY002


class Failing(Numbers):
    def __getitem__(self, index):
        if index == 5:
            raise KeyError(f"no sample {index}")
        return index


class Unpicklable(Exception):
    def __init__(self, a, b):
        super().__init__(a)


class FailingOddly(Numbers):
    def __getitem__(self, index):
        raise Unpicklable("two", "arguments")


class Dying(Numbers):
    def __getitem__(self, index):
        if index == 5 and data.get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


class Slow(Numbers):
    def __getitem__(self, index):
        time.sleep(30)


class Big(Numbers):
    def __getitem__(self, index):
        return np.full(300_000, index, np.uint8)


class Asking(Numbers):
    def __getitem__(self, index):
        info = data.get_worker_info()
        return -1 if info is None else info.id * 10 + info.num_workers


def lists(batches):
    return [
        [part.tolist() for part in batch] if isinstance(batch, list | tuple) else batch.tolist() for batch in batches
    ]


# --- samplers --------------------------------------------------------------------------------------------------------


def test_random_sampler():
    assert sorted(data.RandomSampler(LABELS, generator=rng())) == list(range(10))
    assert len(data.RandomSampler(LABELS, num_samples=4)) == 4
    once = list(data.RandomSampler(LABELS, num_samples=25, generator=rng()))
    assert [once.count(i) >= 2 for i in range(10)] == [True] * 10
    twice = list(data.RandomSampler(LABELS, True, 1000, rng()))
    assert min(np.bincount(twice, minlength=10)) > 50
    sampler = data.RandomSampler(LABELS, generator=rng())
    assert list(sampler) != list(sampler)
    assert list(data.RandomSampler([], generator=rng())) == []
    with pytest.raises(ValueError, match="there are none"):
        list(data.RandomSampler([], num_samples=2))
    with pytest.raises(ValueError, match="positive whole number"):
        data.RandomSampler(LABELS, num_samples=0)
    with pytest.raises(TypeError, match="default_rng"):
        data.RandomSampler(LABELS, generator=3)


def test_weighted_sampler():
    drawn = list(data.WeightedRandomSampler([1, 0, 3], 4000, generator=rng()))
    assert abs(drawn.count(2) / 4000 - 0.75) < 0.03
    assert drawn.count(1) == 0
    assert sorted(data.WeightedRandomSampler([1, 2, 0, 3], 3, False, rng())) == [0, 1, 3]
    assert len(data.WeightedRandomSampler(tg.tensor([1.0, 2.0]), 7)) == 7


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (([1, -1], 2), "not negative"),
        (([0.0, 0.0], 2), "positive"),
        (([1, np.nan], 2), "finite"),
        (([[1]], 2), "one weight a sample"),
        (([1, 0], 2, False), "at most 1"),
        (([1], 0), "positive whole number"),
    ],
)
def test_weighted_sampler_refuses(args, words):
    with pytest.raises(ValueError, match=words):
        data.WeightedRandomSampler(*args)


def test_other_samplers():
    assert list(data.SequentialSampler(LABELS)) == list(range(10))
    assert sorted(data.SubsetRandomSampler([7, 3, 3], rng())) == [3, 3, 7]
    assert list(data.BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert len(data.BatchSampler(range(5), 2, True)) == 2
    assert len(data.BatchSampler(range(5), 2, False)) == 3
    with pytest.raises(NotImplementedError, match="__iter__"):
        list(data.Sampler())
    with pytest.raises(TypeError, match="batch_sampler="):
        list(data.DataLoader(LABELS, sampler=data.BatchSampler(range(5), 2, True)))


@pytest.mark.parametrize("dataset", [Numbers(), data.TensorDataset(LABELS)])
def test_loader_with_samplers(dataset):
    def values(**settings):
        loader = data.DataLoader(dataset, **settings)
        found = [np.ravel(batch[0] if isinstance(batch, tuple) else batch).tolist() for batch in loader]
        assert len(found) == len(loader)
        return found

    assert values(batch_size=2, sampler=[3, 1, 2]) == [[3, 1], [2]]
    assert values(batch_size=2, sampler=[3, 1, 2], drop_last=True) == [[3, 1]]
    assert values(batch_sampler=[[3, 1], (2,), np.array([5])]) == [[3, 1], [2], [5]]
    weighted = values(batch_size=4, sampler=data.WeightedRandomSampler([0] * 9 + [1], 6))
    assert weighted == [[9] * 4, [9] * 2]
    assert values(batch_sampler=data.BatchSampler(data.SequentialSampler(dataset), 4, False))[-1] == [8, 9]


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"shuffle": True, "sampler": [1]}, ValueError, "sampler decides"),
        ({"batch_sampler": [[1]], "batch_size": 2}, ValueError, "batch_sampler decides"),
        ({"batch_sampler": [[1]], "shuffle": True}, ValueError, "batch_sampler decides"),
        ({"num_workers": -1}, ValueError, "num_workers"),
        ({"prefetch_factor": 0}, ValueError, "prefetch_factor"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"sampler": True}, TypeError, "by name"),
    ],
)
def test_loader_refuses(settings, error, words):
    with pytest.raises(error, match=words):
        data.DataLoader(Numbers(), **settings)


def test_a_sampler_gives_numbers_of_samples():
    with pytest.raises(TypeError, match="numbers of samples"):
        list(data.DataLoader(Numbers(), sampler=["a"]))


# --- worker processes ------------------------------------------------------------------------------------------------


def drawn(workers, epochs=2, **settings):
    tg.manual_seed(4)
    loader = data.DataLoader(Drawn(), 3, True, num_workers=workers, **settings)
    found = [lists(loader) for _ in range(epochs)]
    return found, tg.random.random().item()


@needs_fork
def test_the_number_of_workers_changes_nothing():
    random.seed(0)
    before = random.getstate()
    np_before = np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002
    alone = drawn(0)
    assert random.getstate() == before
    np.testing.assert_array_equal(np.random.get_state(legacy=False)["state"]["key"], np_before)  # noqa: NPY002
    assert len(alone[0][0]) == 4
    for column in list(zip(*alone[0][0]))[1:]:
        numbers = [x for batch in column for x in batch]
        assert len(set(numbers)) == len(numbers)  # no two workers, batches or samples draw the same
    assert alone[0][0] != alone[0][1]
    for workers in (1, 2, 3):
        assert drawn(workers, multiprocessing_context="fork") == alone
    assert drawn(2, persistent_workers=True, prefetch_factor=5) == alone
    assert multiprocessing.active_children() == []


def test_spawned_workers_give_the_same():
    assert drawn(1, 1, multiprocessing_context="spawn") == drawn(0, 1)


class Global(Numbers):
    def __getitem__(self, index):
        return [GLOBAL.random() for _ in range(2)]


GLOBAL = rng(3)


@needs_fork
def test_generators_in_global_variables():
    def values(workers):
        GLOBAL.bit_generator.state = rng(3).bit_generator.state
        return lists(data.DataLoader(Global(), 3, num_workers=workers, generator=rng(0))), GLOBAL.random()

    alone = values(0)
    assert values(2) == alone
    assert len({x for batch in alone[0] for column in batch for x in column}) == 20


def test_generators_are_found():
    found = [rng(i) for i in range(7)]

    class Holder:
        __slots__ = ("inside",)

    holder = Holder()
    holder.inside = {"a": [found[0]], "self": holder_of(found[1])}
    closure = found[2]

    def function(x, y=found[3], *, z=(found[4],)):
        return closure

    bound = holder_of(found[5]).method
    partial = functools.partial(len, tg.random.Generator(found[6]))
    assert seeding.generators_in(holder, function, bound, [partial], holder, None, found[0]) == found
    assert seeding.generators_in([rng()] * 1000, np.arange(3), "text", tg.tensor(1.0)) == []


def holder_of(generator):
    class Holding:
        def method(self):
            pass

    made = Holding()
    made.generator, made.me = generator, made
    return made


def test_a_dataset_that_raises_stop_iteration_does_not_end_the_pass():
    class Ending(Numbers):
        def __getitem__(self, index):
            raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        list(data.DataLoader(Ending()))


def test_a_sampler_derived_from_ours():
    class Odd(data.RandomSampler):
        def __iter__(self):
            return (i for i in super().__iter__() if i % 2)

    batches = lists(data.DataLoader(Numbers(), 10, sampler=Odd(LABELS)))
    assert sorted(batches[0]) == [1, 3, 5, 7, 9]


def test_a_seed_of_the_dataset_counts():
    def first(seed):
        return lists(data.DataLoader(Drawn(generator=rng(seed)), 3, generator=rng(0)))[0][2]

    assert first(1) == first(1)
    assert first(1) != first(2)


@needs_fork
def test_big_batches_and_many_tasks():
    loader = data.DataLoader(Big(40), 4, num_workers=2, prefetch_factor=4)
    assert [batch[:, 0].tolist() for batch in loader] == np.arange(40).reshape(10, 4).tolist()
    many = data.DataLoader(Numbers(60_000), 30_000, shuffle=True, num_workers=2, generator=rng())
    assert sorted(np.concatenate([batch.numpy() for batch in many])) == list(range(60_000))


@needs_fork
def test_errors_of_a_worker_arrive_with_its_traceback():
    batches = iter(data.DataLoader(Failing(), 2, num_workers=2))
    assert next(batches).tolist() == [0, 1]
    assert next(batches).tolist() == [2, 3]
    with pytest.raises(KeyError, match="no sample 5") as caught:
        next(batches)
    assert 'raise KeyError(f"no sample {index}")' in str(caught.value.__cause__)
    assert caught.value.__notes__ == ["in worker process 0, batch 2 of a DataLoader"]
    with pytest.raises(RuntimeError, match="Unpicklable: two"):
        list(data.DataLoader(FailingOddly(), 2, num_workers=1))
    with pytest.raises(ValueError, match="not today") as caught:
        list(data.DataLoader(Numbers(), 2, num_workers=1, worker_init_fn=refuse))
    assert "when worker process 0 started" in caught.value.__notes__[0]
    assert multiprocessing.active_children() == []


def refuse(number):
    raise ValueError("not today")


def test_what_cannot_be_sent_to_a_process():
    dataset = Numbers()
    dataset.function = lambda: None
    with pytest.raises(Exception, match="pickle") as caught:
        list(data.DataLoader(dataset, num_workers=1, multiprocessing_context="spawn"))
    assert "fork" in caught.value.__notes__[0]
    assert multiprocessing.active_children() == []


@needs_fork
def test_results_that_cannot_be_sent():
    loader = data.DataLoader(Numbers(), 2, num_workers=1, collate_fn=lambda samples: lambda: samples)
    with pytest.raises(Exception, match="pickle"):
        list(loader)


@needs_fork
@pytest.mark.parametrize("persistent", [False, True])
def test_a_killed_worker_is_an_error(persistent):
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="worker process 1 was killed by SIGKILL"):
        list(data.DataLoader(Dying(), 1, num_workers=2, persistent_workers=persistent))
    assert time.monotonic() - started < 5
    assert multiprocessing.active_children() == []


@needs_fork
def test_a_slow_worker_is_an_error_after_the_timeout():
    with pytest.raises(TimeoutError, match="worker process 0 gave no batch for 0.1 seconds"):
        list(data.DataLoader(Slow(), num_workers=1, timeout=0.1))
    assert multiprocessing.active_children() == []


@needs_fork
@pytest.mark.parametrize("dataset", [Numbers(100), Big(100)])
def test_a_loop_that_ends_early_leaves_no_process(dataset):
    for _ in data.DataLoader(dataset, 2, num_workers=2):
        break
    assert multiprocessing.active_children() == []
    batches = iter(data.DataLoader(dataset, 2, num_workers=2))
    del batches
    with pytest.raises(KeyboardInterrupt):
        press_in_a_loop(data.DataLoader(dataset, 2, num_workers=2))
    assert multiprocessing.active_children() == []


def press_in_a_loop(loader):
    for _ in loader:
        raise KeyboardInterrupt


@needs_fork
def test_persistent_workers_stay_and_go():
    loader = data.DataLoader(Big(30), 2, num_workers=2, persistent_workers=True)
    for _ in loader:
        break
    processes = {process.pid for process in multiprocessing.active_children()}
    assert len(processes) == 2
    first = [batch[:, 0].tolist() for batch in loader]  # what was left of the pass before is not in it
    assert first == np.arange(30).reshape(15, 2).tolist()
    assert {process.pid for process in multiprocessing.active_children()} == processes
    both = [(x[0, 0].item(), y[0, 0].item()) for x, y in zip(loader, loader)]  # two passes at once
    assert both == [(i, i) for i in range(0, 30, 2)]
    del loader
    assert multiprocessing.active_children() == []


@needs_fork
def test_worker_info_and_start():
    assert lists(data.DataLoader(Asking(4), num_workers=2)) == [[2], [12], [2], [12]]
    assert lists(data.DataLoader(Asking(2))) == [[-1], [-1]]
    arrays = data.DataLoader(data.TensorDataset(LABELS), 5, num_workers=2)
    batches = iter(arrays)
    next(batches)
    assert multiprocessing.active_children() == []  # arrays need none


# --- state -----------------------------------------------------------------------------------------------------------

LOADERS = {
    "arrays": lambda: data.DataLoader(data.TensorDataset(LABELS), 3, True, generator=rng(1)),
    "arrays, default generator": lambda: data.DataLoader(data.TensorDataset(LABELS), 3, True),
    "in order": lambda: data.DataLoader(data.TensorDataset(LABELS), 3),
    "drawn": lambda: data.DataLoader(Drawn(), 3, True),
    "weighted": lambda: data.DataLoader(Drawn(), 3, sampler=data.WeightedRandomSampler(LABELS, 12, generator=rng(2))),
    "batches": lambda: data.DataLoader(
        Numbers(), batch_sampler=data.BatchSampler(data.RandomSampler(LABELS), 3, False)
    ),
    "other generators": lambda: data.DataLoader(
        Drawn(generator=np.random.Generator(np.random.MT19937(1))),
        3,
        True,
        generator=np.random.Generator(np.random.Philox(1)),
    ),
}


@pytest.mark.parametrize("position", [0, 2, 4])
@pytest.mark.parametrize("name", LOADERS)
def test_resumed_in_the_middle(name, position, tmp_path):
    tg.manual_seed(1)
    loader = LOADERS[name]()
    lists(loader)
    batches = iter(loader)
    for _ in range(position):
        next(batches)
    tg.random.random(3)  # somebody else draws meanwhile
    tg.save(loader.state_dict(), tmp_path / "loader.safetensors")
    default = loader._generators()[:1] == [tg.random.default_generator()]
    rest = lists(batches), lists(loader), default and tg.random.random().item()
    tg.manual_seed(99)
    other = LOADERS[name]()
    other.load_state_dict(tg.load(tmp_path / "loader.safetensors"))
    again = other.state_dict()
    assert str(again["start"]) == str(tg.load(tmp_path / "loader.safetensors")["start"])
    assert (lists(other), lists(other), default and tg.random.random().item()) == rest
    assert len(rest[0]) == 4 - position


def test_resumed_between_two_passes():
    loader = LOADERS["arrays"]()
    lists(loader)
    state = loader.state_dict()
    assert state["position"] is None
    rest = lists(loader)
    other = LOADERS["arrays"]()
    other.load_state_dict(state)
    assert lists(other) == rest


@needs_fork
def test_resumed_with_workers():
    tg.manual_seed(1)
    loader = data.DataLoader(Drawn(), 3, True, num_workers=2)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()  # what was made in advance does not count
    rest = lists(batches)
    other = data.DataLoader(Drawn(), 3, True)
    other.load_state_dict(state)
    assert lists(other) == rest


def test_a_state_of_another_loader_is_refused():
    state = LOADERS["arrays"]().state_dict()
    with pytest.raises(ValueError, match="10 samples, not 5"):
        data.DataLoader(data.TensorDataset(np.arange(5)), 3, True).load_state_dict(state)
    with pytest.raises(ValueError, match="4 batches, not 5"):
        data.DataLoader(data.TensorDataset(LABELS), 2, True).load_state_dict(state)
    with pytest.raises(ValueError, match="1 random generators, the DataLoader 0"):
        data.DataLoader(data.TensorDataset(LABELS), 3).load_state_dict(state)
    generator = np.random.Generator(np.random.MT19937(1))
    with pytest.raises(ValueError, match="PCG64 generator, not of a MT19937"):
        data.DataLoader(data.TensorDataset(LABELS), 3, True, generator=generator).load_state_dict(state)
    with pytest.raises(ValueError, match="entries"):
        LOADERS["arrays"]().load_state_dict({})
