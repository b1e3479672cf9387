"""Run the lessons and keep what they print and draw for their pages: ``python docs/regenerate_lessons.py [NN ...]``.

Without numbers, all of them. Figures go to ``lessons/images/NN``, what is printed to ``lessons/output/NN.txt``. Further
arguments, such as ``--mnist FOLDER``, are passed on to each lesson.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs/lessons"


def regenerate(example: Path, arguments: list[str]) -> float:
    """Run one lesson, keep its results, and tell how many seconds it took."""
    number = example.stem.split("_")[1]
    images, output = PAGES / "images" / number, PAGES / "output" / f"{number}.txt"
    shutil.rmtree(images, ignore_errors=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example), "--out", str(images), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{example.name} failed:\n{done.stdout}{done.stderr}")
    default = f"lessons/{example.stem.removeprefix('lesson_')}"
    text = re.sub(r"[ \t]+$", "", done.stdout.replace(str(images), default), flags=re.MULTILINE)
    output.write_text(text, encoding="utf-8")
    for path in images.glob("*.png"):
        _shrink(path)
    for folder in [path for path in images.iterdir() if path.is_dir()]:
        shutil.rmtree(folder)  # what a lesson works on is no figure
    return time.perf_counter() - began


def _shrink(path: Path) -> None:
    """Save a picture with 200 colours, which is a third of the bytes and looks the same."""
    from PIL import Image

    Image.open(path).convert("RGB").quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Regenerate the lessons named on the command line."""
    numbers = [x for x in sys.argv[1:] if re.fullmatch(r"\d\d", x)]
    arguments = [x for x in sys.argv[1:] if x not in numbers]
    for example in sorted((ROOT / "examples").glob("lesson_*.py")):
        if not numbers or example.stem.split("_")[1] in numbers:
            print(f"{regenerate(example, arguments):6.1f} s   {example.name}")


if __name__ == "__main__":
    main()
