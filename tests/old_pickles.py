"""Objects that users may have pickled when the package's files lay elsewhere, and what they must be when loaded.

They are kept in reference/old_pickles.json.gz, and what stood in each module then in reference/old_modules.json:

    python -m tests.old_pickles     writes both anew, from the package as it is then, so that older pickles are lost
"""

from __future__ import annotations

import functools
import gzip
import json
import math
import pickle
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import numpy as np
from tinygrad_nn.op import registry

import tinygrad_nn as tg
from tests import public_names
from tests.nn import cases as frozen_cases
from tests.nn.cases import Case, inputs_of
from tinygrad_nn import data, nn, optim, testing, training
from tinygrad_nn.data import transforms
from tinygrad_nn.nn.utils import rnn
from tinygrad_nn.optim import lr_scheduler

REFERENCE = Path(__file__).parent / "reference"
PICKLES = REFERENCE / "old_pickles.json.gz"
MODULES = REFERENCE / "old_modules.json"

# --- modules: those that are frozen, and the others -------------------------------------------------------------------

UNIT = [[0.25, 0.5, 0.125], [0.75, 0.5, 0.875]]
PICTURE = (2, 2, 3, 4)

MORE = {
    **{name: Case(lambda nn, name=name: getattr(nn, name)(), inputs=((2, 3),)) for name in (
        "Dropout", "Flatten", "GELU", "Identity", "LogSoftmax", "Sigmoid", "Softmax", "Tanh",
    )},
    **{name: Case(lambda nn, name=name: getattr(nn, name)(), inputs=((2, 3, 4),)) for name in (
        "AlphaDropout", "Dropout1d",
    )},
    **{name: Case(lambda nn, name=name: getattr(nn, name)(), inputs=((2, 3), UNIT)) for name in (
        "BCEWithLogitsLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss",
    )},
    **{name: Case(lambda nn, name=name: getattr(nn, name)(1), inputs=(PICTURE[1:],)) for name in (
        "CircularPad1d", "ReflectionPad1d", "ReplicationPad1d", "ZeroPad1d",
    )},
    **{name: Case(lambda nn, name=name: getattr(nn, name)((1, 0, 1, 2)), inputs=(PICTURE,)) for name in (
        "CircularPad2d", "ReflectionPad2d", "ReplicationPad2d", "ZeroPad2d",
    )},
    "BCELoss": Case(lambda nn: nn.BCELoss(), inputs=(UNIT, UNIT)),
    "ConstantPad1d": Case(lambda nn: nn.ConstantPad1d(1, 2.0), inputs=(PICTURE[1:],)),
    "ConstantPad2d": Case(lambda nn: nn.ConstantPad2d(1, 2.0), inputs=(PICTURE,)),
    "Dropout2d": Case(lambda nn: nn.Dropout2d(), inputs=(PICTURE,)),
    "Unflatten": Case(lambda nn: nn.Unflatten(1, (1, 3)), inputs=((2, 3),)),
    "Module": Case(lambda nn: nn.Module(), inputs=(), call=lambda m: len(list(m.modules()))),
    "ModuleList": Case(lambda nn: nn.ModuleList([nn.Linear(3, 2)]), inputs=((2, 3),), call=lambda m, x: m[0](x)),
    "ModuleDict": Case(lambda nn: nn.ModuleDict({"a": nn.Tanh()}), inputs=((2, 3),), call=lambda m, x: m["a"](x)),
    "ParameterList": Case(
        lambda nn: nn.ParameterList([nn.Parameter(np.ones(3))]), inputs=((2, 3),), call=lambda m, x: m[0] * x
    ),
    "ParameterDict": Case(
        lambda nn: nn.ParameterDict({"a": nn.Parameter(np.ones(3))}), inputs=((2, 3),), call=lambda m, x: m["a"] * x
    ),
}  # fmt: skip


def cases() -> dict[str, Case]:
    return frozen_cases.cases() | MORE


def modules() -> Iterator[tuple[str, Any]]:
    """Each case whose module is of a public class."""
    for name, case in cases().items():
        made = case.make(nn)
        if isinstance(made, nn.Module) and type(made) is getattr(nn, type(made).__name__, None):
            yield f"module {name}", made.to(case.dtype).train(case.train)


# --- other objects ----------------------------------------------------------------------------------------------------


def network() -> Any:
    return nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))


def closure(model: Any, *, backward: bool) -> Any:
    """The loss of a network, as `step` takes it."""
    loss = (model(np.float32(UNIT)) ** 2).sum()
    if backward:
        loss.backward()
    return loss


def step(optimizer: Any, model: Any) -> None:
    optimizer.zero_grad()
    optimizer.step(functools.partial(closure, model, backward=not isinstance(optimizer, optim.NewtonCG)))


def optimizers() -> Iterator[tuple[str, Any]]:
    """Each after a step, with the network that it trains."""
    for name in optim.__all__:
        if name not in ("Optimizer", "lr_scheduler"):
            model = network()
            optimizer = getattr(optim, name)(model.parameters())
            step(optimizer, model)
            yield f"optimizer {name}", (optimizer, model)


def schedulers() -> Iterator[tuple[str, Any]]:
    """Each after a step."""
    s = lr_scheduler
    makers = {
        "ChainedScheduler": lambda o: s.ChainedScheduler([s.ConstantLR(o), s.ExponentialLR(o, 0.9)]),
        "ConstantLR": s.ConstantLR,
        "CosineAnnealingLR": lambda o: s.CosineAnnealingLR(o, 5),
        "CosineAnnealingWarmRestarts": lambda o: s.CosineAnnealingWarmRestarts(o, 3),
        "CyclicLR": lambda o: s.CyclicLR(o, 0.01, 0.2, step_size_up=3),
        "ExponentialLR": lambda o: s.ExponentialLR(o, 0.9),
        "LambdaLR": lambda o: s.LambdaLR(o, math.exp),
        "LinearLR": s.LinearLR,
        "MultiStepLR": lambda o: s.MultiStepLR(o, [1, 3]),
        "MultiplicativeLR": lambda o: s.MultiplicativeLR(o, math.exp),
        "OneCycleLR": lambda o: s.OneCycleLR(o, 0.5, 20),
        "PolynomialLR": s.PolynomialLR,
        "ReduceLROnPlateau": s.ReduceLROnPlateau,
        "SequentialLR": lambda o: s.SequentialLR(o, [s.ConstantLR(o), s.StepLR(o, 2)], [2]),
        "StepLR": lambda o: s.StepLR(o, 2),
    }
    for name, make in makers.items():
        model = network()
        scheduler = make(optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
        forward(scheduler)
        yield f"scheduler {name}", scheduler


def forward(scheduler: Any) -> None:
    scheduler.optimizer.step()
    scheduler.step(*[1.0] * isinstance(scheduler, lr_scheduler.ReduceLROnPlateau))


def tensors() -> Iterator[tuple[str, Any]]:
    values = np.random.default_rng(0).standard_normal((2, 3)) * 4
    for dtype in ("float16", "float32", "float64", "int8", "int64", "uint8", "bool"):
        yield f"tensor {dtype}", tg.tensor(np.abs(values).astype(dtype))
    yield "tensor leaf", tg.tensor(values, requires_grad=True, name="w")
    yield "tensor scalar", tg.tensor(2.5)
    yield "tensor parameter", nn.Parameter(values.astype(np.float32))
    yield "tensor packed", rnn.pack_sequence([tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0, 5.0])], enforce_sorted=False)
    yield "generator", tg.random.default_rng(0)


def datasets() -> Iterator[tuple[str, Any]]:
    pairs = data.TensorDataset(np.arange(12.0).reshape(6, 2), np.arange(6))
    pictures = np.random.default_rng(0).random((3, 1, 4, 5), np.float32)
    rng = tg.random.default_rng(1).numpy_generator
    shuffled = data.RandomSampler(pairs, generator=rng)
    yield "dataset TensorDataset", pairs
    yield "dataset Subset", data.Subset(pairs, [4, 0])
    yield "dataset ConcatDataset", data.ConcatDataset([pairs, pairs])
    yield "dataset Digits", data.Digits(pictures, np.arange(3), classes=("a", "b", "c"), split="train")
    yield "dataset Transformed", data.Transformed(data.TensorDataset(pictures), transforms.Normalize([0.5], [0.25]))
    yield "dataset augmented", data.augment(data.TensorDataset(pictures), transforms.RandomShift(1))
    yield "dataset DataLoader", data.DataLoader(pairs, 2, shuffle=True, generator=rng)
    yield "sampler SequentialSampler", data.SequentialSampler(pairs)
    yield "sampler RandomSampler", shuffled
    yield "sampler BatchSampler", data.BatchSampler(shuffled, 4, False)
    yield "sampler SubsetRandomSampler", data.SubsetRandomSampler([1, 3, 5])
    yield "sampler WeightedRandomSampler", data.WeightedRandomSampler([1.0, 2.0, 3.0], 5)
    yield "data WorkerInfo", data.WorkerInfo(0, 2, 1, pairs)
    yield "data FetchError", data.FetchError("no network")


def pictured() -> Iterator[tuple[str, Any]]:
    t = transforms
    for made in (
        t.CenterCrop(2), t.Compose([t.Pad(1), t.RandomVerticalFlip()]), t.Flatten(), t.GaussianNoise(),
        t.Lambda(np.negative), t.Normalize([0.5], [0.25]), t.Pad(1), t.RandomAffine(10, (0.1, 0.1)),
        t.RandomApply([t.RandomHorizontalFlip()]), t.RandomCrop(3), t.RandomHorizontalFlip(), t.RandomRotation(20),
        t.RandomShift(1), t.RandomVerticalFlip(), t.ToDtype(np.float64), t.ToTensor(), t.Transform(),
    ):  # fmt: skip
        yield f"transform {type(made).__name__}", made


def others() -> Iterator[tuple[str, Any]]:
    model = network()
    metrics = {"accuracy": functools.partial(training.accuracy, threshold=0.5)}
    trainer = training.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()), metrics)
    x = tg.tensor(2.0, requires_grad=True, name="x")
    hooked = nn.Linear(2, 2)
    hooked.register_forward_hook(print)
    yield "training History", training.History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    yield "training EarlyStopping", training.EarlyStopping("loss", patience=3)
    yield "training Trainer", trainer
    yield "testing Domain", testing.Domain(low=-1.0, avoid=(0.0,))
    yield "testing Row", testing.row_of("add")
    yield "testing Case", next(iter(testing.op_cases("multiply")))
    yield "testing Program", testing.strategies.Program((np.ones(3),), (("sin", (0,)), ("multiply", (0, 1))))
    yield "module hooked", hooked
    yield "hook", hooked.register_forward_pre_hook(print)
    yield "mode no_grad", tg.no_grad()
    yield "mode enable_grad", tg.enable_grad()
    yield "mode detect_anomaly", tg.detect_anomaly()
    yield "drawing", tg.draw(x * x)
    yield "derivation", tg.explain(x * x, x)


def references() -> dict[str, Any]:
    """What is pickled as the place where it stands: public classes, functions and operations, and all operations."""
    found = {f"reference {k}": v for k, v in public_names.everything().items() if public_names.ours(v) and callable(v)}
    return found | {f"reference op {key}": op for key, op in registry.items() if op.own}


def objects() -> Iterator[tuple[str, Any]]:
    for part in (tensors, modules, optimizers, schedulers, datasets, pictured, others):
        tg.manual_seed(0)
        yield from part()


# --- what an object is ------------------------------------------------------------------------------------------------


def described(name: str, found: Any) -> dict[str, Any]:
    """What is seen of a loaded object, as a flat dict of texts and numbers."""
    tg.manual_seed(0)
    chained = type(found) is lr_scheduler.ChainedScheduler  # whose text cannot be told
    text = " at 0x" if chained else repr(found)
    seen = {"type": type(found).__name__, "does": does(name, found)}
    return dict(flat(seen if " at 0x" in text else {**seen, "repr": text}))


def does(name: str, found: Any) -> Any:
    """What an object holds, and gives when it is used."""
    kind, _, label = name.partition(" ")
    if kind == "module" and label in cases():
        case = cases()[label]
        inputs = [tg.tensor(x) for x in inputs_of(label, case)]
        return found.training, case.call(found, *inputs), found.state_dict()
    if kind == "optimizer":
        step(*found)
        return found[0].state_dict(), found[1].state_dict()
    if kind == "scheduler":
        forward(found)
        return found.state_dict(), found.get_last_lr()
    if kind == "sampler" or label == "DataLoader":
        return list(found)
    if kind == "dataset":
        return [found[i] for i in range(len(found))]
    if kind == "transform" and type(found) is not transforms.Transform:
        return found(np.random.default_rng(0).random((1, 4, 4), np.float32))
    if isinstance(found, tg.Tensor):
        return found, found.name, found.requires_grad
    if isinstance(found, tg.random.Generator):
        return found.normal(size=3)
    if isinstance(found, training.Trainer):
        batches = data.DataLoader(data.TensorDataset(np.float32(UNIT), np.ones((2, 1), np.float32)), 2)
        history = found.fit(batches, epochs=2, progress=False)
        return history["loss"], history["accuracy"]
    if isinstance(found, training.History):
        return found.rows, str(found)
    if isinstance(found, testing.Domain):
        return found.sample(np.random.default_rng(0), (3,))
    return found if isinstance(found, tuple) else getattr(found, "text", None)


def flat(found: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves by their path; of an array its dtype, shape and two sums, of which one tells places apart."""
    if isinstance(found, list | tuple):
        found = dict(enumerate(found))
    if isinstance(found, tg.Tensor | np.ndarray | np.generic):
        array = np.asarray(found.numpy() if isinstance(found, tg.Tensor) else found)
        yield path, f"{array.dtype}{list(array.shape)}"
        values = array.astype(np.float64).ravel()
        yield f"{path}/sum", float(values.sum())
        yield f"{path}/wave", float(values @ np.cos(np.arange(values.size)))
    elif isinstance(found, Mapping):
        for key, part in found.items():
            yield from flat(part, f"{path}/{key}")
    else:
        yield path, found if isinstance(found, int | float | str | None) else type(found).__name__


# --- files ------------------------------------------------------------------------------------------------------------


def stored() -> dict[str, tuple[bytes, dict[str, Any] | None]]:
    """Pickle and description by name; references need none."""
    kept = json.loads(gzip.decompress(PICKLES.read_bytes()))
    return {name: (text.encode("latin-1"), seen) for name, (text, seen) in kept.items()}


def old_modules() -> dict[str, dict[str, str | None]]:
    """By module its own classes, functions and operations without an underscore, and their public names."""
    public = {id(found): name for name, found in public_names.everything().items()}
    paths = [tg.__name__, *(module.name for module in walk_packages(tg.__path__, f"{tg.__name__}."))]
    return {
        path: {
            name: public.get(id(found))
            for name, found in sorted(vars(import_module(path)).items())
            if name[0] != "_" and callable(found) and getattr(found, "__module__", None) == path
        }
        for path in sorted(paths)
    }


def main() -> None:
    pickles = {}
    for name, found in objects():
        made = pickle.dumps(found)
        pickles[name] = made.decode("latin-1"), described(name, pickle.loads(made))  # noqa: S301
    for name, found in references().items():
        try:
            pickles[name] = pickle.dumps(found).decode("latin-1"), None
        except (AttributeError, pickle.PicklingError):
            print(f"{name} cannot be pickled")
    REFERENCE.mkdir(exist_ok=True)
    PICKLES.write_bytes(gzip.compress(json.dumps(pickles).encode(), mtime=0))
    MODULES.write_text(json.dumps(old_modules(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
