"""Lesson 31: gradients vanish and explode. Their norm by layer, seen as heat on the graph; and cures."""

import numpy as np
from _lesson import run

import tinygrad_nn as tg
from tinygrad_nn import nn

DEPTH, WIDTH = 10, 30


def make(activation, start, depth=DEPTH):
    """A deep network with the given weights' start and biases 0."""
    generator = tg.random.default_rng(0)
    hidden = [nn.Sequential(nn.Linear(WIDTH, WIDTH), activation()) for _ in range(depth)]
    network = nn.Sequential(*hidden, nn.Linear(WIDTH, 10))
    for layer in linear_layers(network):
        start(layer.weight, generator)
        nn.init.zeros_(layer.bias)
    return network


def linear_layers(network):
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


def narrow(weight, generator):
    """N(0, 1/√n), the second number being the standard deviation."""
    nn.init.normal_(weight, std=WIDTH**-0.5, generator=generator)


def wide(weight, generator):
    """N(0, 1), as the first networks started."""
    nn.init.normal_(weight, generator=generator)


def he(weight, generator):
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


def norms(network, X, y):
    """The norm of the gradient of each hidden layer's biases, which are its errors δ, first layer first."""
    network.zero_grad()
    nn.functional.cross_entropy(network(X), y).backward()
    return np.array([np.linalg.norm(layer.bias.grad) for layer in linear_layers(network)[:-1]])


def last_state(xs, w, g):
    """What a recurrence h = g(wh + x) ends with."""
    h = 0.0
    for t in range(len(xs)):
        h = g(w * h + xs[t])
    return h


def main(lesson):
    random = np.random.default_rng(0)
    X = random.standard_normal((100, WIDTH)).astype(np.float32)
    y = random.integers(0, 10, 100)
    found = {
        "sigmoid, N(0, 1/√n)": norms(make(nn.Sigmoid, narrow), X, y),
        "ReLU, N(0, 1/√n)": norms(make(nn.ReLU, narrow), X, y),
        "ReLU, He": norms(make(nn.ReLU, he), X, y),
        "ReLU, N(0, 1)": norms(make(nn.ReLU, wide), X, y),
    }
    figure, axes = lesson.figure(columns=2, width=4.4)
    layers = np.arange(1, DEPTH + 1)
    for name, sizes in found.items():
        lesson.say(f"{name}: first layer {sizes[0]:.2e}, last {sizes[-1]:.2e}, quotient {sizes[0] / sizes[-1]:.1e}")
        axes[0].semilogy(layers, sizes, "o-", markersize=4, label=name)
    sigmoid, relu, started, exploding = (sizes[0] / sizes[-1] for sizes in found.values())
    vanishing = found["sigmoid, N(0, 1/√n)"]
    lesson.holds(
        "with sigmoids gradients vanish: no layer has half of the next one's",
        np.all(vanishing[:-1] < vanishing[1:] / 2),
    )
    lesson.holds(f"  and the first has {sigmoid * 1e6:.1f} millionths of the last one's", sigmoid < 1e-5)
    lesson.holds(f"ReLU alone is better: {relu:.2g} of it", relu > 100 * sigmoid)
    lesson.holds("with He's start first and last layer are alike", 0.1 < started < 10)
    lesson.holds("with weights of N(0, 1) gradients explode", exploding > 1e3)

    # clipping bounds the step, whatever the gradient
    network = make(nn.ReLU, wide)
    norms(network, X, y)
    before = [p.grad.numpy().copy() for p in network.parameters()]
    total = nn.utils.clip_grad_norm_(network.parameters(), max_norm=1.0).item()
    after = [p.grad.numpy() for p in network.parameters()]
    lesson.holds(f"clipping: the norm of all gradients was {total:.3g}", total > 1000)
    clipped = np.sqrt(sum(float((g.astype(float) ** 2).sum()) for g in after))
    lesson.states("  and is now", clipped, 1, within=1e-3)
    cosine = sum(float((a * b).sum()) for a, b in zip(before, after)) / (total * clipped)
    lesson.states("  in the same direction, cosine", cosine, 1, within=1e-3)

    # The same in time: the gradient of a recurrence's last state with respect to each input. tanh keeps a state small
    # and its slope with it, so that explosion is shown without tanh.
    steps = 30
    quotients = []
    for form, w, g in (("tanh(wh + x)", 0.5, tg.tanh), ("tanh(wh + x)", 1.0, tg.tanh), ("wh + x", 1.5, lambda z: z)):
        slopes = np.abs(tg.grad(last_state)(np.full(steps, 0.01), w, g))
        quotients.append(slopes[0] / slopes[-1])
        axes[1].semilogy(np.arange(1, steps + 1), slopes, label=f"h = {form}, w = {w}")
        lesson.say(f"h = {form}, w = {w}: the first input has {quotients[-1]:.1e} of the last one's gradient")
    lesson.holds("in time too they vanish if w is small", quotients[0] < 1e-6)
    lesson.states("  and explode if nothing bounds a w above 1: by w²⁹ here", quotients[2], 1.5 ** (steps - 1), 1e-9)
    axes[0].set(xlabel="layer", ylabel="norm of ∂C/∂b")
    axes[1].set(xlabel="step of the input", ylabel="|∂h₃₀/∂x|")
    for panel in axes:
        panel.legend(fontsize=7)
    lesson.save(figure, "norms.png")

    network = make(nn.Sigmoid, narrow, depth=6)
    with tg.keep_values():
        J = nn.functional.cross_entropy(network(X[:4]), y[:4])
        J.backward()
    lesson.save(tg.draw(J, heat=True, values=False, depth=1), "heat.svg")


if __name__ == "__main__":
    run(main)
