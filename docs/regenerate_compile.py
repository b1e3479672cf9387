"""Write the emitted code, its table and an error's text into compile.md: ``python docs/regenerate_compile.py``.

The code is that of the page's own block with the network of the lesson. Each of its lines finds its place in the table
by what it computes from what, not by its name, so that the table follows where the compiler's output changes; where it
cannot be followed, this raises.
"""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
import re
import textwrap
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("compile.md")
COMMAND = "written by python docs/regenerate_compile.py"

#: The lesson's formulas, in the order in which the code comes to them.
FORMULAS = {
    "z1": "z1 = x W1ᵀ + b1",
    "a1": "a1 = σ(z1) = 1/(1 + e^(−z1))",
    "z2": "z2 = a1 W2ᵀ + b2",
    "a2": "a2 = σ(z2)",
    "J": "J = −(1/n) Σ [y log a2 + (1 − y) log(1 − a2)] = (1/n) Σ [max(z2, 0) − z2·y + log(1 + e^(−\\|z2\\|))]",
    "dz2": "dz2 = a2 − y, here with the factor α/n",
    "dW2": "dW2 = dz2ᵀ a1",
    "db2": "db2 = Σ dz2",
    "dz1": "dz1 = (dz2 W2)·a1(1 − a1)",
    "dW1": "dW1 = dz1ᵀ x",
    "db1": "db1 = Σ dz1",
    "finite": "(is every number finite?)",
    "W1": "W1 ← W1 − α dW1",
    "b1": "b1 ← b1 − α db1",
    "W2": "W2 ← W2 − α dW2",
    "b2": "b2 ← b2 − α db2",
    "return": "(the result)",
}


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(regenerated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def regenerated(page: str) -> str:
    """The page with what is generated in it as it is now."""
    space = run(page)
    source = space["step"].source
    page = between(page, "error", f"```text\n{folded(space['message'])}\n```")
    page = between(page, "table", table(source))
    return between(page, "listing", f"<!-- fmt: off -->\n```py\n{function_text(source)}\n```\n<!-- fmt: on -->")


def between(page: str, what: str, text: str) -> str:
    """The page with another text between two markers."""
    start, end = f"<!-- {what}: {COMMAND} -->", f"<!-- /{what} -->"
    before, rest = page.split(start)
    return f"{before}{start}\n{text}\n{end}{rest.split(end)[1]}"


def blocks(page: str, language: str = "python") -> list[str]:
    """The page's blocks of code."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def folded(text: str) -> str:
    """Text in lines of the page's width."""
    indents = [line[: len(line) - len(line.lstrip())] for line in text.splitlines()]
    return "\n".join(
        textwrap.fill(line, 118, subsequent_indent=indent) for line, indent in zip(text.splitlines(), indents)
    )


def run(page: str) -> dict[str, Any]:
    """Run what is needed of the page, and give its variables: the compiled `step`, the `message` of the error."""
    first, *others = blocks(page)
    needed = [first, *(code for code in others if "message = str(error)" in code or "Linear(784, 30)" in code)]
    assert len(needed) == 3, "compile.md has one block with the error, and one with the network of the lesson"
    space: dict[str, Any] = {"__name__": "__main__"}
    name = "training.py"  # as which the code's comments name it
    try:
        for code in needed:
            linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(code, name, "exec"), space)  # noqa: S102
    finally:
        linecache.cache.pop(name, None)
    return space


def function_text(source: str) -> str:
    """The function `step` of the source, as it stands there."""
    (function,) = (x for x in ast.parse(source).body if isinstance(x, ast.FunctionDef) and x.name == "step")
    first = min(x.lineno for x in (function, *function.decorator_list)) - 1
    return "\n".join(source.splitlines()[first : function.end_lineno])


# --- which line belongs to which formula -----------------------------------------------------------------------------


class Line:
    """A line of the emitted function: what it reads and which lines made that, and what it writes."""

    def __init__(self, statement: ast.stmt, views: dict[str, str], makers: dict[str, Line]) -> None:
        self.text = " ".join(ast.unparse(statement).split())
        given: list[ast.expr] = []
        self.writes = ""
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            call = statement.value
            outs = [k.value for k in call.keywords if k.arg == "out"]
            given = [*call.args, *(k.value for k in call.keywords if k.arg != "out")]
            out = outs[0] if outs else given.pop()
            assert isinstance(out, ast.Name), self.text
            self.writes = views.get(out.id, out.id)
            given.append(call.func)  # add.reduce
        elif isinstance(statement, ast.Assign):
            (target,) = statement.targets
            assert isinstance(target, ast.Name), self.text
            self.writes = target.id
            given = [statement.value]
        else:
            given = [x for x in ast.walk(statement) if isinstance(x, ast.Name)]
        names = [x.id for y in given for x in ast.walk(y) if isinstance(x, ast.Name)]
        self.reads = [views.get(name, name) for name in names]
        self.made_by = [makers[name] for name in dict.fromkeys(self.reads) if name in makers]

    def ancestors(self) -> list[Line]:
        """All lines that this one needs, itself among them."""
        found: list[Line] = [self]
        for line in found:  # which grows meanwhile
            found += [x for x in line.made_by if x not in found]
        return found


def lines_of(source: str) -> list[Line]:
    """The lines of the function `step`."""
    module = ast.parse(source)
    views: dict[str, str] = {}
    for x in module.body:
        if isinstance(x, ast.Assign) and isinstance(x.value, ast.Attribute) and isinstance(x.value.value, ast.Name):
            views.update({t.id: x.value.value.id for t in x.targets if isinstance(t, ast.Name)})
    (function,) = (x for x in module.body if isinstance(x, ast.FunctionDef) and x.name == "step")
    makers: dict[str, Line] = {}
    lines = []
    for statement in function.body:
        line = Line(statement, views, makers)
        lines.append(line)
        if line.writes:
            makers[line.writes] = line
    return lines


def landmarks(lines: list[Line]) -> dict[str, Line]:
    """For each of the `FORMULAS` the line that completes it."""

    def one(found: list[Line], what: str) -> Line:
        if len(found) != 1:
            raise ValueError(f"the emitted code does not show {what} as one line: {[x.text for x in found]}")
        return found[0]

    def reading(*names: str, among: list[Line]) -> list[Line]:
        return [x for x in among if all(name in x.reads for name in names)]

    found: dict[str, Line] = {}
    for name in ("W1", "b1", "W2", "b2"):
        found[name] = one([x for x in lines if x.writes == name], f"{name} ← {name} − α d{name}")
        found["d" + name] = one(found[name].made_by, f"d{name}")
    found["finite"] = one([x for x in lines if "isfinite" in x.text], "the look at what is not finite")
    forward = [x for x in lines if x not in found.values()]
    found["z1"] = one(reading("b1", among=forward), "z1")
    found["z2"] = one(reading("b2", among=forward), "z2")
    found["dz2"] = one(found["db2"].made_by, "dz2")
    found["dz1"] = one(found["db1"].made_by, "dz1")
    found["a1"] = one([x for x in found["dW2"].made_by if x is not found["dz2"]], "a1")
    difference = one(reading("y", among=found["dz2"].ancestors()), "a2 − y")
    found["a2"] = one(difference.made_by, "a2")
    found["return"] = lines[-1]
    found["J"] = one(lines[-1].made_by, "J")
    return found


def table(source: str) -> str:
    """All lines of the function, each in the row of its formula."""
    lines = lines_of(source)
    found = landmarks(lines)
    rows, placed = ["| the lesson | the code |", "| --- | --- |"], set()
    for name, formula in FORMULAS.items():
        needed = found[name].ancestors() if name != "finite" else [found[name]]
        group = [x for x in lines if x in needed and x not in placed]
        placed.update(group)
        rows.append(f"| {formula} | {'<br>'.join(f'`{x.text}`' for x in group)} |")
    if missing := [x.text for x in lines if x not in placed]:
        raise ValueError(f"these emitted lines belong to no formula: {missing}")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
