"""Lesson 11: the four equations of backpropagation, BP1 to BP4, on the errors δ of each layer, read off the graph."""

import numpy as np
from _lesson import BLUE, run

import tinygrad_nn as tg

SIZES = [4, 5, 3, 2]


def start():
    random = np.random.default_rng(0)
    W = [tg.tensor(random.standard_normal((n, m)), requires_grad=True) for m, n in zip(SIZES, SIZES[1:])]
    b = [tg.tensor(random.standard_normal(n), requires_grad=True) for n in SIZES[1:]]
    for layer, (weight, bias) in enumerate(zip(W, b), start=2):
        weight.name, bias.name = f"w{layer}", f"b{layer}"
    return W, b


def forward(x, W, b):
    """Weighted inputs z and activations a of each layer; a[0] is the input."""
    z, a = [], [x]
    for weight, bias in zip(W, b):
        z.append(weight @ a[-1] + bias)
        a.append(tg.sigmoid(z[-1]))
        z[-1].name, a[-1].name = f"z{len(z) + 1}", f"a{len(a)}"
    return z, a


def sigma_prime(z):
    s = 1 / (1 + np.exp(-z))
    return s * (1 - s)


def main(lesson):
    x, y = tg.tensor([0.5, -1.0, 2.0, 0.1]), tg.tensor([1.0, 0.0])
    W, b = start()
    z, a = forward(x, W, b)
    C = tg.sum((a[-1] - y) ** 2) / 2
    for between in (*z, a[-1]):
        between.retain_grad()
    C.backward(retain_graph=True)

    delta = [t.grad.numpy() for t in z]  # the error of a layer is the gradient of its weighted inputs
    z_, a_, W_ = ([t.detach().numpy() for t in some] for some in (z, a, W))
    last = len(delta) - 1

    nabla_a = a_[-1] - y.numpy()
    lesson.states("BP1: δᴸ = ∇ₐC ⊙ σ′(zᴸ)", delta[last], nabla_a * sigma_prime(z_[last]), within=1e-14)
    for i in range(last):
        expected = (W_[i + 1].T @ delta[i + 1]) * sigma_prime(z_[i])
        lesson.states(f"BP2: δ^{i + 2} = (w^{i + 3}ᵀ δ^{i + 3}) ⊙ σ′(z^{i + 2})", delta[i], expected, within=1e-14)
    for i in range(last + 1):
        lesson.states(f"BP3: ∂C/∂b^{i + 2} = δ^{i + 2}", b[i].grad.numpy(), delta[i], within=0)
    for i in range(last + 1):
        expected = np.outer(delta[i], a_[i])
        lesson.states(f"BP4: ∂C/∂w^{i + 2} = δ^{i + 2} (a^{i + 1})ᵀ", W[i].grad.numpy(), expected, within=1e-14)

    # what the chain rule says of one bias
    lesson.say()
    lesson.say(str(tg.explain(C, wrt=b[-1])))
    lesson.save(tg.draw(C), "graph.svg")

    figure, axes = lesson.figure(columns=len(delta), width=2.6, height=2.4, sharey=True)
    for panel, error, layer in zip(axes, delta, range(2, 9)):
        panel.bar(np.arange(1, len(error) + 1), error, color=BLUE)
        panel.set(title=f"δ of layer {layer}", xlabel="neuron", xticks=np.arange(1, len(error) + 1))
    axes[0].set_ylabel("δ")
    lesson.save(figure, "errors.svg")


if __name__ == "__main__":
    run(main)
