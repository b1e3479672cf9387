"""Files fetched over HTTP once: checked, kept, and gone on with after a cut. Needs the extra ``fetch``.

pooch keeps the file, checks it and puts it in its place in one step; requests does the talking; filelock keeps two
processes from fetching the same file at once. What is here is what pooch lacks: mirrors, and going on where a cut left
off.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .idx import PathLike

_CHUNK = 1 << 16
#: A file that is cut more often is not waited for any longer.
_MOST_CUTS = 100
#: Answers of servers that may be better the next time.
_PASSING = (429, 500, 502, 503, 504)


class FetchError(OSError):
    """A file could not be fetched from any of its addresses; the message says why for each."""


def fetch(
    url: str | Sequence[str],
    path: PathLike,
    checksum: str,
    *,
    timeout: float = 30.0,
    retries: int = 3,
    max_bytes: int = 1 << 32,
    max_seconds: float = 3600.0,
) -> Path:
    """Fetch a file over HTTP, unless it is there already.

    Parameters
    ----------
    url : str or sequence of str
        Where it is; mirrors are tried in turn.
    path : path
        Where to put it; folders are made. A file that is there and has the checksum is kept, and no server is asked;
        one that has another is replaced.
    checksum : str
        ``"sha256:…"``, or another algorithm that `hashlib` knows, of the file as it is served.
    timeout : float
        Seconds to wait for a connection, and for each next piece.
    retries : int
        How often to try again at each address, when a connection or a server fails for the moment, or is cut without
        anything having arrived. Cuts after which more has arrived do not count, up to a hundred.
    max_bytes : int
        A larger file is refused as soon as that is known.
    max_seconds : float
        For all attempts at one address together.

    Returns
    -------
    pathlib.Path
        The path, where there is now a file with that checksum. It appears there in one step: nobody sees a part of it.

    Raises
    ------
    FetchError
        If no address gives the file. What has arrived is kept beside it, in ``….part``, and the next call goes on from
        there if the server can; what arrived with a wrong checksum is thrown away.
    ImportError
        Without the extra ``fetch``.

    Examples
    --------
    >>> from tinygrad_nn import data
    >>> data.fetch("https://example.org/a.csv", "a.csv", "sha256:" + 64 * "0")  # doctest: +SKIP
    PosixPath('a.csv')
    """
    path, urls = Path(path), [url] if isinstance(url, str) else list(url)
    _check_arguments(urls, checksum, timeout, retries)
    limits = _Limits(timeout, retries, max_bytes, max_seconds)
    if has_checksum(path, checksum):
        return path
    filelock = _needed("filelock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock_path = path.with_name(f".{path.name}.lock")
    with filelock.FileLock(lock_path):
        try:
            _fetch_from_any(urls, path, checksum, limits)
        finally:
            with suppress(OSError):  # Windows removes no open file
                lock_path.unlink()
    return path


def has_checksum(path: PathLike, checksum: str) -> bool:
    """Whether a file is there and has this checksum."""
    if not Path(path).is_file():
        return False
    import hashlib

    algorithm, _, wanted = checksum.partition(":")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == wanted.lower()


def _check_arguments(urls: list[str], checksum: str, timeout: float, retries: int) -> None:
    import hashlib

    if not urls or not all(isinstance(url, str) and url.startswith(("http://", "https://")) for url in urls):
        raise ValueError(f"fetch: addresses begin with http:// or https://, and there must be one; not {urls!r}")
    algorithm, _, digest = checksum.partition(":") if isinstance(checksum, str) else ("", "", "")
    # Those of variable length, shake_…, have digest_size 0.
    size = hashlib.new(algorithm).digest_size if algorithm in hashlib.algorithms_available else 0
    if not size or not re.fullmatch(f"[0-9a-fA-F]{{{2 * size}}}", digest):
        raise ValueError(
            f"fetch: a checksum is 'sha256:' and 64 hexadecimal digits, or so for others; not {checksum!r}"
        )
    if not timeout > 0 or retries < 0:
        raise ValueError(f"fetch: timeout must be positive and retries not negative, not {timeout!r} and {retries!r}")


class _Limits(NamedTuple):
    """How long and how often to wait for a file, and how large it may be."""

    timeout: float
    retries: int
    max_bytes: int
    max_seconds: float


def _fetch_from_any(urls: list[str], path: Path, checksum: str, limits: _Limits) -> None:
    pooch, requests, urllib3 = (_needed(name) for name in ("pooch", "requests", "urllib3"))
    troubles = []
    for url in urls:
        download = _Download(path.with_name(f"{path.name}.part"), limits)
        for _ in range(2):
            try:
                # By now another process may have put it there, which pooch sees.
                pooch.retrieve(url, checksum.lower(), path.name, path.parent, downloader=download)
                return
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                troubles.append(f"{url}: {_short(error)}")
                break
            except ValueError:
                # What an earlier call had left may be another file's beginning: once more, from the start.
                if not download.resumed:
                    troubles.append(f"{url}: the file there has another checksum than {checksum}")
                    break
    raise FetchError(f"fetch: could not get {path.name}: " + "; ".join(troubles))


class _Download:
    """What pooch calls to download: goes on with what is in `part`, and moves it to where pooch wants it."""

    def __init__(self, part: Path, limits: _Limits) -> None:
        self.part, self.limits = part, limits
        self.resumed = False
        self._end = monotonic() + limits.max_seconds
        if part.is_symlink():  # what it points to is not ours
            part.unlink()

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        requests, urllib3 = _needed("requests"), _needed("urllib3")
        retry = urllib3.Retry(self.limits.retries, backoff_factor=0.5, status_forcelist=_PASSING, raise_on_status=False)
        self.resumed = self._size() > 0
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
            try:
                self._get_whole(session, url)
            finally:
                _close_connections(session)
        os.replace(self.part, output_file)

    def _get_whole(self, session: Any, url: str) -> None:
        """Go on after each cut, as long as something comes."""
        urllib3 = _needed("urllib3")
        idle = cuts = 0
        while True:
            before = self._size()
            try:
                return self._get(session, url)
            except (urllib3.exceptions.ProtocolError, urllib3.exceptions.ReadTimeoutError):
                idle = 0 if self._size() > before else idle + 1
                cuts += 1
                if idle > self.limits.retries or cuts > _MOST_CUTS:
                    raise

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _get(self, session: Any, url: str) -> None:
        """Ask for what is missing, and append it."""
        have = self._size()
        # No encoding on the way: the checksum is of the bytes as they are, and so are positions in them.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with session.get(url, headers=headers, timeout=self.limits.timeout, stream=True) as response:
            if have and response.status_code == 416:  # nothing is left after `have` bytes, or that is beyond the end
                if response.headers.get("Content-Range") == f"bytes */{have}":
                    return None
                self.part.unlink()
                return self._get(session, url)
            response.raise_for_status()
            goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            if response.status_code == 206 and not goes_on:
                raise _needed("requests").RequestException("the server sent another part than was asked for")
            goes_on = response.status_code == 206
            self._check(have * goes_on + int(response.headers.get("Content-Length") or 0))
            flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if goes_on else os.O_TRUNC)
            flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            with open(os.open(self.part, flags, 0o666), "ab" if goes_on else "wb") as file:
                for piece in response.raw.stream(_CHUNK, decode_content=False):
                    self._check(file.tell() + len(piece))
                    file.write(piece)
        return None

    def _check(self, size: int) -> None:
        """Raise once a file is too large, or takes too long."""
        if size > self.limits.max_bytes:
            self.part.unlink(missing_ok=True)
            raise _needed("requests").RequestException(f"the file is larger than max_bytes={self.limits.max_bytes}")
        if monotonic() > self._end:
            raise _needed("requests").RequestException(f"it took longer than max_seconds={self.limits.max_seconds}")


def _close_connections(session: Any) -> None:
    """Close what is kept for a next request; the session alone leaves that to the garbage collector."""
    for adapter in session.adapters.values():
        for manager in (adapter.poolmanager, *adapter.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it cannot be iterated itself
                manager.pools[key].close()


def _short(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"{response.status_code} {response.reason}"
    return f"{type(error).__name__}: {error}"


def _needed(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"fetching files needs {name}: pip install 'tinygrad_nn[fetch]'") from error
