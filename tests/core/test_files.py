"""Files that are there as a whole or not at all."""

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tinygrad_nn.core import files
from tinygrad_nn.core.files import write_whole

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="modes, locks and signals of POSIX")

KILLED = """
import os, signal, sys
from tinygrad_nn.core import files
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
files.write_whole(sys.argv[1], b"new")
"""


def rests(folder):
    return sorted(name for name in os.listdir(folder) if name.endswith(".tmp"))


@posix
def test_what_a_killed_writer_left_is_cleared_by_the_next(tmp_path):
    path = tmp_path / "a.txt"
    write_whole(path, b"old")
    child = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, check=False)
    assert child.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert len(rests(tmp_path)) == 1
    write_whole(path, b"next")
    assert path.read_bytes() == b"next"
    assert rests(tmp_path) == []


@posix
def test_a_writer_that_is_at_work_is_not_disturbed(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    seen = []
    replace = os.replace

    def slowly(*names):
        if not seen:
            seen.append(rests(tmp_path))
            write_whole(path, b"from another")
            seen.append(rests(tmp_path))
        replace(*names)

    monkeypatch.setattr(os, "replace", slowly)
    write_whole(path, b"from one")
    assert seen[0] == seen[1] == seen[0][:1]
    assert path.read_bytes() == b"from one"
    assert rests(tmp_path) == []


def test_many_writers_at_once(tmp_path):
    path = tmp_path / "a.txt"
    contents = [bytes([k]) * 100_000 for k in range(8)]
    threads = [threading.Thread(target=lambda c=c: [write_whole(path, c) for _ in range(10)]) for c in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert rests(tmp_path) == []


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_the_mode_of_what_is_replaced_stays(tmp_path, mode):
    path = tmp_path / "a.txt"
    write_whole(path, b"old")
    path.chmod(mode)
    write_whole(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_long_name(tmp_path):
    path = tmp_path / ("n" * 240)
    write_whole(path, b"x")
    assert path.read_bytes() == b"x"


@posix
def test_one_that_was_taken_for_a_killed_writers_begins_anew(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    locked, calls = files._locked, []

    def first_lost(descriptor):
        calls.append(1)
        return locked(descriptor) and len(calls) > 1

    monkeypatch.setattr(files, "_locked", first_lost)
    write_whole(path, b"x")
    assert path.read_bytes() == b"x"
    assert len(calls) >= 2
