"""Reading and writing IDX files, the format of MNIST: a magic number, the lengths of the axes, the elements.

Bytes 0 and 1 are zero, byte 2 tells the type, byte 3 the number of axes; then a big-endian uint32 for each axis; then
the elements, big-endian, the last axis running fastest. Described by Y. LeCun, C. Cortes and C. Burges, "The MNIST
database of handwritten digits".
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..core.files import write_whole

if TYPE_CHECKING:
    import numpy.typing as npt

PathLike: TypeAlias = "str | os.PathLike[str]"

#: Type byte, and the elements that it stands for.
DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
MAX_AXES = 64
_CODES = {dtype.newbyteorder("="): code for code, dtype in DTYPES.items()}


def read_idx(source: PathLike | bytes) -> npt.NDArray[Any]:
    """The array in an IDX file.

    Parameters
    ----------
    source : path or bytes
        A file, or what is in one; plain or compressed by gzip, which its first bytes tell.

    Returns
    -------
    numpy.ndarray
        In the machine's own byte order: uint8, int8, int16, int32, float32 or float64. It may be written to.

    Raises
    ------
    ValueError
        If the magic number is no IDX file's, or there are fewer or more bytes than the header says, or the
        compressed data are damaged.

    Examples
    --------
    >>> from tinygrad_nn import data
    >>> data.read_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))
    array([5, 0, 4], dtype=uint8)
    """
    name = "the data" if isinstance(source, bytes) else os.fspath(source)
    with BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as raw:
        size = raw.seek(0, os.SEEK_END)
        raw.seek(0)
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            if packed:
                return _read(name, gzip.GzipFile(fileobj=raw), _MOST_PACKED * size, exact=False)
            return _read(name, raw, size, exact=True)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"read_idx: {name} is damaged or cut off: gzip says: {error}") from error


#: What gzip makes of a byte at the most.
_MOST_PACKED = 1032


def _read(name: str, file: Any, most: int, exact: bool) -> npt.NDArray[Any]:
    """The array in a file of at most so many bytes, or exactly; the header tells how much memory is taken."""
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in DTYPES:
        kinds = ", ".join(f"{code:02x} {dtype.newbyteorder('=')}" for code, dtype in DTYPES.items())
        raise ValueError(
            f"read_idx: {name} is not an IDX file: it begins with {start.hex(' ') or 'nothing'}, which should be "
            f"00 00, a type ({kinds}) and the number of axes"
        )
    dtype, ndim = DTYPES[start[2]], start[3]
    lengths = file.read(4 * ndim)
    if len(lengths) < 4 * ndim:
        raise ValueError(
            f"read_idx: {name} is cut off in its header, which has {4 + 4 * ndim} bytes for {ndim} axes, "
            f"not {4 + len(lengths)}"
        )
    if ndim > MAX_AXES:
        raise ValueError(f"read_idx: {name} has {ndim} axes; NumPy's arrays have at most {MAX_AXES}")
    shape = tuple(int.from_bytes(lengths[4 * i : 4 * i + 4], "big") for i in range(ndim))
    header, wanted = 4 + 4 * ndim, math.prod(shape) * dtype.itemsize
    fits = header + wanted <= most  # else nothing is read, nor unpacked
    content = file.read(wanted + 1) if fits else b""
    if not fits or len(content) != wanted:
        longer = len(content) > wanted
        there = most if exact else "more" if longer else header + len(content) if fits else f"at most {most}"
        raise ValueError(
            f"read_idx: {name} is {'too long' if longer else 'cut off'}: {shape} of "
            f"{dtype.newbyteorder('=')} with the header takes {header + wanted} bytes, {there} are there"
        )
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def write_idx(path: PathLike, array: Any) -> None:
    """Write an array as an IDX file, compressed by gzip if the name ends in ``.gz``.

    Parameters
    ----------
    path : path
    array : array_like
        Of uint8, int8, int16, int32, float32 or float64.

    Raises
    ------
    TypeError
        For another dtype.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from tinygrad_nn import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "labels-idx1-ubyte.gz")
    ...     data.write_idx(file, np.uint8([7, 2, 1]))
    ...     data.read_idx(file)
    array([7, 2, 1], dtype=uint8)
    """
    array = np.asarray(array)
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        raise TypeError(f"write_idx: IDX holds {', '.join(map(str, _CODES))}, not {array.dtype}")
    if array.ndim and max(array.shape) >= 2**32:
        raise ValueError(f"write_idx: an axis of an IDX file is shorter than 2**32; this array is {array.shape}")
    header = bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    content = header + np.ascontiguousarray(array, DTYPES[code]).tobytes()
    # Without a time in it, the same array gives the same file.
    write_whole(path, gzip.compress(content, mtime=0) if os.fspath(path).endswith(".gz") else content)


def unpacked_digest(path: PathLike) -> str:
    """The SHA-256 of what is in a file, unpacked piece by piece if gzip has packed it; empty if it is damaged."""
    import hashlib

    digest = hashlib.sha256()
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else open(path, "rb") as content:
            while piece := content.read(1 << 20):
                digest.update(piece)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return ""
    return digest.hexdigest()
