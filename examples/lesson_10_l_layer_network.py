"""Lesson 10: networks of L layers, built of blocks that go forward with a cache and backward with what it holds."""

import numpy as np
from _lesson import run

import tinygrad_nn as tg

#: An activation g on arrays and Tensors, and its derivative g′(Z).
ACTIVATIONS = {
    "sigmoid": (tg.sigmoid, lambda Z: 1 / (1 + np.exp(-Z)) * (1 - 1 / (1 + np.exp(-Z)))),
    "relu": (tg.relu, lambda Z: (Z > 0).astype(float)),
}

#: Sizes of the layers, the first of which are the features, and the activation of each layer.
NETWORKS = [
    ([5, 5, 3, 1], ["sigmoid", "sigmoid", "sigmoid"]),
    ([5, 5, 3, 1], ["relu", "relu", "sigmoid"]),
]


def start(sizes):
    random = np.random.default_rng(0)
    weights = [random.standard_normal((n, before)) * np.sqrt(2 / before) for before, n in zip(sizes, sizes[1:])]
    return [(W, random.standard_normal((len(W), 1)) * 0.1) for W in weights]


# --- the course's blocks, on arrays ----------------------------------------------------------------------------------


def block_forward(A_prev, W, b, activation):
    Z = W @ A_prev + b
    g, _ = ACTIVATIONS[activation]
    return np.asarray(g(Z)), (A_prev, W, Z)


def block_backward(dA, cache, activation):
    A_prev, W, Z = cache
    m = A_prev.shape[1]
    _, g_prime = ACTIVATIONS[activation]
    dZ = dA * g_prime(Z)
    dW = dZ @ A_prev.T / m
    db = np.mean(dZ, axis=1, keepdims=True)
    return W.T @ dZ, dW, db


def model_forward(X, parameters, activations):
    A, caches = X, []
    for (W, b), activation in zip(parameters, activations):
        A, cache = block_forward(A, W, b, activation)
        caches.append(cache)
    return A, caches


def model_backward(A, Y, caches, activations):
    dA = -Y / A + (1 - Y) / (1 - A)
    gradients = []
    for cache, activation in zip(reversed(caches), reversed(activations)):
        dA, dW, db = block_backward(dA, cache, activation)
        gradients.append((dW, db))
    return gradients[::-1]


# --- the same by autograd --------------------------------------------------------------------------------------------


def cost(parameters, X, Y, activations):
    A = X
    for (W, b), activation in zip(parameters, activations):
        A = ACTIVATIONS[activation][0](W @ A + b)
    return -tg.mean(Y * tg.log(A) + (1 - Y) * tg.log(1 - A))


def main(lesson):
    random = np.random.default_rng(1)
    X = random.standard_normal((5, 20))
    Y = (random.random((1, 20)) < 0.5).astype(float)
    for sizes, activations in NETWORKS:
        lesson.say(f"layers {sizes}: {' → '.join(activations)}")
        parameters = start(sizes)
        A, caches = model_forward(X, parameters, activations)
        lesson.states("  shapes of A and of each W", [A.shape, *(W.shape for W, _ in parameters)], _shapes(sizes))
        by_hand = model_backward(A, Y, caches, activations)
        automatic = tg.grad(cost)(parameters, X, Y, activations)
        for number, (hand, auto) in enumerate(zip(by_hand, automatic), start=1):
            worst = max(np.max(np.abs(h - a)) for h, a in zip(hand, auto))
            lesson.holds(f"  dW{number} and db{number}: equal to autograd's within {worst:.0e}", worst < 1e-13)

    X, Y = tg.tensor(X[:, :2]), tg.tensor(Y[:, :2])
    parameters = [[tg.tensor(p, requires_grad=True) for p in pair] for pair in start([5, 5, 3, 1])]
    for number, (W, b) in enumerate(parameters, start=1):
        W.name, b.name = f"W{number}", f"b{number}"
    J = cost(parameters, X, Y, NETWORKS[1][1])
    J.backward()
    lesson.save(tg.draw(J), "graph.svg")


def _shapes(sizes):
    return [(sizes[-1], 20), *zip(sizes[1:], sizes)]


if __name__ == "__main__":
    run(main)
