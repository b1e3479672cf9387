"""For all tests and doctests: what one defines, the next does not see."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

# Before NumPy is loaded: the tests' matrices are small, and threads for them only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Examples in docstrings that need an optional library.
collect_ignore_glob = [] if find_spec("jax") else ["tinygrad_nn/compiler/targets/jax/*"]


@pytest.fixture(autouse=True)
def _as_a_user(doctest_namespace):
    """Examples in docstrings run as a user's module would, not as a part of the module that they stand in."""
    doctest_namespace["__name__"] = "__main__"


@pytest.fixture(autouse=True)
def _same_numbers():
    """What is drawn from the default generator is the same in each run, in whatever order the tests come."""
    import tinygrad_nn as tg

    tg.manual_seed(0)


@pytest.fixture(autouse=True)
def _forget_ops():
    """Operations that a test registers are gone after it."""
    # What a test imports for the first time is not to be forgotten.
    import tinygrad_nn.compiler
    import tinygrad_nn.nn  # noqa: F401
    from tinygrad_nn.core.define import registry

    known = dict(registry)
    yield
    registry.clear()
    registry.update(known)
