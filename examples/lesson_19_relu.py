"""Lesson 19: ReLU. In a deep network its gradients reach the first layers, and the sigmoid's do not."""

import numpy as np
from _lesson import run

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim

HIDDEN = [30] * 5


def make(activation, generator):
    layers, before = [], 784
    for size in HIDDEN:
        layers += [nn.Linear(before, size), activation()]
        before = size
    network = nn.Sequential(*layers, nn.Linear(before, 10))
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
    return network


def gradient_norms(network, pixels, labels):
    """The norm of each layer's weight gradient, from the first layer to the last."""
    network.zero_grad()
    nn.functional.cross_entropy(network(pixels), labels).backward()
    norms = [float(np.linalg.norm(p.grad)) for p in network.parameters() if p.ndim == 2]
    network.zero_grad()
    return norms


def train(network, digits, epochs):
    """The mean cost of each epoch, and the accuracy on held-out digits at the end."""
    samples = data.TensorDataset(digits.pixels, digits.labels)
    batches = data.DataLoader(samples, batch_size=10, shuffle=True, generator=tg.random.default_rng(1))
    optimizer = optim.SGD(network.parameters(), lr=0.1)

    @tg.compile
    def step(x, y):
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    costs = [np.mean([step(x, y).item() for x, y in batches]) for _ in range(epochs)]
    with tg.no_grad():
        read = network(digits.test_pixels).numpy().argmax(axis=1)
    return costs, np.mean(read == digits.test_labels)


def main(lesson):
    lesson.states("relu(−2), relu(0), relu(3)", tg.relu(np.array([-2.0, 0.0, 3.0])), [0, 0, 3])
    slope = tg.elementwise_grad(tg.relu)
    lesson.states("its slope there", slope(np.array([-2.0, 0.0, 3.0])), [0, 0, 1])

    digits = lesson.digits(train=1000 if lesson.quick else 4000)
    lesson.say(f"{len(digits.pixels)} digits to learn from: {digits.source}; hidden layers {HIDDEN}")
    figure, axes = lesson.figure(columns=3, width=3.4, height=2.8)
    z = np.linspace(-4, 4, 201)
    found = {}
    for activation in (nn.Sigmoid, nn.ReLU):
        name = activation.__name__
        network = make(activation, tg.random.default_rng(0))
        norms = gradient_norms(network, digits.pixels[:200], digits.labels[:200])
        costs, accuracy = train(network, digits, 4 if lesson.quick else 20)
        found[name] = norms, costs, accuracy
        lesson.say(f"{name}: cost {costs[0]:.3f} → {costs[-1]:.3f}, {accuracy:.1%} of held-out digits right")
        axes[0].plot(z, np.asarray(activation()(z)), label=name)
        axes[1].semilogy(range(1, len(norms) + 1), norms, "o-", label=name)
        axes[2].plot(range(1, len(costs) + 1), costs, label=name)
    for name, (norms, _, _) in found.items():
        lesson.say(f"{name}: gradient of the first layer / of the last {norms[0] / norms[-1]:.2g}")
    sigmoid, relu = found["Sigmoid"], found["ReLU"]
    lesson.holds(
        f"ReLU's gradients arrive at the first layer {relu[0][0] / sigmoid[0][0]:.0f} times as large",
        relu[0][0] > 100 * sigmoid[0][0],
    )
    lesson.holds("with ReLU the deep network learns to read", relu[2] > 0.7)
    lesson.holds("  with sigmoids, in the same epochs, it does not", sigmoid[2] < 0.3)
    axes[0].set(title="activation", xlabel="z", ylim=(-0.3, 3))
    axes[1].set(title="norm of ∂C/∂W before training", xlabel="layer")
    axes[2].set(title="cost", xlabel="epoch")
    for panel in axes:
        panel.legend()
    lesson.save(figure, "relu.png")


if __name__ == "__main__":
    run(main)
