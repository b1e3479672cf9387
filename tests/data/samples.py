"""Datasets for tests of loaders, and what comes of a pass."""

from __future__ import annotations

import functools
import multiprocessing
import random

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import data

METHODS = multiprocessing.get_all_start_methods()


def needs_fork(test):
    """For tests of processes that are copies of this one."""
    # Where tests before this one have loaded JAX, it warns of every fork; the copies here do not use it.
    test = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")(test)
    return pytest.mark.skipif("fork" not in METHODS, reason="processes are no copies here")(test)


def copies(dataset, *args, **settings):
    """A loader with worker processes that are started quickly."""
    return data.DataLoader(dataset, *args, **{"num_workers": 2, "multiprocessing_context": "fork", **settings})


def rng(seed=0):
    return np.random.default_rng(seed)


class Numbers(data.Dataset):
    """Sample i is i."""

    def __init__(self, count=10):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return index


def draw_from(generator):
    return generator.random()


class Drawn(Numbers):
    """Samples by chance, from every source there is."""

    def __init__(self, count=10, generator=None):
        super().__init__(count)
        self.tools = {"own": generator or rng(7)}
        self.hidden = functools.partial(draw_from, tg.random.default_rng(8))

    def __getitem__(self, index):
        own = self.tools["own"].random()
        return index, float(tg.random.random()), own, self.hidden(), random.random(), np.random.rand()  # noqa: NPY002


def lists(batches):
    return [
        [part.tolist() for part in batch] if isinstance(batch, list | tuple) else batch.tolist() for batch in batches
    ]
