"""Draw J = 3(a + bc) with its values and derivatives: the picture at the top of the README.

Writes j.svg, or the file named on the command line (.svg, .png, .pdf, .html, .dot).
"""

import sys

import tinygrad_nn as tg

a, b, c = (tg.tensor(x, requires_grad=True) for x in (5.0, 3.0, 2.0))
u = b * c
v = a + u
J = 3 * v
J.backward()
tg.draw(J).save(sys.argv[1] if len(sys.argv) > 1 else "j.svg")

assert [t.item() for t in (u, v, J)] == [6, 11, 33]
assert [t.grad.item() for t in (a, b, c)] == [3, 6, 9]
