"""Recording one run of a function as a program, through the same dispatch that every operation goes through."""

from __future__ import annotations

import gc
import linecache
import sys
from collections.abc import Sequence
from copy import deepcopy
from typing import Any
from weakref import ref

import numpy as np

from ...core.define import Op, define
from ...core.errors import INNER, explain, user_line
from ...tensor.tensor import Tensor, plain_tensor
from ..ir import Program, Step, Var
from .progress import STEPS_A_SIGN, Progress
from .state import ArrayPlace, EntryPlace, GeneratorPlace, GradientPlace, Place, SettingPlace, TensorPlace
from .traced import Traced, unknown
from .variables import variables

_PYTHON = (bool, int, float)


def _draw_definition(generator: Any, *, method: str, args: tuple[Any, ...]) -> Any:
    """Random numbers, new ones at each call."""
    return getattr(generator, method)(*args)


#: Registered nowhere: what a random generator gives stands in programs only.
draw = define(_draw_definition, name="draw", differentiable=False)


class Recorder:
    """Records what is computed while it is the current mode's ``trace``.

    What is read from outside becomes state of the program, what is bound anew becomes a write; in the end everything
    outside is as it was before.
    """

    stand_in = Traced

    def __init__(self, name: str, function: Any = None, held: Sequence[Any] = ()) -> None:
        self.program = Program(name)
        self.function = function
        self.held = held  # arguments that are the same at each call
        self._progress = Progress(name)
        self.places: dict[Var, Place] = {}
        #: By id, captured Tensors with the value that they had, and what stands for it.
        self._lifted: dict[int, tuple[Any, Any, Traced]] = {}
        self._all_lifted: list[tuple[Any, Any, Var]] = []
        self._arrays: dict[int, tuple[Any, Var]] = {}
        self._kept: dict[int, tuple[Tensor, Any, Any, Any]] = {}
        self._gradients: dict[int, tuple[Any, Any, bool]] = {}
        self._generators: dict[int, tuple[Any, Var, Any]] = {}
        self._settings: dict[tuple[int, int, str, int | None], Traced] = {}
        self._entries: dict[tuple[int, int], tuple[Any, Tensor, Any, dict[str, Any]]] = {}
        self._entry_starts: dict[tuple[int, int, str], Var] = {}
        self._entries_made: list[tuple[Any, Any, str]] = []
        self._looked_at: list[tuple[Any, Any]] = []
        self._modules: dict[int, Any] = {}
        #: What must be as it was for the program to be right: (kind, holder, …).
        self.guards: list[tuple[Any, ...]] = []
        #: What a call leaves outside: what stood there in the program, the place, and the new value.
        self.writes: list[tuple[Var | None, Place, Var]] = []
        #: Tensors whose gradient a call takes away.
        self.cleared: list[Tensor] = []
        self._bound: list[tuple[Any, Var | None, Any]] = []
        #: Whether nothing is to be written outside, whatever the function does.
        self.read_only = False
        self._made: list[Any] = []

    # --- what the dispatch asks for ----------------------------------------------------------------------------------

    def compute(self, op: Op, inputs: Sequence[Any], values: Sequence[Any], settings: dict[str, Any]) -> Any:
        """Compute an op on this call's numbers and record the step: the inputs' stand-ins, and the results'."""
        lifted = [self._stand_in(x, value) for x, value in zip(inputs, values)]
        shaped = op.shaped_by_numbers
        if shaped and (shaped == "always" or any(map(_is_mask, lifted[1:]))):
            raise TypeError(
                f"compile: the shape of what {op.name} gives here depends on the numbers, which differ from call to "
                f"call\n  at {user_line()}\n  Choose values with tg.where(mask, x, 0), which keeps the shape."
            )
        concrete = tuple([x.value if type(x) is Traced else x for x in lifted])
        python = all(type(x) in _PYTHON for x in concrete)
        weak = python and op.operator is not None
        try:
            out = op.kernel(*map(_numpy_number, concrete), **settings) if python else op.kernel(*concrete, **settings)
        except Exception as error:
            raise explain(op, concrete, settings, error) from error
        recorded = tuple([self._operand(x) for x in lifted])
        if type(out) is tuple:
            outputs = tuple([self.program.var(x.shape, x.dtype) for x in out])
            self._append(Step(op, recorded, settings, outputs, several=True))
            return lifted, tuple([self.traced(var, x) for var, x in zip(outputs, out)])
        if weak:
            out = out.item()
        var = self.program.var(np.shape(out), np.asarray(out).dtype if weak else out.dtype, weak=weak)
        self._append(Step(op, recorded, settings, (var,)))
        return lifted, self.traced(var, out)

    def traced(self, var: Var, value: Any) -> Traced:
        """A new stand-in, which nothing outside may hold on to."""
        made = Traced(var, value)
        self._made.append(ref(made))
        return made

    def _append(self, step: Step) -> None:
        frame: Any = sys._getframe(2)
        while frame is not None and frame.f_code.co_filename.startswith(INNER):
            frame = frame.f_back
        if frame is not None:
            step.line = (frame.f_code.co_filename, frame.f_lineno)
        self.program.steps.append(step)
        if len(self.program.steps) % STEPS_A_SIGN == 0:
            self._progress.show(len(self.program.steps))

    def _stand_in(self, x: Any, value: Any) -> Any:
        if type(value) is Traced:
            return value
        return self.value(x) if isinstance(x, Tensor) else self.constant(value)

    def _operand(self, x: Any) -> Any:
        """What stands in a step for an input: a variable or a number."""
        if type(x) is Traced:
            return x.variable
        if isinstance(x, np.ndarray):
            return self._array(x)
        return x

    def _array(self, array: Any) -> Var:
        known = self._arrays.get(id(array))
        if known is None:
            var = self.program.var(array.shape, array.dtype, "constant", value=array)
            known = self._arrays[id(array)] = (array, var)
        return known[1]

    def constant(self, x: Any) -> Any:
        """An array that is the same in every call as a stand-in, so that rules compute with the like of it."""
        return self.traced(self._array(x), x) if type(x) is np.ndarray else x

    def value(self, tensor: Tensor) -> Traced:
        """What stands for the value of a Tensor."""
        value = tensor._value
        if type(value) is Traced:
            return value
        known = self._lifted.get(id(tensor))
        if known is not None and known[0]() is tensor and known[1] is value:
            return known[2]
        var = self.program.var(np.shape(value), value.dtype, "state")
        made = self.traced(var, value)
        self._lifted[id(tensor)] = (ref(tensor), value, made)
        self._all_lifted.append((ref(tensor), value, var))
        return made

    def looked_at(self, tensor: Tensor) -> None:
        """Python took the numbers of a Tensor: one from outside must have the same at every call."""
        if type(tensor._value) is Traced:
            raise TypeError(unknown(tensor._value))
        if tensor._value is not None:
            self._looked_at.append((ref(tensor), tensor._value))

    def saw(self, module: Any) -> None:
        """A module was called: what it holds and how it is set decides what it does."""
        self._modules[id(module)] = module

    # --- what is bound anew ------------------------------------------------------------------------------------------

    def keep(self, tensor: Tensor) -> None:
        """Remember what a Tensor is before it is bound to something else."""
        if id(tensor) not in self._kept:
            if type(tensor._value) is not Traced:
                self.value(tensor)
            self._kept[id(tensor)] = (tensor, tensor._value, tensor._node, getattr(tensor, "_constant", None))

    def gradient_of(self, tensor: Tensor) -> Tensor | None:
        """The gradient of a Tensor, read from outside the first time."""
        known = self._gradients.get(id(tensor))
        if known is not None and known[0]() is tensor:
            return known[1]  # type: ignore[no-any-return]
        gradient = getattr(tensor, "_grad", None)
        if gradient is not None:
            value = gradient._value
            gradient = plain_tensor(self.traced(self._outside(GradientPlace(tensor), value), value))
        self.guards.append(("gradient", ref(tensor), gradient is None))
        self._gradients[id(tensor)] = (ref(tensor), gradient, False)
        return gradient

    def set_gradient(self, tensor: Tensor, gradient: Tensor | None) -> None:
        """Bind the gradient of a Tensor anew, in the program only."""
        self._gradients[id(tensor)] = (ref(tensor), gradient, True)

    # --- optimizers --------------------------------------------------------------------------------------------------

    def group(self, optimizer: Any, number: int) -> dict[str, Any]:
        """The settings of an optimizer's group: those that change from step to step stand for what they then are."""
        settings = dict(optimizer.param_groups[number])
        fixed = {k: v for k, v in settings.items() if k != "params" and k not in optimizer.changing}
        groups = optimizer.param_groups
        self.guards.append(("settings", optimizer, number, fixed, list(groups[number]["params"]), len(groups)))
        for name in optimizer.changing & settings.keys():
            value = settings[name]
            if isinstance(value, tuple):
                settings[name] = tuple(self._setting(optimizer, number, name, i, x) for i, x in enumerate(value))
            else:
                settings[name] = self._setting(optimizer, number, name, None, value)
        return settings

    def _setting(self, optimizer: Any, number: int, name: str, index: int | None, value: Any) -> Traced:
        key = (id(optimizer), number, name, index)
        if key not in self._settings:
            var = self._outside(SettingPlace(optimizer, number, name, index), float(value), name)
            self._settings[key] = self.traced(var, float(value))
        return self._settings[key]

    def entries(self, optimizer: Any, state: Any, parameter: Tensor) -> dict[str, Any]:
        """What an optimizer remembers of a parameter, as it stands in the program so far."""
        key = (id(optimizer), id(parameter))
        if key not in self._entries:
            entries: dict[str, Any] = {}
            self._entries[key] = (optimizer, parameter, state, entries)
            for name in state.get(parameter, ()):
                self._lift_entry(key, name)
            self.guards.append(("entries", optimizer, parameter, ()))
        return self._entries[key][3]

    def _lift_entry(self, key: tuple[int, int], name: str) -> None:
        optimizer, parameter, state, entries = self._entries[key]
        value = state[parameter][name]
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.dtype != parameter.dtype:
            value = state[parameter][name] = value.astype(parameter.dtype)  # the parameter was converted since
        entries[name] = value
        if isinstance(value, np.ndarray | np.generic | int | float) and not isinstance(value, bool):
            entries[name] = self.traced(self._outside(EntryPlace(optimizer, parameter, name), value, name), value)
            entries[name].shared = True
            self._entry_starts[*key, name] = entries[name].variable

    def remembered(self, optimizer: Any, parameter: Tensor, name: str, start: Any) -> Any:
        """One of the `entries`; where there is none yet, `start` is put there for all later calls too."""
        key = (id(optimizer), id(parameter))
        _, _, state, entries = self._entries[key]
        if name not in entries:
            state[parameter][name] = start
            self._entries_made.append((state, parameter, name))
            self._lift_entry(key, name)
        return entries[name]

    def _outside(self, place: Place, value: Any, name: str = "") -> Var:
        """A new variable of the state, read from a place."""
        weak = type(value) in _PYTHON
        dtype = np.asarray(value).dtype if weak else value.dtype
        var = self.program.var(np.shape(value), dtype, "state", weak=weak, name=name)
        self.places[var] = place
        self.program.state.append(var)
        return var

    # --- random numbers ----------------------------------------------------------------------------------------------

    def draw(self, generator: Any, method: str, args: tuple[Any, ...]) -> Traced:
        """What stands for random numbers, which the program draws anew at each call."""
        if any(type(x) is Traced for x in args):
            raise TypeError(
                f"compile: {method} is drawn with parameters whose numbers differ from call to call\n  at {user_line()}"
                "\n  Draw standard samples (random, standard_normal) and compute with them."
            )
        known = self._generators.get(id(generator))
        if known is None:
            var = self.program.var((), np.dtype(object), "generator", name="rng")
            known = self._generators[id(generator)] = (generator, var, deepcopy(generator.bit_generator.state))
            self.places[var] = GeneratorPlace(generator)
            self.program.state.append(var)
        value = getattr(generator, method)(*args)
        value = np.asarray(value)[()]
        out = self.program.var(value.shape, value.dtype)
        self._append(Step(draw, (known[1],), {"method": method, "args": args}, (out,)))
        return self.traced(out, value)

    # --- names -------------------------------------------------------------------------------------------------------

    def name_gradient(self, node: Any, gradient: Any) -> None:
        """Name a gradient after what it belongs to: ``d`` and its name."""
        recorded = (node.extra or {}).get("recorded")
        value = gradient._value if isinstance(gradient, Tensor) else gradient
        if type(value) is not Traced or value.variable.kind != "result" or value.variable.name:
            return
        if recorded is None and node.op is None:
            holder = node.tensor()
            recorded = None if holder is None else self.value(holder)
        if type(recorded) is Traced:
            value.variable.name = "d:" + str(recorded.variable.number)

    # --- the end -----------------------------------------------------------------------------------------------------

    def rebind(self, tensor: Tensor, value: Tensor) -> None:
        """Let a Tensor that is to stay in its place take over the value of another."""
        if sys.getrefcount(tensor) > _UNSHARED_BUFFER:
            raise TypeError(
                f"compile: a buffer (shape {tensor.shape}) is bound anew while something else holds the Tensor that it "
                f"was\n  at {user_line()}\n  Keep a copy of it (`old = self.buffer.copy()`), or write to it: "
                "`self.buffer[...] = new`."
            )
        self.keep(tensor)
        tensor._value = self.value(value)

    def touched(self, tensor: Tensor) -> bool:
        """Whether the value or the gradient of a Tensor was bound anew."""
        known = self._gradients.get(id(tensor))
        return id(tensor) in self._kept or (known is not None and known[0]() is tensor and known[2])

    def restore(self) -> None:
        """Bring everything outside back to what it was before the recording."""
        self._progress.close()
        for generator, _, state in self._generators.values():
            generator.bit_generator.state = state
        for tensor, value, *_ in self._kept.values():
            if tensor._value is not value:
                known = self._lifted.get(id(tensor))
                self._bound.append((ref(tensor), known and known[2].variable, _var_of(tensor._value)))
        for tensor, value, node, constant in self._kept.values():
            tensor._value = value
            tensor._node = node
            if constant is not None:
                tensor._constant = constant
            elif hasattr(tensor, "_constant"):
                del tensor._constant
        self._kept.clear()
        self._release()

    def _release(self) -> None:
        """Let the stand-ins go: what follows speaks of variables alone."""
        self._lifted.clear()
        self._settings.clear()
        self._gradients = {
            key: (holder, None if gradient is None else _var_of(gradient._value), bound)
            for key, (holder, gradient, bound) in self._gradients.items()
        }
        for _, _, _, entries in self._entries.values():
            for name, value in entries.items():
                entries[name] = _var_of(value)

    def forget(self) -> None:
        """After a recording that failed: take back what was prepared for later calls."""
        for state, parameter, name in self._entries_made:
            state[parameter].pop(name, None)
            if not state[parameter]:
                del state[parameter]

    def check_escapes(self) -> None:
        """Raise if something outside holds on to a value of the recording: it would stand for nothing there."""
        if not any(made() is not None for made in self._made):
            return
        gc.collect()
        lines = {out: step.line for step in self.program.steps for out in step.outputs}
        alive = [escaped for escaped in (made() for made in reversed(self._made)) if escaped is not None]
        # First the last that a Tensor holds: others may be held by its graph alone.
        alive.sort(key=lambda x: not any(isinstance(y, Tensor) for y in gc.get_referrers(x)))
        for escaped in alive[:1]:
            line = lines.get(escaped.variable)
            where = f"  made at {line[0]}:{line[1]}: {linecache.getline(*line).strip()}\n" if line else ""
            raise TypeError(
                f"compile: a Tensor of shape {escaped.shape} is kept outside {self.program.name}, in an attribute, a "
                f"list or a variable; later calls would leave it there as it is now\n{where}  Return it, and keep it "
                "outside; or register it as a buffer of a module, which a compiled function updates."
            )

    def check_generators(self) -> None:
        """Raise if a random generator was made inside: it would go on from call to call instead of starting anew."""
        for generator, var, _ in self._generators.values():
            if sys.getrefcount(generator) <= _UNSHARED_GENERATOR:
                lines = (step.line for step in self.program.steps if var in step.inputs)
                line = next((line for line in lines if line), None)
                where = f"\n  at {line[0]}:{line[1]}: {linecache.getline(*line).strip()}" if line else ""
                raise TypeError(
                    f"compile: {self.program.name} makes a random generator of its own, which would start anew at each "
                    f"ordinary call but not in compiled code{where}\n  Make it outside."
                )

    def finish(self) -> None:
        """List what the program reads and writes outside, once nothing of the run itself is alive any more."""
        for holder, value, var in self._all_lifted:
            tensor = holder()
            if tensor is None or tensor._value is not value:
                var.kind = "constant"
                var.value = value
            else:
                self.places[var] = TensorPlace(tensor)
                self.program.state.append(var)
                self.guards.append(("tensor", tensor, tensor._node is not None, hooks_of(tensor)))
        for holder, value in self._looked_at:
            tensor = holder()
            if tensor is not None:
                self.guards.append(("number", tensor, np.copy(value)))
        known = list(variables(self.function, self.held))
        for value in (self.function, getattr(self.function, "__self__", None), *self.held, *(v.value for v in known)):
            for module in value.modules() if callable(getattr(value, "modules", None)) else ():
                self.saw(module)
        self.guards += [("variable", v.holder, v.key, v.value) for v in known]
        for module in self._modules.values():
            self.guards.append(("module", module, snapshot(module)))
        if not self.read_only:
            self._write_tensors()
            self._write_gradients()
            self._write_entries()
        for array, var in self._arrays.values():
            if sys.getrefcount(array) > _UNSHARED or _shows_other(array):
                var.kind = "state"
                self.places[var] = ArrayPlace(array)
                self.program.state.append(var)
        self.guards = [guard for guard in map(_of_living, self.guards) if guard is not None]

    def _write_entries(self) -> None:
        for key, (optimizer, parameter, state, entries) in self._entries.items():
            for name, value in entries.items():
                start = self._entry_starts.get((*key, name))
                if type(value) is Var and value is not start:
                    self._write(start, EntryPlace(optimizer, parameter, name), value)
                elif type(value) is not Var and value is not state.get(parameter, {}).get(name):
                    raise TypeError(
                        f"compile: {type(optimizer).__name__} sets {name!r} to {value!r} in a step; what a compiled "
                        "step remembers must be computed from Tensors and from what it remembers"
                    )

    def _write(self, old: Var | None, place: Place, new: Var) -> None:
        """A write to a place that was read as `old`, or not read at all."""
        self.writes.append((old, place, new))
        if old is not None:
            self.program.writes[old] = new
        else:
            self.program.results.append(new)

    def _write_tensors(self) -> None:
        for holder, old, value in self._bound:
            tensor = holder()
            if tensor is None or old is None:  # a Tensor of the function's own
                continue
            new = value if type(value) is Var else self.program.constant(value)
            if new is not old:
                self._write(old, TensorPlace(tensor), new)

    def _write_gradients(self) -> None:
        for holder, gradient, bound in self._gradients.values():
            tensor = holder()
            if tensor is None or not bound:
                continue
            if gradient is None:
                self.cleared.append(tensor)
                continue
            new = gradient if type(gradient) is Var else self.program.constant(gradient)
            self._write(None, GradientPlace(tensor), new)


def _shows_other(array: Any) -> bool:
    """Whether an array is a view of memory that something else holds too."""
    base = array.base
    if base is None:
        return False
    return type(base) is not np.ndarray or sys.getrefcount(base) > _UNSHARED_BASE or _shows_other(base)


def _var_of(value: Any) -> Any:
    """The variable that a stand-in stands for; anything else as it is."""
    return value.variable if type(value) is Traced else value


def _of_living(guard: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """A guard whose holder is still there, held by itself instead of weakly."""
    if guard[0] == "entries":
        return (*guard[:3], tuple(guard[1].state.get(guard[2], ())))
    if guard[0] != "gradient":
        return guard
    tensor = guard[1]()
    return None if tensor is None else ("gradient", tensor, guard[2])


def snapshot(module: Any) -> list[tuple[str, Any]]:
    """What a module holds, to be compared with `same_snapshot`; hooks are listed."""
    return [
        (name, tuple(value.values()) if name.endswith("_hooks") and value else value)
        for name, value in module.__dict__.items()
    ]


def same_snapshot(old: list[tuple[str, Any]], new: list[tuple[str, Any]]) -> bool:
    """Whether a module still holds the same: plain settings by value, hooks one by one, all else by identity."""
    return len(old) == len(new) and all(
        a == b and (x is y or (type(x) is type(y) and isinstance(x, bool | int | float | str | tuple) and x == y))
        for (a, x), (b, y) in zip(old, new)
    )


def hooks_of(tensor: Tensor) -> tuple[Any, ...]:
    """The hooks on a leaf's gradient."""
    node = tensor._node
    return tuple((node.extra or {}).get("hooks", ())) if node is not None else ()


def _is_mask(x: Any) -> bool:
    dtype = getattr(x, "dtype", None)
    return dtype is not None and dtype.kind == "b" and bool(x.shape)


def _numpy_number(x: Any) -> Any:
    return np.asarray(x)[()]


#: References to an array that the loop over `_arrays` and the program's variable hold.
_UNSHARED = 4
#: References to a buffer that its module, the call that binds it anew and an argument have.
_UNSHARED_BUFFER = 3
#: References to a generator that the recorder, its place, a loop and an argument have.
_UNSHARED_GENERATOR = 4
#: References to the base of a view that nothing else holds: the view's own, a variable and an argument.
_UNSHARED_BASE = 3
