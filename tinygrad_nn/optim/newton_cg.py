"""Newton's method on exact Hessian-vector products, with conjugate gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.graph import mode, reachable
from ..ops.shapes import concat, ravel
from ..tensor.tensor import Tensor
from .closure import Closure, ClosureOptimizer, dot, largest
from .line_search import sufficient_decrease
from .optimizer import Params
from .settings import check_count, check_not_negative


class NewtonCG(ClosureOptimizer):
    """Newton's method, w → w − H⁻¹·g, on exact Hessian-vector products: truncated, in a trust region.

    The quadratic model g·d + ½·d·(H + damping·I)·d of the loss is made small by conjugate gradients (Steihaug, 1983),
    each iteration of which needs one product H·v: the derivative of g·v, by a pass back through the recorded pass back
    (Pearlmutter, 1994). H itself is never formed. Along negative curvature, and where the iterates leave the trust
    region, d ends at its border. A step that brings too little is made shorter without new products (Nocedal and Yuan,
    1998), and the region grows or shrinks with how well the model foretold the loss.

    Parameters
    ----------
    params : iterable of Tensor, or one dict
        What to learn, in one group.
    lr : float
        Length of the first trial along each direction; 1 is Newton's own step.
    max_iter : int
        Newton steps in each call of `step`.
    max_cg : int, optional
        Products with the Hessian in each Newton step, at most; twice the number of elements unless given.
    tolerance_cg : float, optional
        Conjugate gradients end where the residual is below this share of ‖g‖. None: min(0.1, √‖g‖), which makes the
        last steps converge superlinearly and saves products before.
    tolerance_grad : float
        Stop where no element of the gradient is larger.
    tolerance_change : float
        Stop where neither a parameter nor the loss changes by more.
    damping : float
        Added to the Hessian's diagonal (Levenberg, 1944): shorter steps, nearer to the gradient.
    radius : float
        Of the trust region at first; infinite until a step fails or negative curvature is met.
    line_search_fn : str, optional
        ``"backtracking"``: shorter steps until the loss falls enough; or None for steps of length lr whatever the loss,
        in a region of fixed radius.

    Raises
    ------
    ValueError
        For several groups of parameters, and settings that make no sense.
    TypeError
        From `step`, without closure, if that returns no Tensor, and inside of `tinygrad_nn.compile`.
    RuntimeError
        From `step`, if the loss does not depend on the parameters, or the closure calls ``backward()``.

    Notes
    -----
    The closure computes the loss and returns it, without ``backward()``. It is called once in each Newton step to be
    differentiated, and for each trial of the line search under `no_grad`; it must give the same loss for the same
    parameters. `step` returns the first loss. The gradients that are left are those of the last point differentiated;
    those of Tensors that are not the optimizer's stay as they were.

    A compiled loss works, and makes the trials fast; but to be differentiated twice it runs once more as it is written,
    so that for small problems nothing is gained.

    The state counts ``n_iter``, ``func_evals``, ``grad_evals`` and ``hessian_products``, and notes of the last step its
    length ``t`` relative to d, its ``cg_iterations``, whether ``negative_curvature`` was met, and the next
    ``radius``.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([-1.2, 1.0], requires_grad=True)
    >>> optimizer = tg.optim.NewtonCG([w])
    >>> def loss():
    ...     return 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2
    >>> for _ in range(30):
    ...     first = optimizer.step(loss)
    >>> print(f"{first:.4f} {w[0]:.3f} {w[1]:.3f}")
    0.0000 1.000 1.000
    """

    _state_names = frozenset({"n_iter", "func_evals"})
    _closure_leaves = "graph"

    def __init__(
        self,
        params: Params,
        lr: float = 1,
        max_iter: int = 1,
        max_cg: int | None = None,
        tolerance_cg: float | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        damping: float = 0,
        radius: float = math.inf,
        line_search_fn: str | None = "backtracking",
    ) -> None:
        settings = {
            "lr": lr,
            "max_iter": max_iter,
            "max_cg": max_cg,
            "tolerance_cg": tolerance_cg,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "damping": damping,
            "radius": radius,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, settings)

    def check(self, group: dict[str, Any]) -> None:
        check_not_negative(group, "lr", "tolerance_grad", "tolerance_change", "damping")
        check_count("max_iter", group["max_iter"], int | np.integer)
        if group["max_cg"] is not None:
            check_count("max_cg", group["max_cg"], int | np.integer)
        if group["tolerance_cg"] is not None:
            check_not_negative(group, "tolerance_cg")
        if not group["radius"] > 0:
            raise ValueError(f"radius must be a number above 0, not {group['radius']!r}")
        if group["line_search_fn"] not in (None, "backtracking"):
            raise ValueError(f"line_search_fn must be 'backtracking' or None, not {group['line_search_fn']!r}")

    def step(self, closure: Closure | None = None) -> Any:
        """Make up to `max_iter` Newton steps.

        Parameters
        ----------
        closure : callable
            Computes the loss from the parameters and returns it, without ``backward()``.

        Returns
        -------
        Tensor
            The loss before the first step, detached.
        """
        closure = self._begin(closure)
        memory = self._memory
        for name in ("n_iter", "func_evals", "grad_evals", "hessian_products"):
            memory.setdefault(name, 0)
        first = None
        for _ in range(self.param_groups[0]["max_iter"]):
            with mode("recording", True):
                point = _Point(self, closure)
            first = first if first is not None else point.loss.detach()
            try:
                done = self._newton_step(closure, point)
            finally:
                point.close()
            if done:
                break
        return first

    def _newton_step(self, closure: Closure, point: _Point) -> bool:
        """One step; whether there is nothing more to gain."""
        settings, memory = self.param_groups[0], self._memory
        gradient = point.gradient
        loss = self._number_of(point.loss)
        memory["func_evals"] += 1
        memory["grad_evals"] += 1
        if self._ends_at(loss, gradient):
            return True
        memory.setdefault("radius", float(settings["radius"]))
        d = self._direction(gradient, point.hessian_product)
        slope = dot(gradient, d)
        if not slope < 0:  # rounding has spoiled it
            d, slope = -gradient, -dot(gradient, gradient)
        t, reached = self._length(closure, loss, d, slope)
        memory["n_iter"] += 1
        memory["t"] = t
        return (
            t == 0
            or largest(d * t) <= settings["tolerance_change"]
            or (abs(reached - loss) < settings["tolerance_change"])
        )

    def _direction(self, gradient: Any, product: Callable[[Any], Any]) -> Any:
        """Where the model is small in the trust region, by conjugate gradients."""
        settings, memory = self.param_groups[0], self._memory
        norm = math.sqrt(dot(gradient, gradient))
        share = settings["tolerance_cg"]
        enough = norm * (min(0.1, math.sqrt(norm)) if share is None else float(share))
        damping, radius = float(settings["damping"]), memory["radius"]
        d, residual, along = np.zeros_like(gradient), gradient.copy(), -gradient
        square = norm * norm
        memory["negative_curvature"] = at_border = False
        for count in range(1, (settings["max_cg"] or 2 * len(gradient)) + 1):
            bent = product(along)
            memory["hessian_products"] += 1
            memory["cg_iterations"] = count
            if damping:
                bent = bent + along * damping
            curvature = dot(along, bent)
            length = square / curvature if curvature > 0 else math.inf
            if not math.isfinite(length):
                memory["negative_curvature"] = at_border = True
                if radius == math.inf:
                    radius = memory["radius"] = max(1.0, 2 * math.sqrt(dot(d, d)))
            elif radius < math.inf:
                ahead = d + along * length
                at_border = dot(ahead, ahead) > radius * radius
            if at_border:
                length = _to_border(d, along, radius)
            d += along * length
            residual += bent * length
            before, square = square, dot(residual, residual)
            if at_border or math.sqrt(square) <= enough:
                break
            along = along * (square / before) - residual
        memory["at_border"] = at_border
        memory["foretold"] = -0.5 * dot(d, gradient + residual)
        return d

    def _length(self, closure: Closure, loss: float, d: Any, slope: float) -> tuple[float, float]:
        """How far to go along `d`, and the loss there (NaN without line search); the parameters are moved."""
        settings, memory = self.param_groups[0], self._memory
        origin, t = self._values(), float(settings["lr"])

        def loss_at(t: float) -> float:
            self._move_to(origin + d * t)
            memory["func_evals"] += 1
            with mode("recording", False):
                value = self._number_of(closure())
            return value if math.isfinite(value) else math.inf

        if settings["line_search_fn"] is None:
            self._move_to(origin + d * t)
            return t, math.nan
        resolution = 10 * float(np.finfo(origin.dtype).eps) * abs(loss)
        with self._back_to(origin):
            t, reached, count = sufficient_decrease(loss_at, loss, slope, t, resolution=resolution)
        if not t:
            self._move_to(origin)
        self._adapt_radius(math.sqrt(dot(d, d)), t if count > 1 else 1.0, loss - reached, resolution)
        return t, reached

    def _adapt_radius(self, length: float, t: float, gained: float, resolution: float) -> None:
        memory = self._memory
        predicted = memory["foretold"]
        if t < 1:
            memory["radius"] = max(t, 1e-3) * length
        elif predicted <= resolution:  # rounding says nothing about the model
            return
        elif gained < 0.25 * predicted:
            memory["radius"] = 0.25 * length
        elif gained > 0.75 * predicted and memory["at_border"]:
            memory["radius"] = 2 * memory["radius"]


def _to_border(d: Any, along: Any, radius: float) -> float:
    """How far from `d` to go in a direction until ‖d‖ is `radius`."""
    a, b, c = dot(along, along), dot(d, along), dot(d, d) - radius * radius
    root = math.sqrt(max(b * b - a * c, 0.0))
    return (root - b) / a if b <= 0 else -c / (b + root)


class _Point:
    """The loss and its gradient at one point, recorded once so that products with the Hessian can be had of it."""

    def __init__(self, optimizer: NewtonCG, closure: Closure) -> None:
        self._params = optimizer._params
        self._optimizer = optimizer
        self._others: list[tuple[Tensor, Tensor | None]] = []
        saved = [p.grad for p in self._params]
        for p in self._params:
            p.grad = None
        try:
            self.loss = self._checked(closure())
            # Passes back reach every leaf of the graph; what is not ours gets its own gradient back.
            own = set(self._params)
            assert self.loss._node is not None
            reached = (getattr(node, "tensor", lambda: None)() for node in reachable([self.loss._node])[0])
            self._others = [(tensor, tensor.grad) for tensor in reached if tensor is not None and tensor not in own]
            self.loss.backward(create_graph=True)
        except BaseException:
            for tensor, gradient in (*zip(self._params, saved, strict=True), *self._others):
                tensor.grad = gradient
            raise
        self._parts = [p.grad for p in self._params]
        self.gradient = optimizer._gradients()
        known = [ravel(part) for part in self._parts if part is not None]
        self._recorded: Tensor | None = concat(known) if known else None

    def _checked(self, loss: Any) -> Tensor:
        """The loss, if it can be differentiated twice."""
        if not isinstance(loss, Tensor):
            raise TypeError(f"the closure given to NewtonCG.step() must return the loss as a Tensor, not {loss!r}")
        self._optimizer._number_of(loss)
        if any(p.grad is not None for p in self._params):
            raise RuntimeError(
                "the closure given to NewtonCG.step() called backward(): it only computes the loss and returns it, as "
                "this optimizer needs derivatives of the gradient too, and takes them itself"
            )
        if loss._node is None:
            raise RuntimeError(
                "the closure given to NewtonCG.step() returned a loss that recorded nothing: compute it from the "
                "parameters, which must require gradients, and outside of no_grad()"
            )
        return loss

    def hessian_product(self, vector: Any) -> Any:
        """H·v, by another pass back through the recorded one."""
        recorded = self._recorded
        if recorded is None or recorded._node is None:  # the loss is linear
            return np.zeros_like(vector)
        for p in self._params:
            p.grad = None
        parts = zip(self._optimizer._split(vector), self._parts)
        known = np.concatenate([elements for elements, part in parts if part is not None])
        recorded.backward(known.astype(recorded.dtype, copy=False), retain_graph=True)
        return self._optimizer._gradients()

    def close(self) -> None:
        """Leave gradients without their graph in the parameters, and those of others as they were."""
        for p, part in zip(self._params, self._parts, strict=True):
            p.grad = None if part is None else part.detach()
        for tensor, gradient in self._others:
            tensor.grad = gradient
        self._recorded = None
