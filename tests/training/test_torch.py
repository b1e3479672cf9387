"""The network of the lessons on real digits: trained here and by PyTorch, from the same start on the same batches."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim, training

DIGITS = Path(
    os.environ.get("TINYGRAD_NN_MNIST") or Path(__file__).resolve().parents[3] / "shared" / "data" / "mnist10k"
)
EPOCHS = 8


@pytest.mark.slow
@pytest.mark.skipif(not DIGITS.exists(), reason="the digits are not there")
def test_as_good_as_with_pytorch():
    torch = pytest.importorskip("torch")
    pixels, labels = (t.numpy() for t in data.mnist(DIGITS, train=False, flatten=True).tensors)
    pixels = pixels.reshape(len(pixels), 784)
    columns = np.eye(10, dtype=np.float32)[labels]
    rng = np.random.default_rng(0)
    orders = [rng.permutation(8000).reshape(800, 10) for _ in range(EPOCHS)]

    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 30), nn.Sigmoid(), nn.Linear(30, 10), nn.Sigmoid())
    other = torch.nn.Sequential(
        torch.nn.Linear(784, 30), torch.nn.Sigmoid(), torch.nn.Linear(30, 10), torch.nn.Sigmoid()
    )
    other.load_state_dict({name: torch.tensor(value.numpy()) for name, value in model.state_dict().items()})

    class Order(data.Sampler):
        epochs = iter(orders)

        def __len__(self):
            return 800

        def __iter__(self):
            return iter(next(self.epochs))

    loader = data.DataLoader(data.TensorDataset(pixels, columns), batch_sampler=Order())
    trainer = training.Trainer(
        model, nn.BCELoss(), optim.SGD(model.parameters(), lr=2.0), {"accuracy": training.accuracy}
    )
    history = trainer.fit(loader, EPOCHS, progress=False)
    ours = trainer.evaluate([(pixels[8000:], columns[8000:])])["accuracy"]

    optimizer, loss_of = torch.optim.SGD(other.parameters(), lr=2.0), torch.nn.BCELoss()
    x, y = torch.tensor(pixels), torch.tensor(columns)
    losses = []
    for order in orders:
        total = 0.0
        for batch in torch.tensor(order):
            optimizer.zero_grad()
            loss = loss_of(other(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / 800)
    with torch.no_grad():
        theirs = (other(x[8000:]).argmax(1).numpy() == labels[8000:]).mean()
    print(f"accuracy on 2,000 held-out digits after {EPOCHS} epochs: {ours:.2%}, by PyTorch {theirs:.2%}")
    assert abs(ours - theirs) <= 0.005
    assert ours > 0.9
    np.testing.assert_allclose(history["loss"], losses, rtol=0.01)
