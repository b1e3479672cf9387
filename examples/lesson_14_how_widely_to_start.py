"""Lesson 14: how widely weights start. N(0, 1) saturates hidden units from the outset; N(0, 1/√n) does not."""

import math

import numpy as np
from _lesson import run

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim

STARTS = ("N(0, 1)", "N(0, 1/√n)")


def make(generator, start):
    """784-30-10 with sigmoids, biases 0."""
    network = nn.Sequential(nn.Linear(784, 30), nn.Sigmoid(), nn.Linear(30, 10), nn.Sigmoid())
    for layer in (network[0], network[2]):
        deviation = 1 if start == "N(0, 1)" else 1 / math.sqrt(layer.in_features)
        nn.init.normal_(layer.weight, std=deviation, generator=generator)
        nn.init.zeros_(layer.bias)
    return network


def train(network, digits, epochs):
    """Accuracy on held-out digits, at the start and after each epoch."""
    targets = nn.functional.one_hot(digits.labels, 10).astype(tg.float32)
    samples = data.TensorDataset(digits.pixels, targets)
    batches = data.DataLoader(samples, batch_size=10, shuffle=True, generator=tg.random.default_rng(1))
    optimizer = optim.SGD(network.parameters(), lr=1.0)

    @tg.compile
    def step(x, y):
        loss = nn.functional.binary_cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    accuracies = [accuracy(network, digits)]
    for _ in range(epochs):
        for x, y in batches:
            step(x, y)
        accuracies.append(accuracy(network, digits))
    return accuracies


@tg.no_grad()
def accuracy(network, digits):
    return np.mean(network(digits.test_pixels).numpy().argmax(axis=1) == digits.test_labels)


def main(lesson):
    # a neuron with 1,000 inputs of which 500 are 1 and the others 0: z is a sum of 500 weights
    random = np.random.default_rng(0)
    x = np.repeat([1.0, 0.0], 500)
    figure, axes = lesson.figure(columns=3, width=3.3, height=2.8)
    for panel, start, deviation in zip(axes, STARTS, (1, 1 / math.sqrt(1000))):
        z = np.concatenate([random.normal(0, deviation, (1000, 1000)) @ x for _ in range(20)])
        expected = math.sqrt(500) * deviation
        lesson.states(f"weights of {start}: standard deviation of z", z.std(), expected, within=0.02)
        saturated = np.mean(np.abs(z) > 4)
        lesson.holds(
            f"  {saturated:.0%} of such neurons begin where σ′ < 0.02",
            saturated > 0.8 if start == "N(0, 1)" else saturated < 0.01,
        )
        panel.hist(z, bins=np.linspace(-60, 60, 121), density=True)
        panel.set(title=f"z with weights of {start}", xlabel="z")
    axes[0].set_ylabel("density")

    digits = lesson.digits(train=1400 if lesson.quick else 8000, test=397 if lesson.mnist is None else 2000)
    lesson.say(f"{len(digits.pixels)} digits to learn from: {digits.source}")
    found = {start: train(make(tg.random.default_rng(2), start), digits, 3 if lesson.quick else 15) for start in STARTS}
    for start, accuracies in found.items():
        lesson.say(f"{start}: accuracy by epoch " + " ".join(f"{x:.1%}" for x in accuracies))
        axes[2].plot(np.array(accuracies) * 100, ".-", label=start)
    wide, narrow = found.values()
    lesson.holds("after the first epoch the narrow start reads more digits", narrow[1] > wide[1])
    axes[2].set(xlabel="epoch", ylabel="accuracy, %", title="held-out digits")
    axes[2].legend()
    lesson.save(figure, "starts.png")


if __name__ == "__main__":
    run(main)
