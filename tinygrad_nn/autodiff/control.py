"""Loops and branches that stay what they are in a compiled program: `scan`, `cond` and `while_loop`.

Outside `compile` they run as the Python loops and branches that they stand for.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..core import store
from ..core.adjoint import alias
from ..core.errors import name_of
from ..core.graph import StandIn, modes
from ..core.reverse import unshared
from ..core.tree import flatten, paths, unflatten
from ..ops.shapes import stack
from ..tensor.tensor import Tensor, alias_of, as_array, plain_tensor

Function = Callable[..., Any]


def scan(f: Function, init: Any, xs: Any, length: int | None = None, reverse: bool = False) -> tuple[Any, Any]:
    """Go along the first axis of `xs`, carrying values from step to step: ``carry, y = f(carry, x)``.

    Parameters
    ----------
    f : callable
        Takes the carry and the slice ``xs[t]``, both made of Tensors, and returns the next carry, of the same
        structure, shapes and dtypes, and what is to be stacked. It may use Tensors from outside. In a compiled
        function it is recorded once: it draws no random numbers and binds nothing outside to a new value.
    init : nest of array_like
        The first carry.
    xs : nest of array_like, or None
        Tuples, lists and dicts of arrays whose first axes have one length.
    length : int, optional
        The number of steps; needed if `xs` is None.
    reverse : bool
        Begin with the last slice. The rows of `ys` still stand at the places of their slices.

    Returns
    -------
    carry
        The last one, in the structure of `init`.
    ys
        What `f` gave second, stacked along a new first axis; None where that was None.

    Raises
    ------
    TypeError
        If the carry changes its structure or dtype, or something else than arrays is carried or stacked.
    ValueError
        If the carry changes its shape, or lengths differ or are unknown.

    Notes
    -----
    Arrays are given for arrays, and Tensors where an input is a Tensor or a gradient can flow. With no steps at all,
    `f` is called once on zeros, to learn what `ys` would be made of. Differentiated in a compiled function, each step
    is computed again from the carry before it, which is kept; what a loop or a branch could have read, but did not in a
    call, has the gradient zero there, where it has none outside.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> tg.scan(lambda total, x: (total + x, total * x), 0.0, np.array([1.0, 2.0, 3.0]))
    (np.float64(6.0), array([0., 2., 9.]))
    >>> tg.grad(lambda a: tg.scan(lambda c, _: (c * a, None), 1.0, None, length=3)[0])(2.0)
    np.float64(12.0)
    """
    _check_callable("scan", f=f)
    carry, rows = _Nest(init, "scan: init"), _Nest(xs, "scan: xs")
    count = _length(rows, length)
    step = _Step(f, carry, rows)
    tensors = _any_tensor([*carry.leaves, *rows.leaves])
    last, ys = store.scan(step, carry, rows, count, bool(reverse), stack)
    results = _in_kind([*last, *ys], tensors)
    return carry.build(results[: len(last)]), step.ys.build(results[len(last) :])


def cond(pred: Any, true_fn: Function, false_fn: Function, *operands: Any) -> Any:
    """``true_fn(*operands)`` where `pred` is true, else ``false_fn(*operands)``; only one of them is computed.

    Parameters
    ----------
    pred : bool or array_like
        A single number; any but zero is true.
    true_fn, false_fn : callable
        Take the operands, made of Tensors, and return a nest of Tensors. In a compiled function both are recorded, so
        that both must give the same structure, shapes and dtypes, and neither may draw random numbers or bind anything
        outside to a new value.
    *operands : nest of array_like

    Returns
    -------
    Arrays if all of `pred` and the operands are arrays and no gradient can flow, else Tensors.

    Raises
    ------
    ValueError
        If `pred` is no single number.
    TypeError
        If a function gives something else than arrays, or, while a function is compiled, the two give different things.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.grad(lambda x: tg.cond(x > 0, tg.log, tg.exp, x))(4.0)
    np.float64(0.25)
    """
    _check_callable("cond", true_fn=true_fn, false_fn=false_fn)
    nest = _Nest(operands, "cond: operand ")
    chosen = _truth(pred, "cond: pred")
    results: list[_Nest] = []

    def branch(function: Function) -> list[Any]:
        results.append(_Nest(function(*nest.build(nest.tensors())), f"cond: the result of {name_of(function)}"))
        return results[-1].taken()

    branches = partial(branch, true_fn), partial(branch, false_fn)
    outs = store.cond(chosen, *branches, lambda: _compare_branches(*results))
    return results[0].build(_in_kind(outs, not nest.leaves or _any_tensor([*nest.leaves, pred])))


def while_loop(cond_fn: Function, body_fn: Function, init: Any) -> Any:
    """Put a value through `body_fn` as long as `cond_fn` says so of it.

    Parameters
    ----------
    cond_fn : callable
        Takes the value and gives a single bool or number.
    body_fn : callable
        Takes the value, made of Tensors, and gives the next, of the same structure, shapes and dtypes. In a compiled
        function both are recorded once: they draw no random numbers and bind nothing outside to a new value.
    init : nest of array_like

    Returns
    -------
    The value that `cond_fn` was false of, in the structure of `init`.

    Raises
    ------
    TypeError
        If the value changes its structure or dtype, or is made of something else than arrays.
    ValueError
        If it changes its shape, or `cond_fn` gives no single number.

    Notes
    -----
    The gradient goes back through the steps that were made; all values on the way are kept for it. In a compiled
    function it cannot be differentiated a second time.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.while_loop(lambda x: x < 100, lambda x: x * x, 3.0)
    np.float64(6561.0)
    >>> tg.grad(lambda x: tg.while_loop(lambda x: x < 100, lambda x: x * x, x))(3.0)
    np.float64(17496.0)
    """
    _check_callable("while_loop", cond_fn=cond_fn, body_fn=body_fn)
    nest = _Nest(init, "while_loop: init")
    if not nest.leaves:
        raise TypeError("while_loop: init holds no array, so that nothing could end the loop")

    def test(states: Sequence[Any]) -> list[Any]:
        return [_truth(cond_fn(nest.build(map(_own, states))), "while_loop: what cond_fn gave")]

    def step(states: Sequence[Any]) -> list[Any]:
        return nest.matched(body_fn(nest.build(map(_own, states))), "while_loop: what body_fn gave")

    states = store.while_loop(test, step, nest)
    return nest.build(_in_kind(states, _any_tensor(nest.leaves)))


class _Step:
    """One step of a scan on the leaves of carry and slices, checked."""

    def __init__(self, f: Function, carry: _Nest, rows: _Nest) -> None:
        self.f = f
        self.carry = carry
        self.rows = rows
        self.ys: Any = None

    def __call__(self, states: Sequence[Any], slices: Sequence[Any]) -> list[Any]:
        out = self.f(self.carry.build(map(_own, states)), self.rows.build(map(_own, slices)))
        if not isinstance(out, tuple | list) or len(out) != 2:
            kind = f"{type(out).__name__} of {len(out)}" if isinstance(out, tuple | list) else type(out).__name__
            raise TypeError(f"scan: {name_of(self.f)} gave a {kind}, not the pair (carry, y); without a y, give None")
        states = self.carry.matched(out[0], f"scan: the carry that {name_of(self.f)} gave")
        if self.ys is None:
            self.ys = _Nest(out[1], "scan: y")
            ys = self.ys.taken()
        else:
            ys = self.ys.matched(out[1], f"scan: the y that {name_of(self.f)} gave")
        return [*states, *map(alias_of, ys)]  # which the function may bind to something else in later steps


def _any_tensor(inputs: Sequence[Any]) -> bool:
    return any(isinstance(x, Tensor) for x in inputs)


def _own(x: Any) -> Tensor:
    """A Tensor of the same value and derivative, which a function may bind to something else."""
    if not isinstance(x, Tensor):
        return plain_tensor(x)
    if x._node is not None and x._node.op is None and modes.recording:
        return alias(x)  # type: ignore[no-any-return]
    return alias_of(x)


def _length(rows: _Nest, length: int | None) -> int:
    """The number of steps."""
    lengths: dict[str, int] = {}
    for x, path in zip(rows.leaves, rows.paths):
        if not x.shape:
            raise ValueError(f"scan: {path} has no axes; xs is cut along the first axis of each of its arrays")
        lengths[path] = x.shape[0]
    if length is not None:
        count = operator.index(length)
        if count < 0:
            raise ValueError(f"scan: length={count} is negative")
        lengths = {"length": count, **lengths}
    if not lengths:
        raise ValueError("scan: without xs, the number of steps must be given: length=...")
    (first, count), *others = lengths.items()
    for path, other in others:
        if other != count:
            raise ValueError(f"scan: lengths differ: {count} ({first}) and {other} ({path})")
    return count


def _truth(pred: Any, what: str) -> Any:
    """A bool, or while a program is recorded something that stands for one."""
    value = pred._value if isinstance(pred, Tensor) else pred
    if not isinstance(value, bool | int | float | np.ndarray | np.generic | StandIn):
        raise TypeError(f"{what} is {type(pred).__name__}, not a bool or a number")
    shape = getattr(value, "shape", ())
    if shape:
        raise ValueError(
            f"{what} has shape {shape}; it must be a single bool or number: reduce it with .all() or .any(), "
            "or choose element by element with tg.where"
        )
    if isinstance(pred, bool | np.bool_ | int | float):
        return bool(pred)
    if pred.dtype.kind not in "biuf":
        raise TypeError(f"{what} is of dtype {pred.dtype}, not a bool or a number")
    return store.truth(pred)


def _in_kind(results: Iterable[Any], tensors: bool) -> list[Any]:
    """Results in the kind of the inputs: arrays for arrays, Tensors for Tensors or where a gradient can flow."""
    shared: set[int] = set()

    def convert(x: Any) -> Any:
        if isinstance(x, Tensor) and (tensors or (x._node is not None and modes.recording)):
            return alias_of(x)
        value = x._value if isinstance(x, Tensor) else x
        return plain_tensor(value) if tensors else unshared(value, shared)

    return list(map(convert, results))


class _Nest:
    """The arrays in a nest of tuples, lists and dicts, where None stands for nothing and is no leaf."""

    def __init__(self, tree: Any, what: str) -> None:
        entries, self.structure = flatten(tree)
        self.absent = [x is None for x in entries]
        present = [(x, what + path) for x, path in zip(entries, paths(self.structure)) if x is not None]
        self.paths = [path for _, path in present]
        self.leaves = [_leaf(x, path) for x, path in present]
        self.specs: list[tuple[tuple[int, ...], Any]] = []  # shapes and dtypes of what was `taken`

    def tensors(self) -> list[Any]:
        """The leaves as Tensors that nobody else has."""
        return [_own(store.operand(x)) for x in self.leaves]

    def taken(self) -> list[Any]:
        """The leaves that a function gave, as Tensors; they are not held any longer, only what they are."""
        results = [_result(x, path) for x, path in zip(self.leaves, self.paths)]
        self.specs = [(x.shape, x.dtype) for x in results]
        self.leaves.clear()
        return results

    def build(self, leaves: Any) -> Any:
        """The nest with other leaves."""
        rest = iter(leaves)
        return unflatten(self.structure, [None if absent else next(rest) for absent in self.absent])

    def matched(self, tree: Any, what: str) -> list[Any]:
        """The leaves of a nest that must have this one's structure, shapes and dtypes, as Tensors."""
        entries = _leaves_of(self.structure, tree, what, "")
        if [x is None for x in entries] != self.absent:
            raise TypeError(f"{what} has another structure than before: None stands where an array did, or the reverse")
        specs = self.specs or [(x.shape, x.dtype) for x in self.leaves]
        leaves = []
        for x, path, (shape, dtype) in zip((x for x in entries if x is not None), self.paths, specs):
            x = _result(x, what)
            if x.shape != shape:
                raise ValueError(f"{what} has shape {x.shape} at {path}, where it had {shape}; shapes cannot change")
            if x.dtype != dtype:
                raise TypeError(
                    f"{what} has dtype {x.dtype} at {path}, where it had {dtype}; begin with {x.dtype}, or convert the "
                    f"result with astype"
                )
            leaves.append(x)
        return leaves


def _leaves_of(structure: Any, tree: Any, what: str, path: str) -> list[Any]:
    """The leaves of a nest in the order of a structure, which it must have; a dict's keys may stand in any order."""
    if structure is None:
        if isinstance(tree, dict | tuple | list):
            raise TypeError(f"{what} has another structure than before: {_kind(tree)} stands at its {path or 'top'}")
        return [tree]
    kind, keys, children = structure
    same = type(tree) is kind and len(tree) == len(children) and (keys is None or set(tree) == set(keys))
    if not same:
        expected = kind.__name__ + (f" of {len(children)}" if keys is None else f" with the keys {list(keys)}")
        raise TypeError(
            f"{what} has another structure than before: {_kind(tree)} stands at its {path or 'top'}, not a {expected}"
        )
    names = range(len(children)) if keys is None else keys
    return [
        leaf
        for name, child in zip(names, children)
        for leaf in _leaves_of(child, tree[name], what, f"{path}[{name!r}]")
    ]


def _kind(tree: Any) -> str:
    if isinstance(tree, dict):
        return f"a {type(tree).__name__} with the keys {list(tree)}"
    return f"a {type(tree).__name__}" + (f" of {len(tree)}" if isinstance(tree, tuple | list) else "")


def _leaf(x: Any, path: str) -> Any:
    """An array, a stand-in or a Tensor."""
    if isinstance(x, Tensor | StandIn) or (type(x) is np.ndarray and x.dtype.kind in "biufc"):
        return x
    if not isinstance(x, bool | int | float | complex | np.ndarray | np.generic):
        raise TypeError(f"{path} is {type(x).__name__}; give numbers, arrays or Tensors, in tuples, lists and dicts")
    return as_array(x, copy=True)


def _result(x: Any, path: str) -> Tensor:
    """What a function gave, as a Tensor."""
    x = _leaf(x, path)
    value = x._value if isinstance(x, Tensor) else x
    if isinstance(value, StandIn) and value.variable.weak:
        x = x.astype(value.dtype)
    return x if isinstance(x, Tensor) else plain_tensor(x)


def _compare_branches(first: _Nest, second: _Nest) -> None:
    """Raise unless both branches of a recorded `cond` gave the same kind of thing."""
    if first.structure != second.structure or first.absent != second.absent:
        raise TypeError(
            "cond: while a function is compiled, both branches must give the same structure; they gave "
            f"{first.structure or 'a single array'} and {second.structure or 'a single array'}"
        )
    for (shape, dtype), (other_shape, other), path in zip(first.specs, second.specs, first.paths):
        if (shape, dtype) != (other_shape, other):
            raise TypeError(
                f"cond: while a function is compiled, both branches must give the same shapes and dtypes; {path} is "
                f"{dtype}{list(shape)}, and that of the other function {other}{list(other_shape)}"
            )


def _check_callable(caller: str, **functions: Any) -> None:
    for name, f in functions.items():
        if not callable(f):
            raise TypeError(f"{caller}: {name} is {type(f).__name__}, not a function")


__all__ = ["cond", "scan", "while_loop"]
