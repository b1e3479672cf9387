"""Guards of recordings: each tells by itself, and in the source of the call, whether what it guards is as it was."""

from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn
from tinygrad_nn.compiler.trace.guards import (
    EntriesGuard,
    GradientGuard,
    ModuleGuard,
    NumberGuard,
    SettingsGuard,
    TensorGuard,
    VariableGuard,
    all_hold,
)
from tinygrad_nn.compiler.trace.variables import Variable


class Code:
    """Writes the checks of guards into a function."""

    def __init__(self):
        self.known = {"MISS": object()}
        self.lines = []

    def hold(self, prefix, value):
        name = f"{prefix}{len(self.known)}"
        self.known[name] = value
        return name

    def line(self, text):
        self.lines.append(text)

    def unless(self, condition):
        self.line(f"if not ({condition}): return False")

    def function(self):
        text = "def check():\n" + "".join(f"    {line}\n" for line in [*self.lines, "return True"])
        exec(text, self.known)
        return self.known["check"]


def cell_of(value):
    return (lambda: value).__closure__[0]


def gradient(tensor):
    tensor.grad = tg.ones(2)


def optimizer():
    return tg.optim.SGD([tg.tensor([1.0, 2.0], requires_grad=True)], lr=0.1, momentum=0.9)


def settings(name, value):
    def change(optimizer):
        optimizer.param_groups[0][name] = value

    return change


def remember(optimizer):
    optimizer.state[optimizer.param_groups[0]["params"][0]]["step"] = 3


def bind(tensor):
    with tg.no_grad():
        tensor[...] = [5.0, 6.0]


def same_again(tensor):
    with tg.no_grad():
        tensor[...] = [1.0, np.nan]


leaf = lambda: tg.tensor([1.0, 2.0], requires_grad=True)  # noqa: E731
#: What is guarded, its guard, a change that the guard lets pass, and one that it does not.
CASES = {
    "gradient": (leaf, lambda t: GradientGuard(t, True), bind, gradient),
    "settings": (optimizer, lambda o: SettingsGuard(o, 0), settings("lr", 0.5), settings("momentum", 0.5)),
    "settings of another list": (
        optimizer, lambda o: SettingsGuard(o, 0), settings("lr", 1.0), lambda o: settings("params", [leaf()])(o),
    ),
    "parameters": (
        optimizer, lambda o: SettingsGuard(o, 0), remember, lambda o: o.param_groups[0]["params"].append(leaf()),
    ),
    "groups": (optimizer, lambda o: SettingsGuard(o, 0), remember, lambda o: o.add_param_group({"params": [leaf()]})),
    "entries": (optimizer, lambda o: EntriesGuard(o, o.param_groups[0]["params"][0]), settings("lr", 0.5), remember),
    "numbers": (lambda: tg.tensor([1.0, np.nan]), lambda t: NumberGuard(t, t.numpy()), same_again, bind),
    "attribute": (
        lambda: SimpleNamespace(part=1), lambda h: VariableGuard(Variable("h.part", h, ".part", h.part)),
        lambda h: setattr(h, "other", 2), lambda h: setattr(h, "part", 2),
    ),
    "attribute that goes": (
        lambda: SimpleNamespace(part=1), lambda h: VariableGuard(Variable("h.part", h, ".part", 1)),
        lambda h: setattr(h, "other", 2), lambda h: delattr(h, "part"),
    ),
    "global": (
        lambda: {"x": 1}, lambda d: VariableGuard(Variable("x", d, "x", d["x"])),
        lambda d: d.update(y=2), lambda d: d.update(x=2),
    ),
    "cell": (
        lambda: cell_of("a"), lambda c: VariableGuard(Variable("x", c, "", c.cell_contents)),
        lambda c: None, lambda c: setattr(c, "cell_contents", "b"),
    ),
    "container": (
        lambda: [leaf(), leaf()], lambda x: VariableGuard(Variable("x", x, "*", list(x))),
        lambda x: bind(x[0]), lambda x: x.append(1),
    ),
    "required gradients": (leaf, TensorGuard, gradient, lambda t: t.requires_grad_(False)),
    "hooks": (leaf, TensorGuard, gradient, lambda t: t.register_hook(lambda g: g)),
    "module": (lambda: nn.Linear(2, 2), ModuleGuard, lambda m: bind(m.bias), lambda m: m.eval()),
    "hooks of a module": (
        lambda: nn.Linear(2, 2), ModuleGuard,
        lambda m: bind(m.weight), lambda m: m.register_forward_hook(lambda *_: None),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_guard_holds_until_what_it_guards_changes(case):
    make, guard_of, passing, change = CASES[case]
    guarded = make()
    guard = guard_of(guarded)
    code = Code()
    guard.write(code)
    check = code.function()
    assert bool(code.lines) is not guard.seldom
    assert guard.holds()
    assert check()
    passing(guarded)
    assert guard.holds()
    assert check()
    change(guarded)
    assert not guard.holds()
    assert not all_hold([guard])
    assert guard.seldom or not check()
