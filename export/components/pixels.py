"""Graph forms of the steps between pixels and networks: uint8 straight RGBA on the outside,
premultiplied floats inside (training.models.vision.premultiply, training.models.vae.straight)."""

from __future__ import annotations

from onnx import TensorProto

from export.graph import GraphBuilder

LEVEL = 1 / 255


def premultiply(graph: GraphBuilder, image: str) -> str:
    """uint8 straight [H, W, 4] → float32 premultiplied [H, W, 4], 0 to 1."""
    with graph.exact():
        x = graph.op("Cast", image, to=TensorProto.FLOAT)
        x = graph.op("Div", x, graph.number(255.0))
    color, alpha = graph.split(x, [3, 1], axis=-1)
    return graph.op("Concat", graph.op("Mul", color, alpha), alpha, axis=-1)


def centred(graph: GraphBuilder, x: str) -> str:
    """0 to 1 becomes -1 to 1, in float32."""
    with graph.exact():
        return graph.op("Sub", graph.op("Mul", x, graph.number(2.0)), graph.number(1.0))


def straight(graph: GraphBuilder, pixels: str, output: str) -> None:
    """float32 premultiplied [1, 4, H, W] → uint8 straight [H, W, 4] under the name `output`.

    Alpha within four levels of full or none is snapped, so opaque pictures stay opaque.
    """
    zero, one = graph.number(0.0), graph.number(1.0)
    x = graph.op("Clip", pixels, zero, one)
    color, alpha = graph.split(x, [3, 1], axis=1)
    full = graph.op("Greater", alpha, graph.number(1 - 4 * LEVEL))
    alpha = graph.op("Where", full, one, alpha)
    none = graph.op("Less", alpha, graph.number(4 * LEVEL))
    alpha = graph.op("Where", none, zero, alpha)
    color = graph.op("Div", color, graph.op("Max", alpha, graph.number(4 * LEVEL)))
    color = graph.op("Where", none, zero, graph.op("Min", color, one))
    x = graph.op("Mul", graph.op("Concat", color, alpha, axis=1), graph.number(255.0))
    x = graph.op("Floor", graph.op("Add", x, graph.number(0.5)))
    x = graph.op("Transpose", x, perm=[0, 2, 3, 1])
    x = graph.op("Squeeze", x, graph.ints([0]))
    # Last, because compilers know uint8 only at a graph's edge.
    graph.op("Cast", x, to=TensorProto.UINT8, output=output)
