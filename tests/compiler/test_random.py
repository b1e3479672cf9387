"""Random programs, random training and random numbers, compiled and not: the same, in memory that is used again."""

import copy
import importlib.util
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import tinygrad_nn as tg
from tests.compiler.programs import (
    assert_close,
    assert_same,
    assume_tame,
    call,
    call_alone,
    entry_of,
    finite,
    numbers,
    poison,
    random_programs,
    shown,
    writing_programs,
)
from tinygrad_nn import nn, optim
from tinygrad_nn.compiler.targets.numpy import blocks

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

PROFILE = settings.get_profile(settings.get_current_profile_name())
more = settings(PROFILE, max_examples=6 * PROFILE.max_examples, suppress_health_check=list(HealthCheck))
training = settings(PROFILE, max_examples=3 * PROFILE.max_examples, suppress_health_check=list(HealthCheck))


@pytest.fixture(params=[False, True], ids=["whole", "pieces"])
def pieces(request, monkeypatch):
    """Elementwise chains are run piece by piece, also on small arrays."""
    if request.param:
        monkeypatch.setattr(blocks, "LEAST_BYTES", 16)
        monkeypatch.setattr(blocks, "PIECE_BYTES", 40)
        monkeypatch.setattr(blocks, "LEAST_STEPS", 1)
    return request.param


def check_calls(entry, function, program, calls=4):
    """Several calls with new numbers, in poisoned memory: each is right, and leaves the results of those before."""
    kept = []
    for seed in range(calls):
        inputs = program.inputs(seed)
        given_numbers = numbers(inputs)
        with np.errstate(all="ignore"):
            expected = function(*inputs)
        poison(entry)
        made = call(entry, *inputs)
        assert_same(made, expected, scale=10.0, coarse=program.coarse, what=f"call {seed}\n{entry.source.text}")
        assert_close(numbers(inputs), given_numbers, what="inputs were written to")
        kept.append((made, numbers(made)))
        if seed == 1:
            del kept[0]  # whose memory may be used again
        for old, before in kept:
            np.testing.assert_equal(numbers(old), before)


@more
@given(program=random_programs(), reuse=st.booleans())
def test_values(pieces, program, reuse):
    entry = entry_of(program.function, program.inputs(0), reuse=reuse)
    check_calls(entry, program.function, program)


@more
@given(program=random_programs(), reuse=st.booleans())
def test_gradients(pieces, program, reuse):
    assume(isinstance(program.loss(*program.inputs(0)), tg.Tensor))
    for seed in range(4):
        assume_tame(program.gradient(*program.inputs(seed)))
    entry = entry_of(program.gradient, program.inputs(0), reuse=reuse)
    check_calls(entry, program.gradient, program)


@more
@given(program=random_programs(max_steps=5))
def test_second_derivatives(program):
    assume(isinstance(program.loss(*program.inputs(0)), tg.Tensor))
    for seed in range(4):
        assume_tame(program.gradient(*program.inputs(seed)), 1e2)
        assume_tame(program.second(*program.inputs(seed)), 1e3)
    entry = entry_of(program.second, program.inputs(0))
    check_calls(entry, program.second, program)


@more
@given(program=random_programs())
def test_source_alone(program):
    inputs = program.inputs(0)
    assume(isinstance(program.loss(*inputs), tg.Tensor))
    for function in (program.function, program.gradient):
        entry = entry_of(function, inputs)
        expected = [np.asarray(x) for x in numbers(function(*inputs))]
        assume(finite(expected))
        assert_close(call_alone(entry, *inputs), expected, scale=10.0, coarse=program.coarse, what=entry.source.text)


@more
@given(program=writing_programs())
def test_writes(program):
    """State outside, results and what was held before: as without compilation, also where calls alternate."""
    source, start = program
    states, functions = [], []
    for _ in range(3):
        space = {"tg": tg, "np": np, "nn": nn}
        exec(source, space)
        states.append([tg.tensor(x) for x in start])
        functions.append(space["make"](*states[-1]))
    plain, other, mixed = functions
    compiled, sometimes = tg.compile(other), tg.compile(mixed)
    kept = []
    for k in range(4):
        inputs = [tg.tensor(np.random.default_rng(10 * k + i).uniform(-1, 1, start[0].shape)) for i in range(2)]
        expected = plain(*inputs)
        outs = [compiled(*inputs), (sometimes if k % 2 else mixed)(*inputs)]
        held = states[1][k % 3].numpy(), states[1][k % 3].detach()
        for out, state in zip(outs, states[1:], strict=True):
            assert_same(out, expected, coarse="f", what=f"call {k}\n{source}\n{compiled.source}")
            assert_same(state, states[0], coarse="f", what=f"call {k}\n{source}\n{compiled.source}")
            kept.append((shown((out, held)), numbers((out, held))))
        for old, before in kept:
            np.testing.assert_equal(numbers(old), before, err_msg=f"call {k}\n{source}\n{compiled.source}")


def saved(compiled, folder):
    """The module that `save` writes, imported."""
    path = folder / "saved.py"
    compiled.save(path)
    assert "tinygrad" not in path.read_text()
    spec = importlib.util.spec_from_file_location("saved", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@given(program=random_programs())
def test_saved(tmp_path, program):
    assume(isinstance(program.loss(*program.inputs(0)), tg.Tensor))
    for function in (program.function, program.gradient):
        compiled = tg.compile(function)
        compiled(*program.inputs(0))
        alone = getattr(saved(compiled, tmp_path), function.__name__)
        kept = []
        for seed in range(3):
            inputs = program.inputs(seed)
            out = alone(*(x.numpy() if isinstance(x, tg.Tensor) else x for x in inputs))
            assert_close(numbers(out), [np.asarray(x) for x in numbers(compiled(*inputs))], coarse=program.coarse)
            kept.append((out, numbers(out)))
        for out, before in kept:
            np.testing.assert_equal(numbers(out), before)


# --- training --------------------------------------------------------------------------------------------------------

ACTIVATIONS = [nn.Sigmoid, nn.ReLU, nn.Tanh, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Softmax]

#: Last layer, loss, and what the targets are.
LOSSES = {
    "mse": (None, nn.MSELoss, "numbers"),
    "l1": (None, nn.L1Loss, "numbers"),
    "huber": (None, nn.HuberLoss, "numbers"),
    "bce": (nn.Sigmoid, nn.BCELoss, "bits"),
    "logits": (None, nn.BCEWithLogitsLoss, "bits"),
    "nll": (nn.LogSoftmax, nn.NLLLoss, "classes"),
    "cross entropy": (None, nn.CrossEntropyLoss, "classes"),
    "smooth targets": (None, nn.CrossEntropyLoss, "shares"),
}
OPTIMIZERS = [
    (optim.SGD, {"lr": 0.05}),
    (optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    (optim.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    (optim.SGD, {"lr": 0.05, "momentum": 0.8, "dampening": 0.3}),
    (optim.SGD, {"lr": 0.05, "weight_decay": 0.1}),
    (optim.Adam, {"lr": 0.01, "eps": 1e-4}),
    (optim.Adam, {"lr": 0.01, "eps": 1e-4, "amsgrad": True, "weight_decay": 0.01}),
    (optim.AdamW, {"lr": 0.01, "eps": 1e-4, "betas": (0.8, 0.99)}),
]


class World:
    """A network, its optimizer and a step, which is run in one of several ways."""

    def __init__(self, plan, way):
        self.plan = plan
        self.way = way
        self.count = 0
        tg.manual_seed(plan["seed"])
        sizes, dtype = plan["sizes"], plan["dtype"]
        layers = []
        for i, (n, m) in enumerate(pairwise(sizes)):
            layers.append(nn.Linear(n, m))
            if i < len(sizes) - 2:
                layers.append(ACTIVATIONS[plan["activations"][i]]())
                layers += [nn.Dropout(0.25)] if plan["dropout"] else []
        last, loss, _ = LOSSES[plan["loss"]]
        layers += [last()] if last else []
        self.model = nn.Sequential(*layers).to(dtype)
        self.loss = loss(reduction=plan["reduction"])
        kind, options = OPTIMIZERS[plan["optimizer"]]
        parameters = list(self.model.parameters())
        if plan["groups"]:
            parameters = [{"params": parameters[::2]}, {"params": parameters[1::2], "lr": 0.02}]
        self.optimizer = kind(parameters, **options)
        self.compiled = tg.compile(self.step)
        self.random = tg.random.get_state()
        self.snapshots = []
        self.views = []
        self.kept = []

    def step(self, x, y):
        plan = self.plan
        if plan["zeros"] == "first":
            self.optimizer.zero_grad()
        elif plan["zeros"] == "numbers":
            self.optimizer.zero_grad(set_to_none=False)
        prediction = self.model(x)
        loss = self.loss(prediction, y)
        loss.backward()
        self.optimizer.step()
        if plan["zeros"] == "last":
            self.optimizer.zero_grad()
        return {"nothing": None, "loss": loss, "all": (loss, {"prediction": prediction})}[plan["returns"]]

    def run(self, x, y):
        """One step; what the random generator gave is remembered for this world."""
        tg.random.set_state(self.random)
        self.count += 1
        compiled = self.way == "compiled" or (self.way == "mixed" and self.count % 2)
        out = (self.compiled if compiled else self.step)(x, y)
        self.random = tg.random.get_state()
        self.kept.append((out, numbers(out)))
        return out

    def act(self, action, argument):
        """What a user does between steps."""
        groups = self.optimizer.param_groups
        if action == "lr":
            for group in groups:
                group["lr"] = argument
        elif action == "reload":
            model, optimizer = copy.deepcopy(self.model.state_dict()), copy.deepcopy(self.optimizer.state_dict())
            for p in self.model.parameters():
                with tg.no_grad():
                    p *= 0.5
            self.model.load_state_dict(model)
            self.optimizer.load_state_dict(optimizer)
        elif action == "seed":
            tg.manual_seed(int(argument * 1e6))
            self.random = tg.random.get_state()
        elif action == "mode":
            self.model.train(not self.model.training)
        elif action == "clear":
            self.model.zero_grad()
        elif action == "halve":
            with tg.no_grad():
                for p in self.model.parameters():
                    p *= 0.5
        elif action == "option" and type(self.optimizer) is optim.SGD:
            for group in groups:
                group["weight_decay"] = argument
        elif action == "freeze":
            p = next(iter(self.model.parameters()))
            p.requires_grad_(not p.requires_grad)

    def look(self, x):
        """Take hold of values in all ways there are; no later step may change them."""
        p = list(self.model.parameters())[self.count % len(list(self.model.parameters()))]
        held = [p.numpy(), np.asarray(p.detach()), p.detach(), p * 1, p.T, copy.copy(p), p[...], copy.deepcopy(p)]
        held += [*self.model.state_dict().values()]
        held += [e for entries in self.optimizer.state_dict()["state"].values() for e in entries.values()]
        held += [q.grad for q in self.model.parameters() if q.grad is not None]
        held += [q.grad.numpy()[..., :1] for q in self.model.parameters() if q.grad is not None]
        choice = held[self.count % len(held)] if self.count % 3 else held
        graph = tg.sum(tg.square(p)) if self.count % 2 else None
        self.views.append((p, p.detach(), p[...], p.T))
        self.snapshots.append((shown(choice), numbers(choice), graph, p, 2 * np.array(p.numpy())))

    def all_state(self):
        """Whatever a step may change."""
        parameters = list(self.model.parameters())
        state = {k: v if not isinstance(v, tg.Tensor) else np.array(v.numpy()) for k, v in self._optimizer_state()}
        return {
            "parameters": [np.array(p.numpy()) for p in parameters],
            "gradients": [None if p.grad is None else np.array(p.grad.numpy()) for p in parameters],
            "optimizer": state,
            "random": str(self.random),
        }

    def _optimizer_state(self):
        found = self.optimizer.state_dict()
        for number, entries in sorted(found["state"].items()):
            yield from (((number, name), value) for name, value in sorted(entries.items()))
        yield "groups", str(found["param_groups"])


@st.composite
def plans(draw):
    loss = draw(st.sampled_from(sorted(LOSSES)))
    sizes = [draw(st.integers(1, 5)) for _ in range(draw(st.integers(2, 4)))]
    sizes[-1] = max(sizes[-1], 2)
    return {
        "seed": draw(st.integers(0, 1000)),
        "sizes": sizes,
        "dtype": draw(st.sampled_from(["float64", "float32"])),
        "activations": draw(st.lists(st.integers(0, len(ACTIVATIONS) - 1), min_size=4, max_size=4)),
        "dropout": draw(st.booleans()),
        "loss": loss,
        "reduction": draw(st.sampled_from(["mean", "sum"])),
        "optimizer": draw(st.integers(0, len(OPTIMIZERS) - 1)),
        "groups": draw(st.booleans()),
        "zeros": draw(st.sampled_from(["first", "last", "never", "numbers"])),
        "returns": draw(st.sampled_from(["nothing", "loss", "all"])),
    }


NAMES = ["lr", "reload", "seed", "mode", "clear", "halve", "option", "freeze", "look", "look", "batch"]
actions = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([0.01, 0.03])), min_size=10, max_size=10)


def batch(plan, seed, count):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, plan["sizes"][0])).astype(plan["dtype"])
    shape = (count, plan["sizes"][-1])
    kind = LOSSES[plan["loss"]][2]
    if kind == "classes":
        y = rng.integers(0, shape[1], count)
    elif kind == "bits":
        y = rng.integers(0, 2, shape).astype(plan["dtype"])
    elif kind == "shares":
        y = rng.dirichlet(np.ones(shape[1]), count).astype(plan["dtype"])
    else:
        y = rng.standard_normal(shape).astype(plan["dtype"])
    return tg.tensor(x), tg.tensor(y)


@training
@given(plan=plans(), actions=actions)
def test_training(plan, actions):
    worlds = [World(plan, way) for way in ("eager", "compiled", "mixed")]
    count = 3
    for k, (action, argument) in enumerate(actions):
        outs = []
        if action == "batch":
            count = 5 - count
        for world in worlds:
            x, y = batch(plan, k, count)
            world.act(action, argument)
            if action == "look":
                world.look(x)
            outs.append(world.run(x, y))
        first = worlds[0].all_state()
        for world, out in zip(worlds[1:], outs[1:]):
            assert_same(out, outs[0], scale=10.0, what=f"step {k}")
            agree(world.all_state(), first, f"{world.way}, step {k}")
    for world in worlds:
        for p, detached, whole, transposed in world.views:
            for view in (detached, whole, transposed.T):
                np.testing.assert_equal(view.numpy(), p.numpy())
        for choice, before, graph, p, slope in world.snapshots:
            np.testing.assert_equal(numbers(choice), before)
            if graph is not None:
                p.grad = None
                graph.backward()
                np.testing.assert_array_equal(p.grad.numpy(), slope)
        for out, before in world.kept:
            np.testing.assert_equal(numbers(out), before)


def agree(got, expected, what):
    assert got["random"] == expected["random"], what
    assert got["optimizer"].keys() == expected["optimizer"].keys(), what
    assert_close(got["parameters"], expected["parameters"], scale=10.0, what=what)
    assert_close(got["gradients"], expected["gradients"], scale=10.0, what=what)
    assert_close(list(got["optimizer"].values()), list(expected["optimizer"].values()), scale=10.0, what=what)


@training
@given(plan=plans(), before=st.integers(1, 3))
def test_saved_training(tmp_path, plan, before):
    """A saved step goes on from where the state was when it was saved; a first step that is past is refused."""
    world = World(plan, "compiled")
    for k in range(before):
        world.run(*batch(plan, k, 3))
    try:
        module = saved(world.compiled, tmp_path)
    except RuntimeError as error:
        assert before == 1
        assert "call it once more" in str(error)
        world.run(*batch(plan, before, 3))
        module = saved(world.compiled, tmp_path)
    for k in range(3):
        x, y = batch(plan, 10 + k, 3)
        made = numbers(module.step(x.numpy(), y.numpy()))
        assert_close(made, numbers(world.run(x, y)), scale=10.0, what=f"call {k}")
    state = [x for x in module.state.values() if isinstance(x, np.ndarray)]
    for p in world.model.parameters():
        assert any(x.shape == p.shape and np.allclose(x, p.numpy(), rtol=1e-3, atol=1e-3) for x in state)


# --- random numbers --------------------------------------------------------------------------------------------------

DRAWS = {
    "normal": lambda x: tg.random.normal(size=(3,)) * x,
    "uniform": lambda x: tg.random.uniform(-1, 1, size=(3,)) * x,
    "a mean that varies": lambda x: tg.random.normal(x, 1.0),
    "standard normal": lambda x: tg.random.standard_normal() * x,
    "float32": lambda x: tg.random.random((3,), dtype=np.float32) * x,
    "integers": lambda x: tg.random.integers(0, 5, size=(3,)) * x,
    "permutation": lambda x: x[tg.random.permutation(3)],
    "choice": lambda x: tg.random.choice(x, size=2),
    "dropout": lambda x: nn.functional.dropout(x, 0.5) + nn.functional.dropout(x, 0.5),
    "gradient": tg.grad(lambda x: tg.sum(tg.sin(x * tg.random.standard_normal((3,))))),
    "not needed": lambda x: (tg.random.random(5), x)[1] + tg.random.random(3),
}


@pytest.mark.parametrize("name", DRAWS)
def test_random_numbers_go_on_from_call_to_call(name):
    x = tg.tensor([1.0, 2.0, 3.0])
    tg.manual_seed(0)
    expected = [numbers(DRAWS[name](x)) for _ in range(4)]
    after = str(tg.random.get_state())
    compiled = tg.compile(DRAWS[name])
    for functions in ((compiled,) * 4, (compiled, DRAWS[name]) * 2):
        tg.manual_seed(0)
        for f, numbers_then in zip(functions, expected, strict=True):
            assert_close(numbers(f(x)), numbers_then)
        assert str(tg.random.get_state()) == after


def test_a_generator_of_ones_own():
    def f(x, rng):
        return x * rng.standard_normal((3,))

    compiled = tg.compile(f)
    rng, same = tg.random.default_rng(0), tg.random.default_rng(0)
    for _ in range(3):
        assert_same(compiled(tg.ones(3), rng), f(tg.ones(3), same))
    with pytest.raises(TypeError, match="generator"):
        tg.compile(lambda x: x * tg.random.default_rng(3).normal(size=3))(tg.ones(3))
