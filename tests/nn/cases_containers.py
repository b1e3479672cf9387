"""Cases of `tests.nn.cases`: what holds parameters or changes shapes."""

from tests.nn.cases import Case


def powers(nn):
    """A module with a list and a dict of parameters, from `nn` alone."""

    class Powers(nn.Module):
        def __init__(self):
            super().__init__()
            self.bilinear = nn.Bilinear(2, 3, 2)
            make = self.bilinear.weight.__class__
            first, second, third = (self.bilinear.weight[i].detach() for i in (0, 1, 0))
            self.list = nn.ParameterList([make(first), make(second)])
            self.dict = nn.ParameterDict({"scale": make(third)})

        def forward(self, x, y):
            return (
                self.bilinear(x, y)
                + x @ self.list[0] @ (y * self.dict["scale"][0]).sum(0)[:, None] * self.list[1][0, 0]
            )

    return Powers()


CASES = {
    "bilinear": Case(lambda nn: nn.Bilinear(2, 3, 4), inputs=((5, 2), (5, 3))),
    "bilinear_no_bias": Case(lambda nn: nn.Bilinear(2, 3, 4, bias=False), inputs=((2, 5, 2), (2, 5, 3))),
    "parameter_list_and_dict": Case(powers, inputs=((4, 2), (4, 3))),
    "unflatten": Case(
        lambda nn: nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Linear(3, 2), nn.Flatten()), inputs=((4, 6),)
    ),
}
