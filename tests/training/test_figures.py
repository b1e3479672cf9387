"""Figures of a training: accuracy, early stopping, history."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn, training

# --- accuracy --------------------------------------------------------------------------------------------------------


def test_accuracy():
    scores = np.array([[0.1, 0.9, 0.0], [0.8, 0.1, 0.1], [0.2, 0.3, 0.5], [0.4, 0.3, 0.3]])
    for outputs in (scores, tg.tensor(scores), tg.tensor(scores, requires_grad=True)):
        for targets in ([1, 0, 1, 0], np.eye(3)[[1, 0, 1, 0]], tg.tensor([1, 0, 1, 0])):
            found = training.accuracy(outputs, np.asarray(targets))
            assert (found.item(), found.requires_grad) == (0.75, False)
    assert training.accuracy([[0.2], [0.7]], [[0], [0]], threshold=0.5).item() == 0.5
    assert training.accuracy([-1.0, 0.3], [0, 1], threshold=0.0).item() == 1
    assert training.accuracy([True, False, True], [1, 0, 0]).item() == pytest.approx(2 / 3)  # answers
    assert training.accuracy([1, 0], tg.tensor([1.0, 1.0])).item() == 0.5
    pixels = np.random.default_rng(0).random((2, 3, 4, 5))
    assert training.accuracy(pixels, pixels.argmax(1)).item() == 1
    assert tg.compile(training.accuracy)(scores, np.array([1, 0, 1, 1])).item() == 0.5


@pytest.mark.parametrize(
    ("outputs", "targets", "words"),
    [
        (np.zeros((4, 3)), np.zeros(4), "integers"),
        (np.zeros((4, 3)), np.zeros(3, int), "do not fit"),
        (np.zeros((4, 1)), np.zeros(4), "do not fit"),
        (np.zeros(4), np.zeros((4, 1)), "do not fit"),
        (np.zeros(4), np.zeros(4), r"give threshold=0\.5 or threshold=0\.0"),
        (np.full((4, 1), 0.3), np.zeros((4, 1)), "above 0.5 if it is a probability, above 0 if it is a logit"),
    ],
)
def test_accuracy_refuses(outputs, targets, words):
    with pytest.raises(ValueError, match=words):
        training.accuracy(outputs, targets)


# --- early stopping --------------------------------------------------------------------------------------------------


def stopped(values, **settings):
    stop = training.EarlyStopping(**settings)
    for value in values:
        if stop(value):
            break
    return stop.epoch, stop.best_epoch, stop.best, stop.stopped


def test_early_stopping():
    assert stopped([3, 2, 1, 1, 1, 0], patience=2) == (5, 3, 1, True)
    assert stopped([3, 2, 1, 0.95, 0.9, 0], patience=2, min_delta=0.2) == (5, 3, 1, True)
    assert stopped([3, 2, 1, 0.9, 0.7], patience=2, min_delta=0.2) == (5, 5, 0.7, False)
    assert stopped([1, 2, 3], monitor="accuracy", patience=1) == (3, 3, 3, False)
    assert stopped([1, 2, 3], monitor="height", mode="min", patience=2) == (3, 1, 1, True)
    assert stopped([math.nan, 1, math.nan, math.nan], patience=2) == (4, 2, 1, True)
    assert stopped([{"loss": 1, "val_loss": 1}, {"loss": 0, "val_loss": 2}], patience=1) == (2, 1, 1, True)
    assert stopped([tg.tensor(1.0), np.float32(2)], patience=1) == (2, 1, 1, True)
    rows = [{"loss": 1, "val_loss": 1}, {"loss": 0, "val_loss": 2}]
    assert stopped(rows, monitor="train_loss", patience=1) == (2, 2, 0, False)
    with pytest.raises(ValueError, match="no figure 'acc' to watch; there are 'loss', 'accuracy'"):
        training.EarlyStopping("acc")({"loss": 1.0, "accuracy": 0.5})
    with pytest.raises(ValueError, match="does not tell"):
        training.EarlyStopping("height")
    with pytest.raises(ValueError, match="patience"):
        training.EarlyStopping(patience=0)
    with pytest.raises(ValueError, match="min_delta"):
        training.EarlyStopping(min_delta=-1)
    with pytest.raises(ValueError, match="mode"):
        training.EarlyStopping(mode="most")
    with pytest.raises(RuntimeError, match="give it the model"):
        training.EarlyStopping().restore(nn.Linear(4, 2))


def test_early_stopping_restores_the_best(tmp_path):
    model, stop = nn.Linear(4, 2), training.EarlyStopping("accuracy", 2)
    kept = model.state_dict()
    stop(0.5, model)
    with tg.no_grad():
        model.weight *= 2
    tg.save(stop.state_dict(), tmp_path / "stop.safetensors")
    again = training.EarlyStopping("accuracy", 2)
    again.load_state_dict(tg.load(tmp_path / "stop.safetensors"))
    assert not again(0.4, model)
    assert again(0.5, model)
    again.restore(model)
    np.testing.assert_array_equal(model.weight.numpy(), kept["weight"].numpy())


# --- history ---------------------------------------------------------------------------------------------------------


def test_history_in_files(tmp_path):
    history = training.History(
        [{"epoch": 1, "loss": 1 / 3, "val_loss": np.float32(0.1)}, {"epoch": 2, "loss": math.pi, "note": "best, yet"}]
    )
    assert type(history[0]["val_loss"]) is float
    for name in ("history.json", "history.csv"):
        history.save(tmp_path / name)
        assert training.History.load(tmp_path / name) == history
    assert history["val_loss"] == [pytest.approx(0.1), None]
    assert "note" in history
    assert len(list(history)) == len(history) == 2
    assert repr(history).splitlines()[0].split() == ["epoch", "loss", "val_loss", "note"]
    assert repr(training.History()) == "History()"
    with pytest.raises(KeyError, match="'accuracy'.*'epoch', 'loss'"):
        history["accuracy"]
    with pytest.raises(ValueError, match="json"):
        history.save(tmp_path / "history.txt")
    with pytest.raises(ValueError, match="no epoch"):
        training.History().best()


def test_history_plot(tmp_path):
    pytest.importorskip("matplotlib")
    history = training.History([{"epoch": 1, "loss": 1.0, "val_loss": 2.0, "lr": 1.0, "note": "x", "accuracy": 0.5}])
    figure = history.plot(tmp_path / "history.svg")
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 1]
    assert (tmp_path / "history.svg").read_text(encoding="utf-8").startswith("<?xml")
    with pytest.raises(ValueError, match="nothing to draw"):
        training.History().plot()


def test_the_best_epoch_is_none_without_a_figure():
    nan = float("nan")
    rows = [{"epoch": 1, "loss": nan}, {"epoch": 2, "loss": 0.5}, {"epoch": 3, "loss": 0.7}, {"epoch": 4, "loss": nan}]
    assert training.History(rows).best("loss", "min")["epoch"] == 2
    assert training.History(rows).best("loss", "max")["epoch"] == 3
