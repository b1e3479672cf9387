"""Cases of `tests.nn.cases`: activations, at kinks too, and with the arguments that ported code gives."""

from tests.nn.cases import Case

POINTS = [-30.0, -6.0, -3.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 6.0, 30.0]

MAKERS = {
    "relu": lambda nn: nn.ReLU(inplace=False),
    "relu6": lambda nn: nn.ReLU6(),
    "leaky_relu": lambda nn: nn.LeakyReLU(0.2, False),
    "elu": lambda nn: nn.ELU(1.5, False),
    "selu": lambda nn: nn.SELU(),
    "celu": lambda nn: nn.CELU(0.5),
    "silu": lambda nn: nn.SiLU(inplace=False),
    "mish": lambda nn: nn.Mish(),
    "softplus": lambda nn: nn.Softplus(2.0, 1.0),
    "softsign": lambda nn: nn.Softsign(),
    "log_sigmoid": lambda nn: nn.LogSigmoid(),
    "tanhshrink": lambda nn: nn.Tanhshrink(),
    "hardtanh": lambda nn: nn.Hardtanh(-0.5, 2.0),
    "hardsigmoid": lambda nn: nn.Hardsigmoid(),
    "hardswish": lambda nn: nn.Hardswish(),
    "hardshrink": lambda nn: nn.Hardshrink(),
    "softshrink": lambda nn: nn.Softshrink(0.25),
    "threshold": lambda nn: nn.Threshold(0.25, -2.0),
}

CASES = {
    **{f"activation_{name}": Case(make, inputs=(POINTS,), dtype="float64", rtol=1e-7) for name, make in MAKERS.items()},
    "activation_prelu": Case(lambda nn: nn.PReLU(), inputs=((2, 3),)),
    "activation_prelu_channels": Case(lambda nn: nn.PReLU(3), inputs=((2, 3, 4),)),
    "activation_glu": Case(lambda nn: nn.GLU(1), inputs=((2, 4, 3),)),
    "activation_softmin": Case(lambda nn: nn.Softmin(0), inputs=((2, 3),)),
    "activation_softmax2d": Case(lambda nn: nn.Softmax2d(), inputs=((2, 3, 2, 2),)),
}
