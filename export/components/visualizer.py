"""The visualizer's graphs: `denoise`, one Euler step of the flow, and `commit`, a clean picture's
keys and values. Both hold the same weights, and in `commit` the timestep (t = 0) is folded away.

Both use `weft::DPCWAttention`, a model-local function generated from its one declaration in
`training.models.dpcw`; a runtime without a kernel for it inlines the body.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper

from export.components.layers import (
    array_of,
    gated_ffn,
    linear,
    merge,
    parts,
    qkv,
    rope_tables,
    silu,
)
from export.errors import ExportError
from export.graph import OPSET, GraphBuilder
from training.models import Visualizer
from training.models.dpcw import OPERATOR
from training.models.visualizer import VisualizerBlock

EPSILON = 1e-6
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


def build_denoise(graph: GraphBuilder, visualizer: Visualizer) -> None:
    graph.function(dpcw_function())
    vector, modulation = _time(graph, visualizer)
    x, rope = _enter(graph, visualizer, None if visualizer.adaptive else vector)
    for layer, block in enumerate(parts(visualizer.blocks, VisualizerBlock)):
        with graph.scope(f"blocks.{layer}"):
            rows = _rows(graph, block, modulation)
            q, k, v = _queries(graph, x, block, rows, rope)
            window = (f"window.k.{layer}", f"window.v.{layer}")
            y = graph.op(OPERATOR.name, q, *window, k, v, domain=OPERATOR.domain)
            x = _finish(graph, x, y, block, rows)
    velocity = _leave(graph, visualizer, x, vector)
    step = graph.op("Sub", "t_next", "t")
    graph.op("Add", "latent", graph.op("Mul", step, velocity), output="next")


def build_commit(graph: GraphBuilder, visualizer: Visualizer) -> None:
    with torch.no_grad():
        vector, modulation = visualizer._time(torch.zeros(1))
        added = None if visualizer.adaptive else visualizer.time[2](visualizer.time[1](vector))
    graph.function(dpcw_function())
    x, rope = _enter(graph, visualizer, None)
    if added is not None:
        x = graph.op("Add", x, graph.tensor(array_of(added), "time"))
    for layer, block in enumerate(parts(visualizer.blocks, VisualizerBlock)):
        with graph.scope(f"blocks.{layer}"):
            table = _table(block) + array_of(modulation[0])
            rows = [graph.tensor(row, f"modulation.{i}") for i, row in enumerate(table)]
            q, k, v = _queries(graph, x, block, rows, rope)
            graph.op("Identity", k, output=f"reference.k.{layer}")
            graph.op("Identity", v, output=f"reference.v.{layer}")
            if layer + 1 < len(visualizer.blocks):
                shape = (1, block.attention.kv_heads, 0, block.attention.head_dim)
                empty = graph.tensor(np.zeros(shape, np.float32), "empty")
                y = graph.op(OPERATOR.name, q, empty, empty, k, v, domain=OPERATOR.domain)
                x = _finish(graph, x, y, block, rows)


def _time(graph: GraphBuilder, visualizer: Visualizer) -> tuple[str, str]:
    """The timestep as a vector [1, W] and, where it is adaptive, the modulation [6 W]."""
    half = visualizer.time_features // 2
    frequency = np.exp(np.float32(-math.log(10000.0)) * np.arange(half, dtype=np.float32) / half)
    with graph.scope("time"):
        angle = graph.op("Mul", graph.number(1000.0), graph.reshape("t", [1, 1]))
        angle = graph.op("Mul", angle, graph.tensor(frequency.astype(np.float32), "frequency"))
        features = graph.op("Concat", graph.op("Cos", angle), graph.op("Sin", angle), axis=-1)
        vector = linear(graph, features, visualizer.time[0], "0")
        if not visualizer.adaptive:
            return vector, ""
        out = linear(graph, silu(graph, vector), visualizer.time[2], "2")
        return vector, graph.reshape(out, [-1])


def _enter(
    graph: GraphBuilder, visualizer: Visualizer, vector: str | None
) -> tuple[str, tuple[str, str]]:
    """Tokens [1, T, W] from latent and positions, and the rotary tables."""
    count = visualizer.config.visualizer.position_features
    octave = np.arange(count, dtype=np.float32) * np.float32(6) / np.float32(count - 1)
    frequency = (np.float32(math.pi / 32) * np.float32(2) ** octave).astype(np.float32)
    with graph.scope("place"):
        places = graph.op("Slice", "positions", *(graph.ints([i]) for i in (1, 3, 1)))
        angle = graph.op("Unsqueeze", places, graph.ints([2]))
        angle = graph.op("Mul", angle, graph.tensor(frequency, "frequency"))
        features = graph.op("Concat", graph.op("Cos", angle), graph.op("Sin", angle), axis=-1)
        features = graph.reshape(features, [1, -1, 4 * count])
        place = linear(graph, features, visualizer.place, "linear")
    x = graph.op("Add", linear(graph, "latent", visualizer.enter, "enter"), place)
    if vector is not None:
        x = graph.op("Add", x, linear(graph, silu(graph, vector), visualizer.time[2], "time/2"))
    return x, rope_tables(graph, "positions", visualizer.rope_table)


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


def _leave(graph: GraphBuilder, visualizer: Visualizer, x: str, vector: str) -> str:
    width = visualizer.enter.out_features
    with graph.scope("leave"):
        y = linear(graph, silu(graph, vector), visualizer.leave_modulation, "modulation")
        shift, scale = graph.split(graph.reshape(y, [-1]), [width, width], axis=0)
        x = _modulate(graph, x, shift, graph.op("Add", scale, graph.number(1.0)))
        return linear(graph, x, visualizer.leave, "linear")


def check_exportable(visualizer: Visualizer) -> None:
    if visualizer.config.visualizer.window != "dpcw":
        raise ExportError(
            f"expected a visualizer with the 'dpcw' window, found "
            f"{visualizer.config.visualizer.window!r}; train one with window = 'dpcw'"
        )
