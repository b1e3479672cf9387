"""Module: the tree of parameters, its state, modes and hooks, and the marks it leaves on the graph."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        self.scale = nn.Parameter([2.0])
        self.register_buffer("mean", np.zeros(3, np.float32))
        self.register_buffer("cache", np.ones(2), persistent=False)
        self.head = nn.Linear(3, 2, bias=False)

    def forward(self, x):
        return self.head(self.encoder(x) - self.mean) * self.scale


X = np.ones((5, 4), np.float32)


# --- the tree --------------------------------------------------------------------------------------------------------


def test_names_are_paths_in_the_order_of_assignment():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "scale",
        "encoder.0.weight",
        "encoder.0.bias",
        "head.weight",
    ]
    assert [name for name, _ in net.named_modules()] == ["", "encoder", "encoder.0", "encoder.1", "head"]
    assert [name for name, _ in net.named_children()] == ["encoder", "head"]
    assert [name for name, _ in net.named_buffers()] == ["mean", "cache"]
    assert [name for name, _ in net.named_parameters(prefix="net", recurse=False)] == ["net.scale"]
    assert net.get_submodule("encoder.0") is net.encoder[0]
    assert net.get_submodule("") is net
    assert net.get_parameter("encoder.0.bias") is net.encoder[0].bias
    with pytest.raises(AttributeError, match="no module 'decoder'"):
        net.get_submodule("decoder.0")
    with pytest.raises(AttributeError, match=r"head\.weight"):
        net.get_parameter("encoder.0.gain")


def test_what_is_used_twice_is_counted_once_but_saved_under_both_names():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    net.append(net[0])
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert len(list(net.modules())) == 3
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
    assert str(net).endswith("8 parameters")
    x = np.ones((1, 2), np.float32)
    net(x).sum().backward()
    assert net[0].weight.grad is net[1].weight.grad


def test_attributes_are_plain():
    net = Net()
    assert net.__dict__["scale"] is net.scale
    net.scale = nn.Parameter([3.0])
    assert next(net.parameters()).item() == 3.0
    net.scale = None
    assert "scale" not in net.state_dict()
    del net.head
    assert "head.weight" not in net.state_dict()


def test_a_module_without_init_works():
    class Twice(nn.Module):
        def forward(self, x):
            return x * 2

    assert Twice()(tg.tensor(1.0)).item() == 2.0
    assert Twice().eval().training is False
    assert repr(Twice()) == "Twice()"
    with pytest.raises(NotImplementedError, match=r"Module does not define forward"):
        nn.Module()(1)


def test_a_computed_tensor_does_not_replace_a_parameter():
    net = Net()
    with pytest.raises(TypeError, match="no longer be learned"):
        net.scale = net.scale * 0.5
    with tg.no_grad():
        net.scale *= 0.5
    assert isinstance(net.scale, nn.Parameter)
    assert net.scale.item() == 1.0
    net.mean = tg.ones(3, dtype=tg.float32)  # a buffer may be
    assert net.state_dict()["mean"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(("value", "remedy"), [([nn.ReLU()], "ModuleList"), ({"a": nn.Parameter([1.0])}, "ModuleDict")])
def test_a_plain_list_of_modules_is_warned_of(value, remedy):
    net = nn.Module()
    with pytest.warns(UserWarning, match=remedy):
        net.layers = value
    net.layers = tuple(value)
    net.layers = [1, 2]


@pytest.mark.parametrize("name", ["", "a.b", "forward", "parameters"])
def test_names_that_would_break_the_tree_are_refused(name):
    net = Net()
    for register, value in (
        (net.add_module, nn.ReLU()),
        (net.register_buffer, np.ones(1)),
        (net.register_parameter, nn.Parameter([1.0])),
    ):
        with pytest.raises(ValueError, match="name"):
            register(name, value)
    with pytest.raises(ValueError, match="name"):
        nn.ModuleDict({name: nn.ReLU()})


def test_registering_what_is_no_part_is_refused():
    with pytest.raises(TypeError, match="not a Module"):
        nn.Sequential(nn.ReLU(), np.tanh)
    with pytest.raises(TypeError, match=r"nn\.Parameter"):
        nn.Module().register_parameter("w", tg.tensor([1.0]))


def test_apply_visits_parts_first():
    seen = []
    Net().apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "ReLU", "Sequential", "Linear", "Net"]


# --- Parameter -------------------------------------------------------------------------------------------------------


def test_parameter_dtype():
    assert nn.Parameter([1, 2]).dtype == np.float32
    assert nn.Parameter(0.5).dtype == np.float32
    assert nn.Parameter(np.ones(2)).dtype == np.float64
    assert nn.Parameter(tg.ones(2)).dtype == np.float64
    assert nn.Parameter([1.0], dtype=np.float64).dtype == np.float64
    assert nn.Parameter([1.0], requires_grad=False).requires_grad is False
    with pytest.raises(TypeError, match="int64"):
        nn.Parameter(np.array([1, 2]))


def test_parameter_copies():
    a = np.ones(2)
    p = nn.Parameter(a)
    a[0] = 5
    assert p.tolist() == [1, 1]
    q = copy.deepcopy(p)
    assert type(q) is nn.Parameter
    assert q.requires_grad
    assert type(p * 2) is tg.Tensor
    assert repr(nn.Parameter([1.0])) == "parameter([1.], dtype=float32, requires_grad=True)"


# --- state -----------------------------------------------------------------------------------------------------------


def test_state_is_a_snapshot():
    net = Net()
    state = net.state_dict()
    assert list(state) == ["scale", "mean", "encoder.0.weight", "encoder.0.bias", "head.weight"]
    assert not any(value.requires_grad for value in state.values())
    with tg.no_grad():
        net.scale += 1.0
    assert state["scale"].item() == 2.0
    assert net.load_state_dict(state) == ([], [])
    assert net.scale.item() == 2.0


def test_loading_copies_and_converts():
    net = nn.Linear(2, 1)
    weight = np.array([[1.0, 2.0]])
    net.load_state_dict({"weight": weight, "bias": [3]})
    weight[0, 0] = 9
    assert net.weight.tolist() == [[1.0, 2.0]]
    assert net.bias.dtype == net.weight.dtype == np.float32
    assert net.weight.requires_grad
    assert net.weight._value.flags.owndata


def test_a_state_that_does_not_fit_is_refused_whole():
    net = Net()
    before = {key: value.numpy().copy() for key, value in net.state_dict().items()}
    state = {key: value + 1 for key, value in before.items()}
    state["head.weight"] = np.zeros((2, 4))
    state["encoder.0.bias"] = np.zeros(3, complex)
    state["extra"] = np.zeros(1)
    del state["mean"]
    with pytest.raises(ValueError, match="nothing was loaded") as error:
        net.load_state_dict(state)
    for part in ("missing: mean", "unexpected: extra", "head.weight: (2, 4) given, (2, 3) needed", "complex128"):
        assert part in str(error.value)
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])
    with pytest.raises(ValueError, match="needed"):  # not even a lenient load takes another shape
        net.load_state_dict(state, strict=False)
    with pytest.raises(TypeError, match="mapping"):
        net.load_state_dict([1, 2])
    del state["head.weight"], state["encoder.0.bias"]
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["mean", "encoder.0.bias", "head.weight"]
    assert result.unexpected_keys == ["extra"]
    assert net.scale.item() == 3.0


def test_scalars_load_as_scalars():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(2.0)

    net = Scaled()
    net.load_state_dict({"factor": np.array(5.0)})
    assert isinstance(net.factor._value, np.float32)
    assert net.factor.item() == 5.0


# --- modes, gradients, dtype -----------------------------------------------------------------------------------------


def test_train_and_eval_reach_everything():
    net = nn.Sequential(nn.Dropout(), Net())
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert net.train() is net
    assert all(module.training for module in net.modules())
    with pytest.raises(TypeError, match="bool"):
        net.train("yes")


def test_gradients_frozen_and_forgotten():
    net = Net()
    net(X).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(not p.grad.numpy().any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.encoder.requires_grad_(False)
    net(X).sum().backward()
    assert net.encoder[0].weight.grad is None
    assert net.head.weight.grad is not None
    assert "15 of them frozen" in repr(net)


def test_dtype_of_everything_that_floats():
    net = Net()
    net.register_buffer("count", np.array(3))
    net(X).sum().backward()
    assert net.double() is net
    tensors = [*net.parameters(), net.mean, net.cache]
    assert {t.dtype for t in tensors} == {np.dtype(np.float64)}
    assert all(p.grad.dtype == np.float64 and p.requires_grad for p in net.parameters())
    assert net.count.dtype.kind == "i"
    assert net(X.astype(np.float64)).dtype == np.float64
    assert net.float().scale.dtype == np.float32
    assert net.to("float16").scale.dtype == np.float16
    with pytest.raises(TypeError, match="int64"):
        net.to(np.int64)


def test_a_module_is_copied_whole():
    net = Net()
    twin = copy.deepcopy(net)
    with tg.no_grad():
        twin.scale += 1.0
    assert net.scale.item() == 2.0
    assert list(twin.state_dict()) == list(net.state_dict())
    np.testing.assert_allclose(twin(X).numpy() / 3, net(X).numpy() / 2, rtol=1e-6)


# --- hooks -----------------------------------------------------------------------------------------------------------


def test_hooks_see_and_replace():
    seen = []
    layer = nn.Identity()
    before = layer.register_forward_pre_hook(lambda module, args: seen.append(args) or args[0] * 2)
    after = layer.register_forward_hook(lambda module, args, result: seen.append(result) or result + 1)
    assert layer(10) == 21
    assert seen == [(10,), 20]
    before.remove()
    assert layer(10) == 11
    after.remove()
    after.remove()
    assert layer(10) == 10
    with layer.register_forward_hook(lambda module, args, result: None):
        assert layer(3) == 3


# --- marks on the graph ----------------------------------------------------------------------------------------------


def marks(tensor):
    return [module for module, _, _ in (tensor._node.extra or {}).get("module", [])]


def test_results_know_the_modules_that_made_them_innermost_first():
    inner = nn.Linear(4, 3)
    middle = nn.Sequential(inner)
    outer = nn.Sequential(middle, nn.Identity())
    y = outer(X)
    assert marks(y) == [inner, middle, outer]
    calls = y._node.extra["module"]
    for (_, start, end), (_, wider_start, wider_end) in pairwise(calls):
        assert wider_start < start < y._node.order < end < wider_end
    assert marks(nn.Identity()(y)) == [inner, middle, outer]  # passed through: not made there
    assert marks(nn.Linear(3, 1)(y))[0].out_features == 1
    with tg.no_grad():
        assert outer(X)._node is None


def test_every_result_of_several_is_marked():
    class Both(nn.Module):
        def forward(self, x):
            return x * 2, x, "text"

    both = Both()
    x = tg.tensor([1.0], requires_grad=True)
    doubled, same, _ = both(x)
    assert marks(doubled) == [both]
    assert same is x
    assert marks(x) == []


# --- containers ------------------------------------------------------------------------------------------------------


def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    net = nn.Sequential(a, b, c)
    assert len(net) == 3
    assert list(net) == [a, b, c]
    assert net[-1] is c
    tail = net[1:]
    assert type(tail) is nn.Sequential
    assert list(tail.state_dict()) == ["2.weight", "2.bias"]
    assert tail.append(nn.Tanh())[-1] is not c
    assert len(tail) == 3
    net[1] = nn.Tanh()
    assert type(net[1]) is nn.Tanh
    del net[0]
    assert list(net.state_dict()) == ["1.weight", "1.bias"]
    net.insert(0, a)
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    with pytest.raises(IndexError, match="of 3 modules"):
        net[3]
    named = nn.Sequential({"first": a, "second": b})
    assert named.first is a
    assert list(named.extend([c]).state_dict()) == ["first.weight", "first.bias", "2.weight", "2.bias"]
    assert nn.Sequential()(5) == 5


def test_module_list():
    layers = nn.ModuleList(nn.Linear(1, n) for n in (1, 2, 3))
    assert [layer.out_features for layer in layers] == [1, 2, 3]
    assert [layer.out_features for layer in layers[1:]] == [2, 3]
    del layers[0]
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    with pytest.raises(NotImplementedError, match="ModuleList"):
        layers(1)


def test_module_dict():
    layers = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.ReLU()})
    assert list(layers) == layers.keys() == ["a", "b"]
    assert [*zip(layers.keys(), layers.values())] == layers.items()
    assert "a" in layers
    assert "c" not in layers
    layers["c"] = nn.Tanh()
    del layers["b"]
    assert layers.keys() == ["a", "c"]
    assert len(layers) == 2
    with pytest.raises(KeyError, match="'b'"):
        layers["b"]
    with pytest.raises(KeyError, match="'b'"):
        del layers["b"]


def test_repr_shows_the_tree():
    assert repr(Net()).splitlines() == [
        "Net(",
        "  (encoder): Sequential(                                     15",
        "    (0): Linear(in_features=4, out_features=3, bias=True)    15",
        "    (1): ReLU()",
        "  )",
        "  (head): Linear(in_features=3, out_features=2, bias=False)   6",
        ")  22 parameters",
    ]
    assert repr(nn.Linear(1, 1, bias=False)) == "Linear(in_features=1, out_features=1, bias=False)  1 parameter"
    assert repr(nn.Sequential()) == "Sequential()"
