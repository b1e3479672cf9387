"""Products summed over chosen axes: tensordot and einsum."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ...core.adjoint import broadcast_to
from ...core.define import op
from ..shapes.indexing import diagonal
from ..shapes.layout import expand_dims, permute_dims, shape_of

# --- tensordot -------------------------------------------------------------------------------------------------------


@op(linear="separately", analytic=True, formula="tensordot({x}, {y})")
def tensordot(x, y, *, axes=2):
    """Products summed over pairs of axes.

    Parameters
    ----------
    x, y : array_like
    axes : int or pair of int or of sequences of int
        How many of the last axes of `x` go with the first of `y`, or which of `x` with which of `y`.

    Returns
    -------
    Tensor
        With the other axes of `x`, then those of `y`.

    Raises
    ------
    ValueError
        If axes that go together differ in length.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.tensordot(tg.ones((2, 3, 4)), tg.ones((4, 3)), axes=((1, 2), (1, 0))).shape
    (2,)
    """
    in_x, in_y = _pairs(axes, np.ndim(x), np.ndim(y))
    lengths_x, lengths_y = [[z.shape[i] for i in axes] for z, axes in ((x, in_x), (y, in_y))]
    if lengths_x != lengths_y:
        raise ValueError(f"axes {in_x} of x have the lengths {lengths_x}, but axes {in_y} of y have {lengths_y}")
    return np.tensordot(x, y, (in_x, in_y))[()]


def _pairs(axes: Any, ndim_x: int, ndim_y: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of `x`, and those of `y` that go with them, none counted from the end."""
    if isinstance(axes, int | np.integer):
        if not 0 <= axes <= min(ndim_x, ndim_y):
            raise ValueError(f"axes={axes}, but x has {ndim_x} axes and y {ndim_y}")
        return tuple(range(ndim_x - axes, ndim_x)), tuple(range(axes))
    in_x, in_y = axes
    return normalize_axis_tuple(in_x, ndim_x), normalize_axis_tuple(in_y, ndim_y)


def _others(axes: Sequence[int], ndim: int) -> tuple[int, ...]:
    return tuple(i for i in range(ndim) if i not in axes)


def _order_of(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """`first` in the order that sorts `second`."""
    return [first[i] for i in sorted(range(len(second)), key=second.__getitem__)]


def _places(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def _tensordot_in_x(g: Any, out: Any, x: Any, y: Any, *, axes: Any) -> Any:
    in_x, in_y = _pairs(axes, x.ndim, y.ndim)
    free_x, free_y = _others(in_x, x.ndim), _others(in_y, y.ndim)
    result = tensordot(g, y, axes=(tuple(range(len(free_x), g.ndim)), free_y))
    return permute_dims(result, axes=_places([*free_x, *_order_of(in_x, in_y)]))


def _tensordot_in_y(g: Any, out: Any, x: Any, y: Any, *, axes: Any) -> Any:
    in_x, in_y = _pairs(axes, x.ndim, y.ndim)
    free_x, free_y = _others(in_x, x.ndim), _others(in_y, y.ndim)
    result = tensordot(x, g, axes=(free_x, tuple(range(len(free_x)))))
    return permute_dims(result, axes=_places([*_order_of(in_y, in_x), *free_y]))


tensordot.derivatives(_tensordot_in_x, _tensordot_in_y, formulas=["{y}", "{x}"])


# --- einsum ----------------------------------------------------------------------------------------------------------


@op(name="einsum", formula="einsum({operands})", analytic=True)
def _einsum(*operands, subscripts, optimize=None):
    if optimize is None:  # planning costs more than it gains on small operands
        optimize = len(operands) > 1 and max(np.size(x) for x in operands) > 500
    return np.einsum(subscripts, *operands, optimize=optimize)[()]


def _einsum_gradients(needed: Any, g: Any, out: Any, *operands: Any, subscripts: str, optimize: Any) -> Any:
    terms, result = _terms(subscripts)
    results: list[Any] = []
    for i, (x, term) in enumerate(zip(operands, terms)):
        if not needed[i]:
            results.append(None)
            continue
        others = [*operands[:i], *operands[i + 1 :]]
        letters = [result, *terms[:i], *terms[i + 1 :]]
        known = "".join(letter for letter in term if any(letter in other for other in letters))
        r = _einsum(g, *others, subscripts=f"{','.join(letters)}->{known}", optimize=optimize)
        if known != term:  # what was summed over in this operand alone: the same gradient everywhere
            r = expand_dims(r, tuple(place for place, letter in enumerate(term) if letter not in known))
        if r.shape != x.shape:
            r = broadcast_to(r, shape=np.broadcast_shapes(r.shape, x.shape))
        results.append(r)
    return results


def _terms(subscripts: str) -> tuple[list[str], str]:
    inputs, _, result = subscripts.partition("->")
    return inputs.split(","), result


_einsum.derivatives(jointly=_einsum_gradients)


def _einsum_forward(tangents: Any, out: Any, *operands: Any, subscripts: str, optimize: Any) -> Any:
    total = None
    for i, t in enumerate(tangents):
        if t is not None:
            term = _einsum(*operands[:i], t, *operands[i + 1 :], subscripts=subscripts, optimize=optimize)
            total = term if total is None else total + term
    return total


_einsum.forward_derivative(_einsum_forward)


def einsum(subscripts: Any, *operands: Any, optimize: Any = None) -> Any:
    """Products of the operands' elements, summed over the axes whose letters the result does not have.

    Parameters
    ----------
    subscripts : str
        The letters of each operand's axes, and after ``->`` those of the result, as in `numpy.einsum`. ``...`` stands
        for axes that broadcast. A letter twice in one operand takes its diagonal. Without ``->`` the result has, in
        alphabetical order, the letters that come once.
    *operands : array_like
    optimize : bool or str, optional
        The order of the products, as in `numpy.einsum`; found by itself unless given.

    Returns
    -------
    Tensor
        Each operand's gradient is an einsum of the result's gradient and the other operands.

    Raises
    ------
    ValueError
        If letters and axes do not fit.

    Notes
    -----
    NumPy's other form, ``einsum(x, [0, 1], y, [1, 2], [0, 2])``, is taken too.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> tg.einsum("ij,j->i", tg.tensor([[1.0, 2.0], [3.0, 4.0]]), tg.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _from_lists((subscripts, *operands))
    if not operands:
        raise ValueError("einsum: needs at least one operand")
    shapes = tuple(shape_of(x) for x in operands)
    terms, result = _explicit(subscripts, shapes)
    reduced = [_take_diagonals(x, term, shape) for x, term, shape in zip(operands, terms, shapes)]
    whole = f"{','.join(term for _, term in reduced)}->{result}"
    return _einsum(*(x for x, _ in reduced), subscripts=whole, optimize=optimize)


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _from_lists(given: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """``einsum(x, [0, 1], y, [1, 2], [0, 2])`` as subscripts and operands."""

    def term(numbers: Any) -> str:
        return "".join("..." if n is Ellipsis else _letter(n) for n in numbers)

    pairs = len(given) // 2
    subscripts = ",".join(term(given[2 * i + 1]) for i in range(pairs))
    if len(given) % 2:
        subscripts += "->" + term(given[-1])
    return subscripts, tuple(given[2 * i] for i in range(pairs))


def _letter(n: Any) -> str:
    # Capitals first, as their order is that of the numbers in a result without "->".
    letters = sorted(_LETTERS)
    if not isinstance(n, int | np.integer) or not 0 <= n < len(letters):
        raise ValueError(f"einsum: axes are numbered by integers below {len(letters)}, not {n!r}")
    return letters[n]


@lru_cache(256)
def _explicit(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[list[str], str]:
    """Letters of each operand and of the result, without "..." and never left to be found.

    Raises
    ------
    ValueError
        If the subscripts are malformed, or do not fit the shapes.
    """

    def refuse(why: str) -> ValueError:
        return ValueError(f"einsum {subscripts!r} of shapes {', '.join(map(str, shapes))}: {why}")

    inputs, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(shapes):
        raise refuse(f"{len(terms)} terms for {len(shapes)} operands")
    for term in (*terms, result):
        bare = term.replace("...", "", 1)
        if not set(bare) <= set(_LETTERS):
            raise refuse(f"{term!r} has something else than letters and one '...'")
    spare = [letter for letter in _LETTERS if letter not in subscripts]
    most = 0
    for i, (term, shape) in enumerate(zip(terms, shapes)):
        rest = len(shape) - len(term.replace("...", ""))
        if rest < 0 or (rest and "..." not in term):
            raise refuse(f"{term!r} does not fit an operand of {len(shape)} axes")
        most = max(most, rest)
        terms[i] = term.replace("...", "".join(spare[-rest:]) if rest else "")
    lengths: dict[str, int] = {}
    for letter, length in zip("".join(terms), chain(*shapes)):
        known = lengths.setdefault(letter, length)
        if known == 1:
            lengths[letter] = length
        elif length not in (1, known):
            what = "'...'" if letter in spare else repr(letter)
            raise refuse(f"{what} stands for axes of length {known} and {length}")
    dots = "".join(spare[-most:]) if most else ""
    if not arrow:
        letters = "".join(terms)
        result = dots + "".join(sorted(c for c in set(letters) if c not in dots and letters.count(c) == 1))
    else:
        if most and "..." not in result:
            raise refuse("the axes of '...' have no place in the result; write '...' there too")
        result = result.replace("...", dots)
        if len(set(result)) != len(result):
            raise refuse("the result has a letter twice")
        missing = sorted(set(result) - set("".join(terms)))
        if missing:
            raise refuse(f"the result has {missing[0]!r}, which no operand has")
    return terms, result


def _take_diagonals(x: Any, term: str, shape: tuple[int, ...]) -> tuple[Any, str]:
    """An operand whose letters all differ: of axes with the same letter the diagonal is taken."""
    lengths = list(shape)
    while len(set(term)) < len(term):
        letter = next(c for c in term if term.count(c) > 1)
        first = term.index(letter)
        second = term.index(letter, first + 1)
        if lengths[first] != lengths[second]:
            raise ValueError(
                f"einsum: {letter!r} stands for axes of length {lengths[first]} and {lengths[second]} of one operand"
            )
        x = diagonal(x, axis1=first, axis2=second)
        lengths = [n for i, n in enumerate(lengths) if i not in (first, second)] + [lengths[first]]
        term = "".join(c for i, c in enumerate(term) if i not in (first, second)) + letter
    return x, term


__all__ = ["einsum", "tensordot"]
