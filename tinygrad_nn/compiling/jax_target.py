"""Programs as functions of jax.numpy, and running them: compiled by JAX, on one device or on several."""

from __future__ import annotations

import linecache
from base64 import b64encode
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..op import registry
from .jax_rows import ROWS
from .jax_text import HELPERS, NEEDS, dtype_text, number_text, setting_text
from .naming import Namer
from .program import Program, Step, Var

#: Constants of more elements are not spelled out.
_SPELLED_OUT = 64
#: Operations with several results.
_PARTED = frozenset(("split", "unstack"))


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
    >>> from tinygrad_nn.compiling.recording import record
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
    return _Module(program, name).text


# --- writing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Check:
    """Something that must not be true, after a call."""

    condition: str
    error: type[Exception]
    message: str
    name: str


@dataclass(eq=False)
class _Piece:
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
    checks: list[_Check] = field(default_factory=list)
    inputs: list[Var] = field(default_factory=list)
    outputs: list[Var] = field(default_factory=list)


class _Module:
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
    pieces : list of _Piece
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
        self._refusals: list[_Check] = []
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
            return number_text(value)
        if x.weak and x.kind != "result":
            return f"jnp.asarray({self.of(x)}, {dtype_text(dtype)})" if exactly else self.of(x)
        return self.of(x) if x.dtype == dtype else f"{self.of(x)}.astype({dtype_text(dtype)})"

    def use(self, helper: str) -> str:
        """The name of a helper, which is then defined."""
        for name in (NEEDS.get(helper), helper):
            if name is not None:
                self._helpers[name] = HELPERS[name].strip("\n")
        return helper

    def refuse(self, condition: str, error: type[Exception], message: str) -> None:
        """Have the call raise if `condition` holds."""
        if condition not in self._known_checks:
            self._refusals.append(_Check(condition, error, message, self.namer.unique("wrong")))

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

    # --- pieces ------------------------------------------------------------------------------------------------------

    def _cut(self) -> list[_Piece]:
        """The program in pieces that JAX compiles, between steps that it cannot."""
        pieces = [_Piece(f"{self.name}_1")]
        kernels = 0
        for step in self.program.steps:
            if step.op.name == "draw":
                continue
            self._refusals = []
            row = ROWS.get(step.op.name) if registry.get(step.op.name) is step.op else None
            text = None if row is None else row(self, step)
            if text is None:
                kernels += 1
                pieces += [_Piece(f"kernel_{kernels}", step, [step]), _Piece(f"{self.name}_{kernels + 1}")]
                continue
            piece = pieces[-1]
            for check in self._refusals:
                self._known_checks.add(check.condition)
                piece.checks.append(check)
                piece.lines.append(f"{check.name} = {check.condition}")
            piece.steps.append(step)
            piece.lines.append(f"{self._targets(step)} = {text}  # {', '.join(map(_spec, step.outputs))}")
        return [piece for piece in pieces if piece.steps] or pieces

    def _targets(self, step: Step) -> str:
        names = ", ".join(map(self.namer, step.outputs))
        return f"{names}," if step.op.name in _PARTED and len(step.outputs) == 1 else names

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
        given = [f"# {name}: {_spec(x)}, given" for x, name in self._constants.items() if name in (self.given or ())]
        given += [f"# {p.name}: the kernel of {p.kernel.op.name}, given" for p in self.pieces if p.kernel is not None]
        top = ["\n".join([*head, *([""] if self._definitions or given else []), *given, *self._definitions])]
        return "\n\n\n".join([*top, *self._helpers.values(), *functions]) + "\n"

    def _function(self, name: str, arguments: Sequence[Var], piece: _Piece, results: list[str]) -> str:
        returned = [*results]
        if piece.checks:
            returned.append(f"jnp.stack([{', '.join(check.name for check in piece.checks)}])")
        return _definition(name, [(self.namer(x), _spec(x)) for x in arguments], piece.lines, returned)

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
                comment = f"  # {', '.join(map(_spec, piece.kernel.outputs))}: {piece.kernel.op.name}, by NumPy"
            if made:
                lines.append(f"{', '.join(made)}{',' * (len(made) == 1)} = {piece.name}({inputs}){comment}")
        return _definition(self.name, [(self.namer(x), _spec(x)) for x in self.arguments], lines, [*results, *checks])


def _definition(name: str, arguments: list[tuple[str, str]], lines: list[str], returned: list[str]) -> str:
    if len(arguments) <= 1:
        head = [f"def {name}({''.join(x for x, _ in arguments)}):" + "".join(f"  # {spec}" for _, spec in arguments)]
    else:
        head = [f"def {name}(", *(f"    {x},  # {spec}" for x, spec in arguments), "):"]
    result = f"({', '.join(returned)}{',' * (len(returned) == 1)})" if len(returned) <= 1 else ", ".join(returned)
    return "\n".join([*head, *(f"    {line}" for line in lines), f"    return {result}"])


def _spec(x: Var) -> str:
    return f"{'Python ' if x.weak else ''}{x.dtype}[{', '.join(map(str, x.shape))}]"


# --- running ---------------------------------------------------------------------------------------------------------


class JaxRunner:
    """A program compiled by JAX.

    Parameters
    ----------
    program : Program
        As recorded, or rewritten in the library's own ops.
    mesh : jax.sharding.Mesh, optional
        Devices to compute on. Each input that is an array is split along its first axis over the mesh's first axis,
        everything else is copied to all devices: on each the same is computed of a part of the batch, and sums over the
        batch are sums over the devices.
    replicate : collection of str
        Names of inputs that are not split.

    Attributes
    ----------
    source : str
        What JAX compiles; see `jax_source`.

    Raises
    ------
    ImportError
        Without JAX.
    ValueError
        If an input cannot be split over the mesh.

    Notes
    -----
    Products of matrices are computed as exactly as NumPy does, also where a device could do so faster with fewer digits.
    Random numbers are drawn by NumPy, so that they are those of the function that is not compiled.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> from tinygrad_nn.compiling.recording import record
    >>> recorded = record(lambda x: tg.exp(x) * 2.0, (np.ones(3),), {}, (), ["x"], "f")
    >>> run = JaxRunner(recorded.program)
    >>> run([np.zeros(3)], [], numpy=True)
    [array([2., 2., 2.])]
    """

    def __init__(self, program: Program, *, mesh: Any = None, replicate: Collection[str] = ()) -> None:
        self._jax = _import_jax()
        _check_dtypes(program)
        self.program = program
        namespace: dict[str, Any] = {}
        module = _Module(program, program.name if program.name.isidentifier() else "compiled", namespace)
        self._split, self._copied = self._shardings(mesh, replicate)
        self._draws = [(program.state.index(step.inputs[0]), step) for step in module.draws]
        self._checks = [check for piece in module.pieces for check in piece.checks]
        self._checked_pieces = sum(1 for piece in module.pieces if piece.checks)
        self._states = [(i, x) for i, x in enumerate(program.state) if x.kind != "generator"]
        #: By place in the state, what was handed out last as its new value, and the JAX array behind it.
        self._known: dict[int, tuple[Any, Any]] = {}
        places = {new: program.state.index(old) for old, new in program.writes.items()}
        self._kept = [places.get(x) if not x.weak else None for x in program.needed]
        self._unseen = True
        self.source = module.text
        self._function = self._compiled(module, namespace)

    def __call__(self, inputs: Sequence[Any], state: Sequence[Any], *, numpy: bool = False) -> list[Any]:
        """The values of ``program.needed``.

        Parameters
        ----------
        inputs, state : sequence
            NumPy arrays and scalars, Python numbers and JAX arrays, in the order of ``program.inputs`` and
            ``program.state``; for a generator the `numpy.random.Generator`.
        numpy : bool
            Give NumPy arrays, which cannot be written to, NumPy scalars and Python numbers, instead of JAX arrays.

        Raises
        ------
        TypeError
            For another shape or dtype than was recorded.
        IndexError, ValueError
            Where an operation raises, such as for an index out of range. Nothing is returned then.
        """
        program = self.program
        if (len(inputs), len(state)) != (len(program.inputs), len(program.state)):
            raise TypeError(
                f"{program.name}: {len(inputs)} inputs and {len(state)} values of the state were given, "
                f"{len(program.inputs)} and {len(program.state)} are needed"
            )
        with self._settings():
            values = [self._put(x, var, self._split.get(var)) for x, var in zip(inputs, program.inputs, strict=True)]
            values += [self._remembered(i, state[i], var) for i, var in self._states]
            values += [self._put(self._drawn(state[i], step), step.out, None) for i, step in self._draws]
            out = self._function(*values)
            found = list(out[: len(program.needed)])
            self._look_at(out[len(program.needed) :])
            if self._unseen:
                self._compare(found)
                self._unseen = False
            if numpy:
                return [self._handed_out(*pair) for pair in zip(found, program.needed, self._kept, strict=True)]
            return [x if isinstance(x, self._jax.Array) else self._jax.numpy.array(x) for x in found]

    # --- before a call -----------------------------------------------------------------------------------------------

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """JAX with float64, and with all digits in products, while we compute."""
        jax = self._jax
        enable_x64 = getattr(jax, "enable_x64", None)
        if enable_x64 is None:  # older versions
            from jax.experimental import enable_x64
        with enable_x64(True), jax.default_matmul_precision("highest"):
            yield

    def _remembered(self, place: int, value: Any, var: Var) -> Any:
        known = self._known.get(place)
        return known[1] if known is not None and known[0] is value else self._put(value, var, None)

    def _put(self, value: Any, var: Var, sharding: Any) -> Any:
        """A value as JAX is to have it: on the devices that it is for."""
        if var.weak:
            return {"f": float, "i": int, "b": bool, "c": complex}[var.dtype.kind](value)
        if not isinstance(value, self._jax.Array):
            value = np.asarray(value)
        if value.shape != var.shape or value.dtype != var.dtype:
            raise TypeError(
                f"{self.program.name}: {var.name or 'a value'} was {_spec(var)} when the function was recorded, and is "
                f"now {value.dtype}[{', '.join(map(str, value.shape))}]"
            )
        if self._copied is None:
            return value
        if isinstance(value, np.ndarray):
            value = value.copy()  # JAX may go on reading from the array that it is given here
        return self._jax.device_put(value, self._copied if sharding is None else sharding)

    def _drawn(self, generator: Any, step: Step) -> Any:
        return np.asarray(step.op.kernel(generator, *step.inputs[1:], **step.params))

    # --- after it ----------------------------------------------------------------------------------------------------

    def _look_at(self, wrong: Sequence[Any]) -> None:
        """Raise what NumPy would have raised."""
        flags = [flag for array in wrong for flag in np.asarray(array)]
        for flag, check in zip(flags, self._checks, strict=True):
            if flag:
                raise check.error(check.message)

    def _compare(self, found: list[Any]) -> None:
        """Raise unless the first results are what was recorded."""
        for x, var in zip(found, self.program.needed, strict=True):
            dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
            if np.shape(x) != var.shape or dtype != var.dtype:
                raise AssertionError(
                    f"{self.program.name}: JAX gives {dtype}{list(np.shape(x))} for {var!r}; please report this"
                )

    def _handed_out(self, found: Any, var: Var, place: int | None) -> Any:
        """A result in NumPy's terms."""
        value = np.asarray(found)
        if not var.shape:
            return value.item() if var.weak else value[()]
        if place is not None and isinstance(found, self._jax.Array):
            self._known[place] = (value, found)
        return value

    # --- compiling ---------------------------------------------------------------------------------------------------

    def _compiled(self, module: _Module, namespace: dict[str, Any]) -> Any:
        """The module's function, or the pieces that it calls, compiled."""
        file = f"<{module.name} for jax>"
        linecache.cache[file] = (len(module.text), None, module.text.splitlines(keepends=True), file)
        exec(compile(module.text, file, "exec"), namespace)  # noqa: S102
        if module.whole:
            return self._jit(namespace[module.name], self.program.needed, module.pieces[0])
        for piece in module.pieces:
            if piece.kernel is not None:
                namespace[piece.name] = _Kernel(piece.kernel)
            else:
                namespace[piece.name] = self._jit(namespace[piece.name], piece.outputs, piece)
        return namespace[module.name]

    def _jit(self, function: Any, outputs: Sequence[Var], piece: _Piece) -> Any:
        if self._copied is None:
            return self._jax.jit(function)
        # What is written to the state is on all devices again, so that the next call finds it there.
        written = set(self.program.writes.values())
        shardings = [self._copied if x in written else None for x in outputs]
        return self._jax.jit(function, out_shardings=(*shardings, *([None] if piece.checks else [])))

    def _shardings(self, mesh: Any, replicate: Collection[str]) -> tuple[dict[Var, Any], Any]:
        """How each input that is split lies on the devices, and how all else does; nothing and None without a mesh."""
        inputs = self.program.inputs
        replicate = {replicate} if isinstance(replicate, str) else set(replicate)
        unknown = sorted(replicate - {x.name for x in inputs})
        if unknown:
            raise ValueError(f"{self.program.name}: replicate={unknown}, but inputs are {[x.name for x in inputs]}")
        if mesh is None:
            return {}, None
        sharding = self._jax.sharding
        if not isinstance(mesh, sharding.Mesh):
            raise TypeError(f"{self.program.name}: mesh must be a jax.sharding.Mesh, not {mesh!r}")
        # The compiler is to find out how everything else is split: explicit axes would ask for it in every product.
        kinds = getattr(sharding, "AxisType", None)
        more = {} if kinds is None else {"axis_types": (kinds.Auto,) * len(mesh.axis_names)}
        mesh = sharding.Mesh(mesh.devices, mesh.axis_names, **more)
        axis = mesh.axis_names[0]
        count = mesh.shape[axis]
        split = {}
        for x in inputs:
            if not x.shape or x.name in replicate:
                continue
            if x.shape[0] % count:
                raise ValueError(
                    f"{self.program.name}: {x.name} of shape {x.shape} cannot be split over the {count} devices of the "
                    f"mesh's axis {axis!r}: {x.shape[0]} is no multiple of {count}. Give batches of a multiple of "
                    f"{count}, or copy it to all devices: replicate=[{x.name!r}]"
                )
            split[x] = sharding.NamedSharding(mesh, sharding.PartitionSpec(axis))
        return split, sharding.NamedSharding(mesh, sharding.PartitionSpec())


class _Kernel:
    """An op's own kernel, on NumPy arrays, between pieces that JAX compiles."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self._reads = list(dict.fromkeys(x for x in step.reads if x.kind != "constant"))

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        step = self.step
        known = dict(zip(self._reads, values, strict=True))
        given = [self._value(x, known) for x in step.inputs]
        if step.out.weak:
            return (np.asarray(step.op.kernel(*(np.asarray(x)[()] for x in given), **step.params)).item(),)
        out = step.op.kernel(*given, **step.params)
        results = out if isinstance(out, tuple) else (out,)
        for result, var in zip(results, step.outputs, strict=True):
            if np.shape(result) != var.shape or result.dtype != var.dtype:
                raise TypeError(
                    f"{step.op.name} gave {_spec(var)} when the function was recorded, and now gives "
                    f"{result.dtype}[{', '.join(map(str, result.shape))}]; its results' shapes must not depend on numbers"
                )
        return results

    def _value(self, x: Any, known: dict[Var, Any]) -> Any:
        if type(x) is not Var:
            return x
        if x.kind == "constant":
            return x.value
        value = np.asarray(known[x])
        return value.item() if x.weak else value if x.shape else value[()]


def _check_dtypes(program: Program) -> None:
    """Refuse what JAX does not have."""
    values = [*program.inputs, *program.state, *(out for step in program.steps for out in step.outputs)]
    for x in values:
        if x.kind != "generator" and (x.dtype.char in "gG" or x.dtype.kind not in "biufc"):
            raise TypeError(f'{program.name}: JAX has no {x.dtype}; convert with astype, or use target="numpy"')


def _import_jax() -> Any:
    try:
        import jax
    except ImportError as error:
        raise ImportError('target="jax" needs JAX: pip install "tinygrad_nn[jax]"') from error
    return jax
