"""DataLoader: samplers, random generators, and its state."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import tinygrad_nn as tg
from tests.data.samples import Drawn, Numbers, lists, rng
from tinygrad_nn import data
from tinygrad_nn.data import seeding

LABELS = np.arange(10)


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
        ({"multiprocessing_context": "threads"}, ValueError, "'spawn'.* not 'threads'"),
        ({"sampler": True}, TypeError, "by name"),
    ],
)
def test_loader_refuses(settings, error, words):
    with pytest.raises(error, match=words):
        data.DataLoader(Numbers(), **settings)


def test_a_sampler_gives_numbers_of_samples():
    with pytest.raises(TypeError, match="numbers of samples"):
        list(data.DataLoader(Numbers(), sampler=["a"]))


# --- generators ------------------------------------------------------------------------------------------------------


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


def test_without_replacement_no_sample_comes_twice():
    generator = rng()
    for _ in range(50):
        drawn = list(data.WeightedRandomSampler([1.0, 1.0, 1.0, 9.0], 3, replacement=False, generator=generator))
        assert len(set(drawn)) == 3
    both = [list(data.WeightedRandomSampler([1.0, 9.0], 2, generator=generator)) for _ in range(20)]
    assert any(len(set(drawn)) == 1 for drawn in both)


def test_of_several_passes_at_once_the_last_counts():
    loader = data.DataLoader(data.TensorDataset(np.arange(10)), batch_size=2)
    first, second = iter(loader), iter(loader)
    next(second)
    next(second)
    next(first)
    assert loader.state_dict()["position"] == 2
    list(first)
    assert loader.state_dict()["position"] == 2
    list(second)
    assert loader.state_dict()["position"] is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_an_enlarged_set_has_the_dtype_of_its_pictures(dtype):
    few = data.TensorDataset(np.eye(3, dtype=dtype).reshape(1, 1, 3, 3), np.array([7]))
    many = data.augment(few, data.transforms.RandomShift(1, generator=rng()), copies=2)
    assert many.tensors[0].dtype == dtype
    assert many.tensors[1].dtype == np.array([7]).dtype
