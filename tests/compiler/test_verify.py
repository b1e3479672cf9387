"""Planned memory, run on symbols: plans are right, and faults that are planted in them are found."""

import numpy as np
import pytest

import tinygrad_nn as tg
from tests.compiler.programs import call, entry_of, numbers, poison
from tinygrad_nn import nn, optim
from tinygrad_nn.compiler.compiled import Entry
from tinygrad_nn.compiler.ir import MalformedProgram
from tinygrad_nn.compiler.targets.numpy import blocks
from tinygrad_nn.compiler.targets.numpy.emit import Emitter
from tinygrad_nn.compiler.targets.numpy.verify import verify

T = tg.tensor


def elementwise(x, y):
    a = tg.sin(x) + y
    b = tg.cos(a) * a
    c = tg.exp(-b) - a
    d = c * b + tg.tanh(c)
    return d * y, (b * c).sum(axis=0)


def views(x, y):
    a = tg.sin(x).T
    b = a * 2
    c = b.reshape(-1) + 1
    d = tg.concat([c[::-1], y.reshape(-1)])
    return d, a @ b.T


def gradients(x, y):
    return tg.value_and_grad(lambda a: tg.sum((a + a + a) ** 2 * tg.sigmoid(a @ y.T @ a)))(x)


def training():
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    def step(x, y):
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    step(*inputs())  # momentum is there
    return step


PROGRAMS = {
    "elementwise": lambda: elementwise,
    "views": lambda: views,
    "gradients": lambda: gradients,
    "step": training,
}


def inputs(seed=0):
    rng = np.random.default_rng(seed)
    return [T(rng.uniform(-1, 1, (3, 3))) for _ in range(2)]


@pytest.fixture(params=[False, True], ids=["whole", "pieces"])
def pieces(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(blocks, "LEAST_BYTES", 16)
        monkeypatch.setattr(blocks, "PIECE_BYTES", 40)
        monkeypatch.setattr(blocks, "LEAST_STEPS", 1)


def swap_steps(plan, rng):
    """Two steps of the body in the other order."""
    if len(plan.body) > 1:
        i = int(rng.integers(len(plan.body) - 1))
        plan.body[i], plan.body[i + 1] = plan.body[i + 1], plan.body[i]


def move_step(plan, rng):
    """A step of the body somewhere else."""
    step = plan.body.pop(int(rng.integers(len(plan.body))))
    plan.body.insert(int(rng.integers(len(plan.body) + 1)), step)


def share_buffer(plan, rng):
    """A variable in the buffer of another."""
    held = list(plan.buffer_of)
    if len(held) > 1:
        x, y = (held[i] for i in rng.choice(len(held), 2, replace=False))
        if x.nbytes <= plan.buffer_of[y].nbytes and plan.buffer_of[x] is not plan.buffer_of[y]:
            plan.buffer_of[x].tenants.remove(x)
            plan.buffer_of[x] = plan.buffer_of[y]
            plan.buffer_of[y].tenants.append(x)


def drop_copy(plan, rng):
    """A new value of the state that is not copied there."""
    if plan.copies:
        del plan.copies[int(rng.integers(len(plan.copies)))]


def drop_commit(plan, rng):
    """A write to the state that is left out."""
    if plan.commits:
        del plan.commits[int(rng.integers(len(plan.commits)))]


def other_target(plan, rng):
    """Writes to the state that go into each other's arrays."""
    news = list(plan.targets)
    if len(news) > 1:
        x, y = (news[i] for i in rng.choice(len(news), 2, replace=False))
        if plan.targets[x].shape == plan.targets[y].shape:
            plan.targets[x], plan.targets[y] = plan.targets[y], plan.targets[x]


def commit_early(plan, rng):
    """A write to the state amid the body."""
    if plan.commits:
        step = plan.commits.pop(int(rng.integers(len(plan.commits))))
        plan.body.insert(int(rng.integers(len(plan.body) + 1)), step)


def result_in_a_buffer(plan, rng):
    """A result that is given away in memory that is used again."""
    if plan.results and plan.buffers:
        x = plan.results[int(rng.integers(len(plan.results)))]
        buffer = plan.buffers[int(rng.integers(len(plan.buffers)))]
        if x.nbytes <= buffer.nbytes:
            buffer.tenants.append(x)
            plan.buffer_of[x] = buffer


FAULTS = [
    swap_steps,
    move_step,
    share_buffer,
    drop_copy,
    drop_commit,
    other_target,
    commit_early,
    result_in_a_buffer,
]


def is_right(entry, make):
    """Whether what is emitted of a plan computes what an ordinary call does."""
    emitter = Emitter(entry.plan, entry.simplified.careful, entry.recording.program.name)
    try:
        source = emitter.emit([])
        entry = Entry(make, entry.recording, entry.simplified, entry.plan, source, None)
        kept = []
        for seed in range(3):
            poison(entry)
            kept.append((call(entry, *inputs(seed)), seed))
        return kept
    except Exception:
        return None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_planted_fault_is_found_or_changes_nothing(pieces, name, fault):
    found = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        tg.manual_seed(0)
        make = PROGRAMS[name]()
        entry = entry_of(make, inputs())
        before = [*entry.plan.body, None, *entry.plan.commits], dict(entry.plan.buffer_of), dict(entry.plan.targets)
        copies = list(entry.plan.copies)
        fault(entry.plan, rng)
        after = [*entry.plan.body, None, *entry.plan.commits], dict(entry.plan.buffer_of), dict(entry.plan.targets)
        if before == after and copies == entry.plan.copies:
            continue
        try:
            verify(entry.plan)
        except MalformedProgram:
            found += 1
            continue
        if name == "step":  # what is harmless there is looked at in the programs without state
            assert fault in (swap_steps, move_step, share_buffer, commit_early)
            continue
        results = is_right(entry, make)
        assert results is not None, f"{fault.__name__} {seed} breaks the code, and is not found"
        for made, call_seed in results:
            expected = numbers(make(*inputs(call_seed)))
            for x, y in zip(numbers(made), expected, strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12, err_msg=f"{fault.__name__} {seed}: not found")
    if fault in (move_step, swap_steps) or (fault in (drop_commit, other_target) and name == "step"):
        assert found


def test_the_message_names_the_step_and_what_is_there():
    entry = entry_of(elementwise, inputs())
    plan = entry.plan
    plan.body.reverse()
    with pytest.raises(MalformedProgram, match=r"f, after planning its memory: .* before it is made"):
        verify(plan)
