"""Training: the loop over epochs, with what a long one needs.

    trainer = tg.training.Trainer(model, loss_of, optimizer, metrics={"accuracy": tg.training.accuracy})
    history = trainer.fit(
        train_loader,
        epochs=30,
        validation=test_loader,
        checkpoint="runs/digits",
        resume=True,
        early_stopping=tg.training.EarlyStopping("accuracy", patience=5),
    )
    trainer.evaluate(test_loader)  # {"loss": 0.09, "accuracy": 0.97}
    history["val_accuracy"]  # by epoch
    history.plot("history.svg")

A batch is ``(inputs…, target)``: the model is called with all entries but the last, `loss_of` with what it gives and
the last. A batch of one entry is its own target. Anything else takes ``step=``, a function of the model and the batch
that gives the loss, or ``(loss, outputs, target)`` for the metrics.

`EarlyStopping`, `accuracy` and `History` work in a loop of your own too:

    stop = tg.training.EarlyStopping("accuracy", patience=5)
    for epoch in range(100):
        ...
        if stop(value, model):
            break
    stop.restore(model)
"""

from ..core.moved import publish
from .history import History
from .metrics import accuracy
from .stopping import EarlyStopping
from .trainer import Trainer

__all__ = ["EarlyStopping", "History", "Trainer", "accuracy"]

publish(globals())
