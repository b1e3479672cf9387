"""The rewriting of a recorded program, pass by pass."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ir import Program, Step, Var, check
from ..trace.recording import Recording
from .builder import Builder, remove_dead
from .keep_zeros import leave_keep_zeros_out
from .loops import bodies, prune
from .patterns import LOWER, STABLE
from .phases import patterns_for
from .scale import move_scales


@dataclass
class Simplified:
    """A program ready to be planned.

    Attributes
    ----------
    program : Program
        The quick form.
    witnesses : list of Var
        What must be finite for the quick form to be right.
    careful : Program or None
        The form with all masks of zero gradients, for when it is not.
    """

    program: Program
    witnesses: list[Var] = field(default_factory=list)
    careful: Program | None = None


def simplify(program: Program) -> Simplified:
    """Rewrite a program into an equal one that computes less; the given one stays as it is."""
    stable = rewritten(program)
    careful = None
    quick = copied(stable)
    gradients = {var for step in quick.steps for var in step.outputs if var.name.startswith("d:")}
    witnesses = leave_keep_zeros_out(quick)
    check(quick, "leaving out masks of zero gradients")
    if witnesses:
        careful = Builder(stable, LOWER).build()
        check(careful, "lowering the careful form")
        kept = quick.results
        quick.results = [*kept, *witnesses]
        quick = _lowered(quick, gradients, witnesses)
        witnesses = quick.results[len(kept) :]
        quick.results = quick.results[: len(kept)]
    else:
        quick = _lowered(quick, gradients, [])
    return Simplified(quick, witnesses, careful)


def rewritten(program: Program) -> Program:
    """The program in its shortest exact form, in the ops as they were recorded."""
    once = Builder(_with_short_bodies(program), STABLE).build()
    check(once, "rewriting once")
    twice = Builder(copied(once), STABLE).build()
    check(twice, "rewriting twice")
    return twice


def _with_short_bodies(program: Program) -> Program:
    """The program with nothing in its loops and branches that is not read, and their bodies rewritten."""
    result = copied(program)
    needed = set(result.needed)
    steps = []
    for step in reversed(result.steps):
        if any(out in needed for out in step.outputs):
            step = prune(step, needed)
        for name, body in bodies(step).items():
            short = Builder(_with_short_bodies(body), STABLE).build()
            step.params = {**step.params, name: Builder(short, LOWER).build()}
        needed.update(step.reads)
        steps.append(step)
    result.steps = steps[::-1]
    check(result, "shortening loops and branches")
    return result


def _lowered(program: Program, gradients: set[Var], witnesses: list[Var]) -> Program:
    lowered = Builder(program, patterns_for(program, LOWER)).build()
    check(lowered, "lowering")
    move_scales(lowered, gradients, witnesses)
    check(lowered, "moving scales")
    remove_dead(lowered)
    check(lowered, "removing what is not needed")
    return lowered


def copied(program: Program) -> Program:
    """A program whose steps can be changed without changing those of the other."""
    result = Program(program.name)
    result._count = program._count
    result.inputs, result.state = list(program.inputs), list(program.state)
    result.results, result.writes = list(program.results), dict(program.writes)
    result.steps = [Step(s.op, s.inputs, s.params, s.outputs, s.line, s.several) for s in program.steps]
    return result


def follow(recording: Recording, program: Program, *others: Program) -> None:
    """Let a recording speak of a simpler program: state that nothing reads any more is left out.

    Parameters
    ----------
    recording : Recording
    program : Program
    *others : Program
        Further forms of it, which are given the same state.
    """
    old = recording.program
    places = dict(zip(old.state, recording.places, strict=True))
    read = {x for form in (program, *others) for x in form.state}
    for form in (program, *others):
        form.state = [x for x in old.state if x in read]
    recording.places = [places[x] for x in program.state]
    recording.program = program
