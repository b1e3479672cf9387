"""Lesson 26: a convolutional network on digits: (convolution → ReLU) × 2 → pooling → full layers; its filters."""

import numpy as np
from _lesson import run

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim, training


def make(generator):
    return nn.Sequential(
        nn.Conv2d(1, 10, 5, generator=generator),  # 28×28 → 24×24
        nn.ReLU(),
        nn.Conv2d(10, 10, 5, generator=generator),  # → 20×20
        nn.ReLU(),
        nn.MaxPool2d(2),  # → 10×10
        nn.Flatten(),
        nn.Linear(10 * 10 * 10, 100, generator=generator),
        nn.ReLU(),
        nn.Linear(100, 10, generator=generator),
    )


def main(lesson):
    digits = lesson.digits(train=320 if lesson.quick else 4000)
    pictures = digits.pixels.reshape(-1, 1, 28, 28)
    test_pictures = digits.test_pixels.reshape(-1, 1, 28, 28)
    lesson.say(f"{len(pictures)} digits to learn from, {len(test_pictures)} held out: {digits.source}")
    generator = tg.random.default_rng(0)
    network = make(generator)
    lesson.say(repr(network))
    lesson.states("parameters", sum(p.size for p in network.parameters()), 260 + 2_510 + 100_100 + 1_010)

    trainer = training.Trainer(
        network,
        nn.CrossEntropyLoss(),
        optim.Adam(network.parameters(), lr=0.002),
        metrics={"accuracy": training.accuracy},
    )
    batches = data.DataLoader(data.TensorDataset(pictures, digits.labels), 16, shuffle=True, generator=generator)
    held_out = data.DataLoader(data.TensorDataset(test_pictures, digits.test_labels), 200)
    history = trainer.fit(batches, epochs=3 if lesson.quick else 6, validation=held_out, progress=False)
    accuracy = trainer.evaluate(held_out)["accuracy"]
    lesson.holds(f"{accuracy:.1%} of held-out digits are read right", accuracy > (0.8 if lesson.quick else 0.96))
    lesson.save(history.plot(), "history.png")

    with tg.no_grad():
        filters = network[0].weight.numpy()[:, 0]
        first = network[:2](test_pictures[:1])
        second = network[2:4](first)
        pooled = network[4](second)
    largest = np.abs(filters).max()
    rows = {
        "the first layer's 10 filters of 5×5: blue above 0, red below": (filters, "RdBu", -largest, largest),
        "their maps of a digit, 24×24, after ReLU": (first.numpy()[0], "gray_r", 0, first.max().item()),
        "the second layer's maps, 20×20, after ReLU": (second.numpy()[0], "gray_r", 0, second.max().item()),
        "pooled, 10×10": (pooled.numpy()[0], "gray_r", 0, second.max().item()),
    }
    figure, axes = lesson.figure(columns=10, rows=4, width=0.9, height=1.2)
    for row, (title, (pictures, colours, lowest, highest)) in zip(axes, rows.items()):
        for panel, picture in zip(row, pictures):
            panel.imshow(picture, cmap=colours, vmin=lowest, vmax=highest)
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(True)
        row[0].text(0, 1.08, title, fontsize=8, transform=row[0].transAxes).set_in_layout(False)
    lesson.save(figure, "filters.png")

    network.eval()
    loss = nn.functional.cross_entropy(network(test_pictures[:2]), digits.test_labels[:2])
    loss.backward()
    lesson.save(tg.draw(loss, depth=1), "graph.svg")


if __name__ == "__main__":
    run(main)
