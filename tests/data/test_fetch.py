"""Files over HTTP, from servers of this process that cut, stall and lie; no other network."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import multiprocessing
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from tinygrad_nn import data
from tinygrad_nn.data import digits as digits_module

for needed in ("pooch", "requests", "filelock"):
    pytest.importorskip(needed)

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Site:
    """What a server serves, and what it was asked."""

    files: dict[str, bytes]
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)  #: bytes after which each request in turn is cut off
    failures: list[int] = field(default_factory=list)  #: statuses of the first answers
    stall: float = 0.0
    wrong_part: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        site: Site = self.server.site
        site.asked.append((self.path, self.headers["Range"]))
        assert self.headers["Accept-Encoding"] == "identity"
        if site.failures:
            return self.answer(site.failures.pop(0), b"")
        if self.path not in site.files:
            return self.answer(404, b"not here")
        content, start = site.files[self.path], 0
        if site.ranges and self.headers["Range"]:
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
            if start >= len(content):
                return self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        if site.ranges and self.headers["Range"]:
            first = start + 1 if site.wrong_part else start
            part = {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
            return self.answer(206, content[first:], part)
        return self.answer(200, content)

    def answer(self, status, body, headers=None):
        site: Site = self.server.site
        time.sleep(site.stall)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {}), **site.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        cut = site.cuts.pop(0) if site.cuts and status < 300 else None
        self.wfile.write(body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True

    def log_message(self, *_):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def handle_error(self, request, client_address):
        """A client that hung up is no news."""


@pytest.fixture
def serve():
    servers = []

    def start(content=CONTENT, **settings):
        files = content if isinstance(content, dict) else {"/file.bin": content}
        site = Site(files, **settings)
        server = Quiet(("127.0.0.1", 0), Handler)
        server.site, site.url = site, f"http://127.0.0.1:{server.server_port}/file.bin"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return site

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once(serve, tmp_path):
    site = serve()
    path = data.fetch(site.url, tmp_path / "deep" / "er" / "a.bin", SHA)
    assert path == tmp_path / "deep" / "er" / "a.bin"
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["a.bin"]
    assert site.asked == [("/file.bin", None)]
    assert data.fetch([site.url], str(path), SHA.replace("sha256:", "SHA256:").lower()) == path
    assert len(site.asked) == 1
    path.write_bytes(b"changed since")
    data.fetch(site.url, path, SHA)
    assert path.read_bytes() == CONTENT
    assert len(site.asked) == 2


def test_another_algorithm(serve, tmp_path):
    md5 = "md5:" + hashlib.md5(CONTENT).hexdigest().upper()
    assert data.fetch(serve().url, tmp_path / "a.bin", md5).read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(serve, tmp_path):
    site = serve()
    with pytest.raises(data.FetchError, match="another checksum than sha256:0000"):
        data.fetch(site.url, tmp_path / "a.bin", "sha256:" + 64 * "0")
    assert names(tmp_path) == []
    (tmp_path / "a.bin").write_bytes(b"what was there")
    with pytest.raises(OSError, match="another checksum"):
        data.fetch(site.url, tmp_path / "a.bin", "sha256:" + 64 * "0")
    assert (tmp_path / "a.bin").read_bytes() == b"what was there"


def test_a_cut_is_gone_on_from(serve, tmp_path):
    site = serve(cuts=[100_000, 50_000])
    assert data.fetch(site.url, tmp_path / "a.bin", SHA).read_bytes() == CONTENT
    assert [asked for _, asked in site.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert names(tmp_path) == ["a.bin"]


def test_the_next_call_goes_on(serve, tmp_path):
    site = serve(cuts=[100_000, 0])
    with pytest.raises(data.FetchError, match=re.escape(site.url)):
        data.fetch(site.url, tmp_path / "a.bin", SHA, retries=0)
    assert names(tmp_path) == ["a.bin.part"]
    assert data.fetch(site.url, tmp_path / "a.bin", SHA, retries=0).read_bytes() == CONTENT
    assert [asked for _, asked in site.asked] == [None, "bytes=100000-", "bytes=100000-"]
    assert names(tmp_path) == ["a.bin"]


def test_more_cuts_than_retries_if_something_arrives_each_time(serve, tmp_path):
    site = serve(cuts=[50_000] * 5)
    assert data.fetch(site.url, tmp_path / "a.bin", SHA, retries=0).read_bytes() == CONTENT
    assert len(site.asked) == 6


def test_a_server_that_knows_no_ranges(serve, tmp_path):
    site = serve(cuts=[100_000], ranges=False)
    assert data.fetch(site.url, tmp_path / "a.bin", SHA).read_bytes() == CONTENT
    assert [asked for _, asked in site.asked] == [None, "bytes=100000-"]
    always = serve(cuts=[100_000] * 50, ranges=False)
    with pytest.raises(data.FetchError):  # it would begin anew for ever
        data.fetch(always.url, tmp_path / "b.bin", SHA, retries=2)
    assert len(always.asked) <= 5


@pytest.mark.parametrize("left", [b"another file's beginning", CONTENT + b"more", b"x" * len(CONTENT)])
def test_what_was_left_of_another_file_is_thrown_away(serve, tmp_path, left):
    (tmp_path / "a.bin.part").write_bytes(left)
    assert data.fetch(serve().url, tmp_path / "a.bin", SHA).read_bytes() == CONTENT
    assert names(tmp_path) == ["a.bin"]


def test_what_was_left_complete_is_taken(serve, tmp_path):
    site = serve()
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert data.fetch(site.url, tmp_path / "a.bin", SHA).read_bytes() == CONTENT
    assert site.asked == [("/file.bin", f"bytes={len(CONTENT)}-")]


def test_a_server_that_sends_another_part(serve, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    with pytest.raises(data.FetchError, match="another part than was asked for"):
        data.fetch(serve(wrong_part=True).url, tmp_path / "a.bin", SHA)
    assert not (tmp_path / "a.bin").exists()


def test_bytes_are_taken_as_they_are_served(serve, tmp_path):
    """Some servers say of a .gz file that it is a plain one, compressed on the way."""
    packed = gzip.compress(CONTENT, mtime=0)
    site = serve(packed, headers={"Content-Encoding": "gzip"}, cuts=[1000])
    path = data.fetch(site.url, tmp_path / "a.gz", "sha256:" + hashlib.sha256(packed).hexdigest())
    assert path.read_bytes() == packed


def test_a_file_that_is_too_large(serve, tmp_path):
    site = serve(CONTENT)
    with pytest.raises(data.FetchError, match="larger than max_bytes=1000"):
        data.fetch(site.url, tmp_path / "a", SHA, max_bytes=1000)
    assert names(tmp_path) == []


def test_a_server_that_takes_too_long(serve, tmp_path):
    site = serve(CONTENT, cuts=[10_000 * k for k in range(1, 20)], stall=0.2)
    begin = time.monotonic()
    with pytest.raises(data.FetchError, match="longer than max_seconds"):
        data.fetch(site.url, tmp_path / "a", SHA, max_seconds=0.5)
    assert time.monotonic() - begin < 5


def test_a_server_that_cuts_for_ever(serve, tmp_path, monkeypatch):
    monkeypatch.setattr("tinygrad_nn.data.download._MOST_CUTS", 5)
    site = serve(CONTENT, cuts=[10] * 1000)
    with pytest.raises(data.FetchError):
        data.fetch(site.url, tmp_path / "a", SHA)
    assert len(site.asked) == 6


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links")
def test_a_link_in_the_place_of_the_part_is_not_followed(serve, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "a.part").symlink_to(precious)
    site = serve(CONTENT)
    data.fetch(site.url, tmp_path / "a", SHA)
    assert precious.read_text() == "mine"
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert not (tmp_path / "a").is_symlink()


def test_mirrors_are_tried_in_turn(serve, tmp_path):
    missing, lying, good = serve({}), serve(b"something else"), serve()
    assert data.fetch([missing.url, lying.url, good.url], tmp_path / "a.bin", SHA).read_bytes() == CONTENT
    assert [len(site.asked) for site in (missing, lying, good)] == [1, 1, 1]
    with pytest.raises(data.FetchError) as caught:
        data.fetch([missing.url, lying.url], tmp_path / "b.bin", SHA)
    assert "404 Not Found" in str(caught.value)
    assert "another checksum" in str(caught.value)


def test_a_cut_on_one_mirror_is_gone_on_from_at_the_next(serve, tmp_path):
    first, second = serve(cuts=[100_000, 0]), serve()
    assert data.fetch([first.url, second.url], tmp_path / "a.bin", SHA, retries=0).read_bytes() == CONTENT
    assert second.asked == [("/file.bin", "bytes=100000-")]


def test_passing_failures_are_tried_again(serve, tmp_path):
    site = serve(failures=[503])
    assert data.fetch(site.url, tmp_path / "a.bin", SHA).read_bytes() == CONTENT
    assert len(site.asked) == 2
    for status, asked in ((404, 1), (403, 1), (503, 2)):
        site = serve(failures=[status] * 9)
        with pytest.raises(data.FetchError, match=str(status)):
            data.fetch(site.url, tmp_path / "b.bin", SHA, retries=1)
        assert len(site.asked) == asked


def test_a_server_that_says_nothing(serve, tmp_path):
    site = serve(stall=0.5)
    begin = time.perf_counter()
    with pytest.raises(data.FetchError, match="[Tt]imed? ?out"):
        data.fetch(site.url, tmp_path / "a.bin", SHA, timeout=0.05, retries=0)
    assert time.perf_counter() - begin < 0.5
    assert names(tmp_path) == []


def test_nobody_there(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
        with pytest.raises(data.FetchError, match="refused"):
            data.fetch(url, tmp_path / "a.bin", SHA, retries=0)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("url", "checksum", "settings", "words"),
    [
        ("ftp://example.org/x", SHA, {}, "http"),
        ([], SHA, {}, "there must be one"),
        ("http://x/x", None, {}, "checksum"),
        ("http://x/x", "sha256:12", {}, "64 hexadecimal digits"),
        ("http://x/x", "nothing:12", {}, "checksum"),
        ("http://x/x", "12", {}, "checksum"),
        ("http://x/x", SHA, {"timeout": 0}, "timeout"),
        ("http://x/x", SHA, {"retries": -1}, "retries"),
    ],
)
def test_arguments_are_checked(tmp_path, url, checksum, settings, words):
    with pytest.raises(ValueError, match=words):
        data.fetch(url, tmp_path / "a.bin", checksum, **settings)


def _fetch(url, path, checksum, start):
    start.wait()
    data.fetch(url, path, checksum)


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_several_at_once_fetch_once(serve, tmp_path, kind):
    site = serve(stall=0.05)
    if kind == "threads":
        start, workers = threading.Event(), []
        make = threading.Thread
    else:
        context = multiprocessing.get_context("spawn")
        start, make = context.Event(), context.Process
    workers = [make(target=_fetch, args=(site.url, tmp_path / "a.bin", SHA, start)) for _ in range(3)]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join()
        assert getattr(worker, "exitcode", 0) == 0
        if kind == "processes":
            worker.close()
    assert len(site.asked) == 1
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.bin"]


# --- MNIST -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def family(serve, monkeypatch, tmp_path):
    """A small family of four files, on a server."""
    files, checksums = {}, {}
    for part, count in (("train", 30), ("t10k", 20)):
        for name, array in (
            (f"{part}-images-idx3-ubyte", np.full((count, 28, 28), count, np.uint8)),
            (f"{part}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8) % 10),
        ):
            data.write_idx(tmp_path / "served.gz", array)
            files[f"/{name}.gz"] = (tmp_path / "served.gz").read_bytes()
            checksums[name] = "sha256:" + hashlib.sha256(files[f"/{name}.gz"]).hexdigest()
    site = serve(files)
    known = replace(
        digits_module.FAMILIES["mnist"], mirrors=(site.url.removesuffix("file.bin"),), checksums=checksums, contents={}
    )
    monkeypatch.setitem(digits_module.FAMILIES, "mnist", known)
    return site


def test_mnist_is_downloaded_once(family, tmp_path):
    root = tmp_path / "digits"
    digits = data.mnist(root, download=True)
    assert (digits.split, len(digits)) == ("train", 30)
    assert sorted(path for path, _ in family.asked) == ["/train-images-idx3-ubyte.gz", "/train-labels-idx1-ubyte.gz"]
    assert len(data.mnist(root, train=False, download=True)) == 20
    assert len(family.asked) == 4
    for train in (True, False, None):
        data.mnist(root, train=train, download=True)
        data.mnist(root, train=train)
    assert len(family.asked) == 4


def test_a_file_of_another_set_is_not_replaced(family, tmp_path):
    other = tmp_path / "train-images-idx3-ubyte"
    data.write_idx(other, np.zeros((3, 28, 28), np.uint8))
    with pytest.raises(ValueError, match="not the published train-images"):
        data.mnist(tmp_path, download=True)
    assert other.exists()
    assert family.asked == []


def test_the_published_checksums_are_well_formed():
    from tinygrad_nn.data.download import _check_arguments

    for family in digits_module.FAMILIES.values():
        assert len(family.checksums) == 4
        assert len(family.classes) == 10
        assert all(len(digest) == 64 for digest in family.contents.values())
        for name, checksum in family.checksums.items():
            _check_arguments([f"{mirror}{name}" for mirror in family.mirrors], checksum, 1, 0)


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'tinygrad_nn[fetch]'")):
        data.fetch("http://127.0.0.1/x", tmp_path / "a.bin", SHA)
