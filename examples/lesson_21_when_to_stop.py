"""Lesson 21: when to stop. Training goes on as long as accuracy on digits that it does not learn from still rises."""

import numpy as np
from _lesson import BLUE, GREY, RED, run

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim, training

PATIENCE = 10


def main(lesson):
    digits = lesson.digits(train=500 if lesson.quick else 1000)
    validation = digits.test_pixels, digits.test_labels
    lesson.say(f"{len(digits.pixels)} digits to learn from, {len(validation[0])} to watch: {digits.source}")
    generator = tg.random.default_rng(0)
    network = nn.Sequential(
        nn.Linear(784, 30, generator=generator), nn.Sigmoid(), nn.Linear(30, 10, generator=generator)
    )
    samples = data.TensorDataset(digits.pixels, digits.labels)
    batches = data.DataLoader(samples, batch_size=10, shuffle=True, generator=generator)
    optimizer = optim.SGD(network.parameters(), lr=0.5)
    stopping = training.EarlyStopping("accuracy", mode="max", patience=PATIENCE)

    @tg.compile
    def step(x, y):
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    @tg.no_grad()
    def accuracy():
        return float(np.mean(network(validation[0]).numpy().argmax(axis=1) == validation[1]))

    losses, accuracies = [], []
    for _ in range(200):
        losses.append(np.mean([step(x, y).item() for x, y in batches]))
        accuracies.append(accuracy())
        if stopping({"accuracy": accuracies[-1]}):
            break

    best = int(np.argmax(accuracies))
    lesson.say(f"accuracy by epoch: {' '.join(f'{x:.1%}' for x in accuracies)}")
    lesson.states("epochs without a new best when it stops", len(accuracies) - 1 - best, PATIENCE)
    lesson.holds(f"it stops early, after {len(accuracies)} of 200 epochs", len(accuracies) < 200)
    lesson.holds(
        f"the loss on what it learns from still falls: {losses[best]:.4f} → {losses[-1]:.4f}", losses[-1] < losses[best]
    )
    lesson.holds(f"best accuracy {accuracies[best]:.1%}, in epoch {best + 1}", accuracies[best] > 0.85)

    figure, axes = lesson.figure(columns=2)
    epochs = np.arange(1, len(losses) + 1)
    axes[0].semilogy(epochs, losses, color=BLUE)
    axes[0].set(xlabel="epoch", title="loss on digits learned from")
    axes[1].plot(epochs, np.array(accuracies) * 100, color=RED)
    axes[1].set(xlabel="epoch", title="accuracy on the others, %")
    axes[1].axvspan(best + 1, epochs[-1], color=GREY, alpha=0.15, label=f"{PATIENCE} epochs without a new best")
    axes[1].plot(best + 1, accuracies[best] * 100, "o", color=RED)
    axes[1].legend()
    lesson.save(figure, "stopping.png")


if __name__ == "__main__":
    run(main)
