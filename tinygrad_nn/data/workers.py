"""Worker processes that make batches: started, fed, listened to, and ended whatever happens."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any

from . import seeding
from .seeding import Fetcher, Task, WorkerInfo

#: Seconds that a worker has to end by itself once nobody listens any more.
_PATIENCE = 0.5


class Remote(Exception):
    """The traceback of a worker process, as the cause of the error that arrives here."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


# --- in the worker ---------------------------------------------------------------------------------------------------


def _work(
    connection: Connection,
    others: list[Connection],
    number: int,
    count: int,
    seed: int,
    dataset: Any,
    collate_fn: Callable[[list[Any]], Any] | None,
    init: Callable[[int], Any] | None,
) -> None:
    """What a worker process does: take tasks, send batches, until its connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that owns the workers
    for other in others:  # a copy of the owner's end would hide that the owner is gone
        other.close()
    tasks: SimpleQueue[Task | None] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, tasks), daemon=True).start()
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
            made: tuple[Any, ...] = (task.number, fetcher(task.indices))
        except Exception as error:
            made = _failure(error, f"in worker process {number}, batch {task.number}")
        if not _send(connection, made):
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
        connection.send(made)
    except (BrokenPipeError, ConnectionResetError):
        return False
    except Exception as error:  # it cannot be pickled
        connection.send(_failure(error, "when a batch was sent to the process that asked for it"))
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
        context = _context(context)
        self.processes: list[Any] = []
        self.connections: list[Connection] = []
        self._waiting = [0] * count
        try:
            for number in range(count):
                here, there = context.Pipe()
                self.connections.append(here)
                others = list(self.connections) if context.get_start_method() == "fork" else []
                process = context.Process(
                    target=_work,
                    args=(there, others, number, count, seed + number, dataset, collate_fn, init),
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
        asked = given = 0
        more = True
        while True:
            while more and asked - given < prefetch * count:
                task = next(tasks, None)
                if task is None:
                    more = False
                else:
                    self._ask(asked % count, task)
                    asked += 1
            if given == asked:
                return
            made = self._answer(given % count, timeout)
            given += 1
            yield made

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
            made = connection.recv()
        except (EOFError, ConnectionResetError):
            raise self._dead(number) from None
        self._waiting[number] -= 1
        if made[0] is None:
            _, error, text, where = made
            error.add_note(f"{where} of a DataLoader")
            raise error from Remote(text)
        return made[1]

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
        memory = " (out of memory?)" if code == -getattr(signal, "SIGKILL", 9) else ""
        return RuntimeError(f"DataLoader: worker process {number} {how}{memory} before it gave its batch")

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


def _context(given: Any) -> Any:
    import multiprocessing

    return multiprocessing.get_context(given) if given is None or isinstance(given, str) else given


def _start(process: Any) -> None:
    import warnings

    try:
        with warnings.catch_warnings():  # NumPy's threads, which Python warns of, are ready for a fork
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            process.start()
    except Exception as error:
        error.add_note(
            "when a worker process of a DataLoader was started: what it needs (dataset, collate_fn, worker_init_fn) "
            'must be of classes and functions at the top of a module, or the context "fork"'
        )
        raise
