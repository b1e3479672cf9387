"""A run that can be killed: trains with everything that has a state, and writes what came of it.

python -m tests.training.program FOLDER RESULT EPOCHS
"""

import random
import sys

import numpy as np

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim, training


class Noisy(data.Dataset):
    """Samples that are drawn anew each time, from a generator of the dataset and from the default one."""

    def __init__(self, x, y):
        self.x, self.y = x, y
        self.rng = np.random.default_rng(11)

    def __getitem__(self, index):
        noise = self.rng.standard_normal(self.x.shape[1]) * 0.1 + float(tg.random.random()) * 0.01
        return (self.x[index] + noise).astype(np.float32), self.y[index]

    def __len__(self):
        return len(self.x)


def main(folder, result, epochs):
    tg.manual_seed(3)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((90, 6))
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    model = nn.Sequential(
        nn.Linear(6, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Dropout(0.1, generator=np.random.default_rng(5)),
        nn.Linear(16, 2),
    )
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    train = data.DataLoader(Noisy(x[:70], y[:70]), 8, shuffle=True)
    test = data.DataLoader(data.TensorDataset(x[70:].astype(np.float32), y[70:]), 8)

    def note(trainer, row):
        row["chance"] = random.random()
        row["other chance"] = np.random.rand()  # noqa: NPY002

    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    trainer = training.Trainer(
        model, nn.CrossEntropyLoss(), optimizer, {"accuracy": training.accuracy}, scheduler, clip_norm=1.0
    )
    stop = training.EarlyStopping("accuracy", patience=50, restore_best=True)
    history = trainer.fit(
        train,
        int(epochs),
        test,
        checkpoint=folder,
        resume=True,
        every_steps=3,
        early_stopping=stop,
        callbacks=note,
    )
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": history.rows,
        "next": [tg.random.random().item(), model[4].generator.random(), train.dataset.rng.random()],
        "best": stop.state_dict(),
    }
    tg.save(state, result)


if __name__ == "__main__":
    main(*sys.argv[1:])
