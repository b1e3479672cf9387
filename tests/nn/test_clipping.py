"""Clipping of gradients, in ordinary and in compiled code."""

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn


def clipped(gradients, compiled, max_norm, **settings):
    """Gradients after clipping, and the norm that it gives."""
    parameters = [nn.Parameter(tg.tensor(np.zeros(len(g)))) for g in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = tg.tensor(g)

    def clip():
        return nn.utils.clip_grad_norm_(parameters, max_norm, **settings)

    norm = tg.compile(clip)() if compiled else clip()
    return [p.grad.numpy() for p in parameters], norm.item()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("norm_type", [1.0, 2.0, np.inf])
def test_small_gradients_stay_as_they_are(compiled, norm_type):
    gradients = [np.array([0.3, -0.2]), np.array([0.1])]
    found, norm = clipped(gradients, compiled, 10.0, norm_type=norm_type)
    for x, y in zip(found, gradients, strict=True):
        np.testing.assert_array_equal(x, y)
    assert norm == pytest.approx(np.linalg.norm(np.concatenate(gradients), norm_type))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("norm_type", [1.0, 2.0, np.inf])
def test_large_ones_are_scaled_to_the_norm(compiled, norm_type):
    found, norm = clipped([np.array([3.0, -4.0]), np.array([12.0])], compiled, 2.0, norm_type=norm_type)
    assert norm == pytest.approx(np.linalg.norm([3.0, -4.0, 12.0], norm_type))
    np.testing.assert_allclose(np.linalg.norm(np.concatenate(found), norm_type), 2.0, rtol=1e-5)
    np.testing.assert_allclose(found[0] / found[1], [0.25, -1 / 3])


@pytest.mark.parametrize("compiled", [False, True])
def test_nan_stays_visible(compiled):
    found, norm = clipped([np.array([3.0, np.nan]), np.array([12.0])], compiled, 2.0)
    assert np.isnan(norm)
    assert all(np.isnan(g).all() for g in found)


def test_a_norm_that_is_not_finite_can_be_refused():
    with pytest.raises(RuntimeError, match="nan"):
        clipped([np.array([np.nan])], False, 2.0, error_if_nonfinite=True)
