"""Convolutions that are pooled at once, computed in an order in which pooling compares whole rows.

Of a convolution whose result only goes to max pooling over windows of q×q that do not overlap (a relu between them at
most) the places in a pooling window, its phases, are computed apart: the columns of the convolution's windows are
ordered by phase, then by pooling window, then by sample. So one matrix product gives all phases, their maximum is that
of q·q whole arrays, relu and its derivative work on what is left of them, and a layer after `Flatten` reads the result
as it lies there, as the transpose of a matrix with a column for each sample. The gradients of weight and bias, a last
row of ones in the columns, are one product with the same columns.

All of it is exact, ties and NaN included: max(relu(z)) is relu(max(z)); where that is positive the same elements reach
it, and where it is not the gradient is zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from ...core.define import define
from ...ops.layers.window import padded, sliding
from ..ir import Program, Step, Var
from .builder import Builder, Pattern

#: Bytes of columns up to which a whole batch is worth it: beyond, the convolution's own kernel makes them in parts.
MOST_BYTES = 1 << 25

_WHERE = ("stride", "padding", "dilation")

#: How many elements `_share_among_phases` looks at together, so that they stay in the cache.
_TOGETHER = 1 << 16


def _order_by_phase(
    x: Any,
    *,
    window: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    pool: Any,
    counts: Any,
    ones: bool,
    out: Any = None,
) -> Any:
    """What the windows of a convolution hold, a column for each: (channels·window, phases, pooling windows, batch).

    With `ones` a last row of them. What is apart by the same distance, of phase and place in the window together, is
    gathered once, one axis after the other, and then copied in whole blocks.
    """
    n = len(window)
    channels, size = x.shape[1], x.shape[0]
    if out is None:
        shape = (channels * prod(window) + ones, prod(pool), prod(counts), size)
        out = np.empty(shape, x.dtype)
    x = np.moveaxis(padded(x, padding), 0, -1)
    reaches = [(q - 1) * s + (k - 1) * d + 1 for q, s, k, d in zip(pool, stride, window, dilation)]
    for axis in range(n, 0, -1):  # (channels, reaches of later axes, space, batch)
        step = x.strides[n]
        lengths, strides = list(x.shape), list(x.strides)
        lengths[n], strides[n] = counts[axis - 1], step * pool[axis - 1] * stride[axis - 1]
        view = np.lib.stride_tricks.as_strided(
            x, (lengths[0], reaches[axis - 1], *lengths[1:]), (strides[0], step, *strides[1:])
        )
        x = np.ascontiguousarray(view)
    moved = x.strides[1 : 1 + n]
    blocks = np.lib.stride_tricks.as_strided(
        x,
        (channels, *window, *pool, *counts, size),
        (
            x.strides[0],
            *[m * d for m, d in zip(moved, dilation)],
            *[m * s for m, s in zip(moved, stride)],
            *x.strides[1 + n :],
        ),
    )
    rows = channels * prod(window)
    np.copyto(out[:rows].reshape(blocks.shape), blocks)
    if ones:
        out[rows] = 1
    return out


def _share_among_phases(g: Any, z: Any, largest: Any, *, out: Any = None) -> Any:
    """The gradient of the largest of several phases, which lie side by side in `z`, in equal shares to those that are.

    May write over `z`.
    """
    filters, count = g.shape
    out = np.empty_like(z) if out is None else out
    phases = z.shape[1] // max(count, 1)
    z, result = z.reshape(filters, phases, count), out.reshape(filters, phases, count)
    bits = np.dtype(f"i{z.itemsize}")
    rows = max(_TOGETHER // max(phases * count, 1), 1)
    for i in range(0, filters, rows):
        chosen = z[i : i + rows] == largest[i : i + rows, None]
        many = np.add.reduce(chosen.view(np.int8), 1, np.int8 if phases < 128 else np.int64)
        share = g[i : i + rows]
        if many.size and many.max() > 1:
            share = share / np.maximum(many, 1).astype(z.dtype)
        # Times 0 or 1 as integers: the element's bits, or 0 whatever it is.
        np.multiply(share.view(bits)[:, None], chosen, result[i : i + rows].view(bits))
    return out


def _in_place(g: Any, *, pool: Any, counts: Any, space: Any) -> Any:
    """Gradients of all phases where a convolution has them: (batch, filters, *space)."""
    n = len(pool)
    filters, size = g.shape[0], g.shape[1] // (prod(pool) * prod(counts))
    axes = (2 * n + 1, 0, *[axis for i in range(n) for axis in (1 + n + i, 1 + i)])
    whole = g.reshape(filters, *pool, *counts, size).transpose(axes)
    inner = whole.reshape(size, filters, *[m * q for m, q in zip(counts, pool)])
    out = np.zeros((size, filters, *space), g.dtype)
    reached: Any = (..., *[slice(length) for length in inner.shape[2:]])
    out[reached] = inner
    return out


order_by_phase = define(_order_by_phase, name="order_by_phase", differentiable=False)
share_among_phases = define(_share_among_phases, name="share_among_phases", differentiable=False)
in_place = define(_in_place, name="in_place", differentiable=False)


@dataclass
class Group:
    """A convolution, the relu that may follow, its pooling, and what of a backward pass belongs to them."""

    conv: Step
    relu: Step | None
    pool: Step
    pool_gradients: list[Step] = field(default_factory=list)  # where the gradient comes through the pooling
    gradients: list[Step] = field(default_factory=list)  # and through the relu too: that of the convolution's result
    columns: Any = None
    phases: Any = None
    largest: Any = None
    pooled: Any = None
    of_phases: Any = None
    products: Any = None

    def __post_init__(self) -> None:
        self.window = self.conv.inputs[1].shape[2:]
        self.size, self.filters, *counts = self.pool.out.shape
        self.counts = tuple(counts)
        self.rows = prod(self.conv.inputs[1].shape[1:])
        self.ones = self.conv.name == "conv"
        self.width = prod(self.counts) * self.size
        self.windows = self.pool.params["window"]
        self.dtype = self.conv.out.dtype

    # --- forward -----------------------------------------------------------------------------------------------------

    def pooling(self, builder: Builder, step: Step) -> Any:
        """What stands for the pooled result."""
        x, weight, *bias = (builder.substitute(v) for v in self.conv.inputs)
        height, phases = self.rows + self.ones, prod(self.windows)
        stride, padding, dilation = sliding(self.window, *(self.conv.params[key] for key in _WHERE))
        params: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
        params |= {"window": self.window, "pool": self.windows, "counts": self.counts, "ones": self.ones}
        ordered = builder.new.var((height, phases, prod(self.counts), self.size), self.dtype)
        (ordered,) = builder._add(Step(order_by_phase, (x,), params, (ordered,), step.line))
        self.columns = builder.reshape(ordered, (height, phases * self.width))
        matrix = builder.reshape(weight, (self.filters, self.rows))
        if bias:
            last = builder.reshape(bias[0], (self.filters, 1))
            matrix = builder.put("concat", (matrix, last), (self.filters, height), self.dtype, {"axis": 1})
        self.phases = builder.put("matmul", (matrix, self.columns), (self.filters, phases * self.width), self.dtype)
        grouped = builder.reshape(self.phases, (self.filters, phases, self.width))
        over = {"axis": 1, "keepdims": False}
        self.largest = builder.put("max", (grouped,), (self.filters, self.width), self.dtype, over)
        self.pooled = self.largest if self.relu is None else builder.add("maximum", self.largest, 0)
        n = len(self.counts)
        grouped = builder.reshape(self.pooled, (self.filters, *self.counts, self.size))
        axes = {"axes": (n + 1, *range(n + 1))}
        return builder.put("permute_dims", (grouped,), self.pool.out.shape, self.dtype, axes)

    def flattening(self, builder: Builder, step: Step) -> Any:
        """The pooled result with a row for each sample: the transpose of what there is."""
        matrix = builder.reshape(self.pooled, step.out.shape[::-1])
        return builder.put("matrix_transpose", (matrix,), step.out.shape, self.dtype)

    # --- backward ----------------------------------------------------------------------------------------------------

    def gradient(self, builder: Builder, step: Step) -> Any:
        """What stands for the gradient of the convolution's result."""
        (pool_gradients,) = self.pool_gradients
        g = self._by_phase(builder, builder.substitute(pool_gradients.inputs[0]))
        if self.relu is not None:
            positive = builder.add("greater", self.pooled, 0)
            g = builder.add("where", positive, g, 0)
        result = builder.new.var(self.phases.shape, self.dtype)
        (self.of_phases,) = builder._add(
            Step(share_among_phases, (g, self.phases, self.largest), {}, (result,), step.line)
        )
        result = builder.new.var(self.conv.out.shape, self.dtype)
        params = {"pool": self.windows, "counts": self.counts, "space": self.conv.out.shape[2:]}
        return builder._add(Step(in_place, (self.of_phases,), params, (result,), step.line))[0]

    def _by_phase(self, builder: Builder, g: Var) -> Any:
        """The gradient of the pooled result, with a row for each filter and samples last."""
        flat = builder.made_by(g, "reshape")
        height = self.filters * prod(self.counts)
        if flat is not None and flat.inputs[0].shape == (self.size, height):
            d = flat.inputs[0]
            product = builder.made_by(d, "matmul")
            if product is not None and all(type(v) is Var and len(v.shape) == 2 for v in product.inputs):
                a, b = (builder.transpose(v) for v in product.inputs)
                reversed_ = builder.put("matmul", (b, a), (height, self.size), self.dtype)
            else:
                reversed_ = builder.transpose(d)
            return builder.reshape(reversed_, (self.filters, self.width))
        n = len(self.counts)
        last = builder.put("permute_dims", (g,), (*g.shape[1:], self.size), self.dtype, {"axes": (*range(1, n + 2), 0)})
        return builder.reshape(last, (self.filters, self.width))

    def weights(self, builder: Builder, step: Step) -> Any:
        """The gradient of the weight."""
        result = self._products(builder)
        if self.ones:
            key = (slice(None), slice(0, self.rows))
            result = builder.put("index", (result,), (self.filters, self.rows), self.dtype, {"key": key})
        return builder.reshape(result, step.out.shape)

    def biases(self, builder: Builder, step: Step) -> Any:
        """The gradient of the bias."""
        key = (slice(None), self.rows)
        return builder.put("index", (self._products(builder),), (self.filters,), self.dtype, {"key": key})

    def _products(self, builder: Builder) -> Any:
        """The gradient of the weight and, in a last column, of the bias."""
        if self.products is None:
            inputs = (self.of_phases, builder.transpose(self.columns))
            self.products = builder.put("matmul", inputs, (self.filters, self.columns.shape[0]), self.dtype)
        return self.products


# --- finding them ----------------------------------------------------------------------------------------------------


def patterns_for(program: Program, patterns: dict[str, list[Pattern]]) -> dict[str, list[Pattern]]:
    """The patterns, and those that put another order in the place of what was found in a program."""
    instead: dict[Var, Pattern] = {}
    names: set[str] = set()
    for group in _groups(program):
        _put_instead(program, group, instead, names)
    if not instead:
        return patterns

    def replace(builder: Builder, step: Step) -> Any:
        result = instead.pop(step.outputs[0], None)
        return None if result is None else result(builder, step)

    return {**patterns, **{name: [replace, *patterns.get(name, [])] for name in names}}


def _groups(program: Program) -> list[Group]:
    users = program.users()
    producers = program.producers()
    needed = set(program.needed)
    groups = []
    for pool in program.steps:
        if pool.name != "max_pool" or not _is_disjoint(pool):
            continue
        source = producers.get(pool.inputs[0])
        relu = source if source is not None and source.name == "relu" else None
        conv = producers.get(relu.inputs[0]) if relu is not None else source
        if conv is None or conv.name not in ("conv", "conv_map") or not _is_plain(conv):
            continue
        group = Group(conv, relu, pool)
        if _is_closed(group, users, needed):
            groups.append(group)
    return groups


def _is_disjoint(pool: Step) -> bool:
    """Whether pooling windows do not overlap, and there is something to gain."""
    window = pool.params["window"]
    stride, padding, dilation = sliding(window, *(pool.params[key] for key in _WHERE))
    plain = stride == window and not any(map(any, padding)) and set(dilation) == {1}
    return plain and 1 < prod(window) < 64 and pool.out.size > 0


def _is_plain(conv: Step) -> bool:
    """Whether it is in one group, of one dtype, and its columns are no more than can lie about at once."""
    out = conv.out
    arrays = all(type(x) is Var and x.dtype == out.dtype for x in conv.inputs)
    if not arrays or conv.params["groups"] != 1 or out.dtype.char not in "fd":
        return False
    weight = conv.inputs[1]
    columns: int = weight.nbytes // weight.shape[0] * (out.size // out.shape[1])
    return columns <= MOST_BYTES


def _is_closed(group: Group, users: Any, needed: set[Var]) -> bool:
    """Whether all that reads the convolution's result is known; notes where its gradient passes."""
    conv, relu, pool = group.conv, group.relu, group.pool
    source = pool.inputs[0]
    if {conv.out, source} & needed or (relu is not None and set(users[conv.out]) != {relu}):
        return False
    masks: set[Var] = set()
    for user in users[source]:
        if user is pool:
            continue
        if user.name == "spread_to_maxima" and user.inputs[0] is not source and user.inputs[2] is pool.out:
            group.pool_gradients.append(user)
        elif relu is not None and user.name == "greater" and user.inputs[0] is source and _is_zero(user.inputs[1]):
            masks.add(user.out)
        else:
            return False
    if relu is None:
        group.gradients = list(group.pool_gradients)
    else:
        for result in [*(step.out for step in group.pool_gradients), *masks]:
            for user in users.get(result, ()):
                if not _is_rectifying(user, masks, group.pool_gradients) or result in needed:
                    return False
                if user not in group.gradients:
                    group.gradients.append(user)
    return len(group.pool_gradients) <= 1 and len(group.gradients) == len(group.pool_gradients)


def _is_rectifying(step: Step, masks: set[Var], pool_gradients: list[Step]) -> bool:
    """Whether a step is where(mask, gradient, 0)."""
    if step.name != "where":
        return False
    condition, x, y = step.inputs
    return condition in masks and any(x is s.out for s in pool_gradients) and _is_zero(y)


def _is_zero(x: Any) -> bool:
    value = x.value if type(x) is Var and x.kind == "constant" and not x.shape else x
    return type(value) is not Var and bool(value == 0)


def _put_instead(program: Program, group: Group, instead: dict[Var, Pattern], names: set[str]) -> None:
    def put(step: Step, pattern: Pattern) -> None:
        instead[step.out] = pattern
        names.add(step.name)

    put(group.pool, group.pooling)
    users = program.users()
    height = group.filters * prod(group.counts)
    for user in users.get(group.pool.out, ()):
        if user.name == "reshape" and user.out.shape == (group.size, height):
            put(user, group.flattening)
    over = (0, *range(2, 2 + len(group.counts)))
    settings = {key: group.conv.params[key] for key in (*_WHERE, "groups")}
    for gradient in group.gradients:
        put(gradient, group.gradient)
        for user in users.get(gradient.out, ()):
            if (
                user.name == "conv_weight"
                and user.inputs[0] is group.conv.inputs[0]
                and user.inputs[1] is gradient.out
                and user.params == settings | {"window": group.window}
            ):
                put(user, group.weights)
            elif (
                user.name == "sum"
                and group.ones
                and user.params["axis"] == over
                and not user.params["keepdims"]
                and user.params["dtype"] is None
            ):
                put(user, group.biases)
