"""Trainer against a loop written by hand, and what belongs to it: metrics, early stopping, history, progress."""

from __future__ import annotations

import functools
import io
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
        model = network()
        trainer = training.Trainer(model, lambda a, b: a, optim.SGD(model.parameters()))
        with pytest.raises(TypeError, match="without axes"):
            trainer.fit(loader(), 1)


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


def test_an_optimizer_of_another_model_is_refused():
    model, other = network(), network()
    with pytest.raises(ValueError, match="none of the parameters that the optimizer holds is one of this Sequential"):
        trainer_of(model, optim.Adam(other.parameters()))
    model[0].requires_grad_(False)
    with pytest.raises(ValueError, match=r"holds has requires_grad=True.*optim.SGD\(model.parameters"):
        trainer_of(model, optim.SGD(model[0].parameters()))
    with pytest.warns(RuntimeWarning, match="4 of the 8 parameters .* neither the model's nor the loss's") as caught:
        training.Trainer(model, nn.CrossEntropyLoss(), optim.SGD([*model.parameters(), *other.parameters()]))
    assert caught[0].filename == __file__


def test_parts_of_a_model_and_of_a_loss_may_be_trained():
    class Learned(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(np.ones(2, np.float32))

        def forward(self, outputs, targets):
            return nn.functional.cross_entropy(outputs * self.scale, targets)

    model, loss_of, other = network(), Learned(), nn.Linear(2, 2)
    model[0].requires_grad_(False)
    training.Trainer(model, loss_of, optim.SGD([*model.parameters(), *loss_of.parameters()], lr=0.1))
    training.Trainer(model, loss_of, optim.SGD(model[2].parameters(), lr=0.1))
    both = optim.SGD([*model.parameters(), *other.parameters()], lr=0.1)
    training.Trainer(model, lambda outputs, targets: loss_of(other(outputs), targets), both)
    training.Trainer(model, None, both, step=lambda model, batch: loss_of(other(model(batch[0])), batch[1]))
    model.requires_grad_(False)
    trainer = training.Trainer(model, loss_of, optim.SGD(loss_of.parameters(), lr=0.1), compile=False)
    trainer.fit(loader(), 1)
    assert (loss_of.scale.numpy() != 1).all()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("loss_of", "last", "threshold"),
    [
        (nn.BCEWithLogitsLoss(), [], 0.0),
        (functools.partial(nn.functional.binary_cross_entropy_with_logits, pos_weight=np.float32(3)), [], 0.0),
        (nn.SoftMarginLoss(), [], 0.0),
        (nn.BCELoss(), [nn.Sigmoid()], 0.5),
        (nn.functional.binary_cross_entropy, [nn.Sigmoid()], 0.5),
    ],
)
def test_the_loss_tells_accuracy_what_outputs_are(loss_of, last, threshold, compiled):
    model = nn.Sequential(nn.Linear(4, 1), *last)
    with tg.no_grad():
        model[0].weight[:] = [1, 0, 0, 0]  # nearly right, so that the wrong threshold is seen
        model[0].bias[:] = 0.01
    z = (X[:, :1] > 0).astype(np.float32)
    z = z * 2 - 1 if isinstance(loss_of, nn.SoftMarginLoss) else z
    figures = {"accuracy": training.accuracy}
    trainer = training.Trainer(model, loss_of, optim.SGD(model.parameters(), lr=0.01), figures, compile=compiled)
    history = trainer.fit(loader(X, z), 2, loader(X, z))
    with tg.no_grad():
        outputs = model(tg.tensor(X)).numpy()
    assert history["val_accuracy"][-1] == pytest.approx(((outputs > threshold) == (z > 0.5)).mean())
    assert ((outputs > 0) == (z > 0.5)).mean() != pytest.approx(((outputs > 0.5) == (z > 0.5)).mean())
    assert trainer.metrics == figures


def test_where_the_loss_does_not_tell_what_outputs_are():
    model, z = nn.Linear(4, 1), Y[:, None].astype(np.float32)
    for compiled in (False, True):
        settings = {"optimizer": optim.SGD(model.parameters(), lr=0.1), "compile": compiled}
        trainer = training.Trainer(model, nn.MSELoss(), metrics={"accuracy": training.accuracy}, **settings)
        with pytest.raises(ValueError, match="functools.partial.accuracy, threshold=0.0"):
            trainer.fit(loader(X, z), 1)
        told = {"accuracy": functools.partial(training.accuracy, threshold=0.5)}
        training.Trainer(model, nn.MSELoss(), metrics=told, **settings).fit(loader(X, z), 1)


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
    stop = training.EarlyStopping("acc")
    for monitor, settings in (
        ("f1", {"monitor": "f1"}),
        ("error", {"monitor": "error", "mode": "max"}),
        ("height", {"monitor": "height"}),  # rather than that the name does not tell what is better
        ("acc", {"early_stopping": stop}),
        ("acc", {"early_stopping": stop, "monitor": "loss"}),
        ("val_accuracy", {"early_stopping": training.EarlyStopping("val_accuracy")}),
    ):
        with pytest.raises(ValueError, match=f"no figure '{monitor}' to watch; there are 'loss', 'accuracy'$"):
            trainer.fit(loader(), 1, **settings)
    assert trainer.steps == 0
    trainer.fit(loader(), 1, loader(), early_stopping=training.EarlyStopping("val_accuracy"), monitor="train_loss")
    with pytest.raises(ValueError, match="no figure 'acc'.*'epoch', 'loss', 'accuracy', 'lr'"):  # they could add it
        trainer.fit(loader(), 1, early_stopping=stop, callbacks=lambda trainer, row: None)
    with pytest.raises(RuntimeError, match="checkpoint"):
        trainer.load_best()
    with pytest.raises(TypeError, match="state_dict"):
        trainer.fit(iter([]), 1, checkpoint="nowhere", every_steps=2)


# --- early stopping --------------------------------------------------------------------------------------------------


def test_a_trainer_stops_early_and_ends_with_the_best(tmp_path):
    model = network()
    test = loader(X[:20], Y[:20])
    stop = training.EarlyStopping("loss", 2, restore_best=True)
    trainer = trainer_of(model, optim.SGD(model.parameters(), lr=3.0))
    history = trainer.fit(loader(), 50, test, early_stopping=stop, checkpoint=tmp_path)
    assert len(history) == stop.best_epoch + 2 < 50
    assert trainer.evaluate(test)["loss"] == pytest.approx(min(history["val_loss"]))
    assert history.best("loss") == trainer.load_best() == history[stop.best_epoch - 1]


# --- progress --------------------------------------------------------------------------------------------------------


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
