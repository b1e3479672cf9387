"""What to write here for names that users of PyTorch know: a table, from which messages are made."""

from __future__ import annotations

from typing import Any, NoReturn


def _table(text: str) -> dict[str, str]:
    """Lines of names and, after a colon, what to write for them; ``{}`` stands for the name."""
    rows = (line.split(":", 1) for line in text.strip().splitlines())
    return {name: use.strip().replace("{}", name) for names, use in rows for name in names.split()}


#: Attributes of PyTorch's Tensor that ours lacks.
OF_TENSOR = _table("""
    add_ sub_ mul_ div_ copy_ fill_ zero_ clamp_ uniform_ normal_ relu_: with tg.no_grad(): t[...] = values
    masked_fill masked_fill_: tg.where(mask, value, t)
    cuda cpu contiguous is_cuda get_device pin_memory: nothing: arrays are on the CPU, as NumPy has them
    ceil floor trunc log1p log2 log10 exp2 expm1 sinh cosh reciprocal: tg.{}(t)
    logsumexp amax amin count_nonzero flip: tg.{}(t, axis=...)
    cumprod tril triu roll tile moveaxis broadcast_to outer maximum minimum: tg.{}(t, ...)
    nonzero isnan isinf isfinite: tg.{}(t)
    add: t + other
    sub: t - other
    mul: t * other
    div: t / other
    pow: t ** power
    matmul mm bmm mv: t @ other
    eq: t == other
    ne: t != other
    gt: t > other
    ge: t >= other
    lt: t < other
    le: t <= other
    neg: -t
    bool: t.astype(bool)
    byte: t.astype(tg.uint8)
    half: t.astype(tg.float16)
    int: t.astype(tg.int32)
    long: t.astype(tg.int64)
    type: t.dtype or t.astype(dtype)
    type_as: t.astype(other.dtype)
    dim ndimension: t.ndim
    numel nelement: t.size
    expand: tg.broadcast_to(t, shape)
    expand_as: tg.broadcast_to(t, other.shape)
    view_as reshape_as: t.reshape(other.shape)
    t: t.T
    chunk: tg.array_split(t, parts, axis)
    split: tg.split(t, parts, axis), which takes how many parts or where to cut, not their length
    unbind: tg.unstack(t, axis=axis)
    repeat_interleave: t.repeat(counts, axis)
    gather: tg.take_along_axis(t, indices, axis)
    index_select: tg.take(t, indices, axis)
    masked_select: t[mask]
    scatter scatter_: tg.index_update(t, index, values)
    select: an index, such as t[:, i] for axis 1
    topk: tg.argsort(t)[..., -k:], and tg.take_along_axis for the values
    norm: tg.linalg.norm(t, axis=...)
    new_ones: tg.ones(shape, dtype=t.dtype)
    new_zeros: tg.zeros(shape, dtype=t.dtype)
    grad_fn: t.op
""")

#: Names of the module torch that ours lacks.
OF_MODULE = _table("""
    cat: tg.concat(tensors, axis=axis)
    from_numpy as_tensor: tg.asarray(data)
    rand randn randint randperm bernoulli normal: tg.random.{}(...)
    rand_like randn_like: tg.random.rand(*t.shape) or tg.random.randn(*t.shape)
    device cuda backends set_num_threads: nothing: arrays are on the CPU, as NumPy has them
    Generator: tg.random.default_rng(seed)
    FloatTensor: tg.tensor(data, dtype=tg.float32)
    LongTensor: tg.tensor(data, dtype=tg.int64)
    Size: tuple
    float: tg.float32
    double: tg.float64
    half: tg.float16
    int: tg.int32
    long: tg.int64
    set_default_dtype: dtype= where a Tensor is made
    is_tensor: isinstance(x, tg.Tensor)
    inference_mode: tg.no_grad()
    set_grad_enabled: tg.enable_grad() or tg.no_grad()
    clamp: tg.clip(t, min, max)
    clone: tg.copy(t)
    detach: t.detach()
    permute: tg.permute_dims(t, axes)
    unsqueeze: tg.expand_dims(t, axis=axis)
    autograd: tg.grad, and tg.op for functions of your own
    func: tg.grad, tg.jacobian, tg.hessian, tg.jvp, tg.vjp
    utils: tg.data
""")

#: Settings that have NumPy's names here.
OF_SETTING = {"dim": "axis", "keepdim": "keepdims"}


class Hint:
    """A name that a class lacks: reading or setting it raises `AttributeError`, which says what to write instead.

    It stands in the class, as a `__getattr__` would slow every look-up of an attribute that may be missing.
    """

    def __init__(self, name: str, use: str) -> None:
        self.message = f"Tensor has no {name!r}; here write {use}"

    def __get__(self, tensor: Any, owner: type | None = None) -> NoReturn:
        raise AttributeError(self.message)

    def __set__(self, tensor: Any, value: Any) -> NoReturn:
        raise AttributeError(self.message)


def add_hints(cls: type) -> None:
    """Let a class of Tensors say what to write for the names that it lacks."""
    for name, use in OF_TENSOR.items():
        setattr(cls, name, Hint(name, use))


def for_module(name: str) -> str:
    """What to add to the message that the package has no such name."""
    use = OF_MODULE.get(name) or OF_TENSOR.get(name)
    return f"; here write {use}" if use else ""


def for_setting(name: str) -> str:
    """What to add to the message that there is no such setting."""
    return f"; {name!r} is called {OF_SETTING[name]!r} here" if name in OF_SETTING else ""
