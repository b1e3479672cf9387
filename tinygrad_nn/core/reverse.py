"""The reverse pass: gradients carried from results back to what they were made from, newest node first."""

from __future__ import annotations

from _thread import RLock
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from .adjoint import keep_zeros, nothing, sum_to
from .define import Op, Parts, part
from .dispatch import record_part
from .errors import show, statistics
from .graph import FREED, SMALL, Node, Recorded, Spec, StandIn, describe, mode, modes, reachable, switch
from .values import alias_of, plain_tensor, tensor_at

_delivering = RLock()

float64 = np.float64
ndarray = np.ndarray


def reverse(
    seeds: Mapping[Node, Any],
    *,
    targets: Sequence[Node] | None = None,
    retain_graph: bool = False,
    record: bool = False,
    since: int = 0,
) -> dict[Node, Any]:
    """Gradients of `targets`, each as if nothing lay behind it; if None, of all leaves and nodes that retain theirs.

    With `record` the rules run on Tensors, so that the gradients can be differentiated again; so they do where the
    graph goes further back than the creation number `since`, beyond which the pass does not look: then something
    outside takes part, which may be differentiated later. A pass without `retain_graph` lets go of the saved values; a
    later one that needs them raises a RuntimeError before anything is computed.
    """
    cut = frozenset(targets or ())
    order, older = reachable(seeds, since, cut)
    record = record or (older and modes.recording)
    wanted = None
    if targets is not None:
        wanted = set(targets)
        for node in order:  # what was made from a wanted node is wanted too
            if not wanted.isdisjoint(node.inputs):
                wanted.add(node)
        order = [node for node in order if node in wanted]
    for node in order:
        if node.a is FREED and node not in cut:
            raise RuntimeError(stale(node))
    grads = dict(seeds)
    for node, seed in seeds.items():
        if record is not isinstance(seed, Recorded):
            grads[node] = plain_tensor(seed) if record else seed._value
        if switch.active:
            grads[node] = modes.store.constant(grads[node])
    if not record:
        return _run(order, grads, wanted, cut, retain_graph, record)
    with mode("recording", True):
        return _run(order, grads, wanted, cut, True, record)


@np.errstate(all="ignore")  # the forward run has warned; a derivative may be infinite where nothing flows
def _run(
    order: list[Node],
    grads: dict[Node, Any],
    wanted: set[Node] | None,
    targets: frozenset[Node],
    keep: bool,
    record: bool,
) -> dict[Node, Any]:
    """Visit nodes from the newest to the oldest; written out in one loop, as a call per node would cost a tenth."""
    results: dict[Node, Any] = {}
    own: set[Node] = set()  # nodes whose gradient is a sum made here, which may be added to in place
    keeping = watching = False
    if switch.active:
        keeping = modes.keeping
        watching = modes.anomaly or modes.store.compiling
    while order:
        node = order.pop()
        g = grads.pop(node, None)
        if g is None:  # nothing flowed here: an input that no rule passes on to
            continue
        if node in targets:
            results[node] = g
            continue
        extra = node.extra
        if extra is not None:
            if "hooks" in extra:
                g = _run_hooks(node, extra["hooks"], g, record)
            if "retain" in extra:
                results[node] = g
        op = node.op
        if op is None:
            results[node] = g
            continue
        sources: Any = node.x
        args: Any = node.a
        if type(sources) is not tuple:
            y = node.y
            if y is None:
                sources = (sources,)
                args = (args,)
            else:
                sources = (sources, y)
                args = (args, node.b)
        rules: Any = op.rules
        out = node.value
        if record or rules is None or type(out) is tuple:
            g, args, out, rules = _open(op, node, wanted, g, record)
        elif type(g) is not ndarray or g.size <= SMALL or keeping:
            node.grad = g  # for drawings
        params = node.params
        for source, rule in zip(sources, rules):
            if type(source) is not Node or rule is None or (wanted is not None and source not in wanted):
                continue
            r = rule(g, out, *args) if params is None else rule(g, out, *args, **params)
            value = source.value
            if type(r) is float64 and type(value) is float64:  # the common scalar has its shape and dtype already
                if op.singular and not isfinite(r):
                    r = keep_zeros(g, r)
            else:
                if op.singular and not (type(r) is ndarray and isfinite(abs((flat := r.ravel()).dot(flat)))):
                    r = keep_zeros(g, r)
                if record or type(r) is not ndarray or r.dtype is not value.dtype or r.shape != value.shape:
                    r = conform(r, value, op, record)
            if watching:
                r = _watch(node, source, r)
            if source not in grads:
                grads[source] = r
            elif source in own:
                grads[source] += r
            else:
                grads[source] = grads[source] + r
                if not record and type(r) is ndarray:
                    own.add(source)
        if not keep:
            node.a = FREED
            node.b = None
            if type(out) is ndarray:
                if out.size > SMALL and not keeping:
                    node.value = Spec(out.shape, out.dtype)
            elif type(out) is tuple:
                node.value = tuple(map(describe, out))
            elif watching and isinstance(out, StandIn):
                node.value, node.grad = Spec(out.shape, out.dtype), None
    return results


def _open(op: Op, node: Node, wanted: set[Node] | None, g: Any, record: bool) -> tuple[Any, Any, Any, Any]:
    """Gradient, inputs, result and rules of the rarer kinds of node: recorded passes, joint rules, several results."""
    args: Any = node.args
    out = node.value
    several = type(out) is tuple
    if not several:
        value = g._value if record else g
        if value.size <= SMALL:
            node.grad = value
    else:
        g = tuple(
            nothing(value.shape, value.dtype) if piece is None else piece for piece, value in zip(g, out, strict=True)
        )
    if record:
        args, out = args_as_tensors(node)
    if op.joint is None:
        if op.rules is None:
            raise RuntimeError(
                f"{op.name} has no derivatives, so no gradient can pass through it; give them with "
                f"{op.name}.derivatives(...), or cut the graph there with tg.stop_gradient"
            )
        return g, args, out, op.rules
    needed = tuple(type(source) is Node and (wanted is None or source in wanted) for source in node.inputs)
    results = op.joint(needed, g, out, *args, **(node.params or {}))
    if len(results) != len(needed):
        raise RuntimeError(f"the joint derivative of {op.name} gave {len(results)} gradients for {len(needed)} inputs")
    return g, args, out, [None if r is None or not n else _Computed(r) for r, n in zip(results, needed, strict=True)]


class _Computed:
    """A gradient that a joint rule computed already, in the form of a rule for one input."""

    __slots__ = ("gradient",)

    def __init__(self, gradient: Any) -> None:
        self.gradient = gradient

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self.gradient


#: Types of what an input's value is when no rule reads it, and of an op's several results together.
_UNREAD = (Spec, type(None), tuple)


def args_as_tensors(node: Node) -> tuple[list[Any], Any]:
    """Inputs and result as Tensors that stand at their places in the graph, for a rule that is to be recorded."""
    args = [
        value if not isinstance(source, Node) or type(value) in _UNREAD else tensor_at(source, value)
        for source, value in zip(node.inputs, node.args)
    ]
    out = node.value
    if type(out) is tuple:
        whole = tensor_at(node, out)
        out = tuple([_part_at(whole, i, value) for i, value in enumerate(out)])
    elif type(out) is not Spec:
        out = tensor_at(node, out)
    return args, out


def _part_at(whole: Any, index: int, value: Any) -> Any:
    """One of several results, as a Tensor at its place in the graph if it has a derivative."""
    if type(value) is Spec:
        return value
    if isinstance(value, StandIn):  # a variable of its own in the program
        return record_part(whole._node, index, value)
    return part(whole, index=index) if value.dtype.kind in "fc" else plain_tensor(value)


def conform(r: Any, value: Any, op: Op, record: bool = False) -> Any:
    """A rule's result in the shape and dtype of the input it belongs to: broadcasting undone, precision restored."""
    if type(r) is Parts:
        return r
    if isinstance(r, Recorded):
        have = r._value
    elif isinstance(r, ndarray | np.generic | StandIn):
        have = r
    elif isinstance(r, int | float):
        have = value.dtype.type(r)
    else:
        raise RuntimeError(f"a derivative of {op.name} gave {type(r).__name__}, not an array")
    if not record:
        r = have
    elif not isinstance(r, Recorded):
        r = plain_tensor(have)
    if have.shape != value.shape:
        if not _broadcasts_to(value.shape, have.shape):
            raise RuntimeError(
                f"a derivative of {op.name} gave shape {have.shape} for an input of shape {value.shape}; "
                "a rule gives the input's shape, or that of the result it was broadcast to"
            )
        r = sum_to.kernel(r, shape=value.shape) if type(r) is ndarray else sum_to(r, shape=value.shape)
    if have.dtype != value.dtype:
        if have.dtype.kind == "c" or value.dtype.kind != "f":
            raise TypeError(
                f"a derivative of {op.name} gave {have.dtype} for an input of {value.dtype}: gradients are defined for "
                "real floating-point Tensors; take the real part, or convert with astype"
            )
        r = r.astype(value.dtype)
    return r


def _broadcasts_to(shape: tuple[int, ...], larger: tuple[int, ...]) -> bool:
    if not shape:
        return True
    if len(shape) > len(larger):
        return False
    tail = larger[-len(shape) :]
    return tail == shape or all(a == b or a == 1 for a, b in zip(shape, tail))


def _run_hooks(node: Node, hooks: dict[int, Any], g: Any, record: bool) -> Any:
    """Pass a gradient by the hooks of its Tensor; each may give another in its place."""
    for hook in tuple(hooks.values()):
        result = hook(alias_of(g) if record else plain_tensor(g))
        if result is not None:
            value = node.value
            result = result if isinstance(result, Recorded) else plain_tensor(np.asarray(result))
            if result.shape != value.shape:
                raise ValueError(
                    f"a gradient hook on {label(node)} gave shape {result.shape}; the gradient has shape {value.shape}"
                )
            g = result.astype(value.dtype)
            g = g if record else g._value
    return g


def label(node: Node) -> str:
    """How a message names a node: by its name, what made it, and its shape."""
    name = (node.extra or {}).get("name")
    named = f"{name!r}, " if name else ""
    if node.op and isinstance(node.value, tuple):  # several results
        return f"{named}the results of {node.op.name} of shapes {', '.join(str(x.shape) for x in node.value)}"
    source = f"the result of {node.op.name}" if node.op else "the leaf"
    return f"{named}{source} of shape {node.value.shape}"


def stale(node: Node) -> str:
    return (
        f"cannot differentiate through {label(node)} a second time: an earlier backward() let go of values that its "
        "derivative needs; pass retain_graph=True to that earlier call, or compute the result anew"
    )


def _watch(node: Node, source: Node, r: Any) -> Any:
    """What the rarer modes do with each gradient: name it in a recorded program, or raise where it is not finite."""
    r = modes.store.passed(source, r)
    value = r._value if isinstance(r, Recorded) else r
    if modes.anomaly and type(value) is not Parts and not np.all(np.isfinite(value)):
        line = (node.extra or {}).get("source", "unknown line (recorded outside detect_anomaly)")
        assert node.op is not None
        raise FloatingPointError(
            f"the derivative of {node.op.name} gave {statistics(value)}, for a result of {show(node.value)}\n"
            f"  recorded at {line}"
        )
    return r


def seeds_of(outs: Sequence[Any], gradients: Sequence[Any]) -> dict[Node, Any]:
    """Where a pass starts, for several results: the gradients of one that stands there twice are added."""
    seeds: dict[Node, Any] = {}
    for out, gradient in zip(outs, gradients, strict=True):
        node = out._node if isinstance(out, Recorded) else None
        if node is not None and gradient is not None:
            seeds[node] = seeds[node] + gradient if node in seeds else gradient
    return seeds


def ones_seed(node: Node) -> Any:
    """The gradient of a scalar with respect to itself."""
    dtype = node.value.dtype
    return dtype.type(1) if node.value.shape == () else np.ones(node.value.shape, dtype)


def backward(tensor: Any, gradient: Any = None, *, retain_graph: bool = False, create_graph: bool = False) -> None:
    """Carry gradients from `tensor` to all leaves that require them; see `Tensor.backward`."""
    node = tensor._node
    if node is None:
        raise RuntimeError(
            "backward() on a Tensor that recorded nothing: no input requires gradients "
            "(make one with requires_grad=True), or it was computed under no_grad() or detached"
        )
    value = tensor._value
    if value.dtype.kind != "f":
        raise TypeError(f"backward() on a Tensor of dtype {value.dtype}: only real floating-point ones have gradients")
    if gradient is None:
        if value.size != 1:
            raise RuntimeError(
                f"backward() on a Tensor of shape {value.shape} needs the gradient to start from: reduce it to a scalar"
                " (.sum() or .mean()), or give backward(gradient) of that shape"
            )
        seed = ones_seed(node)
    else:
        seed = check_gradient(gradient, tensor, "backward")
    gradients = reverse({node: seed}, retain_graph=retain_graph, record=create_graph)
    shared: set[int] = set()
    with _delivering:  # several passes at once, in other threads, may add to one leaf
        for target, g in gradients.items():
            holder = target.tensor()
            if holder is None:
                continue
            if create_graph:
                holder._accumulate(alias_of(g))
                continue
            if type(g) is not ndarray or g.base is not None or id(g) in shared:
                g = unshared(g, shared)
            else:
                shared.add(id(g))
            holder._accumulate(plain_tensor(g))


def unshared(g: Any, shared: set[int]) -> Any:
    """The gradient in an array of its own: views, and arrays that were handed out before (`shared`), are copied."""
    if type(g) is ndarray:
        if g.ndim == 0:
            return g[()]
        if g.base is not None or id(g) in shared:
            g = g.copy()
        shared.add(id(g))
    return g


def check_gradient(gradient: Any, tensor: Any, caller: str) -> Any:
    """A gradient given by the user: of the Tensor's shape and dtype, and sharing memory with nothing of the user's."""
    shape, dtype = tensor.shape, tensor.dtype
    if isinstance(gradient, StandIn):
        pass
    elif not isinstance(gradient, Recorded):
        weak = isinstance(gradient, int | float) and not isinstance(gradient, np.generic)
        gradient = np.array(gradient, dtype if weak else None)[()]
    elif gradient._node is None:
        gradient = gradient._value.copy()
    if gradient.shape != shape:
        raise ValueError(f"{caller}: the gradient has shape {gradient.shape}, the Tensor {shape}; both must agree")
    if gradient.dtype != dtype:
        raise TypeError(
            f"{caller}: the gradient has dtype {gradient.dtype}, the Tensor {dtype}; convert it with .astype({dtype})"
        )
    return gradient
