"""The planner's graph: one step of causal decoding over a cache that is written in place.

`TensorScatter` puts the new keys and values at `offset` of the bound cache; `Attention` reads the
first `offset + S` slots, so what stands behind them never matters. In float32, for CPUs, they are
sliced off before it, because ONNX Runtime's kernel does the work of every slot it is given, live or
not. In float16, for GPUs, all slots are read under a mask that is made from `offset` on the device:
no shape depends on a value, so the graph compiles ahead of time and can be captured. (TensorRT for
RTX does not heed `nonpad_kv_seqlen`.)
"""

from __future__ import annotations

from export.components.layers import (
    array_of,
    gated_ffn,
    merge,
    parts,
    qkv,
    rms_norm,
    rope_tables,
)
from export.graph import GraphBuilder
from training.models import Planner
from training.models.planner import PlannerBlock


def build_planner(graph: GraphBuilder, planner: Planner) -> None:
    """Tokens to the last token's logits, keys and values written in place."""
    embedding = graph.storage.weight(graph, array_of(planner.embedding.weight), "embedding", axis=0)
    x = _embed(graph, embedding, planner.config.planner.image_token)
    rope = rope_tables(graph, "positions", planner.rope_table)
    count = graph.op("Shape", "tokens", start=1, end=2)
    seen = _mask(graph, count) if graph.half else graph.op("Add", "offset", count)
    for layer, block in enumerate(parts(planner.blocks, PlannerBlock)):
        with graph.scope(f"blocks.{layer}"):
            x = _block(graph, x, block, rope, layer, seen)
    last = graph.op("Slice", x, graph.ints([-1]), graph.ints([2**62]), graph.ints([1]))
    last = graph.reshape(last, [1, -1])
    last = rms_norm(graph, last, planner.norm, "norm")
    graph.result("MatMul", last, graph.op("Transpose", embedding, perm=[1, 0]), output="logits")


def _embed(graph: GraphBuilder, embedding: str, image_token: int) -> str:
    """Token embeddings, with vision features where pictures stand: [1, S, W]."""
    is_image = graph.op("Equal", "tokens", graph.ints([image_token]))
    is_image = graph.op("Unsqueeze", is_image, graph.ints([2]))
    text = graph.op("Gather", embedding, "tokens", axis=0)
    return graph.op("Where", is_image, graph.enter("features"), text)


def _mask(graph: GraphBuilder, count: str) -> str:
    """Which slots each new token sees, those up to its own: bool [1, 1, S, C]."""
    zero, one = graph.index(0), graph.index(1)
    slots = graph.op("Squeeze", graph.op("Shape", "past.k.0", start=2, end=3))
    slots = graph.reshape(graph.op("Range", zero, slots, one), [1, 1, 1, -1])
    rows = graph.op("Range", zero, graph.op("Squeeze", count), one)
    rows = graph.reshape(graph.op("Add", rows, "offset"), [1, 1, -1, 1])
    return graph.op("LessOrEqual", slots, rows)


def _block(
    graph: GraphBuilder,
    x: str,
    block: PlannerBlock,
    rope: tuple[str, str],
    layer: int,
    seen: str,
) -> str:
    y = rms_norm(graph, x, block.attention_norm, "attention_norm")
    q, k, v = qkv(graph, y, block.attention, rope)
    present = [
        graph.op(
            "TensorScatter", f"past.{kind}.{layer}", new, "offset", axis=-2,
            output=f"present.{kind}.{layer}",
        )
        for kind, new in (("k", k), ("v", v))
    ]  # fmt: skip
    if graph.half:
        y = graph.op("Attention", q, *present, seen)
    else:
        zero, axis = graph.ints([0]), graph.ints([2])
        live = [graph.op("Slice", rows, zero, seen, axis) for rows in present]
        y = graph.op("Attention", q, *live, "", "", "", seen, is_causal=1)
    x = graph.op("Add", x, merge(graph, y, block.attention))
    y = rms_norm(graph, x, block.ffn_norm, "ffn_norm")
    return graph.op("Add", x, gated_ffn(graph, y, block.ffn))
