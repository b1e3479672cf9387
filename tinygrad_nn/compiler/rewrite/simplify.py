"""The rewriting of a recorded program, pass by pass: each is a line of a list, and none goes unchecked."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import Pass, Program, Step, Var, run_passes
from ..trace.recording import Recording
from .builder import Builder, remove_dead
from .keep_zeros import leave_keep_zeros_out
from .loops import bodies, prune
from .patterns import LOWER, STABLE
from .phases import patterns_for
from .scale import move_scales


@dataclass
class Simplified:
    """A program ready to be planned."""

    program: Program  # the quick form
    witnesses: list[Var]  # what must be finite for the quick form to be right
    careful: Program | None  # the form with all masks of zero gradients, for when it is not


def simplify(program: Program) -> Simplified:
    """Rewrite a program into an equal one that computes less; the given one stays as it is."""
    stable = rewritten(program)
    count = len(stable.results)
    gradients = {var for step in stable.steps for var in step.outputs if var.name.startswith("d:")}
    witnesses: list[Var] = []

    def leave_masks_out(program: Program) -> None:
        witnesses.extend(leave_keep_zeros_out(program))
        program.results = [*program.results, *witnesses]

    quick = run_passes(copied(stable), [("leaving out masks of zero gradients", leave_masks_out)])
    careful = run_passes(stable, [("lowering the careful form", _lower)]) if witnesses else None
    quick = run_passes(
        quick,
        [
            ("lowering", lambda program: Builder(program, patterns_for(program, LOWER)).build()),
            ("moving scales", lambda program: move_scales(program, gradients, witnesses)),
            ("removing what is not needed", remove_dead),
        ],
    )
    witnesses, quick.results = quick.results[count:], quick.results[:count]
    return Simplified(quick, witnesses, careful)


def rewritten(program: Program) -> Program:
    """The program in its shortest exact form, in the ops as they were recorded."""
    return run_passes(
        program,
        [
            ("shortening loops and branches", _with_short_bodies),
            ("rewriting once", _rewrite),
            ("rewriting twice", lambda once: _rewrite(copied(once))),
        ],
    )


def _rewrite(program: Program) -> Program:
    return Builder(program, STABLE).build()


def _lower(program: Program) -> Program:
    return Builder(program, LOWER).build()


def _with_short_bodies(program: Program) -> Program:
    """The program with nothing in its loops and branches that is not read, and their bodies rewritten."""
    result = copied(program)
    needed = set(result.needed)
    steps = []
    for step in reversed(result.steps):
        if any(out in needed for out in step.outputs):
            step = prune(step, needed)
        for name, body in bodies(step).items():
            step.params = {**step.params, name: run_passes(body, _BODY_PASSES)}
        needed.update(step.reads)
        steps.append(step)
    result.steps = steps[::-1]
    return result


_BODY_PASSES: list[Pass] = [
    ("shortening loops and branches", _with_short_bodies),
    ("shortening loops and branches, rewriting their bodies", _rewrite),
    ("shortening loops and branches, lowering their bodies", _lower),
]


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

    Further forms of the program are given the same state.
    """
    old = recording.program
    places = dict(zip(old.state, recording.places, strict=True))
    forms = (program, *others)
    read = {x for form in forms for x in form.state}
    for form in forms:
        form.state = [x for x in old.state if x in read]
    recording.places = [places[x] for x in program.state]
    recording.program = program
