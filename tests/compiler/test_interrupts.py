"""Interrupts, copies and forks of compiled functions: state is as before a call or as after it."""

import copy
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn, optim
from tinygrad_nn.core import interrupts
from tinygrad_nn.core.graph import modes, switch
from tinygrad_nn.nn import functional as F

ROOT = Path(__file__).resolve().parents[2]

X, Y = tg.tensor(np.linspace(-1, 1, 20).reshape(4, 5)), tg.tensor(np.zeros((4, 2)))


@pytest.fixture(autouse=True)
def python_handles_ctrl_c():
    """A process started in the background of a shell ignores interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


with_signals = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers that send signals")


class Training:
    def __init__(self, **settings):
        tg.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 2))
        self.optimizer = optim.Adam(self.net.parameters(), lr=0.1)
        self.step = tg.compile(self.plain, **settings)

    def plain(self, x, y):
        loss = F.mse_loss(self.net(x), y)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss

    def state(self):
        parameters = list(self.net.parameters())
        remembered = [np.array(v) for p in parameters for v in self.optimizer.state.get(p, {}).values()]
        return [p.numpy().copy() for p in parameters] + remembered


@pytest.fixture(scope="module")
def states():
    """After no step, one, two and so on."""
    training = Training()
    found = [training.state()]
    for _ in range(6):
        training.plain(X, Y)
        found.append(training.state())
    return found


def steps_of(state, states):
    """Of how many steps a state is; None if of no whole number."""
    for count, other in enumerate(states):
        if len(state) == len(other) and all(np.allclose(a, b, rtol=1e-5, atol=1e-7) for a, b in zip(state, other)):
            return count
    return None


@with_signals
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one that comes in a finalizer
@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("steps_before", [0, 2])
def test_an_interrupt_at_any_moment(states, steps_before, verify):
    Training(verify=verify).step(X, Y)
    training = Training(verify=verify)
    begin = time.perf_counter()
    training.step(X, Y)
    first = time.perf_counter() - begin
    dice = random.Random(steps_before)
    alarm = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    counts = set()
    try:
        for _ in range(60):
            training = Training(verify=verify)
            for _ in range(steps_before):
                training.step(X, Y)
            wait = dice.random() * (0.0005 if steps_before else 2 * first)
            try:
                signal.setitimer(signal.ITIMER_REAL, max(wait, 1e-6))
                for _ in range(2 if steps_before else 1):
                    training.step(X, Y)
                end = time.monotonic() + 1  # Python loses one that comes in a finalizer
                while time.monotonic() < end:
                    time.sleep(0.001)
            except KeyboardInterrupt:
                pass
            count = steps_of(training.state(), states)
            assert count is not None
            counts.add(count)
            assert not modes.store.compiling
            assert not switch.active
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            assert all(type(p._value) is np.ndarray for p in training.net.parameters())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
    assert len(counts) > 1


def test_an_interrupt_between_two_writes_of_the_first_call(states, monkeypatch):
    copyto, writes = np.copyto, []

    def interrupting(*arrays, **settings):
        copyto(*arrays, **settings)
        if sys._getframe(1).f_code.co_name == "_commit":
            writes.append(1)
            if len(writes) == 2:
                signal.raise_signal(signal.SIGINT)

    training = Training()
    monkeypatch.setattr(np, "copyto", interrupting)
    with pytest.raises(KeyboardInterrupt):
        training.step(X, Y)
    assert len(writes) > 2
    assert steps_of(training.state(), states) == 1
    training.step(X, Y)
    assert steps_of(training.state(), states) == 2


def test_an_interrupt_is_held_back_and_then_raised():
    interrupts.hold()
    interrupts.hold()
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupts.release()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    interrupts.release()


def test_what_is_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.hold()
    signal.raise_signal(signal.SIGINT)
    interrupts.release()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_hold_nothing_back():
    seen = []

    def run():
        interrupts.hold()
        seen.append(signal.getsignal(signal.SIGINT))
        interrupts.release()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


# --- copies ----------------------------------------------------------------------------------------------------------


def double(x):
    return x * 2


def pickled(x):
    return pickle.loads(pickle.dumps(x))  # noqa: S301 - our own


@tg.compile
def decorated(x):
    return x * 3


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_a_copy_records_for_itself(copied):
    compiled = tg.compile(double, static=["x"], verify=False)
    compiled(X)
    other = copied(compiled)
    assert other is not compiled
    assert other._entries == []
    assert (other.static, other.verify, other.target) == (compiled.static, False, "numpy")
    np.testing.assert_array_equal(other(X).numpy(), compiled(X).numpy())


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_a_decorated_function_goes_by_its_name(copied):
    assert copied(decorated) is decorated


def test_a_copied_network_is_its_own():
    net = tg.compile(nn.Linear(5, 2))
    net(X)
    other = copy.deepcopy(net)
    with tg.no_grad():
        other.function.weight[...] = 0.0
    assert not np.allclose(net(X).numpy(), other(X).numpy())


FORKING = """
import os, threading, time
import numpy as np
import tinygrad_nn as tg

large = tg.tensor(np.random.default_rng(0).uniform(size=(300, 300)))
compiled = tg.compile(lambda x: tg.tanh(x @ x).sum())
compiled(large)
stop = threading.Event()

def work():
    while not stop.is_set():
        compiled(large)

thread = threading.Thread(target=work)
thread.start()
statuses = []
for _ in range(8):
    child = os.fork()
    if not child:
        compiled(large)
        os._exit(0)
    statuses.append(os.waitpid(child, 0)[1])
stop.set()
thread.join()
assert statuses == [0] * 8
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_another_thread_is_in_a_call():
    """In a process of its own: who forks one that has other threads is warned by Python and by JAX."""
    command = [sys.executable, "-W", "ignore", "-c", FORKING]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}, timeout=120, check=True)
