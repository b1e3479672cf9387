"""L-BFGS: a quasi-Newton method that remembers few vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.graph import mode
from .closure import Closure, ClosureOptimizer, dot, largest
from .line_search import Trial, strong_wolfe
from .optimizer import Params
from .settings import check_count, check_not_negative


class LBFGS(ClosureOptimizer):
    """Steps along −H·g, where H, an inverse Hessian, is estimated from the last steps (Liu and Nocedal, 1989).

    With s the difference of parameters and y that of gradients over each of the last steps, H·g is computed by the
    recursion of two loops (Nocedal, 1980), from H = (s·y)/(y·y) of the last step.

    Parameters
    ----------
    params : iterable of Tensor, or one dict
        What to learn, in one group.
    lr : float
        Length of the first trial along each direction; without line search, of each step.
    max_iter : int
        Iterations in each call of `step`.
    max_eval : int, optional
        Calls of the closure in each call of `step`, of which there may be one more; 1.25·max_iter unless given.
    tolerance_grad : float
        Stop where no element of the gradient is larger.
    tolerance_change : float
        Stop where neither a parameter nor the loss changes by more.
    history_size : int
        Of how many steps s and y are remembered.
    line_search_fn : str, optional
        ``"strong_wolfe"``, or None for steps of length lr.

    Raises
    ------
    ValueError
        For several groups of parameters, and settings that make no sense.
    TypeError
        From `step`, without closure, if that returns no number, and inside of `tinygrad_nn.compile`.
    RuntimeError
        From `step`, if the closure computes no gradients.

    Notes
    -----
    The closure clears the gradients, computes the loss, calls ``backward()`` and returns the loss; it is called several
    times in a step, and must give the same loss for the same parameters. `step` returns the first loss. The gradients
    that are left are those of the last point that was tried. What computes the loss can be compiled, with its pass
    back.

    The conditions of the line search are the strong ones of Wolfe, for 10⁻⁴ and 0.9, by algorithms 3.5 and 3.6 of
    Nocedal and Wright, *Numerical Optimization* (2006). A trial whose loss is NaN or infinite counts as too far, unlike
    in PyTorch; where the first loss is, no step is made.

    Examples
    --------
    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([3.0, -2.0], requires_grad=True)
    >>> optimizer = tg.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> @tg.compile
    ... def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 1) ** 4).sum() + (w[0] * w[1]) ** 2
    ...     loss.backward()
    ...     return loss
    >>> first = optimizer.step(closure)
    >>> print(f"{first:.4f} {closure():.4f}")
    133.0000 0.1733
    """

    _vectors = frozenset({"d", "prev_flat_grad"})
    _vector_lists = frozenset({"old_dirs", "old_stps"})
    _number_lists = frozenset({"ro"})
    _passing = frozenset({"al"})
    _state_names = frozenset({"func_evals", "n_iter"})

    def __init__(
        self,
        params: Params,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        settings = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, settings)

    def check(self, group: dict[str, Any]) -> None:
        check_not_negative(group, "lr", "tolerance_grad", "tolerance_change")
        for name in ("max_iter", "max_eval", "history_size"):
            check_count(name, group[name], int | np.integer)
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(f"line_search_fn must be 'strong_wolfe' or None, not {group['line_search_fn']!r}")

    def step(self, closure: Closure | None = None) -> Any:
        """Make up to `max_iter` iterations.

        Parameters
        ----------
        closure : callable
            Clears the gradients, computes the loss, calls ``backward()`` and returns the loss.

        Returns
        -------
        Tensor
            What the first call of `closure` returned.
        """
        closure = self._begin(closure)
        with mode("recording", True):
            first = closure()
            loss = self._number_of(first)
            if all(p.grad is None for p in self._params):
                raise RuntimeError(
                    "the closure given to LBFGS.step() left no gradient in any parameter: it must call backward() on "
                    "the loss before it returns it"
                )
            with mode("recording", False):
                self._iterate(closure, loss)
        return first

    def _iterate(self, closure: Closure, loss: float) -> None:
        settings, memory = self.param_groups[0], self._memory
        memory["func_evals"] = memory.get("func_evals", 0) + 1
        memory.setdefault("n_iter", 0)
        gradient = self._gradients()
        if self._ends_at(loss, gradient):
            return
        evaluations = 1
        for left in reversed(range(settings["max_iter"])):
            direction = self._direction(gradient)
            before = loss
            memory.update(d=direction, prev_flat_grad=gradient, prev_loss=loss)
            lr = float(settings["lr"])
            memory["t"] = min(1.0, 1 / float(abs(gradient).sum())) * lr if memory["n_iter"] == 1 else lr
            slope = dot(gradient, direction)
            if slope > -settings["tolerance_change"]:
                return
            start = Trial(0.0, loss, gradient, slope)
            if settings["line_search_fn"] is None:
                end, count = self._plain_step(closure, start, evaluate=left > 0)
            else:
                end, count = self._search(closure, start, settings["max_eval"] - evaluations)
            loss, gradient, memory["t"] = end.loss, end.gradient, end.t
            evaluations += count
            memory["func_evals"] += count
            if (
                evaluations >= settings["max_eval"]
                or largest(gradient) <= settings["tolerance_grad"]
                or largest(direction * memory["t"]) <= settings["tolerance_change"]
                or abs(loss - before) < settings["tolerance_change"]
            ):
                return

    def _direction(self, gradient: Any) -> Any:
        """−H·g, after the last step has been taken into H."""
        memory = self._memory
        memory["n_iter"] += 1
        if memory["n_iter"] == 1:
            memory.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -gradient
        changes, steps, factors = memory["old_dirs"], memory["old_stps"], memory["ro"]
        y, s = gradient - memory["prev_flat_grad"], memory["d"] * memory["t"]
        curvature = dot(y, s)
        if curvature > 1e-10:
            if len(changes) >= self.param_groups[0]["history_size"]:
                for remembered in (changes, steps, factors):
                    del remembered[0]
            changes.append(y)
            steps.append(s)
            factors.append(1 / curvature)
            memory["H_diag"] = curvature / dot(y, y)
        direction = -gradient
        shares = []
        for y, s, factor in zip(reversed(changes), reversed(steps), reversed(factors), strict=True):
            shares.append(dot(s, direction) * factor)
            direction -= y * shares[-1]
        direction *= memory["H_diag"]
        for y, s, factor, share in zip(changes, steps, factors, reversed(shares), strict=True):
            direction += s * (share - dot(y, direction) * factor)
        return direction

    def _plain_step(self, closure: Closure, start: Trial, *, evaluate: bool) -> tuple[Trial, int]:
        """A step of length lr; the last one is not evaluated, as the next call of `step` does that."""
        t, direction = self._memory["t"], self._memory["d"]
        self._move_to(self._values() + direction * t)
        if not evaluate:
            return Trial(t, start.loss, start.gradient, start.slope), 0
        return Trial(t, self._evaluated(closure), self._gradients(), start.slope), 1

    def _search(self, closure: Closure, start: Trial, trials: int) -> tuple[Trial, int]:
        origin, direction = self._values(), self._memory["d"]

        def evaluate(t: float) -> Trial:
            self._move_to(origin + direction * t)
            loss = self._evaluated(closure)
            gradient = self._gradients()
            # Not finite where a step leaves the domain of a logarithm, say: above all others, so that it is shortened.
            loss = loss if math.isfinite(loss) else math.inf
            return Trial(t, loss, gradient, dot(gradient, direction))

        reach = largest(direction)
        with self._back_to(origin):
            end, count = strong_wolfe(evaluate, start, self._memory["t"], reach=reach, max_trials=trials)
        self._move_to(origin + direction * end.t)
        return end, count

    def _evaluated(self, closure: Closure) -> float:
        with mode("recording", True):
            return self._number_of(closure())
