"""Worker processes that make batches: started, fed, listened to, and ended whatever happens."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from queue import SimpleQueue
from typing import Any

from . import seeding
from .seeding import Fetcher, Task, WorkerInfo

#: Seconds that a worker has to end by itself once nobody listens any more.
_PATIENCE = 0.5

#: Libraries with threads that do not survive a fork, by the module that shows that they are loaded.
_THREADED = {"jax": "JAX", "tensorflow": "TensorFlow", "polars": "Polars"}


class Remote(Exception):
    """The traceback of a worker process, as the cause of the error that arrives here."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


# --- how processes are started ---------------------------------------------------------------------------------------


def context_for(given: Any) -> tuple[Any, str]:
    """The multiprocessing context to start processes in; and, where Python's own would do harm, why it is another."""
    if given is not None:
        return (multiprocessing.get_context(given) if isinstance(given, str) else given), ""
    methods = multiprocessing.get_all_start_methods()  # the first is the default one
    method = multiprocessing.get_start_method(allow_none=True) or methods[0]
    why = _against_a_fork() if method == "fork" else ""
    if why:
        method = "forkserver" if "forkserver" in methods else "spawn"
    return multiprocessing.get_context(method), why


def _against_a_fork() -> str:
    """Whose locks a copy of this process could find locked for ever; daemons, such as those of notebooks, only wait."""
    for module, name in _THREADED.items():
        if module in sys.modules:
            return f"{name} is loaded, whose threads do not survive a fork"
    others = [t for t in threading.enumerate() if t is not threading.current_thread() and not t.daemon]
    return f"the thread {others[0].name!r} is running, and would not survive a fork" if others else ""


class _Needs:
    """What a process needs of its owner. If it is pickled, then apart: what goes wrong with it can be told."""

    def __init__(self, why: str, **parts: Any) -> None:
        self._why, self._parts, self._pickled = why, parts, b""

    def __getstate__(self) -> dict[str, Any]:
        try:
            pickled = bytes(ForkingPickler.dumps(self._parts))
        except Exception as error:
            wrong = [name for name, part in self._parts.items() if not _can_be_pickled(part)]
            because = f" ({self._why})" if self._why else ""
            raise TypeError(
                f"DataLoader: {' and '.join(wrong) or 'the dataset'} must be something that pickle takes, to be sent "
                f"to worker processes that are no copies of this one{because}; it is not: {error}.\n  Put classes and "
                'functions at the top of a module, or give num_workers=0, or multiprocessing_context="fork" if you '
                "know that to be safe"
            ) from error
        return {"_why": self._why, "_parts": None, "_pickled": pickled}

    def taken(self) -> dict[str, Any]:
        """The parts, in the process that needs them."""
        parts: dict[str, Any] = ForkingPickler.loads(self._pickled) if self._parts is None else self._parts
        return parts


def _can_be_pickled(part: Any) -> bool:
    try:
        ForkingPickler.dumps(part)
    except Exception:
        return False
    return True


def _start(process: Any) -> None:
    import warnings

    with warnings.catch_warnings():  # NumPy's threads, which Python warns of, are ready for a fork
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        process.start()


# --- in the worker ---------------------------------------------------------------------------------------------------


def _work(connection: Connection, others: list[Connection], number: int, count: int, seed: int, needs: _Needs) -> None:
    """What a worker process does: take tasks, send batches, until its connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that owns the workers
    for other in others:  # a copy of the owner's end would hide that the owner is gone
        other.close()
    tasks: SimpleQueue[Task | None] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, tasks), daemon=True).start()
    if "torch" in sys.modules:  # a copy of a process waits for ever for the threads that this library had there
        sys.modules["torch"].set_num_threads(1)
    try:
        parts = needs.taken()
    except Exception as error:
        hint = 'what a notebook or a prompt defines must be put in a module, or the context be "fork"'
        _send(connection, _failure(error, f"when worker process {number} took its copy of the dataset ({hint})"))
        return
    dataset, collate_fn, init = parts["dataset"], parts["collate_fn"], parts["worker_init_fn"]
    try:
        seeding.info = WorkerInfo(number, count, seed, dataset)
        fetcher = Fetcher(dataset, collate_fn)
        if init is not None:
            fetcher.seeds.start([seed] * len(fetcher.seeds.generators), number)
            init(number)
    except Exception as error:
        _send(connection, _failure(error, f"when worker process {number} started"))
        return
    while (task := tasks.get()) is not None:
        try:
            fetcher.seeds.start(task.bases, task.number)
            results: tuple[Any, ...] = (task.number, fetcher(task.indices))
        except Exception as error:
            results = _failure(error, f"in worker process {number}, batch {task.number}")
        if not _send(connection, results):
            return


def _listen(connection: Connection, tasks: SimpleQueue[Task | None]) -> None:
    """Read tasks as they come, so that the owner never waits for a worker that waits for the owner."""
    with suppress(EOFError, OSError):
        while True:
            tasks.put(connection.recv())
    tasks.put(None)


def _send(connection: Connection, made: tuple[Any, ...]) -> bool:
    """Send a batch or an error; False if nobody listens."""
    try:
        try:
            pickled = ForkingPickler.dumps(made)
        except Exception as error:
            pickled = ForkingPickler.dumps(_failure(error, "when a batch was pickled, to be sent to the owner"))
        connection.send_bytes(pickled)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def _failure(error: Exception, where: str) -> tuple[Any, ...]:
    import pickle
    import traceback

    text = traceback.format_exc()
    with suppress(Exception):
        if type(pickle.loads(pickle.dumps(error))) is type(error):  # noqa: S301
            return None, error, text, where
    return None, RuntimeError(f"{type(error).__name__}: {error}"), text, where


# --- in the process that owns them -----------------------------------------------------------------------------------


class Workers:
    """Some processes, and a connection to each. Batch n of a pass is made by process n modulo their number.

    Every process answers in the order in which it is asked, so that batches come in theirs.
    """

    def __init__(
        self,
        count: int,
        context: Any,
        seed: int,
        dataset: Any,
        collate_fn: Callable[[list[Any]], Any] | None,
        init: Callable[[int], Any] | None,
    ) -> None:
        context, why = context_for(context)
        needs = _Needs(why, dataset=dataset, collate_fn=collate_fn, worker_init_fn=init)
        self._copies = context.get_start_method() == "fork"
        self.processes: list[Any] = []
        self.connections: list[Connection] = []
        self._waiting = [0] * count
        try:
            for number in range(count):
                here, there = context.Pipe()
                self.connections.append(here)
                others = list(self.connections) if self._copies else []
                process = context.Process(
                    target=_work,
                    args=(there, others, number, count, seed + number, needs),
                    name=f"DataLoader worker {number}",
                    daemon=True,
                )
                try:
                    _start(process)
                finally:
                    there.close()
                self.processes.append(process)
        except BaseException:
            self.close()
            raise

    def run(self, tasks: Iterator[Task], prefetch: int, timeout: float) -> Iterator[Any]:
        """The batches of tasks, in order, up to `prefetch` of each process made in advance."""
        self._drop_stale(timeout)
        count = len(self.processes)
        sent = received = 0
        more = True
        while True:
            while more and sent - received < prefetch * count:
                task = next(tasks, None)
                if task is None:
                    more = False
                else:
                    self._ask(sent % count, task)
                    sent += 1
            if received == sent:
                return
            result = self._answer(received % count, timeout)
            received += 1
            yield result

    def _ask(self, number: int, task: Task) -> None:
        try:
            self.connections[number].send(task)
        except (BrokenPipeError, ConnectionResetError):
            if not self.connections[number].poll():  # else it tells why
                raise self._dead(number) from None
        self._waiting[number] += 1

    def _answer(self, number: int, timeout: float) -> Any:
        """The next batch of one process."""
        connection = self.connections[number]
        if not wait([connection, self.processes[number].sentinel], timeout or None):
            raise TimeoutError(
                f"DataLoader: worker process {number} gave no batch for {timeout} seconds; give a longer timeout=, or "
                "0 to wait as long as it takes"
            )
        try:
            if not connection.poll():
                raise EOFError
            result = connection.recv()
        except (EOFError, ConnectionResetError):
            raise self._dead(number) from None
        self._waiting[number] -= 1
        if result[0] is None:
            _, error, text, where = result
            error.add_note(f"{where} of a DataLoader")
            raise error from Remote(text)
        return result[1]

    def _drop_stale(self, timeout: float) -> None:
        """Take what is left of a pass that was given up."""
        for number, waiting in enumerate(self._waiting):
            for _ in range(waiting):
                with suppress(Exception):
                    self._answer(number, timeout)
            self._waiting[number] = 0

    def _dead(self, number: int) -> RuntimeError:
        process = self.processes[number]
        process.join(1)
        code = process.exitcode
        how = f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended with code {code}"
        hint = " (out of memory?)" if code == -getattr(signal, "SIGKILL", 9) else ""
        if code == 1 and not self._copies:
            hint = (
                '; if it says so above, put what the script does under `if __name__ == "__main__":`, since worker '
                "processes that are no copies of this one import it"
            )
        return RuntimeError(f"DataLoader: worker process {number} {how} before it gave its batch{hint}")

    def close(self) -> None:
        """End all processes: at once if they listen, by force if not."""
        for connection in self.connections:
            connection.close()
        end = time.monotonic() + _PATIENCE
        for process in self.processes:
            process.join(max(0.0, end - time.monotonic()))
        for insist in ("terminate", "kill"):
            alive = [process for process in self.processes if process.is_alive()]
            for process in alive:
                getattr(process, insist)()
            for process in alive:
                process.join(2)
        for process in self.processes:
            with suppress(ValueError):
                process.close()
        self.processes, self.connections = [], []

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()
