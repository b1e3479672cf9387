"""Domain rows of the operations of network layers, in files of the names that the operations' own files have."""

from . import adaptive, convolution, loss, neural, normalization, pooling, recurrent

ROWS = [
    row for family in (neural, loss, normalization, convolution, pooling, adaptive, recurrent) for row in family.ROWS
]
