"""Cases of `tests.nn.cases`: affine layers and activations."""

from tests.nn.cases import Case

CASES = {
    "linear": Case(lambda nn: nn.Linear(4, 3), inputs=((5, 4),)),
    "linear_no_bias": Case(lambda nn: nn.Linear(4, 3, bias=False), inputs=((2, 3, 4),)),
    "mlp": Case(
        lambda nn: nn.Sequential(
            nn.Linear(4, 6), nn.ReLU(), nn.Sequential(nn.Linear(6, 5), nn.Sigmoid()), nn.Linear(5, 2), nn.Tanh()
        ),
        inputs=((3, 4),),
    ),
    "mlp_double": Case(
        lambda nn: nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 3), nn.LogSoftmax(-1)),
        inputs=((3, 4),),
        dtype="float64",
    ),
}
