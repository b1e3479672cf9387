"""Lesson 20: the learning rate. η = 0.025 is slow, 0.25 is right, 2.5 jumps past the valley."""

import numpy as np
from _lesson import BLUE, GREEN, RED, run

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim

RATES = {0.025: BLUE, 0.25: GREEN, 2.5: RED}


def make():
    """784-30-10 with sigmoids, the same start for every rate."""
    generator = tg.random.default_rng(0)
    network = nn.Sequential(nn.Linear(784, 30), nn.Sigmoid(), nn.Linear(30, 10), nn.Sigmoid())
    for layer in (network[0], network[2]):
        nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=generator)
        nn.init.normal_(layer.bias, generator=generator)
    return network


def summed_cost(a, y):
    """The cross-entropy summed over the ten outputs, its mean over samples: the book's scale, to which η belongs."""
    return nn.functional.binary_cross_entropy(a, y, reduction="sum") / len(y)


def train(network, digits, rate, epochs):
    """The cost of all digits learned from, after each epoch."""
    targets = nn.functional.one_hot(digits.labels, 10).astype(tg.float32)
    samples = data.TensorDataset(digits.pixels, targets)
    batches = data.DataLoader(samples, batch_size=10, shuffle=True, generator=tg.random.default_rng(1))
    optimizer = optim.SGD(network.parameters(), lr=rate)

    @tg.compile
    def step(x, y):
        cost = summed_cost(network(x), y)
        cost.backward()
        optimizer.step()
        optimizer.zero_grad()

    costs = []
    for _ in range(epochs):
        for x, y in batches:
            step(x, y)
        with tg.no_grad():
            costs.append(summed_cost(network(digits.pixels), targets).item())
    return costs


def valley(w):
    """A narrow valley: steep in one direction, gentle in the other."""
    return (w[0] ** 2 + 12 * w[1] ** 2) / 2


def descend(rate, steps=40):
    slope, w = tg.grad(valley), np.array([-4.0, 1.0])
    path = [w]
    for _ in range(steps):
        w = w - rate * slope(w)
        path.append(w)
    return np.array(path)


def main(lesson):
    digits = lesson.digits(train=700 if lesson.quick else 4000)
    lesson.say(f"{len(digits.pixels)} digits to learn from: {digits.source}")
    found = {rate: train(make(), digits, rate, 15 if lesson.quick else 30) for rate in RATES}
    figure, axes = lesson.figure(columns=2, width=4.4)
    for rate, costs in found.items():
        lesson.say(f"η = {rate}: cost {costs[0]:.3f} → {costs[-1]:.4f}")
        axes[0].semilogy(range(1, len(costs) + 1), costs, color=RATES[rate], label=f"η = {rate}")
    slow, right, fast = found.values()
    jumps, wobbles = np.diff(fast).max(), max(0, np.diff(right).max())
    lesson.holds("η = 0.025 is slow: the cost falls in every epoch", np.all(np.diff(slow) < 0))
    lesson.holds(
        f"  and is at the end still {slow[-1] / right[-1]:.1f} times that of η = 0.25", slow[-1] > 2 * right[-1]
    )
    lesson.holds(f"η = 2.5 goes past the valley: from one epoch to the next the cost rises by up to {jumps:.2f}",
                 jumps > 5 * wobbles)  # fmt: skip
    lesson.holds(f"  with η = 0.25 by no more than {wobbles:.2f}, and it ends lower", right[-1] < fast[-1])

    # the same in two dimensions: along w₂, with curvature 12, a step multiplies the distance to the bottom by 1 − 12η
    lesson.states("the valley's curvatures", np.linalg.eigvalsh(tg.hessian(valley)(np.zeros(2))), [1, 12])
    for rate, color in zip((0.01, 0.1, 0.17), RATES.values()):
        path = descend(rate)
        axes[1].plot(*path.T, ".-", color=color, markersize=4, linewidth=0.8, label=f"η = {rate}")
        lesson.say(f"valley, η = {rate}: after 40 steps the cost is {valley(path[-1]):.3g}")
    costs = [valley(descend(rate)[-1]) for rate in (0.01, 0.1, 0.17)]
    lesson.holds("in the valley too the middle rate ends lowest", costs[1] < min(costs[0], costs[2]))
    w1, w2 = np.abs(descend(0.17)).T
    lesson.states("η = 0.17 > 2/12: |w₂| grows with each step by a factor of", w2[1:] / w2[:-1], np.full(40, 1.04))
    lesson.holds("  while |w₁|, where the valley is gentle, shrinks", np.all(np.diff(w1) < 0))
    grid = np.meshgrid(np.linspace(-5, 5, 60), np.linspace(-2, 2, 60))
    axes[1].contour(*grid, valley(np.array(grid)), levels=np.geomspace(0.1, 40, 12), colors="grey", linewidths=0.4)
    axes[0].set(xlabel="epoch", ylabel="cost", title="digits")
    axes[1].set(xlabel="w₁", ylabel="w₂", title="a valley", xlim=(-5, 5), ylim=(-2, 2))
    for panel in axes:
        panel.legend()
    lesson.save(figure, "rates.png")


if __name__ == "__main__":
    run(main)
