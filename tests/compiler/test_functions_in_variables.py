"""What a compiled function calls through variables is looked at in each call: another function is recorded anew."""

import logging
import random
from functools import partial

import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn

X = tg.tensor([1.0, 2.0])


#: Lines before, the compiled expression, and lines that change what it does.
CHANGES = {
    "an op": ("act = tg.tanh", "act(x)", "act = tg.sin"),
    "a function": ("loss = lambda x: x * 2", "loss(x)", "loss = lambda x: x * 3"),
    "a function of the library": ("loss = nn.functional.mse_loss", "loss(x, x * 2)", "loss = nn.functional.l1_loss"),
    "a def that is run again": ("def helper(x): return x * 2", "helper(x)", "def helper(x): return x * 3"),
    "defaults": ("def helper(x, k=2.0): return x * k", "helper(x)", "helper.__defaults__ = (3.0,)"),
    "first defaults": ("def helper(x, *k): return x * (k or 2.0)", "helper(x)", "def helper(x, *k): return x * 3.0"),
    "keyword defaults": ("def helper(x, *, k=2.0): return x * k", "helper(x)", "helper.__kwdefaults__ = {'k': 3.0}"),
    "a keyword default": ("def helper(x, *, k=2.0): return x * k", "helper(x)", "helper.__kwdefaults__['k'] = 3.0"),
    "code": ("def helper(x): return x * 2", "helper(x)", "helper.__code__ = (lambda x: x * 3).__code__"),
    "what a helper calls": (
        "g = lambda x: x * 2\ndef helper(x): return g(x)",
        "helper(x)",
        "g = lambda x: x * 3",
    ),
    "what a closure holds": (
        "def make():\n    g = lambda x: x * 2\n    def set(h):\n        nonlocal g\n        g = h\n"
        "    return (lambda x: g(x)), set\nhelper, set_g = make()",
        "helper(x)",
        "set_g(lambda x: x * 3)",
    ),
    "a list": ("fs = [tg.sin]", "fs[0](x)", "fs[0] = tg.exp"),
    "a dict": ("fs = {'a': tg.sin}", "fs['a'](x)", "fs['a'] = tg.exp"),
    "an attribute": ("class O: pass\no = O()\no.act = tg.sin", "o.act(x)", "o.act = tg.exp"),
    "a class": (
        "class A:\n    def __call__(self, x): return x * 2\nclass B:\n    def __call__(self, x): return x * 3\nK = A",
        "K()(x)",
        "K = B",
    ),
    "a method": (
        "class A:\n    def f(self, x): return x * 2\na = A()",
        "a.f(x)",
        "A.f = lambda self, x: x * 3",
    ),
    "what a method calls": (
        "g = lambda x: x * 2\nclass A:\n    def f(self, x): return g(x)\na = A()",
        "a.f(x)",
        "g = lambda x: x * 3",
    ),
    "a class method": (
        "class A:\n    @classmethod\n    def f(cls, x): return x * 2",
        "A.f(x)",
        "A.f = classmethod(lambda cls, x: x * 3)",
    ),
    "a static method": (
        "class A:\n    @staticmethod\n    def f(x): return x * 2\na = A()",
        "a.f(x)",
        "A.f = staticmethod(lambda x: x * 3)",
    ),
    "a property": (
        "class A:\n    @property\n    def k(self): return 2.0\na = A()",
        "x * a.k",
        "A.k = property(lambda self: 3.0)",
    ),
    "an attribute of a class": ("class A:\n    k = 2.0\na = A()", "x * a.k", "A.k = 3.0"),
    "a partial function": (
        "def helper(x, k): return x * k\np = partial(helper, k=2.0)",
        "p(x)",
        "p = partial(helper, k=3.0)",
    ),
    "what a partial function calls": (
        "g = lambda x: x * 2\np = partial(lambda x: g(x))",
        "p(x)",
        "g = lambda x: x * 3",
    ),
    "a builtin": ("g = abs", "g(x * -1)", "g = lambda x: x"),
    "a function of NumPy": ("g = np.sum", "g(x)", "g = np.max"),
    "what a module's forward calls": (
        "g = tg.tanh\nclass N(nn.Module):\n    def forward(self, x): return g(x)\nnet = N()",
        "net(x)",
        "g = tg.sin",
    ),
    "an attribute of a module": (
        "class N(nn.Module):\n    def forward(self, x): return self.act(x)\nnet = N()\nnet.act = tg.tanh",
        "net(x)",
        "net.act = tg.sin",
    ),
    "a decorated function": (
        "from functools import wraps\ndef twice(f):\n    @wraps(f)\n    def g(x): return f(f(x))\n    return g\n"
        "k = 2.0\n@twice\ndef helper(x): return x * k",
        "helper(x)",
        "k = 3.0",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_function_is_recorded_anew(name):
    before, expression, after = CHANGES[name]
    space = {"tg": tg, "nn": nn, "np": __import__("numpy"), "partial": partial, "__name__": "users"}
    exec(f"{before}\ndef f(x):\n    return {expression}", space)
    compiled = tg.compile(space["f"])
    first = compiled(X)
    assert tg.equal(first, compiled(X)).all()
    assert len(compiled._entries) == 1
    exec(after, space)
    expected = space["f"](X)
    assert not tg.equal(first, expected).all()
    assert tg.equal(compiled(X), expected).all()


def test_a_call_of_the_same_functions_is_not_recorded_again():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def helper(self, x):
            return tg.tanh(x)

        def forward(self, x):
            return self.helper(self.layer(x))

    net = Net()
    optimizer = tg.optim.Adam(net.parameters(), lr=0.1)
    losses = []

    def log(loss):
        losses.append(1)
        return loss

    @tg.compile
    def step(x):
        loss = log(tg.sum(net(x)))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    for _ in range(5):
        step(X)
    assert step._recorded == 1


def test_what_python_itself_keeps_is_no_variable_of_the_users():
    log, dice = logging.getLogger("tinygrad_nn.test"), random.Random(0)

    @tg.compile
    def f(x):
        log.debug("called")
        dice.random()
        return x * 2

    for _ in range(4):
        f(X)
    assert f._recorded == 1
