"""What PyTorch's optimizers and schedulers do in the cases below, kept in optim_results.json.

``python -m tests.optim.cases`` writes the file anew (PyTorch 2.13.0 wrote the one that is kept).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parents[1] / "reference" / "optim_results.json"

START = np.random.default_rng(1).standard_normal((2, 3))
GRADIENTS = np.random.default_rng(2).standard_normal((40, 2, 3))
GRADIENTS[:, 0, 0] = 0.0
#: After which steps values are kept.
LOOKED_AT = (1, 2, 7, 20, 40)

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"amsgrad": True, "maximize": True}),
    ("AdamW", {"lr": 0.1, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.2, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.5}),
    ("RMSprop", {"centered": True, "momentum": 0.9, "weight_decay": 0.1, "alpha": 0.8, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.5, "weight_decay": 0.1, "eps": 1e-3}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"betas": (0.5, 0.9), "weight_decay": 0.1, "momentum_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"weight_decay": 0.1}),
    ("RAdam", {"betas": (0.9, 0.6)}),
    ("RAdam", {"betas": (0.9, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.05, 0.3)}),
]

#: Name of the function below, start, calls of step, settings.
LBFGS: list[tuple[str, list[float], int, dict[str, Any]]] = [
    ("quadratic", [1.0, -2.0, 0.5, 3.0], 3, {}),
    ("quadratic", [1.0, -2.0, 0.5, 3.0], 3, {"lr": 0.1, "max_iter": 4}),
    ("quadratic", [1.0, -2.0, 0.5, 3.0], 3, {"line_search_fn": "strong_wolfe", "max_iter": 2}),
    ("rosenbrock", [-1.2, 1.0], 3, {"line_search_fn": "strong_wolfe"}),
    ("rosenbrock", [-1.2, 1.0, -0.5, 0.7], 12, {"line_search_fn": "strong_wolfe", "max_iter": 3, "history_size": 2}),
    ("rosenbrock", [-1.2, 1.0, -0.5, 0.7], 5, {"line_search_fn": "strong_wolfe", "lr": 0.5, "max_eval": 7}),
    ("rosenbrock", [-1.2, 1.0], 4, {"lr": 1e-3, "max_iter": 5}),
]

MATRIX = [[4.0, 1.0, 0.0, 0.5], [1.0, 3.0, 0.25, 0.0], [0.0, 0.25, 2.0, 0.1], [0.5, 0.0, 0.1, 0.05]]


def line(number: int) -> tuple[float, int, Any, Any]:
    """A first trial, how many trials more, a function of one number that falls at 0, and its derivative."""
    rng = np.random.default_rng(number)
    waves, speeds = rng.standard_normal(6), rng.standard_normal(6) * rng.choice([0.1, 1, 5])
    bend = abs(rng.standard_normal()) * rng.choice([0, 0.01, 1])
    waves = -waves * np.sign(waves @ speeds)

    def value(t: float) -> float:
        return float(waves @ np.sin(speeds * t) + bend * t * t)

    def slope(t: float) -> float:
        return float(waves @ (speeds * np.cos(speeds * t)) + 2 * bend * t)

    return float(10 ** rng.uniform(-3, 2)), (25, number % 7)[number % 2], value, slope


#: In the last three the second trial is higher than the first, low enough, and still falling.
LINES = [*range(80), 7010, 10428, 11202]


def quadratic(x: Any, matrix: Any) -> Any:
    """½xᵀAx − Σx."""
    return (x @ (matrix @ x)) / 2 - x.sum()


def rosenbrock(x: Any, matrix: Any) -> Any:
    """Σ 100(xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)²."""
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def halving(epoch: int) -> float:
    return 0.5**epoch


def slowing(epoch: int) -> float:
    return 1 / (1 + epoch)


SCHEDULERS: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 3}),
    ("MultiStepLR", {"milestones": [2, 5, 5, 9], "gamma": 0.5}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 0}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.7, "total_iters": 9}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 12, "power": 2.0}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 1}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 30}),
    (
        "OneCycleLR",
        {
            "max_lr": [0.5, 0.2],
            "epochs": 5,
            "steps_per_epoch": 6,
            "anneal_strategy": "linear",
            "three_phase": True,
            "pct_start": 0.4,
            "div_factor": 10.0,
            "final_div_factor": 100.0,
        },
    ),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 40, "cycle_momentum": False, "pct_start": 0.0}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 31, "pct_start": 1.0}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 3}),
    (
        "CyclicLR",
        {"base_lr": [0.01, 0.02], "max_lr": 0.2, "step_size_up": 3, "step_size_down": 5, "mode": "triangular2"},
    ),
    (
        "CyclicLR",
        {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 4, "mode": "exp_range", "gamma": 0.9, "cycle_momentum": False},
    ),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 4, "scale_fn": slowing, "scale_mode": "iterations"}),
    ("LambdaLR", {"lr_lambda": halving}),
    ("LambdaLR", {"lr_lambda": [halving, slowing]}),
    ("MultiplicativeLR", {"lr_lambda": slowing}),
]

COMBINED: dict[str, Any] = {
    "sequence": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=4), s.CosineAnnealingLR(o, 10), s.StepLR(o, 2)], [4, 14]
    ),
    "sequence with restarts": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 4), s.CosineAnnealingWarmRestarts(o, 5, 2)], [6]
    ),
    "sequence of functions": lambda s, o: s.SequentialLR(
        o, [s.MultiplicativeLR(o, slowing), s.LambdaLR(o, halving), s.PolynomialLR(o, 5)], [6, 11]
    ),
    "chain": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 4), s.ExponentialLR(o, 0.9), s.LinearLR(o)]),
    "chain with cosine": lambda s, o: s.ChainedScheduler([s.CosineAnnealingLR(o, 5), s.ExponentialLR(o, 0.9)]),
    "sequence of a chain": lambda s, o: s.SequentialLR(
        o, [s.ChainedScheduler([s.LinearLR(o, 0.1, total_iters=4), s.ExponentialLR(o, 0.9)]), s.StepLR(o, 4)], [6]
    ),
}

PLATEAUS: list[dict[str, Any]] = [
    {},
    {"mode": "max", "patience": 2, "factor": 0.5, "threshold": 0.05},
    {"patience": 0, "cooldown": 3, "threshold_mode": "abs", "threshold": 0.1, "min_lr": [0.01, 0.02]},
    {"mode": "max", "threshold_mode": "abs", "patience": 1, "min_lr": 1e-3, "eps": 1e-2},
]
MEASURES = [float(x) for x in np.cumsum(np.random.default_rng(0).standard_normal(60) * 0.1) + 2]

EPOCHS = 30


def label(case: Any) -> str:
    name, *_, settings = case
    return f"{name}({', '.join(settings)})"


def make(package: Any, leaf: Any, optimizer: str) -> Any:
    """An optimizer of two groups, to be scheduled."""
    settings = {"momentum": 0.9} if optimizer == "SGD" else {}
    groups = [{"params": [leaf()]}, {"params": [leaf()], "lr": 0.05}]
    return getattr(package, optimizer)(groups, lr=0.1, **settings)


def rates(optimizer: Any) -> list[float]:
    """The rates of all groups, and their momenta."""
    found = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        found += [group["momentum"]] if "momentum" in group else list(group["betas"])
    return [float(x) for x in found]


def followed(optimizer: Any, scheduler: Any, epochs: int = EPOCHS) -> list[list[float]]:
    """Rates at the start and after each epoch."""
    found = [rates(optimizer)]
    for _ in range(epochs):
        optimizer.step()
        scheduler.step()
        found.append(rates(optimizer))
    return found


def compute() -> dict[str, Any]:
    """All results, as nested lists of numbers."""
    import warnings

    import torch

    warnings.simplefilter("ignore")
    torch.set_default_dtype(torch.float64)

    def leaf() -> Any:
        return torch.tensor(1.0, requires_grad=True)

    def optimizers() -> Any:
        for name, settings in OPTIMIZERS:
            p = torch.nn.Parameter(torch.tensor(START))
            optimizer = getattr(torch.optim, name)([p], **settings)
            path = []
            for number, g in enumerate(GRADIENTS, start=1):
                p.grad = torch.tensor(g)
                optimizer.step()
                if number in LOOKED_AT:
                    path.append(p.tolist())
            state = {k: v.tolist() for k, v in optimizer.state_dict()["state"][0].items() if v is not None}
            yield {"path": path, "state": state}

    def lbfgs() -> Any:
        matrix = torch.tensor(MATRIX)
        for name, start, steps, settings in LBFGS:
            p = torch.nn.Parameter(torch.tensor(start))
            optimizer = torch.optim.LBFGS([p], **settings)

            def closure(p: Any = p, optimizer: Any = optimizer, name: str = name) -> Any:
                optimizer.zero_grad()
                loss = globals()[name](p, matrix)
                loss.backward()
                return loss

            path = []
            for _ in range(steps):
                loss = float(optimizer.step(closure).detach())
                state = optimizer.state[p]
                path.append({"x": p.tolist(), "loss": loss, "counts": [state["n_iter"], state["func_evals"]]})
            yield path

    def lines() -> Any:
        """Where the line search of PyTorch's L-BFGS looks, and the point it takes."""
        from torch.optim.lbfgs import _strong_wolfe

        for number in LINES:
            first, most, value, slope = line(number)
            trials: list[float] = []

            def at(_: Any, t: Any, d: Any, trials: Any = trials, value: Any = value, slope: Any = slope) -> Any:
                trials.append(float(t))
                return value(float(t)), torch.tensor([slope(float(t))])

            gradient = torch.tensor([slope(0.0)])
            direction = torch.tensor([1.0])
            *_, t, _count = _strong_wolfe(at, None, first, direction, value(0.0), gradient, gradient[0], max_ls=most)
            yield [float(t), *trials]

    def schedulers() -> Any:
        for name, settings in SCHEDULERS:
            for kind in ("SGD", "Adam"):
                optimizer = make(torch.optim, leaf, kind)
                yield followed(optimizer, getattr(torch.optim.lr_scheduler, name)(optimizer, **settings))

    def combined() -> Any:
        for build in COMBINED.values():
            optimizer = make(torch.optim, leaf, "SGD")
            yield followed(optimizer, build(torch.optim.lr_scheduler, optimizer))

    def plateaus() -> Any:
        for settings in PLATEAUS:
            optimizer = make(torch.optim, leaf, "SGD")
            scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
            found = []
            for measure in MEASURES:
                scheduler.step(measure)
                found.append(rates(optimizer))
            yield found

    try:
        parts = (optimizers, lbfgs, lines, schedulers, combined, plateaus)
        return {part.__name__: list(part()) for part in parts}
    finally:
        torch.set_default_dtype(torch.float32)


def kept() -> dict[str, Any]:
    """What the file holds."""
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    shortened = json.loads(json.dumps(compute()), parse_float=lambda x: float(f"{float(x):.14g}"))
    lines = [
        f'"{part}": [\n' + ",\n".join(json.dumps(item, separators=(",", ":")) for item in items) + "\n]"
        for part, items in shortened.items()
    ]
    RESULTS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
