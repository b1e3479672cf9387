"""Lesson 3: derivatives on the graph. From right to left, by the chain rule: dJ/db = dJ/dv · dv/du · du/db = 6."""

from _lesson import run

import tinygrad_nn as tg


def main(lesson):
    def cost(a, b, c):
        return 3 * (a + b * c)

    a = tg.tensor(5.0, requires_grad=True)
    b = tg.tensor(3.0, requires_grad=True)
    c = tg.tensor(2.0, requires_grad=True)
    u = b * c
    v = a + u
    J = 3 * v
    for between in (u, v):
        between.retain_grad()  # a result between keeps its gradient only if it is asked to
    J.backward(retain_graph=True)

    for name, x, derivative in (("v", v, 3), ("a", a, 3), ("u", u, 3), ("b", b, 6), ("c", c, 9)):
        lesson.states(f"dJ/d{name}", x.grad.item(), derivative)
    lesson.states("J where b is 3.001", cost(5.0, 3.001, 2.0), 33.006, within=1e-12)

    for x in (a, b, c):
        lesson.say()
        lesson.say(str(tg.explain(J, wrt=x)))
    lesson.save(tg.draw(J), "graph.svg")


if __name__ == "__main__":
    run(main)
