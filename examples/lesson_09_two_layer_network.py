"""Lesson 9: a network of two layers, with samples in columns. The course's dZ, dW and dB, and those of autograd."""

import numpy as np
from _lesson import run

import tinygrad_nn as tg


def make_data(m):
    """Points inside and outside a disc: X is (2, m), Y is (1, m). No straight line divides them."""
    random = np.random.default_rng(1)
    X = random.uniform(-1, 1, (2, m))
    Y = (np.sum(X**2, axis=0, keepdims=True) < 0.5).astype(float)
    return X, Y


def start(n_x, n_1, n_2):
    """Weights by chance, biases zero."""
    random = np.random.default_rng(2)
    first, second = random.standard_normal((n_1, n_x)), random.standard_normal((n_2, n_1))
    return [tg.tensor(p, requires_grad=True) for p in (first, np.zeros((n_1, 1)), second, np.zeros((n_2, 1)))]


def forward(X, W1, B1, W2, B2):
    Z1 = W1 @ X + B1
    A1 = tg.sigmoid(Z1)
    Z2 = W2 @ A1 + B2
    A2 = tg.sigmoid(Z2)
    return Z1, A1, Z2, A2


def cost(A2, Y):
    return -tg.mean(Y * tg.log(A2) + (1 - Y) * tg.log(1 - A2))


def by_formulas(X, Y, W2, A1, A2):
    """Backward as the course has it: dW and dB of the mean over m samples, dZ of their sum."""
    m = X.shape[1]
    dZ2 = A2 - Y
    dW2 = dZ2 @ A1.T / m
    dB2 = np.sum(dZ2, axis=1, keepdims=True) / m
    dZ1 = (W2.T @ dZ2) * A1 * (1 - A1)
    dW1 = dZ1 @ X.T / m
    dB1 = np.sum(dZ1, axis=1, keepdims=True) / m
    return {"dZ2": dZ2, "dW2": dW2, "dB2": dB2, "dZ1": dZ1, "dW1": dW1, "dB1": dB1}


def main(lesson):
    X, Y = make_data(400)
    m = X.shape[1]
    W1, B1, W2, B2 = parameters = start(2, 8, 1)

    Z1, A1, Z2, A2 = forward(X, W1, B1, W2, B2)
    for between in (Z1, Z2):
        between.retain_grad()
    J = cost(A2, Y)
    J.backward()
    formulas = by_formulas(X, Y, *(t.detach().numpy() for t in (W2, A1, A2)))
    # the course's dZ belongs to the sum of the losses, autograd's to their mean
    automatic = {"dZ2": m * Z2.grad, "dW2": W2.grad, "dB2": B2.grad, "dZ1": m * Z1.grad, "dW1": W1.grad, "dB1": B1.grad}
    for name, expected in formulas.items():
        difference = np.max(np.abs(automatic[name].numpy() - expected))
        lesson.holds(f"{name}, shape {expected.shape}: equal to autograd's within {difference:.0e}", difference < 1e-13)

    costs, rate = [], 2.0
    for _ in range(500 if lesson.quick else 4000):
        for p in parameters:
            p.grad = None
        A2 = forward(X, *parameters)[-1]
        J = cost(A2, Y)
        J.backward()
        costs.append(J.item())
        with tg.no_grad():
            for p in parameters:
                p -= rate * p.grad
    right = np.mean((A2.numpy() > 0.5) == (Y == 1))
    lesson.holds(f"cost {costs[0]:.3f} → {costs[-1]:.3f}, {right:.1%} of the points right", right > 0.9)

    figure, axes = lesson.figure(columns=2, width=4)
    axes[0].plot(costs)
    axes[0].set(xlabel="step", ylabel="J", title="cost")
    line = np.linspace(-1, 1, 60)
    grid = np.stack(np.meshgrid(line, line)).reshape(2, -1)
    with tg.no_grad():
        surface = forward(grid, *parameters)[-1].numpy().reshape(60, 60)
    axes[1].contourf(line, line, surface, levels=20, cmap="RdBu", vmin=-0.5, vmax=1.5)
    axes[1].scatter(*X, c=Y[0], cmap="RdBu", vmin=0, vmax=1, edgecolors="black", s=14, linewidths=0.5)
    axes[1].set(title="A² and the points", xlabel="x₁", ylabel="x₂", aspect="equal")
    axes[1].grid(visible=False)
    lesson.save(figure, "learned.png")

    X, Y = (tg.tensor(x[:, :3]) for x in (X, Y))
    W1, B1, W2, B2 = start(2, 2, 1)
    Z1, A1, Z2, A2 = forward(X, W1, B1, W2, B2)
    not_Y = 1 - Y
    J = -tg.mean(Y * tg.log(A2) + not_Y * tg.log(1 - A2))
    J.backward()
    lesson.save(tg.draw(J), "graph.svg")


if __name__ == "__main__":
    run(main)
