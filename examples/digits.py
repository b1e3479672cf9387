"""Learn to read handwritten digits: from 1,797 pictures to a trained network, in a few seconds.

Trains a small classifier on the digits that come with scikit-learn (8×8 pixels, by 43 writers) and writes to a folder

- graph.svg: the network's computation graph, with shapes, values and gradients,
- learning_curves.png: loss and accuracy by epoch,
- misread.png: the held-out digits that the network misreads,
- network.safetensors: the trained parameters.

Run it with ``python examples/digits.py``; ``--help`` lists the settings.
"""

import argparse
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim

mpl.use("Agg")  # draw to files, also where there is no screen
import matplotlib.pyplot as plt

loss_of = nn.CrossEntropyLoss()


def load():
    """The digits in two parts: 1,438 to learn from, 359 held out; always the same, so that runs compare."""
    digits = load_digits()
    pixels = (digits.data / 16).astype(np.float32)  # 64 numbers in [0, 1]
    return data.random_split(data.TensorDataset(pixels, digits.target), [0.8, 0.2], tg.random.default_rng(0))


def make_network(generator):
    """64 pixels, 128 hidden units, 10 scores: one for each digit."""
    return nn.Sequential(
        nn.Linear(64, 128, generator=generator),
        nn.ReLU(),
        nn.Dropout(0.2, generator=generator),
        nn.Linear(128, 10, generator=generator),
    )


def train(network, train_set, test_set, epochs, generator):
    """Learn, and return loss and accuracy on both parts after each epoch."""
    optimizer = optim.Adam(network.parameters(), lr=0.003)
    batches = data.DataLoader(train_set, batch_size=32, shuffle=True, generator=generator)
    history = []
    with tqdm(total=epochs * len(batches), unit=" batches") as progress:
        for epoch in range(1, epochs + 1):
            network.train()
            for pixels, labels in batches:
                optimizer.zero_grad()
                loss = loss_of(network(pixels), labels)
                loss.backward()
                optimizer.step()
                progress.update()
            row = {"learned": evaluate(network, train_set), "held out": evaluate(network, test_set)}
            history.append(row)
            progress.write(
                f"epoch {epoch:3}   loss {row['learned'][0]:.4f}, held out {row['held out'][0]:.4f}"
                f"   accuracy {row['learned'][1]:.2%}, held out {row['held out'][1]:.2%}"
            )
    return history


@tg.no_grad()
def evaluate(network, part):
    """Mean loss, and the share of digits read right."""
    pixels, labels = part[:]
    scores = network.eval()(pixels)
    right = scores.argmax(axis=1) == labels
    return loss_of(scores, labels).item(), right.numpy().mean()


def draw_graph(network, part, path):
    """The graph of the loss on four digits, with its values and gradients."""
    pixels, labels = part[:4]
    network.eval().zero_grad()
    with tg.keep_values():  # the large ones too, for their statistics
        scores = network(pixels)
        loss = loss_of(scores, labels)
        loss.backward()
    tg.draw(loss).save(path)


def plot_curves(history, path):
    """Loss and accuracy by epoch."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    epochs = range(1, len(history) + 1)
    for part, style in (("learned", "--"), ("held out", "-")):
        losses, accuracies = zip(*(row[part] for row in history))
        axes[0].plot(epochs, losses, style, label=part)
        axes[1].plot(epochs, [100 * accuracy for accuracy in accuracies], style, label=part)
    axes[0].set(xlabel="epoch", ylabel="loss", yscale="log")
    axes[1].set(xlabel="epoch", ylabel="accuracy in %", ylim=(None, 100.5))
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


@tg.no_grad()
def plot_misread(network, part, path):
    """The held-out digits that the network misreads, with what it takes them for and how surely."""
    pixels, labels = part[:]
    chances = network.eval()(pixels).softmax(axis=1).numpy()
    read, labels = chances.argmax(axis=1), labels.numpy()
    wrong = np.flatnonzero(read != labels)[:24]
    columns = max(1, min(6, len(wrong)))
    rows = max(1, -(-len(wrong) // columns))
    figure, axes = plt.subplots(
        rows, columns, figsize=(max(4, 1.5 * columns), 1.9 * rows + 0.4), squeeze=False, layout="constrained"
    )
    figure.suptitle(f"{np.sum(read != labels)} of {len(labels)} held-out digits misread")
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, i in zip(axes.flat, wrong):
        axis.imshow(pixels.numpy()[i].reshape(8, 8), cmap="gray_r")
        axis.set_title(f"is {labels[i]}\nread as {read[i]} ({chances[i, read[i]]:.0%})", fontsize=9)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments=None):
    """Train, report, draw; returns the accuracy on held-out digits."""
    parser = argparse.ArgumentParser(description="Learn to read handwritten digits.")
    parser.add_argument("--epochs", type=int, default=30, help="passes through the digits (default: 30)")
    parser.add_argument("--out", type=Path, default=Path("digits"), help="folder for the results (default: digits)")
    parser.add_argument("--seed", type=int, default=0, help="for first weights, order and dropout (default: 0)")
    settings = parser.parse_args(arguments)
    if settings.epochs < 1:
        parser.error("--epochs must be at least 1")
    started = time.perf_counter()

    generator = tg.random.default_rng(settings.seed)
    train_set, test_set = load()
    network = make_network(generator)
    print(network)
    history = train(network, train_set, test_set, settings.epochs, generator)
    accuracy = history[-1]["held out"][1]

    settings.out.mkdir(parents=True, exist_ok=True)
    graph, curves, misread, parameters = (
        settings.out / name for name in ("graph.svg", "learning_curves.png", "misread.png", "network.safetensors")
    )
    draw_graph(network, test_set, graph)
    plot_curves(history, curves)
    plot_misread(network, test_set, misread)
    tg.save(network.state_dict(), parameters)

    print(f"{accuracy:.2%} of {len(test_set)} held-out digits read right, after {time.perf_counter() - started:.1f} s")
    print(f"computation graph   {graph}")
    print(f"learning curves     {curves}")
    print(f"misread digits      {misread}")
    print(f"parameters          {parameters}")
    return accuracy


if __name__ == "__main__":
    main()
