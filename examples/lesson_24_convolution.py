"""Lesson 24: convolution. A window of weights slides over the picture: 28×28 with a 5×5 window gives 24×24."""

import numpy as np
from _lesson import run

import tinygrad_nn as tg
from tinygrad_nn import nn

F = nn.functional


def by_loops(picture, window, bias):
    """The definition: picture (C, H, W) and window (C, k, k); the channels are summed."""
    k = window.shape[-1]
    _, height, width = picture.shape
    out = np.empty((height - k + 1, width - k + 1))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = np.sum(window * picture[:, i : i + k, j : j + k]) + bias
    return out


def count(module):
    return sum(p.size for p in module.parameters())


def main(lesson):
    random = np.random.default_rng(0)
    digit = lesson.digits(train=1).pixels.reshape(1, 1, 28, 28)

    layer = nn.Conv2d(1, 20, kernel_size=5)
    out = layer(digit)
    lesson.states("28×28 with a 5×5 window, 20 filters", out.shape, (1, 20, 24, 24))
    weight, bias = layer.weight.numpy(), layer.bias.numpy()
    expected = by_loops(digit[0], weight[7], bias[7])
    lesson.holds("equal to the loops of the definition", np.allclose(out.numpy()[0, 7], expected, rtol=0, atol=1e-5))

    # shared weights: each filter has 25 weights and a bias, wherever it looks
    lesson.states("parameters of 20 shared 5×5 windows, 20·(25 + 1)", count(layer), 520)
    lesson.states("of a full layer from 784 inputs to 30 units", count(nn.Linear(784, 30)), 23_550)
    full = 784 * (20 * 24 * 24) + 20 * 24 * 24
    lesson.states("of a full layer to as many units, 784·11,520 + 11,520", full, 9_043_200)

    # three channels are summed: one window has a slice of weights for each
    colours = random.standard_normal((1, 3, 6, 6))
    window = random.standard_normal((1, 3, 3, 3))
    summed = F.conv2d(colours, window)
    each = [F.conv2d(colours[:, c : c + 1], window[:, c : c + 1]) for c in range(3)]
    lesson.states("three channels of 6×6, a 3×3×3 window", summed.shape, (1, 1, 4, 4))
    lesson.holds("is the sum over the channels", np.allclose(summed, sum(each), rtol=0, atol=1e-12))

    # stride and padding: ⌊(n + 2p − f)/s⌋ + 1
    picture, window = np.ones((1, 1, 7, 7)), np.ones((1, 1, 3, 3))
    lesson.states("7×7, window 3×3, stride 2", F.conv2d(picture, window, stride=2).shape[2:], (3, 3))
    lesson.states("padding 'valid'", F.conv2d(picture, window, padding="valid").shape[2:], (5, 5))
    lesson.states("padding 'same'", F.conv2d(picture, window, padding="same").shape[2:], (7, 7))
    for n, f, p, s in ((28, 5, 0, 1), (28, 5, 2, 1), (7, 3, 1, 2), (39, 3, 0, 1), (37, 5, 0, 2)):
        made = F.conv2d(np.ones((1, 1, n, n)), np.ones((1, 1, f, f)), stride=s, padding=p)
        lesson.states(
            f"n = {n}, f = {f}, p = {p}, s = {s}: ⌊(n + 2p − f)/s⌋ + 1", made.shape[2], (n + 2 * p - f) // s + 1
        )

    # an edge detector, written down instead of learned
    vertical = np.array([[1.0, 0.0, -1.0]] * 3).reshape(1, 1, 3, 3)
    half = np.zeros((1, 1, 6, 6))
    half[..., :3] = 10
    edges = F.conv2d(half, vertical)
    lesson.states("an edge between 10 and 0, seen by [1, 0, −1]", edges[0, 0, 0], [0, 30, 30, 0])
    windows = {"digit": None, "vertical edges": vertical, "horizontal edges": vertical.swapaxes(2, 3)}
    figure, axes = lesson.figure(columns=3, width=3, height=2.6)
    for panel, (name, window) in zip(axes, windows.items()):
        seen = digit if window is None else F.conv2d(digit, window)
        largest = np.abs(seen).max()
        colours = {"cmap": "gray_r"} if window is None else {"cmap": "RdBu", "vmin": -largest, "vmax": largest}
        image = panel.imshow(seen[0, 0], **colours)
        figure.colorbar(image, ax=panel, shrink=0.7)
        panel.set(title=name)
        panel.grid(visible=False)
    lesson.save(figure, "edges.png")

    # drawn without the axes for samples and channels, so that cards show the numbers
    x = tg.tensor(random.standard_normal((4, 4)).round(1), requires_grad=True, name="picture")
    w = tg.tensor(random.standard_normal((3, 3)).round(1), requires_grad=True, name="window")
    z = F.conv2d(x.reshape(1, 1, 4, 4), w.reshape(1, 1, 3, 3)).reshape(2, 2)
    J = tg.sum(z**2)
    J.backward()
    places = [(i, j, x.numpy()[i : i + 3, j : j + 3]) for i in range(2) for j in range(2)]
    shares = sum(2 * z[i, j].item() * seen for i, j, seen in places)
    lesson.states("∂J/∂w is the sum over all places that share w", w.grad.numpy(), shares, within=1e-12)
    lesson.save(tg.draw(J), "graph.svg")


if __name__ == "__main__":
    run(main)
