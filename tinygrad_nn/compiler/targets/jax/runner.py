"""Running programs by JAX: calls, what is remembered between them, and devices."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...ir import Program, Step, Var, spec


class JaxRunner:
    """A program in the library's own ops, compiled by JAX.

    Each input that is an array is split along its first axis over the mesh's first axis unless `replicate` names it,
    everything else is copied to all devices: on each the same is computed of a part of the batch, and sums over the
    batch are sums over the devices.

    Products of matrices have all digits, also where a device would be faster with fewer. Random numbers are drawn by
    NumPy, so that they are those of the function that is not compiled. Subnormal numbers may become zero.

    The settings of JAX are as they were after a call. JAX arrays that it gave can be float64 nevertheless.

    Examples
    --------
    >>> import numpy as np, tinygrad_nn as tg
    >>> from tinygrad_nn.compiler.trace.recording import record
    >>> recorded = record(lambda x: tg.exp(x) * 2.0, (np.ones(3),), {}, (), ["x"], "f")
    >>> run = JaxRunner(recorded.program)
    >>> run([np.zeros(3)], [], numpy=True)
    [array([2., 2., 2.])]
    """

    def __init__(self, program: Program, *, mesh: Any = None, replicate: Collection[str] = ()) -> None:
        self._jax = _import_jax()
        from .interpreter import Pieces

        _check_dtypes(program)
        self.program = program
        self._split, self._copied = self._shardings(mesh, replicate)
        samples = [step for step in program.steps if step.name == "sample"]
        self._samples = [(program.state.index(step.inputs[0]), step) for step in samples]
        self._states = [(i, x) for i, x in enumerate(program.state) if x.kind != "generator"]
        #: By place in the state, what was handed out last as its new value, and the JAX array behind it.
        self._known: dict[int, tuple[Any, Any]] = {}
        places = {new: program.state.index(old) for old, new in program.writes.items()}
        self._places = [places.get(x) if not x.weak else None for x in program.needed]
        arguments = [*program.inputs, *(x for _, x in self._states), *(step.out for step in samples)]
        self._pieces = Pieces(program, arguments, self._copied)

    @property
    def source(self) -> str:
        """What JAX compiles: a jaxpr, or several with a line for each operation between them that NumPy computes."""
        with self._settings():
            return self._pieces.text

    def __call__(
        self, inputs: Sequence[Any], state: Sequence[Any], *, numpy: bool = False, native: int = 0
    ) -> list[Any]:
        """The values of ``program.needed`` as JAX arrays.

        With `numpy` they are NumPy arrays, which cannot be written to, NumPy scalars and Python numbers, but for the
        first `native` ones. Inputs and state may be of all these kinds; for a generator, it is NumPy's. Raises
        TypeError for another shape or dtype than was recorded, and what an operation raises.
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
            values += [self._put(self._drawn(state[i], step), step.out, None) for i, step in self._samples]
            result = self._pieces(values)
            native = native if numpy else len(result)
            first = [x if isinstance(x, self._jax.Array) else self._jax.numpy.array(x) for x in result[:native]]
            rest = zip(result[native:], program.needed[native:], self._places[native:], strict=True)
            return [*first, *(self._handed_out(*one) for one in rest)]

    # --- before a call -----------------------------------------------------------------------------------------------

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """JAX with float64, and with all digits in products, while we compute."""
        jax = self._jax
        enable_x64: Any = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # in older ones
        with enable_x64(True), jax.default_matmul_precision("highest"):
            yield

    def _remembered(self, place: int, value: Any, var: Var) -> Any:
        known = self._known.get(place)
        return known[1] if known is not None and known[0] is value else self._put(value, var, None)

    def _put(self, value: Any, var: Var, sharding: Any) -> Any:
        """A value as JAX is to have it: on the devices that it is for."""
        if var.weak:
            return _NUMBERS[var.dtype.kind](value)
        if not isinstance(value, self._jax.Array):
            value = np.asarray(value)
        if value.shape != var.shape or value.dtype != var.dtype:
            raise TypeError(
                f"{self.program.name}: {var.name or 'a value'} was {spec(var)} when the function was recorded, and is "
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

    def _handed_out(self, result: Any, var: Var, place: int | None) -> Any:
        """A result in NumPy's terms."""
        value = np.asarray(result)
        if not var.shape:
            return value.item() if var.weak else value[()]
        if place is not None and isinstance(result, self._jax.Array):
            self._known[place] = (value, result)
        return value

    # --- devices -----------------------------------------------------------------------------------------------------

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


#: What makes a Python number of a value, by the kind of its dtype.
_NUMBERS: dict[str, Callable[[Any], Any]] = {"f": float, "i": operator.index, "b": bool, "c": complex}


def _check_dtypes(program: Program) -> None:
    """Refuse what JAX does not have."""
    values = [*program.inputs, *program.state, *(out for step in program.steps for out in step.outputs)]
    for x in values:
        if x.kind != "generator" and (x.dtype.char in "gG" or x.dtype.kind not in "biufcO"):
            raise TypeError(f'{program.name}: JAX has no {x.dtype}; convert with astype, or use target="numpy"')


def _import_jax() -> Any:
    try:
        import jax
        import jax.experimental
    except ImportError as error:
        raise ImportError('target="jax" needs JAX: pip install "tinygrad_nn[jax]"') from error
    return jax
