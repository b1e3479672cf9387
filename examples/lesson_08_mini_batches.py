"""Lesson 8: mini-batches. A step for every few samples: quicker than one for all, steadier than one for each."""

import time

import numpy as np
from _lesson import BLUE, GREEN, RED, run

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim

#: How many samples a step sees (None: all), and the learning rate: the noisier the steps, the smaller they must be.
SIZES = {"full batch": (None, 0.1), "mini-batches of 64": (64, 0.1), "single samples": (1, 0.01)}
COLORS = dict(zip(SIZES, (BLUE, RED, GREEN)))


def train(digits, batch_size, epochs, rate):
    """The cost of each step, and after each epoch the time so far and the cost of all samples."""
    network = nn.Linear(784, 10, generator=tg.random.default_rng(0))  # the same start for all
    optimizer = optim.SGD(network.parameters(), lr=rate)
    samples = data.TensorDataset(digits.pixels, digits.labels)
    batches = data.DataLoader(samples, batch_size, shuffle=True, generator=tg.random.default_rng(1))

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        return loss

    steps, times, costs = [], [0.0], [cost(network, digits)]
    for _ in range(epochs):
        began = time.perf_counter()
        steps += [step(x, y).item() for x, y in batches]
        times.append(times[-1] + time.perf_counter() - began)
        costs.append(cost(network, digits))
    return np.array(steps), np.array(times), np.array(costs)


def jumps(costs):
    """How far the cost of a step is from the middle of its neighbours', root mean square: descent is no jump."""
    return np.sqrt(np.mean((costs[1:-1] - (costs[:-2] + costs[2:]) / 2) ** 2))


@tg.no_grad()
def cost(network, digits):
    return nn.functional.cross_entropy(network(digits.pixels), digits.labels).item()


def main(lesson):
    digits = lesson.digits(train=320 if lesson.quick else 1400)
    m = len(digits.pixels)
    lesson.say(f"{m} digits to learn from: {digits.source}")
    seen = [len(x) for x, y in data.DataLoader(data.TensorDataset(digits.pixels, digits.labels), 64, shuffle=True)]
    lesson.states(f"mini-batches of 64 in {m} samples", len(seen), -(-m // 64))
    lesson.states("samples in all of them", sum(seen), m)

    epochs = 3 if lesson.quick else 10
    found = {name: train(digits, size or m, epochs, rate) for name, (size, rate) in SIZES.items()}
    for name, (steps, times, costs) in found.items():
        lesson.say(
            f"{name}, η = {SIZES[name][1]}: {len(steps)} steps in {epochs} epochs, {times[-1]:.2f} s, "
            f"cost {costs[0]:.3f} → {costs[-1]:.3f}"
        )

    full, mini, single = (found[name] for name in SIZES)
    lesson.states("steps in an epoch", [len(x[0]) // epochs for x in (full, mini, single)], [1, -(-m // 64), m])
    lesson.holds("after as many epochs, mini-batches are further down than the full batch", mini[2][-1] < full[2][-1])
    lesson.holds("the full batch goes down at every step", np.all(np.diff(full[2]) < 0))
    unrest = [jumps(x[0]) for x in (full, mini, single)]
    lesson.holds(
        f"the fewer samples a step sees, the more its cost jumps: {unrest[0]:.3f}, {unrest[1]:.3f}, {unrest[2]:.3f}",
        unrest[0] < unrest[1] < unrest[2],
    )

    figure, axes = lesson.figure(columns=3, width=3.6, height=3)
    for name, (steps, times, costs) in reversed(found.items()):
        axes[0].plot(costs, ".-", color=COLORS[name], label=f"{name}, η = {SIZES[name][1]}")
        axes[1].plot(times[1:], costs[1:], ".-", color=COLORS[name])
        at = np.linspace(0, epochs, len(steps))
        axes[2].plot(at, steps, color=COLORS[name], linewidth=0.1 if len(steps) > 1000 else 1)
    smooth = np.convolve(single[0], np.ones(100) / 100, "valid")  # the mean of 100 steps
    axes[2].plot(np.linspace(0, epochs, len(smooth)), smooth, color="black", linewidth=0.8)
    axes[0].set(xlabel="epoch", ylabel="cost of all samples", ylim=(0, None))
    axes[1].set(xlabel="seconds", ylabel="cost of all samples", xscale="log", ylim=(0, None))
    axes[2].set(xlabel="epoch", ylabel="cost of a step", ylim=(0, 4))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside upper center", ncols=3)
    lesson.save(figure, "batches.png")


if __name__ == "__main__":
    run(main)
