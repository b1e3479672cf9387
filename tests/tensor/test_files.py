"""Files: what goes in comes out, damage is noticed, and an earlier file survives whatever happens while saving."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_nn as tg
from tinygrad_nn import nn, optim

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.safetensors"


def same(a, b):
    """Whether two states are equal, in kinds, dtypes and bits."""
    if isinstance(a, tg.Tensor | np.ndarray | np.generic):
        x, y = np.asarray(a), np.asarray(b)
        return type(b) is tg.Tensor and (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


DTYPES = [
    "bool",
    *(f"{k}int{n}" for k in ("", "u") for n in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
    "complex64",
]
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
KEYS = st.text(max_size=4) | st.integers(-3, 3)
STATES = st.recursive(
    ARRAYS | ARRAYS.map(tg.Tensor) | PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=6,
)


@given(STATES)
def test_what_goes_in_comes_out(tmp_path, state):
    tg.save(state, tmp_path / "any")
    assert same(state, tg.load(tmp_path / "any"))


@pytest.mark.parametrize(
    "array",
    [np.arange(6.0).reshape(2, 3).T, np.arange(6.0)[::-2], np.arange(3, dtype=">f4"), np.broadcast_to(1.0, (2, 2))],
)
def test_arrays_of_any_layout(path, array):
    tg.save({"a": array}, path)
    loaded = tg.load(path)["a"]
    np.testing.assert_array_equal(loaded.numpy(), array)
    assert loaded._value.flags.owndata
    assert loaded._value.flags.writeable
    assert loaded.dtype == array.dtype.newbyteorder("=")


def test_a_network_and_its_optimizer_go_on(path):
    def make():
        net = nn.Sequential(nn.Linear(3, 4, generator=np.random.default_rng(0)), nn.Tanh(), nn.Linear(4, 1))
        return net, optim.Adam(net.parameters(), lr=0.01)

    def train(net, optimizer, steps):
        for step in range(steps):
            optimizer.zero_grad()
            (net(np.full((2, 3), step, np.float32)) ** 2).sum().backward()
            optimizer.step()

    net, optimizer = make()
    train(net, optimizer, 3)
    tg.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "losses": [0.5, np.inf]}, path)
    train(net, optimizer, 3)
    other, again = make()
    state = tg.load(path)
    other.load_state_dict(state["net"])
    again.load_state_dict(state["optimizer"])
    train(other, again, 3)
    for ours, theirs in zip(net.state_dict().values(), other.state_dict().values()):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert (state["epoch"], state["losses"]) == (3, [0.5, np.inf])


def test_other_readers_find_a_state_dict_under_its_own_keys(path):
    net = nn.Sequential(nn.Linear(3, 2))
    tg.save(net.state_dict(), path)
    arrays = safetensors.numpy.load_file(path)
    assert arrays.keys() == net.state_dict().keys()
    np.testing.assert_array_equal(arrays["0.weight"], net[0].weight.numpy())
    tg.save({"net": net.state_dict()}, path)
    assert sorted(safetensors.numpy.load_file(path)) == ["net.0.bias", "net.0.weight"]


def test_files_of_other_programs(path):
    safetensors.numpy.save_file({"a.b": np.ones(2, np.float32), "n": np.array(3)}, path, metadata={"format": "pt"})
    state = tg.load(path)
    assert state["a.b"].tolist() == [1, 1]
    assert isinstance(state["n"]._value, np.int64)


def test_names_that_would_coincide(path):
    state = {"a.b": np.zeros(1), "a": {"b": np.ones(1)}, "1": np.full(1, 2), 1: np.full(1, 3)}
    tg.save(state, path)
    assert same(state, tg.load(path))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"f": len}, "builtin_function_or_method at f"),
        ({"net": {"layers": [nn.ReLU()]}}, r"ReLU at net\.layers\.0.*state_dict"),
        (object(), "object at the top"),
        ({(1, 2): 3}, r"keys of dicts .* not \(1, 2\)"),
        ({"x": {True: 3}}, "not True at x"),
        (np.ones(2, np.complex128), "complex128"),
        ({"x": np.array(["text"])}, "dtype"),
    ],
)
def test_what_a_file_cannot_hold_is_refused(path, state, words):
    path.write_bytes(b"earlier")
    with pytest.raises(TypeError, match=words):
        tg.save(state, path)
    assert path.read_bytes() == b"earlier"
    assert os.listdir(path.parent) == [path.name]


# --- damage ----------------------------------------------------------------------------------------------------------


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        tg.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        tg.save({}, tmp_path / "no folder" / "state")


def test_a_file_of_something_else(path):
    for content in (b"", b"text", b"\x80\x04\x95pickle", bytes(1000)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="damaged, or no safetensors file"):
            tg.load(path)


def test_a_file_of_a_newer_version(path):
    notes = json.dumps({"version": 3, "tree": {"array": "a"}})
    safetensors.numpy.save_file({"a": np.ones(1)}, path, metadata={"tinygrad_nn": notes})
    with pytest.raises(ValueError, match="newer version"):
        tg.load(path)


# --- the earlier file ------------------------------------------------------------------------------------------------

CHILD = """
import os, signal, sys
import numpy as np
import tinygrad_nn as tg

path, moment = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if moment == "writing":  # half of the bytes are on the disk
    real = open
    class Half:
        def __init__(self, *args): self.file = real(*args)
        def __enter__(self): return self
        def __exit__(self, *_): pass
        def write(self, content):
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            os.fsync(self.file.fileno())
            die()
    from tinygrad_nn.core import files
    files.open = Half
elif moment == "syncing":
    os.fsync = die
elif moment == "replacing":
    os.replace = die
tg.save({"w": np.full(1000, 2.0)}, path)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize("moment", ["writing", "syncing", "replacing"])
def test_a_process_killed_while_saving_loses_no_earlier_file(path, moment):
    tg.save({"w": np.ones(1000)}, path)
    child = subprocess.run([sys.executable, "-c", CHILD, str(path), moment], cwd=ROOT, check=False)
    assert child.returncode == -signal.SIGKILL
    assert tg.load(path)["w"].numpy().sum() == 1000
    tg.save({"w": np.full(1000, 3.0)}, path)  # what the killed one left behind is not in the way
    assert tg.load(path)["w"].numpy().sum() == 3000


def test_a_save_that_fails_leaves_nothing_behind(path, monkeypatch):
    tg.save({"w": np.ones(3)}, path)

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        tg.save({"w": np.zeros(3)}, path)
    assert tg.load(path)["w"].tolist() == [1, 1, 1]
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(os.name != "posix", reason="symbolic links and modes")
def test_links_and_modes(tmp_path):
    target = tmp_path / "real"
    link = tmp_path / "link"
    link.symlink_to(target)
    tg.save({"a": 1}, link)
    assert link.is_symlink()
    assert tg.load(target) == {"a": 1}
    fresh = tmp_path / "fresh"
    fresh.write_bytes(b"")
    assert target.stat().st_mode == fresh.stat().st_mode


def test_without_the_package(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (lambda: tg.save({}, path), lambda: tg.load(path)):
        with pytest.raises(ImportError, match="pip install safetensors"):
            call()


# --- damage, and other writers' files --------------------------------------------------------------------------------


def test_no_flipped_bit_is_accepted(tmp_path):
    path, damaged = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    tg.save(
        {"net": {"w": np.arange(4.0).reshape(2, 2), "b": np.array([1, 2], np.int16)}, "é": 0.1, "l": [1, (2,)]}, path
    )
    content = path.read_bytes()
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(flipped)
        with pytest.raises(ValueError, match="damaged"):
            tg.load(damaged)
    for length in range(len(content)):
        damaged.write_bytes(content[:length])
        with pytest.raises(ValueError, match="damaged"):
            tg.load(damaged)


def test_the_same_state_gives_the_same_bytes(path):
    contents = set()
    for _ in range(20):
        tg.save({"w": np.ones(3), "n": 7, "more": [1.5, "text"]}, path)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_files_of_the_first_version_are_read(path):
    state = {"array": "w"}
    crc = zlib.crc32(np.ones(2).tobytes(), zlib.crc32(b"w", zlib.crc32(json.dumps(state).encode())))
    notes = json.dumps({"version": 1, "checksum": crc, "state": state})
    safetensors.numpy.save_file({"w": np.ones(2)}, path, metadata={"tinygrad_nn": notes})
    assert tg.load(path).tolist() == [1.0, 1.0]


def test_the_formats_own_name_is_a_name_like_others(path):
    tg.save({"__metadata__": np.ones(3), "__metadata___": 2}, path)
    assert tg.load(path)["__metadata__"].tolist() == [1.0, 1.0, 1.0]


def test_bfloat16_is_read_as_float32(path):
    numbers = np.array([[1.5, -2.25], [3e38, 1e-30]], np.float32)
    halves = (numbers.view(np.uint32) >> 16).astype("<u2")
    header = {"w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}
    header["z"] = {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + halves.tobytes() + np.float32([7]).tobytes())
    found = tg.load(path)
    assert found["w"].dtype == np.float32
    np.testing.assert_allclose(found["w"].numpy(), numbers, rtol=1e-2)
    assert found["z"].tolist() == [7.0]


def test_what_holds_itself_is_refused(path):
    state = {"a": [1]}
    state["a"].append(state)
    with pytest.raises(ValueError, match="holds itself"):
        tg.save(state, path)
    assert not path.exists()
