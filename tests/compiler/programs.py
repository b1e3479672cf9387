"""Random programs as source text, and helpers that compare what is compiled with what is not."""

from dataclasses import dataclass
from sys import getrefcount

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn.compiler import ir as programs
from tinygrad_nn.compiler.call import MISS
from tinygrad_nn.compiler.compiled import make_entry
from tinygrad_nn.compiler.rewrite.simplify import rewritten, simplify
from tinygrad_nn.compiler.trace.recording import record
from tinygrad_nn.core.tree import flatten

#: Relative to the largest number around: sums in another order, and what a few steps make of that.
TOLERANCE = {"e": 2e-2, "f": 1e-4, "d": 1e-9, "F": 1e-4, "D": 1e-9}

#: Numbers beyond are squashed, so that programs stay well conditioned.
LARGEST = 30.0

# --- random programs -------------------------------------------------------------------------------------------------

#: Templates of elementwise steps. Those with a kink or a jump are shifted away from where equal values meet.
UNARY = [
    "-{a}",
    "tg.sin({a})",
    "tg.cos({a})",
    "tg.tanh({a})",
    "tg.sigmoid({a})",
    "tg.exp(tg.tanh({a}))",
    "tg.log(tg.square({a}) + 1)",
    "tg.sqrt({a} * {a} + 0.5)",
    "tg.softplus({a})",
    "tg.log(tg.sigmoid({a}))",
    "tg.square({a})",
    "{a} ** 2",
    "(tg.square({a}) + 1) ** -1",
    "1 / (2 + tg.cos({a}))",
    "{a} * 1.0",
    "{a} * 0",
    "2 * {a}",
    "{a} * 3 * 0.5",
    "-(-{a} * 1.5)",
    "1 - {a}",
    "{a} - 0.0",
    "{a} / 3",
    "{a} + 0.25",
    "tg.relu({a} + 0.0123)",
    "abs({a} - 0.0371)",
    "tg.leaky_relu({a} - 0.0519)",
    "tg.clip({a}, -1.0123, 1.0456)",
    "tg.where({a} > 0.0317, {a}, 0.0)",
    "tg.where({a} > 0.0711, tg.log(tg.maximum({a}, 0.0)), {a} * 0.5)",
    "tg.where({a} > 0.0853, tg.sqrt({a}), 0)",
    "{a}.astype(np.float64)",
    "{a}.astype(np.float32)",
    "tg.stop_gradient({a})",
    "{a} * tg.asarray(np.float32(1.25))",
]
BINARY = [
    "{a} + {b}",
    "{a} - {b}",
    "{a} * {b}",
    "{a} / (tg.square({b}) + 1)",
    "tg.maximum({a}, {b} + 0.0119)",
    "tg.minimum({a} - 0.0273, {b})",
    "tg.hypot({a}, {b} * {b} + 1)",
    "tg.logaddexp({a}, {b})",
    "tg.arctan2({a}, tg.square({b}) + 1)",
    "tg.where({a} > {b} + 0.0433, {a}, {b})",
    "tg.where({a} > 0.0199, {b}, 0.5)",
    "{a} + -{b}",
    "-{a} + {b}",
    "{a} * {b} * {b}",
    "(tg.sigmoid({a}) - {b}) * 0.5",
]
REDUCTIONS = [
    "tg.sum({a}, axis={axis}, keepdims={keep})",
    "tg.mean({a}, axis={axis}, keepdims={keep})",
    "tg.logsumexp({a}, axis={axis}, keepdims={keep})",
    "tg.max({a}, axis={axis}, keepdims={keep})",
    "tg.var({a}, axis={axis}, keepdims={keep})",
    "tg.prod({a}, axis={axis}, keepdims={keep})",
]
ALONG = [
    "tg.softmax({a}, axis={i})",
    "tg.log_softmax({a}, axis={i})",
    "tg.log(tg.softmax({a}, axis={i}))",
    "tg.flip({a}, axis={i})",
    "tg.concat([{a}, {a}], axis={i})",
    "tg.cumulative_sum({a}, axis={i})",
    "tg.expand_dims({a}, axis={i})",
    "tg.take({a}, np.array([0, -1, 0]), axis={i})",
    "tg.roll({a}, 1, axis={i})",
]
WHOLE = [
    "{a}.reshape(-1)",
    "{a}.T",
    "tg.permute_dims({a}, {order})",
    "tg.stack([{a}, {a}])",
    "tg.broadcast_to({a}, {broad})",
    "tg.sum(tg.broadcast_to({a}, {broad}), axis=0)",
    "tg.squeeze({a}[None], axis=0)",
    "{a}[...]",
    "{a}[None]",
    "{a} + np.full({shape}, 0.25, {a}.dtype)",
    "{a} * np.linspace(-1, 1, {size}, dtype={a}.dtype).reshape({shape})",
]
INDEXED = [
    "{a}[0]",
    "{a}[-1]",
    "{a}[1:]",
    "{a}[::-1]",
    "{a}[::2]",
    "{a}[..., 0]",
    "{a}[..., None, 0]",
    "{a}[[0, -1, 0]]",
    "{a}[np.array([[0], [-1]])]",
    "tg.concat([{a}[:1] * 2, {a}[1:]])",
]
PRODUCTS = ["{a} @ {b}", "{a} @ {b}.T", "{a}.T @ {b}", "tg.tanh({a}) @ tg.tanh({b}.T)"]
TOGETHER = [
    "tg.concat([{a}, {b}])",
    "tg.stack([{a}, {b}, {a}])",
    "nn.functional.mse_loss({a}, {b})",
    "nn.functional.binary_cross_entropy_with_logits({a}, tg.sigmoid({b}))",
    "nn.functional.binary_cross_entropy(tg.sigmoid({a}), tg.sigmoid({b}))",
]
WRITES = ["{v} = {a} * 1\n    {v}[0] = {b}", "{v} = {a} * 1\n    {v} += {b}", "{v} = {a} + 0\n    {v}[..., -1] *= 2"]


@dataclass
class Program:
    """A random function: source text of its body, and shapes and dtypes of its inputs.

    Attributes
    ----------
    source : str
        Defines ``f``.
    specs : list of (tuple, str)
        Shape and dtype of each input; the kind ``"float"`` is a Python number.
    """

    source: str
    specs: list

    def __post_init__(self):
        space = {"tg": tg, "np": np, "nn": tg.nn}
        exec(self.source, space)
        self.function = space["f"]

    def __repr__(self):
        return f"{self.specs}\n{self.source}"

    def inputs(self, seed):
        """New numbers in Tensors."""
        rng = np.random.default_rng(seed)
        made = []
        for shape, kind in self.specs:
            if kind == "float":
                made.append(float(rng.uniform(0.5, 1.5)))
            else:
                made.append(tg.tensor(np.asarray(rng.uniform(-2, 2, shape)).astype(kind)))
        return made

    @property
    def coarse(self):
        """The dtype whose rounding decides."""
        return "f" if "float32" in self.source or any(kind == "float32" for _, kind in self.specs) else "d"

    @property
    def places(self):
        """Which inputs are Tensors."""
        return tuple(i for i, (_, kind) in enumerate(self.specs) if kind != "float")

    def loss(self, *inputs):
        """All results weighed and summed to one number."""
        total = 0.0
        for k, y in enumerate(flatten(self.function(*inputs))[0]):
            if isinstance(y, tg.Tensor) and y.dtype.kind == "f":
                weights = np.cos(np.arange(y.size) + k).reshape(y.shape).astype(y.dtype)
                total = total + tg.sum(y * weights)
        return total

    def gradient(self, *inputs):
        """Of `loss`, with respect to all Tensors."""
        return tg.grad(self.loss, self.places)(*inputs)

    def second(self, *inputs):
        """Gradient of a number made of the gradient."""

        def slope(*inputs):
            return sum(tg.sum(tg.sin(g.astype(np.float64))) for g in self.gradient(*inputs))

        return tg.grad(slope, self.places)(*inputs)


@st.composite
def random_programs(draw, max_steps=8):
    """Random programs of elementwise steps, products, reductions, shapes, indices and writes, with shared values."""
    dtype = draw(st.sampled_from(["float64", "float64", "float32"]))
    full = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    specs = []
    for _ in range(draw(st.integers(1, 3))):
        kept = full[draw(st.integers(0, len(full))) :] if draw(st.booleans()) else full
        shape = tuple(1 if draw(st.integers(0, 4)) == 0 else n for n in kept)
        other = {"float64": "float32", "float32": "float64"}[dtype]
        specs.append((shape, other if draw(st.integers(0, 6)) == 0 else dtype))
    if draw(st.integers(0, 3)) == 0:
        specs.append(((), "float"))
    lines, names = [], [f"x{i}" for i in range(len(specs))]
    space = {"tg": tg, "np": np, "nn": tg.nn, **dict(zip(names, Program("def f(): pass", specs).inputs(0)))}
    for k in range(draw(st.integers(1, max_steps))):
        name = f"v{k}"
        line = _step(draw, name, names, space)
        if line is not None and _try(line, name, space):
            lines.append(line)
            names.append(name)
            if np.max(np.abs(space[name].numpy()), initial=0) > LARGEST:
                lines.append(f"{name} = tg.sin({name})")
                space[name] = tg.sin(space[name])
    count = draw(st.integers(1, 3))
    returned = [draw(st.sampled_from(names[-4:] if draw(st.integers(0, 3)) else names)) for _ in range(count)]
    form = draw(st.sampled_from(["{0}", "({0},)", "[{0}]", "{{'all': ({0},)}}"]))
    lines.append("return " + form.format(", ".join(returned)))
    arguments = ", ".join(f"x{i}" for i in range(len(specs)))
    return Program(f"def f({arguments}):\n    " + "\n    ".join(lines), specs)


STATE_WRITES = [
    "{s}[...] = {a}",
    "{s} += {a}",
    "{s} *= 0.5",
    "{s} -= {a} * 0.1",
    "{s}[...] = {s} * 0.9 + {a} * 0.1",
    "{s}[0] = {a}[-1]",
    "{s}[...] = {t}",
    "{s}[...] = {s}[::-1]",
    "{s}[...], {t}[...] = {t} * 1, {s} * 1",
    "{s}[...] = {s}.T",
    "{s}[..., :1] = 0.5",
]


@st.composite
def writing_programs(draw, max_steps=10):
    """Random functions that read and write Tensors outside: ``make(s0, s1, s2)`` gives ``f(x0, x1)``.

    Returns
    -------
    source, state : str, list of array
        What the Tensors outside are at first.
    """
    shape = draw(st.sampled_from([(2, 2), (3,), (2, 3), (1,), ()]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    state = [rng.uniform(-1, 1, shape) for _ in range(3)]
    inputs = Program("def f(): pass", [(shape, "float64")] * 2).inputs(0)
    space = {"tg": tg, "np": np, "nn": tg.nn, "x0": inputs[0], "x1": inputs[1]}
    space.update({f"s{i}": tg.tensor(x) for i, x in enumerate(state)})
    names, lines = ["x0", "x1", "s0", "s1", "s2"], []
    for k in range(draw(st.integers(2, max_steps))):
        name = f"v{k}"
        if draw(st.booleans()):
            views = ["{a}.T", "{a}[...]", "{a}[::-1]", "{a}[None]", "{a}[0]", "{a}.reshape(-1)"]
            line = f"{name} = " + draw(st.sampled_from(views)).format(a=draw(st.sampled_from(names)))
            if draw(st.booleans()):
                line = _step(draw, name, names, space)
            if line is not None and _try(line, name, space):
                names.append(name)
                lines += [line, *([f"{name} = tg.tanh({name})"] if draw(st.integers(0, 2)) == 0 else [])]
        else:
            s, t = (f"s{draw(st.integers(0, 2))}" for _ in range(2))
            line = draw(st.sampled_from(STATE_WRITES)).format(s=s, t=t, a=draw(st.sampled_from(names)))
            if _try(line, s, space, keep=True):
                lines.append(line)
    returned = [draw(st.sampled_from(names)) for _ in range(draw(st.integers(0, 3)))]
    # A Tensor of the state itself would change with it.
    returned = [draw(st.sampled_from([".T", "[...]", " * 1"])).join((x, "")) if x[0] == "s" else x for x in returned]
    lines.append(f"return [{', '.join(returned)}]")
    body = "\n        ".join(line.replace("\n    ", "\n        ") for line in lines)
    return (
        f"def make(s0, s1, s2):\n    def f(x0, x1):\n        nonlocal s0, s1, s2\n        {body}\n    return f",
        state,
    )


def _step(draw, name, names, space):
    """One line of source that makes `name`."""
    recent = names[-3:] if draw(st.booleans()) else names
    a, b = draw(st.sampled_from(recent)), draw(st.sampled_from(names))
    groups = [UNARY, BINARY, UNARY, BINARY, REDUCTIONS, ALONG, WHOLE, INDEXED, PRODUCTS, TOGETHER, WRITES]
    template = draw(st.sampled_from(draw(st.sampled_from(groups))))
    if isinstance(space[a], float):
        a, b = b, a
    if isinstance(space[a], float) or ("{b" in template and isinstance(space[b], float) and template not in BINARY):
        return None
    shape = space[a].shape
    if template in ALONG and not shape:
        return None
    axes = list(range(len(shape)))
    settings = {
        "axis": draw(st.sampled_from([None, *axes, *([tuple(axes[:2])] if len(axes) > 1 else [])])),
        "keep": draw(st.booleans()),
        "i": draw(st.integers(-len(shape), len(shape) - 1)) if shape else 0,
        "order": tuple(draw(st.permutations(axes))),
        "broad": (2, *shape),
        "shape": shape,
        "size": space[a].size,
    }
    text = template.format(a=a, b=b, v=name, **settings)
    return text if template in WRITES else f"{name} = {text}"


def _try(line, name, space, keep=False):
    """Whether a line runs, on ordinary numbers, and gives a Tensor of few numbers."""
    before = {key: x._value for key, x in space.items() if isinstance(x, tg.Tensor)}
    with np.errstate(all="ignore"):
        try:
            exec(line.replace("\n    ", "\n"), space)
        except Exception:
            _back(space, before, name, keep)
            return False
    made = space[name]
    if not isinstance(made, tg.Tensor) or made.size > 300 or not np.all(np.isfinite(made.numpy())):
        _back(space, before, name, keep)
        return False
    return True


def _back(space, before, name, keep):
    for key, value in before.items():
        space[key]._value = value
    if not keep:
        space.pop(name, None)


# --- comparing -------------------------------------------------------------------------------------------------------


def numbers(tree):
    """The leaves of a result as arrays of their own, other leaves as they are."""
    return [np.array(x) if isinstance(x, np.ndarray | np.generic) else x for x in shown(tree)]


def shown(tree):
    """The leaves of a result, Tensors as the arrays that they show now: what is written to them later is not seen."""
    return [x.numpy() if isinstance(x, tg.Tensor) else x for x in flatten(tree)[0]]


def assert_same(got, expected, *, scale=1.0, coarse="d", what=""):
    """Results agree: same nest, types, dtypes and shapes, and numbers up to the rounding of the `coarse` dtype."""
    got_leaves, got_structure = flatten(got)
    leaves, structure = flatten(expected)
    assert got_structure == structure, what
    for a, b in zip(got_leaves, leaves, strict=True):
        assert_same_kind(a, b, what)
    assert_close(numbers(got), numbers(expected), scale=scale, coarse=coarse, what=what)


def assert_same_kind(a, b, what=""):
    """Both are Tensors, or both are arrays (or NumPy's numbers), or both are of the same other type."""
    kinds = [
        tg.Tensor if isinstance(x, tg.Tensor) else np.generic if isinstance(x, np.ndarray) else type(x) for x in (a, b)
    ]
    kinds = [np.generic if issubclass(kind, np.generic) else kind for kind in kinds]
    assert kinds[0] is kinds[1], (what, kinds)


def assert_close(got, expected, *, scale=1.0, coarse="d", what=""):
    """Lists of arrays agree up to rounding, relative to the largest number of each."""
    for a, b in zip(got, expected, strict=True):
        if not isinstance(b, np.ndarray | np.generic | float):
            assert a == b, what
            continue
        a, b = np.asarray(a), np.asarray(b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), what
        finite = np.abs(b[np.isfinite(b)]) if b.dtype.kind in "fc" else np.ones(1)
        relative = max(TOLERANCE[b.dtype.char], TOLERANCE[coarse]) if b.dtype.char in TOLERANCE else 0
        tolerance = relative * max(1.0, scale, np.max(finite, initial=0.0))
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance, equal_nan=True, err_msg=what)


def finite(tree):
    """Whether all numbers are."""
    return all(np.all(np.isfinite(x)) for x in numbers(tree) if isinstance(x, np.ndarray) and x.dtype.kind in "fc")


def assume_tame(tree, largest=1e4):
    """Skip programs whose numbers are so large that rounding is."""
    for x in numbers(tree):
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            assume(np.max(np.abs(x), initial=0.0) < largest)


# --- entries ---------------------------------------------------------------------------------------------------------


def entry_of(function, args, kwargs=None, *, reuse=True, coarse="f"):
    """One recording with its code, each pass of which leaves a program that is well formed and gives the same."""
    kwargs = kwargs or {}
    leaves = flatten((tuple(args), kwargs))[0]
    recording = record(function, args, kwargs, set(), [f"x{i}" for i in range(len(leaves))], "f")
    program = recording.program
    programs.check(program)
    if not any(x.kind == "generator" for x in program.state):
        values = [x._value if isinstance(x, tg.Tensor) else x for x in leaves]
        values = [x for x, a in zip(values, recording.arguments, strict=True) if a.kind != "fixed"]
        _assert_passes_agree(program, [*values, *(place.read() for place in recording.places)], coarse)
    return make_entry(recording, function, reuse=reuse)


def _assert_passes_agree(program, values, coarse):
    """`program.run` gives the same before and after each pass."""
    given = dict(zip([*program.inputs, *program.state], values, strict=True))
    expected = [np.array(x) for x in programs.run(program, values)]
    simplified = simplify(program)
    forms = {"rewritten": rewritten(program), "careful": simplified.careful, "quick": simplified.program}
    for name, form in forms.items():
        if form is None:
            continue
        programs.check(form)
        found = [np.array(x) for x in programs.run(form, [given[x] for x in (*form.inputs, *form.state)])]
        if name != "quick" or not simplified.witnesses:
            assert_close(found, expected, scale=100.0, coarse=coarse, what=name)
    again = [np.array(x) for x in programs.run(program, values)]
    assert_close(again, expected, what="the recorded program was changed by a pass")


def call(entry, *args, **kwargs):
    """Call the code of a recording, which must fit."""
    out = entry.call(args, kwargs)
    assert out is not MISS
    return out


def poison(entry):
    """Fill all memory that nobody holds with NaN: what a call reads it must have written."""
    for value in entry.space.values():
        if (
            isinstance(value, np.ndarray)
            and value.ndim
            and not any(value is x for x in entry.source.constants.values())
        ):
            _fill(value)
        elif isinstance(value, list):
            for array in value:
                if isinstance(array, np.ndarray) and getrefcount(array) <= _ALONE:
                    _fill(array)


def _fill(array):
    if array.flags.writeable:
        array[...] = np.nan if array.dtype.kind in "fc" else 1 if array.dtype.kind == "b" else np.iinfo(array.dtype).max


def _references(arrays):
    for array in arrays:
        if isinstance(array, np.ndarray):
            return getrefcount(array)
    return 0


_ALONE = _references([np.empty(0)])


def call_alone(entry, *args):
    """The core of an entry from its text alone, with the constants that the text does not spell out."""
    space = dict(entry.source.constants)
    exec(entry.source.text, space)
    values = [x._value if isinstance(x, tg.Tensor) else x for x in flatten((args, {}))[0]]
    values = [x for x, a in zip(values, entry.recording.arguments, strict=True) if a.kind != "fixed"]
    state = [place.read() for place in entry.recording.places]
    out = space[entry.source.function](*values, *state)
    out = list(out) if isinstance(out, tuple) else [out]
    return [np.array(x) for x in out]
