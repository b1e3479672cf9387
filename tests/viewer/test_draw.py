"""What a drawing says: values, gradients, local derivatives, names, and which edges there are."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_nn as tg
import tinygrad_nn.nn  # ops of layers and losses are registered where they are used
from tinygrad_nn import testing

ROOT = Path(__file__).resolve().parents[2]


def leaf(value, **settings):
    return tg.tensor(value, requires_grad=True, **settings)


def cards(drawing):
    """Boxes by the name of their first result."""
    return {box.name: box for box in drawing.nodes}


def gradient(drawing, name):
    """The gradient of a result, as a card says it."""
    result = next(r for box in drawing.nodes for r in box.results if r.name == name)
    return result.gradient_name, result.gradient and result.gradient.numbers


def labels(drawing):
    """Local derivatives as they stand on the edges, in order."""
    return [" = ".join(edge.label()) for edge in drawing.edges]


def lesson(backward=True):
    """J = 3(a + bc), and a function that draws it where variables hold all of it."""
    a, b, c = leaf(5.0), leaf(3.0), leaf(2.0)
    u = b * c
    v = a + u
    J = 3 * v
    if backward:
        J.backward()
    return J, lambda **settings: (a, b, c, u, v) and tg.draw(J, **settings)


# --- the lesson's graph ----------------------------------------------------------------------------------------------


def test_lesson_has_its_values_names_and_derivatives():
    _, draw = lesson()
    drawing = draw()
    assert [box.heading for box in drawing.nodes] == ["a", "b", "c", "u = b·c", "v = a + u", "J = 3·v"]
    assert [box.results[0].value.numbers for box in drawing.nodes] == [5, 3, 2, 6, 11, 33]
    assert {name: gradient(drawing, name) for name in "abcuvJ"} == {
        "a": ("∂J/∂a", 3), "b": ("∂J/∂b", 6), "c": ("∂J/∂c", 9),
        "u": ("∂J/∂u", 3), "v": ("∂J/∂v", 3), "J": ("∂J/∂J", 1),
    }  # fmt: skip
    assert labels(drawing) == ["∂u/∂b = c = 2", "∂u/∂c = b = 3", "∂v/∂a = 1", "∂v/∂u = 1", "∂J/∂v = 3"]
    assert [edge.contribution for edge in drawing.edges] == [6, 9, 3, 3, 3]
    assert [box.is_root for box in drawing.nodes] == [False] * 5 + [True]


def test_nudged_lesson():
    a, b, c = leaf(5.0), leaf(3.001), leaf(2.0)
    J = 3 * (a + b * c)
    assert cards(tg.draw(J))["J"].results[0].value.brief() == "33.006"


def test_before_backward_gradients_are_dashes_and_never_zero():
    _, draw = lesson(backward=False)
    drawing = draw()
    assert all(box.results[0].gradient is None for box in drawing.nodes)
    assert all(f"∂J/∂{name} = –" in drawing.source for name in "abcuvJ")
    assert "= 0" not in drawing.source
    assert "backward() has not been called" in drawing.source


def test_values_and_gradients_can_be_left_out():
    _, draw = lesson()
    symbols, forward = draw(values=False), draw(gradients=False)
    assert "33" not in symbols.source
    assert "∂u/∂b = c" in symbols.source
    assert "= c = 2" not in symbols.source
    assert "33" in forward.source
    assert "∂" not in forward.source + str(forward)


def test_a_drawing_keeps_its_moment():
    J, draw = lesson(backward=False)
    before = draw()
    J.backward()
    assert "∂J/∂a = –" in before.source
    assert "∂J/∂a = 3" not in before.source


# --- edges -----------------------------------------------------------------------------------------------------------


def test_x_times_x_has_both_edges():
    x = leaf(3.0)
    y = x * x
    drawing = tg.draw(y)
    assert [box.name for box in drawing.nodes] == ["x", "y"]
    assert labels(drawing) == ["∂y/∂x = x = 3"] * 2
    assert [edge.position for edge in drawing.edges] == [0, 1]
    assert drawing.source.count("n1 -> n2") == 2


def test_shared_inputs_are_drawn_once():
    x, k = leaf([1.0, 2.0]), tg.tensor([3.0, 4.0])
    y = (x * k + k / x) * x
    assert [box.name for box in tg.draw(y).nodes if box.is_leaf] == ["x", "k"]


def test_an_array_used_twice_is_one_input():
    x, data = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    view = tg.asarray(np.ones(100))
    y = (x * data + data).sum() + (x.sum() * view * view).sum()
    drawing = tg.draw(y)
    assert sorted(box.name for box in drawing.nodes if box.is_leaf) == ["data", "view", "x"]
    assert next(box for box in drawing.nodes if box.name == "view").results[0].value.mean == 1


def test_a_tensor_bound_anew_is_two_inputs():
    x, k = leaf(1.0), tg.tensor(2.0)
    first = x * k
    k += 1.0
    y = first * k
    values = [box.results[0].value.numbers for box in tg.draw(y).nodes if box.kind == "constant"]
    assert values == [2, 3]


def test_no_derivative_on_the_way_to_a_constant():
    x, k = leaf(2.0), tg.tensor(5.0)
    y = x * k
    to_x, to_k = tg.draw(y).edges
    assert (to_x.differentiable, to_k.differentiable) == (True, False)
    assert to_k.label() == []


def test_no_derivative_where_an_operation_has_none():
    a, b, c = leaf(2.0), leaf(3.0), leaf(1.0)
    y = tg.where(a * c, a, b)
    (to_condition,) = [e for e in tg.draw(y).edges if e.position == 0 and e.target == cards(tg.draw(y))["y"].id]
    assert not to_condition.differentiable
    assert to_condition.label() == []


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize(
    "name", ["mse_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy"]
)
def test_formulas_of_losses_give_their_derivatives(name, size, reduction):
    F = tinygrad_nn.nn.functional
    rng = np.random.default_rng(0)
    labels = name == "cross_entropy"
    x = tg.tensor(rng.uniform(0.1, 0.9, (size, 4) if labels else size), requires_grad=True, name="x")
    t = tg.tensor(rng.integers(0, 4, size) if labels else rng.uniform(size=size), requires_grad=not labels, name="t")
    loss = getattr(F, name)(x, t, reduction=reduction)
    loss.backward(np.ones(loss.shape))
    edges = [edge for edge in tg.draw(loss).edges if edge.differentiable]
    assert len(edges) == (1 if labels else 2)
    known = {
        "x": x.numpy(), "t": t.numpy(), "softmax": tg.softmax, "log": np.log, "σ": tg.sigmoid,
        "onehot": lambda labels: np.eye(4)[labels],
    }  # fmt: skip
    for edge, leaf in zip(sorted(edges, key=lambda edge: edge.position), (x, t)):
        assert "mean" not in edge.formula
        value = eval(edge.formula.replace("·", "*").replace("−", "-"), known)
        np.testing.assert_allclose(np.asarray(value), leaf.grad.numpy(), rtol=1e-10)


def test_plain_numbers_stand_in_the_formula():
    x = leaf(2.0)
    y = (x - (-1.5)) ** 3 / 2
    assert [box.title for box in tg.draw(y).nodes] == ["x", "x − (−1.5)", "v₁³", "v₂ / 2"]
    assert labels(tg.draw(y)) == ["∂v₁/∂x = 1", "∂v₂/∂v₁ = 3·v₁² = 36.75", "∂y/∂v₂ = 1/2 = 0.5"]


@pytest.mark.parametrize(("power", "formula"), [(2, "2·x"), (3, "3·x²"), (-1, "(−1)·x⁻²"), (0.5, "0.5·x^(−0.5)")])
def test_powers_are_written_as_by_hand(power, formula):
    x = leaf(4.0)
    y = tg.power(x, power)
    (edge,) = tg.draw(y).edges
    assert edge.formula == formula
    assert edge.derivative == pytest.approx(power * 4.0 ** (power - 1))


def test_several_results_are_one_card():
    x = leaf([1.0, 2.0, 3.0, 4.0])
    first, second = tg.split(x, 2)
    y = (first * second).sum()
    y.backward()
    drawing = tg.draw(y)
    split = next(box for box in drawing.nodes if box.op == "split")
    assert split.heading.startswith("first, second = split(x")
    assert [result.value.numbers for result in split.results] == [[1, 2], [3, 4]]
    assert gradient(drawing, "first") == ("∂y/∂first", [3, 4])
    assert [edge.result for edge in drawing.edges if edge.source == split.id] == [0, 1]
    assert f"{split.id}:r1 ->" in drawing.source
    alone = tg.draw(second.sum())
    assert next(box for box in alone.nodes if box.op == "split").outputs == "_, second"


def test_index_is_written_as_in_python():
    x, rows = leaf(np.arange(12.0).reshape(3, 4)), np.array([0, 2])
    y = x[1, 1:3].sum() + x[rows].sum() + x[..., ::2].sum()
    titles = [box.title for box in tg.draw(y).nodes]
    assert {"x[1, 1:3]", "x[rows]", "x[…, ::2]"} <= set(titles)


def test_concat_lists_its_inputs():
    x, y = leaf([1.0]), leaf([2.0])
    z = tg.concat([x, y, x])
    assert cards(tg.draw(z))["z"].title == "concat(x, y, x, axis=0)"
    many = tg.stack([leaf(float(i)) for i in range(50)])
    assert cards(tg.draw(many))["many"].title == "stack(x₁, x₂, x₃, x₄, …, x₅₀, axis=0)"


# --- gradients that are not of this graph ----------------------------------------------------------------------------


def test_gradients_added_up_over_passes_are_not_called_derivatives():
    a = leaf(2.0)
    for _ in range(2):
        y = a * 3
        y.backward()
    drawing = tg.draw(y)
    assert gradient(drawing, "a") == ("a.grad", 6)
    assert "gives 3" in cards(drawing)["a"].results[0].gradient_note
    assert gradient(drawing, "y") == ("∂y/∂y", 1)


@pytest.mark.parametrize(("off", "noted"), [(3e-5, False), (-3e-5, False), (3e-4, True), (-3e-4, True)])
def test_a_gradient_that_differs_by_rounding_is_this_graphs(off, noted):
    a = leaf(2.0)
    y = a * 3
    y.backward()
    a.grad = tg.tensor(3 * (1 + off))
    result = cards(tg.draw(y))["a"].results[0]
    assert (result.gradient_name, bool(result.gradient_note)) == ("a.grad" if noted else "∂y/∂a", noted)


def test_gradient_of_another_result():
    a = leaf(2.0)
    u = a * a
    first, second = u * 3, u * 5
    second.backward(retain_graph=True)
    assert gradient(tg.draw(first), "u") == ("∂first/∂u", None)  # first has not been differentiated
    a.grad = None
    first.backward(retain_graph=True)
    second.backward()
    drawing = tg.draw(first)
    assert gradient(drawing, "u") == ("gradient of u", 5)
    assert gradient(drawing, "a")[0] == "a.grad"


def test_gradient_from_further_on():
    a = leaf(2.0)
    u = a * a
    J = 3 * u
    J.backward()
    drawing = tg.draw(u)
    assert gradient(drawing, "a") == ("a.grad", 12)
    assert gradient(drawing, "u") == ("gradient of u", 3)


def test_cleared_gradient_is_a_dash():
    a = leaf(2.0)
    y = a * a
    y.backward()
    a.grad = None
    drawing = tg.draw(y)
    assert gradient(drawing, "a") == ("∂y/∂a", None)
    assert "cleared" in cards(drawing)["a"].results[0].gradient_note


def test_graph_of_a_gradient():
    x = leaf(2.0)
    y = x**3
    y.backward(create_graph=True)
    slope = x.grad
    drawing = tg.draw(slope)
    assert cards(drawing)["slope"].results[0].value.numbers == 12


# --- arrays ----------------------------------------------------------------------------------------------------------


def test_tiny_arrays_show_all_numbers():
    W, x = leaf([[0.5, -1.0], [2.0, 0.25]]), tg.tensor([1.0, 2.0])
    h = W @ x
    h.sum().backward()
    drawing = tg.draw(h)
    assert cards(drawing)["W"].results[0].value.rows() == [["0.5", "−1"], ["2", "0.25"]]
    assert "(2, 2) float64" in drawing.source
    assert all(text in drawing.source for text in ("0.5", "−1", "0.25"))
    assert gradient(drawing, "W") == ("W.grad", [[1, 2], [1, 2]])  # of the sum, which is not drawn


def test_larger_arrays_show_statistics():
    x = leaf(np.arange(30.0), name="x")
    y = (x * 2).sum()
    y.backward()
    value, grad = cards(tg.draw(y))["x"].results[0].value, cards(tg.draw(y))["x"].results[0].gradient
    assert (value.lowest, value.mean, value.highest) == (0, 14.5, 29)
    assert (grad.lowest, grad.mean, grad.highest) == (2, 2, 2)
    assert all(word in tg.draw(y).source for word in ("min", "mean", "max", "14.5"))


def test_values_that_were_not_kept_show_shape_and_dtype():
    x = leaf(np.ones(100, np.float32))
    y = (x + 1 + 1).sum()
    y.backward()
    (between,) = [box for box in tg.draw(y).nodes if box.heading == "v₂ = v₁ + 1"]
    assert not between.results[0].value.known
    assert "(100,) float32" in tg.draw(y).source
    assert "not kept" in between.results[0].gradient_note
    assert "a large array that was not kept" in tg.draw(y).source


def test_a_variable_brings_large_values_and_retained_gradients():
    x = leaf(np.ones(100))
    h = x + 1
    h.retain_grad()
    y = (h + 1).sum()
    y.backward()
    result = cards(tg.draw(y))["h"].results[0]
    assert (result.value.mean, result.gradient.mean) == (2, 1)


def test_everything_is_shown_where_all_was_kept():
    x = leaf(np.ones(100))
    with tg.keep_values():
        y = ((x + 1) * 2).sum()
        y.backward()
    drawing = tg.draw(y)
    assert [box.results[0].value.mean for box in drawing.nodes[:-1]] == [1, 2, 4]
    assert [box.results[0].gradient.mean for box in drawing.nodes[:-1]] == [2, 2, 1]
    assert "not kept" not in drawing.source


def test_nan_and_infinity_are_counted():
    x = leaf(np.r_[np.full(3, np.nan), np.inf, np.zeros(30)])
    y = x * 1.0
    value = cards(tg.draw(y))["x"].results[0].value
    assert value.odd == "3 NaN, 1 inf"
    assert (value.lowest, value.highest) == (0, 0)
    assert "3 NaN, 1 inf" in tg.draw(y).source


@pytest.mark.parametrize("value", [np.zeros((0, 3)), np.zeros((2, 1, 2)), np.float32(1.5), np.full((20,), np.nan)])
def test_odd_shapes_are_drawn(value, tmp_path):
    x = leaf(value)
    y = x * 2.0
    y.sum().backward()
    text = tg.draw(y).save(tmp_path / "y.svg").read_text("utf-8")
    assert str(x.dtype) in text


def test_an_array_changed_later_keeps_its_value():
    data = np.array([1.0, 2.0])
    x = leaf([3.0, 4.0])
    y = x * data
    data[:] = 7
    assert cards(tg.draw(y))["data"].results[0].value.numbers == [1, 2]


# --- names -----------------------------------------------------------------------------------------------------------

outside = leaf(4.0)


def test_names_from_globals_and_enclosing_functions():
    enclosed = leaf(2.0)

    def inner():
        y = enclosed * outside
        return tg.draw(y)

    assert [box.heading for box in inner().nodes] == ["outside", "enclosed", "y = enclosed·outside"]


def test_names_from_the_callers_around():
    def show(t):
        return tg.draw(t)

    a, b = leaf(1.0), leaf(2.0)
    assert show(a * b).nodes[-1].heading == "t = a·b"


def test_a_given_name_comes_first_and_of_two_variables_the_first():
    first = leaf(1.0)
    second = first
    named = leaf(2.0, name='weight of <b>&"q"\\n')
    y = second * named
    drawing = tg.draw(y)
    assert drawing.nodes[-1].heading == 'y = first·weight of <b>&"q"\\n'
    assert "<b>" not in drawing.source.replace('of <b>&\\"', "")


def test_names_without_meaning_are_left_out():
    _ = leaf(1.0)
    _hidden = leaf(2.0)
    y = _ * _hidden
    assert [box.name for box in tg.draw(y).nodes] == ["x₁", "x₂", "y"]


def test_names_from_containers_and_objects():
    class Net:
        def __init__(self):
            self.bias = leaf(3.0)

    W = [leaf(1.0), leaf(2.0)]
    params, net = {"scale": leaf(4.0)}, Net()
    y = W[0] * W[1] * params["scale"] + net.bias
    assert [box.name for box in tg.draw(y).nodes if box.is_leaf] == ["W[0]", "W[1]", "params['scale']", "net.bias"]


def test_names_from_positions():
    y = (leaf(1.0) * tg.tensor([2.0]) + 1).sum()
    assert [box.name for box in tg.draw(y + 0).nodes] == ["x₁", "c₁", "v₁", "v₂", "y", "v₄"]


def test_the_same_name_twice_is_told_apart():
    y = leaf(1.0, name="w") * leaf(2.0, name="w")
    assert tg.draw(y).nodes[-1].heading == "y = w·w₂"


def test_a_loop_leaves_the_last_name_alone():
    x = leaf(2.0)
    h = x
    for _ in range(3):
        h = h * x
    assert [box.name for box in tg.draw(h).nodes] == ["x", "v₁", "v₂", "h"]


PROGRAM = """
import numpy as np
import tinygrad_nn as tg

def main():
    rng = np.random.default_rng(0)
    w, b = tg.tensor(rng.normal(size=(3, 2)), requires_grad=True), tg.tensor(np.zeros(3), requires_grad=True)
    data = {"x": tg.tensor(rng.normal(size=(5, 2))), "y": rng.normal(size=(5, 3))}
    first, second = tg.split(tg.tanh(data["x"] @ w.T + b), [2], axis=1)
    loss = ((first ** 2).sum() + (second - data["y"][:, 2:]).sum())
    loss.backward()
    drawing = tg.draw(loss)
    print(ascii(drawing.source), ascii(str(drawing)))

main()
"""


def test_the_same_program_gives_the_same_bytes():
    runs = [
        subprocess.run(
            [sys.executable, "-c", padding + PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed, padding in (("1", ""), ("2", "junk = [object() for _ in range(1000)]\n"))
    ]  # fmt: skip
    assert runs[0] == runs[1]
    assert "0x" not in runs[0]


# --- large graphs ----------------------------------------------------------------------------------------------------


def chain(length):
    x = leaf(1.0)
    y = x
    for _ in range(length):
        y = y * 1.0001
    return y


def test_a_chain_of_thousands_is_folded_and_says_so(tmp_path):
    y = chain(3000)
    y.backward()
    drawing = tg.draw(y)
    assert len(drawing.nodes) == 3001
    svg = drawing.save(tmp_path / "chain.svg").read_text("utf-8")
    assert "3,000 operations and 1 input are too many to draw" in svg
    assert "2,940 operations, folded" in svg
    assert svg.count('class="node"') < 100
    assert str(drawing).count("\n") > 3000
    assert "v₂₉₉₉" in svg


def test_a_thousand_inputs_are_folded(tmp_path):
    total = tg.stack([leaf(float(i)) for i in range(1000)]).sum()
    total.backward()
    svg = tg.draw(total).save(tmp_path / "many.svg").read_text("utf-8")
    assert "940 inputs, folded" in svg
    assert "x₁₀₀₀" in svg


def test_many_edges_between_two_cards_are_counted(tmp_path):
    x = leaf(1.0)
    y = tg.stack([x] * 300).sum()
    drawing = tg.draw(y)
    assert len(drawing.edges) == 301
    assert drawing.source.count("->") == 2
    assert "300 edges" in drawing.source


def test_a_diamond_of_sixty_doublings():
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    assert len(tg.draw(y).edges) == 120
    assert tg.draw(y).source.count("->") == 120


@given(st.data())
def test_folding_keeps_every_path(data):
    """Whatever is folded, every card that is left still leads to the result, and no edge is led in a circle."""
    import tinygrad_nn.viewer.drawing.fold as fold

    x = leaf(0.5)
    made = [x]
    for _ in range(data.draw(st.integers(20, 60))):
        a, b = (made[-1 - data.draw(st.integers(0, min(6, len(made) - 1)))] for _ in range(2))
        made.append(data.draw(st.sampled_from([tg.add, tg.subtract]))(a, b))
    result = made[0]
    for t in made[1:]:
        result = result + t
    graph = tg.draw(result)._graph
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold, "BOXES", data.draw(st.integers(8, 30)))
        patch.setattr(fold, "KEPT", 8)
        fitted = fold.fit(graph)
    assert len(fitted.boxes) < len(graph.boxes)
    place = {box.id: i for i, box in enumerate(fitted.boxes)}
    assert all(place[edge.source] < place[edge.target] for edge in fitted.edges)
    sources = {edge.source for edge in fitted.edges}
    assert [box.id for box in fitted.boxes if box.id not in sources] == [fitted.root]
    for edge in fitted.edges:
        assert edge.result < len(fitted.boxes[place[edge.source]].results)


# --- every operation -------------------------------------------------------------------------------------------------


OPS = [name for name, row in sorted(testing.table.items()) if not row.through and row.op.differentiable]


@pytest.mark.parametrize("name", OPS)
def test_every_operation_can_be_drawn(name):
    """With numbers that agree with the recorded gradients wherever all is scalar, and text that names the inputs."""
    for case in itertools.islice((case for case in testing.op_cases(name) if case.differentiable), 4):
        inputs = [tg.tensor(x, requires_grad=i in case.differentiable) if isinstance(x, np.ndarray | np.generic) else x
                  for i, x in enumerate(case.inputs)]  # fmt: skip
        out = case(*inputs)
        for result in out if isinstance(out, tuple) else (out,):
            if not result.requires_grad or result.op is None:
                continue
            result.backward(np.ones(result.shape, result.dtype)[()], retain_graph=True)
            drawing = tg.draw(result)
            text = str(drawing) + drawing.source
            assert "object at 0x" not in text
            assert "array(" not in text
            for edge in drawing.edges:
                if edge.derivative is not None and len(drawing.edges) == 1:
                    reached = drawing.nodes[0].results[0].gradient
                    if reached is not None and reached.scalar and np.isfinite(edge.derivative):
                        assert edge.derivative == pytest.approx(float(reached.numbers), rel=1e-3, abs=1e-6)
            for t in inputs:
                if isinstance(t, tg.Tensor):
                    t.grad = None
