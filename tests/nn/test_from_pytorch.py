"""What the guide for PyTorch users says of both libraries is so, row by row of its table."""

import inspect
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import data, nn

torch = pytest.importorskip("torch")

PAGE = (Path(__file__).resolve().parents[2] / "docs/from_pytorch.md").read_text(encoding="utf-8")


def test_dtypes():
    assert torch.tensor([1.0]).dtype == torch.float32
    assert tg.tensor([1.0]).dtype == tg.float64
    wide = torch.tensor(1.0, dtype=torch.float64)
    assert (torch.tensor([1.0]) + wide).dtype == torch.float32
    assert (torch.tensor([1]) * torch.tensor([1.0])).dtype == torch.float32
    narrow = tg.tensor([1.0], dtype=tg.float32)
    assert (narrow + tg.tensor(1.0)).dtype == (tg.tensor([1]) * narrow).dtype == tg.float64
    assert (narrow * 2.0).dtype == tg.float32
    with pytest.raises(RuntimeError, match="dtype"):
        torch.nn.Linear(2, 1)(torch.zeros(3, 2, dtype=torch.float64))
    assert nn.Linear(2, 1)(np.zeros((3, 2))).dtype == tg.float64
    for library in (torch, tg):
        with pytest.raises((RuntimeError, TypeError), match="float"):
            library.tensor([1, 2], requires_grad=True)


def test_names():
    for name in ("cat", "permute", "clamp", "gather", "vmap", "inference_mode"):
        assert not hasattr(tg, name), name
    for name in ("concat", "permute_dims", "clip", "take_along_axis"):
        assert hasattr(tg, name), name
    x = tg.zeros((2, 3))
    assert (x.shape, x.ndim, x.size) == ((2, 3), 2, 6)
    assert {name for name in dir(x) if name.endswith("_") and not name.startswith("_")} == {"requires_grad_"}
    assert tuple(torch.Tensor(2, 3).shape) == (2, 3)
    with pytest.raises(TypeError):
        tg.Tensor(2, 3)
    with pytest.raises(TypeError):
        tg.sum(x, dim=1)


OLD = {"size_average", "reduce", "_stacklevel", "out"}


def theirs_by_position(function):
    """Names of what a function of PyTorch's takes by position, up to the first that only old code gives."""
    if function is None:  # PyTorch lacks it
        return []
    try:
        parameters = list(inspect.signature(function).parameters)
    except ValueError:  # written in C++: its docstring begins with the call
        called = re.match(r"\s*\w+\((.*?)\) ->", function.__doc__ or "", re.DOTALL)
        parameters = [part.split("=")[0].strip() for part in called[1].split(",")] if called else []
    parameters = parameters[: next((i for i, name in enumerate(parameters) if name in OLD), None)]
    return [] if "args" in parameters or "*" in parameters else parameters


@pytest.mark.parametrize("name", nn.functional.__all__)
def test_functions_take_pytorchs_arguments_in_its_order(name):
    wanted = theirs_by_position(getattr(torch.nn.functional, name, None)) if name != "flatten" else []
    own = inspect.signature(getattr(nn.functional, name)).parameters.values()
    by_position = [p.name for p in own if p.kind is p.POSITIONAL_OR_KEYWORD]
    wanted = wanted[: next((i for i, each in enumerate(wanted) if name == "huber_loss" and each == "weight"), None)]
    assert by_position[: len(wanted)] == wanted
    first = {"one_hot": "tensor", "flatten": "x"}.get(name, "input")
    assert by_position[0] in {first, "input1", "x1", "anchor", "query"}


def test_settings_by_position():
    scores, labels, weight = np.array([[1.0, 2.0], [0.0, 3.0]]), np.array([0, 1]), np.array([1.0, 3.0])
    ours = nn.functional.cross_entropy(scores, labels, weight)
    theirs = torch.nn.functional.cross_entropy(*map(torch.from_numpy, (scores, labels, weight)))
    assert ours.item() == pytest.approx(theirs.item())
    with pytest.raises(TypeError):
        nn.functional.mse_loss(scores, scores, False)
    assert nn.functional.softmax(input=np.ones((2, 2), np.float32), dim=1, dtype=tg.float64).dtype == tg.float64


def test_what_looks_alike():
    theirs, ours = torch.arange(4).reshape(2, 2), tg.arange(4).reshape(2, 2)
    assert theirs.transpose(0, 1).tolist() == ours.swapaxes(0, 1).tolist() != ours.transpose(0, 1).tolist()
    assert theirs[0].repeat(2).tolist() == tg.tile(ours[0], 2).tolist() != ours[0].repeat(2).tolist()
    assert [len(part) for part in torch.arange(6).split(2)] == [2, 2, 2]
    assert [len(part) for part in tg.split(tg.arange(6), 2)] == [3, 3]
    assert torch.equal(theirs, theirs) is True
    assert tg.equal(ours, ours).shape == (2, 2)
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    _, labels = tg.max(tg.tensor(x), 1)
    assert labels.item() == 4.0
    np.testing.assert_allclose(nn.Softmax()(x[None]).numpy().sum(-1), 1)
    assert type(nn.functional.relu(x)) is np.ndarray
    assert type(nn.ReLU()(x)) is tg.Tensor


def test_what_there_is():
    """The lists name all that there is, and nothing else."""
    text = PAGE[PAGE.index("## What there is") : PAGE.index("## What is not here")]
    lists = dict(re.findall(r"^(\w+)[^:`]*: (.*?)(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL))
    named = {title: re.findall(r"`(\w+)`", each) for title, each in lists.items()}
    public = {
        "Optimizers": tg.optim.__all__, "Schedulers": tg.optim.lr_scheduler.__all__,
        "Transforms": tg.data.transforms.__all__, "nn": nn.__all__,
    }  # fmt: skip
    named["nn"] = named.pop("Layers") + named.pop("Activations") + named.pop("Losses")
    assert named.keys() == public.keys()
    for title, names in named.items():
        assert sorted(names) == sorted(name for name in public[title] if name[0].isupper()), title
    missing = PAGE[PAGE.index("Of `nn`:") :]
    for name in ("Transformer", "Conv3d", "InstanceNorm2d", "Upsample", "EmbeddingBag", "CTCLoss", "LazyLinear"):
        assert not hasattr(nn, name)
        assert re.sub(r"Conv3d|\dd|Linear", "", name) in missing


def test_reductions():
    assert torch.tensor([[1.0, 2.0]]).max(1).indices.tolist() == [1]
    assert tg.max(tg.tensor([[1.0, 2.0]]), axis=1).tolist() == [2.0]
    assert torch.std(torch.tensor([1.0, 2.0])).item() == pytest.approx(0.5**0.5)
    assert tg.std(tg.tensor([1.0, 2.0])).item() == 0.5
    assert tg.std(tg.tensor([1.0, 2.0]), correction=1).item() == pytest.approx(0.5**0.5)


def test_gradients_at_kinks():
    ties = torch.tensor([1.0, 1.0], requires_grad=True)
    ties.max(0).values.backward()
    assert sorted(ties.grad.tolist()) == [0.0, 1.0]
    for axis in (None, 0):
        assert tg.grad(lambda x, axis=axis: tg.max(x, axis=axis))(np.ones(2)).tolist() == [0.5, 0.5]
    theirs, ours = torch.zeros(1, requires_grad=True), tg.zeros(1).requires_grad_()
    torch.where(theirs > 0, torch.sqrt(theirs), 0.0).sum().backward()
    tg.where(ours > 0, tg.sqrt(ours), 0.0).sum().backward()
    assert np.isnan(theirs.grad.item())
    assert ours.grad.item() == 0
    for x in (torch.zeros(2, requires_grad=True), tg.zeros(2).requires_grad_()):
        library = torch if isinstance(x, torch.Tensor) else tg
        (library.relu(x) + library.abs(x)).sum().backward()
        assert x.grad.tolist() == [0, 0]


def test_writes_and_views():
    theirs, ours = torch.zeros(3), tg.zeros(3)
    for x in (theirs, ours):
        head = x[:2]
        head += 1
    assert theirs.tolist() == ours.tolist() == [1, 1, 0]
    with pytest.raises(TypeError, match="derivative would be lost"):
        np.asarray(tg.zeros(2, requires_grad=True))
    with pytest.raises(RuntimeError, match="requires grad"):
        torch.zeros(2, requires_grad=True).numpy()
    with pytest.raises(RuntimeError, match="requires grad"):
        np.exp(torch.zeros(2, requires_grad=True))
    leaf = tg.zeros(2).requires_grad_()
    assert not leaf.numpy().flags.writeable
    assert np.exp(leaf).requires_grad


def test_losses_do_not_broadcast():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        torch.nn.MSELoss()(torch.zeros(3, 1), torch.zeros(3))
    assert found
    with pytest.raises(ValueError, match="not broadcast"):
        nn.MSELoss()(tg.zeros((3, 1)), tg.zeros(3))


def test_weights_go_both_ways(tmp_path):
    from safetensors.torch import load_file, save_file

    path, x = tmp_path / "weights.safetensors", np.ones((1, 3), np.float32)
    theirs, ours = torch.nn.Linear(3, 2), nn.Linear(3, 2)
    save_file(theirs.state_dict(), path)
    ours.load_state_dict(tg.load(path))
    np.testing.assert_allclose(ours(x).numpy(), theirs(torch.from_numpy(x)).detach().numpy(), rtol=1e-6)
    ours = nn.Linear(3, 2)
    tg.save(ours.state_dict(), path)
    theirs.load_state_dict(load_file(path))
    np.testing.assert_allclose(ours(x).numpy(), theirs(torch.from_numpy(x)).detach().numpy(), rtol=1e-6)


def test_what_is_the_same_is_there():
    text = PAGE[PAGE.index("## What is the same") : PAGE.index("## What differs")]
    for name in (
        "parameters",
        "named_parameters",
        "children",
        "apply",
        "train",
        "eval",
        "state_dict",
        "load_state_dict",
    ):
        assert f"`{name}()`" in text or f"`{name}`" in text
        assert hasattr(nn.Module, name)
    for name in ("detach", "requires_grad_", "retain_grad", "register_hook"):
        assert f"`{name}" in text
        assert hasattr(tg.Tensor, name)
    x = tg.ones(2).requires_grad_()
    for _ in range(2):
        (x * x).sum().backward()
    assert x.grad.tolist() == [4, 4]
    tg.optim.SGD([x], lr=0.1).zero_grad()
    assert x.grad is None


class Noisy(data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return tg.random.random()


def test_random_samples_do_not_depend_on_workers():
    def drawn(workers):
        tg.manual_seed(0)
        return [float(x) for batch in data.DataLoader(Noisy(), 2, num_workers=workers) for x in batch]

    assert drawn(0) == drawn(1)
