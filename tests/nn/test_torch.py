"""nn against PyTorch: the same numbers, the same state_dict."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_nn as tg
from tests.nn import torch_cases as cases
from tinygrad_nn import nn

RESULTS = cases.kept()


def arrays(settings):
    return {key: np.array(value) if isinstance(value, list) else value for key, value in settings.items()}


def close(ours, theirs, rtol=1e-13, atol=1e-15):
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


@pytest.mark.parametrize(
    ("case", "wanted"),
    list(zip(cases.LOSSES, RESULTS["losses"], strict=True)),
    ids=[f"{i}-{cases.label(case)}" for i, case in enumerate(cases.LOSSES)],
)
def test_loss(case, wanted):
    name, settings, predictions, targets = case
    x = tg.tensor(np.array(predictions), requires_grad=True)
    loss = getattr(nn, name)(**arrays(settings))(x, tg.tensor(targets))
    loss.sum().backward()
    close(loss.numpy(), wanted["value"])
    # PyTorch has the bound of BCELoss, 1e-12, as a float32.
    close(x.grad.numpy(), wanted["gradient"], rtol=1e-8 if name == "BCELoss" else 1e-13)


@pytest.mark.parametrize(
    ("case", "wanted"),
    list(zip(cases.ACTIVATIONS, RESULTS["activations"], strict=True)),
    ids=[cases.label(case) for case in cases.ACTIVATIONS],
)
def test_activation(case, wanted):
    name, settings = case
    x = tg.tensor(cases.POINTS, requires_grad=True)
    module = getattr(nn, name)(**settings)
    y = module(x)
    (y * np.arange(len(cases.POINTS))).sum().backward()
    # PyTorch's softplus is linear above 20, and its GELU rounds Φ(−30) to 0.
    close(y.numpy(), wanted["value"], atol=1e-12)
    close(x.grad.numpy(), wanted["gradient"], atol=1e-11)
    function = getattr(nn.functional, name.lower(), None)
    assert isinstance(module(np.array(cases.POINTS)), tg.Tensor)
    assert function is None or type(function(np.array(cases.POINTS))) is np.ndarray


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Sequential(nn.Linear(4, 2, bias=False), nn.Sigmoid()))


def test_network_takes_over_weights_and_gives_the_same_outputs_and_gradients():
    wanted = RESULTS["network"]
    net = network()
    assert {key: value.shape for key, value in net.state_dict().items()} == {
        key: np.shape(value) for key, value in wanted["state"].items()
    }
    net.load_state_dict({key: np.array(value) for key, value in wanted["state"].items()})
    y = net(tg.tensor(cases.BATCH, dtype=tg.float32))
    nn.BCELoss()(y, tg.tensor(cases.WANTED, dtype=tg.float32)).backward()
    close(y.numpy(), wanted["value"], rtol=1e-6)
    assert list(dict(net.named_parameters())) == list(wanted["gradients"])
    for key, p in net.named_parameters():
        assert p.grad.dtype == p.dtype == np.float32
        close(p.grad.numpy(), wanted["gradients"][key], rtol=1e-5, atol=1e-8)


def test_clip_grad_norm():
    for norm_type, wanted in zip((1.0, 2.0, 3.0, float("inf")), RESULTS["clipped"], strict=True):
        ps = [tg.tensor(np.zeros(3), requires_grad=True) for _ in range(2)]
        for p, g in zip(ps, cases.GRADIENTS[0]):
            p.grad = np.array(g)
        norm = nn.utils.clip_grad_norm_(ps, 1.5, norm_type)
        close(norm.item(), wanted["norm"])
        close([p.grad.tolist() for p in ps], wanted["gradients"])


def test_kept_results_are_those_of_the_installed_torch():
    pytest.importorskip("torch")

    def compare(kept, now):
        if isinstance(kept, dict):
            assert kept.keys() == now.keys()
            for key in kept:
                compare(kept[key], now[key])
        elif isinstance(kept, list) and kept and isinstance(kept[0], dict):
            for a, b in zip(kept, now, strict=True):
                compare(a, b)
        else:
            close(now, kept, rtol=1e-6, atol=1e-9)

    compare(RESULTS, cases.compute())


def test_weights_go_to_torch_and_back():
    torch = pytest.importorskip("torch")
    ours = network()
    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 4),
        torch.nn.Tanh(),
        torch.nn.Sequential(torch.nn.Linear(4, 2, bias=False), torch.nn.Sigmoid()),
    )
    theirs.load_state_dict({key: torch.tensor(np.array(value)) for key, value in ours.state_dict().items()})
    x = np.array(cases.BATCH, np.float32)
    close(ours(x).numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-6)
    again = network()
    again.load_state_dict(theirs.state_dict())
    np.testing.assert_array_equal(again(x).numpy(), ours(x).numpy())
