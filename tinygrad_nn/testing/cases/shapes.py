"""Domain rows of the operations that rearrange elements, pick them by index, or put them in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...ops.shapes.indexing import ARRAY
from ..rows import DISTINCT, REAL, Domain, Row

WHOLE = slice(None)


def _at(
    *, x: tuple[int, ...], key: tuple[Any, ...], arrays: tuple[Any, ...] = (), value: Any = None
) -> Callable[..., Any]:
    """A case of an indexing op: `key` with ARRAY for each of `arrays`, which are inputs."""

    def case(rng: np.random.Generator) -> Any:
        inputs = [rng.uniform(-2, 2, x)]
        if value is not None:
            inputs.append(rng.uniform(-2, 2, value)[()])
        return [*inputs, *map(np.asarray, arrays)], {"key": key}

    return case


def _place(key: tuple[Any, ...], arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    rest = iter(arrays)
    return tuple(next(rest) if isinstance(part, str) else part for part in key)


def _unstacked(x: Any, axis: int) -> Any:
    """`np.unstack`, which NumPy 2.0 lacks."""
    return tuple(np.moveaxis(x, axis, 0))


def _indexed(x: Any, *arrays: Any, key: Any) -> Any:
    return x[_place(key, arrays)]


def _scattered(g: Any, *arrays: Any, key: Any, shape: Any) -> Any:
    out = np.zeros(shape, g.dtype)
    np.add.at(out, _place(key, arrays), g)
    return out


def _updated(x: Any, value: Any, *arrays: Any, key: Any) -> Any:
    out = x.copy()
    out[_place(key, arrays)] = value
    return out[()]


#: (shape, key, index arrays): basic and advanced, mixed, negative, repeated, masks, empty, and index arrays apart.
INDICES: tuple[tuple[tuple[int, ...], tuple[Any, ...], tuple[Any, ...]], ...] = (
    ((4,), (1,), ()),
    ((2, 3), (0, 2), ()),
    ((4,), (slice(3, 0, -2),), ()),
    ((3, 4), (Ellipsis, slice(1, 3)), ()),
    ((3,), (None, WHOLE), ()),
    ((3, 2), (WHOLE,), ()),
    ((3, 4), (1, slice(None, None, 2)), ()),
    ((4,), (ARRAY,), ([0, 2, 2, -1],)),
    ((4, 2), (ARRAY,), ([[0, 1], [1, 3]],)),
    ((2, 4), (WHOLE, ARRAY), ([3, 0, 3],)),
    ((3, 4), (ARRAY, ARRAY), ([0, 2, 2], [1, 3, 3])),
    ((3, 4), (ARRAY, ARRAY), ([[0], [2]], [1, 2, 3])),
    ((3, 4), (ARRAY, slice(1, 3)), ([2, 0, 2],)),
    ((2, 3, 4), (ARRAY, WHOLE, ARRAY), ([0, 1], [2, 2])),
    ((2, 3, 4), (1, WHOLE, ARRAY), ([3, 3],)),
    ((2, 3), (ARRAY,), ([[True, False, True], [False, True, True]],)),
    ((3, 2), (ARRAY,), ([True, False, True],)),
    ((3,), (ARRAY,), ([False, False, False],)),
    ((3, 2), (ARRAY, WHOLE), (np.zeros(0, int),)),
    ((3, 2), (None, ARRAY, Ellipsis), ([2, 1],)),
    ((4,), (ARRAY,), (np.int64(2),)),
    ((0, 3), (WHOLE, 1), ()),
    ((), (Ellipsis,), ()),
    ((), (None,), ()),
)


def _scatter_case(shape: tuple[int, ...], key: tuple[Any, ...], arrays: tuple[Any, ...]) -> Callable[..., Any]:
    def case(rng: np.random.Generator) -> Any:
        picked = np.zeros(shape)[_place(key, tuple(map(np.asarray, arrays)))]
        return [rng.uniform(-2, 2, picked.shape), *map(np.asarray, arrays)], {"key": key, "shape": shape}

    return case


def _many_repeats(rng: np.random.Generator) -> Any:
    """So many additions to the same places that counting is faster than adding one by one."""
    return [rng.uniform(-2, 2, 300), rng.integers(0, 7, 300)], {"key": (ARRAY,), "shape": (7,)}


def _many_rows(rng: np.random.Generator) -> Any:
    """So many rows that they are sorted before they are added; some are named from the end."""
    return [rng.uniform(-2, 2, (4, 5, 3)), rng.integers(-3, 7, (4, 5))], {"key": (ARRAY,), "shape": (7, 3)}


def _fills(shape: tuple[int, ...], **settings: Any) -> Callable[..., Any]:
    def case(rng: np.random.Generator) -> Any:
        return [rng.uniform(-2, 2, np.diagonal(np.zeros(shape), **settings).shape)], {"shape": shape, **settings}

    return case


def _fill_diagonal(g: Any, shape: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    places = np.arange(int(np.prod(shape))).reshape(shape).diagonal(offset, axis1, axis2)
    out = np.zeros(shape, g.dtype)
    out.flat[places] = g
    return out


def _tiled(x: Any, repetitions: Any) -> Any:
    return np.tile(x, repetitions)


def _sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    full = np.broadcast_to(np.zeros(shape), x.shape).shape
    lead = len(full) - len(shape)
    return x.sum(tuple(range(lead))).sum(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True).reshape(shape)


def _sorted(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    return np.flip(np.sort(x, axis), axis) if descending else np.sort(x, axis)


def _order(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    return np.argsort(-x if descending else x, axis, kind="stable")


BROADCASTS = (
    ((3,), {"shape": (2, 3)}),
    ((2, 1), {"shape": (2, 3)}),
    ((), {"shape": (2, 2)}),
    ((2, 3), {"shape": (2, 3)}),
    ((1, 3), {"shape": (0, 3)}),
    ((1, 1), {"shape": (4, 1, 2)}),
    ((), {"shape": ()}),
)

# fmt: off
ROWS = [
    # the same elements in another shape or order
    Row("reshape", (REAL,), (
        ((2, 3), {"shape": (3, 2)}), ((2, 3), {"shape": -1}), ((6,), {"shape": (2, -1)}), ((), {"shape": (1, 1)}),
        ((1,), {"shape": ()}), ((0, 3), {"shape": (0,)}),
    ), lambda x, shape: np.reshape(x, shape)),  # noqa: PLW0108 - NumPy 2.0 has another name for it
    Row("permute_dims", (REAL,), (
        ((2, 3), {}), ((2, 3, 4), {"axes": (2, 0, 1)}), ((2, 3, 4), {"axes": (0, -1, 1)}), ((), {}), ((0, 2), {}),
        ((3,), {}),
    ), np.permute_dims),
    Row("matrix_transpose", (REAL,), ((2, 3), (2, 3, 4), (0, 3)), np.matrix_transpose),
    Row("flip", (REAL,), (
        ((4,), {}), ((2, 3), {"axis": 1}), ((2, 3, 2), {"axis": (0, 2)}), ((), {}), ((0,), {}),
    ), np.flip),
    Row("roll", (REAL,), (
        ((4,), {"shift": 1}), ((2, 3), {"shift": -2, "axis": 1}), ((2, 3), {"shift": (1, 2), "axis": (0, 1)}),
        ((2, 3), {"shift": 5}), ((0,), {"shift": 1}),
    ), np.roll),
    Row("broadcast_to", (REAL,), BROADCASTS, np.broadcast_to),
    Row("sum_to", (REAL,), tuple((s["shape"], {"shape": x}) for x, s in BROADCASTS), _sum_to),
    Row("tile", (REAL,), (
        ((3,), {"repetitions": 2}), ((2, 3), {"repetitions": (2, 1)}), ((3,), {"repetitions": (2, 2)}),
        ((2, 2), {"repetitions": 3}), ((), {"repetitions": (2,)}), ((2,), {"repetitions": 0}),
    ), _tiled),
    Row("repeat", (REAL,), (
        ((3,), {"repeats": 2, "axis": 0}), ((2, 3), {"repeats": 3, "axis": -1}), ((2, 2), {"repeats": 0, "axis": 0}),
        ((0,), {"repeats": 2, "axis": 0}),
    ), np.repeat),
    Row("pad", (REAL,), (
        ((3,), {"pad_width": ((1, 2),)}), ((2, 3), {"pad_width": ((0, 1), (2, 0))}),
        ((2,), {"pad_width": ((1, 1),), "constant_values": 3.0}), ((2, 2), {"pad_width": ((0, 0), (0, 0))}),
    ), lambda x, pad_width, constant_values=0: np.pad(x, pad_width, constant_values=constant_values)),
    Row("tril", (REAL,), ((3, 3), ((2, 3), {"k": 1}), ((2, 3, 3), {"k": -1})), np.tril),
    Row("triu", (REAL,), ((3, 3), ((2, 3), {"k": 1}), ((2, 3, 3), {"k": -1})), np.triu),
    Row("copy", (REAL,), ((), (2, 3), (0,)), np.copy),
    Row("alias", (REAL,), ((), (2, 3), (0,)), lambda x: x),
    Row("astype", (REAL,), (
        ((2, 3), {"dtype": np.dtype(np.float64)}), ((), {"dtype": np.dtype(np.float32)}),
        ((3,), {"dtype": np.dtype(np.float32)}),
    ), lambda x, dtype: x.astype(dtype)),
    Row("discretize", (REAL,), (((3,), {"dtype": np.dtype(int)}), ((2, 2), {"dtype": np.dtype(bool)})),
        lambda x, dtype: x.astype(dtype), derivatives=False),
    # joining and splitting
    Row("concat", cases=(
        ((2,), (3,), {"axis": 0}), ((2, 1), (2, 3), (2, 2), {"axis": 1}), ((2, 2), (1, 2), {"axis": -2}),
        ((0, 2), (1, 2), {"axis": 0}), ((3,), {"axis": 0}),
    ), reference=lambda *arrays, axis: np.concatenate(arrays, axis)),
    Row("stack", cases=(
        ((2,), (2,), {"axis": 0}), ((2, 3), (2, 3), (2, 3), {"axis": 1}), ((), (), {"axis": 0}),
        ((2, 3), (2, 3), {"axis": -1}), ((0,), (0,), {"axis": 0}),
    ), reference=lambda *arrays, axis: np.stack(arrays, axis)),
    Row("split", (REAL,), (
        ((4,), {"indices_or_sections": 2}), ((5,), {"indices_or_sections": (1, 3)}),
        ((2, 6), {"indices_or_sections": 3, "axis": 1}), ((3, 2), {"indices_or_sections": (0, 2), "axis": -2}),
    ), np.split),
    Row("unstack", (REAL,), (((2, 3), {"axis": 0}), ((2, 3), {"axis": 1}), ((2, 2, 2), {"axis": -1})), _unstacked),
    Row("part", cases=(), through="split"),
    # picked by index
    Row("index", cases=tuple(_at(x=x, key=key, arrays=arrays) for x, key, arrays in INDICES), reference=_indexed),
    Row("scatter_add", cases=(*(_scatter_case(*case) for case in INDICES), _many_repeats, _many_rows),
        reference=_scattered),
    Row("index_update", cases=(
        _at(x=(4,), key=(1,), value=()),
        _at(x=(2, 3), key=(slice(None), slice(1, None)), value=(2, 2)),
        _at(x=(2, 3), key=(0,), value=(1, 3)),
        _at(x=(2, 3), key=(0,), value=(1, 1, 3)),
        _at(x=(2, 3), key=(slice(None), 1), value=()),
        _at(x=(2, 3), key=(ARRAY,), arrays=([[True, False, True], [False, True, False]],), value=(3,)),
        _at(x=(4,), key=(ARRAY,), arrays=([0, 2],), value=(2,)),
        _at(x=(4,), key=(ARRAY,), arrays=([1, 3, 1, -1],), value=(4,)),
        _at(x=(4,), key=(ARRAY,), arrays=([1, 1],), value=()),
        _at(x=(3, 4), key=(ARRAY, ARRAY), arrays=([0, 2, 0], [1, 3, 1]), value=(3,)),
        _at(x=(3, 2), key=(ARRAY,), arrays=([2, 2],), value=(2, 2)),
        _at(x=(3, 4), key=(ARRAY, ARRAY), arrays=([[0], [0]], [[1, 3]]), value=(2, 2)),
        _at(x=(3, 4), key=(ARRAY, ARRAY), arrays=([[0], [2]], [1, 1, 3]), value=(2, 3)),
        _at(x=(3, 2), key=(ARRAY,), arrays=([2, 2, 0],), value=(2,)),
        _at(x=(3,), key=(ARRAY,), arrays=([False, False, False],), value=()),
        _at(x=(), key=(Ellipsis,), value=()),
    ), reference=_updated),
    Row("wins", cases=(
        lambda rng: ([np.array([1, 3, 1, -1])], {"key": (ARRAY,), "shape": (4,)}),
    ), reference=lambda *arrays, key, shape: np.array([False, False, True, True]), derivatives=False),
    Row("diagonal", (REAL,), (
        (3, 3), ((2, 3), {"offset": 1}), ((2, 3, 2), {"axis1": 0, "axis2": 2}),
        ((3, 2, 2), {"offset": -1, "axis1": 1, "axis2": 2}),
    ), np.diagonal),
    Row("fill_diagonal", cases=(
        _fills((3, 3)), _fills((2, 3), offset=1), _fills((2, 3, 2), axis1=0, axis2=2),
        _fills((3, 2, 2), offset=-1, axis1=1, axis2=2),
    ), reference=_fill_diagonal),
    # order
    Row("sort", (DISTINCT,), (
        ((4,), {}), ((2, 4), {"axis": 0}), ((2, 4), {"descending": True}), ((2, 4), {"axis": 0, "descending": True}),
        ((0,), {}), ((1,), {}),
    ), _sorted),
    Row("argsort", (DISTINCT,), (((4,), {}), ((3, 4), {"axis": 0, "descending": True})), _order, derivatives=False),
    Row("nonzero", (Domain(0, 2, kind="int"),), ((5,), (2, 3)), np.nonzero, derivatives=False),
    Row("searchsorted", (
        Domain(make=lambda rng, shape: np.sort(rng.integers(-3, 3, shape).astype(float))),
        Domain(make=lambda rng, shape: rng.integers(-3, 3, shape).astype(float)),
    ), (((5,), (2, 3)), ((5,), (4,), {"side": "right"})), np.searchsorted, derivatives=False),
]
