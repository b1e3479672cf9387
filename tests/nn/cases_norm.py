"""Cases of `tests.nn.cases`: normalization."""

from tests.nn.cases import Case

CASES = {
    "batch_norm_1d": Case(lambda nn: nn.BatchNorm1d(3), inputs=((5, 3),), calls=3),
    "batch_norm_1d_length": Case(lambda nn: nn.BatchNorm1d(3, eps=0.1, momentum=0.3), inputs=((2, 3, 4),), calls=2),
    "batch_norm_1d_plain_average": Case(lambda nn: nn.BatchNorm1d(3, momentum=None), inputs=((5, 3),), calls=3),
    "batch_norm_1d_no_affine": Case(lambda nn: nn.BatchNorm1d(3, affine=False), inputs=((5, 3),)),
    "batch_norm_1d_no_bias": Case(lambda nn: nn.BatchNorm1d(3, bias=False), inputs=((5, 3),)),
    "batch_norm_1d_no_tracking": Case(
        lambda nn: nn.BatchNorm1d(3, track_running_stats=False), inputs=((5, 3),), train=False
    ),
    "batch_norm_2d": Case(lambda nn: nn.BatchNorm2d(2), inputs=((3, 2, 2, 3),), calls=2),
    "batch_norm_2d_eval": Case(lambda nn: nn.BatchNorm2d(2), inputs=((3, 2, 2, 3),), train=False),
    "batch_norm_2d_double": Case(lambda nn: nn.BatchNorm2d(2), inputs=((3, 2, 2, 3),), dtype="float64"),
    "layer_norm": Case(lambda nn: nn.LayerNorm(4), inputs=((3, 4),)),
    "layer_norm_two_axes": Case(lambda nn: nn.LayerNorm((2, 3), eps=0.1), inputs=((3, 4, 2, 3),)),
    "layer_norm_no_bias": Case(lambda nn: nn.LayerNorm([4], bias=False), inputs=((3, 4),), dtype="float64"),
    "layer_norm_no_affine": Case(lambda nn: nn.LayerNorm(4, elementwise_affine=False), inputs=((2, 3, 4),)),
    "group_norm": Case(lambda nn: nn.GroupNorm(2, 4), inputs=((2, 4, 3),)),
    "group_norm_pictures": Case(lambda nn: nn.GroupNorm(4, 4, affine=False), inputs=((2, 4, 2, 3),)),
    "rms_norm": Case(lambda nn: nn.RMSNorm(4), inputs=((3, 4),)),
    "rms_norm_two_axes": Case(lambda nn: nn.RMSNorm((2, 3), eps=0.1), inputs=((3, 2, 3),)),
}
