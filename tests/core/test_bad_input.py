"""Bad input is refused with an error that names the operation, the shapes and dtypes, and the remedy."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn, optim


def leaf(value, dtype=None):
    return tg.tensor(value, dtype=dtype, requires_grad=True)


def refused(kind, *words):
    """The error's kind, and what its message must tell, in any order."""
    return pytest.raises(kind, match="".join(f"(?=[\\s\\S]*{word})" for word in words))


# --- shapes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "compute"),
    [
        ("add", lambda x, y: x + y),
        ("multiply", lambda x, y: x * y),
        ("subtract", lambda x, y: y.numpy() - x),
        ("maximum", tg.maximum),
        ("where", lambda x, y: tg.where(x > 0, x, y)),
        ("less", lambda x, y: x < y),
    ],
)
def test_shapes_that_do_not_broadcast(name, compute):
    x, y = leaf(np.ones((2, 3))), tg.tensor(np.ones(4))
    with refused(ValueError, name, r"\(2, 3\)", r"\(4,\)", "broadcast", "reshape"):
        compute(x, y)


def test_shapes_that_do_not_multiply():
    with refused(ValueError, "matmul", r"\[2, 3\]", r"\[2, 3\]", "float64"):
        leaf(np.ones((2, 3))) @ np.ones((2, 3))


@pytest.mark.parametrize(
    ("name", "compute"),
    [
        ("reshape", lambda x: x.reshape(4, 2)),
        ("broadcast_to", lambda x: tg.broadcast_to(x, (2, 4))),
        ("concat", lambda x: tg.concat([x, np.ones((3, 2))])),
        ("stack", lambda x: tg.stack([x, np.ones((3, 2))])),
        ("einsum", lambda x: tg.einsum("ij,jk->ik", x, np.ones((2, 2)))),
        ("squeeze", lambda x: tg.squeeze(x, axis=0)),
        ("sum", lambda x: x.sum(axis=2)),
        ("permute_dims", lambda x: tg.permute_dims(x, (0, 0))),
    ],
)
def test_other_shape_errors_name_the_operation_and_the_shape(name, compute):
    with refused((ValueError, np.exceptions.AxisError), name, r"\b2, 3\b"):
        compute(leaf(np.ones((2, 3))))


def test_an_index_out_of_bounds():
    with refused(IndexError, "index", r"\[3\]", "5"):
        leaf(np.ones(3))[5]


def test_a_layer_with_the_wrong_number_of_features():
    with refused(ValueError, r"10, 3", r"4"):
        nn.Linear(4, 2)(tg.tensor(np.ones((10, 3)), dtype=tg.float32))


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.BCELoss(), nn.BCEWithLogitsLoss()])
def test_a_column_against_a_row_of_targets(loss):
    predictions, targets = leaf(np.full((5, 1), 0.5)), tg.tensor(np.ones(5))
    with refused(ValueError, r"\(5, 1\)", r"\(5,\)", "not broadcast", "reshape"):
        loss(predictions, targets)
    with refused(ValueError, r"\(5, 1\)", r"\(5,\)"):
        loss(predictions.reshape(5), tg.tensor(np.ones((5, 1))))


# --- types -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8", "bool"])
def test_gradients_of_integers_and_bools(dtype):
    for make in (
        lambda: tg.tensor([1, 0], dtype=dtype, requires_grad=True),
        lambda: tg.tensor([1, 0], dtype=dtype).requires_grad_(),
        lambda: tg.Tensor([1, 0], dtype=dtype, requires_grad=True),
        lambda: nn.Parameter(np.array([1, 0], dtype)),
    ):
        with refused(TypeError, "floating-point", dtype, "float"):
            make()
    with refused(TypeError, "grad", dtype, "float"):
        tg.grad(lambda x: x.sum())(np.array([1, 0], dtype))


def test_what_is_no_number():
    with refused(TypeError, "str"):
        tg.tensor("abc")
    with refused(TypeError, "multiply", "str"):
        leaf(1.0) * "a"
    with refused(TypeError, "add", "None"):
        leaf(1.0) + None
    with refused(ValueError, "cannot make a Tensor"):
        tg.tensor([[1.0, 2.0], [3.0]])


def test_a_list_of_tensors():
    x = leaf(1.0)
    for compute in (lambda: tg.tensor([x, x]), lambda: tg.matmul([x, x], [x, x]), lambda: tg.exp([x, x])):
        with refused(TypeError, "stack"):
            compute()


def test_settings_that_do_not_exist():
    with refused(TypeError, "sum", "axes", "axis"):
        tg.sum(leaf([1.0]), axes=0)
    with refused(TypeError, "sum"):
        tg.sum(leaf([1.0]), 0, axis=0)


# --- backward --------------------------------------------------------------------------------------------------------


def test_backward_from_what_is_no_scalar():
    with refused(RuntimeError, r"\(2,\)", "sum", "mean", "gradient"):
        (leaf([1.0, 2.0]) * 2).backward()


def test_backward_on_a_freed_graph():
    y = tg.exp(leaf(1.0))
    y.backward()
    with refused(RuntimeError, "exp", "retain_graph=True"):
        y.backward()


def test_backward_where_nothing_was_recorded():
    with refused(RuntimeError, "recorded nothing", "requires_grad=True", "no_grad"):
        (tg.tensor(1.0) * 2).backward()
    with tg.no_grad():
        y = leaf(1.0) * 2
    with refused(RuntimeError, "recorded nothing"):
        y.backward()
    with refused(RuntimeError, "recorded nothing"):
        (leaf(1.0) * 2).detach().backward()


def test_a_gradient_of_the_wrong_shape():
    y = leaf([1.0, 2.0]) * 2
    for gradient in (np.ones(3), np.ones((1, 2)), 1.0, tg.tensor([[1.0, 2.0]])):
        with refused(ValueError, "gradient", "shape", r"\(2,\)"):
            y.backward(gradient)
    y.backward(np.ones(2))  # what was refused did no harm


def test_a_gradient_of_the_wrong_dtype():
    y = leaf([1.0, 2.0], dtype="float32") * 2
    for gradient in (np.ones(2), np.ones(2, int), tg.tensor([1.0, 2.0])):
        with refused(TypeError, "gradient", "dtype", "float32", "astype"):
            y.backward(gradient)


def test_setting_a_gradient_that_does_not_fit():
    x = leaf([1.0, 2.0])
    with refused(ValueError, r"\(3,\)", r"\(2,\)"):
        x.grad = np.ones(3)
    with refused(TypeError, "float32", "float64"):
        x.grad = np.ones(2, np.float32)
    assert x.grad is None


# --- writes ----------------------------------------------------------------------------------------------------------


def test_writing_to_a_leaf_that_requires_gradients():
    x = leaf([1.0, 2.0])

    def assign():
        x[0] = 5.0

    def add():
        nonlocal x
        x += 1

    for write in (assign, add):
        with refused(RuntimeError, "leaf", "requires gradients", "no_grad"):
            write()
    np.testing.assert_array_equal(x.numpy(), [1.0, 2.0])


def test_turning_gradients_off_for_a_result():
    with refused(RuntimeError, "multiply", "detach"):
        (leaf(1.0) * 2).requires_grad_(False)


# --- transforms ------------------------------------------------------------------------------------------------------


def test_grad_of_a_function_that_returns_no_scalar():
    def doubled(x):
        return x * 2

    with refused(ValueError, "grad", "doubled", r"\(3,\)", "sum", "jacobian"):
        tg.grad(doubled)(np.ones(3))


@pytest.mark.parametrize("function", [lambda x: "text", lambda x: None, lambda x: x.item(), lambda x: x.numpy()])
def test_grad_of_a_function_that_returns_no_tensor(function):
    with refused(TypeError, "grad", "not a Tensor"):
        tg.grad(function)(2.0)


def test_transforms_name_arguments_that_are_not_there():
    with refused(ValueError, "argnums", "2"):
        tg.grad(lambda x, y: x * y, argnums=2)(1.0, 2.0)


def test_tangents_that_do_not_fit():
    with pytest.raises((ValueError, TypeError), match="tangent"):
        tg.jvp(tg.sin, np.ones(3), np.ones(2))


# --- losses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [0, 10**6]])
@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.NLLLoss()])
def test_labels_out_of_range(loss, labels):
    with refused(ValueError, "labels", r"0 … 2", str(max(labels, key=abs))):
        loss(leaf(np.zeros((2, 3))), np.array(labels))


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.NLLLoss()])
def test_labels_that_are_no_integers(loss):
    with refused(TypeError, "labels", "integers", "float64", "astype"):
        loss(leaf(np.zeros((2, 3))), np.array([0.0, 1.0]))


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.NLLLoss()])
def test_more_labels_than_samples(loss):
    with refused(ValueError, r"\(2, 3\)", r"\(4,\)"):
        loss(leaf(np.zeros((2, 3))), np.array([0, 1, 2, 0]))


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan, np.inf])
def test_probabilities_outside_0_and_1(bad):
    with refused(ValueError, "probabilities", r"\[0, 1\]", "Sigmoid", "BCEWithLogitsLoss"):
        nn.BCELoss()(leaf([0.5, bad]), tg.tensor([1.0, 0.0]))


def test_an_unknown_reduction():
    with refused(ValueError, "reduction", "mean", "'avg'"):
        nn.MSELoss(reduction="avg")


# --- NaN: it passes on, as in NumPy, and can be searched for ----------------------------------------------------------


def test_nan_passes_through_and_does_not_spread():
    x = leaf([np.nan, 2.0])
    y = tg.sin(x) * 2
    assert np.isnan(y.numpy()).tolist() == [True, False]
    y.sum().backward()
    assert np.isnan(x.grad.numpy()).tolist() == [True, False]


def test_maxima_of_nan_are_nan():
    x = tg.tensor([1.0, np.nan, 3.0])
    for result in (x.max(), x.min(), tg.maximum(x, 2.0)[1], x.sum(), x.mean()):
        assert np.isnan(result.item())


def test_nan_is_found_where_it_comes_in():
    with tg.detect_anomaly(), refused(FloatingPointError, "multiply", "1 NaN", "test_bad_input.py"):
        leaf([np.nan, 1.0]) * 2


# --- modules and optimizers ------------------------------------------------------------------------------------------


def test_a_state_that_does_not_fit_changes_nothing():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    before = {key: np.array(value) for key, value in model.state_dict().items()}
    state = {key: value + 1 for key, value in before.items()}
    for spoil, words in (
        (lambda s: s.pop("1.bias"), ["missing", r"1\.bias"]),
        (lambda s: s.update(extra=np.ones(1)), ["unexpected", "extra"]),
        (lambda s: s.update({"1.weight": np.ones((5, 5))}), [r"1\.weight", r"\(5, 5\)", r"\(1, 2\)"]),
    ):
        spoiled = dict(state)
        spoil(spoiled)
        with refused(ValueError, "nothing was loaded", *words):
            model.load_state_dict(spoiled)
        for key, value in model.state_dict().items():
            np.testing.assert_array_equal(value, before[key])


def test_a_computed_tensor_in_the_place_of_a_parameter():
    layer = nn.Linear(2, 2)
    with refused(TypeError, "weight", "Parameter", "no_grad"):
        layer.weight = layer.weight * 2


def test_an_optimizer_without_parameters_and_with_a_negative_rate():
    with refused(ValueError, "parameter"):
        optim.SGD([], lr=0.1)
    with refused(ValueError, "lr"):
        optim.SGD(nn.Linear(2, 2).parameters(), lr=-1.0)


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    tg.save(nn.Linear(3, 2).state_dict(), path)
    return path


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        tg.load(tmp_path / "none.safetensors")


def test_every_cut_and_every_changed_byte_is_noticed(saved):
    whole = saved.read_bytes()
    original = tg.load(saved)
    for length in (0, 4, 8, 20, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with refused(ValueError, "damaged", "model.safetensors"):
            tg.load(saved)
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 60):
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.integers(0, 8)
        saved.write_bytes(changed)
        try:
            loaded = tg.load(saved)
        except ValueError as error:
            assert "damaged" in str(error)
        else:  # a change that means the same, such as of white space in the header
            assert loaded.keys() == original.keys()
            for key, value in loaded.items():
                np.testing.assert_array_equal(value, original[key])


def test_a_file_of_another_kind(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("These are no weights. " * 20)
    with refused(ValueError, "damaged", "notes.txt", "safetensors"):
        tg.load(path)


def test_a_file_of_another_model(saved):
    model = nn.Linear(4, 4)
    before = model.weight.numpy().copy()
    with refused(ValueError, "Linear", "nothing was loaded", r"\(2, 3\)", r"\(4, 4\)"):
        model.load_state_dict(tg.load(saved))
    np.testing.assert_array_equal(model.weight.numpy(), before)


def test_what_a_file_cannot_hold(tmp_path):
    path = tmp_path / "model.safetensors"
    for state in ({"f": print}, nn.Linear(2, 2), {"c": np.ones(2, complex)}):
        with refused(TypeError, "save"):
            tg.save(state, path)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_earlier_file(saved, monkeypatch):
    before = saved.read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        tg.save({"w": np.ones(3)}, saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


KILLED_WHILE_SAVING = """
    import os, signal, sys
    import numpy as np
    import tinygrad_nn as tg

    at = sys.argv[2]
    real = getattr(os, at)

    def killed(*args, **settings):
        if at == "fsync":
            real(*args, **settings)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(os, at, killed)
    tg.save({"w": np.ones(100_000)}, sys.argv[1])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
@pytest.mark.parametrize("at", ["fsync", "replace"])
def test_a_process_killed_while_it_saves_loses_no_earlier_file(saved, at):
    before = saved.read_bytes()
    code = textwrap.dedent(KILLED_WHILE_SAVING)
    environment = {**os.environ, "PYTHONPATH": str(Path(tg.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code, str(saved), at], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert saved.read_bytes() == before
    assert set(tg.load(saved)) == {"weight", "bias"}
