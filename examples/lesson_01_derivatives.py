"""Lesson 1: a derivative is a slope. Nudge a by 0.001 and see how far f(a) moves; `grad` says the same."""

import numpy as np
from _lesson import BLUE, RED, run

import tinygrad_nn as tg

NUDGE = 0.001

#: A function, how it is written, and the points at which its slope is taken, with the slopes.
FUNCTIONS = {
    "3a": (lambda a: 3 * a, {2.0: 3, 5.0: 3}),
    "a²": (lambda a: a**2, {2.0: 4, 5.0: 10}),
    "a³": (lambda a: a**3, {2.0: 12, 5.0: 75}),
    "log a": (tg.log, {2.0: 1 / 2, 5.0: 1 / 5}),
}


def main(lesson):
    for text, (f, slopes) in FUNCTIONS.items():
        slope_of = tg.grad(f)
        for a, slope in slopes.items():
            nudged = (f(a + NUDGE) - f(a)) / NUDGE
            lesson.say(f"f(a) = {text}: from a = {a:g} to {a + NUDGE:g}, f goes from {f(a):.6g} to {f(a + NUDGE):.6g}")
            lesson.states(f"slope by nudging, at a = {a:g}", nudged, slope, within=0.002)
            lesson.states(f"slope by grad,    at a = {a:g}", slope_of(a), slope, within=1e-12)

    figure, axes = lesson.figure(columns=4, width=2.6, height=2.8)
    for panel, (text, (f, slopes)) in zip(axes, FUNCTIONS.items()):
        a = np.linspace(0.5, 6, 100)
        panel.plot(a, f(a), color=BLUE)
        for at in slopes:
            run_up = np.array([at - 1, at + 1])
            panel.plot(run_up, f(at) + tg.grad(f)(at) * (run_up - at), color=RED)
            panel.plot(at, f(at), "o", color=RED)
        panel.set(title=f"f(a) = {text}", xlabel="a", ylabel="f(a)")
    lesson.save(figure, "slopes.svg")


if __name__ == "__main__":
    run(main)
