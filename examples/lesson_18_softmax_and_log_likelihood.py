"""Lesson 18: softmax makes of any outputs a distribution, and with the log-likelihood ∂C/∂z = a − y."""

import numpy as np
from _lesson import BLUE, RED, run

import tinygrad_nn as tg
from tinygrad_nn import nn


def main(lesson):
    z = tg.tensor([2.5, -1.0, 3.2, 0.5], requires_grad=True)
    y = tg.tensor([0.0, 0.0, 1.0, 0.0])  # the label as a vector: class 2

    a = tg.softmax(z)
    lesson.states("Σ aⱼ", a.sum().item(), 1)
    lesson.states("aⱼ = e^zⱼ / Σ e^zₖ", a.numpy(), np.exp(z.numpy()) / np.exp(z.numpy()).sum(), within=1e-15)
    lesson.holds("all are positive", (a.numpy() > 0).all())

    C = -tg.sum(y * tg.log(a))  # the log-likelihood cost, −log of what the right class is given
    C.backward(retain_graph=True)
    lesson.states("C = −log a₂", C.item(), -np.log(a[2].item()), within=1e-15)
    lesson.states("∂C/∂z = a − y", z.grad.numpy(), (a - y).numpy(), within=1e-15)
    lesson.save(tg.draw(C), "graph.svg")

    # the library's loss does all of it in one operation that cannot overflow
    fused = nn.functional.cross_entropy(z.reshape(1, 4), np.array([2]))
    lesson.states("the same by cross_entropy", fused.item(), C.item(), within=1e-14)
    huge = tg.tensor([[1000.0, 0.0]], requires_grad=True)
    loss = nn.functional.cross_entropy(huge, np.array([1]))
    loss.backward()
    lesson.states("even where e^z overflows: cost", loss.item(), 1000)
    lesson.states("  and ∂C/∂z", huge.grad.numpy(), [[1, -1]])

    # Jacobian: ∂aⱼ/∂zₖ = aⱼ(δⱼₖ − aₖ), so that a raised output lowers all the others
    J = tg.jacobian(tg.softmax)(z.detach().numpy())
    a = a.detach().numpy()
    lesson.states("∂aⱼ/∂zₖ = aⱼ(δⱼₖ − aₖ)", J, np.diag(a) - np.outer(a, a), within=1e-15)
    lesson.states("each of its columns adds up to", J.sum(axis=0), np.zeros(4), within=1e-15)

    figure, axes = lesson.figure(columns=2, height=2.8)
    line = np.linspace(-5, 8, 100)
    moved = np.array([tg.softmax(np.array([2.5, -1.0, x, 0.5])) for x in line])
    for j, style in enumerate(("-", "--", "-", ":")):
        axes[0].plot(line, moved[:, j], style, color=RED if j == 2 else BLUE, label=f"a{'₀₁₂₃'[j]}")
    axes[0].plot(line, moved.sum(axis=1), color="black", linewidth=0.8, label="sum")
    axes[0].set(xlabel="z₂, the others kept", title="outputs")
    axes[0].legend(ncols=2)
    picture = axes[1].imshow(J, cmap="RdBu", vmin=-0.25, vmax=0.25)
    axes[1].set(title="∂aⱼ/∂zₖ", xlabel="k", ylabel="j")
    axes[1].grid(visible=False)
    figure.colorbar(picture)
    lesson.save(figure, "softmax.svg")


if __name__ == "__main__":
    run(main)
