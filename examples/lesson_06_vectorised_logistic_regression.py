"""Lesson 6: vectorised logistic regression. One matrix product for a loop over samples: hundreds of times faster."""

import time

import numpy as np
from _lesson import run

import tinygrad_nn as tg


def make_data(n_x, m):
    """Samples in columns: X is (n_x, m), Y is (1, m)."""
    random = np.random.default_rng(0)
    X = random.standard_normal((n_x, m))
    Y = (random.standard_normal((1, n_x)) @ X > 0).astype(float)
    return X, Y


def by_loops(w, b, X, Y):
    """The gradient as the course first has it: a loop over samples, and in it one over features."""
    n_x, m = X.shape
    dw, db = [0.0] * n_x, 0.0
    for i in range(m):
        z = b
        for j in range(n_x):
            z += w[j, 0] * X[j, i]
        a = 1 / (1 + np.exp(-z))
        dz = a - Y[0, i]
        for j in range(n_x):
            dw[j] += X[j, i] * dz
        db += dz
    return np.array(dw).reshape(-1, 1) / m, db / m


def by_formulas(w, b, X, Y):
    """The gradient without a loop."""
    m = X.shape[1]
    A = 1 / (1 + np.exp(-(w.T @ X + b)))
    dZ = A - Y
    return X @ dZ.T / m, np.sum(dZ) / m


def cost(w, b, X, Y):
    """J(w, b), from which autograd takes the gradient."""
    A = tg.sigmoid(w.T @ X + b)
    return -tg.mean(Y * tg.log(A) + (1 - Y) * tg.log(1 - A))


def seconds(f, *args, repeat):
    """The shortest time of some runs."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        f(*args)
        times.append(time.perf_counter() - began)
    return min(times)


def main(lesson):
    X, Y = make_data(n_x=100, m=200 if lesson.quick else 2000)
    w, b = 0.01 * np.ones((100, 1)), 0.0
    gradient = tg.grad(cost, argnums=(0, 1))

    dw, db = gradient(w, b, X, Y)
    for name, by_hand in (("dw = X(A − Y)ᵀ/m, db = Σ(A − Y)/m", by_formulas), ("the loops' dw and db", by_loops)):
        expected_dw, expected_db = by_hand(w, b, X, Y)
        lesson.holds(f"{name}: equal to autograd's to rounding", np.allclose(dw, expected_dw, rtol=0, atol=1e-14))
        lesson.states("  db", db, expected_db, within=1e-14)

    looped = seconds(by_loops, w, b, X, Y, repeat=1 if lesson.quick else 3)
    vectorised = seconds(by_formulas, w, b, X, Y, repeat=30)
    automatic = seconds(gradient, w, b, X, Y, repeat=30)
    lesson.say(f"loops {looped * 1e3:.0f} ms, vectorised {vectorised * 1e3:.2f} ms, autograd {automatic * 1e3:.2f} ms")
    lesson.holds(f"vectorised is {looped / vectorised:.0f} times faster than the loops", looped / vectorised > 20)
    lesson.holds(f"autograd, which is vectorised too, {looped / automatic:.0f} times", looped / automatic > 5)

    figure, panel = lesson.figure(width=6, height=2)
    bars = panel.barh(["loops", "autograd", "vectorised"], [looped * 1e3, automatic * 1e3, vectorised * 1e3])
    panel.bar_label(bars, fmt="%.2f ms", padding=3)
    panel.set(xscale="log", xlabel=f"one gradient of {X.shape[1]:,} samples, ms", xlim=(None, looped * 8e3))
    lesson.save(figure, "times.svg")

    rate, steps = 1.0, 20 if lesson.quick else 200
    costs = []
    for _ in range(steps):
        dw, db = gradient(w, b, X, Y)
        w, b = w - rate * dw, b - rate * db
        costs.append(cost(w, b, X, Y))
    right = np.mean((w.T @ X + b > 0) == (Y == 1))
    lesson.holds(f"{steps} steps: cost {costs[0]:.3f} → {costs[-1]:.3f}, {right:.1%} right", costs[-1] < costs[0] / 2)

    w, b = (tg.tensor(start, requires_grad=True) for start in (0.01 * np.ones((3, 1)), 0.0))
    X, Y = (tg.tensor(x) for x in make_data(n_x=3, m=4))
    A = tg.sigmoid(w.T @ X + b)
    not_Y = 1 - Y
    J = -tg.mean(Y * tg.log(A) + not_Y * tg.log(1 - A))
    J.backward()
    lesson.save(tg.draw(J), "graph.svg")


if __name__ == "__main__":
    run(main)
