"""Heat: how large the gradients are, as colours of the cards, on a logarithmic scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...core.formula import number
from .model import Box, Graph

# From pale to strong, so that a grey print keeps the order, and light enough for what is written on them.
_COLD, _HOT = (255, 252, 235), (240, 140, 110)


@dataclass(frozen=True)
class Heat:
    """The scale of a drawing: root mean squares of gradients, by the id of the box; zeros and unknown ones left out."""

    sizes: dict[str, float]
    lowest: float
    highest: float

    def color(self, box: Box, otherwise: str) -> str:
        """The colour of a box's card."""
        size = self.sizes.get(box.id)
        if size is None:
            return otherwise
        span = math.log(self.highest / self.lowest)
        share = math.log(size / self.lowest) / span if span else 1.0
        return "#" + "".join(f"{round(cold + (hot - cold) * share):02X}" for cold, hot in zip(_COLD, _HOT))

    def note(self, box: Box) -> str:
        """What a card says of it; empty where nothing is known."""
        size = self.sizes.get(box.id)
        return "" if size is None else f"gradient’s RMS {number(size, 2)}"

    def legend(self) -> str:
        """What the colours mean."""
        if not self.sizes:
            return "no heat: no gradient is known; call backward(), and record inside tg.keep_values()"
        return (
            f"heat: the gradients’ root mean square, from {number(self.lowest, 2)} (pale) to "
            f"{number(self.highest, 2)} (strong), on a logarithmic scale"
        )


def heat_of(graph: Graph) -> Heat:
    """The heat of all boxes whose gradients are known; of a box with several results, that of the largest."""
    sizes = {}
    for box in graph.boxes:
        results = [result.gradient.rms for result in box.results if result.gradient is not None]
        known = [size for size in results if size is not None and 0 < size < math.inf]
        if known:
            sizes[box.id] = max(known)
    return Heat(sizes, min(sizes.values(), default=1.0), max(sizes.values(), default=1.0))
