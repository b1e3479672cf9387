"""The example that the README's first command runs: it learns, and writes what it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import tinygrad_nn as tg

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits.py"


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("digits_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_digits_are_learned_and_drawn(digits, tmp_path, capsys):
    out = tmp_path / "results"
    accuracy = digits.main(["--out", str(out)])
    assert accuracy >= 0.97
    said = capsys.readouterr().out
    assert f"{accuracy:.2%} of 359 held-out digits" in said
    for name in ("graph.svg", "learning_curves.png", "misread.png", "network.safetensors"):
        assert str(out / name) in said
        assert (out / name).stat().st_size > 1000
    graph = (out / "graph.svg").read_text()
    for text in ("network.0.weight", "pixels", "labels", "loss", "Sequential", "relu"):
        assert text in graph
    network = digits.make_network(np.random.default_rng(1))
    network.load_state_dict(tg.load(out / "network.safetensors"))
    assert digits.evaluate(network, digits.load()[1])[1] == accuracy


def test_a_seed_gives_the_same_run(digits, tmp_path, capsys):
    settings = ["--epochs", "1", "--seed", "7", "--out", str(tmp_path)]
    first = digits.main(settings), (tmp_path / "network.safetensors").read_bytes()
    again = digits.main(settings), (tmp_path / "network.safetensors").read_bytes()
    assert first == again
    with pytest.raises(SystemExit):
        digits.main(["--epochs", "0"])
