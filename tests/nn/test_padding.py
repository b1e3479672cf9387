"""Padding under PyTorch's names, against PyTorch and NumPy; datasets one after the other."""

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import data, nn
from tinygrad_nn.testing import check_gradients

F = nn.functional
X = np.arange(24.0).reshape(1, 2, 3, 4)

CASES = [
    ((1, 2), "constant", 3.0), ((-1, 2, 1, -1), "constant", None), ((0, 0, 1, 1, 2, 0), "constant", None),
    ((-2, -2), "constant", None), ((), "constant", None),
    ((1, 2), "reflect", None), ((3, 0, 2, 1), "reflect", None), ((1, 2, 3, 0), "replicate", None),
    ((5, 2), "replicate", None), ((4, 1, 0, 3), "circular", None),
]  # fmt: skip


@pytest.mark.parametrize(("pad", "mode", "value"), CASES)
def test_pad_is_pytorchs(pad, mode, value):
    torch = pytest.importorskip("torch")
    # PyTorch has the modes that repeat elements only for inputs with as many axes as layers take.
    x = X if mode == "constant" or len(pad) == 4 else X[0]
    wanted = torch.nn.functional.pad(torch.from_numpy(x), pad, mode, value).numpy()
    np.testing.assert_array_equal(F.pad(x, pad, mode, value), wanted)
    np.testing.assert_array_equal(tg.compile(lambda x: F.pad(x, pad, mode, value))(x), wanted)
    check_gradients(lambda x: F.pad(x, pad, mode, value), x)


@pytest.mark.parametrize(
    ("pad", "mode", "message"),
    [
        ((1,), "constant", "a pair of whole numbers"), ((1.5, 1), "constant", "a pair of whole numbers"),
        ((1,) * 10, "constant", "for each of the last axes"), ((-3, -2), "constant", "takes away more than"),
        ((4, 0), "reflect", "from 0 to 3"), ((5, 0), "circular", "from 0 to 4"), ((-1, 0), "replicate", "from 0"),
        ((1, 1), "mirror", "mode must be one of"),
    ],
)  # fmt: skip
def test_bad_padding_is_refused(pad, mode, message):
    with pytest.raises(ValueError, match=message):
        F.pad(X, pad, mode)


@pytest.mark.parametrize("kind", ["Constant", "Zero", "Reflection", "Replication", "Circular"])
@pytest.mark.parametrize("axes", [1, 2])
def test_layers_are_pytorchs(kind, axes):
    torch = pytest.importorskip("torch")
    x = X if axes == 2 else X[0]
    for padding in (1, (2, 0, 1, 2)[: 2 * axes]):
        settings = (padding, 7.0) if kind == "Constant" else (padding,)
        ours, theirs = (getattr(library, f"{kind}Pad{axes}d")(*settings) for library in (nn, torch.nn))
        np.testing.assert_array_equal(ours(x).numpy(), theirs(torch.from_numpy(x)).numpy())
        assert ours.extra_repr() == theirs.extra_repr()
    with pytest.raises(ValueError, match="padding must be a number or"):
        getattr(nn, f"{kind}Pad{axes}d")((1, 2, 3), *settings[1:])


def test_datasets_one_after_the_other():
    both = data.ConcatDataset([data.TensorDataset(np.arange(3)), data.TensorDataset(np.arange(10, 12))])
    assert len(both) == 5
    assert [int(both[i][0]) for i in (0, 2, 3, 4, -1, -5)] == [0, 2, 10, 11, 11, 0]
    assert both[1:4][0].tolist() == [1, 2, 10]
    assert [batch[0].tolist() for batch in data.DataLoader(both, batch_size=2)] == [[0, 1], [2, 10], [11]]
    for index in (5, -6):
        with pytest.raises(IndexError, match="no sample"):
            both[index]
    with pytest.raises(ValueError, match="at least one"):
        data.ConcatDataset([])
    assert data.default_collate is data.collate
