"""Schedulers: PyTorch's rates over epochs, state, compiled steps, and what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinygrad_nn as tg
from tests.optim import cases as cases
from tinygrad_nn import nn, optim
from tinygrad_nn.optim import lr_scheduler

RESULTS = cases.kept()
PAIRS = [(kind, case) for case in cases.SCHEDULERS for kind in ("SGD", "Adam")]
LABELS = [f"{kind}-{cases.label(case)}" for kind, case in PAIRS]


def leaf():
    return tg.tensor(1.0, requires_grad=True)


def make(kind="SGD"):
    return cases.make(optim, leaf, kind)


def build(case, optimizer):
    return getattr(lr_scheduler, case[0])(optimizer, **case[1])


def check(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-16)


@pytest.mark.parametrize(("pair", "wanted"), list(zip(PAIRS, RESULTS["schedulers"], strict=True)), ids=LABELS)
def test_rates_are_those_of_torch(pair, wanted):
    optimizer = make(pair[0])
    scheduler = build(pair[1], optimizer)
    check(cases.followed(optimizer, scheduler), wanted)
    check(scheduler.get_last_lr(), wanted[-1][:2])


@pytest.mark.parametrize(
    ("name", "wanted"), list(zip(cases.COMBINED, RESULTS["combined"], strict=True)), ids=list(cases.COMBINED)
)
def test_combined_rates_are_those_of_torch(name, wanted):
    optimizer = make()
    scheduler = cases.COMBINED[name](lr_scheduler, optimizer)
    check(cases.followed(optimizer, scheduler), wanted)
    check(scheduler.get_last_lr(), wanted[-1][:2])


@pytest.mark.parametrize(("settings", "wanted"), list(zip(cases.PLATEAUS, RESULTS["plateaus"], strict=True)), ids=str)
def test_plateaus_are_those_of_torch(settings, wanted):
    optimizer = make()
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
    found = []
    for number, measure in enumerate(cases.MEASURES):
        scheduler.step(tg.tensor(measure) if number % 2 else measure)
        found.append(cases.rates(optimizer))
        if number == 25:
            state = scheduler.state_dict()
            scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
            scheduler.load_state_dict(state)
    check(found, wanted)


@pytest.mark.parametrize("pair", PAIRS, ids=LABELS)
def test_schedules_go_on_from_a_file(pair, tmp_path):
    optimizer = make(pair[0])
    wanted = cases.followed(optimizer, build(pair[1], optimizer))
    optimizer = make(pair[0])
    scheduler = build(pair[1], optimizer)
    cases.followed(optimizer, scheduler, 12)
    tg.save([optimizer.state_dict(), scheduler.state_dict()], tmp_path / "state.safetensors")
    cases.followed(optimizer, scheduler, 3)
    optimizer = make(pair[0])
    scheduler = build(pair[1], optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for part, state in zip((optimizer, scheduler), tg.load(tmp_path / "state.safetensors"), strict=True):
            part.load_state_dict(state)
        check(cases.followed(optimizer, scheduler, 18), wanted[12:])


@pytest.mark.parametrize("name", cases.COMBINED)
def test_combined_schedules_go_on_from_a_file(name, tmp_path):
    build = cases.COMBINED[name]
    optimizer = make()
    wanted = cases.followed(optimizer, build(lr_scheduler, optimizer))
    optimizer = make()
    scheduler = build(lr_scheduler, optimizer)
    cases.followed(optimizer, scheduler, 9)
    tg.save([optimizer.state_dict(), scheduler.state_dict()], tmp_path / "state.safetensors")
    optimizer = make()
    scheduler = build(lr_scheduler, optimizer)
    for part, state in zip((optimizer, scheduler), tg.load(tmp_path / "state.safetensors"), strict=True):
        part.load_state_dict(state)
    check(cases.followed(optimizer, scheduler, 21), wanted[9:])


@pytest.mark.parametrize("case", cases.SCHEDULERS[:13], ids=cases.label)
def test_any_epoch_can_be_set(case):
    torch = pytest.importorskip("torch")
    ours, theirs = make(), cases.make(torch.optim, lambda: torch.tensor(1.0, requires_grad=True), "SGD")
    mine, other = build(case, ours), getattr(torch.optim.lr_scheduler, case[0])(theirs, **case[1])
    for epoch in (0, 3, 5, 2, 11, 40):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mine.step(epoch)
            other.step(epoch)
        check(cases.rates(ours), cases.rates(theirs))


@pytest.mark.parametrize("case", cases.SCHEDULERS, ids=cases.label)
def test_state_comes_from_torch(case):
    torch = pytest.importorskip("torch")
    theirs = cases.make(torch.optim, lambda: torch.tensor(1.0, requires_grad=True), "SGD")
    other = getattr(torch.optim.lr_scheduler, case[0])(theirs, **case[1])
    cases.followed(theirs, other, 8)
    optimizer = make()
    scheduler = build(case, optimizer)
    state = theirs.state_dict()
    optimizer.load_state_dict({"state": {}, "param_groups": state["param_groups"]})
    scheduler.load_state_dict(other.state_dict())
    check(cases.followed(optimizer, scheduler, 15), cases.followed(theirs, other, 15))


def test_training_goes_on_after_an_epoch():
    optimizer = make()
    with pytest.raises(KeyError, match="initial_lr"):
        lr_scheduler.StepLR(optimizer, 2, last_epoch=4)
    first = lr_scheduler.ExponentialLR(optimizer, 0.5)
    cases.followed(optimizer, first, 3)
    second = lr_scheduler.ExponentialLR(optimizer, 0.5, last_epoch=3)
    assert second.last_epoch == 4
    assert second.base_lrs == [0.1, 0.05]


def test_a_sequence_can_hold_sequences():
    optimizer = make()
    inner = lr_scheduler.SequentialLR(
        optimizer, [lr_scheduler.StepLR(optimizer, 1, 0.5), lr_scheduler.ExponentialLR(optimizer, 0.1)], [2]
    )
    outer = lr_scheduler.SequentialLR(optimizer, [lr_scheduler.ConstantLR(optimizer, 0.5, 99), inner], [2])
    found = [row[0] for row in cases.followed(optimizer, outer, 6)]
    check(found, [0.05, 0.05, 0.1, 0.05, 0.1, 0.01, 0.001])


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop"])
@pytest.mark.parametrize("name", ["OneCycleLR", "CyclicLR", "ExponentialLR"])
def test_compiled_steps_heed_rates_and_momenta_and_are_not_recorded_anew(kind, name):
    settings = {
        "OneCycleLR": {"max_lr": 0.05, "total_steps": 30},
        "CyclicLR": {"base_lr": 0.01, "max_lr": 0.05, "step_size_up": 4},
        "ExponentialLR": {"gamma": 0.9},
    }[name]
    options = {"momentum": 0.5} if kind in ("SGD", "RMSprop") else {}

    def train(compiled):
        w = nn.Parameter(np.linspace(-1, 1, 5))
        optimizer = getattr(optim, kind)([w], lr=0.01, **options)
        scheduler = getattr(lr_scheduler, name)(optimizer, **settings)
        runs = []

        def step(x):
            runs.append(0)
            optimizer.zero_grad()
            loss = ((w * x) ** 2).sum() + w.sum()
            loss.backward()
            optimizer.step()
            return loss

        step = tg.compile(step) if compiled else step
        path = []
        for x in np.random.default_rng(0).standard_normal((12, 5)):
            path.append(step(x).item())
            scheduler.step()
        return path, len(runs)

    eager, _ = train(False)
    compiled, runs = train(True)
    np.testing.assert_allclose(compiled, eager, rtol=1e-12)
    assert runs <= 2  # SGD's first step differs from the others


def test_a_compiled_step_is_no_reason_for_a_warning():
    w = nn.Parameter([1.0])
    optimizer = optim.SGD([w], lr=0.1)
    scheduler = lr_scheduler.StepLR(optimizer, 1)

    @tg.compile
    def step():
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step()
        scheduler.step()


def test_a_scheduler_that_steps_first_warns():
    optimizer = make()
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match=r"before optimizer\.step"):
        scheduler.step()
    other = make()
    scheduler = lr_scheduler.StepLR(other, 1)
    other.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()
        scheduler.step()


@pytest.mark.parametrize(
    ("make_one", "error", "words"),
    [
        (lambda s, o: s.StepLR(nn.Linear(1, 1), 2), TypeError, "Linear"),
        (lambda s, o: s.CyclicLR(3, 0.1, 0.2), TypeError, "int"),
        (lambda s, o: s.StepLR(o, 0), ValueError, "step_size"),
        (lambda s, o: s.StepLR(o, 2.5), ValueError, "step_size"),
        (lambda s, o: s.ConstantLR(o, 2.0), ValueError, "factor"),
        (lambda s, o: s.LinearLR(o, 0.0), ValueError, "start_factor"),
        (lambda s, o: s.LinearLR(o, end_factor=2.0), ValueError, "end_factor"),
        (lambda s, o: s.PolynomialLR(o, 0), ValueError, "total_iters"),
        (lambda s, o: s.CosineAnnealingLR(o, 0), ValueError, "T_max"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 0), ValueError, "T_mult"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 3).step(-1), ValueError, "epoch"),
        (lambda s, o: s.LambdaLR(o, 0.5), TypeError, "function"),
        (lambda s, o: s.LambdaLR(o, [cases.halving]), ValueError, "2 groups"),
        (lambda s, o: s.ReduceLROnPlateau(o, "low"), ValueError, "mode"),
        (lambda s, o: s.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor"),
        (lambda s, o: s.ReduceLROnPlateau(o, min_lr=[0.1]), ValueError, "min_lr"),
        (lambda s, o: s.OneCycleLR(o, 0.1), ValueError, "total_steps"),
        (lambda s, o: s.OneCycleLR(o, 0.1, total_steps=3, anneal_strategy="sin"), ValueError, "anneal_strategy"),
        (lambda s, o: s.OneCycleLR(o, [0.1], total_steps=3), ValueError, "max_lr"),
        (lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="square"), ValueError, "mode"),
        (lambda s, o: s.OneCycleLR(optim.Adagrad([leaf()]), 0.1, 5), ValueError, "cycle_momentum=False"),
        (lambda s, o: s.ChainedScheduler([]), ValueError, "at least one"),
        (lambda s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]), ValueError, "ReduceLROnPlateau"),
        (lambda s, o: s.ChainedScheduler([s.StepLR(o, 1), s.StepLR(make(), 1)]), ValueError, "another"),
        (lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)], [3]), ValueError, "milestones"),
        (lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)] * 3, [5, 3]), ValueError, "milestones"),
        (lambda s, o: s.SequentialLR(o, [3], []), TypeError, "int"),
        (lambda s, o: s.StepLR(o, 1).load_state_dict({}), ValueError, "StepLR"),
        (
            lambda s, o: s.StepLR(o, 1).load_state_dict(s.ExponentialLR(o, 0.1).state_dict()),
            ValueError,
            "another scheduler",
        ),
        (lambda s, o: s.LRScheduler(o), NotImplementedError, "get_lr"),
    ],
)
def test_misuse_is_refused(make_one, error, words):
    with pytest.raises(error, match=words):
        make_one(lr_scheduler, make())


def test_a_group_added_later_is_an_error_that_says_so():
    optimizer = make()
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3)
    optimizer.add_param_group({"params": [leaf()]})
    with pytest.raises(ValueError, match="add groups before"):
        scheduler.step()


def test_one_cycle_ends():
    optimizer = make()
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3)
    optimizer.step()
    for _ in range(3):
        scheduler.step()
    with pytest.raises(ValueError, match="3 steps"):
        scheduler.step()


def test_functions_with_memory_are_saved_with_it():
    class Factor:
        def __init__(self, base):
            self.base = base

        def __call__(self, epoch):
            return self.base**epoch

    optimizer = make()
    scheduler = lr_scheduler.LambdaLR(optimizer, Factor(0.5))
    state = scheduler.state_dict()
    assert state["lr_lambdas"] == [{"base": 0.5}] * 2
    other = lr_scheduler.LambdaLR(optimizer, Factor(0.9))
    other.load_state_dict(state)
    assert other.lr_lambdas[0].base == 0.5


def test_every_scheduler_is_there():
    torch = pytest.importorskip("torch")
    assert set(lr_scheduler.__all__) == set(torch.optim.lr_scheduler.__all__)
