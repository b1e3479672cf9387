"""What users of PyTorch type, and what they are told: names that are not here, wrong calls of layers and losses."""

import pickle
import re

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn, optim
from tinygrad_nn.core import hints
from tinygrad_nn.nn.utils.rnn import pack_sequence, pad_packed_sequence

F = nn.functional


def follow(text):
    """Everything that a text names in this package is there."""
    for path in re.findall(r"\btg\.((?:\w+\.)*\w+)", text):
        found = tg
        for name in path.split("."):
            found = getattr(found, name)


@pytest.mark.parametrize("name", hints.OF_TENSOR)
def test_a_tensor_says_what_to_write_for(name):
    t = nn.Parameter([1.0])
    assert not hasattr(t, name)
    assert name not in dir(t)
    with pytest.raises(AttributeError, match=re.escape(f"Tensor has no {name!r}; here write {hints.OF_TENSOR[name]}")):
        getattr(t, name)
    with pytest.raises(AttributeError, match="here write"):
        setattr(t, name, 1)
    follow(hints.OF_TENSOR[name])


@pytest.mark.parametrize("name", hints.OF_MODULE)
def test_the_package_says_what_to_write_for(name):
    assert not hasattr(tg, name)
    with pytest.raises(AttributeError, match="here write"):
        getattr(tg, name)
    follow(hints.OF_MODULE[name])


def test_hints_are_only_for_names_of_pytorch():
    torch = pytest.importorskip("torch")
    assert [name for name in hints.OF_TENSOR if not hasattr(torch.Tensor, name)] == []
    assert [name for name in hints.OF_MODULE if not hasattr(torch, name)] == []


def test_other_names_are_missing_as_ever():
    with pytest.raises(AttributeError, match="no attribute 'nosuchname'$"):
        tg.nosuchname
    with pytest.raises(AttributeError, match="no attribute 'nosuchname'"):
        tg.ones(1).nosuchname
    assert "__getattr__" not in vars(tg.Tensor)  # which would slow each look-up of a slot that is not set


X = np.ones((4, 3, 5), np.float32)
SCORES = np.zeros((4, 3), np.float32)
LABELS = np.array([0, 1, 2, 0])


def lstm():
    return nn.LSTM(5, 4)


def packed():
    return pack_sequence([tg.ones((3, 5)), tg.ones((1, 5))])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tg.mean(tg.ones(3), dim=0), TypeError, "'dim' is called 'axis' here"),
        (lambda: tg.sum(tg.ones(3), 0, keepdim=True), TypeError, "'keepdim' is called 'keepdims' here"),
        (lambda: tg.tensor(X).transpose(1, 2), ValueError, r"to exchange two of them: swapaxes\(1, 2\)"),
        (lambda: tg.zeros(2, 3), TypeError, r"the shape is given as one tuple, \(2, 3\)"),
        (lambda: nn.Linear(4, 1)(lstm()(X)), TypeError, r"of \(output, state\), .* take \[0\]"),
        (lambda: F.cross_entropy(lstm()(X), LABELS), TypeError, r"of \(output, state\), .* take \[0\]"),
        (lambda: nn.Conv2d(3, 1, 3)(lstm()(X)), TypeError, r"take \[0\]"),
        (lambda: nn.Linear(5, 2)(packed()), TypeError, r"PackedSequence is no array; take its \.data, or pad it"),
        (lambda: nn.Linear(5, 2)([tg.ones(5), tg.ones(5)]), TypeError, r"a list of Tensors .* tg\.stack"),
        (lambda: nn.GRU(5, 4)(X, (X, X)), TypeError, "GRU: the first states are given as one array h"),
        (lambda: lstm()(X, (X, X, X)), TypeError, r"a pair \(h, c\), not as tuple of 3"),
        (lambda: lstm()(X, ((X, X), X)), TypeError, "not in a tuple of 2"),
        (lambda: pad_packed_sequence(X), TypeError, "takes a PackedSequence, not ndarray"),
        (lambda: nn.GRU(5, 4)([1, 2, 3]), ValueError, r"the input must be \(steps, batch, in\)"),
        (lambda: nn.RNNCell(5, 4)([1.0]), ValueError, r"input must be \(5,\)"),
        (lambda: nn.Embedding(5, 2)([7]), IndexError, "^embedding: the numbers of rows must be in 0 … 4"),
        (lambda: F.cross_entropy(SCORES, LABELS + 1), ValueError, r"cross_entropy: labels must be in 0 … 2"),
        (lambda: nn.Linear(15, 2)(X), ValueError, r"nn\.Flatten\(\) before"),
        (lambda: F.cross_entropy(SCORES, np.eye(3, dtype=int)[LABELS]), ValueError, r"labels\.argmax\(1\)"),
        (lambda: F.cross_entropy(X, np.zeros((4, 3), int)), ValueError, r"tg\.moveaxis\(scores, -1, 1\)"),
        (lambda: nn.CrossEntropyLoss(SCORES, LABELS), TypeError, r"nn\.CrossEntropyLoss\(\)\(input, target\)"),
        (lambda: nn.NLLLoss(SCORES), TypeError, "NLLLoss: weight must be a number for each class"),
        (lambda: nn.MultiMarginLoss(weight=SCORES), TypeError, "MultiMarginLoss: weight"),
        (lambda: nn.MultiLabelSoftMarginLoss(SCORES), TypeError, "MultiLabelSoftMarginLoss: weight"),
        (lambda: nn.CrossEntropyLoss(None, False), TypeError, "ignore_index must be a label, not bool"),
        (lambda: nn.MSELoss(SCORES), TypeError, "reduction must be one of .*, not ndarray; a loss module is made"),
        (lambda: nn.BCELoss(nn.Linear(5, 1)(X)), TypeError, "BCELoss: weight must be given numbers, not a result"),
        (lambda: nn.BCELoss(None, X), TypeError, "reduction must be one of"),
        (lambda: nn.Parameter(X, np.float64), TypeError, "requires_grad is a bool, .* give dtype= by name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_linear_layer_that_nothing_would_make_fit_gets_no_advice():
    with pytest.raises(ValueError, match="must be as long") as raised:
        nn.Linear(7, 2)(X)
    assert "Flatten" not in str(raised.value)


def test_an_error_names_the_place_in_nested_sequentials():
    network = nn.Sequential(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(3, 2)), nn.Tanh())
    with pytest.raises(ValueError, match="linear") as raised:
        network(X)
    inner, outer, whole = raised.value.__notes__
    assert inner.endswith("bias=True), module '2' of the Sequential")
    assert outer == "in Sequential(), module '0' of the Sequential"
    assert whole == "in Sequential()"


@pytest.mark.parametrize("write", [np.savez, pickle.dump])
def test_files_of_others_are_recognised(tmp_path, write):
    path = tmp_path / "model.pt"
    with open(path, "wb") as file:
        write(*((file, X) if write is np.savez else (X, file)))
    with pytest.raises(ValueError, match=r"looks as if torch\.save, numpy\.savez or pickle wrote it"):
        tg.load(path)
    path.write_bytes(b"nothing known")
    with pytest.raises(ValueError, match="no safetensors file") as raised:
        tg.load(path)
    assert "torch" not in str(raised.value)


def test_dropout_without_a_second_layer_warns():
    with pytest.warns(UserWarning, match="LSTM: dropout=0.5 is applied between layers"):
        nn.LSTM(5, 4, dropout=0.5)
    nn.LSTM(5, 4, num_layers=2, dropout=0.5)


def test_a_parameter_takes_requires_grad_second():
    frozen = nn.Parameter(np.zeros(2), False)
    assert not frozen.requires_grad
    assert frozen.dtype == np.float64
    again = pickle.loads(pickle.dumps(frozen))  # noqa: S301
    assert (type(again), again.requires_grad, again.dtype) == (nn.Parameter, False, np.float64)


def test_optimizers_take_named_parameters():
    model = nn.Linear(5, 2)
    for given in (model.named_parameters(), [{"params": model.named_parameters()}]):
        optimizer = optim.Adam(given, lr=0.1)
        assert optimizer.param_groups[0]["params"] == [model.weight, model.bias]
    with pytest.raises(TypeError, match="learns Tensors, not tuple objects"):
        optim.SGD([(1, model.weight)], lr=0.1)


@pytest.mark.parametrize(
    "module",
    [nn.Dropout(0.5), nn.Dropout().eval(), nn.ReLU(), nn.Softmax(1), nn.Flatten(), nn.Identity(), nn.Sequential(),
     nn.MaxPool2d(2), nn.BatchNorm2d(3, affine=False), nn.ZeroPad2d(1)],
    ids=lambda module: type(module).__name__,
)  # fmt: skip
def test_a_module_gives_a_tensor_for_an_array(module):
    x = np.ones((2, 3, 4, 4), np.float32)
    result = module(x)
    assert isinstance(result, tg.Tensor)
    assert isinstance(tg.compile(module)(x), tg.Tensor)
    assert type(module(tg.tensor(x))) is tg.Tensor


def test_results_of_a_module_share_no_writable_memory():
    x = np.ones(3)
    weight = tg.tensor(2.0, requires_grad=True)
    loss = (nn.Identity()(x) * weight).sum()
    x[...] = 5
    loss.backward()
    assert weight.grad.item() == 3


def test_several_results_of_a_module_are_tensors():
    assert [type(part) for part in nn.MaxPool2d(2, return_indices=True)(np.ones((1, 1, 4, 4)))] == [tg.Tensor] * 2
