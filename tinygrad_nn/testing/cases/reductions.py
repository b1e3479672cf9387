"""Domain rows of the reductions, running sums and the softmax family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..rows import DISTINCT, REAL, Cases, Domain, Row

#: Shapes with the axes to reduce: one, several, all, none of the array, negative, empty.
AXES: Cases = (
    ((2, 3), {}),
    ((), {}),
    ((2, 3), {"axis": 0}),
    ((2, 3), {"axis": -1, "keepdims": True}),
    ((2, 3, 2), {"axis": (0, 2)}),
    ((2, 3, 2), {"axis": (2, 0), "keepdims": True}),
    ((2, 3), {"keepdims": True}),
    ((2, 3), {"axis": ()}),
    ((2, 0, 3), {"axis": 2}),
    ((1, 4), {"axis": 1}),
)
EMPTY_AXIS = ((2, 0), {"axis": 1})
#: The same without a sum over nothing, for what has no value there.
ONE_AXIS = tuple(case for case in AXES if isinstance(case[1].get("axis"), int) and "keepdims" not in case[1])
ALONG: Cases = (((2, 3), {}), ((4,), {"axis": 0}), ((2, 3, 2), {"axis": 1}), ((2, 0, 3), {}), ((3, 1), {}))
RUNNING: Cases = (
    ((4,), {}),
    ((2, 3), {"axis": 1}),
    ((3, 2), {"axis": 0, "include_initial": True}),
    ((5,), {"axis": -1}),
    ((2, 0), {"axis": 1}),
    ((1, 2), {"axis": 0}),
    ((9,), {}),
)
SPREAD_OUT = Domain(-2.0, 2.0, distinct=True)
#: Numbers of which some are zero, none in reach of one: a product's derivative has to be right there too.
WITH_ZEROS = Domain(make=lambda rng, shape: rng.uniform(0.5, 2.0, shape) * rng.choice([-1.0, 0.0, 1.0], shape))


def _log_sum_exp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def _softmax(x: Any, axis: Any = -1) -> Any:
    e = np.exp(x)
    return e / np.sum(e, axis=axis, keepdims=True)


def _running(accumulate: Callable[..., Any], first: int) -> Callable[..., Any]:
    """`np.cumulative_sum` and `np.cumulative_prod`, which NumPy 2.0 lacks."""

    def reference(x: Any, axis: int = 0, include_initial: bool = False) -> Any:
        ends = [(int(include_initial and i == axis % x.ndim), 0) for i in range(x.ndim)]
        return accumulate(np.pad(x, ends, constant_values=first), axis)

    return reference


def _ddof(reduce: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axis=None, correction=0, keepdims=False: reduce(x, axis=axis, ddof=correction, keepdims=keepdims)


# fmt: off
ROWS = [
    Row("sum", (REAL,), (*AXES, EMPTY_AXIS), np.sum),
    Row("mean", (REAL,), AXES, np.mean),
    Row("prod", (WITH_ZEROS,), (*AXES, EMPTY_AXIS, ((7,), {}), ((2, 5), {"axis": 1})), np.prod, ulps=8),
    Row(
        "var", (REAL,), (*AXES, ((2, 4), {"axis": 1, "correction": 1}), ((3,), {"correction": 0.5})),
        _ddof(np.var), ulps=16,
    ),
    Row(
        "std", (SPREAD_OUT,),
        (*(c for c in AXES if c[0] != () and c[1].get("axis") != ()), ((2, 4), {"axis": 1, "correction": 1})),
        _ddof(np.std), ulps=16,
    ),
    Row("max", (DISTINCT,), AXES, np.max),
    Row("min", (DISTINCT,), AXES, np.min),
    Row("logsumexp", (REAL,), AXES, _log_sum_exp, ulps=16),
    Row("softmax", (REAL,), ALONG, _softmax, ulps=16),
    Row("log_softmax", (REAL,), ALONG, lambda x, axis=-1: np.log(_softmax(x, axis)), ulps=32),
    Row("cumulative_sum", (REAL,), RUNNING, _running(np.cumsum, 0)),
    Row("cumulative_prod", (WITH_ZEROS,), RUNNING, _running(np.cumprod, 1), ulps=8),
    *(
        Row(
            name, (DISTINCT,), (*ONE_AXIS, ((2, 3), {"axis": 0, "keepdims": True}), ((), {})), reference,
            derivatives=False,
        )
        for name, reference in (("argmax", np.argmax), ("argmin", np.argmin))
    ),
    *(
        Row(name, (WITH_ZEROS,), (*AXES, EMPTY_AXIS), reference, derivatives=False)
        for name, reference in (("any", np.any), ("all", np.all), ("count_nonzero", np.count_nonzero))
    ),
]
