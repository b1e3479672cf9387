"""Every public name with its kind and how it is called, kept in reference/public_names.txt.

``python -m tests.public_names`` writes the file anew.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import tinygrad_nn as tg

KEPT = Path(__file__).parent / "reference" / "public_names.txt"

NAMESPACES = [
    "tg",
    *("nn", "nn.functional", "nn.init", "nn.utils", "nn.utils.rnn"),
    *("optim", "optim.lr_scheduler"),
    *("data", "data.transforms", "training", "testing", "testing.strategies", "random", "linalg"),
]

#: What users call by syntax.
CALLED = {f"__{name}__" for name in ("init", "call", "enter", "exit", "getitem", "setitem", "iter", "next", "len")}


def namespace(name: str) -> ModuleType:
    """The module that users reach as ``tg.name``; "tg" is the library."""
    found: Any = tg
    for part in name.split(".") if name != "tg" else ():
        found = getattr(found, part)
    return found


def names_of(module: ModuleType) -> list[str]:
    """Its `__all__`; without one, the public functions and classes that it defines."""
    defined = [k for k, v in vars(module).items() if callable(v) and v.__module__ == module.__name__ and k[0] != "_"]
    return sorted(getattr(module, "__all__", defined))


def everything() -> dict[str, Any]:
    """Each public object by its full name, ``nn.functional.relu``."""
    spaces = {where: namespace(where) for where in NAMESPACES}
    return {f"{where}.{name}": getattr(module, name) for where, module in spaces.items() for name in names_of(module)}


def dump() -> list[str]:
    """The lines of the file, sorted; what a class has from a public base is told of the base alone."""
    lines = []
    public = everything()
    classes = {id(found): found for found in public.values() if isinstance(found, type)}
    for name, found in public.items():
        if not (isinstance(found, type) and ours(found)):
            lines.append(f"{name}: {described(found)}")
            continue
        bases = [base for base in found.__mro__[1:-1] if id(base) in classes or not ours(base)]
        made = signature(found) if "__new__" in vars(found) else ""
        lines.append(f"{name}: class({', '.join(base.__name__ for base in bases)}){made}")
        inherited = members(bases[0]) if bases else {}
        lines += [f"{name}.{key}: {text}" for key, text in members(found).items() if inherited.get(key) != text]
    return sorted(lines)


def ours(found: Any) -> bool:
    return str(getattr(found, "__module__", "")).partition(".")[0] == tg.__name__


def described(found: Any) -> str:
    """The kind of an object, and the signature of what is called."""
    if isinstance(found, ModuleType):
        return "module"
    if isinstance(found, tg.Op):
        inputs = [*found.input_names[:-1], f"*{found.input_names[-1]}"] if found.variadic else [*found.input_names]
        settings = [f"{s}={shown(found.defaults[s])}" if s in found.defaults else s for s in found.setting_names]
        star = ["*"] if settings and not found.variadic else []
        return f"op {found.name}({', '.join([*inputs, *star, *settings])})"
    if found is tg.testing.table:
        return "value dict"  # which grows with each operation; that it has all is tested elsewhere
    if not ours(found):
        return f"value {shown(found)}"
    return f"function{signature(found)}" if callable(found) else f"value of {type(found).__name__}"


def members(kind: type) -> dict[str, str]:
    """What users reach on a class, from the library's own classes among its bases."""
    found = {}
    for name in dir(kind):
        home = next((base for base in kind.__mro__ if name in vars(base)), object)
        if ours(home) and (name[0] != "_" or name in CALLED):
            found[name] = member(vars(home)[name])
    return found


def member(value: Any) -> str:
    if isinstance(value, classmethod | staticmethod):
        return f"{type(value).__name__}{signature(value.__func__)}"
    if inspect.isfunction(value):
        return f"method{signature(value)}"
    if isinstance(value, tg.Op):
        return described(value)
    return "attribute" if hasattr(type(value), "__get__") else f"value {shown(value)}"


def signature(called: Any) -> str:
    """Parameters with their defaults, without annotations."""
    texts, before = [], None
    for p in inspect.signature(called).parameters.values():
        if before is p.POSITIONAL_ONLY and p.kind is not before:
            texts.append("/")
        if p.kind is p.KEYWORD_ONLY and before not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL):
            texts.append("*")
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        texts.append(star + p.name + ("" if p.default is p.empty else f"={shown(p.default)}"))
        before = p.kind
    return f"({', '.join([*texts, '/'] if before is inspect.Parameter.POSITIONAL_ONLY else texts)})"


def shown(value: Any) -> str:
    """A value in a few words that hold no address and no module's path."""
    if isinstance(value, dict | set | frozenset | list | tuple) and len(value) > 4:
        return f"{type(value).__name__} of {len(value)}"
    if getattr(value, "__name__", None):
        return str(value.__name__)
    text = repr(value)
    return type(value).__name__ if re.search(r" at 0x|tinygrad_nn", text) else text


def main() -> None:
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text("\n".join(dump()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
