"""Would a wrong derivative be noticed? Each rule of each op is made wrong in every way known, and the checks are run.

    python -m tests.ops.mutate              # all ops; prints the share that is noticed, and each mutant that is not
    python -m tests.ops.mutate multiply sum

Mutants of a rule: sign turned, doubled, dropped, exchanged with another input's, and for each sum, product and
condition in its code, and in the code of the helpers that it calls, one side left out. Mutants of the engine, for each
op that they touch: the sum over broadcast axes replaced by one slice, and by the mean.

A mutant that computes the same function is no fault. It is told apart only where that can be shown:

- two rules with the same code are exchanged;
- a rule that is zero is multiplied;
- work with zeros that `is_nothing` would save is done;
- a condition is left out of which both outcomes came up in the checks, and none failed: the two branches agree, one is
  only quicker, or rounds less.
"""

from __future__ import annotations

import ast
import copy
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import chain, islice, product
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tests.ops import test_kinks, test_stability
from tinygrad_nn import testing
from tinygrad_nn.core.define import Op, registry


@dataclass
class Mutant:
    """A fault that can be put into the library for a while.

    `same` says why it is none, where that can be told beforehand; `seen` holds the outcomes, as the checks run, of a
    condition that the mutant leaves out.
    """

    op: str
    what: str
    put: Callable[[], Any]  # a context manager
    same: str = ""
    seen: set[bool] = field(default_factory=set)

    def __str__(self) -> str:
        return f"{self.op}: {self.what}"


# --- mutants of whole rules ------------------------------------------------------------------------------------------


@contextmanager
def changed(op: Op, rules: Any = None, joint: Any = None) -> Iterator[None]:
    """The op with other rules."""
    known = op.rules, op.joint, op.forward_rule
    op.rules, op.joint = rules, joint
    op.reads.clear()
    try:
        yield
    finally:
        op.rules, op.joint, op.forward_rule = known
        op.reads.clear()


def scaled(rule: Any, factor: float) -> Any:
    def mutant(*args: Any, **settings: Any) -> Any:
        r = rule(*args, **settings)
        return tuple(None if part is None else part * factor for part in r) if isinstance(r, tuple) else r * factor

    return mutant


SCALES = (("sign turned", -1.0), ("doubled", 2.0))


def rule_mutants(name: str, op: Op) -> Iterator[Mutant]:
    rules = op.rules or ()
    for i, rule in enumerate(rules):
        if rule is None:
            continue
        label = f"rule of input {i} ({op.input_names[i]})"
        same = "the rule is zero, and so is any multiple of it" if is_zero(rule) else ""
        for what, factor in SCALES:
            yield Mutant(name, f"{label} {what}", with_rule(op, i, scaled(rule, factor)), same)
        yield Mutant(name, f"{label} dropped", with_rule(op, i, None), same)
        for j in range(i + 1, len(rules)):
            if rules[j] is not None:
                same = "both rules have the same code" if code_of(rule) == code_of(rules[j]) else ""
                exchanged = [rules[{i: j, j: i}.get(k, k)] for k in range(len(rules))]
                yield Mutant(name, f"rules of inputs {i} and {j} exchanged", with_rules(op, exchanged), same)
        for what, mutated, seen in code_mutants(rule):
            yield Mutant(name, f"{label}: {what}", with_rule(op, i, mutated), seen=seen)
    yield from helper_mutants(name, [rule for rule in rules if rule is not None])


def with_rules(op: Op, rules: Any) -> Callable[[], Any]:
    return lambda: changed(op, rules=tuple(rules))


def with_rule(op: Op, i: int, rule: Any) -> Callable[[], Any]:
    assert op.rules is not None
    return with_rules(op, [*op.rules[:i], rule, *op.rules[i + 1 :]])


def joint_mutants(name: str, op: Op) -> Iterator[Mutant]:
    joint = op.joint
    assert joint is not None

    def with_results(change: Callable[[list[Any]], list[Any]]) -> Callable[[], Any]:
        return lambda: changed(op, joint=lambda *args, **settings: change(list(joint(*args, **settings))))

    def at(i: int, f: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
        return lambda r: [f(x) if k == i and x is not None else x for k, x in enumerate(r)]

    count = max((len(case.inputs) for case in testing.op_cases(name)), default=0)
    positions = [i for i in range(count) if any(i in case.differentiable for case in testing.op_cases(name))]
    for i in positions:
        for what, factor in SCALES:
            yield Mutant(name, f"gradient {i} {what}", with_results(at(i, lambda x, factor=factor: x * factor)))
        yield Mutant(name, f"gradient {i} dropped", with_results(at(i, lambda x: None)))
    if len(positions) > 1:
        a, b = positions[:2]
        yield Mutant(name, f"gradients {a} and {b} exchanged", lambda: changed(op, joint=exchange(joint, a, b)))
    for what, mutated, seen in code_mutants(joint):
        yield Mutant(name, what, partial(changed, op, joint=mutated), seen=seen)
    yield from helper_mutants(name, [joint])


def exchange(joint: Any, a: int, b: int) -> Any:
    """Each gradient asked for under the other's name, so that it is there."""

    def mutant(needed: Any, *args: Any, **settings: Any) -> Any:
        asked = [needed[{a: b, b: a}.get(i, i)] for i in range(len(needed))] if len(needed) > max(a, b) else needed
        r = list(joint(tuple(asked), *args, **settings))
        if len(r) > max(a, b):
            r[a], r[b] = r[b], r[a]
        return r

    return mutant


def code_of(f: Any) -> Any:
    code = f.__code__
    return code.co_code, code.co_consts, code.co_names, f.__closure__


def is_zero(rule: Any) -> bool:
    """Whether a rule is nothing but the gradient of what does not change: `zeros_like_gradient(g)`."""
    return rule.__code__.co_names == ("zeros_like_gradient",)


# --- mutants of a rule's code ----------------------------------------------------------------------------------------


@cache
def parsed(path: str) -> ast.Module:
    with open(path, encoding="utf-8") as file:
        return ast.parse(file.read())


def definition_of(f: types.FunctionType) -> Any:
    """The syntax tree of a function: of several lambdas on a line the one that holds all of its instructions."""
    places = [p for p in f.__code__.co_positions() if None not in p and p[2:] != (0, 0)]
    found = []
    for node in ast.walk(parsed(f.__code__.co_filename)):
        if isinstance(node, ast.FunctionDef) and node.name == f.__name__ and node.lineno == f.__code__.co_firstlineno:
            return node
        if isinstance(node, ast.Lambda) and node.lineno == f.__code__.co_firstlineno:
            start, end = (node.body.lineno, node.body.col_offset), (node.body.end_lineno, node.body.end_col_offset)
            if all(start <= (line, column) and (last, end_column) <= end for line, last, column, end_column in places):
                found.append(node)
    return min(found, key=lambda node: node.end_col_offset - node.col_offset) if found else None


def sides(node: Any) -> list[tuple[str, Any]]:
    """What an expression becomes if a part of it is forgotten."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mult):
        return [("without its right side", node.left), ("without its left side", node.right)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        return [("without its right side", node.left), ("without its left side", ast.UnaryOp(ast.USub(), node.right))]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Pow):
        return [("without its right side", node.left)]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
        return [("without its sign", node.operand)]
    if isinstance(node, ast.IfExp):
        second = [] if _is_shortcut(node) else [("always its second branch", node.orelse)]
        return [("always its first branch", node.body), *second]
    return []


def _is_shortcut(node: ast.IfExp) -> bool:
    """Whether the first branch only leaves out the work with zeros: `is_nothing` tells zeros from the rest."""
    return isinstance(node.test, ast.Call) and ast.unparse(node.test.func) == "is_nothing"


def code_mutants(f: Any) -> Iterator[tuple[str, Any, set[bool]]]:
    """The function with one expression of its code changed, in turn; and where outcomes of conditions are noted."""
    tree = definition_of(f) if isinstance(f, types.FunctionType) else None
    if tree is None:
        return
    for number, node in enumerate(places(tree)):
        for choice, (what, _) in enumerate(sides(node)):
            mutated = copy.deepcopy(tree)
            target = places(mutated)[number]
            new = sides(target)[choice][1]
            seen: set[bool] = set()
            if isinstance(target, ast.IfExp):
                new = noting(target, new, seen, f)
            yield f"`{ast.unparse(node)}` {what}", compiled(Replace(target, new).visit(mutated), f), seen


def places(tree: Any) -> list[Any]:
    """The expressions that make numbers; not those that say where, in an index, or whether."""
    found = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += [child for child in ast.iter_child_nodes(node) if child not in aside(node)]
    return found


def aside(node: Any) -> list[Any]:
    """The parts of an expression that make no number."""
    if isinstance(node, ast.Subscript):
        return [node.slice]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "slice":
        return node.args
    return [node.test] if isinstance(node, ast.If | ast.While) else []


def noting(condition: ast.IfExp, new: Any, seen: set[bool], f: Any) -> Any:
    """`new`, after the outcome of the condition in whose place it stands is noted."""
    note = f"_note_{id(seen)}"
    f.__globals__[note] = lambda outcome: seen.add(bool(outcome))
    call = ast.Call(ast.Name(note, ast.Load()), [condition.test], [])
    return ast.Subscript(ast.Tuple([call, new], ast.Load()), ast.Constant(1), ast.Load())


class Replace(ast.NodeTransformer):
    def __init__(self, old: Any, new: Any) -> None:
        self.old, self.new = old, new

    def visit(self, node: Any) -> Any:
        return self.new if node is self.old else self.generic_visit(node)


def compiled(tree: Any, f: Any) -> Any:
    """A function of a changed syntax tree, with the globals, closure and defaults of another."""
    free = f.__code__.co_freevars
    if isinstance(tree, ast.FunctionDef):
        tree.decorator_list = []
        definition: Any = tree
    else:
        definition = ast.Assign([ast.Name("mutant", ast.Store())], tree)
    if free:
        name = getattr(definition, "name", "mutant")
        arguments = ast.arguments([], [ast.arg(cell) for cell in free], None, [], [], None, [])
        body = [definition, ast.Return(ast.Name(name, ast.Load()))]
        definition = ast.FunctionDef(name="outer", args=arguments, body=body, decorator_list=[], type_params=[])
    made: dict[str, Any] = {}
    module = ast.Module([definition], [])
    exec(compile(ast.fix_missing_locations(module), f.__code__.co_filename, "exec"), f.__globals__, made)
    (mutant,) = made.values()
    mutant = mutant(*(cell.cell_contents for cell in f.__closure__)) if free else mutant
    mutant.__kwdefaults__, mutant.__defaults__ = f.__kwdefaults__, f.__defaults__
    return mutant


#: Functions that many rules call: mutated once, under the name of the op that is given here.
SHARED = {"keep_axes": "logsumexp", "spread": "sum", "reduced_count": "mean", "reduced_axes": "prod", "share": "mean"}


def helper_mutants(name: str, rules: list[Any]) -> Iterator[Mutant]:
    """Mutants of the plain functions of the library that rules call, and that these call."""
    for helper in helpers(rules):
        if SHARED.get(helper.__name__, name) == name:
            for what, mutated, seen in code_mutants(helper):
                yield Mutant(name, f"helper {helper.__name__}: {what}", partial(with_code, helper, mutated), seen=seen)


def helpers(rules: list[Any]) -> list[types.FunctionType]:
    found: list[types.FunctionType] = []
    waiting = list(rules)
    while waiting:
        f = waiting.pop()
        for code in codes(f.__code__):
            for name in code.co_names:
                g = f.__globals__.get(name)
                own = isinstance(g, types.FunctionType) and g.__module__.startswith("tinygrad_nn.ops")
                # What is public is a function of its own, made of ops, with its own tests.
                if own and name not in tg.__dict__ and g not in found and g not in rules:
                    found.append(g)
                    waiting.append(g)
    return found


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


@contextmanager
def with_code(f: types.FunctionType, mutant: types.FunctionType) -> Iterator[None]:
    """A function that computes as another does, wherever it is called."""
    known = f.__code__
    f.__code__ = mutant.__code__
    try:
        yield
    finally:
        f.__code__ = known


# --- mutants of the engine -------------------------------------------------------------------------------------------


def one_slice(r: Any, *, shape: Any) -> Any:
    while r.ndim > len(shape):
        r = r[0]
    return r[tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)]


def mean_over(r: Any, *, shape: Any) -> Any:
    return right_sum(r, shape=shape) * (np.prod(shape) / r.size if r.size else 1.0)


sum_to = registry["sum_to"]
right_sum = sum_to.kernel


@contextmanager
def summing_by(f: Any) -> Iterator[None]:
    sum_to.kernel = f
    try:
        yield
    finally:
        sum_to.kernel = right_sum


def engine_mutants(name: str, op: Op) -> Iterator[Mutant]:
    """One for each way to undo a broadcast wrongly, if the op's derivatives need one undone."""
    calls = []

    def counting(r: Any, *, shape: Any) -> Any:
        calls.append(np.prod(shape) < r.size)
        return right_sum(r, shape=shape)

    with summing_by(counting):
        for case in testing.op_cases(name):
            testing.PROPERTIES["inputs_are_left_alone"](case)
    if any(calls):
        yield Mutant(name, "one slice in the place of the sum over broadcast axes", lambda: summing_by(one_slice))
        yield Mutant(name, "the mean in the place of the sum over broadcast axes", lambda: summing_by(mean_over))


# --- is it noticed? --------------------------------------------------------------------------------------------------


def mutants(name: str) -> Iterator[Mutant]:
    """All mutants of an op."""
    op = registry[name]
    if op.differentiable:
        yield from joint_mutants(name, op) if op.joint is not None else rule_mutants(name, op)
        yield from engine_mutants(name, op)


def noticed(mutant: Mutant) -> bool:
    """Whether any check fails on it: those of the op's row first, of first order, as these are quick."""
    row = testing.row_of(mutant.op)
    with mutant.put(), np.errstate(all="ignore"):
        return any(fails(check) for check in checks(testing.row_of(row.through) if row.through else row))


def checks(row: testing.Row) -> Iterator[Callable[[], Any]]:
    cases = list(row.examples())
    for case in cases:
        yield partial(testing.PROPERTIES["derivatives_are_the_oracles"], case, order=1)
    for case in cases:
        for check in testing.PROPERTIES.values():
            yield partial(check, case)
    yield from GENERAL


def tests_of(module: Any) -> Iterator[Callable[[], Any]]:
    """The tests of a module, with all their parameters."""
    for name, test in vars(module).items():
        if name.startswith("test_"):
            choices: list[list[dict[str, Any]]] = []
            for mark in getattr(test, "pytestmark", ()):
                names, values = mark.args[:2]
                names = (names,) if isinstance(names, str) else names
                choices.append([dict(zip(names, v if len(names) > 1 else (v,), strict=True)) for v in values])
            for chosen in product(*choices):
                yield partial(test, **{k: v for part in chosen for k, v in part.items()})


GENERAL = [*tests_of(test_kinks), *tests_of(test_stability)]


def fails(check: Callable[[], Any]) -> bool:
    try:
        check()
    except (Exception, pytest.fail.Exception):
        return True
    return False


@dataclass
class Tally:
    """What became of the mutants."""

    noticed: int = 0
    same: int = 0
    missed: tuple[Mutant, ...] = ()

    def __str__(self) -> str:
        total = self.noticed + len(self.missed)
        share = 100 * self.noticed / max(total, 1)
        return f"{total} mutants, {self.noticed} noticed ({share:.1f} %); {self.same} more compute the same function"


def run(names: Iterable[str], every: int = 1) -> Tally:
    """Try all mutants of some ops, or one in `every`."""
    tally = Tally()
    for mutant in islice(chain.from_iterable(map(mutants, names)), 0, None, every):
        if mutant.same:
            tally.same += 1
        elif noticed(mutant):
            tally.noticed += 1
        elif mutant.seen == {True, False}:
            tally.same += 1
        else:
            tally.missed += (mutant,)
    return tally


def main(names: list[str]) -> int:
    tally = run(names or [name for name, op in registry.items() if op.own])
    for mutant in tally.missed:
        print(f"NOT NOTICED  {mutant}")
    print(tally)
    return 1 if tally.missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
