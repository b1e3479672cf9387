"""What an operation is: a kernel on arrays, its local derivatives and its traits, under a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from .saved import read_by

if TYPE_CHECKING:
    from .operators import Operator

Rule: TypeAlias = Callable[..., Any]

#: A local derivative as text, or what gives it: ``formula(*shapes, **settings)``, called with the shapes of the inputs.
FormulaText: TypeAlias = str | Callable[..., str] | None

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
        How the result is written, with the inputs' and settings' names in braces: ``"{x}·{y}"``, ``"−{x}/(2√{y})"``,
        ``"1 where {x} > 0, else {alpha}"``. It is read as mathematics, and brackets are put around what stands in for
        a name where it needs them. A text that is no formula is filled as it is.

    Attributes
    ----------
    operator : Operator or None
        Python's operator that it is, which of Python's numbers gives another; told by the kernel.
    ufunc : numpy.ufunc or None
        NumPy's function that it is, element by element; told by the kernel.
    linear_in : tuple of int
        Inputs of which a factor is a factor of the result; told by `linear`, else set: ``divide.linear_in = (0,)``.
    hands_on : tuple of int
        Inputs whose every element, if it is infinite or NaN, makes some element of the result so. Told where the op is
        elementwise and linear, else set: ``sum.hands_on = (0,)``.
    reduces : numpy.ufunc or None
        Whose ``reduce`` over `axis` it is; set: ``sum.reduces = np.add``.
    shaped_by_numbers : {False, "always", "by masks"}
        Whether the result's shape depends on the inputs' elements, or on those of Boolean ones after the first; set.
    role : {"", "product", "activation"}
        What it is in a layer, where compiled code names its result z or a; set.
    """

    reduces: np.ufunc | None = None
    shaped_by_numbers: Literal[False, "always", "by masks"] = False
    role: Literal["", "product", "activation"] = ""

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
        self.own = definition.__module__.partition(".")[0] == __name__.partition(".")[0]
        self.name: str = name or definition.__name__
        self.kernel = kernel or definition
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
        self.formulas: tuple[FormulaText, ...] = ()
        self.fill: Callable[..., None] | None = None
        self._stated_reads: frozenset[str] | None = None
        self.reads = Reads(self)
        self.apply: Callable[..., Any] = _undefined
        self._wrap_rule: Callable[[Rule], Rule] | None = None  # what a rule is wrapped in

    @cached_property
    def operator(self) -> Operator | None:
        from .operators import OPERATORS  # for readers alone: computing and differentiating ask nothing of it

        return OPERATORS.get(self.kernel) if isinstance(self.kernel, BuiltinFunctionType) else None

    @cached_property
    def ufunc(self) -> np.ufunc | None:
        if not self.elementwise:
            return None
        kernel = self.operator.ufunc if self.operator is not None else self.kernel
        return kernel if isinstance(kernel, np.ufunc) and getattr(np, kernel.__name__, None) is kernel else None

    @cached_property
    def linear_in(self) -> tuple[int, ...]:
        inputs = len(self.input_names) - self.variadic
        return tuple(range(inputs)) if self.linear == "separately" or (self.linear and inputs == 1) else ()

    @cached_property
    def hands_on(self) -> tuple[int, ...]:
        if not (self.own and self.elementwise):  # nothing checks that a user's op does not choose elements
            return ()
        return tuple(range(len(self.input_names))) if self.linear == "jointly" else self.linear_in

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
        formulas: Sequence[FormulaText] = (),
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
            How each local derivative is written, as `formula` is, with ``{out}`` for the result. One that depends
            on settings or sizes is a function ``formula(*shapes, **settings)`` that gives such a text.

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
        if self._wrap_rule is not None:
            rules = tuple(None if rule is None else self._wrap_rule(rule) for rule in rules)
            jointly = None if jointly is None else self._wrap_rule(jointly)
        self.rules, self.joint = (rules, None) if jointly is None else (None, jointly)
        self.formulas = tuple(formulas)
        self._stated_reads = None if reads is None else frozenset(reads)
        self.reads.clear()
        return self

    def forward_derivative(self, rule: Rule) -> Op:
        """Give the forward-mode rule ``rule(tangents, out, *inputs, **settings)``, with None for a missing tangent.

        Needed only for speed: without one the engine derives it from the reverse rules.
        """
        self.forward_rule = rule if self._wrap_rule is None else self._wrap_rule(rule)
        self.reads.clear()
        return self

    def into(self, fill: Callable[..., None]) -> Callable[..., None]:
        """Give a function ``fill(outs, *inputs, **settings)`` that computes into arrays, one for each result.

        Compiled functions call it instead of the kernel, with memory that each call uses again. The arrays are
        contiguous, of the shapes and dtypes that the kernel gives, and hold anything.
        """
        self.fill = fill
        return fill


def _undefined(*_: Any, **__: Any) -> Any:
    raise TypeError("an Op is made callable by `define`")


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


class Reads(dict[int, tuple[bool | None, ...]]):
    """Which inputs, and last the result, are read by the rules of the inputs whose bits are set in the key.

    True: as numbers; False: for shape and dtype alone; None: not at all. Found when first asked for, so that importing
    an op costs nothing.
    """

    def __init__(self, op: Op) -> None:
        self._op = op

    def __missing__(self, needed: int) -> tuple[bool | None, ...]:
        op = self._op
        names = (*op.input_names, "out")
        reads: list[bool | None] = [None] * len(names)
        if op.rules is None and op.joint is None:
            reads = [False] * len(names)
        elif op._stated_reads is not None:
            reads = [name in op._stated_reads for name in names]
        else:
            rules = [rule for position, rule in enumerate(op.rules or ()) if needed >> position & 1]
            for rule in filter(None, (*rules, op.joint, op.forward_rule)):
                its = read_by(rule, len(names) + 1, op.variadic, lead=int(rule is op.joint)) or (True,) * len(names)
                reads = [b if a is None else a if b is None else a or b for a, b in zip(reads, its)]
        self[needed] = tuple(reads)
        return self[needed]


def expand_variadic(op: Op, keep: tuple[bool | None, ...], count: int) -> tuple[bool | None, ...]:
    """What is read of an op with any number of inputs: the last name stands for all that are left of `count` inputs."""
    named = len(op.input_names) - 1
    return (*keep[:named], *(keep[named],) * (count - named), keep[-1])


class Parts(tuple[Any, ...]):
    """The gradients of an op's several results, None where there is none; adds part by part."""

    __slots__ = ()

    def __add__(self, other: Any) -> Parts:
        return Parts(b if a is None else a if b is None else a + b for a, b in zip(self, other))


__all__ = ["FormulaText", "Op", "Parts", "Reads", "Rule", "expand_variadic", "registry"]
