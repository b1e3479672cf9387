"""Lesson 25: pooling. Of each 2×2 window one number is kept, its maximum, mean or L2 norm: 24×24 → 12×12."""

import numpy as np
from _lesson import GREY, run

import tinygrad_nn as tg
from tinygrad_nn import nn

POOLS = {"max": nn.MaxPool2d(2), "average": nn.AvgPool2d(2), "L2": nn.LPPool2d(2, 2)}
#: The same on the windows of a picture of shape (…, H/2, 2, W/2, 2).
DEFINITIONS = {
    "max": lambda w: w.max(axis=(-3, -1)),
    "average": lambda w: w.mean(axis=(-3, -1)),
    "L2": lambda w: np.sqrt((w**2).sum(axis=(-3, -1))),
}


def show(panel, numbers, title, **colours):
    """Numbers in their places, and lines between the windows of 2×2."""
    panel.imshow(numbers, **colours)
    for (i, j), number in np.ndenumerate(numbers):
        panel.text(j, i, f"{number:.3g}", ha="center", va="center")
    for between in (-0.5, 1.5, 3.5):
        panel.axhline(between, color=GREY)
        panel.axvline(between, color=GREY)
    panel.set(title=title, xlim=(-0.5, 3.5), ylim=(3.5, -0.5))
    panel.set_axis_off()


def main(lesson):
    maps = np.random.default_rng(0).standard_normal((1, 20, 24, 24))
    windows = maps.reshape(1, 20, 12, 2, 12, 2)
    for name, pool in POOLS.items():
        found = np.asarray(pool(maps))
        lesson.states(f"{name} pooling of 20 maps of 24×24", found.shape, (1, 20, 12, 12))
        lesson.holds("  equal to its definition", np.allclose(found, DEFINITIONS[name](windows), rtol=0, atol=1e-12))
    lesson.states("parameters to learn", sum(p.size for pool in POOLS.values() for p in pool.parameters()), 0)

    numbers = np.array([[1.0, 3.0, 2.0, 1.0], [2.0, 9.0, 1.0, 1.0], [1.0, 3.0, 2.0, 3.0], [5.0, 6.0, 1.0, 2.0]])
    picture = numbers.reshape(1, 1, 4, 4)
    lesson.states("max of the course's 4×4", np.asarray(POOLS["max"](picture))[0, 0], [[9, 2], [6, 3]])
    lesson.states("average of it", np.asarray(POOLS["average"](picture))[0, 0], [[3.75, 1.25], [3.75, 2]])

    # where the gradient goes: to the largest, to all alike, to each by its share
    x = tg.tensor(picture, requires_grad=True)
    gradients = {}
    for name, pool in POOLS.items():
        x.grad = None
        pool(x).sum().backward()
        gradients[name] = x.grad.numpy()[0, 0]
    lesson.states("gradient of max, upper left window", gradients["max"][:2, :2], [[0, 0], [0, 1]])
    lesson.states("gradient of average, everywhere", gradients["average"], np.full((4, 4), 0.25))
    window = numbers[:2, :2]
    lesson.states(
        "gradient of L2, upper left: x/‖x‖", gradients["L2"][:2, :2], window / np.linalg.norm(window), within=1e-12
    )
    ties = tg.tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    POOLS["max"](ties).sum().backward()
    lesson.states(
        "four equal numbers share the gradient of their maximum", ties.grad.numpy()[0, 0], np.full((2, 2), 0.25)
    )

    figure, axes = lesson.figure(columns=4, width=2.3, height=2.5)
    digit = lesson.digits(train=1).pixels.reshape(1, 1, 28, 28)
    for panel, (name, picture) in zip(axes, [("28×28", digit)] + [(n, np.asarray(p(digit))) for n, p in POOLS.items()]):
        panel.imshow(picture[0, 0], cmap="gray_r")
        panel.set(title=name if "×" in name else f"{name}: 14×14")
        panel.grid(visible=False)
    lesson.save(figure, "pooled.png")

    figure, axes = lesson.figure(columns=4, width=2.3, height=2.5)
    show(axes[0], numbers, "numbers", cmap="Blues", vmin=0, vmax=18)
    for panel, (name, gradient) in zip(axes[1:], gradients.items()):
        show(panel, gradient, f"gradient of {name}", cmap="Reds", vmin=0, vmax=1.5)
    lesson.save(figure, "gradients.svg")

    # drawn without the axes for samples and channels, so that cards show the numbers
    x = tg.tensor(numbers[:2], requires_grad=True, name="x")
    pooled = POOLS["max"](x.reshape(1, 1, 2, 4)).reshape(1, 2)
    J = pooled.sum()
    J.backward()
    lesson.save(tg.draw(J), "graph.svg")


if __name__ == "__main__":
    run(main)
