"""Lesson 17: with the cross-entropy it learns fast: ∂C/∂w = x(σ(z) − y), so the larger the error, the faster."""

from _lesson import GREY, run

import tinygrad_nn as tg

X, Y = 1.0, 0.0
STARTS = {"w = 0.6, b = 0.9": (0.6, 0.9), "w = 2, b = 2": (2.0, 2.0)}
EPOCHS = 300
#: The book takes a smaller rate for the cross-entropy, whose gradients are larger; what counts is the curves' form.
RATES = {"squared error": 0.15, "cross-entropy": 0.005}


def cross_entropy(w, b):
    a = tg.sigmoid(w * X + b)
    return -(Y * tg.log(a) + (1 - Y) * tg.log(1 - a))


def squared_error(w, b):
    return (Y - tg.sigmoid(w * X + b)) ** 2 / 2


def learn(cost, w, b, rate):
    """Cost and slope ∂C/∂w before each epoch."""
    cost_and_slope = tg.value_and_grad(cost, argnums=(0, 1))
    costs, slopes = [], []
    for _ in range(EPOCHS):
        C, (dw, db) = cost_and_slope(w, b)
        costs.append(float(C))
        slopes.append(float(dw))
        w, b = w - rate * dw, b - rate * db
    return costs, slopes


def main(lesson):
    for name, (w, b) in STARTS.items():
        error = tg.sigmoid(w * X + b) - Y
        lesson.states(f"{name}: ∂C/∂w = x(σ(z) − y)", tg.grad(cross_entropy)(w, b), X * error, within=1e-15)
        lesson.states(f"{name}: ∂C/∂b = σ(z) − y", tg.grad(cross_entropy, argnums=1)(w, b), error, within=1e-15)
    bad, good = (tg.grad(cross_entropy)(*STARTS[name]) for name in ("w = 2, b = 2", "w = 0.6, b = 0.9"))
    lesson.holds(f"the larger error has the larger gradient: {bad:.3f} against {good:.3f}", bad > good)

    figure, axes = lesson.figure(columns=2)
    for panel, (name, (w, b)) in zip(axes, STARTS.items()):
        steepest = {}
        for cost_name, cost in (("squared error", squared_error), ("cross-entropy", cross_entropy)):
            costs, slopes = learn(cost, w, b, RATES["squared error"])
            steepest[cost_name] = slopes.index(max(slopes))
            panel.plot([c / costs[0] for c in costs], label=cost_name)
        panel.set(title=name, xlabel="epoch", ylabel="cost, as a part of the first", ylim=(0, None))
        panel.legend()
        lesson.states(f"{name}: cross-entropy is steepest in epoch", steepest["cross-entropy"], 0)
        if name == "w = 2, b = 2":
            lesson.holds(
                f"{name}: the squared error not before epoch {steepest['squared error']}",
                steepest["squared error"] > 100,
            )
    lesson.save(figure, "costs.svg")

    figure, axes = lesson.figure(columns=2)
    for panel, (name, (w, b)) in zip(axes, STARTS.items()):
        costs, slopes = learn(cross_entropy, w, b, RATES["cross-entropy"])
        panel.axline((0, costs[0]), (1, costs[1]), color=GREY, linestyle="--", label="as steep as at the start")
        panel.plot(costs, label="cross-entropy")
        panel.set(
            title=f"{name}, η = {RATES['cross-entropy']}", xlabel="epoch", ylabel="cost", ylim=(0, 1.05 * costs[0])
        )
        panel.legend()
        lesson.holds(f"{name}, η = 0.005: the slope only falls", all(a > b for a, b in zip(slopes, slopes[1:])))
    lesson.save(figure, "slow_rate.svg")

    w, b = (tg.tensor(start, requires_grad=True) for start in (2.0, 2.0))
    x, y, other = tg.tensor(X), tg.tensor(Y), tg.tensor(1 - Y, name="(1 − y)")
    z = w * x + b
    a = tg.sigmoid(z)
    C = -(y * tg.log(a) + other * tg.log(1 - a))
    C.backward()
    lesson.save(tg.draw(C), "graph.svg")


if __name__ == "__main__":
    run(main)
