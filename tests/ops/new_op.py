"""A pytest plugin that adds the operations of CONTRIBUTING.md to the library, as if they stood in their files.

``python -m pytest -p tests.ops.new_op -k "versine or sum_of_squares"`` runs what is generated for them.
"""

import linecache
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"

#: By operation, the packages and the file that its block is said to stand in.
HOMES = {
    "versine": ["", ".ops.elementwise", ".ops.elementwise.trigonometric"],
    "sum_of_squares": ["", ".ops.reductions", ".ops.reductions.sums"],
}


def blocks():
    """The Python blocks of the section on operations: for each operation its definition, and its row."""
    section = PAGE.read_text(encoding="utf-8").split("## How to add an operation")[1].split("\n## ")[0]
    found = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return list(zip(HOMES, found[::2], found[1::2], strict=True))


def made(name, text, home):
    """What a text gives as a part of a module of the library, with its source at hand."""
    path = f"<{name} of CONTRIBUTING.md>"
    linecache.cache[path] = (len(text), None, text.splitlines(True), path)
    module = ModuleType(home)
    exec(compile(text, path, "exec"), vars(module))
    return module


def pytest_configure(config):
    from tinygrad_nn import testing
    from tinygrad_nn.core.define import registry

    for name, definition, row in blocks():
        if name in registry:  # the library has it by now
            continue
        file = f"tinygrad_nn{HOMES[name][-1]}"
        op = getattr(made(name, definition, file), name)
        for home in HOMES[name]:
            module = import_module(f"tinygrad_nn{home}")
            setattr(module, name, op)
            module.__all__.append(name)
        cases = import_module(f"tinygrad_nn.testing.cases.{file.split('.')[2]}")
        cases.ROWS = [*cases.ROWS, made(f"{name}_row", row, cases.__name__).row]
        testing.add_row(cases.ROWS[-1])
