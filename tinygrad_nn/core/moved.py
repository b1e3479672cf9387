"""Modules of earlier releases, by the paths that they had: pickles and programs of then name them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .op import Op

_PACKAGE = __name__.partition(".")[0]


#: Old paths, and after the colon where what they held is found now, or in the package around that;
#: ``{}`` stands for the last name.
MOVED = """
    graph dispatch values errors hints modes: core.{}
    hooks: core.graph
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
    optim.adam_variants optim.adaptive optim.newton: optim
    compiling: compiler
    reading: viewer.common
    reading.calls reading.names reading.recording reading.values: viewer.common.{}
    reading.formulas: core.expression
    drawing: viewer.drawing
    drawing.dot drawing.drawing drawing.fold drawing.heat drawing.model drawing.read: viewer.drawing.{}
    explaining: viewer.derivation
    explaining.arrays explaining.build explaining.builder explaining.derivation: viewer.derivation.{}
    explaining.latex explaining.terms: viewer.derivation.earlier
    explaining.gradients explaining.model explaining.numbers: viewer.derivation.{}
    explaining.rows: viewer.derivation.pullbacks
"""


@cache
def _moved() -> dict[str, str]:
    rows = (line.split(":") for line in MOVED.strip().splitlines())
    return {
        name: f"{_PACKAGE}.{new.strip().replace('{}', name.rpartition('.')[2])}"
        for names, new in rows
        for name in names.split()
    }


class _Finder:
    """Asked last, for what is not there: a module that hands on what has moved."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        package, _, old = fullname.partition(".")
        loader: Any = self
        return ModuleSpec(fullname, loader) if package == _PACKAGE and old in _moved() else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _handing_on(spec.name, _moved()[spec.name.partition(".")[2]])

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do."""


def _handing_on(name: str, new: str) -> ModuleType:
    module = ModuleType(name, f"What was here is in {new} now.")
    module.__path__ = []

    def look_up(attribute: str) -> Any:
        from importlib import import_module

        if attribute.startswith("__"):
            raise AttributeError(attribute)
        module = import_module(new)
        return getattr(module if hasattr(module, attribute) else import_module(new.rpartition(".")[0]), attribute)

    module.__getattr__ = look_up  # type: ignore[method-assign]
    return module


def publish(namespace: dict[str, Any]) -> None:
    """Let the classes and operations of a public namespace say that they are from there: their own files can move."""
    public = namespace["__name__"]
    for name in namespace["__all__"]:
        value = namespace.get(name)
        if type(value) is not Op and type(value) is not type:
            continue
        # What a namespace above offers under its own name stays what that says of it.
        if value.__module__ not in _PUBLISHED and value.__module__.startswith(_PACKAGE):
            value.__module__ = public
    _PUBLISHED.add(public)


_PUBLISHED: set[str] = set()

sys.meta_path.append(_Finder())
# Importing it later would put it in the place of the function of that name.
sys.modules[f"{_PACKAGE}.op"] = _handing_on(f"{_PACKAGE}.op", f"{_PACKAGE}.core.define")
