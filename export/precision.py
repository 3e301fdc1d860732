"""Precisions: what each stores, what it computes in, and how one layer may differ from the rest.

A `Recipe` says how a component's graph is built. A layer is named by its path in the graph
(`blocks.3/qkv`); `layers` gives single layers another kind than the recipe's.

| kind | weights in the file | activations | product |
| --- | --- | --- | --- |
| `fp32` | float32 | float32 | float32 |
| `w8` | int8, one scale per output channel | float32 | float32, unpacked once at opening |
| `int8` | the same bytes as `w8` | uint8, one scale per call | int32, scaled back to float32 |
| `fp16` | float16 | float16 | float16 |
| `fp8` | float8e4m3fn, one scale | float8e4m3fn, calibrated | float8, scaled back to float16 |

| precision | kind of a layer | of the smallest layers | where the measured error asks |
| --- | --- | --- | --- |
| `fp32` | fp32 | fp32 | |
| `w8` | w8 | fp32 | |
| `int8` | int8 | fp32 | w8 |
| `fp16` | fp16 | fp16 | |
| `fp8` | fp8 | fp16 | fp16 |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

FLOAT8_MAX = 448.0


@dataclass(frozen=True)
class Recipe:
    """How a component is computed in one precision.

    `default` is the kind of a layer, `small` that of weights of at most `small_size` elements,
    `layers` the kind of named layers. `scales` holds the calibrated scale of the activations that
    go into each fp8 layer. `kv` is the type of the planner's keys and values at the component's
    boundary, `window_kv` that of references' and windows', and `kv_scale` their scale where it is
    float8e4m3fn. `family` names the data files, which precisions with the same bytes share.
    """

    precision: str
    compute: str = "float32"
    default: str = "fp32"
    small: str = "fp32"
    small_size: int = 0
    family: str = "fp32"
    layers: Mapping[str, str] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    kv: str = "float32"
    window_kv: str = "float32"
    kv_scale: float = 1.0

    def kind(self, path: str, size: int) -> str:
        """The kind of the layer at `path` whose weight has `size` elements."""
        if path in self.layers:
            return self.layers[path]
        return self.small if size <= self.small_size else self.default


_HALF = Recipe("", "float16", "fp16", "fp16", kv="float16", window_kv="float16")
RECIPES = {
    "fp32": Recipe("fp32"),
    "w8": Recipe("w8", default="w8", family="w8"),
    "int8": Recipe("int8", default="w8", family="w8"),
    "fp16": replace(_HALF, precision="fp16", family="fp16"),
    "fp8": replace(_HALF, precision="fp8", family="fp8"),
}
