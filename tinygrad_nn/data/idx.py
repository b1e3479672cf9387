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
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

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
    name, content = contents(source)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in DTYPES:
        kinds = ", ".join(f"{code:02x} {dtype.newbyteorder('=')}" for code, dtype in DTYPES.items())
        raise ValueError(
            f"read_idx: {name} is not an IDX file: it begins with {content[:4].hex(' ') or 'nothing'}, which should be "
            f"00 00, a type ({kinds}) and the number of axes"
        )
    dtype, ndim = DTYPES[content[2]], content[3]
    start = 4 + 4 * ndim
    if len(content) < start:
        raise ValueError(
            f"read_idx: {name} is cut off in its header, which has {start} bytes for {ndim} axes, not {len(content)}"
        )
    if ndim > MAX_AXES:
        raise ValueError(f"read_idx: {name} has {ndim} axes; NumPy's arrays have at most {MAX_AXES}")
    shape = tuple(int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(ndim))
    wanted = start + math.prod(shape) * dtype.itemsize
    if len(content) != wanted:
        raise ValueError(
            f"read_idx: {name} is {'cut off' if len(content) < wanted else 'too long'}: {shape} of "
            f"{dtype.newbyteorder('=')} with the header takes {wanted} bytes, {len(content)} are there"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


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
    Path(path).write_bytes(gzip.compress(content, mtime=0) if os.fspath(path).endswith(".gz") else content)


def contents(source: PathLike | bytes) -> tuple[str, bytes]:
    """What to call a source in errors, and its bytes, decompressed."""
    name = "the data" if isinstance(source, bytes) else os.fspath(source)
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return name, content
    try:
        return name, gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"read_idx: {name} is damaged or cut off: gzip says: {error}") from error
