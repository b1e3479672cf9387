"""Every class of the namespaces around a training can be shown, as a debugger or a prompt does."""

import inspect

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import data, nn, optim, testing, training
from tinygrad_nn.data import transforms
from tinygrad_nn.optim import lr_scheduler

NAMESPACES = (optim, lr_scheduler, data, transforms, training, testing, tg.random)
PAIRS = data.TensorDataset(np.zeros((4, 1, 2, 2), np.float32), np.arange(4))


def optimizer():
    return optim.SGD([tg.tensor([1.0, 2.0], requires_grad=True)], momentum=0.9)


class Constant(lr_scheduler.LRScheduler):
    def get_lr(self):
        return self.base_lrs


def constant(epoch):
    return 1.0


def trainer(kind):
    model = nn.Linear(2, 1)
    return kind(model, nn.MSELoss(), optim.SGD(model.parameters()))


#: How to make one of each class whose arguments are not those of its namespace, below.
MADE = {
    "Optimizer": lambda kind: kind([tg.tensor(1.0, requires_grad=True)], {"lr": 0.1}),
    "ChainedScheduler": lambda kind: kind([lr_scheduler.ConstantLR(optimizer())]),
    "CosineAnnealingLR": lambda kind: kind(optimizer(), 3),
    "CosineAnnealingWarmRestarts": lambda kind: kind(optimizer(), 3),
    "CyclicLR": lambda kind: kind(optimizer(), 0.1, 0.2),
    "ExponentialLR": lambda kind: kind(optimizer(), 0.9),
    "LambdaLR": lambda kind: kind(optimizer(), constant),
    "LRScheduler": lambda kind: Constant(optimizer()),
    "MultiStepLR": lambda kind: kind(optimizer(), [2, 3]),
    "MultiplicativeLR": lambda kind: kind(optimizer(), constant),
    "OneCycleLR": lambda kind: kind(optimizer(), 0.1, total_steps=9),
    "SequentialLR": lambda kind: kind(o := optimizer(), [lr_scheduler.StepLR(o, 2), lr_scheduler.ConstantLR(o)], [3]),
    "StepLR": lambda kind: kind(optimizer(), 2),
    "BatchSampler": lambda kind: kind(range(4), 2, False),
    "ConcatDataset": lambda kind: kind([PAIRS, PAIRS]),
    "Dataset": lambda kind: kind(),
    "Digits": lambda kind: kind(*PAIRS.arrays, classes=tuple("0123"), split="train"),
    "FetchError": lambda kind: kind("no"),
    "Sampler": lambda kind: kind(),
    "Subset": lambda kind: kind(PAIRS, [1]),
    "SubsetRandomSampler": lambda kind: kind([1]),
    "TensorDataset": lambda kind: PAIRS,
    "WeightedRandomSampler": lambda kind: kind([1.0, 2.0], 2),
    "WorkerInfo": lambda kind: kind(0, 1, 2, PAIRS),
    "CenterCrop": lambda kind: kind(3),
    "Compose": lambda kind: kind([transforms.Flatten()]),
    "Lambda": lambda kind: kind(abs),
    "Normalize": lambda kind: kind(0.0, 1.0),
    "Pad": lambda kind: kind(1),
    "RandomAffine": lambda kind: kind(10),
    "RandomApply": lambda kind: kind([transforms.Flatten()]),
    "RandomCrop": lambda kind: kind(2),
    "RandomRotation": lambda kind: kind(10),
    "RandomShift": lambda kind: kind(1),
    "ToDtype": lambda kind: kind(np.float32),
    "Trainer": trainer,
    "Case": lambda kind: next(testing.op_cases("add")),
    "Row": lambda kind: kind("add"),
    "GradientError": lambda kind: kind("wrong", name="f", input="x", cause="sign", order=1),
    "Generator": lambda kind: tg.random.default_rng(0),
}
#: How to make one of the other classes of a namespace.
OTHERS = {
    optim: lambda kind: kind([tg.tensor([1.0, 2.0], requires_grad=True)]),
    lr_scheduler: lambda kind: kind(optimizer()),
    data: lambda kind: kind(PAIRS),
}
#: All but ImageFolder, which needs Pillow: tests/data/test_images.py shows one.
CLASSES = {
    kind: space
    for space in NAMESPACES
    for name in space.__all__
    if inspect.isclass(kind := getattr(space, name)) and kind is not data.ImageFolder
}


@pytest.mark.parametrize(("kind", "space"), CLASSES.items(), ids=lambda x: x.__name__.removeprefix("tinygrad_nn."))
def test_an_object_can_be_shown(kind, space):
    made = MADE.get(kind.__name__, OTHERS.get(space, lambda kind: kind()))(kind)
    assert isinstance(made, kind)
    if kind in (data.Digits, testing.Case):
        assert repr(made)
    else:
        assert type(made).__name__ in repr(made)


def test_a_chain_shows_its_schedulers():
    o = optimizer()
    chain = lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(o, 2), lr_scheduler.ExponentialLR(o, 0.5)])
    o.step()
    chain.step()
    inner = "last_epoch=1, lr=[0.0005]"
    assert repr(chain) == f"ChainedScheduler([StepLR({inner}), ExponentialLR({inner})])"
