"""Modules of earlier releases, by the paths that they had: pickles and programs of then name them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .op import Op

_PACKAGE = __name__.partition(".")[0]


def _table(text: str) -> dict[str, str]:
    rows = (line.split(":") for line in text.strip().splitlines())
    return {name: new.strip() for names, new in rows for name in names.split()}


#: Where what they held is found now; nothing after the colon is the public root.
MOVED = _table("""
    graph dispatch values errors hints hooks modes: core.{}
    op: core.define
    reads: core.saved
    autodiff.reverse: core.reverse
    autodiff.tree: core.tree
    ops.adjoint: core.adjoint
    ops.activation ops.arithmetic ops.choice ops.comparison ops.exponential ops.trigonometric: ops.elementwise
    ops.kinds: ops.elementwise.kinds
    ops.reduction ops.cumulative ops.extremes ops.softmax ops.sums: ops.reductions
    ops.axes: ops.reductions.axes
    ops.shape ops.joining ops.layout ops.repeating: ops.shapes
    ops.indexing: ops.shapes.indexing
    ops.rows: ops.shapes.rows
    ops.contraction: ops.linalg
    ops.adaptive ops.convolution ops.loss ops.neural ops.normalization ops.pooling: ops.layers.{}
    ops.recurrent ops.recurrent_gru ops.recurrent_lstm ops.window: ops.layers.{}
    methods numpy_protocol creation: tensor.{}
    draws: tensor.sampling
    io: tensor.files
    control: autodiff.control
    nn._activations nn._attention nn._convolutions nn._dropouts nn._embeddings nn._losses: nn.functional
    nn._more_losses nn._norms nn._padding nn._poolings: nn.functional
    nn.activation nn.attention nn.conv nn.dropout nn.embedding nn.linear nn.loss nn.normalization: nn
    nn.padding nn.parameters nn.pooling nn.rnn nn.rnn_cell: nn
    optim.adam_variants optim.adaptive: optim
    compiling: compiler
    reading: viewer.common
    reading.calls reading.names reading.recording reading.values: viewer.common.{}
    reading.formulas: core.expression
    drawing: viewer.drawing
    drawing.dot drawing.drawing drawing.fold drawing.heat drawing.model drawing.read: viewer.drawing.{}
    explaining: viewer.derivation
    explaining.arrays explaining.build explaining.builder explaining.derivation: viewer.derivation.{}
    explaining.latex explaining.terms: viewer.derivation.earlier
    explaining.gradients explaining.model explaining.numbers explaining.rows: viewer.derivation.{}
""")


class _Finder:
    """Asked last, for what is not there: a module that hands on what has moved."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        package, _, old = fullname.partition(".")
        loader: Any = _Loader() if package == _PACKAGE and old in MOVED else None
        return loader and ModuleSpec(fullname, loader)


class _Loader:
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _handing_on(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do."""


def _handing_on(name: str) -> ModuleType:
    old = name.partition(".")[2]
    new = f"{_PACKAGE}.{MOVED[old]}".rstrip(".").replace("{}", old.rpartition(".")[2])
    module = ModuleType(name, f"What was here is in {new} now.")
    module.__path__ = []

    def look_up(attribute: str) -> Any:
        from importlib import import_module

        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return getattr(import_module(new), attribute)

    module.__getattr__ = look_up  # type: ignore[method-assign]
    return module


def publish(namespace: dict[str, Any]) -> None:
    """Let the classes and operations of a public namespace say that they are from there: their own files can move."""
    public = namespace["__name__"]
    for name in namespace["__all__"]:
        value = namespace.get(name)
        module = getattr(value, "__module__", "")
        # What a namespace above offers under its own name stays what that says of it.
        if isinstance(value, type | Op) and module.startswith(_PACKAGE) and module not in _published:
            value.__module__ = public
    _published.add(public)


_published: set[str] = set()

sys.meta_path.append(_Finder())
# Importing it later would put it in the place of the function of that name.
sys.modules[f"{_PACKAGE}.op"] = _handing_on(f"{_PACKAGE}.op")
