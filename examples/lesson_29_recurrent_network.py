"""Lesson 29: a recurrent network adds binary numbers, the carry in its state; its unrolled graph folds."""

import numpy as np
from _lesson import run

import tinygrad_nn as tg
from tinygrad_nn import nn, optim


class Adder(nn.Module):
    """Two bits in at each step, lowest first, and a score for the sum's bit out."""

    def __init__(self, hidden, generator):
        super().__init__()
        self.rnn = nn.RNN(2, hidden, batch_first=True, generator=generator)
        self.out = nn.Linear(hidden, 1, generator=generator)

    def forward(self, x):
        states, _ = self.rnn(x)
        return self.out(states)[..., 0]


def bits(numbers, length):
    return (numbers[:, None] >> np.arange(length)) & 1


def sums(random, count, length):
    """Pairs of numbers of `length` bits, and their sums of one more bit: shapes (count, length + 1, 2) and (…, 1)."""
    a, b = random.integers(0, 2**length, (2, count))
    x = np.stack([bits(a, length + 1), bits(b, length + 1)], axis=-1)
    return x.astype(np.float32), bits(a + b, length + 1).astype(np.float32)


def unrolled(random, steps):
    """The sum of the last state of a small cell after so many steps, with all that it was computed by."""
    cell = nn.RNNCell(2, 3, bias=False, generator=tg.random.default_rng(0))
    inputs = [
        tg.tensor(x, dtype=tg.float32, name=f"x⟨{t}⟩") for t, x in enumerate(random.integers(0, 2, (steps, 1, 2)), 1)
    ]
    h = tg.zeros((1, 3), dtype=tg.float32)
    h.name = "h⟨0⟩"
    for t, x in enumerate(inputs, 1):
        x.requires_grad_()
        h = cell(x, h)
        h.name = f"h⟨{t}⟩"
    J = h.sum()
    J.backward()
    return J, inputs


def main(lesson):
    random = np.random.default_rng(0)
    network = Adder(8, tg.random.default_rng(1))
    lesson.say(repr(network))
    optimizer = optim.Adam(network.parameters(), lr=0.01)

    @tg.compile
    def step(x, y):
        loss = nn.functional.binary_cross_entropy_with_logits(network(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    losses = [step(*sums(random, 32, 8)).item() for _ in range(1000)]
    lesson.holds(f"loss {losses[0]:.3f} → {losses[-1]:.5f}", losses[-1] < 0.05)
    for length in (8, 30):
        x, y = sums(random, 500, length)
        with tg.no_grad():
            right = np.mean(((network(x).numpy() > 0) == (y == 1)).all(axis=1))
        lesson.say(f"sums of numbers of {length} bits: {right:.1%} right in every bit")
        lesson.holds(f"  learned from 8 bits, it adds {length}", right > 0.95)

    # the same weights at every step, written out
    x, y = sums(random, 1, 5)
    w, u = network.rnn.weight_ih_l0.numpy(), network.rnn.weight_hh_l0.numpy()
    b = network.rnn.bias_ih_l0.numpy() + network.rnn.bias_hh_l0.numpy()
    h = np.zeros(8)
    for t in range(6):
        h = np.tanh(w @ x[0, t] + u @ h + b)
    states, last = network.rnn(x)
    lesson.holds("h⟨t⟩ = tanh(W x⟨t⟩ + U h⟨t−1⟩ + b), step by step", np.allclose(last.numpy()[0, 0], h, atol=1e-5))

    figure, axes = lesson.figure(columns=2)
    axes[0].semilogy(losses)
    axes[0].set(xlabel="step", title="loss")
    image = axes[1].imshow(states.detach().numpy()[0].T, cmap="RdBu", vmin=-1, vmax=1)
    figure.colorbar(image)
    axes[1].set(xlabel="step of time", ylabel="unit", title="the state while it adds")
    axes[1].grid(visible=False)
    lesson.save(figure, "adder.png")

    # with depth=0 each call of a cell is one box, and of more than six calls those in the middle are one too
    for steps, name in ((4, "unrolled.svg"), (30, "folded.svg")):
        J, inputs = unrolled(random, steps)
        reached = [np.linalg.norm(x.grad) for x in inputs]
        lesson.say(f"‖∂J/∂x⟨t⟩‖ of {steps} steps: first {reached[0]:.2g}, last {reached[-1]:.2g}")
        lesson.save(tg.draw(J, depth=0), name)


if __name__ == "__main__":
    run(main)
