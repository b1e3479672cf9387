"""Programs as functions in plain NumPy: for bodies of loops and branches, and for what is hardly ever called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...ir import Program, Step, Var
from ...quote import docstring, literal
from ...rewrite.loops import bodies
from .lowering import is_plain_sum, ufunc_name
from .module import Module
from .naming import Namer


class Plain:
    """Writes one function, in which every step makes a new array.

    Its parameters are named by `fixed`, in order; steps that would make one of them are left out. Results are copied
    where the caller gives them away.
    """

    def __init__(
        self, module: Module, name: str, program: Program, fixed: Mapping[Var, str], *, copies: bool = True
    ) -> None:
        self.module = module
        self.name = name
        self.program = program
        self.fixed = fixed
        self.copies = copies
        self.names = Namer()
        self.names.reserve(fixed.values())
        self.names.reserve([name])
        constants = (x for step in program.steps for x in step.reads if x.kind == "constant" and x.shape)
        self.names.reserve(
            module.constant(x) for x in (*constants, *program.needed) if x.kind == "constant" and x.shape
        )

    def lines(self, comment: str = "") -> list[str]:
        """The function."""
        lines = [f"def {self.name}({', '.join(self.fixed.values())}):"]
        if comment:
            lines.append("    " + docstring([comment]))
        for step in self.program.steps:
            if step.out not in self.fixed:
                lines += self.step(step)
        return [*lines, *self._return()]

    def text(self, x: Any) -> str:
        """An operand."""
        if type(x) is not Var:
            return literal(x)
        if x.kind == "constant":
            return self.module.constant(x)
        return self.fixed.get(x) or self.names(x)

    def step(self, step: Step) -> list[str]:
        """The lines of a step."""
        ufunc = ufunc_name(step)
        if ufunc is not None and not step.out.weak:
            self.module.used.add(ufunc)
            return [f"    {self.text(step.out)} = {ufunc}({', '.join(map(self.text, step.inputs))})"]
        if step.name == "sum" and is_plain_sum(step):
            self.module.used.add("add")
            axis, keepdims = step.params["axis"], ", keepdims=True" * step.params["keepdims"]
            return [f"    {self.text(step.out)} = add.reduce({self.text(step.inputs[0])}, {axis!r}{keepdims})"]
        return call_lines(self.module, step, [*map(self.text, step.inputs)], [*map(self.text, step.outputs)])

    def _return(self) -> list[str]:
        """Results and new numbers of the state; new arrays of it are written once all is computed."""
        lines = []
        arrays = [(old, new) for old, new in self.program.writes.items() if old.shape]
        outputs = [f"{self.text(x)}.copy()" if x.shape and self.copies else self.text(x) for x in self.program.results]
        if arrays:
            lines += [f"    results = ({', '.join(outputs)},)"] if outputs else []
            outputs = [f"results[{i}]" for i in range(len(outputs))]
            lines.append(f"    news = ({', '.join(f'{self.text(new)}.copy()' for _, new in arrays)},)")
            lines += [f"    {self.text(old)}[...] = news[{i}]" for i, (old, _) in enumerate(arrays)]
        outputs += [self.text(new) for old, new in self.program.writes.items() if not old.shape]
        return [*lines, f"    return {', '.join(outputs)}" if outputs else "    return ()"]


def call_text(module: Module, step: Step, operands: Sequence[str], function: Any = None) -> str:
    """A call of an op's own kernel, or of another function of it, with the settings that are not the usual ones."""
    if step.name == "sample":
        return f"{operands[0]}.{step.params['method']}({', '.join(map(literal, step.params['args']))})"
    if not step.out.weak and all(x.weak if type(x) is Var else type(x) in (int, float) for x in step.inputs):
        operands = [f"np.float64({x})" for x in operands]  # a call of an op makes NumPy's numbers of Python's
    settings = [
        f"{name}={module.setting(value)}"
        for name, value in step.params.items()
        if not (name in step.op.defaults and step.op.defaults[name] is value)
    ]
    return f"{module.kernel(step, function)}({', '.join([*operands, *settings])})"


def call_lines(module: Module, step: Step, operands: list[str], targets: list[str]) -> list[str]:
    """A call of an op's own kernel, or a loop or a branch, whose bodies become functions of the module."""
    names = {key: _body(module, key, program) for key, program in bodies(step).items()}
    if not names:
        single = "," * (step.several and len(targets) == 1)
        number = ".item()" * step.out.weak
        return [f"    {', '.join(targets)}{single} = {call_text(module, step, operands)}{number}"]
    loop = _Loop(step, names, operands, targets, module)
    write = {"scan": loop.scan, "cond": loop.cond, "while_loop": loop.while_loop, "unwind": loop.unwind}
    return ["    " + line for line in write[step.name]()]


def _body(module: Module, key: str, program: Program) -> str:
    name = module.names.unique(key)
    inner = Namer()
    inner.reserve([name])
    fixed = {x: inner(x) for x in program.inputs}
    module.functions += ["", "", *Plain(module, name, program, fixed, copies=False).lines()]
    return name


def _call(name: str, operands: Sequence[str]) -> str:
    return f"{name}({', '.join(operands)})"


def _assigned(targets: Sequence[str], values: str) -> str:
    return f"{', '.join(targets)} = {values}" if targets else values


@dataclass
class _Loop:
    """A loop or a branch, with the names of the functions that its bodies have become."""

    step: Step
    names: Mapping[str, str]
    operands: list[str]
    targets: list[str]
    module: Module

    def scan(self) -> list[str]:
        params, names, operands = self.step.params, self.names, self.operands
        consts, count, length = params["consts"], params["carry"], params["length"]
        fixed, init, rows = operands[:consts], operands[consts : consts + count], operands[consts + count :]
        carry, stacked = self.targets[:count], self.targets[count:]
        result = len(params["body"].results) - count
        i = self.module.names.unique("step")
        lines = [_assigned(carry, ", ".join(init))] if carry else []
        for x, name in zip(self.step.outputs[count:], stacked, strict=True):
            lines.append(f"{name} = np.empty({x.shape}, {literal(x.dtype)})")
        steps = f"range({length - 1}, -1, -1)" if params["reverse"] else f"range({length})"
        lines.append(f"for {i} in {steps}:")
        lines += [f"    {past}[{i}] = {carry[k]}" for past, k in zip(stacked[result:], params["history"], strict=True)]
        inputs = [*carry, *(f"{name}[{i}]" for name in stacked[:result])]
        lines.append(f"    {_assigned(inputs, _call(names['body'], [*fixed, *carry, *(f'{x}[{i}]' for x in rows)]))}")
        return lines

    def cond(self) -> list[str]:
        predicate, *rest = self.operands
        return [
            f"if {predicate}:",
            f"    {_assigned(self.targets, _call(self.names['then'], rest))}",
            "else:",
            f"    {_assigned(self.targets, _call(self.names['otherwise'], rest))}",
        ]

    def while_loop(self) -> list[str]:
        consts, names, targets = self.step.params["consts"], self.names, self.targets
        fixed, init = self.operands[:consts], self.operands[consts:]
        carry = targets[: len(init)]
        lines = [_assigned(carry, ", ".join(init))]
        body = [_assigned(carry, _call(names["body"], [*fixed, *carry]))]
        if self.step.params["history"]:
            lines.append(f"{targets[-1]} = []")
            body.insert(0, f"{targets[-1]}.append(({', '.join(carry)},))")
        return [*lines, f"while {_call(names['test'], [*fixed, *carry])}:", *("    " + line for line in body)]

    def unwind(self) -> list[str]:
        consts = self.step.params["consts"]
        history, fixed, init = self.operands[0], self.operands[1 : 1 + consts], self.operands[1 + consts :]
        entry = self.module.names.unique("entry")
        call = _call(self.names["body"], [*fixed, *self.targets, f"*{entry}"])
        return [
            _assigned(self.targets, ", ".join(init)),
            f"for {entry} in reversed({history}):",
            f"    {_assigned(self.targets, call)}",
        ]
