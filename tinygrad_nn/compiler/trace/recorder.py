"""Recording one run of a function as a program, through the same dispatch that every operation goes through."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from types import ModuleType
from typing import Any, NoReturn
from weakref import ref

import numpy as np

from ...core.define import Op, define
from ...core.errors import INNER, explain, user_line
from ...core.graph import Node
from ...core.references import is_held_elsewhere
from ...core.store import Flat, Store
from ...core.views import owner
from ...tensor.tensor import Tensor, plain_tensor
from ..ir import Program, Step, Var
from .escapes import check_escapes, check_generators, is_shared
from .guards import GradientGuard, Guard, ModuleGuard, NumberGuard, Numbers, TensorGuard, VariableGuard
from .optimizers import Optimizers
from .progress import STEPS_A_SIGN, Progress
from .state import ArrayPlace, GeneratorPlace, GradientPlace, Place, TensorPlace
from .traced import Traced, unknown
from .variables import variables

_PYTHON = (bool, int, float)


def _sample_definition(generator: Any, *, method: str, args: tuple[Any, ...]) -> Any:
    """Random numbers, new ones at each call."""
    return getattr(generator, method)(*args)


#: Registered nowhere: what a random generator gives stands in programs only.
sample = define(_sample_definition, name="sample", differentiable=False)


class Recorder(Store):
    """Records what is computed while it is the store of the thread.

    What is read from outside becomes state of the program, what is bound anew becomes a write; in the end everything
    outside is as it was before. `control` is the module that records loops and branches, with recorders of its own that
    wait for this one; `fixed` are arguments that are the same at each call.
    """

    compiling = True

    def __init__(self, name: str, control: ModuleType, function: Any = None, fixed: Sequence[Any] = ()) -> None:
        self.program = Program(name)
        self.control = control
        self.function = function
        self.fixed = fixed
        self._progress = Progress(name)
        self.places: dict[Var, Place] = {}
        #: By id, captured Tensors with the value that they had, and what stands for it.
        self._lifted: dict[int, tuple[Any, Any, Traced]] = {}
        self._all_lifted: list[tuple[Any, Any, Var]] = []
        self._arrays: dict[int, tuple[Any, Var]] = {}
        self._originals: dict[int, tuple[Tensor, Any, Any, Any]] = {}
        self._gradients: dict[int, tuple[Any, Any, bool]] = {}
        self._generators: dict[int, tuple[Any, Var, Any]] = {}
        self._looked_at: list[tuple[Any, Any]] = []
        self._arrays_looked_at: list[Numbers] = []
        self._modules: dict[int, Any] = {}
        #: What must be as it was for the program to be right.
        self.guards: list[Guard] = []
        self._gradients_read: list[tuple[Any, bool]] = []
        self.optimizers = Optimizers()
        #: What a call leaves outside: what stood there in the program, the place, and the new value.
        self.writes: list[tuple[Var | None, Place, Var]] = []
        #: Tensors whose gradient a call takes away.
        self.cleared: list[Tensor] = []
        self._bound: list[tuple[Any, Var | None, Any]] = []
        #: What results and new values of the state are in this one call.
        self.outcome: dict[Var, Any] = {}
        #: Random generators, and where they stand after it.
        self.generators: list[tuple[Any, Any]] = []
        #: Whether nothing is to be written outside, whatever the function does.
        self.read_only = False
        self._stand_ins: list[Any] = []

    # --- operations --------------------------------------------------------------------------------------------------

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
        result = self.traced(var, out)
        if type(out) is np.ndarray:
            for x in lifted:
                if type(x) is Traced and type(x.value) is np.ndarray and np.may_share_memory(out, x.value):
                    result.show_memory_of(x)
                    break
        return lifted, result

    def traced(self, var: Var, value: Any) -> Traced:
        """A new stand-in, which nothing outside may hold on to."""
        result = Traced(var, value)
        self._stand_ins.append(ref(result))
        return result

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
        return self.read(x) if isinstance(x, Tensor) else self.constant(value)

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

    def recorded(self, node: Node, out: Any) -> None:
        """Let a node know the variable of its result, after which gradients are named."""
        node.extra = {"recorded": out.variable if type(out) is Traced else None}

    def passed(self, node: Node, gradient: Any) -> Any:
        """What stands for a gradient, named after what it belongs to: ``d`` and its name."""
        gradient = self.constant(gradient)
        self._name_gradient(node, gradient)
        return gradient

    def refuse(self, message: str, kind: type[Exception] = TypeError) -> NoReturn:
        """Raise: this cannot be recorded."""
        raise kind(message)

    # --- Tensors -----------------------------------------------------------------------------------------------------

    def read(self, tensor: Any) -> Traced:
        """What stands for the value of a Tensor."""
        value = tensor._value
        if type(value) is Traced:
            return value
        known = self._lifted.get(id(tensor))
        if known is not None and known[0]() is tensor and known[1] is value:
            return known[2]
        var = self.program.var(np.shape(value), value.dtype, "state")
        result = self.traced(var, value)
        self._lifted[id(tensor)] = (ref(tensor), value, result)
        self._all_lifted.append((ref(tensor), value, var))
        return result

    def looked_at(self, x: Any) -> None:
        """Python took the numbers of a Tensor or an array: one from outside must have the same at every call."""
        if isinstance(x, np.ndarray):
            self._arrays_looked_at.append(Numbers(x))
        elif type(x._value) is Traced:
            raise TypeError(unknown(x._value))
        elif x._value is not None:
            self._looked_at.append((ref(x), x._value))

    def saw(self, module: Any) -> None:
        """A module was called: what it holds and how it is set decides what it does."""
        self._modules[id(module)] = module

    def write(self, tensor: Tensor) -> None:
        """Remember what a Tensor is before it is bound to something else."""
        if id(tensor) not in self._originals:
            if type(tensor._value) is not Traced:
                self.read(tensor)
            self._originals[id(tensor)] = (tensor, tensor._value, tensor._node, getattr(tensor, "_constant", None))

    def is_outside(self, tensor: Tensor) -> bool:
        """Whether a Tensor was there before the recording."""
        known = self._lifted.get(id(tensor)) or self._originals.get(id(tensor))
        if known is None:
            return type(tensor._value) is not Traced
        return type(known[1]) is not Traced

    def gradient(self, tensor: Tensor) -> Tensor | None:
        """The gradient of a Tensor, read from outside the first time."""
        known = self._gradients.get(id(tensor))
        if known is not None and known[0]() is tensor:
            return known[1]  # type: ignore[no-any-return]
        gradient = getattr(tensor, "_grad", None)
        if gradient is not None:
            value = gradient._value
            gradient = plain_tensor(self._lift(GradientPlace(tensor), value))
        self._gradients_read.append((ref(tensor), gradient is None))
        self._gradients[id(tensor)] = (ref(tensor), gradient, False)
        return gradient

    def bind_gradient(self, tensor: Tensor, gradient: Tensor | None) -> None:
        """Bind the gradient of a Tensor anew, in the program only."""
        self._gradients[id(tensor)] = (ref(tensor), gradient, True)

    def _lift(self, place: Place, value: Any, name: str = "") -> Traced:
        """What stands for a value that is read from a place."""
        return self.traced(self._outside(place, value, name), value)

    def _outside(self, place: Place, value: Any, name: str = "") -> Var:
        """A new variable of the state, read from a place."""
        weak = type(value) in _PYTHON
        dtype = np.asarray(value).dtype if weak else value.dtype
        var = self.program.var(np.shape(value), dtype, "state", weak=weak, name=name)
        self._read_from(place, var)
        return var

    def _read_from(self, place: Place, var: Var) -> None:
        """Let a variable be a part of the state."""
        self.places[var] = place
        self.program.state.append(var)

    # --- modules and optimizers --------------------------------------------------------------------------------------

    def rebind(self, module: Any, name: str, value: Any) -> bool:
        """Let a buffer, which is to stay in its place, take over the value of another Tensor."""
        buffer = module.__dict__[name]
        if buffer is None or value is buffer:
            return buffer is not None
        holders = 2 + (id(buffer) in self._originals)  # the module, a variable here, and what is kept
        if is_held_elsewhere(module, name, holders):
            raise TypeError(
                f"compile: a buffer (shape {buffer.shape}) is bound anew while something else holds the Tensor that it "
                f"was\n  at {user_line()}\n  Keep a copy of it (`old = self.buffer.copy()`), or write to it: "
                "`self.buffer[...] = new`."
            )
        self.write(buffer)
        buffer._value = self.read(value)
        return True

    def groups(self, optimizer: Any) -> Iterable[dict[str, Any]]:
        """The settings of an optimizer's groups: those that change stand for what they are at each call."""
        return self.optimizers.groups(optimizer, self._lift)

    def entries(self, optimizer: Any) -> Any:
        """What an optimizer remembers, by parameter, as it stands in the program so far."""
        return self.optimizers.memory(optimizer, self._lift)

    def value_and_gradient(self, parameter: Any) -> Any:
        """What stands for the values of a parameter and of its gradient; None where there is no gradient."""
        gradient = self.gradient(parameter)
        if gradient is None:
            return None
        slope = self.constant(gradient._value)
        return self.read(parameter), slope

    # --- control flow ------------------------------------------------------------------------------------------------

    def operand(self, x: Any) -> Any:
        """An input of control flow, in a form that operations take: Tensor, stand-in, or NumPy scalar; never weak."""
        value = x._value if isinstance(x, Tensor) else x
        if type(value) is Traced:
            return x.astype(value.dtype) if value.variable.weak else x
        if isinstance(x, Tensor):
            return x
        return Traced(self._array(x), x) if isinstance(x, np.ndarray) and x.ndim else np.asarray(x)[()]

    def truth(self, number: Any) -> Any:
        """What stands for a bool; one that is known is one."""
        return number if number.dtype.kind == "b" else number != 0

    def scan(
        self, step: Flat, carry: Any, rows: Any, length: int, reverse: bool, stack: Callable[[Any], Any]
    ) -> tuple[list[Any], list[Any]]:
        """Record a loop of fixed length."""
        results: tuple[list[Any], list[Any]] = self.control.record_scan(
            step, carry.leaves, rows.leaves, length, reverse
        )
        return results

    def cond(self, chosen: Any, then: Flat, otherwise: Flat, compare: Callable[[], None]) -> Iterable[Any]:
        """Record a choice; one that is known already is made at once."""
        if not isinstance(chosen, Tensor | Traced):
            return super().cond(chosen, then, otherwise, compare)
        results: list[Any] = self.control.record_cond(chosen, then, otherwise, compare)
        return results

    def while_loop(self, test: Flat, step: Flat, carry: Any) -> Iterable[Any]:
        """Record a loop that goes on while a condition holds."""
        results: list[Any] = self.control.record_while(test, step, carry.leaves)
        return results

    # --- random numbers ----------------------------------------------------------------------------------------------

    def sample(self, generator: Any, method: str, *args: Any) -> Traced:
        """What stands for random numbers, which the program samples anew at each call."""
        if any(type(x) is Traced for x in args):
            raise TypeError(
                f"compile: {method} is drawn with parameters whose numbers differ from call to call\n  at {user_line()}"
                "\n  Draw standard samples (random, standard_normal) and compute with them."
            )
        known = self._generators.get(id(generator))
        if known is None:
            var = self.program.var((), np.dtype(object), "generator", name="rng")
            known = self._generators[id(generator)] = (generator, var, deepcopy(generator.bit_generator.state))
            self._read_from(GeneratorPlace(generator), var)
        value = getattr(generator, method)(*args)
        value = np.asarray(value)[()]
        out = self.program.var(value.shape, value.dtype)
        self._append(Step(sample, (known[1],), {"method": method, "args": args}, (out,)))
        return self.traced(out, value)

    # --- names -------------------------------------------------------------------------------------------------------

    def _name_gradient(self, node: Any, gradient: Any) -> None:
        """Name a gradient after what it belongs to: ``d`` and its name."""
        recorded = (node.extra or {}).get("recorded")
        value = gradient._value if isinstance(gradient, Tensor) else gradient
        if type(value) is not Traced or value.variable.kind != "result" or value.variable.name:
            return
        if recorded is None and node.op is None:
            holder = node.tensor()
            recorded = None if holder is None else self.read(holder).variable
        if recorded is not None:
            value.variable.name = f"d:{recorded.number}"

    # --- the end -----------------------------------------------------------------------------------------------------

    def touched(self, tensor: Tensor) -> bool:
        """Whether the value or the gradient of a Tensor was bound anew."""
        known = self._gradients.get(id(tensor))
        return id(tensor) in self._originals or (known is not None and known[0]() is tensor and known[2])

    def restore(self) -> None:
        """Bring everything outside back to what it was before the recording."""
        self._progress.close()
        for generator, _, state in self._generators.values():
            self.generators.append((generator, generator.bit_generator.state))
            generator.bit_generator.state = state
        for tensor, value, *_ in self._originals.values():
            if tensor._value is not value:
                known = self._lifted.get(id(tensor))
                self._bound.append((ref(tensor), known and known[2].variable, self.settled(tensor._value)))
        for tensor, value, node, constant in self._originals.values():
            tensor._value = value
            tensor._node = node
            if constant is not None:
                tensor._constant = constant
            elif hasattr(tensor, "_constant"):
                del tensor._constant
        self._originals.clear()
        self._release()

    def _release(self) -> None:
        """Let the stand-ins go: what follows speaks of variables alone."""
        self._lifted.clear()
        self._gradients = {
            key: (holder, None if gradient is None else self.settled(gradient._value), bound)
            for key, (holder, gradient, bound) in self._gradients.items()
        }
        self.optimizers.release(self.settled)

    def settled(self, value: Any) -> Any:
        """The variable that a stand-in stands for, whose value is kept; anything else as it is."""
        if type(value) is not Traced:
            return value
        self.outcome[value.variable] = value.value
        return value.variable

    def forget(self) -> None:
        """After a recording that failed: take back what was prepared for later calls."""
        self.optimizers.forget()

    def check(self) -> None:
        """Raise for what later calls would not leave behind, or not make anew."""
        check_escapes(self.program, self._stand_ins)
        check_generators(self.program, [(var, self.places[var]) for _, var, _ in self._generators.values()])

    def finish(self) -> None:
        """List what the program reads and writes outside, once nothing of the run itself is alive any more."""
        for holder, value, var in self._all_lifted:
            tensor = holder()
            if tensor is None or tensor._value is not value:
                var.kind = "constant"
                var.value = value
            else:
                self._read_from(TensorPlace(tensor), var)
                self.guards.append(TensorGuard(tensor))
        self.guards += [NumberGuard(tensor, value) for tensor, value in _alive(self._looked_at)]
        for numbers in self._arrays_looked_at:
            if is_held_elsewhere(numbers, "_value", 1):
                self.guards.append(NumberGuard(numbers, numbers._value))
        known = list(variables(self.function, [*self.fixed, *self._modules.values()]))
        for value in (self.function, getattr(self.function, "__self__", None), *self.fixed, *(v.value for v in known)):
            holds_modules = callable(getattr(value, "modules", None)) and not isinstance(value, type)
            for module in value.modules() if holds_modules else ():
                self.saw(module)
        self.guards += map(VariableGuard, known)
        self.guards += map(ModuleGuard, self._modules.values())
        self.guards += [GradientGuard(tensor, absent) for tensor, absent in _alive(self._gradients_read)]
        if not self.read_only:
            self._write_tensors()
            self._write_gradients()
        self.optimizers.finish(None if self.read_only else self._write)
        self.guards += self.optimizers.guards
        for known_array in self._arrays.values():
            var = known_array[1]
            if is_shared(var):
                var.kind = "state"
                self._read_from(ArrayPlace(var.value), var)

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
            if owner(tensor) is not tensor:  # it has its share of what the owner is given
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


def _alive(pairs: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """What weak references refer to, each with what belongs to it, as far as it is still there."""
    return [(x, value) for holder, value in pairs if (x := holder()) is not None]


def _is_mask(x: Any) -> bool:
    dtype = getattr(x, "dtype", None)
    return dtype is not None and dtype.kind == "b" and (bool(x.shape) or type(x) is Traced)


def _numpy_number(x: Any) -> Any:
    return np.asarray(x)[()]
