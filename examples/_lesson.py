"""What the lessons share: their settings, where their figures go, how they state numbers, and the digits they read.

A lesson is a file with a function ``main(lesson)``. `Lesson.states` prints a number and raises if it is not what the
lesson says; `Lesson.save` keeps a figure or a drawing in the folder of results.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np

mpl.use("Agg")  # draw to files, also where there is no screen
import matplotlib.pyplot as plt

#: The colours of the drawings: values go forward in blue, gradients back in red; what is neither is grey.
BLUE, RED, GREEN, GREY = "#1f5fa8", "#c0392b", "#2e8b57", "#808080"

plt.rcParams.update(
    {
        "axes.prop_cycle": mpl.cycler(color=[BLUE, RED, GREEN, "#b8860b", "#7d3c98", GREY]),
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.3,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
        "savefig.dpi": 110,
        "svg.fonttype": "none",
        "svg.hashsalt": "lesson",  # the same file from the same figure
    }
)


class Digits(NamedTuple):
    """Handwritten digits: pixels in [0, 1], shape (n, 784) in float32, and labels; to learn from, and held out."""

    pixels: np.ndarray
    labels: np.ndarray
    test_pixels: np.ndarray
    test_labels: np.ndarray
    #: Where they come from.
    source: str

    def mislabelled(self) -> Digits:
        """The same, but of what is learned from 15 % has labels by chance, as real data may: what one can overfit."""
        random = np.random.default_rng(5)
        labels = self.labels.copy()
        wrong = random.random(len(labels)) < 0.15
        labels[wrong] = random.integers(0, 10, wrong.sum())
        return self._replace(labels=labels)


class Lesson:
    """A run of a lesson: its settings, and what it has stated and saved.

    Attributes
    ----------
    quick : bool
        Whether to do little work, as the tests do. The numbers that the lesson states hold all the same.
    """

    def __init__(self, name: str, out: Path, quick: bool, mnist: str | None) -> None:
        self.name = name
        self.out = out
        self.quick = quick
        self.mnist = mnist
        self.stated = 0
        self.saved: list[str] = []
        self.began = time.perf_counter()

    def say(self, text: str = "") -> None:
        """Print a line."""
        print(text)

    def states(self, what: str, found: Any, expected: Any, within: float = 1e-6) -> None:
        """Print what was found, and raise if it is not what the lesson says: equal within `within`, or else true.

        `expected` is a number or an array; the difference allowed is `within`·max(1, |expected|).
        """
        same_shape = np.shape(found) == np.shape(expected)
        if not same_shape or not np.all(_distance(found, expected) <= within * np.maximum(1, np.abs(expected))):
            raise AssertionError(f"{what}: {_apart(found, expected)}")
        self.stated += 1
        nearly = "" if np.allclose(found, expected, rtol=1e-4, atol=1e-9) else f"   (the lesson: {_number(expected)})"
        print(f"  ✓ {what}: {_number(found)}{nearly}")

    def holds(self, what: str, condition: Any) -> None:
        """Print a statement of the lesson's, and raise if it does not hold."""
        if not bool(condition):
            raise AssertionError(f"does not hold: {what}")
        self.stated += 1
        print(f"  ✓ {what}")

    def figure(self, columns: int = 1, rows: int = 1, width: float = 4.2, height: float = 3.2, **kwargs: Any) -> Any:
        """A figure and its axes, one for each panel."""
        return plt.subplots(rows, columns, figsize=(width * columns, height * rows), **kwargs)

    def save(self, picture: Any, name: str) -> Path:
        """Keep a figure of matplotlib's or a drawing of a graph as a file of that name."""
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / name
        if hasattr(picture, "savefig"):
            picture.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
            plt.close(picture)
        else:
            picture.save(path)
        self.saved.append(name)
        return path

    def digits(self, train: int = 1400, test: int = 397) -> Digits:
        """Handwritten digits of 28×28 pixels.

        They are those of scikit-learn, 1,797 pictures of 8×8 pixels enlarged to 20×20 in a frame of 28×28, or, with
        ``--mnist FOLDER``, those of MNIST. `train` and `test` say how many at most.
        """
        pixels, labels, source = _mnist(self.mnist) if self.mnist else _enlarged()
        order = np.random.default_rng(0).permutation(len(pixels))
        kept, held = order[:-test][:train], order[-test:]
        return Digits(pixels[kept], labels[kept], pixels[held], labels[held], source)


def run(main: Any, arguments: list[str] | None = None) -> Any:
    """Run a lesson from the command line; returns what its `main` returns."""
    module = sys.modules[main.__module__]
    name = Path(module.__file__ or "lesson").stem.removeprefix("lesson_")
    text = (module.__doc__ or "").strip()
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("lessons", name), help=f"folder for the figures (default: lessons/{name})"
    )
    parser.add_argument("--quick", action="store_true", help="do little work: fewer samples and epochs")
    parser.add_argument(
        "--mnist",
        metavar="FOLDER",
        default=os.environ.get("MNIST"),
        help="read MNIST's files from this folder instead of scikit-learn's digits, in lessons on digits "
        "(default: the environment variable MNIST)",
    )
    settings = parser.parse_args(arguments)
    lesson = Lesson(name, settings.out, settings.quick, settings.mnist)
    print(text.splitlines()[0])
    result = main(lesson)
    figures = f"; figures in {lesson.out}: {', '.join(lesson.saved)}" if lesson.saved else ""
    print(f"{lesson.stated} statements hold{figures}")
    return result


def _number(x: Any) -> str:
    """Numbers as one reads them."""
    if isinstance(x, tuple):
        return str(x)
    x = np.asarray(x)
    if x.ndim:
        return np.array2string(x, precision=4, suppress_small=True, threshold=8, separator=", ").replace("\n", "")
    return f"{x.item():,}" if x.dtype.kind in "iu" else f"{x.item():.6g}" if x.dtype.kind == "f" else str(x.item())


def _distance(found: Any, expected: Any) -> np.ndarray:
    return np.abs(np.subtract(found, expected))


def _apart(found: Any, expected: Any) -> str:
    """Two numbers that should be the same: with all their digits, where fewer do not tell them apart."""
    if _number(found) != _number(expected):
        return f"{_number(found)}; the lesson says {_number(expected)}"
    if np.ndim(found):  # the numbers that are furthest apart
        worst = _distance(found, expected).argmax()
        return f"at {worst}: {_apart(np.ravel(found)[worst], np.ravel(expected)[worst])}"
    return f"{np.asarray(found).item()!r}; the lesson says {np.asarray(expected).item()!r}"


def _enlarged() -> tuple[np.ndarray, np.ndarray, str]:
    """scikit-learn's digits, enlarged from 8×8 pixels to 20×20 and framed to 28×28, as MNIST's are."""
    from PIL import Image
    from sklearn.datasets import load_digits

    found = load_digits()
    pictures = np.zeros((len(found.images), 28, 28), np.float32)
    for picture, small in zip(pictures, found.images.astype(np.float32)):
        picture[4:24, 4:24] = Image.fromarray(small / 16).resize((20, 20), Image.Resampling.BILINEAR)
    return pictures.reshape(-1, 784), found.target, "scikit-learn's digits, enlarged to 28×28 pixels"


def _mnist(folder: str) -> tuple[np.ndarray, np.ndarray, str]:
    """MNIST's digits, those of the training files if they are there."""
    from tinygrad_nn import data

    pixels, labels = (x.numpy() for x in data.mnist(folder)[:])
    return pixels.reshape(len(pixels), 784), labels, f"MNIST, {len(pixels):,} digits"


__all__ = ["BLUE", "GREEN", "GREY", "RED", "Digits", "Lesson", "plt", "run"]
