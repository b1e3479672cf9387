"""Programs as NumPy source that a person can read: one line an operation, each into an array that is used again."""

from __future__ import annotations

import linecache
from collections import Counter
from itertools import groupby
from pathlib import PurePath
from typing import Any

import numpy as np

from ...ir import Program, Step, Var
from ...quote import comment, docstring, literal
from .annotate import Formulas
from .blocks import Chain
from .lowering import form_of
from .module import Module, Source
from .plain import Plain, call_lines, call_text
from .plan import Plan


class Emitter:
    """Writes one module: the quick function, and the careful one where there is one."""

    def __init__(self, plan: Plan, careful: Program | None, name: str) -> None:
        self.plan = plan
        self.witnesses = plan.witnesses
        self.careful = careful
        self.function = name
        self.module = Module()
        self.names = self.module.names
        self.names.reserve([name, f"{name}_carefully"])
        self._inline: dict[Var, str] = {}
        self._former: dict[Var, str] = {}
        self._hoisted: list[str] = []
        self._uses = _use_counts(plan)

    # --- the whole ---------------------------------------------------------------------------------------------------

    def emit(self, heading: list[str]) -> Source:
        """The module."""
        program = self.plan.program
        for x in (*program.inputs, *program.state):
            self.names(x)
        for step in self.plan.body:
            if len(step.outputs) == 1 and step.out.name and step.out.scalar:
                self.names(step.out)
        for tenants in self._tenancies():
            self.names.share(tenants)
        self.formulas = Formulas([*self.plan.body, *self.plan.commits], self.names)
        memory = self._memory()
        body = self._body()
        careful = self._careful_function(self.careful) if self.careful is not None else []
        kernels = [text for text in self.module.kernels.parts.values() if text]
        used = sorted(self.module.used)
        lines = [docstring(heading), ""]
        if self.witnesses:
            lines += ["from math import isfinite"]
        if self.plan.results:
            lines += ["from sys import getrefcount"]
        lines += ["", "import numpy as np"]
        lines += [f"import {module} as {name}" for name, module in self.module.kernels.modules.items() if name != "np"]
        if used:
            lines += [f"from numpy import {', '.join(used)}"]
        for text in kernels:
            lines += ["", "", text] if text.startswith("def ") else ["", text]
        if self.module.number_lines:
            lines += ["", *self.module.number_lines]
        for line in memory:
            lines += self._hoisted if line is _HOISTED else [line]
        if self.plan.results:
            lines += ["", "", *_UNHELD.strip().splitlines()]
        lines += self.module.functions
        if careful:
            lines += ["", "", *careful]
        lines += ["", "", '@np.errstate(all="ignore")', f"def {self.function}({self._arguments()}):", *body, ""]
        text = "\n".join(lines)
        names = [self.names(x) for x in (*program.inputs, *program.state)]
        return Source(
            text, self.function, names, self.module.constants, self.module.kernel_objects, self.module.missing
        )

    def _tenancies(self) -> list[list[Var]]:
        """Variables of one shape and dtype that are in a buffer one after the other."""
        by_buffer = (groupby(buffer.tenants, lambda x: (x.shape, x.dtype)) for buffer in self.plan.buffers)
        return [list(tenants) for groups in by_buffer for _, tenants in groups]

    def _memory(self) -> list[str]:
        """The lines that make the buffers, the arrays of results and views of them."""
        plan = self.plan
        lines: list[str] = []
        for buffer in plan.buffers:
            shapes: dict[tuple[Any, ...], list[str]] = {}
            for x in buffer.tenants:
                shapes.setdefault((x.shape, x.dtype), []).append(self.names(x))
            (shape, dtype), first = next(iter(shapes.items()))
            if len(shapes) == 1 and np.dtype(dtype).itemsize * int(np.prod(shape)) == buffer.nbytes:
                lines.append(f"{' = '.join(dict.fromkeys(first))} = np.empty({shape}, {literal(np.dtype(dtype))})")
                continue
            slab = self.names.unique("memory")
            lines.append(f"{slab} = np.empty({buffer.nbytes}, np.uint8)")
            for (shape, dtype), names in shapes.items():
                nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
                part = slab if nbytes == buffer.nbytes else f"{slab}[:{nbytes}]"
                seen = f"{part}.view({literal(np.dtype(dtype))}).reshape({shape})"
                lines.append(f"{' = '.join(dict.fromkeys(names))} = {seen}")
        for x in plan.results:
            lines.append(f"{self.names(x)}_held = [np.empty({x.shape}, {literal(x.dtype)})]")
        if not lines and not plan.pieces:
            return []
        return ["", f"# Memory that every call uses again: {_readable(plan.nbytes)}.", *lines, _HOISTED]

    # --- the quick function ------------------------------------------------------------------------------------------

    def _body(self) -> list[str]:
        plan = self.plan
        for new, old in plan.targets.items():
            self._inline[new] = self.names(old)
        lines: list[str] = [f"    {self.names(x)} = unheld({self.names(x)}_held)" for x in plan.results]
        said: Any = None
        for step in plan.body:
            written = self._step(step)
            if written and step.line is not None and step.line != said:
                said = step.line
                lines += _source_comment(*step.line)
            lines += written
        if self.witnesses:
            tests = [self._finite(x) for x in self.witnesses]
            lines += [
                f"    if not {'(' + ' and '.join(tests) + ')' if len(tests) > 1 else tests[0]}:",
                f"        return {self.function}_carefully({self._careful_arguments()})",
            ]
        for x in plan.former:
            name = self.names.unique("former")
            lines.append(f"    {name} = {self._operand(x)}.copy()")
            self._former[x] = name
        if plan.commits or plan.copies:
            lines.append(COMMITS)
        for step in plan.commits:
            lines += self._step(step)
        copies = [(old, self._operand(new)) for old, new in plan.copies]
        if plan.crossing:
            copies = [(old, f"{text}.copy()") for old, text in copies]
            temporaries = [self.names.unique("new") for _ in copies]
            lines += [f"    {name} = {text}" for name, (_, text) in zip(temporaries, copies)]
            copies = [(old, name) for name, (old, _) in zip(temporaries, copies)]
        for old, text in copies:
            self.module.used.add("copyto")
            lines.append(f"    copyto({self.names(old)}, {text})")
        lines.append(self._return())
        return lines

    def _finite(self, x: Var) -> str:
        name = self._operand(x)
        if not x.shape:
            return f"isfinite({name})"
        self.module.used.add("vdot")
        return f"isfinite(vdot({name}, {name}))"

    def _arguments(self) -> str:
        program = self.plan.program
        return ", ".join(self.names(x) for x in (*program.inputs, *program.state))

    def _samples(self) -> list[Var]:
        """Random numbers: the careful function gets those that were drawn already."""
        return [step.out for step in self.plan.body if step.name == "sample"]

    def _careful_arguments(self) -> str:
        return ", ".join([self._arguments(), *(self.names(x) for x in self._samples())])

    def _careful_function(self, program: Program) -> list[str]:
        """The program with all masks of zero gradients, in plain NumPy: it is hardly ever called."""
        inputs = (*self.plan.program.inputs, *self.plan.program.state, *self._samples())
        plain = Plain(self.module, f"{self.function}_carefully", program, {x: self.names(x) for x in inputs})
        return plain.lines("The same with zero gradients kept zero where they meet infinity or NaN.")

    def _return(self) -> str:
        program = self.plan.program
        outputs: list[str] = []
        seen: set[Var] = set()
        for x in program.results:
            text = self._former.get(x) or self._operand(x)
            own = x not in seen and (x in self._former or x in self.plan.results)
            outputs.append(text if own or not x.shape else f"{text}.copy()")
            seen.add(x)
        outputs += [self._operand(new) for old, new in program.writes.items() if not old.shape]
        return f"    return {', '.join(outputs)}" if outputs else "    return ()"

    def _step(self, step: Step) -> list[str]:
        """The lines of a step; none where it is an expression that stands where it is used."""
        form = self.plan.forms[step]
        self.module.used.update(form.names)
        if form.kind == "chain":
            return self._chain(step)
        if form.kind == "call":
            operands = [self._operand(x) for x in step.inputs]
            return call_lines(self.module, step, operands, [self.names(x) for x in step.outputs])
        if form.kind == "filled":
            outs = ", ".join(self.names(self.plan.targets.get(x, x)) for x in step.outputs)
            operands = [f"({outs},)", *map(self._operand, step.inputs)]
            return [f"    {call_text(self.module, step, operands, step.op.fill)}"]
        operands = [self._operand(x, step) for x in step.inputs]
        if form.kind == "view":
            return self._view(step, form.text.format(*operands))
        if form.kind == "number":
            text = f"{self.names(step.out)} = {form.text.format(*map(_bracketed, operands))}"
            return [f"    {text}"]
        target = self.plan.targets.get(step.out, step.out)
        if form.kernel:
            call = call_text(self.module, step, operands)
            return [f"    {call.removesuffix(')')}, out={self.names(target)})"]
        text = form.text.format(*operands, out=self.names(target))
        first, *more = text.splitlines()
        return [f"    {first}{self._note(step, len(first))}", *(f"    {line}" for line in more)]

    def _note(self, step: Step, width: int) -> str:
        """A comment: the shape, and for what has a name its formula."""
        out = step.out
        formula = self.formulas.of(step) if out.name or out in self.plan.targets else ""
        target = self.plan.targets.get(out)
        text = f"{self.names(target or out)} {'←' if target else '='} {formula}  " if formula else ""
        return " " * max(2, 40 - width) + comment(f"{text}{tuple(out.shape)}")

    def _chain(self, step: Step) -> list[str]:
        """A loop over pieces, each handed to a function that runs the steps on it."""
        chain: Chain = step.params["chain"]
        buffers, buffer_of = self.plan.pieces[chain]
        name = self.names.unique("piecewise")
        memory = {buffer: self.names.unique("p") for buffer in buffers}
        for buffer, piece in memory.items():
            dtype = literal(np.dtype(buffer.tenants[0].dtype))
            self._hoisted.append(f"{piece} = np.empty({chain.piece}, {dtype})")
        # What is in one memory, under one name, is given once.
        arrays = list({self.names(x): x for x in (*chain.inputs, *chain.outputs)}.values())
        parameters = [self.names(x) for x in (*arrays, *chain.numbers)]
        inside = {x: memory[buffer] for x, buffer in buffer_of.items()}
        lines = ["", "", f"def {name}({', '.join([*parameters, *memory.values()])}):"]
        for inner in chain.steps:
            form = form_of(inner)
            self.module.used.update(form.names)
            operands = [
                inside.get(x) or self.names(x) if type(x) is Var else self.module.number(x, inner) for x in inner.inputs
            ]
            if inner.out.scalar:
                lines.append(f"    {self.names(inner.out)} = {form.text.format(*operands)}")
            else:
                lines.append("    " + form.text.format(*operands, out=inside.get(inner.out) or self.names(inner.out)))
        sums = [self.names(x) for x in chain.sums]
        if sums:
            lines.append(f"    return {', '.join(sums)}")
        self.module.functions += lines
        body = [self._flattened(x) for x in arrays]
        calls = [text for result in body for text in result[1]]
        flat = [result[0] for result in body]
        numbers = [self.names(x) for x in chain.numbers]
        whole = chain.size - chain.size % chain.piece
        calls += [f"    {text} = 0.0" for text in sums]
        call = f"{name}({', '.join([*(f'{x}[i : i + {chain.piece}]' for x in flat), *numbers, *memory.values()])})"
        calls.append(f"    for i in range(0, {whole}, {chain.piece}):")
        calls += self._summed("        ", call, sums)
        if whole < chain.size:
            rest = chain.size - whole
            pieces = [f"{x}[{whole}:]" for x in flat]
            call = f"{name}({', '.join([*pieces, *numbers, *(f'{x}[:{rest}]' for x in memory.values())])})"
            calls += self._summed("    ", call, sums)
        for text, x in zip(sums, chain.sums):
            calls.append(f"    {text} = {literal(np.dtype(x.dtype))}({text})")
        return calls

    def _summed(self, indent: str, call: str, sums: list[str]) -> list[str]:
        if not sums:
            return [f"{indent}{call}"]
        more = [self.names.unique("more") for _ in sums]
        return [f"{indent}{', '.join(more)} = {call}", *(f"{indent}{x} += float({y})" for x, y in zip(sums, more))]

    def _flattened(self, x: Var) -> tuple[str, list[str]]:
        """A name for an array in one row, and the lines that make it."""
        if len(x.shape) == 1:
            return self._operand(x), []
        name = self.names.unique(f"{self.names(x)}_flat")
        text = f"{name} = {self._operand(x)}.reshape(-1)"
        if x in self.plan.buffer_of:
            self._hoisted.append(text)
            return name, []
        return name, [f"    {text}"]

    def _view(self, step: Step, text: str) -> list[str]:
        source, out = step.inputs[0], step.out
        if source in self.plan.buffer_of and out not in self.plan.program.results:
            name = self.names.unique(f"{self.names(source)}{'_T' if text.endswith('.T') else '_view'}")
            self._hoisted.append(f"{name} = {text}")
            self._inline[out] = name
            return []
        if self._uses[out] == 1:
            self._inline[out] = text
            return []
        return [f"    {self.names(out)} = {text}"]

    # --- operands ----------------------------------------------------------------------------------------------------

    def _operand(self, x: Any, step: Step | None = None) -> str:
        if type(x) is not Var:
            return self.module.number(x, step)
        if x in self._inline:
            return self._inline[x]
        return self.module.constant(x) if x.kind == "constant" else self.names(x)


_HOISTED = "<hoisted>"

#: Stands before the first line that writes to the state.
COMMITS = "    # The state, once nothing reads the old one."

_UNHELD = '''
def unheld(arrays):
    """An array for a result that nobody else holds any more, or a new one."""
    for array in arrays:
        if getrefcount(array) <= count:
            return array
    array = np.empty_like(arrays[0])
    arrays[:] = [arrays[-1], array]
    return array


def references(arrays):
    for array in arrays:
        return getrefcount(array)


count = references([np.empty(0)])
'''


def _use_counts(plan: Plan) -> Counter[Var]:
    """How often each variable is read; those that must be there at the end count as read twice."""
    uses = Counter(x for step in (*plan.body, *plan.commits) for x in step.reads)
    uses.update(dict.fromkeys(plan.program.needed, 2))
    return uses


def _bracketed(text: str) -> str:
    plain = text.replace("_", "").replace(".", "").isalnum()
    return text if plain else f"({text})"


def _source_comment(path: str, line: int) -> list[str]:
    text = linecache.getline(path, line).strip()
    return ["    " + comment(f"{PurePath(path).name}:{line}: {text}")] if text and not path.startswith("<") else []


def _readable(nbytes: int) -> str:
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if nbytes >= size:
            return f"{nbytes / size:.3g} {unit}"
    return f"{nbytes} bytes"
