"""Lesson 15: the sigmoid saturates. Its slope σ′(z) = σ(z)(1 − σ(z)) is at most 1/4, and almost 0 away from 0."""

import numpy as np
from _lesson import BLUE, RED, run

import tinygrad_nn as tg


def ten_layers(z):
    for _ in range(10):
        z = tg.sigmoid(z)
    return z


def main(lesson):
    slope = tg.elementwise_grad(tg.sigmoid)
    z = np.linspace(-8, 8, 401)
    sigma = tg.sigmoid(z)
    lesson.states("σ(0)", tg.sigmoid(0.0), 1 / 2)
    lesson.states("σ′(0)", tg.grad(tg.sigmoid)(0.0), 1 / 4)
    lesson.holds("σ′ = σ(1 − σ) everywhere", np.allclose(slope(z), sigma * (1 - sigma), rtol=0, atol=1e-16))
    lesson.states("the largest slope", slope(z).max(), 1 / 4)
    lesson.states("where it is", z[slope(z).argmax()], 0, within=1e-12)
    lesson.states("σ(z) + σ(−z)", sigma + tg.sigmoid(-z), np.ones_like(z), within=1e-15)
    lesson.states("σ′(10)", tg.grad(tg.sigmoid)(10.0), 4.5e-5, within=5e-7)
    for far in (5.0, 10.0, 20.0):
        lesson.holds(f"σ′({far:g}) = {tg.grad(tg.sigmoid)(far):.2g}", tg.grad(tg.sigmoid)(far) < np.exp(-far))
    lesson.states("σ′ and σ″ at 0", [tg.grad(tg.sigmoid)(0.0), tg.grad(tg.grad(tg.sigmoid))(0.0)], [1 / 4, 0])

    # the slopes of many layers are multiplied: what is left after them, with weights of 1
    steepest = tg.elementwise_grad(ten_layers)(z).max()
    lesson.holds(
        f"ten sigmoids, one of the other: slope ≤ {steepest:.1e} < (1/4)¹⁰ = {0.25**10:.1e}", steepest < 0.25**10
    )
    layers = np.arange(1, 11)

    figure, axes = lesson.figure(columns=2, width=4.2, height=2.8)
    axes[0].plot(z, sigma, color=BLUE, label="σ(z)")
    axes[0].plot(z, slope(z), color=RED, label="σ′(z)")
    axes[0].annotate("σ′(0) = 1/4", (0, 0.25), (1.5, 0.4), arrowprops={"arrowstyle": "-", "color": RED}, color=RED)
    axes[0].set(xlabel="z", ylabel="σ, σ′")
    axes[0].legend()
    axes[1].semilogy(layers, 0.25**layers, "o-", color=RED)
    axes[1].set(xlabel="layers", ylabel="product", title="σ′(0) multiplied over layers")
    lesson.save(figure, "sigmoid.svg")


if __name__ == "__main__":
    run(main)
