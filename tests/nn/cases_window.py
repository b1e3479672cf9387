"""Cases of `tests.nn.cases`: convolutions and pooling."""

from tests.nn.cases import Case


def small_network(nn):
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 4), nn.ReLU(), nn.Linear(4, 3)
    )


CASES = {
    "conv1d": Case(lambda nn: nn.Conv1d(2, 4, 3, stride=2, padding=1, groups=2), inputs=((2, 2, 9),)),
    "conv2d": Case(lambda nn: nn.Conv2d(2, 3, (3, 2), padding=(1, 0), dilation=(1, 2)), inputs=((2, 2, 5, 6),)),
    "conv2d_double": Case(lambda nn: nn.Conv2d(2, 3, 3, stride=2, bias=False), inputs=((2, 2, 6, 7),), dtype="float64"),
    "conv2d_same": Case(lambda nn: nn.Conv2d(2, 3, 3, padding="same"), inputs=((2, 4, 5),)),
    "conv2d_reflect": Case(lambda nn: nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), inputs=((2, 1, 4, 5),)),
    "conv2d_circular": Case(
        lambda nn: nn.Conv2d(1, 2, 3, padding=(2, 1), padding_mode="circular"), inputs=((2, 1, 4, 5),)
    ),
    "conv_transpose1d": Case(lambda nn: nn.ConvTranspose1d(2, 3, 3, stride=2), inputs=((2, 2, 4),)),
    "conv_transpose2d": Case(
        lambda nn: nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2), inputs=((2, 2, 3, 4),)
    ),
    "unfold": Case(lambda nn: nn.Unfold((2, 3), dilation=(1, 2), padding=1, stride=2), inputs=((2, 2, 5, 6),)),
    "fold": Case(lambda nn: nn.Fold((4, 5), 2, padding=1, stride=2), inputs=((2, 8, 9),)),
    "max_pool1d": Case(lambda nn: nn.MaxPool1d(3, stride=2, padding=1, ceil_mode=True), inputs=((2, 2, 8),)),
    "max_pool2d": Case(
        lambda nn: nn.MaxPool2d((3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), return_indices=True),
        inputs=((2, 2, 7, 6),),
    ),
    "max_pool2d_ceil": Case(lambda nn: nn.MaxPool2d(2, ceil_mode=True), inputs=((2, 5, 7),)),
    "avg_pool1d": Case(lambda nn: nn.AvgPool1d(3, stride=2, padding=1, count_include_pad=False), inputs=((2, 2, 8),)),
    "avg_pool2d": Case(lambda nn: nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True), inputs=((2, 2, 6, 7),)),
    "avg_pool2d_divisor": Case(lambda nn: nn.AvgPool2d((2, 3), divisor_override=4), inputs=((2, 2, 6, 7),)),
    "lp_pool1d": Case(lambda nn: nn.LPPool1d(2, 3, stride=2, ceil_mode=True), inputs=((2, 2, 8),)),
    "lp_pool2d": Case(lambda nn: nn.LPPool2d(4, 2), inputs=((2, 2, 4, 6),)),
    "adaptive_avg_pool1d": Case(lambda nn: nn.AdaptiveAvgPool1d(3), inputs=((2, 2, 7),)),
    "adaptive_avg_pool2d": Case(lambda nn: nn.AdaptiveAvgPool2d((3, None)), inputs=((2, 2, 7, 5),)),
    "adaptive_avg_pool2d_more": Case(lambda nn: nn.AdaptiveAvgPool2d((5, 6)), inputs=((2, 3, 4),)),
    "adaptive_max_pool1d": Case(lambda nn: nn.AdaptiveMaxPool1d(3), inputs=((2, 2, 6),)),
    "adaptive_max_pool2d": Case(lambda nn: nn.AdaptiveMaxPool2d((3, 2), return_indices=True), inputs=((2, 2, 7, 5),)),
    "small_convolutional_network": Case(small_network, inputs=((2, 1, 8, 8),)),
}
