"""The visualizer's graphs: `denoise`, one Euler step of the flow, and `commit`, a clean picture's
keys and values. Both hold the same weights. Of the timestep only tables are left: one row for each
time of the schedules in `denoise`, constants (t = 0) in `commit`.

Both use `weft::DPCWAttention`, a model-local function generated from its one declaration in
`training.models.dpcw`; a runtime without a kernel for it inlines the body.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import nn

from export.components.layers import (
    array_of,
    fetched,
    gated_ffn,
    linear,
    matrix_of,
    merge,
    parts,
    qkv,
    rope_tables,
    stored,
)
from export.graph import OPSET, GraphBuilder
from export.storage import dequantize, quantize
from training.models import Visualizer
from training.models.dpcw import OPERATOR
from training.models.visualizer import VisualizerBlock

EPSILON = 1e-6
TIME_TOLERANCE = 1e-4
Array = NDArray[Any]


def dpcw_function() -> onnx.FunctionProto:
    """The operator's standard body: one softmax over window and self."""
    q, k_window, v_window, k_self, v_self = OPERATOR.inputs
    nodes = [
        helper.make_node("Concat", [k_window, k_self], ["k"], axis=2),
        helper.make_node("Concat", [v_window, v_self], ["v"], axis=2),
        helper.make_node("Attention", [q, "k", "v"], list(OPERATOR.outputs)),
    ]
    return helper.make_function(
        OPERATOR.domain,
        OPERATOR.name,
        list(OPERATOR.inputs),
        list(OPERATOR.outputs),
        nodes,
        [helper.make_opsetid("", OPSET)],
    )


@dataclass(frozen=True)
class Timesteps:
    """What the timestep gives the network at each of n times: rows of float32 tables.

    | field | shape | |
    | --- | --- | --- |
    | times | [n] | every time a step starts at, and 0 |
    | modulation | [n, 6 W], or None | added to each block's own table |
    | added | [n, W], or None | added to the tokens where the timestep is not adaptive |
    | leave | [n, 2 W] | shift and 1 + scale before the last layer |
    """

    times: Array
    modulation: Array | None
    added: Array | None
    leave: Array


def timesteps(graph: GraphBuilder, visualizer: Visualizer, times: Sequence[float]) -> Timesteps:
    """The timestep network's results, computed once at export, from its weights as they are stored:
    a checkpoint made of the bundle gives the same tables again."""
    half = visualizer.time_features // 2
    layers = _time_layers(visualizer)
    with torch.no_grad():
        t = torch.tensor(times, dtype=torch.float32)
        steps = torch.arange(half, dtype=torch.float32) / half
        angle = 1000.0 * t[:, None] * torch.exp(-math.log(10000.0) * steps)
        features = torch.cat([angle.cos(), angle.sin()], dim=-1)
        vector = _as_stored(graph, "time/0", layers["time/0"])(features)
        active = torch.nn.functional.silu(vector)
        out = array_of(_as_stored(graph, "time/2", layers["time/2"])(active))
        leave = array_of(_as_stored(graph, "leave/modulation", layers["leave/modulation"])(active))
    leave[:, vector.shape[1] :] += 1
    adaptive = visualizer.adaptive
    return Timesteps(
        np.array(times, np.float32), out if adaptive else None, None if adaptive else out, leave
    )


def _time_layers(visualizer: Visualizer) -> dict[str, nn.Linear]:
    time: Any = visualizer.time
    return {"time/0": time[0], "time/2": time[2], "leave/modulation": visualizer.leave_modulation}


def _as_stored(graph: GraphBuilder, name: str, layer: nn.Linear) -> nn.Linear:
    """The layer with its weight as the graph's recipe stores it."""
    matrix = matrix_of(layer)
    if graph.storage.recipe.kind(name, matrix.size) == "w8":
        matrix = dequantize(*quantize(matrix, axis=1), axis=1)
    stored = nn.Linear(layer.in_features, layer.out_features, device="meta")
    stored.weight = nn.Parameter(torch.from_numpy(np.ascontiguousarray(matrix.T)))
    stored.bias = layer.bias
    return stored


def build_denoise(graph: GraphBuilder, visualizer: Visualizer, times: Sequence[float]) -> None:
    """`times` are those of the schedules: at any other `t` the step gives NaN."""
    graph.function(dpcw_function())
    _keep_time_weights(graph, visualizer)
    modulation, added, leave = _look_up(graph, timesteps(graph, visualizer, times))
    x, rope = _enter(graph, visualizer, added)
    if visualizer.config.visualizer.overview:
        x = graph.op("Add", x, _overview(graph, visualizer))
    for layer, block in enumerate(parts(visualizer.blocks, VisualizerBlock)):
        with graph.scope(f"blocks.{layer}"):
            rows = _rows(graph, block, modulation)
            q, k, v = _queries(graph, x, block, rows, rope)
            window = [fetched(graph, f"window.{kind}.{layer}") for kind in ("k", "v")]
            y = graph.op(OPERATOR.name, q, *window, k, v, domain=OPERATOR.domain)
            x = _finish(graph, x, y, block, rows)
    velocity = graph.leave(_leave(graph, visualizer, x, leave))
    with graph.exact():
        step = graph.op("Sub", "t_next", "t")
        graph.op("Add", "latent", graph.op("Mul", step, velocity), output="next")


def build_commit(graph: GraphBuilder, visualizer: Visualizer) -> None:
    """The clean pass (t = 0): keys and values of every layer, without what the last one gives."""
    clean = timesteps(graph, visualizer, [0.0])
    graph.function(dpcw_function())
    added = None if clean.added is None else graph.tensor(clean.added, "time")
    x, rope = _enter(graph, visualizer, added)
    for layer, block in enumerate(parts(visualizer.blocks, VisualizerBlock)):
        with graph.scope(f"blocks.{layer}"):
            table = _table(block)
            if clean.modulation is not None:
                table = table + clean.modulation.reshape(table.shape)
            rows = [graph.tensor(row, f"modulation.{i}") for i, row in enumerate(table)]
            q, k, v = _queries(graph, x, block, rows, rope)
            stored(graph, "Identity", k, output=f"reference.k.{layer}")
            stored(graph, "Identity", v, output=f"reference.v.{layer}")
            if layer + 1 < len(visualizer.blocks):
                shape = (1, block.attention.kv_heads, 0, block.attention.head_dim)
                empty = graph.tensor(np.zeros(shape, np.float32), "empty")
                y = graph.op(OPERATOR.name, q, empty, empty, k, v, domain=OPERATOR.domain)
                x = _finish(graph, x, y, block, rows)


def _keep_time_weights(graph: GraphBuilder, visualizer: Visualizer) -> None:
    """Stores the folded timestep network's weights, so that a bundle can become a checkpoint again.

    Nothing reads them: a runtime drops them when it opens the graph.
    """
    if graph.storage.recipe.compute != "float32":
        return
    for name, layer in _time_layers(visualizer).items():
        graph.storage.weight(graph, matrix_of(layer), name, axis=1)
        graph.tensor(array_of(layer.bias), f"{name}.bias")


def _look_up(graph: GraphBuilder, table: Timesteps) -> tuple[str, str | None, tuple[str, str]]:
    """At the input `t`: the modulation [6 W] ("" where there is none), what is added to the tokens
    [1, W], and shift and scale of the last layer [W]."""
    with graph.scope("timestep"):
        with graph.exact():
            times = graph.tensor(table.times[None], "times")
            distance = graph.op("Abs", graph.op("Sub", "t", times))
            index = graph.reshape(graph.op("ArgMin", distance, axis=1), [1])
            nearest = graph.op("ReduceMin", distance, graph.ints([0, 1]), keepdims=0)
            known = graph.op("Less", nearest, graph.number(TIME_TOLERANCE))
        modulation, added = "", None
        if table.modulation is not None:
            modulation = graph.op("Gather", graph.tensor(table.modulation, "modulation"), index)
            modulation = graph.reshape(modulation, [-1])
        if table.added is not None:
            added = graph.op("Gather", graph.tensor(table.added, "added"), index)
        leave = graph.op("Gather", graph.tensor(table.leave, "leave"), index)
        leave = graph.op("Where", known, graph.reshape(leave, [-1]), graph.number(math.nan))
        shift, scale = graph.split(leave, [table.leave.shape[1] // 2] * 2, axis=0)
        return modulation, added, (shift, scale)


def _enter(
    graph: GraphBuilder, visualizer: Visualizer, added: str | None
) -> tuple[str, tuple[str, str]]:
    """Tokens [1, T, W] from latent and positions, and the rotary tables."""
    count = visualizer.config.visualizer.position_features
    octave = np.arange(count, dtype=np.float32) * np.float32(6) / np.float32(count - 1)
    frequency = (np.float32(math.pi / 32) * np.float32(2) ** octave).astype(np.float32)
    with graph.scope("place"):
        with graph.exact():
            features = graph.reshape(_places(graph, frequency), [1, -1, 8 * count])
        place = linear(graph, graph.enter(features), visualizer.place, "linear")
    x = graph.op("Add", linear(graph, graph.enter("latent"), visualizer.enter, "enter"), place)
    if added is not None:
        x = graph.op("Add", x, added)
    return x, rope_tables(graph, "positions", visualizer.rope_table)


def _overview(graph: GraphBuilder, visualizer: Visualizer) -> str:
    """`Visualizer._overview` [1, 1, W]."""
    with graph.exact():
        tokens = graph.op("Shape", "latent", start=1, end=2)
        root = graph.op("Sqrt", graph.op("Cast", tokens, to=onnx.TensorProto.FLOAT))
        mean = graph.op("ReduceMean", "latent", graph.ints([1]), keepdims=1)
        mean = graph.op("Mul", mean, graph.op("Mul", "t", root))
    return linear(graph, graph.enter(mean), visualizer.overview, "overview")


def _places(graph: GraphBuilder, frequency: Array) -> str:
    """`Visualizer._places` [T, 4, 2 F]; the picture's extent is that of the positions."""
    place = graph.op("Slice", "positions", *(graph.ints([i]) for i in (1, 3, 1)))
    extent = graph.op("ReduceMax", place, graph.ints([0]), keepdims=1)
    extent = graph.op("Add", extent, graph.number(0.5))
    foot = graph.op("Mul", extent, graph.tensor(np.array([1.0, 0.5], np.float32), "foot"))
    foot = graph.op("Sub", place, foot)
    shorter = graph.op("ReduceMin", extent, graph.ints([1]), keepdims=1)
    scaled = graph.op("Mul", foot, graph.op("Div", graph.number(16.0), shorter))
    where = graph.op("Concat", foot, scaled, axis=1)
    angle = graph.op("Unsqueeze", where, graph.ints([2]))
    angle = graph.op("Mul", angle, graph.tensor(frequency, "frequency"))
    return graph.op("Concat", graph.op("Cos", angle), graph.op("Sin", angle), axis=-1)


def _table(block: VisualizerBlock) -> Array:
    """The block's own modulation [6, W] with the 1 of `1 + scale` folded in."""
    table = array_of(block.table).copy()
    table[[1, 4]] += 1
    return table


def _rows(graph: GraphBuilder, block: VisualizerBlock, modulation: str) -> list[str]:
    """Six rows [W]: shift, 1 + scale and gate, for attention and for the FFN."""
    rows = graph.tensor(_table(block).reshape(-1), "table")
    if modulation:
        rows = graph.op("Add", modulation, rows)
    return graph.split(rows, [block.width] * 6, axis=0)


def _modulate(graph: GraphBuilder, x: str, shift: str, scale: str) -> str:
    return graph.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=EPSILON)


def _queries(
    graph: GraphBuilder,
    x: str,
    block: VisualizerBlock,
    rows: Sequence[str],
    rope: tuple[str, str],
) -> tuple[str, str, str]:
    return qkv(graph, _modulate(graph, x, rows[0], rows[1]), block.attention, rope)


def _finish(
    graph: GraphBuilder, x: str, y: str, block: VisualizerBlock, rows: Sequence[str]
) -> str:
    y = merge(graph, y, block.attention)
    x = graph.op("Add", x, graph.op("Mul", rows[2], y))
    y = gated_ffn(graph, _modulate(graph, x, rows[3], rows[4]), block.ffn)
    return graph.op("Add", x, graph.op("Mul", rows[5], y))


def _leave(graph: GraphBuilder, visualizer: Visualizer, x: str, rows: tuple[str, str]) -> str:
    with graph.scope("leave"):
        return linear(graph, _modulate(graph, x, *rows), visualizer.leave, "linear")
