"""Lesson 22: L2 regularisation. Each step shrinks the weights by 1 − ηλ/n, but not the biases; overfitting."""

import numpy as np
from _lesson import run

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim


def make():
    generator = tg.random.default_rng(0)
    return nn.Sequential(nn.Linear(784, 30, generator=generator), nn.Sigmoid(), nn.Linear(30, 10, generator=generator))


def weights_and_biases(network, decay):
    """Groups of parameters for an optimizer: only weights decay."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim == 2], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]


def one_step(lesson):
    """One step by the rule, by the penalty in the cost, and by `weight_decay`."""
    random = np.random.default_rng(0)
    x, y = random.standard_normal((20, 784)).astype(np.float32), random.integers(0, 10, 20)
    rate, lam, n = 0.5, 2.0, len(x)

    network = make()
    before = [p.detach().numpy() for p in network.parameters()]
    nn.functional.cross_entropy(network(x), y).backward()
    gradients = [p.grad.numpy() for p in network.parameters()]
    rule = [(1 - rate * lam / n) * p - rate * g if p.ndim == 2 else p - rate * g for p, g in zip(before, gradients)]

    optim.SGD(weights_and_biases(network, lam / n), lr=rate).step()
    decayed = [p.detach().numpy() for p in network.parameters()]

    network = make()
    penalty = lam / (2 * n) * sum(tg.sum(p**2) for p in network.parameters() if p.ndim == 2)
    (nn.functional.cross_entropy(network(x), y) + penalty).backward()
    optim.SGD(network.parameters(), lr=rate).step()
    penalised = [p.detach().numpy() for p in network.parameters()]

    for name, r, d, p in zip(("W¹", "b¹", "W²", "b²"), rule, decayed, penalised):
        agree = np.allclose(r, d, rtol=0, atol=1e-6) and np.allclose(r, p, rtol=0, atol=1e-6)
        what = "(1 − ηλ/n)w − η∂C₀/∂w" if r.ndim == 2 else "b − η∂C₀/∂b, untouched by λ"
        lesson.holds(f"{name} → {what}: the rule, weight_decay = λ/n and the penalty in the cost agree", agree)


def train(digits, lam, epochs):
    """The network, and by epoch: cost of what was learned from, cost and accuracy of the others, without penalty.

    They jump from epoch to epoch, so that each is given as the mean of ten epochs.
    """
    network = make()
    samples = data.TensorDataset(digits.pixels, digits.labels)
    batches = data.DataLoader(samples, batch_size=20, shuffle=True, generator=tg.random.default_rng(1))
    optimizer = optim.SGD(weights_and_biases(network, lam / len(samples)), lr=0.7)

    @tg.compile
    def step(x, y):
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    rows = []
    for _ in range(epochs):
        for x, y in batches:
            step(x, y)
        with tg.no_grad():
            cost = nn.functional.cross_entropy(network(digits.pixels), digits.labels)
            scores = network(digits.test_pixels)
            test_cost = nn.functional.cross_entropy(scores, digits.test_labels)
        right = np.mean(scores.numpy().argmax(axis=1) == digits.test_labels)
        rows.append([cost.item(), test_cost.item(), 100 * right])
    return network, [np.convolve(column, np.ones(10) / 10, mode="valid") for column in np.transpose(rows)]


def main(lesson):
    one_step(lesson)
    digits = lesson.digits(train=600).mislabelled()
    lesson.say(f"{len(digits.pixels)} digits to learn from, some of them with a wrong label: {digits.source}")
    figure, axes = lesson.figure(columns=3, width=3.5, height=2.9)
    ends, lowest, sizes = {}, {}, {}
    for lam in (0.0, 1.0) if lesson.quick else (0.0, 0.1, 1.0, 10.0):
        network, curves = train(digits, lam, 150)
        for panel, curve in zip(axes, curves):
            panel.plot(np.arange(len(curve)) + 10, curve, label=f"λ = {lam:g}" if lam else "without")
        cost, test_cost, accuracy = ends[lam] = [curve[-1] for curve in curves]
        lowest[lam] = curves[1].min()
        sizes[lam] = np.linalg.norm(network[0].weight.numpy())
        lesson.say(f"λ = {lam}: cost {cost:.3f}, of the others {test_cost:.3f}, at its lowest {lowest[lam]:.3f}; "
                   f"{accuracy:.1f}% of the others right; ‖W¹‖ = {sizes[lam]:.1f}")  # fmt: skip
    lesson.holds("without, the cost of the others falls and then rises: it overfits", ends[0.0][1] > 1.15 * lowest[0.0])
    lesson.holds("with λ = 1.0 it hardly rises", ends[1.0][1] < 1.1 * lowest[1.0])
    lesson.holds("  and ends lower than without", ends[1.0][1] < ends[0.0][1])
    best = max(ends, key=lambda lam: ends[lam][2])
    lesson.states("tried from λ = 1.0 by tens, the λ whose network reads most of the others", best, 1.0)
    lesson.holds("the larger λ, the smaller the weights", np.all(np.diff(list(sizes.values())) < 0))
    axes[0].set(title="cost learned from, without penalty", xlabel="epoch", yscale="log")
    low = min(lowest.values())
    axes[1].set(title="cost of the others (λ = 10: above)", xlabel="epoch", ylim=(0.9 * low, 1.5 * low))
    axes[2].set(title="accuracy of the others, %", xlabel="epoch")
    axes[2].legend(fontsize=8)
    lesson.save(figure, "regularisation.png")


if __name__ == "__main__":
    run(main)
