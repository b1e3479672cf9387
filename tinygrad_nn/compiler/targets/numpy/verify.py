"""Whether planned memory keeps what a program means: its steps run on symbols instead of numbers.

Each piece of memory holds the variable that was written to it last. A step, a result and a new value of the state must
find the variables that they mean there, through views, writes in place and pieces of chains. Nothing is known of
operations but what their forms say, and nothing is taken from how the plan was reckoned.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from ...ir import MalformedProgram, Step, Var
from .blocks import Chain
from .plan import Plan

#: A piece of memory: a buffer, or a variable with an array of its own.
Cell = Hashable


def verify(plan: Plan) -> None:
    """Raise unless every read of a plan's steps finds the variable that it means, naming what is there instead."""
    _Run(plan).run()


class _Run:
    """One run of a plan on symbols."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        program = plan.program
        self.where = f"{program.name}, after planning its memory"
        self.state = {x for x in program.state if x.shape}
        #: By cell, the variable that it holds.
        self.content: dict[Cell, Var] = {}
        #: By variable, the cells that it shows, and what each must hold for it to be right.
        self.shows: dict[Var, dict[Cell, Var]] = {}
        #: Variables that are seen through a view, whose elements lie elsewhere in their cells.
        self.views: set[Var] = set()
        for x in (*program.inputs, *program.state):
            self._put(x, x)

    def run(self) -> None:
        """The body, the writes to the state and the return, in the order of the emitted function."""
        plan = self.plan
        program = plan.program
        for step in plan.body:
            self._step(step)
            self._expect(not self._written(step) & self.state, step, "the state is written to before the body is done")
        self._read(plan.witnesses, "looking at witnesses")
        self._read(plan.former, "copying results that show the state")
        for x in plan.former:
            self._own(x)
        for step in plan.commits:
            self._step(step)
        if plan.crossing:
            self._read([new for _, new in plan.copies], "copying new values of the state")
        for old, new in plan.copies:
            if not plan.crossing:
                self._read([new], "copying a new value of the state")
            self.content[old] = new
        for old, new in program.writes.items():
            if old.shape:
                self._expect(self.content[old] is new, old, f"is left as {self.content[old]!r}, to be {new!r}")
            else:
                self._read([new], "returning a number of the state")
        self._read(program.results, "returning results")
        for x in plan.results:
            self._expect(self._cell(x) is x, x, "is given away in memory that is used again")

    def _step(self, step: Step) -> None:
        self._read(step.reads, step)
        form = self.plan.forms[step]
        if form.kind == "view":
            for out in step.outputs:
                self.shows[out] = {cell: x for source in step.reads for cell, x in self.shows.get(source, {}).items()}
                self.views.add(out)
        elif form.kind in ("call", "number"):
            for out in step.outputs:
                self._own(out)
                if form.kind == "call" and out.shape:  # a kernel may give a view of anything that it is given
                    self.views.add(out)
                    for x in step.reads:
                        self.shows[out].update(self.shows.get(x, {}) if x.shape else {})
        elif form.kind == "chain":
            self._chain(step)
        else:
            for cell in self._written(step):
                self._expect(
                    not any(self._spoilt(x, cell, step, form.kind == "elementwise") for x in step.reads),
                    step,
                    "overwrites an input while it reads it",
                )
            for out in step.outputs:
                self._put(out, self._cell(out))

    def _spoilt(self, x: Var, cell: Cell, step: Step, elementwise: bool) -> bool:
        """Whether an input cannot be read while a cell is written to: only what lies element on element can."""
        if cell not in self.shows.get(x, {}):
            return False
        return not elementwise or x in self.views or x.shape != step.out.shape

    def _written(self, step: Step) -> set[Cell]:
        """The memory that a step writes into."""
        if self.plan.forms[step].kind in ("view", "call", "number"):
            return set()
        cells = [self._cell(out) for out in step.outputs if out.shape]
        self._expect(len(set(cells)) == len(cells), step, "writes two results into the same memory")
        return set(cells)

    def _chain(self, step: Step) -> None:
        """Steps on one piece after the other: an array may be overwritten once its piece is not read any more."""
        chain: Chain = step.params["chain"]
        written = self._written(step)
        for x in chain.inputs:
            self._expect(
                x not in self.views or not written & self.shows[x].keys(), step, f"overwrites {x!r} while it reads it"
            )
        _, buffer_of = self.plan.pieces[chain]
        for inner in chain.steps:
            self._read(inner.reads, inner)
            out = inner.out
            piece = buffer_of.get(out)
            self._expect(
                piece is None or piece.nbytes >= chain.piece * out.dtype.itemsize, inner, "gets too small a piece"
            )
            self._put(out, self._cell(out) if piece is None else piece)
        self._read(step.outputs, step)

    # --- memory ------------------------------------------------------------------------------------------------------

    def _cell(self, x: Var) -> Cell:
        """Where a variable is written: a buffer, an array of the state, or memory of its own."""
        buffer = self.plan.buffer_of.get(x)
        if buffer is None:
            return self.plan.targets.get(x, x)
        self._expect(x.nbytes <= buffer.nbytes and x in buffer.tenants, x, "has no room in its buffer")
        return buffer

    def _put(self, x: Var, cell: Cell) -> None:
        self.content[cell] = x
        self.shows[x] = {cell: x}

    def _own(self, x: Var) -> None:
        self._put(x, x)
        self.views.discard(x)

    def _read(self, read: Iterable[Var], at: object) -> None:
        for x in read:
            if x.kind == "constant":
                continue
            self._expect(x in self.shows, at, f"reads {x!r} before it is made")
            for cell, expected in self.shows[x].items():
                actual = self.content[cell]
                self._expect(actual is expected, at, f"reads {x!r}, whose memory holds {actual!r} by now")

    def _expect(self, holds: bool, at: object, fault: str) -> None:
        if not holds:
            raise MalformedProgram(f"{self.where}: {at!r}: {fault}")
