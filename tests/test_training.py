"""Trainer against a loop written by hand, and what belongs to it: metrics, early stopping, history, progress."""

from __future__ import annotations

import functools
import io
import math
import os
import signal
import sys
import warnings

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim, training

X = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)


def network(*extra, seed=1):
    tg.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 12), nn.Tanh(), *extra, nn.Linear(12, 2))


def loader(x=X, y=Y, size=8, **settings):
    settings = {"shuffle": True, "generator": np.random.default_rng(2), **settings}
    return data.DataLoader(data.TensorDataset(x, y), size, **settings)


def trainer_of(model, optimizer=None, metrics=True, **settings):
    optimizer = optim.SGD(model.parameters(), lr=0.3, momentum=0.5) if optimizer is None else optimizer
    figures = {"accuracy": training.accuracy} if metrics else None
    return training.Trainer(model, nn.CrossEntropyLoss(), optimizer, figures, **settings)


def by_hand(model, optimizer, epochs, clip=None):
    """Loss and accuracy by epoch of an ordinary loop."""
    batches, loss_of, rows = loader(), nn.CrossEntropyLoss(), []
    for _ in range(epochs):
        losses = right = 0.0
        for x, y in batches:
            optimizer.zero_grad()
            outputs = model(x)
            loss = loss_of(outputs, y)
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            losses += loss.item() * len(x)
            right += (outputs.numpy().argmax(1) == y.numpy()).sum()
        rows.append((losses / 60, right / 60))
    return rows


# --- the loop --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_same_as_a_loop_by_hand(compiled, dropout, clip):
    extra = [nn.Dropout(0.3, generator=np.random.default_rng(5))] if dropout else []
    model = network(*extra)
    wanted = by_hand(model, optim.SGD(model.parameters(), lr=0.3, momentum=0.5), 3, clip)
    extra = [nn.Dropout(0.3, generator=np.random.default_rng(5))] if dropout else []
    other = network(*extra)
    trainer = trainer_of(other, compile=compiled, clip_norm=clip)
    history = trainer.fit(loader(), 3, progress=False)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4 if compiled else 1e-12)
    close(history["loss"], [row[0] for row in wanted])
    np.testing.assert_allclose(history["accuracy"], [row[1] for row in wanted])
    for a, b in zip(model.parameters(), other.parameters()):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3 if compiled else 0, atol=1e-6 if compiled else 0)
    assert history is trainer.history
    assert (trainer.epoch, trainer.steps, history["epoch"], history["lr"]) == (3, 24, [1, 2, 3], [0.3] * 3)
    assert all(p.grad is None for p in other.parameters())


def test_validation_and_evaluate():
    model = network(nn.Dropout(0.5))
    trainer = trainer_of(model)
    modes = []
    test = loader(X[:20], Y[:20], shuffle=False)
    history = trainer.fit(loader(), 2, test, callbacks=lambda trainer, row: modes.append((model.training, dict(row))))
    assert [row["epoch"] for _, row in modes] == [1, 2]
    model[2].eval()
    found = trainer.evaluate(test)
    assert model.training
    assert not model[2].training  # as it was
    assert found == {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}
    with tg.no_grad():
        outputs = model.eval()(tg.tensor(X[:20]))
        loss = nn.CrossEntropyLoss()(outputs, tg.tensor(Y[:20])).item()
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    assert found["accuracy"] == pytest.approx((outputs.numpy().argmax(1) == Y[:20]).mean())
    assert trainer.evaluate([(X[:20], Y[:20])]) == pytest.approx(found)  # arrays do too
    assert history.columns == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr"]


def test_modes_during_training():
    seen = []

    class Watching(nn.Linear):
        def forward(self, x):
            seen.append(self.training)
            return super().forward(x)

    model = nn.Sequential(Watching(4, 2)).eval()
    trainer = trainer_of(model, compile=False)
    trainer.fit([(tg.tensor(X), tg.tensor(Y))], 2, [(tg.tensor(X), tg.tensor(Y))])
    assert seen == [True, False, True, False]
    assert not model.training


def test_batches_of_other_forms():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Linear(2, 3)

        def forward(self, x, y):
            return self.a(x) + self.b(y), x

    def loss_of(outputs, target):
        return ((outputs[0] - target) ** 2).mean() + 0 * outputs[1].sum()

    model = Two()
    trainer = training.Trainer(model, loss_of, optim.Adam(model.parameters(), lr=0.1))
    z = X[:, :3] + X[:, 1:4]
    batches = data.DataLoader(data.TensorDataset(X, X[:, :2], z), 20)
    losses = trainer.fit(batches, 30)["loss"]
    assert losses[-1] < losses[0] / 5

    model = nn.Linear(4, 4)  # an autoencoder: the batch is its own target
    for batches in ([tg.tensor(X)], data.DataLoader(data.TensorDataset(X), 30), [[tg.tensor(X)]]):
        trainer = training.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters(), lr=0.1))
        trainer.fit(batches, 5)
    assert trainer.fit(batches, 40)["loss"][-1] < 0.1


def test_a_step_of_ones_own():
    def step(model, batch):
        outputs = model(batch["x"])
        weights = sum((p**2).sum() for p in model.parameters())
        return nn.functional.cross_entropy(outputs, batch["y"]) + 0.01 * weights, outputs, batch["y"]

    batches = [{"x": tg.tensor(X), "y": tg.tensor(Y), "name": "all"}]
    model = network()
    trainer = training.Trainer(
        model, None, optim.Adam(model.parameters(), lr=0.05), {"accuracy": training.accuracy}, step=step
    )
    history = trainer.fit(batches, 60)
    assert history["accuracy"][-1] > 0.9
    assert trainer._stepper.level == "whole"
    assert trainer.evaluate(batches)["accuracy"] > 0.9
    model = network()
    trainer = training.Trainer(
        model, None, optim.Adam(model.parameters()), {"accuracy": training.accuracy}, step=lambda m, b: m(b).sum()
    )
    with pytest.raises(ValueError, match="must return"):
        trainer.fit([tg.tensor(X)], 1)
    with pytest.raises(TypeError, match="step=lambda"):
        trainer_of(network()).fit(batches, 1)


def test_parameters_that_the_optimizer_lacks_gather_no_gradient():
    model = network()
    trainer = trainer_of(model, optim.SGD(model[2].parameters(), lr=0.1))
    before = model[0].weight.numpy().copy()
    trainer.fit(loader(), 1)
    assert model[0].weight.grad is None
    np.testing.assert_array_equal(before, model[0].weight.numpy())


@pytest.mark.parametrize("name", ["LBFGS", "NewtonCG"])
@pytest.mark.parametrize("compiled", [False, True])
def test_optimizers_that_need_a_closure(name, compiled):
    model = network().double()
    whole = [(tg.tensor(X.astype(np.float64)), tg.tensor(Y))]
    optimizer = getattr(optim, name)(model.parameters())
    trainer = trainer_of(model, optimizer, compile=compiled)
    history = trainer.fit(whole, 12)
    assert history["loss"][0] == pytest.approx(nn.CrossEntropyLoss()(network().double()(whole[0][0]), Y).item())
    assert history["loss"][-1] < history["loss"][0] / 3
    with pytest.raises(ValueError, match="clip_norm"):
        trainer_of(model, optimizer, clip_norm=1.0)


class Halving:
    def __init__(self, optimizer):
        self.optimizer, self.count = optimizer, 0

    def step(self):
        self.count += 1
        self.optimizer.param_groups[0]["lr"] /= 2


class Watching(Halving):
    def step(self, metrics, epoch=None):
        self.seen = metrics
        super().step()


def test_schedulers():
    for every, count in (("epoch", 3), ("batch", 24)):
        model = network()
        optimizer = optim.SGD(model.parameters(), lr=1.0)
        scheduler = Halving(optimizer)
        trainer = trainer_of(model, optimizer, scheduler=scheduler, scheduler_every=every)
        history = trainer.fit(loader(), 3)
        assert scheduler.count == count
        if every == "epoch":
            assert history["lr"] == [1.0, 0.5, 0.25]
    scheduler = Watching(optimizer)
    history = trainer_of(model, optimizer, scheduler=scheduler).fit(loader(), 1, loader(), monitor="accuracy")
    assert scheduler.seen == history["val_accuracy"][0]
    with pytest.raises(ValueError, match="scheduler_every"):
        trainer_of(model, scheduler_every="day")


def test_callbacks():
    model = network()

    def note(trainer, row):
        row["norm"] = tg.linalg.norm(model[0].weight.detach())
        return trainer.epoch == 3

    history = trainer_of(model).fit(loader(), 10, callbacks=[note])
    assert len(history) == 3
    assert all(type(norm) is float for norm in history["norm"])


# --- compiled or not -------------------------------------------------------------------------------------------------


def test_what_cannot_be_compiled_is_run_as_it_is():
    def loss_of(outputs, target):
        loss = nn.functional.cross_entropy(outputs, target)
        return loss * 2 if loss.item() > 0.3 else loss

    model, other = network(), network()
    with pytest.warns(RuntimeWarning, match="the step is not compiled.*\n.*Python asked for the number") as caught:
        history = training.Trainer(model, loss_of, optim.Adam(model.parameters())).fit(loader(), 2)
    assert len(caught) == 1
    ordinary = training.Trainer(other, loss_of, optim.Adam(other.parameters()), compile=False)
    assert ordinary.fit(loader(), 2) == history


def test_metrics_that_cannot_be_compiled():
    def share(outputs, targets):
        return float((outputs.numpy().argmax(1) == targets.numpy()).mean())

    model, other = network(), network()
    trainer = training.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), {"share": share})
    with pytest.warns(RuntimeWarning, match="the metrics are not compiled"):
        history = trainer.fit(loader(), 2, loader())
    assert trainer._stepper.level == "without metrics"
    wanted = trainer_of(other, optim.Adam(other.parameters())).fit(loader(), 2, loader())
    np.testing.assert_allclose(history["share"], wanted["accuracy"])
    np.testing.assert_allclose(history["val_share"], wanted["val_accuracy"])


def test_errors_of_the_users_own_code_are_those_of_an_ordinary_call():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for wrong in (np.float32([1, 2, 3]), None):
            with pytest.raises((ValueError, TypeError)) as caught:
                trainer_of(network()).fit([(tg.tensor(X), wrong)], 1)
            assert "compile" not in str(caught.value)
        with pytest.raises(TypeError, match="without axes"):
            training.Trainer(network(), lambda a, b: a, optim.SGD(network().parameters())).fit(loader(), 1)


def test_what_compiled_code_would_not_notice_is_noticed():
    def loss_of(outputs, target):
        return nn.functional.cross_entropy(outputs, target) * np.random.uniform(0.5, 1.5)  # noqa: NPY002

    def run(**settings):
        np.random.seed(0)  # noqa: NPY002
        model = network()
        trainer = training.Trainer(model, loss_of, optim.SGD(model.parameters(), lr=0.1, momentum=0.5), **settings)
        return trainer.fit(loader(), 2), [p.numpy() for p in model.parameters()]

    with pytest.warns(RuntimeWarning, match="does not notice"):
        history, values = run()
    ordinary, wanted = run(compile=False)
    np.testing.assert_allclose(history["loss"], ordinary["loss"], rtol=1e-5)
    for a, b in zip(values, wanted):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_what_callbacks_change_is_recorded_anew():
    def run(**settings):
        factors = {"a": [1.0]}
        model = network()
        trainer = training.Trainer(
            model,
            lambda outputs, target: nn.functional.cross_entropy(outputs, target) * factors["a"][0],
            optim.SGD(model.parameters(), lr=0.1),
            **settings,
        )

        def change(trainer, row):
            factors["a"][0] *= 0.5

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return trainer.fit(loader(), 4, callbacks=change)

    np.testing.assert_allclose(run()["loss"], run(compile=False)["loss"], rtol=1e-5)


def test_a_look_at_the_compiled_step_leaves_no_trace():
    class Counting(nn.Linear):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.register_buffer("count", np.zeros((), np.float32))
            self.register_buffer("sums", np.zeros(4, np.float32), persistent=False)

        def forward(self, x):
            self.count = self.count + 1
            self.sums += x.sum(axis=0)
            return super().forward(nn.functional.dropout(x, 0.1))

    def run(**settings):
        tg.manual_seed(0)
        model = Counting(4, 2)
        trainer = trainer_of(model, optim.SGD(model.parameters(), lr=0.3), **settings)
        history = trainer.fit(loader(drop_last=True), 3, callbacks=lambda trainer, row: None)
        return history["loss"], model.count.item(), model.sums.numpy(), tg.random.random().item()

    (losses, count, sums, chance), wanted = run(), run(compile=False)
    np.testing.assert_allclose(losses, wanted[0], rtol=1e-4)
    np.testing.assert_allclose(sums, wanted[2], rtol=1e-4, atol=1e-4)
    assert (count, chance) == (21, wanted[3])


def test_a_loss_that_is_not_finite_stops_with_advice():
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    trainer = trainer_of(model, optim.SGD(model.parameters(), lr=1e20))
    with pytest.raises(FloatingPointError, match=r"epoch 1, batch \d+(.|\n)*detect_anomaly"), np.errstate(all="ignore"):
        trainer.fit(loader(), 3)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((len, nn.MSELoss(), None), TypeError, "nn.Module"),
        ((network(), None, None), TypeError, "either loss_of"),
        ((network(), 3, None), TypeError, "callable"),
        ((network(), nn.MSELoss(), None), TypeError, "optimizer"),
        ((network(), nn.MSELoss(), optim.SGD(network().parameters()), [len]), TypeError, "dict of functions"),
        ((network(), nn.MSELoss(), optim.SGD(network().parameters()), {"loss": len}), TypeError, "name of its own"),
        ((network(), nn.MSELoss(), optim.SGD(network().parameters()), {}, None, -1), ValueError, "clip_norm"),
    ],
)
def test_trainer_refuses(arguments, error, words):
    with pytest.raises(error, match=words):
        training.Trainer(*arguments)


def test_fit_refuses():
    trainer = trainer_of(network())
    with pytest.raises(ValueError, match="epochs"):
        trainer.fit(loader(), 1.5)
    with pytest.raises(ValueError, match="no samples"):
        trainer.fit([], 1)
    with pytest.raises(ValueError, match="no samples"):
        trainer.evaluate([])
    with pytest.raises(ValueError, match="folder"):
        trainer.fit(loader(), 1, resume=True)
    with pytest.raises(KeyError, match="'f1'.*'loss'"):
        trainer.fit(loader(), 1, monitor="f1")
    with pytest.raises(RuntimeError, match="checkpoint"):
        trainer.load_best()
    with pytest.raises(TypeError, match="state_dict"):
        trainer.fit(iter([]), 1, checkpoint="nowhere", every_steps=2)


# --- metrics ---------------------------------------------------------------------------------------------------------


def test_accuracy():
    scores = np.array([[0.1, 0.9, 0.0], [0.8, 0.1, 0.1], [0.2, 0.3, 0.5], [0.4, 0.3, 0.3]])
    for outputs in (scores, tg.tensor(scores), tg.tensor(scores, requires_grad=True)):
        for targets in ([1, 0, 1, 0], np.eye(3)[[1, 0, 1, 0]], tg.tensor([1, 0, 1, 0])):
            found = training.accuracy(outputs, np.asarray(targets))
            assert (found.item(), found.requires_grad) == (0.75, False)
    assert training.accuracy([0.2, 0.7], [0, 0]).item() == 0.5
    assert training.accuracy([[-1.0], [0.3]], [[0], [1]], threshold=0.0).item() == 1
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
    with pytest.raises(ValueError, match="does not tell"):
        training.EarlyStopping("height")
    with pytest.raises(ValueError, match="patience"):
        training.EarlyStopping(patience=0)
    with pytest.raises(ValueError, match="min_delta"):
        training.EarlyStopping(min_delta=-1)
    with pytest.raises(ValueError, match="mode"):
        training.EarlyStopping(mode="most")
    with pytest.raises(RuntimeError, match="give it the model"):
        training.EarlyStopping().restore(network())


def test_early_stopping_restores_the_best(tmp_path):
    model, stop = network(), training.EarlyStopping("accuracy", 2)
    kept = model.state_dict()
    stop(0.5, model)
    with tg.no_grad():
        model[0].weight *= 2
    tg.save(stop.state_dict(), tmp_path / "stop.safetensors")
    again = training.EarlyStopping("accuracy", 2)
    again.load_state_dict(tg.load(tmp_path / "stop.safetensors"))
    assert not again(0.4, model)
    assert again(0.5, model)
    again.restore(model)
    np.testing.assert_array_equal(model[0].weight.numpy(), kept["0.weight"].numpy())


def test_a_trainer_stops_early_and_ends_with_the_best(tmp_path):
    model = network()
    test = loader(X[:20], Y[:20])
    stop = training.EarlyStopping("loss", 2, restore_best=True)
    trainer = trainer_of(model, optim.SGD(model.parameters(), lr=3.0))
    history = trainer.fit(loader(), 50, test, early_stopping=stop, checkpoint=tmp_path)
    assert len(history) == stop.best_epoch + 2 < 50
    assert trainer.evaluate(test)["loss"] == pytest.approx(min(history["val_loss"]))
    assert history.best("loss") == trainer.load_best() == history[stop.best_epoch - 1]


# --- history, progress, Ctrl-C ---------------------------------------------------------------------------------------


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


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress(monkeypatch, capsys):
    pytest.importorskip("tqdm")
    trainer_of(network()).fit(loader(), 1)
    assert capsys.readouterr() == ("", "")  # no terminal
    monkeypatch.setattr(sys, "stderr", Terminal())
    trainer_of(network()).fit(loader(), 2, loader(), progress=False)
    assert sys.stderr.getvalue() == ""
    trainer_of(network()).fit(loader(), 2, loader())
    assert "epoch 2/2: 100%" in sys.stderr.getvalue()
    assert "val_accuracy=" in sys.stderr.getvalue()
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    trainer_of(network()).fit(loader(), 2)
    assert sys.stderr.getvalue() == ""


@pytest.fixture
def ctrl_c():
    """Ctrl-C as programs find it, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name != "posix", reason="a signal is sent")
def test_ctrl_c_stops_between_two_steps(tmp_path, ctrl_c):
    trainer = trainer_of(network())
    steps = []

    class Loader(data.DataLoader):
        def __iter__(self):
            for number, batch in enumerate(super().__iter__()):
                if number == 3:
                    os.kill(os.getpid(), signal.SIGINT)
                steps.append(number)
                yield batch

    batches = Loader(data.TensorDataset(X, Y), 8)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(batches, 2, checkpoint=tmp_path)
    assert trainer.steps == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    other = trainer_of(network(seed=7))
    history = other.fit(loader(shuffle=False), 2, checkpoint=tmp_path, resume=True)
    whole = trainer_of(network()).fit(loader(shuffle=False), 2)
    assert history == whole
