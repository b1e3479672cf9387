"""Files of arrays: `save` and `load`, in the safetensors format, which holds numbers and nothing that could be run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from ..core.files import write_whole
from .tensor import Tensor, as_array, plain_tensor

Form = TypeVar("Form")

#: The one entry of the file's metadata: its name, a checksum of all, and JSON of what is not an array. One, since
#: safetensors writes several in a random order, and the same state is to give the same bytes.
_KEY = "tinygrad_nn"


def save(state: Any, path: Any) -> None:
    """Write arrays, and the dicts, lists and numbers around them, to a safetensors file.

    Parameters
    ----------
    state : dict, list, tuple or array_like
        Nested as needed: a `state_dict`, that of an optimizer, numbers, strings, bools and None between them.
        Keys of dicts are strings or whole numbers.
    path : path-like
        An earlier file of that name is replaced as a whole once the new one is on the disk: a process that is killed
        while it saves leaves the earlier file as it was.

    Raises
    ------
    TypeError
        For what the format cannot hold: objects, functions, arrays of complex128 or longdouble.
    ValueError
        For a dict or list that holds itself.

    Notes
    -----
    Arrays are stored under their path, such as ``model.0.weight``, and a `state_dict` under its own keys, so that other
    readers of safetensors find them. The rest is JSON in the metadata, with a checksum of all.

    Examples
    --------
    >>> import os, tempfile, tinygrad_nn as tg
    >>> from tinygrad_nn import nn
    >>> net = nn.Linear(3, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.safetensors")
    ...     tg.save({"net": net.state_dict(), "epoch": 7}, path)
    ...     state = tg.load(path)
    >>> state["epoch"], list(state["net"])
    (7, ['weight', 'bias'])
    """
    import json

    writer = _safetensors("save").save
    arrays: dict[str, Any] = {}
    try:
        tree = _taken_apart(state, "", arrays)
    except RecursionError:
        raise ValueError("save: what is to be saved holds itself, or is nested too deeply") from None
    notes = json.dumps({"version": 2, "state": tree})
    write_whole(path, writer(arrays, metadata={_KEY: f"{_KEY} {_checksum(arrays, notes):08x} {notes}"}))


def load(path: Any) -> Any:
    """Read what `save` wrote; of another program's safetensors file, a dict of its arrays.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    object
        Nested as it was saved, with every array as a Tensor.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or no safetensors file.

    Examples
    --------
    See `save`.
    """
    import json
    import os

    path = os.fspath(path)
    open_file = _safetensors("load").safe_open
    with open(path, "rb"):  # the usual errors for a file that is missing or may not be read
        pass
    try:
        with open_file(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            names: list[str] = file.keys()
            halves = [name for name in names if file.get_slice(name).get_dtype() == "BF16"]
            arrays = _bfloat16(path, halves) if halves else {}
            arrays |= {name: np.array(file.get_tensor(name), order="C") for name in names if name not in arrays}
    except Exception as error:
        raise ValueError(f"{path!r} is damaged, or no safetensors file: {error}{_hint(path)}") from error
    if _KEY not in metadata and not any(value.startswith(f"{_KEY} ") for value in metadata.values()):
        return {key: _as_tensor(array) for key, array in arrays.items()}
    try:
        first = metadata[_KEY].startswith("{")  # version 1: JSON with a checksum in it
        checksum, notes = ("", metadata[_KEY]) if first else metadata[_KEY].removeprefix(f"{_KEY} ").split(" ", 1)
        content = json.loads(notes)
        if content["version"] != (1 if first else 2):
            raise ValueError(f"it was written by a newer version ({content['version']})")
        if first:
            same = content["checksum"] == _first_checksum(arrays, json.dumps(content["state"]))
        else:
            same = checksum == f"{_checksum(arrays, notes):08x}"
        if not same:
            raise ValueError("its content does not match its checksum")
        return _put_together(content["state"], arrays)
    except Exception as error:
        raise ValueError(f"{path!r} is damaged: {error}") from error


def _bfloat16(path: Any, names: list[str]) -> dict[str, Any]:
    """Arrays of bfloat16, which NumPy lacks, as the float32 that each number is the beginning of."""
    import json

    arrays = {}
    with open(path, "rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(start - 8))
        for name in names:
            first, end = header[name]["data_offsets"]
            file.seek(start + first)
            halves = np.frombuffer(file.read(end - first), "<u2").astype(np.uint32)
            arrays[name] = (halves << 16).view(np.float32).reshape(header[name]["shape"])
    return arrays


def _hint(path: Any) -> str:
    """How to convert a file that was written by something else."""
    with open(path, "rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04" or start[:1] == b"\x80":  # a ZIP file, in which torch.save puts its pickle, or a bare one
        return (
            "; it looks as if torch.save, numpy.savez or pickle wrote it. Read it with what did, and write its arrays "
            "anew: safetensors.torch.save_file(torch.load(path), new_path) with PyTorch, tg.save(arrays, new_path) here"
        )
    return ""


def _safetensors(caller: str) -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(f"tg.{caller} needs the package safetensors: pip install safetensors") from error
    return safetensors.numpy


# --- the nesting: arrays under their paths, the rest as JSON ---------------------------------------------------------


def _taken_apart(state: Any, path: str, arrays: dict[str, Any]) -> Any:
    """`state` as JSON, each array in it moved to `arrays` and named in its place."""
    if state is None or (isinstance(state, bool | int | float | str) and not isinstance(state, np.generic)):
        return state
    place = path or "the top"
    if isinstance(state, Mapping):
        for key in state:
            if not isinstance(key, str | int) or isinstance(key, bool):
                raise TypeError(f"save: keys of dicts must be strings or whole numbers, not {key!r} at {place}")
        return {"dict": [[key, _taken_apart(value, _join(path, key), arrays)] for key, value in state.items()]}
    if isinstance(state, list | tuple):
        kind = "list" if isinstance(state, list) else "tuple"
        return {kind: [_taken_apart(value, _join(path, i), arrays) for i, value in enumerate(state)]}
    if not isinstance(state, Tensor) and not hasattr(state, "__array__"):
        raise TypeError(
            f"save: cannot store the {type(state).__name__} at {place}; a file holds arrays, numbers, strings, bools "
            "and None in dicts, lists and tuples (of a module or an optimizer give the state_dict())"
        )
    value = np.asarray(as_array(state, copy=False))
    if value.dtype.kind + str(value.dtype.itemsize) not in _STORED:
        raise TypeError(f"save: the format has no {value.dtype} (at {place}); convert it first")
    name = path or "value"
    while name in arrays or name == "__metadata__":  # {"a.b": …, "a": {"b": …}}; and the format's own name
        name += "_"
    arrays[name] = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).reshape(value.shape)
    return {"array": name}


_STORED = frozenset(("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8"))


def _put_together(tree: Any, arrays: Mapping[str, Any]) -> Any:
    if not isinstance(tree, dict):
        return tree
    [(kind, content)] = tree.items()
    if kind == "array":
        return _as_tensor(arrays[content])
    if kind == "dict":
        return {key: _put_together(value, arrays) for key, value in content}
    return {"list": list, "tuple": tuple}[kind](_put_together(value, arrays) for value in content)


def _as_tensor(array: Any) -> Tensor:
    return plain_tensor(array if array.ndim else array[()])


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _checksum(arrays: Mapping[str, Any], rest: str) -> int:
    """A CRC-32 over names, dtypes, shapes, numbers and the rest: the format itself would not notice a changed one."""
    import zlib

    shapes = [(name, arrays[name].dtype.str, arrays[name].shape) for name in sorted(arrays)]
    return zlib.crc32(repr(shapes).encode(), _first_checksum(arrays, rest))


def _first_checksum(arrays: Mapping[str, Any], rest: str) -> int:
    """What files of the first version have, without dtypes and shapes."""
    import zlib

    total = zlib.crc32(rest.encode())
    for name in sorted(arrays):
        total = zlib.crc32(memoryview(arrays[name].reshape(-1).view(np.uint8)), zlib.crc32(name.encode(), total))
    return total


def form_of(path: Any, forms: Mapping[str, Form], what: str) -> Form:
    """What stands for the suffix of a path among the forms that `what` can be saved in, if its folder is there."""
    from pathlib import Path

    path = Path(path)
    form = forms.get(path.suffix.lower())
    if form is None:
        raise ValueError(f"cannot save {what} as {path.name!r}: the suffix must be one of {', '.join(forms)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot save {path.name!r}: the folder {str(path.parent)!r} does not exist")
    return form
