"""Files that are there as a whole or not at all, whatever moment a process that writes one is killed in."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any


def write_whole(path: Any, content: bytes) -> None:
    """Write a file in the place of what has its name, in one step, and with the mode of that.

    What others have left that were killed while they wrote it is cleared away; those that are writing it now are not
    disturbed, and the last of them wins.
    """
    target = os.path.realpath(os.fspath(path))  # of a symbolic link, what it points to
    folder, name = os.path.split(target)
    _clear(folder, name)
    descriptor, temporary = _begun(folder, name)
    try:
        with open(descriptor, "wb") as file:
            with suppress(FileNotFoundError):
                os.chmod(temporary, os.stat(target).st_mode & 0o7777)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
            if os.name == "posix":  # while it is locked; Windows moves no open file
                os.replace(temporary, target)
        if os.name != "posix":
            os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if os.name == "posix":  # the new name, too, is to outlast a power cut
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _begun(folder: str, name: str) -> tuple[int, str]:
    """A new file beside a target, locked for as long as it is open."""
    from secrets import token_hex

    while True:
        temporary = os.path.join(folder, f".{name[:100]}.{token_hex(6)}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        if _locked(descriptor) and os.fstat(descriptor).st_nlink:
            return descriptor, temporary
        os.close(descriptor)  # somebody took it for a killed writer's, before it was locked


def _clear(folder: str, name: str) -> None:
    """Remove temporary files of writers that are not alive: nobody holds a lock on them."""
    start = f".{name[:100]}."
    try:
        rests = [rest for rest in os.listdir(folder) if rest.startswith(start) and rest.endswith(".tmp")]
    except OSError:
        return  # what is wrong with the folder is said where it is written to
    for rest in rests:
        path = os.path.join(folder, rest)
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDWR)
            try:
                if _locked(descriptor):
                    os.unlink(path)
            finally:
                os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Whether nobody else had a lock on a file, which is ours now; true where there are no such locks."""
    try:
        import fcntl
    except ImportError:  # Windows, which removes no open file
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
