"""Modules whose state, outputs and gradients PyTorch computed once: the suite needs no PyTorch.

The cases stand in files `cases_*.py` beside this one, each with a dict `CASES` of names and `Case`s; names are
unique over all files. PyTorch 2.13.0 wrote the files that are kept:

    python -m tests.nn.cases              writes those that are missing
    python -m tests.nn.cases lstm_two     writes these anew

`test_cases.py` builds each module from `tinygrad_nn.nn`, loads the state and compares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

HERE = Path(__file__).parent
FROZEN = HERE.parent / "reference" / "pytorch"


def _call(module: Any, *inputs: Any) -> Any:
    return module(*inputs)


@dataclass(frozen=True)
class Case:
    """A module, what it is called with, and how close the results must be."""

    #: Builds the module; the same text serves `torch.nn` and `tinygrad_nn.nn`. A plain function serves too, as in
    #: ``lambda nn: lambda x: nn.functional.relu(x)``.
    make: Callable[[Any], Any]
    #: Each a shape, for normal numbers of the case's dtype, or a list or array as it is. Floats get gradients.
    inputs: tuple[Any, ...]
    #: How the module is called, for what takes tuples or keywords: ``lambda m, x, h, c: m(x, (h, c))``.
    call: Callable[..., Any] = _call
    train: bool = True
    #: How often it is called; all but the last call only move buffers.
    calls: int = 1
    dtype: str = "float32"
    #: PyTorch gives biases, scales and running averages starting values that hide mistakes: with True all floating
    #: parameters and buffers are drawn anew (`running_var` stays positive).
    shake: bool = True
    rtol: float = field(default=0.0)
    atol: float = field(default=0.0)

    def tolerance(self) -> dict[str, float]:
        """Arguments of `assert_allclose`; without others those of the dtype."""
        small = 1e-5 if self.dtype == "float32" else 1e-10
        return {"rtol": self.rtol or small, "atol": self.atol or small / 5}


def cases() -> dict[str, Case]:
    """All cases of all files by name."""
    found: dict[str, Case] = {}
    for path in sorted(HERE.glob("cases_*.py")):
        rows = import_module(f"tests.nn.{path.stem}").CASES
        assert not found.keys() & rows.keys(), f"{path.name} repeats {found.keys() & rows.keys()}"
        found |= rows
    return found


def flat(results: Any) -> list[Any]:
    """The arrays or tensors in a result, nested as it may be, in their order; None is left out."""
    if isinstance(results, tuple | list):
        return [leaf for part in results for leaf in flat(part)]
    return [] if results is None else [results]


def inputs_of(name: str, case: Case) -> list[np.ndarray]:
    """The arrays that a case is called with: the same at each time."""
    rng = np.random.default_rng(crc32(name.encode()))
    arrays = []
    for given in case.inputs:
        if isinstance(given, tuple):
            arrays.append(rng.standard_normal(given).astype(case.dtype))
        else:
            array = np.asarray(given)
            arrays.append(array.astype(case.dtype) if array.dtype.kind == "f" else array)
    return arrays


def freeze(name: str, case: Case) -> None:
    """Let PyTorch compute a case, and write its file."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(crc32(name.encode()))
    module = case.make(torch.nn)
    stateful = isinstance(module, torch.nn.Module)
    tensors: dict[str, Any] = {}
    if stateful:
        module.to(getattr(torch, case.dtype)).train(case.train)
        if case.shake:
            with torch.no_grad():
                for key, value in module.state_dict().items():
                    if value.is_floating_point():
                        drawn = torch.randn_like(value) * 0.4
                        value.copy_(drawn.abs() + 0.5 if "var" in key else drawn)
        tensors |= {f"state/{key}": value.clone() for key, value in module.state_dict().items()}
    inputs = [torch.from_numpy(array.copy()) for array in inputs_of(name, case)]
    for x in inputs:
        x.requires_grad_(x.is_floating_point())
    with torch.no_grad():
        for _ in range(case.calls - 1):
            case.call(module, *inputs)
    outputs = flat(case.call(module, *inputs))
    upstream = [torch.randn_like(y) for y in outputs if y.requires_grad]
    torch.autograd.backward([y for y in outputs if y.requires_grad], upstream)
    for kind, values in (("input", inputs), ("output", outputs), ("upstream", upstream)):
        tensors |= {f"{kind}/{i}": value.detach().clone() for i, value in enumerate(values)}
    tensors |= {f"input_gradient/{i}": x.grad for i, x in enumerate(inputs) if x.grad is not None}
    if stateful:
        tensors |= {f"gradient/{key}": p.grad for key, p in module.named_parameters() if p.grad is not None}
        tensors |= {f"after/{key}": value.clone() for key, value in module.named_buffers()}
    keys = json.dumps(list(module.state_dict())) if stateful else "null"
    tensors = {key: value.detach().contiguous() for key, value in tensors.items()}
    save_file(tensors, FROZEN / f"{name}.safetensors", metadata={"torch": torch.__version__, "keys": keys})


def freeze_state() -> None:
    """A network's state alone, saved as a user of PyTorch does."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(1)
    module = saved_network(torch.nn)
    x = torch.randn(4, 6)
    for _ in range(3):
        module(x)
    module.eval()
    save_file(module.state_dict(), FROZEN / "a_network.safetensors")
    save_file({"x": x, "y": module(x).detach()}, FROZEN / "a_network_results.safetensors")


def saved_network(nn: Any) -> Any:
    """The network of `freeze_state`."""
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, 3))


def main(names: list[str]) -> None:
    """Write files: those named, else those that are missing."""
    FROZEN.mkdir(exist_ok=True)
    for name, case in cases().items():
        if name in names or (not names and not (FROZEN / f"{name}.safetensors").exists()):
            freeze(name, case)
            print(f"{name}: {(FROZEN / f'{name}.safetensors').stat().st_size:,} bytes")
    if "a_network" in names or not (FROZEN / "a_network.safetensors").exists():
        freeze_state()


if __name__ == "__main__":
    sys.modules["tests.nn.cases"] = sys.modules["__main__"]  # what the files of cases import
    main(sys.argv[1:])
