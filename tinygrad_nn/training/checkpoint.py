"""All that a training is made of, kept in memory or in a file, and brought back exactly."""

from __future__ import annotations

import os
import random as python_random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np

from ..data.seeding import all_generators, put_back, state_of, with_arrays
from ..tensor.tensor import Tensor, as_array, plain_tensor

LAST, BEST = "last.safetensors", "best.safetensors"


# --- random numbers --------------------------------------------------------------------------------------------------


def random_state(*holders: Any) -> dict[str, Any]:
    """Where all random streams stand: those of `all_generators`, of `random` and of `numpy.random`."""
    version, words, gauss = python_random.getstate()
    return {
        "generators": [state_of(g) for g in all_generators(*holders)],
        "python": {"version": version, "words": np.array(words, np.uint32), "gauss": gauss},
        "numpy": dict(np.random.get_state(legacy=False)),  # noqa: NPY002
    }


def restore_random(state: Mapping[str, Any], *holders: Any) -> None:
    """Bring all random streams to where `random_state` found them."""
    generators = all_generators(*holders)
    if len(generators) != len(state["generators"]):
        raise ValueError(
            f"the checkpoint has {len(state['generators'])} random generators, this training {len(generators)}: it is "
            "of another model, loss or step"
        )
    for generator, one in zip(generators, state["generators"]):
        put_back(generator, one)
    python = with_arrays(state["python"])
    python_random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    np.random.set_state(with_arrays(state["numpy"]))  # noqa: NPY002


# --- model and optimizer ---------------------------------------------------------------------------------------------


def held_by(optimizer: Any) -> list[Tensor]:
    """All parameters of an optimizer, group by group."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def network_state(model: Any, optimizer: Any) -> dict[str, Any]:
    """Parameters, buffers, and what the optimizer remembers; also how the arrays lie in memory.

    A product of matrices can differ in the last digit with the order of its operands' axes in memory.
    """
    kept = model.state_dict()
    hidden = {path: plain_tensor(buffer._value) for path, buffer in model.named_buffers() if path not in kept}
    layout = {name: axes for name, array in _arrays(model, optimizer) if (axes := _axes(array)) is not None}
    return {"model": kept, "hidden": hidden, "optimizer": optimizer.state_dict(), "layout": layout}


def load_network(state: Mapping[str, Any], model: Any, optimizer: Any) -> None:
    """Take over a `network_state`."""
    model.load_state_dict(state["model"])
    buffers = dict(model.named_buffers())
    for path, value in state["hidden"].items():
        buffers[path]._assign(np.array(as_array(value, copy=False), buffers[path].dtype)[()])
    optimizer.load_state_dict(state["optimizer"])
    layout = state["layout"]
    if layout:
        for name, holder, key in _places(model, optimizer):
            if name in layout:
                old = holder._value if key is None else holder[key]
                new = _laid_out(old, layout[name])
                if key is None:
                    holder._assign(new)
                else:
                    holder[key] = new


def _places(model: Any, optimizer: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, holder and key of every array; without key the holder is a Tensor."""
    for path, tensor in (*model.named_parameters(), *model.named_buffers()):
        yield f"model.{path}", tensor, None
    for number, p in enumerate(held_by(optimizer)):
        for name, value in optimizer.state.get(p, {}).items():
            if isinstance(value, np.ndarray):
                yield f"optimizer.{number}.{name}", optimizer.state[p], name


def _arrays(model: Any, optimizer: Any) -> Iterator[tuple[str, Any]]:
    for name, holder, key in _places(model, optimizer):
        yield name, holder._value if key is None else holder[key]


def _axes(array: Any) -> list[int] | None:
    """The axes from the slowest in memory to the quickest; None for NumPy's own order."""
    if array.ndim < 2 or array.flags.c_contiguous:
        return None
    return [int(axis) for axis in np.argsort([-abs(stride) for stride in array.strides], kind="stable")]


def _laid_out(array: Any, axes: list[int]) -> Any:
    return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))


class Kept:
    """A moment of a training, in memory, to come back to."""

    def __init__(self, model: Any, optimizer: Any, *holders: Any) -> None:
        self._parts = model, optimizer, holders
        self._random = random_state(model, *holders)
        # A buffer's Tensor is not held: one that is bound anew cannot be recorded while somebody else has it.
        held = [(m, name, m.__dict__.get(name)) for m in model.modules() for name in m._buffers]
        self._buffers = [
            (m, name, None if t is None else ref(t), None if t is None else t._value) for m, name, t in held
        ]
        params = {id(p): p for p in (*model.parameters(), *held_by(optimizer))}
        self._parameters = [(tensor, tensor._value) for tensor in params.values()]
        self._optimizer = optimizer.state_dict()

    def restore(self, *, parameters: bool = True) -> None:
        """Bring back buffers and random streams, and parameters and the optimizer too unless told not to."""
        model, optimizer, holders = self._parts
        restore_random(self._random, model, *holders)
        for module, name, first, value in self._buffers:
            tensor = None if first is None else first()
            if first is not None and tensor is None:
                tensor = module.__dict__[name]
            if module.__dict__.get(name) is not tensor:  # bound anew
                module._set(name, tensor)
            if tensor is not None and tensor._value is not value:
                tensor._assign(value)
        for tensor, value in self._parameters if parameters else ():
            if tensor._value is not value:
                tensor._assign(value)
        if parameters:
            optimizer.load_state_dict(self._optimizer)


# --- files -----------------------------------------------------------------------------------------------------------


class Folder:
    """The files of a training: where it stands, and the best network so far.

    Each is replaced as a whole once the new one is on the disk: a process that is killed leaves the earlier one.
    """

    def __init__(self, path: Any) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)

    def read(self) -> dict[str, Any] | None:
        """Where the training stands; None if it has not begun."""
        from ..tensor.files import load

        if not (self.path / LAST).exists():
            return None
        state = load(self.path / LAST)
        if not isinstance(state, dict) or state.get("trainer") != 1:
            raise ValueError(f"{str(self.path / LAST)!r} is no checkpoint of a Trainer")
        return state

    def write(self, state: dict[str, Any]) -> None:
        """Keep where the training stands."""
        from ..tensor.files import save

        save({"trainer": 1, **state}, self.path / LAST)

    def write_best(self, state: dict[str, Any]) -> None:
        """Keep the best network."""
        from ..tensor.files import save

        save(state, self.path / BEST)

    def read_best(self) -> dict[str, Any]:
        """The best network."""
        from ..tensor.files import load

        results: dict[str, Any] = load(self.path / BEST)
        return results

    def start_anew(self) -> None:
        """Forget an earlier training."""
        for name in (LAST, BEST):
            with suppress(FileNotFoundError):
                os.unlink(self.path / name)
