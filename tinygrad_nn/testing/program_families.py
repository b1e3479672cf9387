"""The kinds of steps that random programs are made of, as templates of Python lines.

In braces stand: ``a``, ``b`` floating values of before, ``i`` one of integers, ``f`` a number; ``c`` a constant,
``axis`` one of `a`; ``v`` and ``u`` names for what is made, ``m`` a layer that is made once; ``shape``, ``size``, ``n``
(the last axis) and ``rows`` (the first) of `a`. A template that does not fit the shapes of `a` and `b` is tried with
others. Comparisons are shifted by a constant, away from where values that differ by rounding alone would meet.
"""

from __future__ import annotations

from typing import NamedTuple


class Family(NamedTuple):
    """One kind of step: lines of the body, and of what is made once before it."""

    name: str
    body: str
    setup: str = ""


def _families(group: str, *bodies: str) -> list[Family]:
    return [Family(f"{group}: {body}", body) for body in bodies]


def _layers(*pairs: tuple[str, str]) -> list[Family]:
    """A module and its call, which must fit `a`."""
    return [Family(f"layer: {result}", call, f"{{m}} = {result}\nmodules.append({{m}})") for result, call in pairs]


FAMILIES: list[Family] = [
    *_families(
        "operator",
        "{v} = {a} + {b}",
        "{v} = {a} - {b}",
        "{v} = {a} * {b}",
        "{v} = {a} / (tg.square({b}) + 1)",
        "{v} = -{a} * {b} + {a}",
        "{v} = {c} - {a}",
        "{v} = {a} * {f} + {c}",
        "{v} = {a} ** 2 + {a} ** 3",
        "{v} = (tg.square({a}) + 1) ** -0.5",
        "{v} = {a} + {a} + {a}",
        "{v} = {a} * {i}",
        "{v} = {c} ** {a}",
        "{v} = abs({a} - {c})",
        "{v} = {a} % 1.7 + {a} // 1.3",
    ),
    *_families(
        "elementwise",
        "{v} = tg.exp(tg.sin({a}))",
        "{v} = tg.log(tg.square({a}) + {c})",
        "{v} = tg.sqrt({a} * {a} + 0.5)",
        "{v} = tg.sigmoid({a})",
        "{v} = -tg.tanh({a}) * tg.tanh({a})",
        "{v} = tg.log(tg.sigmoid({a}))",
        "{v} = tg.softplus({a}) - tg.expm1(-tg.square({a}))",
        "{v} = tg.relu({a} + {c})",
        "{v} = tg.clip({a}, -{c}, {c})",
        "{v} = tg.arctan2({a}, tg.square({b}) + 1)",
        "{v} = tg.hypot({a}, {b} * {b} + 1)",
        "{v} = tg.logaddexp({a}, {b})",
        "{v} = tg.maximum({a}, {b} + {c})",
        "{v} = tg.minimum({a} - {c}, {b})",
        "{v} = tg.floor({a} * 2 + {c}) * {a}",
        "{v} = tg.sign({a} - {c}) * {b}",
        "{v} = tg.cbrt({a} + 2) + tg.cos({a})",
        "{v} = F.gelu({a}) + F.silu({a})",
        "{v} = tg.stop_gradient({a}) * {a}",
    ),
    *_families(
        "choice",
        "{v} = tg.where({a} > {c}, {a}, {b})",
        "{v} = tg.where({a} > {c}, tg.log(tg.maximum({a}, 0.0)), {a} * 0.5)",
        "{v} = ({a} > {c}) & ({a} < 1.25)",
        "{v} = ({a} <= {c}) * {a}",
        "{v} = tg.where({i} > 1, {a}, -{a})",
    ),
    *_families(
        "reduction",
        "{v} = tg.sum({a}, axis={axis})",
        "{v} = {a} - tg.mean({a}, axis={axis}, keepdims=True)",
        "{v} = tg.logsumexp({a}, axis={axis})",
        "{v} = tg.max({a}, axis={axis})",
        "{v} = tg.min({a})",
        "{v} = tg.var({a}, axis={axis}) + tg.std({a} + {c})",
        "{v} = tg.prod({a}, axis={axis})",
        "{v} = tg.softmax({a}, axis={axis})",
        "{v} = tg.log_softmax({a}, axis={axis})",
        "{v} = tg.cumulative_sum({a}, axis={axis})",
        "{v} = tg.argmax({a}, axis={axis})",
        "{v} = tg.sort({a}, axis={axis})",
        "{v} = tg.linalg.vector_norm({a}, axis={axis})",
    ),
    *_families(
        "product",
        "{v} = {a} @ {b}",
        "{v} = {a} @ {b}.T",
        "{v} = {a}.T @ {b}",
        "{v} = tg.einsum('ij,kj->ik', {a}, {b})",
        "{v} = tg.outer({a}, {b})",
        "{v} = tg.tensordot({a}, {b}, axes=1)",
    ),
    *_families(
        "shape",
        "{v} = {a}.reshape(-1)",
        "{v} = {a}.T",
        "{v} = tg.expand_dims({a}, axis=0)",
        "{v} = tg.squeeze({a}[None], axis=0) * 2",
        "{v} = tg.broadcast_to({a}, (2, *{shape}))",
        "{v} = tg.stack([{a}, {b}, {a}])",
        "{v} = tg.concat([{a}, {b}])",
        "{v} = tg.flip({a}, axis={axis})",
        "{v} = tg.roll({a}, 1, axis={axis})",
        "{v} = tg.repeat({a}, 2, axis={axis})",
        "{v} = tg.tile({a}, 2)",
        "{v} = tg.pad({a}, 1)",
        "{v} = tg.tril({a}) + tg.diag({a}[0])",
        "{v}, {u} = tg.split({a}, 2)",
        "{v} = {a}.astype(np.float32) * {a}.astype(np.float64)",
        "{v} = tg.permute_dims({a}, tuple(range({a}.ndim))[::-1])",
    ),
    *_families(
        "index",
        "{v} = {a}[0]",
        "{v} = {a}[1:] - {a}[:-1]",
        "{v} = {a}[::-1]",
        "{v} = {a}[..., 0] + {a}[..., -1]",
        "{v} = {a}[[0, -1, 0]]",
        "{v} = {a}[:, None]",
        "{v} = tg.take({a}, {i}, axis=0)",
        "{v} = {a}[{i}]",
        "{v} = tg.index_update({a}, {c}, 0)",
        "{v} = tg.take_along_axis({a}, tg.argsort({a}, axis={axis}), axis={axis})",
    ),
    *_families(
        "write",
        "{v} = {a} * 1\n{v}[0] = {b}",
        "{v} = {a} * 1\n{v} += {b}",
        "{v} = {a} + 0\n{v}[..., -1] *= 2",
        "{v} = {a} + 0.0\n{u} = {v}\n{u} *= 0.5",
        "{v} = {a} * 2\n{u} = {v} + {b}\n{v} -= {c}",
        "{v} = [{a} + 0.0]\n{v}[0] += 1.5\n{v} = {v}[0]",
    ),
    *_families(
        "loss",
        "{v} = F.mse_loss({a}, tg.stop_gradient({b}))",
        "{v} = F.l1_loss({a}, {b} + {c})",
        "{v} = F.huber_loss({a}, {b})",
        "{v} = F.binary_cross_entropy_with_logits({a}, tg.stop_gradient(tg.sigmoid({b})))",
        "{v} = F.binary_cross_entropy(tg.sigmoid({a}), tg.stop_gradient(tg.sigmoid({b})))",
        "{v} = F.cross_entropy({a}, {i})",
        "{v} = F.nll_loss(tg.log_softmax({a}, axis=1), {i})",
        "{v} = F.kl_div(tg.log_softmax({a}, axis=-1), tg.stop_gradient(tg.softmax({b}, axis=-1)))",
        "{v} = F.smooth_l1_loss({a}, tg.stop_gradient({b}), reduction='sum')",
        "{v} = F.one_hot({i}, 3) * {c}",
    ),
    *_families(
        "control",
        "_, {v} = tg.scan(lambda s, x: (tg.tanh(s + x), s * x), {a}[0], {a})",
        "{v} = tg.cond(tg.sum({a}) > {c}, lambda x: x * 2, lambda x: tg.sin(x), {a})",
        "{v} = tg.while_loop(lambda s: tg.sum(s * s) > 0.5, lambda s: s * 0.6, {a})",
        "{v} = {a}\nfor j in range(3):\n    {v} = tg.tanh({v} + {c} * j)",
        "{v} = tg.checkpoint(lambda x: tg.sin(x) * x)({a})",
        "with tg.no_grad():\n    {u} = {a} * {c}\n{v} = {a} * {u}",
        "{v} = tg.grad(lambda t: tg.sum(tg.sin(t) * t))({a})",
    ),
    *_layers(
        ("nn.Linear({n}, 3)", "{v} = {m}({a})"),
        ("nn.Sequential(nn.Linear({n}, 4), nn.ReLU(), nn.Linear(4, 2))", "{v} = {m}({a} + {c})"),
        ("nn.LayerNorm({n})", "{v} = {m}({a})"),
        ("nn.BatchNorm1d({n})", "{v} = {m}({a})"),
        ("nn.RMSNorm({n})", "{v} = {m}({a})"),
        ("nn.Dropout(0.4)", "{v} = {m}({a})"),
        ("nn.Embedding(3, 4)", "{v} = {m}({i})"),
        ("nn.RNN({n}, 3)", "{v}, _ = {m}({a})"),
        ("nn.LSTM({n}, 2)", "{v}, _ = {m}({a})"),
        ("nn.GRU({n}, 2)", "{v}, _ = {m}({a})"),
        ("nn.Conv1d({rows}, 2, 3, padding=1)", "{v} = {m}({a}[None])"),
        ("nn.Conv2d(1, 2, 2)", "{v} = {m}({a}[None, None])"),
        ("nn.MaxPool1d(2)", "{v} = {m}({a}[None])"),
        ("nn.AvgPool2d(2)", "{v} = {m}({a}[None, None])"),
        ("nn.PReLU()", "{v} = {m}({a} + {c})"),
        ("nn.MultiheadAttention({n}, 1)", "{v}, _ = {m}({a}[None], {a}[None], {a}[None])"),
    ),
]

#: The optimizers of training steps.
OPTIMIZERS = (
    "SGD(parameters, lr=0.05)",
    "SGD(parameters, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01)",
    "Adam(parameters, lr=0.02)",
    "AdamW(parameters, lr=0.02, amsgrad=True)",
    "RMSprop(parameters, lr=0.01, momentum=0.5, centered=True)",
    "Adagrad(parameters, lr=0.05)",
    "Adadelta(parameters)",
    "Adamax(parameters, lr=0.02)",
    "NAdam(parameters, lr=0.02)",
    "RAdam(parameters, lr=0.02)",
    "Rprop(parameters, lr=0.01)",
)
