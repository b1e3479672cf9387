"""Lesson 13: why weights start by chance. From zeros, hidden units stay identical for ever; and how wide chance is."""

import numpy as np
from _lesson import BLUE, GREY, RED, run

import tinygrad_nn as tg
from tinygrad_nn import nn, optim

COURSE, GLOROT = "±√6/(S_l + S_{l+1})", "±√(6/(S_l + S_{l+1}))"
#: As legends show them, and in which colours.
LEGENDS = {
    "zeros": ("zeros", GREY),
    COURSE: (r"$\pm\dfrac{\sqrt{6}}{S_l + S_{l+1}}$", BLUE),
    GLOROT: (r"$\pm\sqrt{\dfrac{6}{S_l + S_{l+1}}}$", RED),
}


def make(n_in, hidden, start):
    network = nn.Sequential(nn.Linear(n_in, hidden), nn.Sigmoid(), nn.Linear(hidden, 1))
    for layer in (network[0], network[2]):
        start(layer.weight)
        nn.init.zeros_(layer.bias)
    return network


def train(network, X, y, steps):
    """The cost of each step, and how far apart the hidden units' weights are."""
    optimizer = optim.SGD(network.parameters(), lr=2.0)
    loss_of = nn.BCEWithLogitsLoss()
    costs, spreads = [], []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(network(X), y)
        loss.backward()
        optimizer.step()
        costs.append(loss.item())
        spreads.append(np.ptp(network[0].weight.numpy(), axis=0).max())
    return costs, spreads


def main(lesson):
    random = np.random.default_rng(0)
    X = random.uniform(-1, 1, (200, 2)).astype(np.float32)
    y = (np.sum(X**2, axis=1, keepdims=True) < 0.5).astype(np.float32)  # inside a disc

    generator = tg.random.default_rng(1)
    starts = {
        "zeros": nn.init.zeros_,
        COURSE: lambda w: nn.init.lesson_uniform_(w, generator=generator),
        GLOROT: lambda w: nn.init.xavier_uniform_(w, generator=generator),
    }
    found = {}
    for name, start in starts.items():
        network = make(2, 8, start)
        costs, spreads = found[name] = train(network, X, y, 100 if lesson.quick else 2000)
        lesson.say(f"{name}: cost {costs[0]:.3f} → {costs[-1]:.3f}, hidden units at most {spreads[-1]:.3g} apart")
    lesson.states("from zeros, hidden units after training differ by", max(found["zeros"][1]), 0)
    for name in list(starts)[1:]:
        lesson.holds(f"from {name} they differ", found[name][1][-1] > 0.1)
        if not lesson.quick:
            lesson.holds(f"and learn more: {found[name][0][-1]:.3f}", found[name][0][-1] < found["zeros"][0][-1] - 0.1)

    weight = nn.Linear(784, 30).weight
    figure, axes = lesson.figure(columns=2, width=4.2, height=2.8)
    for (name, start), bound in zip(list(starts.items())[1:], (6**0.5 / (784 + 30), (6 / (784 + 30)) ** 0.5)):
        values = start(weight).numpy()
        lesson.holds(f"{name} for [784, 30]: all within ±{bound:.5f}", np.abs(values).max() <= bound * (1 + 1e-6))
        lesson.states("  their standard deviation, as a part of that: 1/√3", values.std() / bound, 3**-0.5, within=0.01)
        axes[1].hist(values.ravel(), bins=60, alpha=0.7, label=LEGENDS[name][0], color=LEGENDS[name][1], density=True)
    for name, (costs, _) in found.items():
        axes[0].plot(costs, label=LEGENDS[name][0], color=LEGENDS[name][1])
    axes[0].set(xlabel="step", ylabel="cost")
    axes[1].set(xlabel="weight of [784, 30]", ylabel="density", yscale="log", xticks=[-0.08, -0.04, 0, 0.04, 0.08])
    axes[1].set_ylim(1, 2000)
    for panel in axes:
        panel.legend(fontsize=8)
    lesson.save(figure, "starts.png")

    # after some steps from zeros: the hidden units have moved, all in the same way
    network = make(2, 3, nn.init.zeros_)
    train(network, X, y, 50)
    network.zero_grad()
    x, labels = tg.tensor(X[:3]), tg.tensor(y[:3])
    J = nn.functional.binary_cross_entropy_with_logits(network(x), labels)
    J.backward()
    gradient = network[0].weight.grad.numpy()
    lesson.states("the gradients of three hidden units, apart by", np.ptp(gradient, axis=0), [0, 0], within=1e-9)
    lesson.holds("and not zero", np.all(gradient != 0))
    lesson.save(tg.draw(J), "zeros.svg")


if __name__ == "__main__":
    run(main)
