"""A run that is killed at any moment and resumed is the run that was not, to the last bit."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import stat
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import tinygrad_nn as tg
from tests.training import program as training_program
from tinygrad_nn import data, nn, optim, training
from tinygrad_nn.training import checkpoint, stepping

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 4

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="takes processes that are copies of this one")


def same(a, b, path="state"):
    """Assert that two states are equal to the last bit."""
    assert type(a) is type(b), path
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            same(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for number, (x, y) in enumerate(zip(a, b)):
            same(x, y, f"{path}.{number}")
    elif isinstance(a, tg.Tensor):
        assert a.dtype == b.dtype, path
        assert a.numpy().tobytes() == b.numpy().tobytes(), path
    else:
        assert a == b or a != a, f"{path}: {a} {b}"


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    """A process to make copies of, and a folder with the result of the program, which it has run once.

    A copy of this process would lack the threads of libraries that tests before these have loaded.
    """
    here, there = multiprocessing.Pipe()
    folder = tmp_path_factory.mktemp("whole")
    process = multiprocessing.get_context("spawn").Process(target=_nursery, args=(there, folder), daemon=True)
    process.start()
    there.close()
    here.recv()
    yield here, folder
    here.close()
    process.join()


def _nursery(connection, folder):
    training_program.main(folder / "run", folder / "result.safetensors", EPOCHS)
    connection.send("ready")
    with suppress(EOFError):
        while True:
            connection.send(_status_of_copy(*connection.recv()))


@pytest.fixture
def in_a_copy(nursery):
    """Runs the program in a process that can kill itself at a given moment; True if it lived."""

    def run(*arguments):
        nursery[0].send(arguments)
        status = nursery[0].recv()
        assert status in (0, signal.SIGKILL), f"the program failed: {status}"
        return status == 0

    return run


def _status_of_copy(folder, result, moment=None, number=0):
    child = os.fork()
    if child == 0:
        try:
            if moment is not None:
                _die_at(moment, number)
            training_program.main(folder, result, EPOCHS)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def _die_at(moment, number):
    calls = [0]

    def dying(function, *, first=None, after=False):
        def call(*args, **kwargs):
            calls[0] += 1
            last = calls[0] == number
            if last and not after:
                if first is not None:
                    first(*args)
                os.kill(os.getpid(), signal.SIGKILL)
            out = function(*args, **kwargs)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)
            return out

        return call

    if moment == "a step":
        stepping.Stepper.train = dying(stepping.Stepper.train)
    elif moment == "evaluation":
        stepping.Stepper.evaluate = dying(stepping.Stepper.evaluate)
    elif moment == "half written":
        fsync, half = os.fsync, dying(os.fsync, first=lambda descriptor: os.ftruncate(descriptor, 100))
        os.fsync = lambda descriptor: (fsync if stat.S_ISDIR(os.fstat(descriptor).st_mode) else half)(descriptor)
    elif moment == "written":
        os.replace = dying(os.replace)
    else:
        os.replace = dying(os.replace, after=True)


@pytest.fixture(scope="module")
def whole(nursery):
    """What a run gives that nobody kills."""
    return tg.load(nursery[1] / "result.safetensors")


@needs_fork
@pytest.mark.parametrize(
    "moments",
    [
        [("a step", 2)],  # before there is a checkpoint
        [("a step", 14), ("a step", 9), ("half written", 3)],
        [("evaluation", 2), ("written", 2), ("renamed", 2), ("renamed", 4)],
        [("half written", 1), ("written", 5), ("half written", 7), ("a step", 5), ("evaluation", 3)],
    ],
)
def test_killed_and_resumed(whole, in_a_copy, moments, tmp_path):
    result = tmp_path / "result.safetensors"
    for moment in moments:
        assert not in_a_copy(tmp_path / "run", result, *moment), moment
    assert in_a_copy(tmp_path / "run", result)
    same(tg.load(result), whole)
    assert sorted(os.listdir(tmp_path / "run")) == ["best.safetensors", "last.safetensors"]
    assert in_a_copy(tmp_path / "run", result)  # and once more, with nothing left to do
    same(tg.load(result), whole)


@pytest.mark.slow
def test_killed_from_outside_at_random(tmp_path):
    def command(name):
        program = [sys.executable, str(ROOT / "tests" / "training" / "program.py")]
        return [*program, str(tmp_path / name), str(tmp_path / f"{name}.safetensors"), "40"]

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command("whole"), env=environment, check=True)
    chance, killed, kept = random.Random(0), 0, tmp_path / "killed" / "last.safetensors"
    for _ in range(3):
        process = subprocess.Popen(command("killed"), env=environment)
        before = kept.stat().st_mtime_ns if kept.exists() else 0
        while process.poll() is None and (not kept.exists() or kept.stat().st_mtime_ns == before):
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
    assert killed
    subprocess.run(command("killed"), env=environment, check=True)
    same(tg.load(tmp_path / "killed.safetensors"), tg.load(tmp_path / "whole.safetensors"))


# --- in one process --------------------------------------------------------------------------------------------------


class Aging(nn.Linear):
    """Counts its calls, in a buffer that is in no state_dict, and depends on the count."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("age", np.zeros((), np.float32), persistent=False)

    def forward(self, x):
        self.age += 1
        return super().forward(x) * (1 + 0.01 * self.age)


def parts(seed=0, kind="Adam"):
    tg.manual_seed(seed)
    model = nn.Sequential(Aging(3, 5), nn.Tanh(), nn.Linear(5, 1))
    settings = {"SGD": {"momentum": 0.9}, "LBFGS": {"max_iter": 3}}
    optimizer = getattr(optim, kind)(model.parameters(), lr=0.05, **settings.get(kind, {}))
    return model, training.Trainer(model, nn.MSELoss(), optimizer)


X = np.random.default_rng(0).standard_normal((30, 3)).astype(np.float32)
Z = X.prod(1, keepdims=True)


def loader(**settings):
    return data.DataLoader(data.TensorDataset(X, Z), 4, **{"shuffle": True, **settings})


@pytest.fixture
def ctrl_c():
    """Ctrl-C as programs find it, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Stop(Exception):
    pass


def stopped_after(trainer, steps, *args, **settings):
    """Fit until so many steps were made, and then raise."""
    train, count = trainer._stepper.train, [0]

    def counted(batch):
        if count[0] == steps:
            raise Stop
        count[0] += 1
        return train(batch)

    trainer._stepper.train = counted
    with pytest.raises(Stop):
        trainer.fit(*args, **settings)


@pytest.mark.parametrize(
    ("kind", "compiled"),
    [(kind, True) for kind in ("SGD", "Adam", "RMSprop", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "LBFGS")]
    + [(kind, False) for kind in ("SGD", "Adam", "LBFGS")],
)
def test_every_optimizer_resumes(kind, compiled, tmp_path):
    def run(seed):
        model, trainer = parts(seed, kind)
        trainer._stepper.level = "whole" if compiled else "ordinary"
        return model, trainer

    model, trainer = run(0)
    history = trainer.fit(loader(), 3)
    _, first = run(0)
    stopped_after(first, 13, loader(), 3, checkpoint=tmp_path, every_steps=3)
    other, second = run(5)
    assert second.fit(loader(), 3, checkpoint=tmp_path, resume=True) == history
    same(other.state_dict(), model.state_dict())
    same(second.optimizer.state_dict(), trainer.optimizer.state_dict())
    assert (second.epoch, second.steps) == (3, 24)


def test_a_list_of_batches_and_seconds(tmp_path):
    batches = [(tg.tensor(X[i : i + 5]), tg.tensor(Z[i : i + 5])) for i in range(0, 30, 5)]
    _, trainer = parts()
    history = trainer.fit(batches, 2)
    _, first = parts()
    stopped_after(first, 8, batches, 2, checkpoint=tmp_path, every_seconds=0)
    _, second = parts(5)
    assert second.fit(batches, 2, checkpoint=tmp_path, resume=True) == history


def test_arrays_keep_their_order_in_memory(tmp_path):
    def orders(model, optimizer):
        arrays = [p._value for p in model.parameters()] + [e["exp_avg"] for e in optimizer.state.values()]
        return [array.strides for array in arrays]

    model, trainer = parts()
    model[0].weight._assign(np.asfortranarray(model[0].weight.numpy()))
    trainer.fit(loader(), 1)
    trainer.optimizer.state[model[2].weight]["exp_avg"] = np.asfortranarray(np.ones((1, 5), np.float32))
    state = checkpoint.network_state(model, trainer.optimizer)
    tg.save(state, tmp_path / "state.safetensors")
    other, second = parts(5)
    checkpoint.load_network(tg.load(tmp_path / "state.safetensors"), other, second.optimizer)
    assert orders(other, second.optimizer) == orders(model, trainer.optimizer)
    assert "model.0.weight" in state["layout"]


@pytest.mark.skipif(os.name != "posix", reason="a signal is sent")
def test_interrupted_between_two_steps(tmp_path, ctrl_c):
    class Pressed(data.DataLoader):
        def __iter__(self):
            for number, batch in enumerate(super().__iter__()):
                if number == 3:
                    os.kill(os.getpid(), signal.SIGINT)
                yield batch

    _, trainer = parts()
    history = trainer.fit(loader(shuffle=False), 2)
    _, first = parts()
    with pytest.raises(KeyboardInterrupt):
        first.fit(Pressed(data.TensorDataset(X, Z), 4), 2, checkpoint=tmp_path)
    assert first.steps == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    _, second = parts(5)
    assert second.fit(loader(shuffle=False), 2, checkpoint=tmp_path, resume=True) == history


@pytest.mark.skipif(os.name != "posix", reason="a signal is sent")
def test_interrupted_in_the_validation(tmp_path, ctrl_c):
    class Pressed(data.DataLoader):
        def __iter__(self):
            os.kill(os.getpid(), signal.SIGINT)
            return super().__iter__()

    _, trainer = parts()
    history = trainer.fit(loader(), 2, loader())
    _, first = parts()
    with pytest.raises(KeyboardInterrupt):
        first.fit(loader(), 2, Pressed(data.TensorDataset(X, Z), 4, shuffle=True), checkpoint=tmp_path)
    _, second = parts(5)
    assert second.fit(loader(), 2, loader(), checkpoint=tmp_path, resume=True) == history


def test_more_epochs_and_a_new_start(tmp_path):
    _, trainer = parts()
    history = trainer.fit(loader(), 4)
    _, first = parts()
    assert len(first.fit(loader(), 2, checkpoint=tmp_path)) == 2
    assert first.fit(loader(), 4, checkpoint=tmp_path, resume=True) == history
    row = first.load_best()
    assert row == history.best()
    _, other = parts()
    assert other.fit(loader(), 4, checkpoint=tmp_path) == history  # without resume from the start
    assert len(parts()[1].fit(loader(), 0, checkpoint=tmp_path)) == 0
    assert not list(tmp_path.iterdir())


def test_a_run_that_was_stopped_early_stays_stopped(tmp_path):
    def stop():
        return training.EarlyStopping("loss", 1, min_delta=10.0)

    _, trainer = parts()
    history = trainer.fit(loader(), 9, checkpoint=tmp_path, early_stopping=stop())
    assert len(history) == 2
    _, second = parts()
    assert second.fit(loader(), 9, checkpoint=tmp_path, early_stopping=stop(), resume=True) == history


def test_checkpoints_that_do_not_fit(tmp_path):
    _, trainer = parts()
    trainer.fit(loader(), 1, checkpoint=tmp_path)
    _, other = parts()
    with pytest.raises(ValueError, match="no state of early_stopping"):
        other.fit(loader(), 2, checkpoint=tmp_path, resume=True, early_stopping=training.EarlyStopping())
    model = nn.Linear(3, 1)
    other = training.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()))
    with pytest.raises(ValueError, match="does not fit"):
        other.fit(loader(), 2, checkpoint=tmp_path, resume=True)
    tg.save({"a": 1}, tmp_path / "last.safetensors")
    with pytest.raises(ValueError, match="no checkpoint of a Trainer"):
        parts()[1].fit(loader(), 2, checkpoint=tmp_path, resume=True)


def test_a_loss_that_is_nan_leaves_the_checkpoint_of_before(tmp_path):
    model, trainer = parts()
    batches = [(tg.tensor(X), tg.tensor(Z)), (tg.tensor(X * np.nan), tg.tensor(Z))]
    trainer.fit(batches[:1], 1, checkpoint=tmp_path)
    kept = model.state_dict()
    with pytest.raises(FloatingPointError, match="of before"):
        trainer.fit(batches, 2, checkpoint=tmp_path, resume=True)
    same(tg.load(tmp_path / "last.safetensors")["model"], kept)
