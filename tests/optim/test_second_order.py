"""L-BFGS and Newton-CG: PyTorch's path, the mathematics, state, compiled closures, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_nn as tg
from tests.optim import cases as cases
from tinygrad_nn import nn, optim
from tinygrad_nn.optim.line_search import Trial, cubic_minimum, strong_wolfe
from tinygrad_nn.optim.newton_cg import _Point, _to_border

RESULTS = cases.kept()["lbfgs"]
MATRIX = np.array(cases.MATRIX)


def closure_of(optimizer, p, name):
    def closure():
        optimizer.zero_grad()
        loss = getattr(cases, name)(p, MATRIX)
        loss.backward()
        return loss

    return closure


# --- L-BFGS ----------------------------------------------------------------------------------------------------------

PAIRS = list(zip(cases.LBFGS, RESULTS, strict=True))
LABELS = [cases.label(case) for case in cases.LBFGS]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize(("case", "wanted"), PAIRS, ids=LABELS)
def test_lbfgs_goes_the_way_of_torch(case, wanted, compiled):
    name, start, _, settings = case
    p = nn.Parameter(start, dtype=np.float64)
    optimizer = optim.LBFGS([p], **settings)
    closure = closure_of(optimizer, p, name)
    closure = tg.compile(closure) if compiled else closure
    for point in wanted:
        loss = optimizer.step(closure).item()
        assert loss == pytest.approx(point["loss"], rel=1e-6, abs=1e-12)
        np.testing.assert_allclose(p.numpy(), point["x"], rtol=1e-6, atol=1e-7)
        state = optimizer.state[p]
        assert [state["n_iter"], state["func_evals"]] == point["counts"]


@pytest.mark.parametrize(("case", "wanted"), PAIRS, ids=LABELS)
def test_lbfgs_goes_on_from_a_file(case, wanted, tmp_path):
    name, start, _, settings = case
    p = nn.Parameter(start, dtype=np.float64)
    optimizer = optim.LBFGS([p], **settings)
    optimizer.step(closure_of(optimizer, p, name))
    tg.save({"p": p, "optimizer": optimizer.state_dict()}, tmp_path / "state.safetensors")
    for _ in wanted[1:]:
        optimizer.step(closure_of(optimizer, p, name))
    saved = tg.load(tmp_path / "state.safetensors")
    q = nn.Parameter(saved["p"].numpy(), dtype=np.float64)
    other = optim.LBFGS([q])
    other.load_state_dict(saved["optimizer"])
    for _ in wanted[1:]:
        other.step(closure_of(other, q, name))
    np.testing.assert_array_equal(q.numpy(), p.numpy())


def test_lbfgs_takes_over_the_state_of_torch():
    torch = pytest.importorskip("torch")
    q = torch.nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    theirs = torch.optim.LBFGS([q], max_iter=4, line_search_fn="strong_wolfe")
    closure = closure_of(theirs, q, "rosenbrock")
    theirs.step(closure)
    p = nn.Parameter(q.detach().numpy(), dtype=np.float64)
    ours = optim.LBFGS([p])
    state = theirs.state_dict()
    ours.load_state_dict(state)
    assert set(theirs.state[q]) - set(ours.state_dict()["state"][0]) <= {"al"}
    theirs.step(closure)
    ours.step(closure_of(ours, p, "rosenbrock"))
    np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-9)


def test_lbfgs_moves_parameters_of_several_shapes_and_dtypes():
    a, b = nn.Parameter(np.ones((2, 3)), dtype=np.float32), nn.Parameter(2.0, dtype=np.float64)
    unused, frozen = nn.Parameter([1.0]), nn.Parameter([5.0], requires_grad=False)
    optimizer = optim.LBFGS([a, b, unused, frozen], line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = ((a - 3) ** 2).sum() + (b + a.sum() - 20) ** 2
        loss.backward()
        return loss

    optimizer.step(closure)
    assert a.dtype == np.float32
    assert b.shape == ()
    np.testing.assert_allclose(a.numpy(), 3, atol=1e-4)
    np.testing.assert_allclose(b.item(), 2, atol=1e-4)
    assert unused.item() == 1.0
    assert frozen.item() == 5.0


@pytest.mark.parametrize(("number", "wanted"), list(zip(cases.LINES, cases.kept()["lines"], strict=True)))
def test_the_line_search_looks_where_torch_looks(number, wanted):
    first, most, value, slope = cases.line(number)
    trials = []

    def at(t):
        trials.append(t)
        return Trial(t, value(t), None, slope(t))

    found, count = strong_wolfe(at, Trial(0.0, value(0.0), None, slope(0.0)), first, reach=1.0, max_trials=most)
    assert count == len(trials)
    np.testing.assert_allclose([found.t, *trials], wanted, rtol=1e-6, atol=1e-12)


@given(
    waves=st.lists(st.tuples(st.floats(-2, 2), st.floats(0.1, 5)), min_size=1, max_size=4),
    bend=st.floats(0.01, 1), t=st.floats(1e-3, 1e2),
)  # fmt: skip
def test_the_line_search_finds_strong_wolfe_points(waves, bend, t):
    def at(t):
        loss = sum(c * np.sin(w * t) for c, w in waves) + bend * t * t - t
        return Trial(t, float(loss), None, float(sum(c * w * np.cos(w * t) for c, w in waves) + 2 * bend * t - 1))

    start = at(0.0)
    if start.slope > -1e-3:
        return
    found, count = strong_wolfe(at, start, t, reach=1.0, max_trials=60)
    assert count <= 61
    assert found.loss <= start.loss
    if found.t > 1e-6:
        assert found.loss <= start.loss + 1e-4 * found.t * start.slope + 1e-12


def test_the_cubic_through_two_points_is_exact_for_a_cubic():
    def at(t):
        return Trial(t, t**3 - 3 * t, None, 3 * t**2 - 3)

    assert cubic_minimum(at(-0.5), at(3.0), -5, 5) == pytest.approx(1.0)
    assert cubic_minimum(at(3.0), at(-0.5), -5, 5) == pytest.approx(1.0)
    assert cubic_minimum(at(-0.5), at(3.0), 2, 5) == 2
    assert cubic_minimum(at(2.0), at(2.0), 0, 5) == 2.5


# --- Newton-CG -------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 99), n=st.integers(1, 8), parts=st.booleans())
def test_newton_solves_a_quadratic_in_one_step_and_n_products(seed, n, parts):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((n, n))
    matrix, b = root @ root.T + np.eye(n), rng.standard_normal(n)
    whole = np.zeros(n)
    params = [nn.Parameter(x, dtype=np.float64) for x in (np.split(whole, [n // 2]) if parts else [whole])]
    optimizer = optim.NewtonCG(params, tolerance_cg=1e-9)
    optimizer.step(lambda: (x := tg.concat(params)) @ (matrix @ x) / 2 - b @ x)
    np.testing.assert_allclose(tg.concat(params).numpy(), np.linalg.solve(matrix, b), rtol=1e-6, atol=1e-7)
    state = optimizer.state[params[0]]
    assert state["n_iter"] == 1
    assert state["hessian_products"] <= n + 2


def test_newton_products_are_those_of_the_hessian():
    rng = np.random.default_rng(0)
    a, b = nn.Parameter(rng.standard_normal((2, 3)), dtype=np.float64), nn.Parameter(0.5, dtype=np.float64)
    x = rng.standard_normal((4, 2))

    def loss(vector):
        return (tg.tanh(x @ vector[:6].reshape(2, 3)) * tg.exp(vector[6])).sum() ** 2

    optimizer = optim.NewtonCG([a, b])
    point = _Point(optimizer, lambda: loss(tg.concat([tg.ravel(a), tg.ravel(b)])))
    start = np.append(a.numpy().ravel(), b.item())
    hessian = np.asarray(tg.hessian(loss)(start))
    np.testing.assert_allclose(point.gradient, np.asarray(tg.grad(loss)(start)), rtol=1e-12)
    for v in np.eye(7):
        np.testing.assert_allclose(point.hessian_product(v), hessian @ v, rtol=1e-9, atol=1e-9)
    point.close()


@pytest.mark.parametrize("start", [[-1.2, 1.0], [1.2, 1.0, -0.5, 0.7], [3.0, -4.0, 2.0]])
def test_newton_minimises_rosenbrock(start):
    p = nn.Parameter(start, dtype=np.float64)
    optimizer = optim.NewtonCG([p], max_iter=200, tolerance_grad=1e-9, tolerance_change=0)
    optimizer.step(lambda: cases.rosenbrock(p, None))
    np.testing.assert_allclose(p.numpy(), 1.0, atol=1e-7)
    state = optimizer.state[p]
    assert state["n_iter"] < 60
    # As each step takes its own linearisation, and the last point is looked at once more.
    assert state["grad_evals"] == state["n_iter"] + 1


@given(seed=st.integers(0, 99), backwards=st.booleans())
def test_steps_end_at_the_border_of_the_trust_region(seed, backwards):
    rng = np.random.default_rng(seed)
    d, along = rng.standard_normal((2, 3))
    d *= 0.9 / np.linalg.norm(d)
    along *= -1 if (d @ along > 0) is backwards else 1
    t = _to_border(d, along, 1.0)
    assert t > 0
    assert np.linalg.norm(d + t * along) == pytest.approx(1.0)


def test_the_trust_region_grows_while_the_model_is_right_and_shrinks_when_it_is_not():
    p = nn.Parameter([10.0], dtype=np.float64)
    optimizer = optim.NewtonCG([p], radius=0.5)
    radii = []
    for _ in range(4):
        optimizer.step(lambda: (p**2).sum())
        radii.append(optimizer.state[p]["radius"])
    assert radii == [1.0, 2.0, 4.0, 8.0]
    np.testing.assert_allclose(p.item(), 2.5)
    q = nn.Parameter([3.0], dtype=np.float64)
    optimizer = optim.NewtonCG([q])
    optimizer.step(lambda: tg.sqrt(1 + q**2).sum())  # Newton's whole step goes from x to −x³
    assert optimizer.state[q]["radius"] < 30
    assert abs(q.item()) < 3


def test_newton_leaves_a_saddle_along_negative_curvature():
    p = nn.Parameter([1.0, 1e-4], dtype=np.float64)
    optimizer = optim.NewtonCG([p], max_iter=50)
    optimizer.step(lambda: p[0] ** 2 - p[1] ** 2 + p[1] ** 4)
    np.testing.assert_allclose(np.abs(p.numpy()), [0, np.sqrt(0.5)], atol=1e-6)


def test_newton_converges_quadratically_on_logistic_regression():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 5))
    y = (rng.random(200) < 1 / (1 + np.exp(-x @ rng.standard_normal(5)))).astype(np.float64)
    w = nn.Parameter(np.zeros(5), dtype=np.float64)
    optimizer = optim.NewtonCG([w])
    sizes = []
    for _ in range(8):
        optimizer.step(lambda: nn.functional.binary_cross_entropy_with_logits(x @ w, y))
        sizes.append(abs(w.grad.numpy()).max())
    assert sizes[-1] < 1e-7
    assert optimizer.state[w]["n_iter"] <= 7


def test_newton_leaves_gradients_of_the_last_point_and_not_those_of_others():
    p, other = nn.Parameter([1.0, 2.0], dtype=np.float64), nn.Parameter([3.0], dtype=np.float64)
    inner = []
    other.grad = np.array([7.0])
    optimizer = optim.NewtonCG([p])

    def loss():
        z = (p**2 * other).sum()
        if z.requires_grad:
            z.retain_grad()
            inner.append(z)
        return z + (p**4).sum()

    first = optimizer.step(loss)
    assert not first.requires_grad
    np.testing.assert_allclose(p.grad.numpy(), 2 * np.array([1.0, 2.0]) * 3 + 4 * np.array([1.0, 2.0]) ** 3)
    assert not p.grad.requires_grad
    assert other.grad.tolist() == [7.0]
    assert inner[0].grad is None


def test_newton_goes_on_from_a_file(tmp_path):
    p = nn.Parameter([-1.2, 1.0], dtype=np.float64)
    optimizer = optim.NewtonCG([p])
    for _ in range(5):
        optimizer.step(lambda: cases.rosenbrock(p, None))
    tg.save({"p": p, "optimizer": optimizer.state_dict()}, tmp_path / "state.safetensors")
    saved = tg.load(tmp_path / "state.safetensors")
    q = nn.Parameter(saved["p"].numpy(), dtype=np.float64)
    other = optim.NewtonCG([q])
    other.load_state_dict(saved["optimizer"])
    for _ in range(5):
        optimizer.step(lambda: cases.rosenbrock(p, None))
        other.step(lambda: cases.rosenbrock(q, None))
    np.testing.assert_array_equal(q.numpy(), p.numpy())
    assert other.state[q] == optimizer.state[p]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_newton_takes_compiled_losses(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 4)).astype(dtype), rng.integers(0, 2, 50).astype(dtype)
    paths = []
    for compiled in (False, True):
        w = nn.Parameter(np.zeros(4), dtype=dtype)

        def loss(w=w):
            return nn.functional.binary_cross_entropy_with_logits(x @ w, y) + (w * w).sum()

        optimizer = optim.NewtonCG([w])
        loss = tg.compile(loss) if compiled else loss
        for _ in range(6):
            optimizer.step(loss)
        paths.append(w.numpy().copy())
        assert abs(w.grad.numpy()).max() < 1e-6
    np.testing.assert_allclose(*paths, rtol=1e-5, atol=1e-7)


def test_newton_without_line_search_takes_whole_steps():
    p = nn.Parameter([2.0], dtype=np.float64)
    optimizer = optim.NewtonCG([p], lr=0.5, line_search_fn=None, tolerance_cg=1e-12)
    optimizer.step(lambda: (p**2).sum())
    assert p.item() == pytest.approx(1.0)
    damped = optim.NewtonCG([p], line_search_fn=None, damping=2.0, tolerance_cg=1e-12)
    damped.step(lambda: (p**2).sum())  # 1 − 2/(2 + 2)
    assert p.item() == pytest.approx(0.5)


def test_newton_on_what_has_no_curvature_or_no_finite_loss():
    p, q = nn.Parameter([1.0], dtype=np.float64), nn.Parameter([1.0], dtype=np.float64)
    optimizer = optim.NewtonCG([p, q])
    optimizer.step(lambda: p.sum() * 3)  # linear, and of one parameter only
    assert p.item() < 1
    assert q.item() == 1.0
    before = p.item()
    optimizer.step(lambda: (p * np.nan).sum())
    assert p.item() == before


# --- both ------------------------------------------------------------------------------------------------------------

BOTH = [optim.LBFGS, optim.NewtonCG]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("closure", "error", "words"),
    [
        (lambda p: None, TypeError, "returned None|as a Tensor"),
        (lambda p: "loss", TypeError, "str|as a Tensor"),
        (lambda p: p * 2, ValueError, r"shape \(2,\)"),
    ],
)
def test_bad_closures_are_refused(kind, closure, error, words):
    p = nn.Parameter([1.0, 2.0])
    with pytest.raises(error, match=words):
        kind([p]).step(lambda: closure(p))
    assert p.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("kind", BOTH)
def test_misuse_is_refused(kind):
    p, q = nn.Parameter([1.0]), nn.Parameter([2.0])
    with pytest.raises(TypeError, match="needs a closure"):
        kind([p]).step()
    with pytest.raises(TypeError, match="needs a closure"):
        kind([p]).step(3.0)
    with pytest.raises(ValueError, match="one group"):
        kind([{"params": [p]}, {"params": [q]}])
    with pytest.raises(ValueError, match="line_search_fn"):
        kind([p], line_search_fn="wolfe")
    with pytest.raises(ValueError, match="max_iter"):
        kind([p], max_iter=0)
    with pytest.raises(ValueError, match="lr"):
        kind([p], lr=-1)
    optimizer = kind([p])
    with pytest.raises(TypeError, match=r"compile what computes the loss"):
        tg.compile(lambda: optimizer.step(lambda: (p * p).sum()))()
    with pytest.raises(ValueError, match="another optimizer"):
        optimizer.load_state_dict(optim.SGD([p], momentum=0.5).state_dict())


def test_closures_that_do_too_little_or_too_much():
    p = nn.Parameter([1.0])
    with pytest.raises(RuntimeError, match="must call backward"):
        optim.LBFGS([p]).step(lambda: (p * p).sum())
    optimizer = optim.NewtonCG([p])
    with pytest.raises(RuntimeError, match="called backward"):
        optimizer.step(lambda: _with_backward(p))
    with pytest.raises(RuntimeError, match="recorded nothing"):
        optimizer.step(lambda: tg.tensor(1.0))


def _with_backward(p):
    loss = (p * p).sum()
    loss.backward()
    return loss


@pytest.mark.parametrize("kind", BOTH)
def test_a_closure_that_fails_at_a_trial_moves_nothing(kind):
    p = nn.Parameter([-1.2, 1.0], dtype=np.float64)
    calls = []

    def closure():
        calls.append(0)
        if len(calls) == 2:
            raise KeyboardInterrupt
        p.grad = None
        loss = cases.rosenbrock(p, None)
        if kind is optim.LBFGS:
            loss.backward()
        return loss

    settings = {"line_search_fn": "strong_wolfe"} if kind is optim.LBFGS else {}
    with pytest.raises(KeyboardInterrupt):
        kind([p], **settings).step(closure)
    assert p.tolist() == [-1.2, 1.0]
    assert p.grad is not None


@pytest.mark.parametrize("kind", BOTH)
def test_steps_work_under_no_grad(kind):
    p = nn.Parameter([1.0, -2.0], dtype=np.float64)
    optimizer = kind([p])

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        if kind is optim.LBFGS:
            loss.backward()
        return loss

    with tg.no_grad():
        for _ in range(3):
            optimizer.step(closure)
    np.testing.assert_allclose(p.numpy(), 0, atol=1e-6)


@pytest.mark.parametrize("kind", BOTH)
def test_a_state_of_other_parameters_changes_nothing(kind):
    p, q = nn.Parameter(np.full(3, 1.5), dtype=np.float64), nn.Parameter(np.ones(2), dtype=np.float64)
    optimizer = optim.LBFGS([p], max_iter=3, lr=1e-3)
    optimizer.step(closure_of(optimizer, p, "rosenbrock"))
    other = kind([q])
    with pytest.raises(ValueError, match=r"elements|needs|gone"):
        other.load_state_dict({**optimizer.state_dict()} if kind is optim.LBFGS else optim.SGD([q]).state_dict())


@pytest.mark.parametrize("kind", BOTH)
def test_a_scheduler_can_set_the_rate(kind):
    p = nn.Parameter([1.0])
    optimizer = kind([p])
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("lr", [1, 10])
@pytest.mark.parametrize("seed", range(5))
def test_lbfgs_comes_back_from_outside_of_the_domain(seed, lr):
    """Barriers by logarithms, which are NaN beyond: the steps that get there are shortened."""
    random = np.random.default_rng(seed)
    A, c = random.standard_normal((12, 3)), 5 * random.standard_normal(3)
    w = tg.tensor(np.zeros(3), requires_grad=True)
    optimizer = optim.LBFGS([w], lr=lr, max_iter=50, line_search_fn="strong_wolfe")
    losses = []

    def closure():
        optimizer.zero_grad()
        loss = tg.sum(w * c + w * w / 20) - tg.sum(tg.log(1 - A @ w))
        loss.backward()
        losses.append(loss.item())
        return loss

    with np.errstate(invalid="ignore"):
        optimizer.step(closure)
    assert lr == 1 or not np.isfinite(losses).all(), "some step was too far"
    closure()
    assert np.abs(w.grad.numpy()).max() < 1e-3


@pytest.mark.parametrize("line_search_fn", [None, "strong_wolfe"])
def test_lbfgs_makes_no_step_from_a_loss_that_is_no_number(line_search_fn):
    w = tg.tensor([1.0], requires_grad=True)
    optimizer = optim.LBFGS([w], line_search_fn=line_search_fn)

    def closure():
        optimizer.zero_grad()
        loss = tg.sum(w * float("nan"))
        loss.backward()
        return loss

    assert np.isnan(optimizer.step(closure).item())
    assert w.tolist() == [1.0]
