"""The memory plan: which array each step writes into, so that few are needed and none is overwritten too early."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...ir import Program, Step, Var, run_passes
from .blocks import Chain, in_blocks
from .lowering import CHAIN, Form, form_of


@dataclass(eq=False)
class Buffer:
    """Memory that is used again in every call, by one variable after the other."""

    nbytes: int
    tenants: list[Var] = field(default_factory=list)  # which variables it holds, in order


@dataclass
class Plan:
    """What a program needs besides its steps to be written down."""

    program: Program
    body: list[Step]  # in the order in which they run
    commits: list[Step]  # after them; they write into the arrays of the state
    forms: dict[Step, Form]
    buffers: list[Buffer]
    buffer_of: dict[Var, Buffer]
    results: list[Var]  # arrays that are given away: each call takes memory that nobody holds any more
    targets: dict[Var, Var]  # by the variable that a commit makes, the state variable whose array it writes into
    copies: list[tuple[Var, Var]]  # state variables whose new value, the second, is copied into them last
    witnesses: list[Var]  # what is looked at after the body
    crossing: bool  # whether a copy reads what another writes to
    former: list[Var]  # results that show the state as it was, to be copied before it is written to
    #: By chain, the buffers of its pieces, and which variable is in which.
    pieces: dict[Chain, tuple[list[Buffer], dict[Var, Buffer]]]

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers together."""
        pieces = [buffer for buffers, _ in self.pieces.values() for buffer in buffers]
        return sum(buffer.nbytes for buffer in (*self.buffers, *pieces))


#: Forms that put their results into given arrays.
_INTO = frozenset(("into", "elementwise", "chosen", "chain", "filled"))


def plan(program: Program, witnesses: list[Var], *, reuse: bool = True) -> Plan:
    """Plan the memory of a program; without `reuse` every variable has memory of its own.

    Witnesses are looked at after the body, before the commits.
    """
    witnesses = list(witnesses)
    forms: dict[Step, Form] = {}
    body: list[Step] = []
    commits: list[Step] = []

    def join(program: Program) -> None:
        witnesses[:] = in_blocks(program, set(program.writes.values()), witnesses)

    def put_writes_last(program: Program) -> None:
        forms.update({step: CHAIN if step.name == "chain" else form_of(step) for step in program.steps})
        commits.extend(_tail(program, forms, witnesses))
        late = set(commits)
        body.extend(step for step in program.steps if step not in late)
        program.steps = [*body, *commits]

    run_passes(
        program,
        [
            ("moving steps to their use", _sink),
            ("joining steps to chains", join),
            ("putting writes to the state last", put_writes_last),
        ],
    )
    shown = _shown(program, forms)
    targets, copies = _targets(program, commits, forms, shown)
    returned = {x for x in program.results if x.shape and _writable(x, program, forms)}
    results = list(dict.fromkeys(x for x in program.results if x in returned))
    last = _last_uses(program, body, commits, shown, witnesses)
    allocation = _Allocation(forms, shown, last, returned | set(targets), reuse)
    for position, step in enumerate([*body, *commits]):
        allocation.place(step, position)
    return Plan(
        program,
        body,
        commits,
        forms,
        allocation.buffers,
        allocation.buffer_of,
        results,
        targets,
        copies,
        witnesses,
        any(of(new, shown) & set(program.state) for _, new in copies),
        [x for x in dict.fromkeys(program.results) if x.shape and of(x, shown) & set(program.writes)],
        {chain: (inner.buffers, inner.buffer_of) for chain, inner in allocation.pieces.items()},
    )


def _sink(program: Program) -> None:
    """Move each elementwise step of one array to right before its first use, where it may take that array's memory."""
    waiting: dict[Var, Step] = {}
    steps: list[Step] = []

    def place(step: Step) -> None:
        stack = [step]
        while stack:  # post-order, one input at a time: another one may read it too
            first = next((x for x in stack[-1].reads if x in waiting), None)
            if first is None:
                steps.append(stack.pop())
            else:
                stack.append(waiting.pop(first))

    for step in program.steps:
        arrays = [x for x in dict.fromkeys(step.reads) if x.shape]
        if len(arrays) == 1 and arrays[0].kind == "result" and form_of(step).kind == "elementwise":
            waiting[step.out] = step
        else:
            place(step)
    for out in list(waiting):
        if out in waiting:
            place(waiting.pop(out))
    program.steps = steps


#: By variable, the variables whose memory it may show.
Shown = dict[Var, frozenset[Var]]


def _shown(program: Program, forms: dict[Step, Form]) -> Shown:
    """What memory views show, and what kernels give, which may be views of anything that they are given."""
    shown: Shown = {}
    for step in program.steps:
        if forms[step].kind in ("view", "call"):
            sources = frozenset().union(*(shown.get(x, {x}) for x in step.reads if x.shape))
            for out in step.outputs:
                shown[out] = sources
    return shown


def of(x: Var, shown: Shown) -> frozenset[Var]:
    """The variables whose memory `x` may show: itself, unless it is a view."""
    return shown.get(x) or frozenset((x,))


def _writable(x: Var, program: Program, forms: dict[Step, Form]) -> bool:
    """Whether a result is made by a step that takes the array to write into."""
    step = next((s for s in program.steps if x in s.outputs), None)
    return step is not None and forms[step].kind in _INTO


def _tail(program: Program, forms: dict[Step, Form], witnesses: list[Var]) -> list[Step]:
    """The last steps: those that cannot raise, and of which nothing is made but new values of the state."""
    needed = {*program.results, *witnesses}
    news = set(program.writes.values())
    users = program.users()
    late: set[Step] = set()
    for step in reversed(program.steps):
        if forms[step].kind not in ("elementwise", "number", "view") or any(out in needed for out in step.outputs):
            continue
        if step.out.weak and step.op.operator is not None and step.op.operator.raises:
            continue
        reading = users.get(step.out, ())
        if all(user in late for user in reading) and (reading or (step.out in news and step.out.shape)):
            late.add(step)
    return [step for step in program.steps if step in late]


def _targets(
    program: Program, commits: list[Step], forms: dict[Step, Form], shown: Shown
) -> tuple[dict[Var, Var], list[tuple[Var, Var]]]:
    """Which new values of the state are computed right into its arrays, and which are copied there in the end.

    A late step may write into the array of a state variable if nothing reads the old value after it.
    """
    place = {step: i for i, step in enumerate(commits)}
    users = program.users()
    news = list(program.writes.values())
    showing: dict[Var, list[Var]] = {}
    for var, roots in shown.items():
        for root in roots:
            showing.setdefault(root, []).append(var)
    targets: dict[Var, Var] = {}
    producers = {step.out: step for step in commits if forms[step].kind == "elementwise"}
    for old, new in program.writes.items():
        step = producers.get(new)
        if not old.shape or step is None or news.count(new) > 1 or new in program.results:
            continue
        aliases = [old, *showing.get(old, ())]
        later = any(place.get(user, -1) > place[step] for alias in aliases for user in users.get(alias, ()))
        askew = any(alias is not old and alias in step.reads for alias in aliases)
        returned = any(alias in program.results or alias in news for alias in aliases)
        if not later and not askew and not returned:
            targets[new] = old
    copies = [(old, new) for old, new in program.writes.items() if old.shape and new not in targets]
    return targets, copies


def _last_uses(
    program: Program, body: list[Step], commits: list[Step], shown: Shown, witnesses: list[Var]
) -> dict[Var, int]:
    """Position of the last step of the body that reads the memory of each variable; past the end where more follows."""
    last: dict[Var, int] = {}
    for position, step in enumerate([*body, *commits]):
        for x in step.reads:
            last.update(dict.fromkeys(of(x, shown), position))
    for x in witnesses:  # looked at between the body and the commits
        for root in of(x, shown):
            last[root] = max(last.get(root, 0), len(body))
    for x in program.needed:
        last.update(dict.fromkeys(of(x, shown), len(body) + len(commits)))
    return last


@dataclass
class _Allocation:
    """Gives buffers to variables, first come, first served."""

    forms: dict[Step, Form]
    shown: Shown
    last: dict[Var, int]  # position of the last use
    own: set[Var]  # variables with an array of their own
    reuse: bool
    one_dtype: bool = False  # whether a buffer holds variables of one dtype alone
    buffers: list[Buffer] = field(default_factory=list)
    buffer_of: dict[Var, Buffer] = field(default_factory=dict)
    free: list[Buffer] = field(default_factory=list)
    pieces: dict[Chain, _Allocation] = field(default_factory=dict)  # by chain, the memory of what it works on

    def place(self, step: Step, position: int) -> None:
        """Find memory for what a step makes, then let go of what nothing reads any more."""
        kind = self.forms[step].kind
        for out in step.outputs if kind in _INTO else ():
            if out not in self.own and out.shape:
                take = self._of_a_chain_input if kind == "chain" else self._of_an_input
                self._give(out, take(step, position, out) or self._buffer_for(out))
        if kind == "chain":
            self._place_pieces(step.params["chain"])
        unread = [out for out in step.outputs if out in self.buffer_of and out not in self.last]
        self.last.update(dict.fromkeys(unread, position))
        for x in dict.fromkeys([*(root for y in step.reads for root in of(y, self.shown)), *unread]):
            buffer = self.buffer_of.get(x)
            if buffer is not None and self.last[x] == position and buffer.tenants[-1] is x and self.reuse:
                self.free.append(buffer)

    def _place_pieces(self, chain: Chain) -> None:
        """Memory for the pieces of what is made inside a chain and read nowhere else."""
        forms = {step: form_of(step) for step in chain.steps}
        inner = _Allocation(forms, {}, {}, set(chain.outputs), self.reuse, one_dtype=True)
        for position, step in enumerate(chain.steps):
            for x in step.reads:
                inner.last[x] = position
        for x in (*chain.outputs, *chain.sums):
            inner.last[x] = len(chain.steps)
        for position, step in enumerate(chain.steps):
            inner.place(step, position)
        self.pieces[chain] = inner
        for buffer in inner.buffers:
            buffer.nbytes = chain.piece * buffer.tenants[0].dtype.itemsize

    def _give(self, out: Var, buffer: Buffer) -> None:
        buffer.tenants.append(out)
        self.buffer_of[out] = buffer

    def _of_a_chain_input(self, step: Step, position: int, out: Var) -> Buffer | None:
        """The buffer of an array that a chain reads for the last time before it makes `out`."""
        chain: Chain = step.params["chain"]
        writes_at = next(i for i, inner in enumerate(chain.steps) if inner.out is out)
        for x in chain.inputs:
            buffer = self._given_up(x, position, chain.inputs)
            read = max(i for i, inner in enumerate(chain.steps) if x in inner.inputs)
            same_size = (x.size, x.dtype.itemsize) == (out.size, out.dtype.itemsize)
            if buffer is not None and buffer.tenants[-1] is x and read <= writes_at and same_size:
                return buffer
        return None

    def _of_an_input(self, step: Step, position: int, out: Var) -> Buffer | None:
        """The buffer of an input that is read here for the last time, element by element."""
        for x in step.reads if self.forms[step].kind == "elementwise" else ():
            buffer = self._given_up(x, position, list(step.reads))
            fits = x.dtype == out.dtype if self.one_dtype else x.dtype.itemsize == out.dtype.itemsize
            if buffer is not None and fits and x.shape == out.shape:
                return buffer
        return None

    def _given_up(self, x: Var, position: int, inputs: list[Var]) -> Buffer | None:
        """The buffer of an input that is read here for the last time, unless another input shows it too."""
        buffer = self.buffer_of.get(x) if self.reuse and x not in self.own else None
        if buffer is None or self.last[x] != position:
            return None
        return None if any(y is not x and x in of(y, self.shown) for y in inputs) else buffer

    def _buffer_for(self, out: Var) -> Buffer:
        """A free buffer: one that has held the like, else the one that wastes least, else a new one."""
        if self.one_dtype:
            alike = next((buffer for buffer in self.free if buffer.tenants[-1].dtype == out.dtype), None)
            if alike is not None:
                self.free.remove(alike)
                return alike
        fitting = [] if self.one_dtype else [buffer for buffer in self.free if buffer.nbytes >= out.nbytes]
        if fitting:
            best = min(fitting, key=lambda b: (b.nbytes, b.tenants[-1].shape != out.shape))
            if best.nbytes <= 2 * out.nbytes or best.nbytes < 4096:
                self.free.remove(best)
                return best
        elif self.free and out.nbytes > 0 and not self.one_dtype:
            largest = max(self.free, key=lambda b: b.nbytes)
            if 2 * largest.nbytes >= out.nbytes:
                self.free.remove(largest)
                largest.nbytes = out.nbytes
                return largest
        buffer = Buffer(out.nbytes)
        self.buffers.append(buffer)
        return buffer
