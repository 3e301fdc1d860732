"""The eyes' graph: straight RGBA uint8 pixels to the planner's features.

Premultiplying, padding to whole cells and halving are part of the graph; any size works. Patches
stand in the order (row, column, row in cell, column in cell), so a cell is contiguous.
The convolutions of the stem see the padded picture at its full size.
"""

from __future__ import annotations

from onnx import TensorProto
from torch import nn

from export.components.layers import (
    array_of,
    convolution,
    gated_ffn,
    linear,
    merge,
    parts,
    qkv,
    rms_norm,
    silu,
)
from export.components.pixels import centred, premultiply
from export.graph import GraphBuilder
from training.models.vision import Vision, VisionBlock


def build_vision(graph: GraphBuilder, vision: Vision) -> None:
    """Straight RGBA, uint8, to the planner's features."""
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
    config = vision.config
    pixels, cells = _whole_cells(graph, vision.cell)
    with graph.scope("cells"):
        halves = [graph.op("Mul", n, graph.ints([vision.cell // 2])) for n in cells]
        pairs = halves[0], graph.ints([2]), halves[1], graph.ints([2, 4])
        x = graph.op("Reshape", pixels, graph.op("Concat", *pairs, axis=0))
        x = graph.op("ReduceMean", x, graph.ints([1, 3]), keepdims=0)
        inside = graph.ints([config.merge, config.patch])
        places = cells[0], inside, cells[1], inside, graph.ints([4])
        x = graph.op("Reshape", x, graph.op("Concat", *places, axis=0))
        x = graph.op("Transpose", x, perm=[0, 3, 1, 4, 6, 2, 5])
        x = graph.reshape(x, [1, -1, 4 * config.patch**2])
        x = centred(graph, x)
    x = linear(graph, graph.enter(x), vision.patch, "patch")
    if vision.stem is not None:
        x = graph.op("Add", x, _stem(graph, pixels, vision.stem, config.merge, cells))
    return x, cells[0], cells[1]


def _whole_cells(graph: GraphBuilder, cell: int) -> tuple[str, tuple[str, str]]:
    """Premultiplied pixels [H', W', 4] padded to whole cells, and how many there are ([1] each)."""
    counts, padding = [], []
    with graph.scope("cells"):
        for axis in (0, 1):
            size = graph.op("Shape", "image", start=axis, end=axis + 1)
            count = graph.op("Add", size, graph.ints([cell - 1]))
            count = graph.op("Div", count, graph.ints([cell]))
            covered = graph.op("Mul", count, graph.ints([cell]))
            counts.append(count)
            padding.append(graph.op("Sub", covered, size))
        pads = graph.op("Concat", graph.ints([0, 0, 0]), *padding, graph.ints([0]), axis=0)
        with graph.exact():
            pixels = graph.op("Pad", premultiply(graph, "image"), pads)
    return pixels, (counts[0], counts[1])


def _stem(
    graph: GraphBuilder, pixels: str, stem: nn.Sequential, merge: int, cells: tuple[str, str]
) -> str:
    """What the convolutions see, [1, patches, width] in the order of the patches."""
    x = graph.op("Transpose", centred(graph, pixels), perm=[2, 0, 1])
    x = graph.enter(graph.op("Unsqueeze", x, graph.ints([0])))
    width = 0
    for index, layer in enumerate(stem):
        if isinstance(layer, nn.Conv2d):
            x, width = convolution(graph, x, layer, f"stem.{index}"), layer.out_channels
        else:
            x = silu(graph, x)
    places = graph.ints([width]), cells[0], graph.ints([merge]), cells[1], graph.ints([merge])
    x = graph.op("Reshape", x, graph.op("Concat", *places, axis=0))
    x = graph.op("Transpose", x, perm=[1, 3, 2, 4, 0])
    return graph.reshape(x, [1, -1, width])


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
