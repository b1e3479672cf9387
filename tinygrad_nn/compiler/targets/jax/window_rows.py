"""Rows of `jax_rows` for convolution and pooling. Adjoints are transposed by JAX itself, which has them built in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....ops.layers.window import sliding
from ...ir import Step
from .text import Row, Writer, setting_text


def _call(helper: str, *names: str) -> Row:
    """A helper given the inputs in the dtype of the result, and settings."""
    return lambda w, step: _text(w, helper, [w.cast(x, step.out.dtype, exactly=True) for x in step.inputs], step, names)


def _in_own_dtypes(helper: str, *names: str) -> Row:
    """A helper given the inputs as they are, whose result is brought to its dtype."""

    def row(w: Writer, step: Step) -> str:
        text = _text(w, helper, [w.array(x) for x in step.inputs], step, names)
        return f"{text}.astype(jnp.{step.out.dtype.name})"

    return row


def _text(w: Writer, helper: str, inputs: list[str], step: Step, names: Sequence[str]) -> str:
    settings = _for_each_axis(step)
    return f"{w.use(helper)}({', '.join([*inputs, *(setting_text(settings[name]) for name in names)])})"


def _for_each_axis(step: Step) -> dict[str, Any]:
    """Settings of a step, those of windows for each axis."""
    settings = dict(step.params)
    if "stride" in settings:
        window = settings.get("window") or step.inputs[1].shape[2:]
        stride, padding, dilation = sliding(
            window, settings["stride"], settings["padding"], settings.get("dilation", 1)
        )
        settings |= {"stride": stride, "padding": padding, "dilation": dilation}
        settings["counted"] = sliding(window, None, settings.get("counted", 0), 1)[1]
    return settings


_WHERE = ("window", "stride", "padding", "dilation")
_CONV = ("stride", "padding", "dilation", "groups")
_MEAN = ("window", "stride", "padding", "counted", "divisor")

WINDOW_ROWS: dict[str, Any] = {
    "conv_map": _call("convolution", *_CONV),
    "conv": _call("convolution_with_bias", *_CONV),
    "conv_transpose": _call("convolution_in_x", "space", *_CONV),
    "conv_weight": _call("convolution_in_weight", "window", *_CONV),
    "unfold": _call("windows", *_WHERE),
    "fold": _call("put_back", "space", *_WHERE),
    "max_pool": _call("largest", *_WHERE),
    "spread_to_maxima": _in_own_dtypes("spread_to_largest", *_WHERE),
    "mean_at_maxima": _in_own_dtypes("mean_at_largest", *_WHERE),
    "max_pool_indices": _in_own_dtypes("place_of_largest", *_WHERE),
    "avg_pool": _call("window_means", *_MEAN),
    "spread_over_windows": _call("window_shares", "space", *_MEAN),
    "adaptive_avg_pool": _call("adaptive_means", "counts"),
    "spread_adaptively": _call("adaptive_shares", "space"),
    "adaptive_max_pool": _call("adaptive_largest", "counts"),
    "adaptive_max_pool_indices": _in_own_dtypes("adaptive_place", "counts"),
    "spread_to_adaptive_maxima": _in_own_dtypes("adaptive_spread"),
    "mean_at_adaptive_maxima": _in_own_dtypes("adaptive_mean"),
}
