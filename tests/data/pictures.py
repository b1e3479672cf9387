"""Pictures for tests of transforms, and what moving one means."""

from __future__ import annotations

import numpy as np


def rng(seed=0):
    return np.random.default_rng(seed)


def batch(*shape, seed=0, dtype=np.float64):
    values = rng(seed).random(shape)
    return (values * 255).astype(np.uint8) if dtype == np.uint8 else values.astype(dtype)


def moved(image, down, right, fill):
    """A picture moved, by the definition."""
    result = np.full_like(image, fill)
    for row in range(image.shape[1]):
        for column in range(image.shape[2]):
            if 0 <= row - down < image.shape[1] and 0 <= column - right < image.shape[2]:
                result[:, row, column] = image[:, row - down, column - right]
    return result
