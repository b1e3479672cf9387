"""Lesson 7: pictures as vectors. A file of 64×64×3 numbers is a column of n_x = 12,288; from many one learns."""

import numpy as np
from _lesson import run
from sklearn.datasets import load_sample_images

import tinygrad_nn as tg
from tinygrad_nn import data


def cut(lesson, count):
    """Cut windows of 64×64 out of two photographs, a temple and a flower, and save each as a file of its class.

    The left of each photograph is for learning, the right for testing, so that no pixel is in both.
    """
    random = np.random.default_rng(0)
    for photograph, name in zip(load_sample_images().images, ("temple", "flower")):
        height, width, _ = photograph.shape
        for part, left, right in (("learn", 0, width // 2), ("test", width // 2, width)):
            folder = lesson.out / "pictures" / part / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                y, x = random.integers(0, height - 64), random.integers(left, right - 64)
                window = photograph[y : y + 64, x : x + 64] / 255
                data.save_image(window.transpose(2, 0, 1), folder / f"{number:03}.png")


def columns(folder):
    """All pictures of a folder as X of shape (12288, m), and their labels as Y of shape (1, m)."""
    pictures, labels = data.ImageFolder(folder)[:]
    m = len(labels)
    return pictures.numpy().reshape(m, -1).T, labels.numpy().reshape(1, m), pictures.numpy()


def cost(w, b, X, Y):
    z = w.T @ X + b
    return tg.mean(tg.softplus(z) - Y * z)  # logistic regression's cross-entropy, from z


def main(lesson):
    cut(lesson, count=15 if lesson.quick else 60)
    file = lesson.out / "pictures/learn/flower/000.png"
    picture = data.read_image(file, channels_last=True)
    lesson.states("a picture file as numbers", picture.shape, (64, 64, 3))
    x = data.read_image(file, flatten=True).reshape(-1, 1)
    lesson.states("as a column", x.shape, (12288, 1))
    lesson.states("n_x = 64·64·3", picture.size, 12288)
    lesson.holds(
        "the first 4,096 of its numbers are the red ones", np.array_equal(x[:4096, 0], picture[..., 0].ravel())
    )

    X, Y, pictures = columns(lesson.out / "pictures/learn")
    X_test, Y_test, _ = columns(lesson.out / "pictures/test")
    m = X.shape[1]
    lesson.states("m pictures as X, of shape (n_x, m)", X.shape, (12288, m))

    mean = X.mean(axis=1, keepdims=True)
    w, b = np.zeros((12288, 1), np.float32), np.float32(0)
    cost_and_slope = tg.value_and_grad(cost, argnums=(0, 1))
    costs, rate = [], 0.005
    for _ in range(100 if lesson.quick else 400):
        J, (dw, db) = cost_and_slope(w, b, X - mean, Y)
        costs.append(float(J))
        w, b = w - rate * dw, b - rate * db
    right, right_test = (np.mean((w.T @ (x - mean) + b > 0) == (y == 1)) for x, y in ((X, Y), (X_test, Y_test)))
    lesson.say(
        f"cost {costs[0]:.3f} → {costs[-1]:.3f}; right: {right:.1%} learned from, {right_test:.1%} of the others"
    )
    lesson.holds("it tells the temple from the flower in most windows that it has not seen", right_test > 0.7)

    figure, axes = lesson.figure(columns=8, width=1.3, height=1.6)
    # three windows of each, with much to see in them: others are sky, or leaves in the dark
    by_contrast = np.argsort(pictures.std(axis=(1, 2, 3)))[::-1]
    shown = [i for label in (0, 1) for i in by_contrast[Y[0, by_contrast] == label][: m // 8 : m // 20]]
    for panel, i in zip(axes[:6], shown):
        panel.imshow(pictures[i].transpose(1, 2, 0))
        panel.set_title("temple" if Y[0, i] else "flower", fontsize=9)
    weights = w.reshape(3, 64, 64).transpose(1, 2, 0)
    axes[6].imshow(np.clip(0.5 + weights / (6 * weights.std()), 0, 1))
    axes[6].set_title("w", fontsize=9)
    axes[7].plot(costs)
    axes[7].set_title("cost", fontsize=9)
    axes[7].set_xlabel("step", fontsize=9)
    for panel in axes[:7]:
        panel.set_axis_off()
    lesson.save(figure, "pictures.png")


if __name__ == "__main__":
    run(main)
