"""Lesson 32: digits, the whole way. A network of 784-30-10 learns to read handwriting; what it misreads is shown."""

import numpy as np
from _lesson import run

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim, training


def make(generator):
    """784-30-10, the last sigmoid being in the cost; weights from N(0, 1/√n), of standard deviation 1/√n."""
    network = nn.Sequential(nn.Linear(784, 30), nn.Sigmoid(), nn.Linear(30, 10))
    for layer in (network[0], network[2]):
        nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=generator)
        nn.init.zeros_(layer.bias)
    return network


def cost(z, y):
    """The cross-entropy summed over the ten outputs a = σ(z), its mean over samples."""
    return nn.functional.binary_cross_entropy_with_logits(z, y, reduction="sum") / len(y)


def accuracy(z, y):
    return tg.mean(z.argmax(axis=1) == y.argmax(axis=1))


def main(lesson):
    digits = lesson.digits(train=1400 if lesson.quick else 8000, test=397 if lesson.mnist is None else 2000)
    lesson.say(f"{len(digits.pixels)} digits to learn from, {len(digits.test_labels)} held out: {digits.source}")
    generator = tg.random.default_rng(0)
    network = make(generator)
    lesson.states("parameters of [784, 30, 10]", sum(p.size for p in network.parameters()), 23_860)

    # the labels as vectors, as in the book
    targets = nn.functional.one_hot(digits.labels, 10).astype(tg.float32)
    batches = data.DataLoader(data.TensorDataset(digits.pixels, targets), 10, shuffle=True, generator=generator)
    test_targets = nn.functional.one_hot(digits.test_labels, 10).astype(tg.float32)
    held_out = data.DataLoader(data.TensorDataset(digits.test_pixels, test_targets), 500)

    optimizer = optim.SGD(network.parameters(), lr=0.3)
    trainer = training.Trainer(network, cost, optimizer, metrics={"accuracy": accuracy})
    epochs = 10 if lesson.quick else 30
    history = trainer.fit(batches, epochs=epochs, validation=held_out, progress=False)
    accuracies = history["val_accuracy"]
    lesson.say("accuracy by epoch " + " ".join(f"{x:.1%}" for x in accuracies))
    lesson.holds(f"{accuracies[-1]:.2%} of the held-out digits are read right", accuracies[-1] > 0.92)
    lesson.save(history.plot(), "history.png")

    with tg.no_grad():
        outputs = tg.sigmoid(network(digits.test_pixels)).numpy()
    read = outputs.argmax(axis=1)
    wrong = np.flatnonzero(read != digits.test_labels)
    second = outputs.argsort(axis=1)[:, -2]
    close = np.sum(second[wrong] == digits.test_labels[wrong])
    lesson.say(f"{len(wrong)} of {len(read)} are misread")
    lesson.holds(f"for {close} of them the second largest output is the right one", close >= len(wrong) / 2)
    figure, axes = lesson.figure(columns=8, rows=2 if len(wrong) > 8 else 1, width=1.1, height=1.35)
    for panel in axes.flat:
        panel.set_axis_off()
    for panel, i in zip(axes.flat, wrong):
        panel.imshow(digits.test_pixels[i].reshape(28, 28), cmap="gray_r")
        panel.set_title(f"{digits.test_labels[i]} read as {read[i]}", fontsize=8)
    lesson.save(figure, "misread.png")

    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (digits.test_labels, read), 1)
    figure, panel = lesson.figure(width=4, height=3.6)
    panel.imshow(np.log1p(confusion), cmap="Blues")
    for i, j in np.argwhere(confusion):
        panel.text(j, i, confusion[i, j], ha="center", va="center", fontsize=7, color="white" if i == j else "black")
    panel.set(xlabel="read as", ylabel="is", xticks=range(10), yticks=range(10))
    panel.grid(visible=False)
    lesson.save(figure, "confusion.svg")

    figure, axes = lesson.figure(columns=10, rows=3, width=0.9, height=0.9)
    weights = network[0].weight.numpy()
    largest = np.quantile(np.abs(weights), 0.995)  # one weight far out would make all others pale
    for panel, row in zip(axes.flat, weights):
        image = panel.imshow(row.reshape(28, 28), cmap="RdBu", vmin=-largest, vmax=largest)
        panel.set_axis_off()
    figure.colorbar(image, ax=axes, shrink=0.8, label="weight", extend="both")
    lesson.save(figure, "hidden.png")

    network.zero_grad()
    x, y = digits.test_pixels[:10], test_targets[:10]
    z = network(x)
    C = cost(z, y)
    C.backward()
    error = tg.sigmoid(z) - y
    lesson.states(
        "the last biases' gradient is the mean of a − y", network[2].bias.grad.numpy(), error.numpy().mean(axis=0)
    )
    lesson.save(tg.draw(C), "graph.svg")


if __name__ == "__main__":
    run(main)
