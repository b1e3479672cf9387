"""DataLoader: worker processes, however they are started, and however they end."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import types

import numpy as np
import pytest

import tinygrad_nn as tg
from tests.data.samples import METHODS, Drawn, Numbers, copies, lists, needs_fork, rng
from tinygrad_nn import data
from tinygrad_nn.data.workers import context_for


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


# --- the same batches ------------------------------------------------------------------------------------------------


def drawn(workers, epochs=2, **settings):
    tg.manual_seed(4)
    loader = copies(Drawn(), 3, True, num_workers=workers, **settings)
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
        assert drawn(workers) == alone
    assert drawn(2, persistent_workers=True, prefetch_factor=5) == alone
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("method", [method for method in METHODS if method != "fork"])
def test_the_way_in_which_processes_are_started_changes_nothing(method):
    context = multiprocessing.get_context(method)
    assert drawn(1, 1, multiprocessing_context=context) == drawn(0, 1)


class Global(Numbers):
    def __getitem__(self, index):
        return [GLOBAL.random() for _ in range(2)]


GLOBAL = rng(3)


@needs_fork
def test_generators_in_global_variables():
    def values(workers):
        GLOBAL.bit_generator.state = rng(3).bit_generator.state
        return lists(copies(Global(), 3, num_workers=workers, generator=rng(0))), GLOBAL.random()

    alone = values(0)
    assert values(2) == alone
    assert len({x for batch in alone[0] for column in batch for x in column}) == 20


@needs_fork
def test_resumed_with_workers():
    tg.manual_seed(1)
    loader = copies(Drawn(), 3, True)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()  # what was made in advance does not count
    rest = lists(batches)
    other = data.DataLoader(Drawn(), 3, True)
    other.load_state_dict(state)
    assert lists(other) == rest


@needs_fork
def test_big_batches_and_many_tasks():
    loader = copies(Big(40), 4, prefetch_factor=4)
    assert [batch[:, 0].tolist() for batch in loader] == np.arange(40).reshape(10, 4).tolist()
    many = copies(Numbers(60_000), 30_000, shuffle=True, generator=rng())
    assert sorted(np.concatenate([batch.numpy() for batch in many])) == list(range(60_000))


@needs_fork
def test_errors_of_a_worker_arrive_with_its_traceback():
    batches = iter(copies(Failing(), 2))
    assert next(batches).tolist() == [0, 1]
    assert next(batches).tolist() == [2, 3]
    with pytest.raises(KeyError, match="no sample 5") as caught:
        next(batches)
    assert 'raise KeyError(f"no sample {index}")' in str(caught.value.__cause__)
    assert caught.value.__notes__ == ["in worker process 0, batch 2 of a DataLoader"]
    with pytest.raises(RuntimeError, match="Unpicklable: two"):
        list(copies(FailingOddly(), 2, num_workers=1))
    with pytest.raises(ValueError, match="not today") as caught:
        list(copies(Numbers(), 2, num_workers=1, worker_init_fn=refuse))
    assert "when worker process 0 started" in caught.value.__notes__[0]
    assert multiprocessing.active_children() == []


def refuse(number):
    raise ValueError("not today")


def test_what_cannot_be_sent_to_a_process():
    dataset = Numbers()
    dataset.function = lambda: None
    for wrong, settings in (("dataset", {}), ("dataset and collate_fn", {"collate_fn": lambda samples: samples})):
        with pytest.raises(TypeError, match=f"DataLoader: {wrong} must be something that pickle takes(.|\n)*fork"):
            list(copies(dataset, multiprocessing_context="spawn", **settings))
    assert multiprocessing.active_children() == []


def test_what_a_new_process_does_not_find(monkeypatch):
    there = types.ModuleType("not_in_a_file")
    there.Lost = type("Lost", (Numbers,), {"__module__": there.__name__})
    monkeypatch.setitem(sys.modules, there.__name__, there)  # as what is defined in a notebook
    with pytest.raises(ModuleNotFoundError, match="not_in_a_file") as caught:
        list(copies(there.Lost(), num_workers=1, multiprocessing_context=METHODS[-1]))
    assert "took its copy of the dataset (what a notebook" in caught.value.__notes__[0]


def test_a_new_process_that_ends_at_once():
    with pytest.raises(RuntimeError, match="ended with code 1 .*under `if __name__"):
        list(copies(Numbers(), num_workers=1, multiprocessing_context=METHODS[-1], worker_init_fn=end))


def end(number):
    os._exit(1)


# --- how processes are started ---------------------------------------------------------------------------------------


@pytest.fixture
def by_default(monkeypatch):
    """Copies of this process are what Python makes, and nothing speaks against them."""
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["fork", "spawn", "forkserver"])
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: None)
    for name in ("jax", "tensorflow", "polars"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def chosen(given=None):
    context, why = context_for(given)
    return context.get_start_method(), why


@needs_fork
def test_copies_are_made_only_where_that_is_safe(by_default, monkeypatch):
    assert chosen() == ("fork", "")
    monkeypatch.setitem(sys.modules, "jax", types.ModuleType("jax"))
    assert chosen() == ("forkserver", "JAX is loaded, whose threads do not survive a fork")
    assert chosen("fork") == ("fork", "")  # at one's own risk
    with pytest.raises(TypeError, match="no copies of this one .JAX is loaded"):
        list(data.DataLoader(Numbers(), num_workers=1, collate_fn=lambda samples: samples))
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: "spawn")  # what a program chose
    assert chosen() == ("spawn", "")


@needs_fork
@pytest.mark.parametrize("daemon", [False, True])
def test_other_threads_speak_against_copies(by_default, daemon):
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="reader", daemon=daemon)
    thread.start()
    try:
        method, why = chosen()
    finally:
        done.set()
        thread.join()
    assert method == ("fork" if daemon else "forkserver")
    assert daemon or "'reader'" in why


def test_beside_jax():
    pytest.importorskip("jax").numpy.ones(3).sum()  # from here on it warns of every fork, an error in these tests
    loader = data.DataLoader(Numbers(4), 2, num_workers=1)
    assert lists(loader) == [[0, 1], [2, 3]]


class ByTorch(Numbers):
    def __getitem__(self, index):
        return parallel(index)


def parallel(index):
    """A sum that PyTorch divides among its threads."""
    import torch

    return float((torch.ones(2_000_000) * index).sum())


@needs_fork
def test_beside_the_threads_of_torch():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert parallel(1) == 2e6
        assert lists(copies(ByTorch(2), 2, num_workers=1, timeout=30)) == [[0, 2e6]]
    finally:
        torch.set_num_threads(before)


@needs_fork
def test_results_that_cannot_be_sent(capfd):
    loader = copies(Numbers(), 2, num_workers=1, collate_fn=lambda samples: lambda: samples)
    with pytest.raises(Exception, match="local object") as caught:
        list(loader)
    assert caught.value.__notes__ == ["when a batch was pickled, to be sent to the owner of a DataLoader"]
    assert capfd.readouterr().err == ""  # the process ends quietly


@needs_fork
@pytest.mark.parametrize("persistent", [False, True])
def test_a_killed_worker_is_an_error(persistent):
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="worker process 1 was killed by SIGKILL"):
        list(copies(Dying(), 1, persistent_workers=persistent))
    assert time.monotonic() - started < 5
    assert multiprocessing.active_children() == []


@needs_fork
def test_a_slow_worker_is_an_error_after_the_timeout():
    with pytest.raises(TimeoutError, match="worker process 0 gave no batch for 0.1 seconds"):
        list(copies(Slow(), num_workers=1, timeout=0.1))
    assert multiprocessing.active_children() == []


@needs_fork
@pytest.mark.parametrize("dataset", [Numbers(100), Big(100)])
def test_a_loop_that_ends_early_leaves_no_process(dataset):
    for _ in copies(dataset, 2):
        break
    assert multiprocessing.active_children() == []
    batches = iter(copies(dataset, 2))
    del batches
    with pytest.raises(KeyboardInterrupt):
        press_in_a_loop(copies(dataset, 2))
    assert multiprocessing.active_children() == []


def press_in_a_loop(loader):
    for _ in loader:
        raise KeyboardInterrupt


@needs_fork
def test_persistent_workers_stay_and_go():
    loader = copies(Big(30), 2, persistent_workers=True)
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
    assert lists(copies(Asking(4))) == [[2], [12], [2], [12]]
    assert lists(data.DataLoader(Asking(2))) == [[-1], [-1]]
    arrays = copies(data.TensorDataset(np.arange(10)), 5)
    batches = iter(arrays)
    next(batches)
    assert multiprocessing.active_children() == []  # arrays need none
