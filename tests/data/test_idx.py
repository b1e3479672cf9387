"""IDX files: what is written is read again, and what is damaged is refused."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_nn import data

DTYPES = [np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64]

arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)


@given(array=arrays, ending=st.sampled_from(["-idx-ubyte", "-idx-ubyte.gz"]), order=st.sampled_from("<>"))
def test_what_is_written_is_read(tmp_path, array, ending, order):
    path = tmp_path / f"array{ending}"
    data.write_idx(path, array.astype(array.dtype.newbyteorder(order)))
    for read in (data.read_idx(path), data.read_idx(str(path)), data.read_idx(path.read_bytes())):
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype
        assert read.dtype.isnative
        assert read.flags.writeable


@pytest.mark.parametrize("dtype", DTYPES)
def test_bytes_are_those_of_the_format(tmp_path, dtype):
    """The format by the definition: header and elements packed one by one."""
    codes = {"uint8": (8, "B"), "int8": (9, "b"), "int16": (11, "h"), "int32": (12, "i")}
    codes |= {"float32": (13, "f"), "float64": (14, "d")}
    array = np.arange(6).reshape(2, 3).astype(dtype)
    code, letter = codes[array.dtype.name]
    wanted = struct.pack(">BBBBII", 0, 0, code, 2, 2, 3) + struct.pack(f">6{letter}", *array.ravel().tolist())
    data.write_idx(tmp_path / "x", array.T.copy().T)  # not contiguous
    assert (tmp_path / "x").read_bytes() == wanted
    np.testing.assert_array_equal(data.read_idx(wanted), array)


def test_compressed_files_are_the_same_each_time(tmp_path):
    data.write_idx(tmp_path / "a.gz", np.arange(5, dtype=np.uint8))
    data.write_idx(tmp_path / "b.gz", np.arange(5, dtype=np.uint8))
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


GOOD = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(range(6))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "begins with nothing"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\x01" + GOOD[1:], "begins with 01 00 08 02"),
        (GOOD[:1] + b"\x01" + GOOD[2:], "not an IDX file"),
        (GOOD[:2] + b"\x0a" + GOOD[3:], "not an IDX file"),
        (GOOD[:2] + b"\x00" + GOOD[3:], "0d float32"),
        (b"<html>not found</html>", "not an IDX file"),
        (GOOD[:10], "cut off in its header, which has 12 bytes for 2 axes, not 10"),
        (GOOD[:-1], "cut off.*takes 18 bytes, 17 are there"),
        (GOOD + b"\0", "too long.*takes 18 bytes, 19 are there"),
        (bytes([0, 0, 8, 65]) + 65 * struct.pack(">I", 1) + b"\0", "65 axes"),
        (bytes([0, 0, 14, 4]) + 4 * struct.pack(">I", 2**32 - 1), "cut off"),
        (gzip.compress(GOOD, mtime=0)[:-9], "cut off: gzip"),
        (gzip.compress(GOOD, mtime=0)[:12], "cut off: gzip"),
        (gzip.compress(GOOD, mtime=0)[:-1] + b"\x55", "gzip"),
        (gzip.compress(GOOD, mtime=0)[:10] + b"\xff\xff" + gzip.compress(GOOD, mtime=0)[12:], "gzip"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, words):
    path = tmp_path / "some-idx2-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        data.read_idx(path)
    assert "some-idx2-ubyte" in str(caught.value)
    with pytest.raises(ValueError, match="the data"):
        data.read_idx(content)


@given(at=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7))
def test_no_damaged_compressed_file_is_read_as_another(at, bit):
    packed = bytearray(gzip.compress(GOOD, mtime=0))
    packed[-1 - at % len(packed)] ^= 1 << bit
    try:
        read = data.read_idx(bytes(packed))
    except ValueError:
        return
    np.testing.assert_array_equal(read, data.read_idx(GOOD))  # a bit of gzip's header that means nothing


@pytest.mark.parametrize("array", [np.arange(3), np.array([True]), np.array([1j]), np.array(["a"]), np.float16([1])])
def test_other_dtypes_are_refused(tmp_path, array):
    with pytest.raises(TypeError, match="write_idx: IDX holds uint8"):
        data.write_idx(tmp_path / "x", array)
    assert not (tmp_path / "x").exists()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        data.read_idx(tmp_path / "nothing-here")


def test_a_small_file_that_unpacks_to_much_is_not_unpacked(tmp_path):
    """Its header is read first; what it says decides how much memory is taken."""
    bomb = tmp_path / "bomb.gz"
    header = bytes([0, 0, 8, 1]) + (10).to_bytes(4, "big")
    bomb.write_bytes(gzip.compress(header + bytes(200_000_000), 1))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="too long"):
            data.read_idx(bomb)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_promises_too_much_takes_no_memory(packed):
    header = bytes([0, 0, 8, 4]) + (2**31).to_bytes(4, "big") * 4 + b"123"
    with pytest.raises(ValueError, match="cut off"):
        data.read_idx(gzip.compress(header) if packed else header)


def test_a_file_is_replaced_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "a-idx1"
    data.write_idx(path, np.arange(5, dtype=np.uint8))

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        data.write_idx(path, np.zeros(5, np.uint8))
    assert data.read_idx(path).tolist() == [0, 1, 2, 3, 4]
    assert os.listdir(tmp_path) == ["a-idx1"]
