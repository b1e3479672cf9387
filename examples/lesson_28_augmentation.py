"""Lesson 28: augmentation. A small training set is enlarged by turning and shifting what it holds: more for nothing."""

import numpy as np
from _lesson import BLUE, GREY, run

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim
from tinygrad_nn.data import transforms


def rotation(seed):
    return transforms.RandomRotation(15, generator=tg.random.default_rng(seed))


def shift(seed):
    return transforms.RandomShift(2, generator=tg.random.default_rng(seed))


def flip(seed):
    return transforms.RandomHorizontalFlip(p=0.5, generator=tg.random.default_rng(seed))


def both(seed):
    return transforms.Compose([rotation(seed), shift(seed)])


WAYS = {"rotation, up to 15°": rotation, "shift, up to 2 pixels": shift, "rotation and shift": both, "flip": flip}


def train(samples, steps, seed):
    """A network that has learned from `samples`, after as many steps for all."""
    generator = tg.random.default_rng(seed)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 100, generator=generator), nn.ReLU(), nn.Linear(100, 10, generator=generator)
    )
    optimizer = optim.Adam(network.parameters(), lr=0.001)

    @tg.compile
    def step(x, y):
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    batches = data.DataLoader(samples, batch_size=20, shuffle=True, drop_last=True, generator=generator)
    done = 0
    while done < steps:
        for x, y in batches:
            step(x, y)
            done += 1
    return network


@tg.no_grad()
def accuracy(network, pictures, labels):
    return 100 * np.mean(network(pictures).numpy().argmax(axis=1) == labels)


def exact(lesson, few):
    """What the transforms do to a picture."""
    first = few.tensors[0].numpy()[:1]
    turned = transforms.RandomRotation((90, 90))(first)
    lesson.holds("a turn by 90° is exact", np.array_equal(turned[0, 0], np.rot90(first[0, 0])))
    flipped = transforms.RandomHorizontalFlip(p=1)(first)
    lesson.holds("a flip is the picture from right to left", np.array_equal(flipped[0, 0], first[0, 0, :, ::-1]))
    once, again = (data.augment(few, shift(1), copies=1).tensors[0] for _ in range(2))
    lesson.holds("the same seed makes the same pictures", np.array_equal(once, again))


def main(lesson):
    digits = lesson.digits(train=60)
    few = data.TensorDataset(digits.pixels.reshape(-1, 1, 28, 28), digits.labels)
    upright = digits.test_pixels.reshape(-1, 1, 28, 28)
    moved = np.asarray(both(7)(upright))  # held-out digits as they come when paper lies askew
    lesson.say(f"{len(few)} digits to learn from, {len(upright)} held out: {digits.source}")
    exact(lesson, few)
    sets = {"as it is": few} | {name: data.augment(few, way(1), copies=9) for name, way in WAYS.items()}
    lesson.states("samples after nine copies of each", len(sets["flip"]), 600)

    steps, starts = (400, 1) if lesson.quick else (1500, 3)
    found = {}
    for name, samples in sets.items():
        networks = [train(samples, steps, seed) for seed in range(starts)]
        found[name] = [np.mean([accuracy(n, x, digits.test_labels) for n in networks]) for x in (upright, moved)]
        lesson.say(
            f"{name}: {found[name][0]:.1f}% of held-out digits right, {found[name][1]:.1f}% of turned and shifted ones"
        )
    plain, more = found["as it is"], found["rotation and shift"]
    lesson.holds(
        f"of turned and shifted digits, such copies bring {more[1] - plain[1]:.1f} points", more[1] > plain[1] + 5
    )
    lesson.holds(f"flipped copies cost {plain[0] - found['flip'][0]:.1f} points of the others: a flipped 2 is no 2",
                 found["flip"][0] < plain[0] - 2)  # fmt: skip

    figure, axes = lesson.figure(columns=8, rows=4, width=1.1, height=1.3)
    for row, (name, samples) in zip(axes, list(sets.items())[1:]):
        for column, panel in enumerate(row):
            panel.imshow(samples.tensors[0].numpy()[column * len(few) + 3, 0], cmap="gray_r")
            panel.set_axis_off()
        title = f"{name}: the original, and copies"
        row[0].text(0, 1.0, title, fontsize=8, transform=row[0].transAxes).set_in_layout(False)
    lesson.save(figure, "copies.png")
    figure, panel = lesson.figure(width=6.4, height=3)
    places = np.arange(len(found))
    for offset, kind, color in ((-0.2, "as they are", GREY), (0.2, "turned and shifted", BLUE)):
        right = [accuracies[offset > 0] for accuracies in found.values()]
        bars = panel.barh(places + offset, right, height=0.38, color=color, label=f"held-out digits {kind}")
        panel.bar_label(bars, fmt="%.1f", padding=3)
    panel.set(xlabel="right, %", xlim=(0, 100), yticks=places, yticklabels=list(found))
    panel.invert_yaxis()
    figure.legend(loc="outside upper right", ncols=2)
    lesson.save(figure, "accuracy.svg")


if __name__ == "__main__":
    run(main)
