"""The kinds of elementwise operation, named once: `op` with the traits that many operations share."""

from __future__ import annotations

from functools import partial

from ...core.define import op

#: Each element of the result depends on the inputs' elements at the same place alone.
elementwise = partial(op, elementwise=True)
#: ... and the kernel takes complex numbers and is complex differentiable.
smooth = partial(elementwise, analytic=True)
#: ... and a local derivative can be infinite, or NaN as it is for a NaN input.
singular = partial(smooth, singular=True)
#: Comparisons and tests, whose results have no derivative.
pointwise = partial(op, elementwise=True, differentiable=False)
