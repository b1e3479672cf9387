"""Kernels as text: names of their module are linked where they are read, and nothing else is touched."""

import ast
import math

import numpy as np
import pytest

from tinygrad_nn.compiler.quote import NotWritable
from tinygrad_nn.compiler.targets.numpy.kernel_source import Kernels
from tinygrad_nn.ops.elementwise.arithmetic import add

_scale = 2.0
factor = 3.0
shift = 0.5
real = 7.0


def helper(x):
    return x * factor


def strings(x):
    table = {"helper": x, "np": 1, "factor": "factor of np"}
    return table["helper"] * len(table["factor"]) + len('helper(x) "np"')


def keywords(x):
    named = dict(_scale=2.0, helper=x, np=1.0)  # noqa: C408
    return named["_scale"] * helper(x=named["helper"]) + _scale + named["np"]


def locals_that_shadow(x):
    factor = x + 1
    for shift in range(3):
        factor = factor + shift
    return helper(factor)


def arguments_that_shadow(x, helper=1.0, *, factor=factor):
    return x * helper * factor


def nested(x):
    def inner(factor, *, by=shift):
        return helper(factor) + by

    def other(helper):
        return helper * factor

    return inner(x) + other(x) + (lambda shift: shift + factor)(x) + (lambda y=factor: y)()


def comprehensions(x):
    a = [factor * shift for shift in range(3)]
    b = {factor: factor + shift for factor in [shift, factor]}
    c = sum(helper(y) for row in [[factor]] for y in row if y > shift)
    d = {helper(helper_) for helper_ in (factor,)}
    return x + sum(a) + sum(b) + sum(b.values()) + c + sum(d) + sum([last := y for y in (1.0, 2.0)]) + last


def texts_with_values(x):
    return x + len(f"{factor} factor {helper(shift):.{int(factor)}f} {x!r:>{len('helper')}}")


def defaults(x, by=factor, *, also=-shift, both=(shift, [factor])):
    return x * by + also + both[0] + both[1][0]


def attributes(x):
    shown = np.float64(x)
    shown = shown.real + real
    return shown + np.e + math.factorial(3) + add(shown, factor)


def patterns(x):
    match {"factor": x}:
        case {"factor": factor, **shift}:
            return helper(factor) + len(shift)
    return x


def handlers(x):
    import math as factor

    try:
        raise ValueError("helper")
    except ValueError as helper:
        return x + len(str(helper)) + factor.pi


def annotated(x):
    y: factor = helper(x)
    return y


def recursive(x):
    return x if x < shift else recursive(x - 1)


CASES = [
    strings,
    keywords,
    locals_that_shadow,
    arguments_that_shadow,
    nested,
    comprehensions,
    texts_with_values,
    defaults,
    attributes,
    patterns,
    handlers,
    annotated,
    recursive,
]


def run_alone(kernels, name):
    """The function of that name, from the emitted text with nothing but NumPy and the standard library."""
    space = {"np": np}
    exec("".join(f"import {module} as {name}\n" for name, module in kernels.modules.items()), space)
    exec("\n\n".join(kernels.parts.values()), space)
    return space[name]


@pytest.mark.parametrize("function", CASES)
def test_the_text_gives_what_the_function_gives(function):
    kernels = Kernels()
    alone = run_alone(kernels, kernels.add(function, "f"))
    for x in (1.5, -2.0):
        assert alone(x) == function(x)


def test_only_what_is_read_of_the_module_is_named_otherwise():
    kernels = Kernels()
    text = kernels.parts[kernels.add(keywords, "f")]
    assert "dict(_scale=2.0, helper=x, np=1.0)" in text
    assert "_helper(x=named['helper']) + _scale + named['np']" in text
    assert kernels.parts["factor"] == "factor = 3.0"
    assert ast.parse(text).body[0].name == "_keywords"


def test_constants_and_modules_of_the_same_name_stay_apart():
    kernels = Kernels()
    assert kernels._value(1.0, "limit") == "limit"
    assert kernels._value(2.0, "limit") == "limit_"
    assert kernels._value(1.0, "limit") == "limit"
    assert kernels._value(math, "m") == "m"
    assert kernels._value(ast, "m") == "m_"
    assert kernels.modules == {"m": "math", "m_": "ast"}


def hides_numpy(x):
    np = x
    return add(np, 1.0)


def hides_helper(x):
    _helper = 2.0
    return helper(x) * _helper


def binds_outside(x):
    global factor
    factor = x
    return x


def holds_a_class(x):
    class Inner:
        factor = x

    return Inner.factor


@pytest.mark.parametrize("function", [hides_numpy, hides_helper, binds_outside, holds_a_class])
def test_what_cannot_be_linked_rightly_is_not_written(function):
    kernels = Kernels()
    with pytest.raises(NotWritable):
        kernels.add(function, "f")
    assert f"_{function.__name__}" not in kernels.parts
