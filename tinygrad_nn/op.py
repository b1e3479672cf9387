"""Operations: a forward kernel on arrays and its local derivatives, under a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from sys import getrefcount
from typing import Any, Literal, TypeAlias, overload

import numpy as np

from .dispatch import dispatch_of
from .reads import Reads
from .values import twin

Rule: TypeAlias = Callable[..., Any]

#: A local derivative as text, or what gives it: ``formula(*shapes, **settings)``, called with the shapes of the inputs.
Formula: TypeAlias = str | Callable[..., str] | None

#: Every operation by name, the library's own and the user's.
registry: dict[str, Op] = {}


class Op:
    """A differentiable operation: called with Tensors it computes and records, with arrays it computes.

    Parameters
    ----------
    definition : callable
        Arrays in as positional arguments, the last of which may be ``*inputs`` for any number, and settings as
        keyword-only ones; an array out, or a tuple of them.
        It gives the inputs' names, the docstring and, unless `name` is given, the name.
    kernel : callable
        Computes instead of the definition's body, where that would only call it (``operator.mul``).
    elementwise : bool
        Each element of the result depends on the broadcast inputs' elements at the same place alone.
        Forward mode is then derived from the rules.
    linear : {False, "jointly", "separately"}
        Linear in all inputs together (`concat`) or in each by itself (`matmul`). Forward mode is then the op itself.
    analytic : bool
        The kernel takes complex input and is complex differentiable, so that a complex step checks its derivative.
    singular : bool
        Elementwise with local derivatives that can be infinite or NaN: a zero gradient is then kept zero.
    differentiable : bool
        False for results without a derivative, such as comparisons and indices: never recorded.
    formula : str
        How a drawing writes the result, with the inputs' names in braces: ``"{x}·{y}"``.
    """

    def __init__(
        self,
        definition: Callable[..., Any],
        *,
        name: str | None = None,
        kernel: Callable[..., Any] | None = None,
        elementwise: bool = False,
        linear: Literal[False, "jointly", "separately"] = False,
        analytic: bool = False,
        singular: bool = False,
        differentiable: bool = True,
        formula: str | None = None,
    ) -> None:
        self.own = definition.__module__.partition(".")[0] == __package__
        self.name: str = name or definition.__name__
        self.kernel = kernel or definition
        if not self.own:
            self.kernel = _checked(self.kernel, self.name)
        self.__name__ = self.__qualname__ = self.name
        self.__doc__ = definition.__doc__
        self.__module__ = definition.__module__
        self.__wrapped__ = definition
        self.input_names, self.variadic, self.setting_names, self.defaults = _signature(definition)
        self.elementwise = elementwise
        self.linear = linear
        self.analytic = analytic
        self.singular = singular
        self.differentiable = differentiable
        self.formula = formula
        self.rules: tuple[Rule | None, ...] | None = None
        self.joint: Rule | None = None
        self.forward_rule: Rule | None = None
        self.formulas: tuple[Formula, ...] = ()
        self.fill: Callable[..., None] | None = None
        self._stated_reads: frozenset[str] | None = None
        self.reads = Reads(self)
        self.apply: Callable[..., Any] = dispatch_of(self)

    def __call__(self, *inputs: Any, **settings: Any) -> Any:
        return self.apply(*inputs, **settings)

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join((*self.input_names, *self.setting_names))})>"

    def __reduce__(self) -> str:
        return self.name

    def derivatives(
        self,
        *rules: Rule | None,
        jointly: Rule | None = None,
        reads: Sequence[str] | None = None,
        formulas: Sequence[Formula] = (),
    ) -> Op:
        """Give the local derivatives: for each input, the gradient of the result to the gradient of that input.

        Parameters
        ----------
        *rules : callable or None
            One for each input, called as ``rule(g, out, *inputs, **settings)``. None: the result does not
            change with that input. A rule uses operators and ops, so that it serves arrays and Tensors alike;
            it need not undo broadcasting.
        jointly : callable
            Instead of `rules`, one function for all inputs, for ops with any number of inputs or with work shared
            between them: ``jointly(needed, g, out, *inputs, **settings)`` with a tuple of bools `needed`
            returns a gradient, or None, for each input.
        reads : sequence of str
            Which of ``"out"`` and the inputs' names the rules read as numbers; the others arrive as
            a `Spec` with shape and dtype alone. Seen from the rules' code unless given.
        formulas : sequence of str
            How a drawing writes each local derivative, with the inputs' names and ``out`` in braces. One that
            depends on settings or sizes is a function ``formula(*shapes, **settings)`` that gives such a text.

        Returns
        -------
        Op
            The op itself.

        Examples
        --------
        >>> import numpy as np, tinygrad_nn as tg
        >>> @tg.op
        ... def cube(x):
        ...     return x**3
        >>> cube.derivatives(lambda g, out, x: g * 3 * x**2)
        <op cube(x)>
        >>> tg.grad(cube)(2.0)
        np.float64(12.0)
        """
        if jointly is None and self.variadic:
            raise TypeError(f"{self.name} takes any number of inputs: give one rule for all, derivatives(jointly=...)")
        if jointly is None and len(rules) != len(self.input_names):
            raise TypeError(
                f"{self.name} has {len(self.input_names)} inputs ({', '.join(self.input_names)}) "
                f"but {len(rules)} derivatives were given: one for each, None where there is none"
            )
        known = {"out", *self.input_names}
        if reads is not None and not known.issuperset(reads):
            raise ValueError(f"{self.name}: reads={list(reads)} names none of {sorted(known)}")
        if not self.own:
            rules = tuple(None if rule is None else _reading_only(rule) for rule in rules)
            jointly = None if jointly is None else _reading_only(jointly)
        self.rules, self.joint = (rules, None) if jointly is None else (None, jointly)
        self.formulas = tuple(formulas)
        self._stated_reads = None if reads is None else frozenset(reads)
        self.reads.clear()
        return self

    def forward_derivative(self, rule: Rule) -> Op:
        """Give the forward-mode rule ``rule(tangents, out, *inputs, **settings)``, with None for a missing tangent.

        Needed only for speed: without one the engine derives it from the reverse rules.
        """
        self.forward_rule = rule if self.own else _reading_only(rule)
        self.reads.clear()
        return self

    def into(self, fill: Callable[..., None]) -> Callable[..., None]:
        """Give a function ``fill(outs, *inputs, **settings)`` that computes into arrays, one for each result.

        Compiled functions call it instead of the kernel, with memory that each call uses again. The arrays are
        contiguous, of the shapes and dtypes that the kernel gives, and hold anything.
        """
        self.fill = fill
        return fill


def _reading_only(function: Rule) -> Rule:
    """A user's function that cannot write to the arrays it is given: others hold them too."""

    @wraps(function)
    def reading(*args: Any, **settings: Any) -> Any:
        return function(*map(_read_only, args), **settings)

    return reading


def _read_only(x: Any) -> Any:
    """An array that cannot be written to, or a Tensor that nobody else has."""
    if type(x) is np.ndarray:
        x = x.view()
        x.flags.writeable = False
    elif type(x) is tuple or type(x) is list:
        x = type(x)(map(_read_only, x))
    elif hasattr(x, "_node"):
        x = twin(x)
    return x


def _checked(kernel: Rule, name: str) -> Rule:
    """A user's kernel that cannot write to its inputs, and whose results are arrays."""
    reading = _reading_only(kernel)

    def checked(*inputs: Any, **settings: Any) -> Any:
        out = reading(*inputs, **settings)
        if isinstance(out, tuple):
            return tuple([_as_result(x, name).copy() for x in out])
        # A buffer that the kernel keeps for the next call would be written to under the result.
        if type(out) is np.ndarray and (out.base is not None or getrefcount(out) > _ALONE):
            return out.copy()
        return _as_result(out, name)

    return checked


#: What `getrefcount` says of an array that one local variable holds.
_ALONE: int = (lambda out: getrefcount(out))(np.empty(0))  # noqa: PLW0108


def _as_result(x: Any, name: str) -> Any:
    if isinstance(x, np.ndarray | np.generic):
        return x
    if isinstance(x, int | float | complex):
        return np.asarray(x)[()]
    raise TypeError(f"{name} gave {type(x).__name__}; an op's kernel gives an array, or a tuple of arrays")


@overload
def op(definition: Callable[..., Any], /) -> Op: ...
@overload
def op(
    *,
    name: str | None = None,
    kernel: Callable[..., Any] | None = None,
    elementwise: bool = False,
    linear: Literal[False, "jointly", "separately"] = False,
    analytic: bool = False,
    singular: bool = False,
    differentiable: bool = True,
    formula: str | None = None,
) -> Callable[[Callable[..., Any]], Op]: ...
def op(definition: Callable[..., Any] | None = None, /, **traits: Any) -> Any:
    """Make an operation of a function on arrays, and register it under its name.

    Positional parameters are the differentiable inputs, keyword-only ones are settings (a caller may also give them by
    position, after the inputs, as in ``tg.sum(x, 0)``). Give the local derivatives with
    `Op.derivatives`. The traits are those of `Op`.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> @tg.op(elementwise=True)
    ... def halve(x):
    ...     return x / 2
    >>> halve.derivatives(lambda g, out, x: g / 2)
    <op halve(x)>
    """

    def register(definition: Callable[..., Any]) -> Op:
        made = Op(definition, **traits)
        key = made.name if made.own else f"{made.__module__}.{made.name}"
        if made.own and key in registry:
            raise ValueError(f"an op named {key!r} is registered already, in {registry[key].__module__}")
        registry[key] = made
        return made

    return register if definition is None else register(definition)


def _signature(definition: Any) -> tuple[tuple[str, ...], bool, tuple[str, ...], dict[str, Any]]:
    """Names of the inputs, whether there may be any number, names of the settings and their defaults."""
    code = getattr(definition, "__code__", None)
    if code is None or code.co_flags & 0x08 or definition.__defaults__:
        raise TypeError(
            f"@op: {definition!r} must be a def whose positional parameters, without defaults, are the inputs "
            "and whose keyword-only parameters are the settings"
        )
    names = code.co_varnames
    inputs = names[: code.co_argcount]
    settings = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    if code.co_flags & 0x04:
        inputs += (names[code.co_argcount + code.co_kwonlyargcount],)
    if not inputs:
        raise TypeError(f"@op: {definition.__name__} takes no inputs; an op has at least one, by position")
    return inputs, bool(code.co_flags & 0x04), settings, definition.__kwdefaults__ or {}


class Parts(tuple[Any, ...]):
    """The gradients of an op's several results, None where there is none; adds part by part."""

    __slots__ = ()

    def __add__(self, other: Any) -> Parts:
        return Parts(b if a is None else a if b is None else a + b for a, b in zip(self, other))


@op
def part(parts: Any, *, index: int) -> Any:
    """One of several results of an op."""
    return parts[index]


part.derivatives(
    lambda g, out, parts, *, index: Parts(g if i == index else None for i in range(len(parts))),
    reads=(),
)


__all__ = ["Op", "Parts", "Rule", "op", "part", "registry"]
