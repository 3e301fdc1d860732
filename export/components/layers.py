"""Graph forms of the layers that planner, vision and visualizer share (training.models.layers).

Query, key and value projections are one matrix product, and so are gate and up: fewer and larger
operators for the same arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from torch import nn

from export.errors import ExportError
from export.graph import GraphBuilder
from training.models.layers import Attention, GatedFFN, RMSNorm

Array = NDArray[Any]


M = TypeVar("M", bound=nn.Module)


def parts(modules: nn.Module, kind: type[M]) -> Iterator[M]:
    """The children of `modules`, all of one kind."""
    for module in modules.children():
        if not isinstance(module, kind):
            raise ExportError(f"expected {kind.__name__}, found {type(module).__name__}")
        yield module


def array_of(tensor: Any) -> Array:
    """A tensor in NumPy, float32."""
    array: Array = tensor.detach().to("cpu").float().numpy()
    return array


def matrix_of(*layers: nn.Linear) -> Array:
    """The weights [in, out] of linear layers, side by side."""
    return np.concatenate([array_of(layer.weight).T for layer in layers], axis=1)


def linear(graph: GraphBuilder, x: str, layer: Any, name: str) -> str:
    """A linear layer."""
    bias = None if layer.bias is None else array_of(layer.bias)
    return graph.linear(x, matrix_of(layer), name, bias)


def convolution(graph: GraphBuilder, x: str, layer: nn.Conv2d, name: str) -> str:
    """A plain convolution of x [1, C, H, W]."""
    weight = graph.storage.weight(graph, array_of(layer.weight), name, axis=0)
    inputs = [x, weight]
    if layer.bias is not None:
        inputs.append(graph.tensor(array_of(layer.bias), f"{name}.bias"))
    if not isinstance(layer.padding, tuple) or layer.groups != 1 or layer.padding_mode != "zeros":
        raise ExportError(f"{name}: expected a plain convolution with zero padding, found {layer}")
    return graph.op(
        "Conv", *inputs, kernel_shape=list(layer.kernel_size), strides=list(layer.stride),
        pads=[*layer.padding, *layer.padding], dilations=list(layer.dilation),
    )  # fmt: skip


def silu(graph: GraphBuilder, x: str) -> str:
    """x * sigmoid(x)."""
    return graph.op("Mul", x, graph.op("Sigmoid", x))


def rms_norm(graph: GraphBuilder, x: str, norm: nn.Module, name: str) -> str:
    """x / rms(x) * weight over the last axis; nothing where the norm is left out."""
    if isinstance(norm, nn.Identity):
        return x
    if not isinstance(norm, RMSNorm):
        raise ExportError(f"{name}: expected RMSNorm, found {type(norm).__name__}")
    scale = graph.tensor(array_of(norm.weight), f"{name}.weight")
    return graph.op("RMSNormalization", x, scale, axis=-1, epsilon=norm.eps)


def rope_tables(graph: GraphBuilder, positions: str, table: Any) -> tuple[str, str]:
    """cos and sin [1, tokens, D/2] at positions [tokens, 3]."""
    with graph.exact():
        angle = graph.op("MatMul", positions, graph.tensor(array_of(table), "rope_table"))
        angle = graph.op("Unsqueeze", angle, graph.ints([0]))
        cos, sin = graph.op("Cos", angle), graph.op("Sin", angle)
    return graph.enter(cos), graph.enter(sin)


def rotate(graph: GraphBuilder, x: str, rope: tuple[str, str]) -> str:
    """x [1, heads, tokens, D] turned by the tables; pairs are (i, i + D/2)."""
    return graph.op("RotaryEmbedding", x, *rope)


def stored(graph: GraphBuilder, kind: str, *inputs: str, output: str, **attributes: Any) -> None:
    """A node whose output, keys or values of the visualizer, leaves the graph as it is kept."""
    if graph.storage.recipe.window_kv != "float8e4m3fn":
        graph.op(kind, *inputs, output=output, **attributes)
    else:
        x = graph.op(kind, *inputs, **attributes)
        graph.op("QuantizeLinear", x, *_kv_scale(graph), output=output)


def fetched(graph: GraphBuilder, x: str) -> str:
    """Kept keys or values of the visualizer in the compute type."""
    if graph.storage.recipe.window_kv != "float8e4m3fn":
        return x
    return graph.op("DequantizeLinear", x, *_kv_scale(graph))


def _kv_scale(graph: GraphBuilder) -> tuple[str, str]:
    scale = graph.tensor(np.array(graph.storage.recipe.kv_scale, np.float32), "kv_scale")
    return scale, graph.tensor(np.zeros((), ml_dtypes.float8_e4m3fn), "kv_zero")


def qkv(
    graph: GraphBuilder, x: str, attention: Attention, rope: tuple[str, str]
) -> tuple[str, str, str]:
    """x [1, S, W] → q [1, H, S, D], k and v [1, KV, S, D]; q and k normed and rotated."""
    heads, kv_heads, dim = attention.heads, attention.kv_heads, attention.head_dim
    weight = matrix_of(attention.q, attention.k, attention.v)
    y = graph.reshape(graph.linear(x, weight, "qkv"), [1, -1, heads + 2 * kv_heads, dim])
    y = graph.op("Transpose", y, perm=[0, 2, 1, 3])
    q, k, v = graph.split(y, [heads, kv_heads, kv_heads], axis=1)
    q = rms_norm(graph, q, attention.q_norm, "q_norm")
    k = rms_norm(graph, k, attention.k_norm, "k_norm")
    return rotate(graph, q, rope), rotate(graph, k, rope), v


def merge(graph: GraphBuilder, y: str, attention: Attention) -> str:
    """y [1, H, S, D] → [1, S, W]."""
    y = graph.op("Transpose", y, perm=[0, 2, 1, 3])
    y = graph.reshape(y, [1, -1, attention.heads * attention.head_dim])
    return linear(graph, y, attention.out, "out")


def gated_ffn(graph: GraphBuilder, x: str, ffn: GatedFFN) -> str:
    """down(silu(gate(x)) * up(x))."""
    hidden = ffn.gate.out_features
    y = graph.linear(x, matrix_of(ffn.gate, ffn.up), "gate_up")
    gate, up = graph.split(y, [hidden, hidden], axis=-1)
    return linear(graph, graph.op("Mul", silu(graph, gate), up), ffn.down, "down")
