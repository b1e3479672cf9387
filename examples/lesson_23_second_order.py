"""Lesson 23: second-order methods. The exact Hessian, its products with vectors, and Newton's steps."""

import time

import numpy as np
from _lesson import BLUE, GREEN, GREY, RED, run
from sklearn.datasets import load_digits

import tinygrad_nn as tg
from tinygrad_nn import optim

LAMBDA = 0.01
ENOUGH = 1e-6  # the norm of the gradient at which a method has arrived


def threes_and_eights():
    """Digits of 8×8 pixels as rows of 64 numbers and a 1 for the bias; the label tells an 8 from a 3."""
    found = load_digits()
    chosen = np.isin(found.target, (3, 8))
    X = found.data[chosen] / 16
    return np.column_stack([X, np.ones(len(X))]), (found.target[chosen] == 8).astype(float)


def with_backward(optimizer, cost, w):
    """A step of an optimizer that is given the gradient by ``backward()``."""

    def closure():
        optimizer.zero_grad()
        loss = cost(w)
        loss.backward()
        return loss

    return lambda: optimizer.step(closure)


def gradient_descent(cost, w, rate):
    return with_backward(optim.SGD([w], lr=rate), cost, w)


def lbfgs(cost, w):
    """One iteration in each step, in which several lengths may be tried, and no end before the gradient is small."""
    settings = {"max_iter": 1, "max_eval": 30, "tolerance_grad": 1e-9, "tolerance_change": 0}
    return with_backward(optim.LBFGS([w], line_search_fn="strong_wolfe", **settings), cost, w)


def newton_cg(cost, w):
    optimizer = optim.NewtonCG([w])
    return lambda: optimizer.step(lambda: cost(w))  # it takes the derivatives itself


def newton(cost, w):
    """w → w − H⁻¹·∂C/∂w, with the whole Hessian."""
    slope, curvature = tg.grad(cost), tg.hessian(cost)

    def step():
        at = w.numpy()
        change = np.linalg.solve(curvature(at), slope(at))
        with tg.no_grad():
            w[...] = at - change

    return step


def follow(cost, start, method, most):
    """The points that a method goes through, with the norm of the gradient there and the milliseconds until then."""
    w = tg.tensor(start, requires_grad=True)
    step, slope = method(cost, w), tg.grad(cost)
    points, norms, times = [w.numpy().copy()], [np.linalg.norm(slope(start))], [0.0]
    while norms[-1] >= ENOUGH and len(norms) <= most:
        began = time.perf_counter()
        step()
        times.append(times[-1] + (time.perf_counter() - began) * 1e3)
        points.append(w.numpy().copy())
        norms.append(np.linalg.norm(slope(points[-1])))
    return np.array(points), norms, times


def exact_curvature(lesson, cost, X):
    """The Hessian and its products with vectors against the formula; Newton's method on a quadratic cost."""
    m, n = X.shape
    random = np.random.default_rng(0)
    w, v = random.standard_normal(n), random.standard_normal(n)
    a = 1 / (1 + np.exp(-X @ w))
    formula = (X * (a * (1 - a))[:, None]).T @ X / m + LAMBDA * np.eye(n)
    H = tg.hessian(cost)(w)
    lesson.holds(
        f"the exact Hessian, {n}×{n}, is Xᵀ·diag(a(1 − a))·X/m + λ", np.allclose(H, formula, rtol=0, atol=1e-14)
    )
    lesson.holds("H·v without forming H", np.allclose(tg.hvp(cost, w, v), H @ v, rtol=0, atol=1e-13))

    A = random.standard_normal((5, 5))
    A, b = A @ A.T + np.eye(5), random.standard_normal(5)
    points, _, _ = follow(lambda p: p @ A @ p / 2 - b @ p, np.zeros(5), newton, 5)
    lesson.states("on a quadratic, steps of Newton's method", len(points) - 1, 1)
    lesson.holds("  which end at A⁻¹b", np.allclose(points[-1], np.linalg.solve(A, b)))


def on_digits(lesson, cost, n):
    """All methods from the same start to the same minimum, in steps and in time; none of them is compiled."""
    start = np.zeros(n)
    rate = 1 / np.linalg.eigvalsh(tg.hessian(cost)(start))[-1]
    methods = {
        "gradient descent": lambda cost, w: gradient_descent(cost, w, rate),
        "L-BFGS": lbfgs,
        "Newton": newton,
        "Newton-CG": newton_cg,
    }
    figure, axes = lesson.figure(columns=2, width=4.6, height=3.4, sharey=True)
    ends, steps, took = {}, {}, {}
    for name, method in methods.items():
        follow(cost, start, method, 2)  # once before, so that nobody's first call is timed
        points, norms, times = follow(cost, start, method, 5000)
        ends[name], steps[name], took[name] = points[-1], len(norms) - 1, times[-1]
        lesson.holds(f"{name} arrives after {steps[name]} steps, {took[name]:.0f} ms", norms[-1] < ENOUGH)
        axes[0].loglog(np.arange(1, len(norms)), norms[1:], ".-", markersize=3, label=name)
        axes[1].loglog(times[1:], norms[1:], ".-", markersize=3, label=name)
    lesson.holds("all at the same minimum", all(np.allclose(end, ends["Newton"], atol=1e-3) for end in ends.values()))
    lesson.holds("Newton and Newton-CG need fewest steps", max(steps["Newton"], steps["Newton-CG"]) < steps["L-BFGS"])
    lesson.holds("gradient descent needs most", steps["gradient descent"] > 5 * steps["L-BFGS"])
    lesson.holds("and more time than Newton-CG", took["gradient descent"] > took["Newton-CG"])
    axes[0].set(xlabel="step", ylabel="‖∂C/∂w‖", title="in steps")
    axes[1].set(xlabel="milliseconds", title="in time")
    axes[1].legend(fontsize=8)
    lesson.save(figure, "steps.svg")


def rosenbrock(p):
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


def in_a_valley(lesson):
    """Paths to the minimum of Rosenbrock's function, at the end of a curved valley."""
    lesson.states("Rosenbrock's Hessian at its minimum", tg.hessian(rosenbrock)(np.ones(2)), [[802, -400], [-400, 200]])
    figure, panel = lesson.figure(width=6, height=3.8)
    grid = np.meshgrid(np.linspace(-1.6, 1.6, 100), np.linspace(-0.6, 1.6, 100))
    panel.contour(*grid, rosenbrock(np.array(grid)), levels=np.geomspace(0.1, 500, 12), colors="grey", linewidths=0.4)
    far = np.array([-1.2, 1.0])
    most = 500 if lesson.quick else 5000
    path, _, _ = follow(rosenbrock, far, lambda cost, w: gradient_descent(cost, w, 0.001), most)
    panel.plot(
        *path.T, color=GREY, linewidth=5, alpha=0.5, label=f"gradient descent, {len(path) - 1:,} steps: not there"
    )
    for name, method, style in (("Newton-CG", newton_cg, {"color": BLUE}), ("L-BFGS", lbfgs, {"color": RED})):
        points, _, _ = follow(rosenbrock, far, method, 60)
        lesson.states(f"{name} is after {len(points) - 1} steps at", points[-1], [1, 1])
        panel.plot(*points.T, "o-", markersize=4, linewidth=1, label=f"{name}, {len(points) - 1} steps", **style)
    lesson.holds(f"gradient descent is not there after {len(path) - 1:,}", not np.allclose(path[-1], 1, atol=1e-2))
    panel.plot(*far, "s", color="black", markersize=8, zorder=5)
    panel.annotate("start", far, xytext=(-8, 8), textcoords="offset points", ha="right")
    panel.plot(1, 1, "*", color=GREEN, markersize=15, markeredgecolor="white", zorder=5)
    panel.annotate("minimum", (1, 1), xytext=(10, -4), textcoords="offset points")
    panel.set(xlabel="w₁", ylabel="w₂", xlim=(-1.6, 1.6), ylim=(-0.6, 1.6))
    panel.legend(fontsize=8, loc="lower left")
    lesson.save(figure, "valley.svg")


def main(lesson):
    X, y = threes_and_eights()

    def cost(w):
        """Logistic regression with a penalty, which makes the minimum unique."""
        z = X @ w
        return tg.mean(tg.softplus(z) - y * z) + LAMBDA / 2 * tg.sum(w * w)

    exact_curvature(lesson, cost, X)
    on_digits(lesson, cost, X.shape[1])
    in_a_valley(lesson)


if __name__ == "__main__":
    run(main)
