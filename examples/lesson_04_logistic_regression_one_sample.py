"""Lesson 4: logistic regression on one sample. Its derivatives by the course's formulas, and by autograd."""

import math

from _lesson import run

import tinygrad_nn as tg


def main(lesson):
    x1, x2, y = tg.tensor(1.5), tg.tensor(-0.5), tg.tensor(1.0)
    w1, w2, b = (tg.tensor(start, requires_grad=True) for start in (0.2, -0.4, 0.1))

    # forward: the prediction a, and the loss L, small if a is close to the label y
    z = w1 * x1 + w2 * x2 + b
    a = tg.sigmoid(z)
    not_y = 1 - y
    L = -(y * tg.log(a) + not_y * tg.log(1 - a))

    # backward, by hand
    da = -y.item() / a.item() + (1 - y.item()) / (1 - a.item())
    dz = a.item() - y.item()
    dw1, dw2, db = x1.item() * dz, x2.item() * dz, dz

    # backward, on the graph
    for between in (a, z):
        between.retain_grad()
    L.backward(retain_graph=True)

    lesson.states("z = w₁x₁ + w₂x₂ + b", z.item(), 0.2 * 1.5 + 0.4 * 0.5 + 0.1)
    lesson.states("a = σ(z)", a.item(), 1 / (1 + math.exp(-0.6)), within=1e-15)
    lesson.states("L = −y log a − (1 − y) log(1 − a)", L.item(), -math.log(a.item()), within=1e-15)
    lesson.states("da = −y/a + (1 − y)/(1 − a)", a.grad.item(), da, within=1e-15)
    lesson.states("dz = a − y", z.grad.item(), dz, within=1e-15)
    lesson.states("dw₁ = x₁·dz", w1.grad.item(), dw1, within=1e-15)
    lesson.states("dw₂ = x₂·dz", w2.grad.item(), dw2, within=1e-15)
    lesson.states("db = dz", b.grad.item(), db, within=1e-15)
    lesson.save(tg.draw(L), "graph.svg")

    # a step of gradient descent makes the loss smaller
    rate = 0.5
    with tg.no_grad():
        z = (w1 - rate * w1.grad) * x1 + (w2 - rate * w2.grad) * x2 + (b - rate * b.grad)
        after = -tg.log(tg.sigmoid(z))
    lesson.holds(f"a step with α = {rate} takes the loss from {L.item():.4f} to {after.item():.4f}", after < L)


if __name__ == "__main__":
    run(main)
