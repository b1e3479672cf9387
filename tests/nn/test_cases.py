"""Modules against PyTorch's own numbers, which are kept: state, outputs, gradients and buffers; see `cases`."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinygrad_nn as tg
from tests.nn import cases as frozen
from tinygrad_nn import nn

CASES = frozen.cases()


def contents(name):
    """The arrays of a file by kind, `state`, `input`, ..., and the order of the keys of the state."""
    from safetensors import safe_open

    path = frozen.FROZEN / f"{name}.safetensors"
    kinds = {}
    for key, value in tg.load(path).items():
        kind, _, rest = key.partition("/")
        kinds.setdefault(kind, {})[rest] = value
    with safe_open(path, framework="numpy") as file:
        return kinds, json.loads(file.metadata()["keys"])


def in_order(arrays):
    return [arrays[str(i)] for i in range(len(arrays))]


@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name):
    case = CASES[name]
    kept, keys = contents(name)
    module = case.make(nn)
    stateful = isinstance(module, nn.Module)
    if stateful:
        module.to(case.dtype).train(case.train)
        module.load_state_dict(kept.get("state", {}))
        assert list(module.state_dict()) == keys
        for key, value in module.state_dict().items():
            assert value.dtype == kept["state"][key].dtype, key
            assert value.shape == kept["state"][key].shape, key
    inputs = [tg.tensor(x, requires_grad=x.dtype.kind == "f") for x in in_order(kept["input"])]

    def close(ours, theirs, what):
        assert ours is not None, f"{what} is missing"
        assert ours.dtype == theirs.dtype, what
        assert ours.shape == theirs.shape, what
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), **case.tolerance(), err_msg=what)

    with tg.no_grad():
        for _ in range(case.calls - 1):
            case.call(module, *inputs)
    outputs = frozen.flat(case.call(module, *inputs))
    wanted = in_order(kept["output"])
    assert len(outputs) == len(wanted)
    for i, (ours, theirs) in enumerate(zip(outputs, wanted)):
        close(ours, theirs, f"output {i}")
    recorded = [y for y in outputs if y.requires_grad]
    upstream = in_order(kept["upstream"])
    assert len(recorded) == len(upstream)
    if recorded:
        sum((y * g).sum() for y, g in zip(recorded, upstream)).backward()
    for i, theirs in kept.get("input_gradient", {}).items():
        close(inputs[int(i)].grad, theirs, f"gradient of input {i}")
    if stateful:
        gradients = {key: p.grad for key, p in module.named_parameters() if p.grad is not None}
        assert gradients.keys() == kept.get("gradient", {}).keys()
        for key, theirs in kept.get("gradient", {}).items():
            close(gradients[key], theirs, f"gradient of {key}")
        buffers = dict(module.named_buffers())
        for key, theirs in kept.get("after", {}).items():
            close(buffers[key], theirs, f"{key} afterwards")


def test_every_file_has_its_case():
    files = {path.stem for path in frozen.FROZEN.glob("*.safetensors")}
    assert files == CASES.keys() | {"a_network", "a_network_results"}


def test_files_stay_small():
    sizes = {path.name: path.stat().st_size for path in frozen.FROZEN.glob("*.safetensors")}
    assert {name: size for name, size in sizes.items() if size > 20_000} == {}


@pytest.mark.parametrize("name", CASES)
def test_kept_results_are_those_of_the_installed_torch(name, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    kept, keys = contents(name)
    monkeypatch.setattr(frozen, "FROZEN", tmp_path)
    frozen.freeze(name, CASES[name])
    now, keys_now = contents(name)
    assert keys == keys_now
    assert {kind: values.keys() for kind, values in kept.items()} == {kind: v.keys() for kind, v in now.items()}
    for kind, values in kept.items():
        for key, value in values.items():
            np.testing.assert_allclose(now[kind][key], value, **CASES[name].tolerance(), err_msg=f"{kind} {key}")


def test_a_state_that_pytorch_saved_loads_in_one_line():
    model = frozen.saved_network(nn)
    model.load_state_dict(tg.load(frozen.FROZEN / "a_network.safetensors"))
    results = tg.load(frozen.FROZEN / "a_network_results.safetensors")
    np.testing.assert_allclose(model.eval()(results["x"]).numpy(), results["y"].numpy(), rtol=1e-5, atol=1e-6)
    seen = model.state_dict()["1.num_batches_tracked"]
    assert (seen.item(), seen.shape, seen.dtype) == (3, (), np.int64)


@pytest.mark.parametrize("name", CASES)
def test_compiled_as_eager(name):
    case = CASES[name]
    kept, _ = contents(name)
    inputs = [x.numpy() for x in in_order(kept["input"])]
    upstream = [g.numpy() for g in in_order(kept["upstream"])]
    floats = tuple(i for i, x in enumerate(inputs) if x.dtype.kind == "f")

    def prepared():
        module = case.make(nn)
        if not isinstance(module, nn.Module):
            return module, [], []
        module.to(case.dtype).train(case.train)
        module.load_state_dict(kept.get("state", {}))
        return module, list(module.parameters()), list(module.buffers())

    def made(module, parameters):
        def loss(*inputs):
            outputs = frozen.flat(case.call(module, *inputs))
            recorded = [y for y in outputs if y.dtype.kind == "f"]
            return sum((y * g).sum() for y, g in zip(recorded, upstream)), outputs

        def step(*inputs):
            for p in parameters:
                p.grad = None
            total, outputs = loss(*inputs)
            if parameters:
                total.backward()
            gradients = [p.grad for p in parameters if p.grad is not None]
            return outputs, gradients, tg.grad(lambda *x: loss(*x)[0], floats)(*inputs) if floats else ()

        return step

    results = []
    for wrap in (lambda step: step, tg.compile):
        module, parameters, buffers = prepared()
        step = wrap(made(module, parameters))
        step(*inputs)
        outputs, gradients, of_inputs = step(*inputs)
        results.append([*outputs, *gradients, *frozen.flat(of_inputs), *buffers])
    for eager, compiled in zip(*results, strict=True):
        eager, compiled = (np.asarray(x.numpy() if isinstance(x, tg.Tensor) else x) for x in (eager, compiled))
        assert eager.dtype == compiled.dtype
        np.testing.assert_allclose(compiled, eager, **case.tolerance())
