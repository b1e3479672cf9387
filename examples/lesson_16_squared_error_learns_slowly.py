"""Lesson 16: with the squared error, a neuron that is badly wrong learns slowly at first."""

from _lesson import run

import tinygrad_nn as tg

X, Y = 1.0, 0.0  # the neuron is to answer 0 to the input 1
STARTS = {"w = 0.6, b = 0.9": (0.6, 0.9), "w = 2, b = 2": (2.0, 2.0)}
RATE, EPOCHS = 0.15, 300


def cost(w, b):
    a = tg.sigmoid(w * X + b)
    return (Y - a) ** 2 / 2


def learn(w, b):
    """The cost before each epoch, and weight and bias after the last."""
    cost_and_slope = tg.value_and_grad(cost, argnums=(0, 1))
    costs = []
    for _ in range(EPOCHS):
        C, (dw, db) = cost_and_slope(w, b)
        costs.append(float(C))
        w, b = w - RATE * dw, b - RATE * db
    return costs, w, b


def main(lesson):
    figure, axes = lesson.figure(columns=2, sharey=True)
    found = {}
    # the course's numbers: the output at the start, and that after 300 epochs
    expected = {"w = 0.6, b = 0.9": (0.82, 0.09), "w = 2, b = 2": (0.98, 0.20)}
    for panel, (name, (w, b)) in zip(axes, STARTS.items()):
        first = tg.sigmoid(w * X + b)
        costs, w, b = found[name] = learn(w, b)
        last = tg.sigmoid(w * X + b)
        lesson.states(f"{name}: output at the start", round(float(first), 2), expected[name][0])
        lesson.states(f"{name}: output after {EPOCHS} epochs", round(float(last), 2), expected[name][1])
        panel.plot(costs)
        panel.set(title=name, xlabel="epoch")
    axes[0].set(ylabel="cost", ylim=(0, None))
    lesson.save(figure, "costs.svg")

    # ∂C/∂w = (a − y)·σ′(z)·x: small where the sigmoid is flat, however large the error
    for name, (w, b) in STARTS.items():
        a = tg.sigmoid(w * X + b)
        lesson.states(f"{name}: ∂C/∂w = (a − y)σ′(z)x", tg.grad(cost)(w, b), (a - Y) * a * (1 - a) * X, within=1e-15)
    slow, fast = (tg.grad(cost)(*STARTS[name]) for name in ("w = 2, b = 2", "w = 0.6, b = 0.9"))
    lesson.holds(f"the larger error has the smaller gradient: {slow:.3f} against {fast:.3f}", slow < fast / 3)
    bad, good = found["w = 2, b = 2"][0], found["w = 0.6, b = 0.9"][0]
    shares = [1 - costs[150] / costs[0] for costs in (bad, good)]
    lesson.holds(
        f"in 150 epochs the cost falls by {shares[0]:.0%} from the bad start, by {shares[1]:.0%} from the other",
        shares[0] < 0.3 < 0.8 < shares[1],
    )

    w, b = (tg.tensor(start, requires_grad=True) for start in (2.0, 2.0))
    x, y = tg.tensor(X), tg.tensor(Y)
    z = w * x + b
    a = tg.sigmoid(z)
    C = (y - a) ** 2 / 2
    C.backward()
    lesson.save(tg.draw(C), "graph.svg")


if __name__ == "__main__":
    run(main)
