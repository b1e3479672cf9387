"""Whether something else holds a value: told on this Python, and never told wrongly on one that does not count."""

import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tinygrad_nn.core import references

needs_counts = pytest.mark.skipif(references.count_of(1) < 0, reason="this Python does not count exactly")


def loaded():
    """The module, loaded anew."""
    space = {}
    exec(Path(references.__file__).read_text(encoding="utf-8"), space)
    return SimpleNamespace(**space)


@needs_counts
def test_what_nobody_else_holds_is_told_from_what_is_held():
    array = np.zeros(3)
    assert references.getrefcount(array) == references.count_of(1)
    other = [array]
    assert references.getrefcount(array) == references.count_of(2)
    assert references.getrefcount(other[0]) > references.count_of(1)


@needs_counts
@pytest.mark.parametrize("holders", [1, 2, 3])
def test_attributes_are_held_elsewhere_only_by_more_holders(holders):
    owner = SimpleNamespace(value=np.zeros(3))
    others = [owner.value for _ in range(holders - 1)]
    assert len(others) == holders - 1
    assert not references.is_held_elsewhere(owner, "value", holders)
    more = owner.value
    assert references.is_held_elsewhere(owner, "value", holders)
    del more
    assert not references.is_held_elsewhere(owner, "value", holders)


@needs_counts
def test_a_base_is_held_by_its_view_alone():
    view = np.arange(6)[1:]
    assert not references.is_held_elsewhere(view, "base", 1)
    base = view.base
    assert references.is_held_elsewhere(view, "base", 1)
    assert base is view.base


OTHERS = {
    "3.14": {"version_info": (3, 14, 0, "final", 0)},
    "3.15": {"version_info": (3, 15, 0, "final", 0)},
    "free-threaded": {"version": "3.13.0 experimental free-threading build (main)"},
    "without the GIL": {"_is_gil_enabled": lambda: False},
    "another": {"implementation": SimpleNamespace(name="pypy")},
}


@pytest.mark.parametrize("python", OTHERS)
def test_where_counts_are_not_exact_everything_is_shared(python, monkeypatch):
    for name, value in OTHERS[python].items():
        monkeypatch.setattr(sys, name, value, raising=False)
    module = loaded()
    owner = SimpleNamespace(value=np.zeros(3))
    assert module.is_held_elsewhere(owner, "value", 1)
    assert module.is_held_elsewhere(owner, "value", 100)
    assert module.getrefcount(owner.value) > module.count_of(1)


def test_a_python_that_does_not_count_at_all(monkeypatch):
    monkeypatch.setattr(sys, "implementation", SimpleNamespace(name="another"))
    monkeypatch.delattr(sys, "getrefcount")
    module = loaded()
    assert module.is_held_elsewhere(SimpleNamespace(value=1), "value", 1)


STEP = """
    import sys
    import numpy as np

    {before}
    import tinygrad_nn as tg

    @tg.op
    def kept(x):
        return x * 2

    kept.derivatives(lambda g, out, x: g * 2)
    w = tg.tensor(np.arange(5000.0), requires_grad=True)
    optimizer = tg.optim.Adam([w], lr=0.1)

    @tg.compile
    def step(x):
        optimizer.zero_grad()
        loss = (kept(w) * x * w).sum()
        loss.backward()
        optimizer.step()
        return loss

    copies = 0

    def counted(made):
        def count(*args):
            global copies
            copies += 1
            return made(*args)

        return count

    losses, held = [], []
    for i in range(5):
        losses.append(step(np.ones(5000)).item())
        if i == 2:
            known = step._entries[-1].call.__globals__
            for name in ("private", "private_entry"):
                known[name] = counted(known[name])
        if i == 3:
            held.append((w._value, w._value.copy()))
    assert all(np.array_equal(a, b) for a, b in held), "what somebody holds was written to"
    print(copies, *losses)
"""


def run(before=""):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(STEP).format(before=before)], capture_output=True, text=True, check=True
    )
    copies, *losses = map(float, done.stdout.split())
    return copies, losses


@needs_counts
def test_compiled_steps_copy_only_what_is_held():
    copies, _ = run()
    assert copies == 1  # the value that `held` holds, in the step after


def test_where_counts_are_not_exact_a_compiled_step_is_right_all_the_same():
    copies, losses = run("sys.version_info = (3, 14, 0, 'final', 0)")
    assert losses == run()[1]
    assert copies == 6  # the parameter and both of its means, twice
