"""Lesson 2: the computation graph. J = 3(a + bc) in three steps, from left to right."""

from _lesson import run

import tinygrad_nn as tg


def main(lesson):
    a = tg.tensor(5.0, requires_grad=True)
    b = tg.tensor(3.0, requires_grad=True)
    c = tg.tensor(2.0, requires_grad=True)
    u = b * c
    v = a + u
    J = 3 * v

    lesson.states("u = bc", u.item(), 6)
    lesson.states("v = a + u", v.item(), 11)
    lesson.states("J = 3v", J.item(), 33)

    graph = tg.draw(J, gradients=False)
    lesson.say(str(graph))
    lesson.save(graph, "graph.svg")


if __name__ == "__main__":
    run(main)
