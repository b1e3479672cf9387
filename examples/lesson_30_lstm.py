"""Lesson 30: the LSTM. Gates decide what its cell forgets, takes in and shows: it remembers."""

import numpy as np
from _lesson import BLUE, RED, run

import tinygrad_nn as tg
from tinygrad_nn import nn, optim

F = nn.functional


class Reader(nn.Module):
    """Reads a sequence, and then tells its class."""

    def __init__(self, recurrent, hidden, generator):
        super().__init__()
        self.recurrent = recurrent(2, hidden, batch_first=True, generator=generator)
        self.out = nn.Linear(hidden, 1, generator=generator)

    def forward(self, x):
        states, _ = self.recurrent(x)
        return self.out(states[:, -1])[:, 0]


def task(random, count, length):
    """Sequences whose first number, +1 or −1, is their class; noise follows, marked by a 0 in the second place."""
    x = np.zeros((count, length, 2), np.float32)
    x[:, :, 0] = random.standard_normal((count, length))
    y = random.integers(0, 2, count).astype(np.float32)
    x[:, 0] = np.stack([2 * y - 1, np.ones(count)], axis=1)
    return x, y


def remember(lstm):
    """Let the forget gates start open: their biases, the second quarter, at 5, so that σ is 0.993 and memory lasts."""
    with tg.no_grad():
        lstm.bias_ih_l0[lstm.hidden_size : 2 * lstm.hidden_size] = 5


def train(network, length, steps):
    """The accuracy by step, in batches not seen before."""
    random = np.random.default_rng(1)
    optimizer = optim.Adam(network.parameters(), lr=0.01)

    @tg.compile
    def step(x, y):
        scores = network(x)
        loss = F.binary_cross_entropy_with_logits(scores, y)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return scores

    accuracies = []
    for _ in range(steps):
        x, y = task(random, 32, length)
        accuracies.append(np.mean((step(x, y).numpy() > 0) == (y == 1)))
    return np.array(accuracies)


def one_step(lesson):
    """A step written out, each gate with weights of its own for [h⟨t−1⟩, x⟨t⟩]; the same as `nn.LSTMCell`; drawn."""
    cell = nn.LSTMCell(2, 2, generator=tg.random.default_rng(0))
    random = np.random.default_rng(0)
    x, h, c = (tg.tensor(random.standard_normal((1, 2)), dtype=tg.float32, requires_grad=True) for _ in range(3))
    h_next, c_next = cell(x, (h, c))

    # the cell keeps the rows of the four parts one upon another: input gate, forget gate, candidate, output gate
    weights = np.split(np.concatenate([cell.weight_hh.numpy(), cell.weight_ih.numpy()], axis=1), 4)
    biases = np.split(cell.bias_ih.numpy() + cell.bias_hh.numpy(), 4)
    W_i, W_f, W_c, W_o = (tg.tensor(w, requires_grad=True) for w in weights)
    b_i, b_f, b_c, b_o = (tg.tensor(b, requires_grad=True) for b in biases)
    seen = tg.concat([h, x], axis=1)
    forget_gate = tg.sigmoid(F.linear(seen, W_f, b_f))
    input_gate = tg.sigmoid(F.linear(seen, W_i, b_i))
    output_gate = tg.sigmoid(F.linear(seen, W_o, b_o))
    candidate = tg.tanh(F.linear(seen, W_c, b_c))
    cell_state = forget_gate * c + input_gate * candidate
    output = output_gate * tg.tanh(cell_state)

    lesson.states("c⟨t⟩ = Γ_f ∗ c⟨t−1⟩ + Γ_i ∗ c̃⟨t⟩", cell_state.numpy(), c_next.numpy())
    lesson.states("h⟨t⟩ = Γ_o ∗ tanh c⟨t⟩", output.numpy(), h_next.numpy())
    J = output.sum()
    J.backward()
    lesson.states("∂h⟨t⟩/∂c⟨t−1⟩ goes through the forget gate alone", c.grad.numpy(),
                  (output_gate * (1 - tg.tanh(cell_state) ** 2) * forget_gate).numpy())  # fmt: skip
    lesson.save(tg.draw(J), "lstm.svg")


def main(lesson):
    one_step(lesson)
    lesson.states("parameters of nn.LSTM(28, 64), 4·(64·28 + 64·64 + 2·64)",
                  sum(p.size for p in nn.LSTM(28, 64).parameters()), 24_064)  # fmt: skip

    length = 40 if lesson.quick else 60
    steps = 200 if lesson.quick else 400
    found = {}
    for recurrent in (nn.RNN, nn.LSTM):
        name = recurrent.__name__
        network = Reader(recurrent, 16, tg.random.default_rng(3))
        if recurrent is nn.LSTM:
            remember(network.recurrent)
        found[name] = train(network, length, steps)
        lesson.say(f"{name}: {found[name][-30:].mean():.1%} of the last sequences right, {length} steps long")
    lesson.holds("the plain RNN has not learned to keep what came first", found["RNN"][-30:].mean() < 0.7)
    lesson.holds("the LSTM still has it", found["LSTM"][-30:].mean() > 0.95)

    figure, panel = lesson.figure(width=6)
    for (name, accuracies), color in zip(found.items(), (RED, BLUE)):
        smooth = np.convolve(accuracies, np.ones(20) / 20, mode="valid")
        panel.plot(np.arange(len(smooth)) + 20, smooth * 100, color=color, label=name)
    panel.set(
        xlabel="step of training", ylabel="accuracy, %", title=f"the first of {length} numbers, recalled at the end"
    )
    panel.legend()
    panel.set_ylim(0, 105)
    lesson.save(figure, "memory.svg")


if __name__ == "__main__":
    run(main)
