"""Functions of functions: gradients, products with Jacobians, Jacobians and Hessians.

All record one ordinary run of the function and then read that graph. They nest to any order, because a pass is itself
recorded wherever the graph leads to something outside that may still be differentiated.
"""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeAlias

import numpy as np

from ..core.adjoint import alias
from ..core.errors import name_of
from ..core.graph import Node, StandIn, mode, modes, next_order, reachable
from ..core.reverse import check_gradient, reverse, seeds_of, unshared
from ..core.store import read
from ..core.tree import flatten, map_leaves, unflatten
from ..core.values import leaf, ndarray
from ..ops.shapes import reshape, stack
from ..tensor.tensor import Tensor, alias_of, as_array, plain_tensor
from .forward import push_forward

Function: TypeAlias = Callable[..., Any]


class _Inputs:
    """The differentiable inputs of one call: stand-ins for the user's arrays and Tensors, and how to answer in kind."""

    def __init__(self, trees: Sequence[Any], caller: str) -> None:
        self.start = next_order()
        leaves, self.structure = flatten(tuple(trees))
        self.tensors = [_stand_in(x, caller) for x in leaves]
        self.nodes: list[Node] = [t._node for t in self.tensors if t._node is not None]
        self.give_tensors = any(isinstance(x, Tensor) for x in leaves)

    def trees(self) -> tuple[Any, ...]:
        """The stand-ins, nested as the user's inputs were."""
        return unflatten(self.structure, self.tensors)  # type: ignore[no-any-return]

    def answer(self, x: Any, shared: set[int]) -> Any:
        """A result in the kind of the inputs: an array, a Tensor for Tensors, or one still connected to the outside."""
        if isinstance(x, Tensor):
            if modes.recording and _leads_outside(x, self.start):
                return alias_of(x)
            x = read(x).copy()
        x = unshared(x, shared)
        return plain_tensor(x) if self.give_tensors else x

    def gradients(self, by_node: dict[Node, Any]) -> Any:
        """The gradients that a pass gave, nested as the inputs were; zero where the result does not depend on one."""
        shared: set[int] = set()
        leaves = []
        for tensor, node in zip(self.tensors, self.nodes, strict=True):
            gradient = by_node.get(node)
            if gradient is None:
                gradient = np.zeros(tensor.shape, tensor.dtype)[()]
            # A pass that was recorded gave Tensors: something outside took part.
            leaves.append(alias_of(gradient) if isinstance(gradient, Tensor) else self.answer(gradient, shared))
        return unflatten(self.structure, leaves)


def _leads_outside(x: Tensor, start: int) -> bool:
    """Whether a result depends on something older than the call that made it."""
    return x._node is not None and (x._node.order < start or reachable([x._node], start)[1])


def _stand_in(x: Any, caller: str) -> Tensor:
    """A Tensor to differentiate with respect to, in the place of an input."""
    if isinstance(x, bool) or not isinstance(x, int | float | Tensor | ndarray | np.generic | StandIn):
        raise TypeError(f"{caller}: cannot differentiate with respect to {x!r}; give a number, an array or a Tensor")
    if type(x) is int:
        x = float(x)
    value = read(x) if isinstance(x, Tensor) else as_array(x, copy=True)
    if isinstance(value, StandIn) and value.variable.weak:
        value = value.astype(np.float64)
    if value.dtype.kind != "f":
        raise TypeError(
            f"{caller}: cannot differentiate with respect to an input of dtype {value.dtype}; "
            "convert it to floating point first: x.astype(float)"
        )
    if isinstance(x, Tensor) and x._node is not None and modes.recording:
        return alias(x)  # type: ignore[no-any-return]
    tensor = plain_tensor(value.copy() if type(value) is ndarray and value.base is not None else value)
    tensor._node = leaf(tensor)
    if isinstance(x, Tensor) and x.name is not None:
        tensor.name = x.name
    return tensor


def _run(f: Function, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Run the user's function with recording on, whatever mode the transform was called in."""
    modes.transforming += 1
    try:
        if modes.recording:
            return f(*args, **kwargs)
        with mode("recording", True):
            return f(*args, **kwargs)
    finally:
        modes.transforming -= 1


def _scalar(out: Any, f: Function, caller: str, taken: bool) -> Tensor:
    """The result of a function without axes; a plain number is a constant, unless numbers were taken out of Tensors."""
    if not taken and (isinstance(out, float | int | np.number) or (isinstance(out, np.ndarray) and not out.shape)):
        out = plain_tensor(np.asarray(out, float if np.asarray(out).dtype.kind in "bui" else None)[()])  # a constant
    if not isinstance(out, Tensor):
        raise TypeError(
            f"{caller}: {name_of(f)} returned {type(out).__name__}, not a Tensor, so nothing was recorded; "
            "compute its result from its inputs with Tensor operations, without item() or numpy()"
        )
    scalar: Tensor = reshape(out, shape=()) if out.shape and out.size == 1 else out
    if scalar.shape != ():
        raise ValueError(
            f"{caller}: {name_of(f)} returned shape {out.shape}, and only a scalar has a gradient; reduce it with "
            ".sum() or .mean(), or use tg.jacobian or tg.elementwise_grad"
        )
    if out.dtype.kind != "f":
        raise TypeError(f"{caller}: {name_of(f)} returned dtype {out.dtype}; it must be real floating point")
    return scalar


def _picked(argnums: int | Sequence[int], args: Sequence[Any], caller: str) -> tuple[int, ...]:
    picks = tuple(argnums) if isinstance(argnums, Sequence) else (operator.index(argnums),)
    for pick in picks:
        if not -len(args) <= pick < len(args):
            raise ValueError(f"{caller}: argnums names argument {pick}, but {len(args)} were given by position")
    picks = tuple(pick % len(args) for pick in picks)
    if len(set(picks)) < len(picks):
        raise ValueError(f"{caller}: argnums={argnums} names an argument twice")
    return picks


def _replaced(args: Sequence[Any], picks: Sequence[int], replacements: Sequence[Any]) -> list[Any]:
    """The arguments, others in the places of the picked ones."""
    result = list(args)
    for i, replacement in zip(picks, replacements, strict=True):
        result[i] = replacement
    return result


def _differentiate(
    f: Function, argnums: int | Sequence[int], args: Sequence[Any], kwargs: dict[str, Any], caller: str
) -> tuple[Any, Any]:
    """Value and gradient of a scalar function at a point."""
    picks = _picked(argnums, args, caller)
    inputs = _Inputs([args[i] for i in picks], caller)
    before = modes.taken
    result = _run(f, _replaced(args, picks, inputs.trees()), kwargs)
    out = _scalar(result, f, caller, modes.taken != before)
    by_node = {}
    if out._node is not None:
        by_node = reverse({out._node: out.dtype.type(1)}, targets=inputs.nodes, since=inputs.start)
    gradients = inputs.gradients(by_node)
    connected = any(isinstance(gradient, Tensor) for gradient in by_node.values())
    value = alias_of(out) if connected else inputs.answer(out, set())
    return value, gradients[0] if not isinstance(argnums, Sequence) else gradients


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function that gives the value of `f` and its gradient.

    Parameters
    ----------
    f : callable
        Returns a scalar Tensor.
    argnums : int or sequence of int
        Which positional arguments to differentiate with respect to. Each may be a number, an array, a Tensor, or a nest
        of tuples, lists and dicts of them.

    Returns
    -------
    callable
        Takes the arguments of `f` and returns ``(value, gradient)``; the gradient has the structure of the argument,
        a tuple of such if `argnums` is a sequence. Arrays are given for arrays and Tensors for Tensors.

    Raises
    ------
    TypeError
        If an argument is not of floating point (plain Python ints are taken as floats), or `f` returns no Tensor.
    ValueError
        If `f` returns no scalar, or `argnums` names an argument that was not given.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.value_and_grad(lambda a: a**2)(5.0)
    (np.float64(25.0), np.float64(10.0))
    """

    @wraps(f, updated=())
    def value_and_gradient(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        return _differentiate(f, argnums, args, kwargs, "value_and_grad")

    return value_and_gradient


def grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function that gives the gradient of `f`: ``grad(f)(x)`` is ∂f/∂x at x.

    Parameters, errors and structure are those of `value_and_grad`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.grad(lambda a: a**3)(2.0)
    np.float64(12.0)
    >>> tg.grad(tg.grad(lambda a: a**3))(2.0)
    np.float64(12.0)
    >>> tg.grad(lambda w: (w["a"] * w["b"]))({"a": 2.0, "b": 5.0})
    {'a': np.float64(5.0), 'b': np.float64(2.0)}
    """

    @wraps(f, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        return _differentiate(f, argnums, args, kwargs, "grad")[1]

    return gradient


def elementwise_grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """The derivative of a function that works element by element: the gradient of the sum of its results.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> tg.elementwise_grad(tg.sin)(np.array([0.0, np.pi]))
    array([ 1., -1.])
    """

    def summed(*args: Any, **kwargs: Any) -> Any:
        out = f(*args, **kwargs)
        return out.sum() if isinstance(out, Tensor) else out

    summed.__name__ = name_of(f)

    @wraps(f, updated=())
    def derivative(*args: Any, **kwargs: Any) -> Any:
        return _differentiate(summed, argnums, args, kwargs, "elementwise_grad")[1]

    return derivative


def vjp(f: Function, *xs: Any) -> tuple[Any, Function]:
    """Value of `f` at `xs`, and the function that pulls a gradient of the result back to the inputs.

    Parameters
    ----------
    f : callable
        Returns a Tensor, or a nest of them.
    *xs
        Its arguments: numbers, arrays, Tensors, or nests of them.

    Returns
    -------
    out
        What `f` returned.
    pullback : callable
        ``pullback(v)``, with v of the structure, shapes and dtypes of `out`, gives the tuple vᵀJ, an entry for each of
        `xs`. It can be called many times.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> out, pullback = tg.vjp(lambda x: x**2, np.array([1.0, 2.0]))
    >>> pullback(np.array([1.0, 10.0]))
    (array([ 2., 40.]),)
    """
    inputs = _Inputs(xs, "vjp")
    outs, structure = _results(f, inputs, "vjp")
    outs = [alias_of(out) for out in outs]  # the caller may bind the ones that f returned anew

    def pullback(v: Any) -> Any:
        seeds = seeds_of(outs, _matching(v, outs, structure, "pullback"))
        record = modes.recording and any(isinstance(s, Tensor) and s._node is not None for s in seeds.values())
        by_node = reverse(seeds, targets=inputs.nodes, retain_graph=True, record=record, since=inputs.start)
        return inputs.gradients(by_node)

    shared: set[int] = set()
    return unflatten(structure, [inputs.answer(out, shared) for out in outs]), pullback


def _results(f: Function, inputs: _Inputs, caller: str) -> tuple[list[Any], Any]:
    """What the user's function returns for the inputs: Tensors, and the structure of their nest."""
    outs, structure = flatten(_run(f, inputs.trees(), {}))
    for out in outs:
        if not isinstance(out, Tensor):
            raise TypeError(
                f"{caller}: {name_of(f)} returned {type(out).__name__} among its results, not a Tensor; compute it "
                "from the inputs with Tensor operations"
            )
    return outs, structure


def _matching(v: Any, tensors: Sequence[Tensor], structure: Any, caller: str) -> list[Any]:
    """Leaves of `v`, checked to be of the structure, shapes and dtypes of the Tensors they belong to."""
    leaves, structure_of_v = flatten(v)
    if structure_of_v != structure:
        raise ValueError(f"{caller}: the structure of what was given differs from that of what it belongs to")
    return [check_gradient(x, tensor, caller) for x, tensor in zip(leaves, tensors, strict=True)]


def jvp(f: Function, xs: Any, tangents: Any) -> tuple[Any, Any]:
    """Value of `f`, and its derivative along a direction, J·v, by one forward pass over the graph.

    Parameters
    ----------
    f : callable
        Returns a Tensor, or a nest of them.
    xs : tuple, or a single argument
        The arguments of `f`.
    tangents
        The direction: of the structure, shapes and dtypes of `xs`.

    Returns
    -------
    out, tangent
        Both of the structure that `f` returns.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> tg.jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 10.0))
    (np.float64(6.0), np.float64(23.0))
    """
    xs, tangents = _as_arguments(xs), _as_arguments(tangents)
    inputs = _Inputs(xs, "jvp")
    directions = _matching(tangents, inputs.tensors, inputs.structure, "jvp: tangents")
    outs, structure = _results(f, inputs, "jvp")
    roots = [out._node for out in outs if out._node is not None]
    pushed = push_forward(roots, dict(zip(inputs.nodes, directions, strict=True)), inputs.start)
    shared: set[int] = set()
    values = [inputs.answer(out, shared) for out in outs]
    along = [inputs.answer(pushed.get(out._node, np.zeros(out.shape, out.dtype)[()]), shared) for out in outs]
    return unflatten(structure, values), unflatten(structure, along)


def _as_arguments(xs: Any) -> tuple[Any, ...]:
    return tuple(xs) if isinstance(xs, tuple | list) else (xs,)


def jacobian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function that gives the matrix of all first derivatives of `f`.

    Returns
    -------
    callable
        Its result has the shape of what `f` returns followed by the shape of the argument: element [i, j] is ∂fᵢ/∂xⱼ.
        Nests are taken apart: first that of the result, then that of the argument.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> tg.jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    @wraps(f, updated=())
    def matrix(*args: Any, **kwargs: Any) -> Any:
        picks = _picked(argnums, args, "jacobian")

        def of_picked(*picked: Any) -> Any:
            return f(*_replaced(args, picks, picked), **kwargs)

        of_picked.__name__ = name_of(f)
        out, pullback = vjp(of_picked, *(args[i] for i in picks))
        outs, structure = flatten(out)
        blocks = []
        for k, result in enumerate(outs):
            seeds = [np.zeros(o.shape, o.dtype) for o in outs]
            blocks.append(_rows(pullback, seeds, k, structure, result.shape))
        return unflatten(structure, [b[0] if not isinstance(argnums, Sequence) else b for b in blocks])

    return matrix


def _rows(pullback: Function, seeds: list[Any], k: int, structure: Any, shape: tuple[int, ...]) -> Any:
    """Derivatives of the k-th result: a pass for each of its elements, stacked along the result's axes."""
    rows = []
    for index in np.ndindex(shape):
        seeds[k][index] = 1
        leaves, nest = flatten(pullback(unflatten(structure, [s[()] for s in seeds])))
        rows.append(leaves)
        seeds[k][index] = 0
    if not rows:
        leaves, nest = flatten(pullback(unflatten(structure, [s[()] for s in seeds])))
        empty = [np.zeros((*shape, *x.shape), x.dtype) for x in leaves]
        return unflatten(nest, [plain_tensor(e) if isinstance(x, Tensor) else e for e, x in zip(empty, leaves)])
    columns = [reshape(stack(list(column)), shape=(*shape, *column[0].shape)) for column in zip(*rows, strict=True)]
    return unflatten(nest, columns)


def hessian(f: Function, argnums: int = 0) -> Function:
    """A function that gives the matrix of all second derivatives of a scalar function.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> tg.hessian(lambda x: (x**3).sum())(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Function, xs: Any, vs: Any) -> Any:
    """Product H·v of a scalar function's Hessian with a direction, without forming H.

    Parameters
    ----------
    f : callable
        Returns a scalar Tensor.
    xs : tuple, or a single argument
        The arguments of `f`.
    vs
        The direction: of the structure, shapes and dtypes of `xs`.

    Returns
    -------
    Of the structure of `xs`.

    Notes
    -----
    The gradient of ⟨∇f, v⟩: two reverse passes. Source: B. Pearlmutter, "Fast exact
    multiplication by the Hessian", 1994.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> tg.hvp(lambda x: (x**3).sum(), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    single = not isinstance(xs, tuple | list)
    args = _as_arguments(xs)
    everything = tuple(range(len(args)))
    leaves, structure = flatten(args)
    directions = _matching(_as_arguments(vs), [_shape_of(x) for x in leaves], structure, "hvp: vs")

    def along(*args: Any) -> Any:
        gradients, _ = flatten(grad(f, everything)(*args))
        terms = [(g * v).sum() for g, v in zip(gradients, directions, strict=True)]
        return builtins.sum(terms[1:], terms[0])

    product = _differentiate(along, everything, args, {}, "hvp")[1]
    return product[0] if single else unflatten(structure, flatten(product)[0])


def _shape_of(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else plain_tensor(as_array(float(x) if type(x) is int else x, copy=False))


def stop_gradient(x: Any) -> Any:
    """The value of a Tensor, or of each in a nest, cut from what it was computed from: its derivative is zero.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.grad(lambda a: a * tg.stop_gradient(a))(3.0)
    np.float64(3.0)
    """
    return map_leaves(lambda leaf: plain_tensor(read(leaf)) if isinstance(leaf, Tensor) else leaf, x)


__all__ = [
    "elementwise_grad",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]
