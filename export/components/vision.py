"""The eyes' graph: straight RGBA uint8 pixels to the planner's features.

Premultiplying, padding to whole cells and halving are part of the graph; any size works. Patches
stand in the order (row, column, row in cell, column in cell), so a cell is contiguous.
"""

from __future__ import annotations

from onnx import TensorProto

from export.components.layers import (
    array_of,
    gated_ffn,
    linear,
    merge,
    parts,
    qkv,
    rms_norm,
)
from export.components.pixels import premultiply
from export.graph import GraphBuilder
from training.models.vision import Vision, VisionBlock


def build_vision(graph: GraphBuilder, vision: Vision) -> None:
    x, rows, columns = _patches(graph, vision)
    rope = _rope(graph, vision, rows, columns)
    for layer, block in enumerate(parts(vision.blocks, VisionBlock)):
        with graph.scope(f"blocks.{layer}"):
            x = _block(graph, x, block, rope)
    x = rms_norm(graph, x, vision.norm, "norm")
    x = graph.reshape(x, [-1, vision.config.width * vision.config.merge**2])
    x = graph.op("Gelu", linear(graph, x, vision.merge[0], "merge/0"))
    graph.result("Identity", linear(graph, x, vision.merge[2], "merge/2"), output="features")


def _patches(graph: GraphBuilder, vision: Vision) -> tuple[str, str, str]:
    """Embedded patches [1, patches, width], and the number of cell rows and columns ([1])."""
    config, cell = vision.config, vision.cell
    merge, patch = config.merge, config.patch
    cells, halves, padding = [], [], []
    with graph.scope("cells"):
        for axis in (0, 1):
            size = graph.op("Shape", "image", start=axis, end=axis + 1)
            count = graph.op("Add", size, graph.ints([cell - 1]))
            count = graph.op("Div", count, graph.ints([cell]))
            covered = graph.op("Mul", count, graph.ints([cell]))
            cells.append(count)
            halves.append(graph.op("Mul", count, graph.ints([merge * patch])))
            padding.append(graph.op("Sub", covered, size))
        zeros = graph.ints([0, 0, 0])
        pads = graph.op("Concat", zeros, *padding, graph.ints([0]), axis=0)
        with graph.exact():
            x = graph.op("Pad", premultiply(graph, "image"), pads)
        pairs = halves[0], graph.ints([2]), halves[1], graph.ints([2, 4])
        x = graph.op("Reshape", x, graph.op("Concat", *pairs, axis=0))
        x = graph.op("ReduceMean", x, graph.ints([1, 3]), keepdims=0)
        inside = graph.ints([merge, patch])
        places = cells[0], inside, cells[1], inside, graph.ints([4])
        x = graph.op("Reshape", x, graph.op("Concat", *places, axis=0))
        x = graph.op("Transpose", x, perm=[0, 3, 1, 4, 6, 2, 5])
        x = graph.reshape(x, [1, -1, 4 * patch**2])
        with graph.exact():
            x = graph.op("Sub", graph.op("Mul", x, graph.number(2.0)), graph.number(1.0))
    return linear(graph, graph.enter(x), vision.patch, "patch"), cells[0], cells[1]


def _rope(graph: GraphBuilder, vision: Vision, rows: str, columns: str) -> tuple[str, str]:
    """cos and sin [1, patches, D/2] at every patch's row and column."""
    merge = vision.config.merge
    table = array_of(vision.rope_table)
    with graph.scope("rope"), graph.exact():
        angles = []
        views = (1, rows, [-1, 1, merge, 1, 1]), (2, columns, [1, -1, 1, merge, 1])
        for axis, count, view in views:
            end = graph.op("Squeeze", graph.op("Mul", count, graph.ints([merge])))
            index = graph.op("Range", graph.index(0), end, graph.index(1))
            index = graph.reshape(graph.op("Cast", index, to=TensorProto.FLOAT), view)
            angles.append(graph.op("Mul", index, graph.tensor(table[axis], f"frequency.{axis}")))
        angle = graph.op("Add", *angles)
        angle = graph.reshape(angle, [1, -1, table.shape[1]])
        cos, sin = graph.op("Cos", angle), graph.op("Sin", angle)
    return graph.enter(cos), graph.enter(sin)


def _block(graph: GraphBuilder, x: str, block: VisionBlock, rope: tuple[str, str]) -> str:
    y = rms_norm(graph, x, block.attention_norm, "attention_norm")
    y = graph.op("Attention", *qkv(graph, y, block.attention, rope))
    x = graph.op("Add", x, merge(graph, y, block.attention))
    y = rms_norm(graph, x, block.ffn_norm, "ffn_norm")
    return graph.op("Add", x, gated_ffn(graph, y, block.ffn))
