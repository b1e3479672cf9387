"""Lesson 12: counting parameters. A network of [784, 30, 10] units has 784·30 + 30 + 30·10 + 10 = 23,860."""

from _lesson import BLUE, RED, run

from tinygrad_nn import nn


def network(*sizes):
    """Full layers with sigmoids between."""
    layers = []
    for before, after in zip(sizes, sizes[1:]):
        layers += [nn.Linear(before, after), nn.Sigmoid()]
    return nn.Sequential(*layers)


def count(module, kind=""):
    """How many parameters a module has, or how many of a kind, "weight" or "bias"."""
    return sum(p.size for name, p in module.named_parameters() if name.endswith(kind))


def main(lesson):
    model = network(784, 30, 10)
    lesson.say(repr(model))
    for name, p in model.named_parameters():
        lesson.say(f"  {name:10} {p.shape!s:10} {p.size:6,}")
    lesson.states("weights, 784·30 + 30·10", count(model, "weight"), 23_820)
    lesson.states("biases, 30 + 10", count(model, "bias"), 40)
    lesson.states("all parameters of [784, 30, 10]", count(model), 23_860)
    lesson.states("of [784, 100, 10]", count(network(784, 100, 10)), 79_510)
    lesson.states("of [784, 30, 30, 10]", count(network(784, 30, 30, 10)), 24_790)

    figure, axes = lesson.figure(columns=2, width=4.2, height=2.2, sharey=True)
    sizes = [(784, 30, 10), (784, 30, 30, 10), (784, 100, 10), (784, 500, 10)]
    names = [f"{list(layers)}: {count(network(*layers)):,}" for layers in sizes]
    for panel, kind, label, color in zip(axes, ("weight", "bias"), ("weights", "biases"), (BLUE, RED)):
        counts = [count(network(*layers), kind) for layers in sizes]
        bars = panel.barh(names, counts, color=color)
        panel.bar_label(bars, [f"{n:,}" for n in counts], padding=3)
        panel.margins(x=0.25)
        panel.set_xlabel(label)
    lesson.save(figure, "counts.svg")


if __name__ == "__main__":
    run(main)
