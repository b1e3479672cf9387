"""Lesson 27: dropout. In training each hidden unit is dropped with probability p, so that none can rely on another."""

import numpy as np
from _lesson import run

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim


def make(p):
    generator = tg.random.default_rng(0)
    return nn.Sequential(
        nn.Linear(784, 100, generator=generator),
        nn.ReLU(),
        nn.Dropout(p, generator=generator),
        nn.Linear(100, 10, generator=generator),
    )


def train(digits, p, epochs):
    """By epoch, as means of ten: cost on what is learned from and on the others, and accuracy on the others in %."""
    network = make(p)
    samples = data.TensorDataset(digits.pixels, digits.labels)
    batches = data.DataLoader(samples, batch_size=10, shuffle=True, generator=tg.random.default_rng(1))
    optimizer = optim.SGD(network.parameters(), lr=0.1)

    @tg.compile
    def step(x, y):
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    @tg.no_grad()
    def evaluate(pixels, labels):
        scores = network.eval()(pixels)
        right = np.mean(scores.numpy().argmax(axis=1) == labels)
        return nn.functional.cross_entropy(scores, labels).item(), 100 * right

    rows = []
    for _ in range(epochs):
        network.train()
        for x, y in batches:
            step(x, y)
        rows.append((evaluate(digits.pixels, digits.labels)[0], *evaluate(digits.test_pixels, digits.test_labels)))
    return [np.convolve(column, np.ones(10) / 10, mode="valid") for column in np.transpose(rows)]


def main(lesson):
    p = 0.5
    layer = nn.Dropout(p, generator=tg.random.default_rng(0))
    ones = tg.ones(100_000)
    dropped = layer(ones).numpy()
    lesson.states("training: share of units dropped, p = 0.5", np.mean(dropped == 0), p, within=0.01)
    lesson.states("the others are scaled by 1/(1 − p)", np.unique(dropped), [0, 2])
    lesson.states("so that the mean stays", dropped.mean(), 1, within=0.01)
    lesson.holds("evaluation: nothing is dropped", (layer.eval()(ones).numpy() == 1).all())

    digits = lesson.digits(train=600).mislabelled()
    lesson.say(f"{len(digits.pixels)} digits to learn from, some of them with a wrong label: {digits.source}")
    figure, axes = lesson.figure(columns=3, width=3.5, height=2.9)
    ends, rises = {}, {}
    for p in (0.0, 0.5):
        curves = train(digits, p, 40)
        for panel, curve in zip(axes, curves):
            panel.plot(np.arange(len(curve)) + 10, curve, label=f"p = {p}" if p else "without dropout")
        cost, test_cost, accuracy = ends[p] = [curve[-1] for curve in curves]
        rises[p] = test_cost / curves[1].min()
        lesson.say(f"p = {p}: cost {cost:.3f}, of the others {test_cost:.3f}, which is {rises[p]:.2f} times the "
                   f"lowest; {accuracy:.1f}% of the others right")  # fmt: skip
    lesson.holds("without, the cost of the others falls and then rises", rises[0.0] > 1.1)
    lesson.holds("with dropout it hardly rises", rises[0.5] < 1.08)
    lesson.holds("  and is lower", ends[0.5][1] < ends[0.0][1])
    lesson.holds("  though what is learned from is learned less well", ends[0.5][0] > ends[0.0][0])
    lesson.holds("  and more of the others are read right", ends[0.5][2] > ends[0.0][2])
    for panel, title in zip(axes, ("cost learned from", "cost of the others", "accuracy of the others, %")):
        panel.set(title=title, xlabel="epoch")
        panel.legend(fontsize=8)
    lesson.save(figure, "dropout.png")

    network = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1))
    J = network(tg.ones((1, 2))).sum()
    J.backward()
    lesson.save(tg.draw(J), "graph.svg")


if __name__ == "__main__":
    run(main)
