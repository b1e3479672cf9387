"""Programs written as functions of jax.numpy."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ... import quote
from ...ir import Program, Step, Var
from ..numpy.naming import Namer
from .rows import PARTED, ROWS
from .text import HELPERS, NEEDS, dtype_text, number_text, setting_text

#: Constants of more elements are not spelled out.
_SPELLED_OUT = 64


def jax_source(program: Program, name: str) -> str:
    """The text of a Python module with a program as a function of jax.numpy.

    Parameters
    ----------
    program : Program
    name : str
        Of the function. Its arguments are, by position, the program's inputs, its state (without random generators)
        and what is drawn from random generators, in the order in which it is drawn.

    Returns
    -------
    str
        The function returns a tuple: the values of ``program.needed``, then, if the program picks elements by indices
        that differ from call to call or the like, arrays of bools: where one is true NumPy would have raised an error.
        Operations that jax.numpy has no counterpart for, such as your own, are called under names ``kernel…``, which
        are yours to define.

    Notes
    -----
    Run the function while ``jax.enable_x64(True)`` holds, as numbers are float64 unless a program says otherwise.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> from tinygrad_nn.compiler.trace.recording import record
    >>> recorded = record(lambda x: tg.exp(x) * 2.0, (np.ones(3),), {}, (), ["x"], "f")
    >>> print(jax_source(recorded.program, "f"))
    import jax
    import jax.numpy as jnp
    import numpy as np
    <BLANKLINE>
    <BLANKLINE>
    def f(x):  # float64[3]
        t1 = jnp.exp(x)  # float64[3]
        t2 = t1 * 2.0  # float64[3]
        return (t2,)
    <BLANKLINE>
    """
    return Module(program, name).text


# --- writing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """Something that must not be true, after a call."""

    condition: str
    error: type[Exception]
    message: str
    name: str


@dataclass(eq=False)
class Piece:
    """Steps that JAX compiles together, or one step that only its op's own kernel computes.

    Attributes
    ----------
    name : str
        Of the function.
    kernel : Step or None
        The one step.
    """

    name: str
    kernel: Step | None = None
    steps: list[Step] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    inputs: list[Var] = field(default_factory=list)
    outputs: list[Var] = field(default_factory=list)


class Module:
    """A program written for jax.numpy.

    Parameters
    ----------
    program : Program
    name : str
        Of the function.
    given : dict, optional
        For large constants, by name, which are then not in the text.

    Attributes
    ----------
    text : str
    draws : list of Step
        Whose results are the last arguments.
    pieces : list of Piece
        One if the function is compiled as a whole.
    """

    def __init__(self, program: Program, name: str, given: dict[str, Any] | None = None) -> None:
        self.program = program
        self.name = name
        self.given = given
        self.namer = Namer()
        self.namer.reserve(("jax", "jnp", "np", "b64decode", name, *HELPERS))
        self.draws = [step for step in program.steps if step.op.name == "draw"]
        arguments = [*program.inputs, *(x for x in program.state if x.kind != "generator")]
        self.arguments = [*arguments, *(step.out for step in self.draws)]
        for x in self.arguments:
            self.namer(x)
        self._helpers: dict[str, str] = {}
        self._constants: dict[Var, str] = {}
        self._definitions: list[str] = []
        self._bodies: list[str] = []
        self._refusals: list[Check] = []
        self._known_checks: set[str] = set()
        self.pieces = self._cut()
        self._connect()
        self.text = self._text()

    # --- what rows write with ----------------------------------------------------------------------------------------

    def of(self, x: Any) -> str:
        """An input as it is."""
        if type(x) is not Var:
            return number_text(x)
        if x.kind != "constant":
            return self.namer(x)
        if not x.shape:
            return number_text(x.value if x.weak else np.asarray(x.value, x.dtype)[()])
        if x not in self._constants:
            self._constants[x] = self._define(x)
        return self._constants[x]

    def array(self, x: Any) -> str:
        """An input as a JAX array."""
        if type(x) is Var and x.kind != "constant" and not (x.weak and x.kind != "result"):
            return self.of(x)
        return f"jnp.asarray({self.of(x)})"

    def cast(self, x: Any, dtype: Any, *, exactly: bool = False) -> str:
        """An input in a dtype; a Python number stays one unless `exactly`."""
        if type(x) is not Var or (x.kind == "constant" and not x.shape):
            value = x if type(x) is not Var else x.value if x.weak else np.asarray(x.value, x.dtype)[()]
            if exactly or isinstance(value, np.generic):
                value = np.asarray(value).astype(dtype)[()]
            elif isinstance(value, int) and np.dtype(dtype).kind in "fc" and abs(value) > 2**53:
                value = float(value)  # JAX would make an int64 of it first
            return number_text(value)
        if x.weak and x.kind != "result":
            return f"jnp.asarray({self.of(x)}, {dtype_text(dtype)})" if exactly else self.of(x)
        return self.of(x) if x.dtype == dtype else f"{self.of(x)}.astype({dtype_text(dtype)})"

    def use(self, helper: str) -> str:
        """The name of a helper, which is then defined."""
        if helper in NEEDS:
            self.use(NEEDS[helper])
        self._helpers[helper] = HELPERS[helper].strip("\n")
        return helper

    def refuse(self, condition: str, error: type[Exception], message: str) -> None:
        """Have the call raise if `condition` holds."""
        if condition not in self._known_checks:
            self._refusals.append(Check(condition, error, message, self.namer.unique("wrong")))

    def _define(self, x: Var) -> str:
        value = np.asarray(x.value, x.dtype)
        name = self.namer.unique(x.name or "constant")
        shape, dtype = setting_text(value.shape), dtype_text(value.dtype).replace("jnp", "np")
        flat = value.ravel()
        if not value.size:
            text = f"np.zeros({shape}, {dtype})"
        elif value.size <= _SPELLED_OUT and np.isfinite(flat).all():
            text = f"np.array({value.tolist()!r}, {dtype})"
        elif value.dtype.kind in "iu" and (flat == np.arange(flat.size)).all():
            text = f"np.arange({flat.size}, dtype={dtype}).reshape({shape})"
        elif self.given is not None:
            self.given[name] = value
            return name
        else:
            coded = b64encode(flat.tobytes()).decode()
            text = f"np.frombuffer(b64decode({coded!r}), {dtype}).reshape({shape})"
        self._definitions.append(f"{name} = {text}")
        return name

    def define(self, program: Program) -> str | None:
        """The name of a function for the body of a loop or a branch; None where something in it cannot be written."""
        lines = []
        for step in program.steps:
            line = self._line(step)
            if line is None or self._refusals:
                return None
            lines.append(line)
        name = self.namer.unique(f"{program.name}_body")
        arguments = [(self.namer(x), spec(x)) for x in program.inputs]
        results = [self.cast(x, x.dtype, exactly=True) for x in program.results]
        self._bodies.append(_definition(name, arguments, lines, results))
        return name

    # --- pieces ------------------------------------------------------------------------------------------------------

    def _cut(self) -> list[Piece]:
        """The program in pieces that JAX compiles, between steps that it cannot."""
        pieces = [Piece(self.namer.unique(f"{self.name}_1"))]
        for step in self.program.steps:
            if step.op.name == "draw":
                continue
            self._refusals = []
            line = self._line(step)
            if line is None:
                number = len(pieces) // 2 + 1
                kernel, following = map(self.namer.unique, (f"kernel_{number}", f"{self.name}_{number + 1}"))
                pieces += [Piece(kernel, step, [step]), Piece(following)]
                continue
            piece = pieces[-1]
            for check in self._refusals:
                self._known_checks.add(check.condition)
                piece.checks.append(check)
                piece.lines.append(f"{check.name} = {check.condition}")
            piece.steps.append(step)
            piece.lines.append(line)
        return [piece for piece in pieces if piece.steps] or pieces

    def _line(self, step: Step) -> str | None:
        """The line for a step; None if jax.numpy has no counterpart."""
        row = ROWS.get(step.op.name) if step.op.own else None
        text = None if row is None else row(self, step)
        return None if text is None else f"{self._targets(step)} = {text}  # {', '.join(map(spec, step.outputs))}"

    def _targets(self, step: Step) -> str:
        names = ", ".join(map(self.namer, step.outputs))
        return f"{names}," if step.op.name in PARTED and len(step.outputs) == 1 else names

    def _connect(self) -> None:
        """Find what each piece needs from before and gives to what follows."""
        needed = set(self.program.needed)
        for piece in reversed(self.pieces):
            made = {out for step in piece.steps for out in step.outputs}
            piece.outputs = [out for step in piece.steps for out in step.outputs if out in needed]
            read = dict.fromkeys(x for step in piece.steps for x in step.reads if x.kind != "constant")
            piece.inputs = [x for x in read if x not in made]
            needed.update(piece.inputs)

    # --- text --------------------------------------------------------------------------------------------------------

    @property
    def whole(self) -> bool:
        """Whether JAX compiles the program as one."""
        return len(self.pieces) == 1 and self.pieces[0].kernel is None

    def _text(self) -> str:
        results = [self.of(x) for x in self.program.needed]
        if self.whole:
            functions = [self._function(self.name, self.arguments, self.pieces[0], results)]
        else:
            functions = [
                self._function(piece.name, piece.inputs, piece, [self.namer(x) for x in piece.outputs])
                for piece in self.pieces
                if piece.kernel is None
            ]
            functions.append(self._driver(results))
        head = ["import jax", "import jax.numpy as jnp", "import numpy as np"]
        if any("b64decode" in line for line in self._definitions):
            head.insert(0, "from base64 import b64decode\n")
        given = [f"# {name}: {spec(x)}, given" for x, name in self._constants.items() if name in (self.given or ())]
        given += [
            quote.comment(f"{p.name}: the kernel of {p.kernel.op.name}, given")
            for p in self.pieces
            if p.kernel is not None
        ]
        top = ["\n".join([*head, *([""] if self._definitions or given else []), *given, *self._definitions])]
        return "\n\n\n".join([*top, *self._helpers.values(), *self._bodies, *functions]) + "\n"

    def _function(self, name: str, arguments: Sequence[Var], piece: Piece, results: list[str]) -> str:
        returned = [*results]
        if piece.checks:
            returned.append(f"jnp.stack([{', '.join(check.name for check in piece.checks)}])")
        return _definition(name, [(self.namer(x), spec(x)) for x in arguments], piece.lines, returned)

    def _driver(self, results: list[str]) -> str:
        """The function that calls the pieces, and the kernels between them."""
        lines, checks = [], []
        for piece in self.pieces:
            made = [self.namer(x) for x in piece.outputs]
            if piece.checks:
                checks.append(self.namer.unique("wrong"))
                made.append(checks[-1])
            inputs = ", ".join(map(self.namer, piece.inputs))
            comment = ""
            if piece.kernel is not None:
                made = [self.namer(x) for x in piece.kernel.outputs]
                outputs = ", ".join(map(spec, piece.kernel.outputs))
                comment = "  " + quote.comment(f"{outputs}: {piece.kernel.op.name}, by NumPy")
            if made:
                lines.append(f"{', '.join(made)}{',' * (len(made) == 1)} = {piece.name}({inputs}){comment}")
        return _definition(self.name, [(self.namer(x), spec(x)) for x in self.arguments], lines, [*results, *checks])


def _definition(name: str, arguments: list[tuple[str, str]], lines: list[str], returned: list[str]) -> str:
    if len(arguments) <= 1:
        head = [f"def {name}({''.join(x for x, _ in arguments)}):" + "".join(f"  # {spec}" for _, spec in arguments)]
    else:
        head = [f"def {name}(", *(f"    {x},  # {spec}" for x, spec in arguments), "):"]
    result = f"({', '.join(returned)}{',' * (len(returned) == 1)})" if len(returned) <= 1 else ", ".join(returned)
    return "\n".join([*head, *(f"    {line}" for line in lines), f"    return {result}"])


def spec(x: Var) -> str:
    """Dtype and shape, for a comment or a message."""
    return f"{'Python ' if x.weak else ''}{x.dtype}[{', '.join(map(str, x.shape))}]"
