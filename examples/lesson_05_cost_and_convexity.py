"""Lesson 5: the cost is a bowl. Descent finds its bottom from any start; that of the squared error is no bowl."""

import numpy as np
from _lesson import BLUE, RED, run

import tinygrad_nn as tg

#: Eight samples of one feature; the classes overlap: of classes that a point divides, no w is the best.
X = np.array([[-2.0, -1.5, -1.0, -0.2, 0.1, 0.8, 1.6, 2.2]])
Y = np.array([[0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0]])
STARTS = [(-4.0, 3.0), (5.0, 3.5), (-3.0, -4.0), (6.0, -3.0)]


def cross_entropy_cost(w, b):
    """J(w, b): the mean of the losses of all samples."""
    z = w * X + b
    return tg.mean(tg.softplus(z) - Y * z)  # −y log σ(z) − (1 − y) log(1 − σ(z)), without overflow


def squared_cost(w, b):
    return tg.mean((tg.sigmoid(w * X + b) - Y) ** 2) / 2


def curvature(cost, w, b):
    """The Hessian of a cost at a point: 2×2."""
    return tg.hessian(lambda p: cost(p[0], p[1]))(np.array([w, b]))


def descend(cost, start, rate, steps):
    """The points that gradient descent goes through."""
    slope = tg.grad(cost, argnums=(0, 1))
    path = [start]
    for _ in range(steps):
        w, b = path[-1]
        dw, db = slope(w, b)
        path.append((w - rate * dw, b - rate * db))
    return np.array(path, dtype=float)


def surface(cost, w, b):
    return np.array([[cost(x, y) for x in w] for y in b])


def main(lesson):
    steps = 300 if lesson.quick else 1000
    paths = [descend(cross_entropy_cost, start, rate=1.0, steps=steps) for start in STARTS]
    bottom = paths[0][-1]
    lesson.say(f"descent from {len(STARTS)} starts ends at w = {bottom[0]:.5f}, b = {bottom[1]:.5f}")
    slope = np.array(tg.grad(cross_entropy_cost, argnums=(0, 1))(*bottom))
    lesson.states("the slope there", slope, [0, 0])
    for start, path in zip(STARTS[1:], paths[1:]):
        lesson.states(f"the path from {start} ends there too", path[-1], bottom, within=1e-6)

    random = np.random.default_rng(0)
    points = random.uniform([-4, -5], [6, 5], size=(30 if lesson.quick else 200, 2))
    smallest = min(np.linalg.eigvalsh(curvature(cross_entropy_cost, *point))[0] for point in points)
    lesson.holds(f"cross-entropy curves upwards at {len(points)} points: least curvature {smallest:.2g}", smallest > 0)
    smallest = min(np.linalg.eigvalsh(curvature(squared_cost, *point))[0] for point in points)
    lesson.holds(f"the squared error does not: at one point its curvature is {smallest:.2g}", smallest < 0)

    count = 20 if lesson.quick else 32
    w, b = np.linspace(-5, 8, count), np.linspace(-6, 6, count)
    figure, axes = lesson.figure(columns=2, width=4.6, height=3.8, subplot_kw={"projection": "3d"})
    for panel, cost, title in zip(axes, (cross_entropy_cost, squared_cost), ("cross-entropy", "squared error")):
        panel.plot_surface(*np.meshgrid(w, b), surface(cost, w, b), cmap="Blues_r", alpha=0.8, rasterized=True)
        panel.set(title=title, xlabel="w", ylabel="b")
        panel.set_zlabel("J(w, b)")
    lesson.save(figure, "surfaces.png")

    figure, panel = lesson.figure(width=5.5, height=4)
    panel.contour(w, b, surface(cross_entropy_cost, w, b), levels=25, colors=BLUE, linewidths=0.5)
    for path in paths:
        panel.plot(*path.T, ".-", color=RED, markersize=3, linewidth=0.8)
        panel.plot(*path[0], "o", color=RED)
    panel.plot(*bottom, "*", color=BLUE, markersize=12)
    panel.set(xlabel="w", ylabel="b", title="four starts, one minimum")
    lesson.save(figure, "descent.png")


if __name__ == "__main__":
    run(main)
