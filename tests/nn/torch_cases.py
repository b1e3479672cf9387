"""What PyTorch computes for the cases below, kept in torch_results.json, so that the suite needs no PyTorch.

``python -m tests.nn.torch_cases`` writes the file anew (PyTorch 2.13.0 wrote the one that is kept); where PyTorch is
installed a test compares the file with what it computes now. A case names a class of `nn` or `optim`, its settings and
its input.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "reference" / "torch_results.json"

LABELS = [2, 0, 1, 2]
SCORES = [[0.5, -1.25, 2.0], [0.0, 0.25, -0.75], [3.0, -2.0, 1.0], [-0.5, 0.125, 0.75]]
SHARES = [[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [0.125, 0.5, 0.375], [0.0, 0.0, 1.0]]
WEIGHT = [0.5, 2.0, 1.25]
CERTAIN = [[0.1, 0.9, 0.5], [0.25, 0.0, 1.0], [0.0, 1.0, 0.75], [0.625, 1e-30, 0.375]]
BITS = [[0.0, 1.0, 1.0], [0.25, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
DEEP_SCORES = [[[0.5, -1.0], [1.5, 0.25], [-0.5, 2.0]], [[0.0, 1.0], [0.75, -0.25], [2.0, 0.5]]]
DEEP_LABELS = [[0, 2], [1, 1]]

#: Class, settings, predictions, targets.
LOSSES: list[tuple[str, dict[str, Any], Any, Any]] = [
    *(
        (name, {"reduction": reduction}, predictions, targets)
        for name, predictions, targets in (
            ("MSELoss", SCORES, SHARES),
            ("L1Loss", SCORES, SHARES),
            ("HuberLoss", SCORES, SHARES),
            ("BCELoss", CERTAIN, BITS),
            ("BCEWithLogitsLoss", SCORES, BITS),
            ("NLLLoss", SCORES, LABELS),
            ("CrossEntropyLoss", SCORES, LABELS),
            ("CrossEntropyLoss", SCORES, SHARES),
            ("KLDivLoss", SCORES, SHARES),
        )
        for reduction in ("mean", "sum", "none")
    ),
    ("KLDivLoss", {"reduction": "batchmean"}, SCORES, SHARES),
    ("KLDivLoss", {"log_target": True}, SCORES, SHARES),
    ("HuberLoss", {"delta": 0.75}, SCORES, SHARES),
    ("BCELoss", {"weight": WEIGHT}, CERTAIN, BITS),
    ("BCEWithLogitsLoss", {"weight": WEIGHT}, SCORES, BITS),
    ("BCEWithLogitsLoss", {"pos_weight": WEIGHT}, SCORES, BITS),
    ("BCEWithLogitsLoss", {}, [100.0, -100.0, 1000.0], [0.0, 1.0, 1.0]),
    ("NLLLoss", {"weight": WEIGHT}, SCORES, LABELS),
    ("NLLLoss", {"ignore_index": 2}, SCORES, LABELS),
    ("NLLLoss", {"ignore_index": 2, "weight": WEIGHT, "reduction": "none"}, SCORES, LABELS),
    ("NLLLoss", {}, DEEP_SCORES, DEEP_LABELS),
    ("NLLLoss", {}, SCORES[0], LABELS[0]),
    ("CrossEntropyLoss", {"weight": WEIGHT}, SCORES, LABELS),
    ("CrossEntropyLoss", {"ignore_index": 0}, SCORES, LABELS),
    ("CrossEntropyLoss", {}, SCORES, [2, -100, 1, -100]),
    ("CrossEntropyLoss", {"label_smoothing": 0.1}, SCORES, LABELS),
    ("CrossEntropyLoss", {"label_smoothing": 0.1, "weight": WEIGHT}, SCORES, LABELS),
    ("CrossEntropyLoss", {"label_smoothing": 0.1, "weight": WEIGHT, "ignore_index": 2}, SCORES, LABELS),
    ("CrossEntropyLoss", {"label_smoothing": 0.2, "ignore_index": 1, "reduction": "sum"}, SCORES, LABELS),
    ("CrossEntropyLoss", {"label_smoothing": 0.2, "ignore_index": 1, "reduction": "none"}, SCORES, LABELS),
    ("CrossEntropyLoss", {"label_smoothing": 0.1, "weight": WEIGHT}, SCORES, SHARES),
    ("CrossEntropyLoss", {"weight": WEIGHT, "reduction": "none"}, SCORES, SHARES),
    ("CrossEntropyLoss", {}, DEEP_SCORES, DEEP_LABELS),
    ("CrossEntropyLoss", {"reduction": "none", "label_smoothing": 0.1}, DEEP_SCORES, DEEP_LABELS),
    (
        "CrossEntropyLoss",
        {},
        DEEP_SCORES,
        [[[0.5, 0.25], [0.5, 0.25], [0.0, 0.5]], [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]],
    ),
    ("CrossEntropyLoss", {}, SCORES[0], LABELS[0]),
    ("CrossEntropyLoss", {}, SCORES[0], SHARES[0]),
]

POINTS = [-30.0, -4.0, -1.0, -0.5, 0.0, 0.25, 1.0, 3.0, 30.0]

#: Class, settings.
ACTIVATIONS: list[tuple[str, dict[str, Any]]] = [
    ("Sigmoid", {}),
    ("Tanh", {}),
    ("ReLU", {}),
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 0.25}),
    ("ELU", {}),
    ("ELU", {"alpha": 1.5}),
    ("GELU", {}),
    ("GELU", {"approximate": "tanh"}),
    ("SiLU", {}),
    ("Softplus", {}),
    ("Softplus", {"beta": 0.5}),
    ("Softmax", {"dim": 0}),
    ("LogSoftmax", {"dim": -1}),
]

START = [[0.5, -1.0, 2.0], [0.25, 0.0, -0.75]]
GRADIENTS = [
    [[1.0, -2.0, 0.5], [0.0, 0.25, -1.5]],
    [[0.5, 1.0, -0.25], [2.0, 0.0, 1.0]],
    [[-1.0, 0.125, 3.0], [0.5, -0.5, 0.0]],
    [[0.25, 0.25, -1.0], [-2.0, 1.0, 0.75]],
]

#: Class, settings. Each is stepped with the gradients above.
OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.2}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.2}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
]

BATCH = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.5], [0.0, 1.0, -2.0], [-1.0, 0.75, 0.125]]
WANTED = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]


def compute() -> dict[str, Any]:
    """All results, as nested lists of numbers."""
    import warnings

    import torch
    from torch import nn, optim

    torch.set_default_dtype(torch.float64)

    def losses() -> Any:
        for name, settings, predictions, targets in LOSSES:
            settings = {k: torch.tensor(v) if isinstance(v, list) else v for k, v in settings.items()}
            x = torch.tensor(predictions, requires_grad=True)
            loss = getattr(nn, name)(**settings)(x, torch.tensor(targets))
            loss.sum().backward()
            yield {"value": loss.tolist(), "gradient": x.grad.tolist()}

    def activations() -> Any:
        for name, settings in ACTIVATIONS:
            x = torch.tensor(POINTS, requires_grad=True)
            y = getattr(nn, name)(**settings)(x)
            (y * torch.arange(len(POINTS))).sum().backward()
            yield {"value": y.tolist(), "gradient": x.grad.tolist()}

    def optimizers() -> Any:
        for name, settings in OPTIMIZERS:
            p = nn.Parameter(torch.tensor(START))
            optimizer = getattr(optim, name)([p], **settings)
            path = []
            for g in GRADIENTS:
                p.grad = torch.tensor(g)
                optimizer.step()
                path.append(p.tolist())
            entries = optimizer.state_dict()["state"].get(0, {})
            yield {
                "path": path,
                "state": {key: value.tolist() for key, value in entries.items() if isinstance(value, torch.Tensor)},
            }

    def network() -> Any:
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Linear(3, 4), nn.Tanh(), nn.Sequential(nn.Linear(4, 2, bias=False), nn.Sigmoid())
        ).float()
        y = net(torch.tensor(BATCH).float())
        nn.BCELoss()(y, torch.tensor(WANTED).float()).backward()
        return {
            "state": {key: value.tolist() for key, value in net.state_dict().items()},
            "value": y.tolist(),
            "gradients": {key: p.grad.tolist() for key, p in net.named_parameters()},
        }

    def clipped() -> Any:
        for norm_type in (1.0, 2.0, 3.0, float("inf")):
            ps = [nn.Parameter(torch.zeros(3)) for _ in range(2)]
            for p, g in zip(ps, GRADIENTS[0]):
                p.grad = torch.tensor(g)
            norm = nn.utils.clip_grad_norm_(ps, 1.5, norm_type)
            yield {"norm": norm.item(), "gradients": [p.grad.tolist() for p in ps]}

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the mean of KLDivLoss
            return {
                "losses": list(losses()),
                "activations": list(activations()),
                "optimizers": list(optimizers()),
                "network": network(),
                "clipped": list(clipped()),
            }
    finally:
        torch.set_default_dtype(torch.float32)


def kept() -> dict[str, Any]:
    """The results in the file."""
    results: dict[str, Any] = json.loads(RESULTS.read_text())
    return results


def label(case: Any) -> str:
    """A case's class and settings, to name its test."""
    name, settings, *rest = case
    shape = str(len(rest[1])) if rest and isinstance(rest[1], list) else ""
    return f"{name}({', '.join(f'{key}={value}' for key, value in settings.items())}){shape}"


if __name__ == "__main__":
    RESULTS.write_text(json.dumps(compute(), indent=None, separators=(",", ":")).replace('},{"', '},\n{"') + "\n")
