"""ReduceLROnPlateau against its definition, on random measures."""

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import optim


def rates(measures, patience, cooldown, factor=0.5):
    """By the definition: after `patience` epochs that are no better the rate falls; then it rests for a while."""
    rate, best, bad, rest, found = 1.0, np.inf, 0, 0, []
    for x in measures:
        better = x < best * (1 - 1e-4)
        best, bad = (x, 0) if better else (best, bad + 1)
        if rest:
            rest, bad = rest - 1, 0
        if bad > patience:
            rate, rest, bad = rate * factor if rate * (1 - factor) > 1e-8 else rate, cooldown, 0
        found.append(rate)
    return found


@pytest.mark.parametrize("patience", [0, 1, 3])
@pytest.mark.parametrize("cooldown", [0, 1, 2, 4])
def test_rates_are_those_of_the_definition(patience, cooldown):
    for seed in range(20):
        measures = np.random.default_rng(seed).uniform(size=40)
        optimizer = optim.SGD([tg.tensor([1.0], requires_grad=True)], lr=1.0)
        schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=patience, cooldown=cooldown)
        found = []
        for measure in measures:
            schedule.step(measure)
            found.append(optimizer.param_groups[0]["lr"])
        assert found == rates(measures, patience, cooldown)
