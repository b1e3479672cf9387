"""Modes that are entered by generators, coroutines and several threads, and left by Ctrl-C."""

import asyncio
import os
import random
import signal
import threading

import pytest

import tinygrad_nn as tg
from tinygrad_nn.core.graph import modes, switch


@pytest.fixture(autouse=True)
def _all_off():
    yield
    assert modes.recording
    assert not switch.active


def recorded():
    return (tg.tensor(1.0, requires_grad=True) * 2).requires_grad


def test_a_decorated_generator():
    @tg.no_grad()
    def generator():
        got = yield recorded()
        try:
            yield got, recorded()
        except ValueError:
            yield recorded()
        return recorded()

    running = generator()
    assert next(running) is False
    assert recorded()
    assert running.send("sent") == ("sent", False)
    assert recorded()
    assert running.throw(ValueError()) is False
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value is False
    closed = []

    @tg.no_grad()
    def cleaning():
        try:
            yield 1
        finally:
            closed.append(recorded())

    running = cleaning()
    next(running)
    running.close()
    assert closed == [False]
    with tg.no_grad():
        inside = tg.enable_grad()(lambda: recorded())
        assert inside()


def test_a_decorated_coroutine():
    seen = []

    @tg.no_grad()
    async def quiet():
        seen.append(recorded())
        await asyncio.sleep(0)
        seen.append(recorded())
        return "result"

    async def other():
        for _ in range(3):
            assert recorded()
            await asyncio.sleep(0)

    async def both():
        return await asyncio.gather(quiet(), other())

    assert asyncio.run(both()) == ["result", None]
    assert seen == [False, False]
    with pytest.raises(TypeError, match="asynchronous generator; enter it inside"):

        @tg.no_grad()
        async def numbers():
            yield 1


def test_a_generator_that_another_thread_closes():
    def generator():
        with tg.no_grad():
            yield

    running = generator()
    next(running)
    assert not modes.recording
    thread = threading.Thread(target=running.close)
    thread.start()
    thread.join()
    assert recorded()


def test_one_instance_in_several_threads():
    shared, barrier = tg.no_grad(), threading.Barrier(3)
    seen = []

    def run():
        with shared:
            barrier.wait()
            with shared:
                seen.append(recorded())
            barrier.wait()
            seen.append(recorded())
        seen.append(recorded())

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [False] * 6 + [True] * 3


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers that send signals")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_modes_in_a_loop_that_is_interrupted():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    alarm = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    dice = random.Random(0)
    try:
        for _ in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + dice.random() * 0.002)
                for _ in range(100_000):
                    with tg.no_grad(), tg.detect_anomaly():
                        pass
            except KeyboardInterrupt:
                pass
            assert modes.recording
            assert not modes.anomaly
            assert not switch.active
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
        signal.signal(signal.SIGINT, before)
