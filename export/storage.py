"""How weights are placed in a graph: their kind, and the data files graphs share.

A `WeightFile` holds tensors by content, so graphs with the same weights share the bytes. `Storage`
turns a weight into graph nodes of the kind its recipe gives the layer (`export.precision`), and
remembers the kind. Tensors under `INLINE` bytes stay inside the graph, where shapes and constants
must be.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.precision import FLOAT8_MAX, Recipe

if TYPE_CHECKING:
    from export.graph import GraphBuilder

INLINE = 1024
ALIGNMENT = 64
Array = NDArray[Any]


class WeightFile:
    """A data file under construction: tensors one after another, each content once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offsets: dict[str, int] = {}
        self._end = 0
        self._stream = path.open("wb")

    def add(self, array: Array) -> int:
        """The offset at which the bytes of a contiguous array stand in the file."""
        data = array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")
        key = hashlib.sha256(data).hexdigest()
        if key not in self._offsets:
            padding = -self._end % ALIGNMENT
            self._stream.write(b"\0" * padding)
            self._stream.write(data)
            self._offsets[key] = self._end + padding
            self._end += padding + array.nbytes
        return self._offsets[key]

    def close(self) -> None:
        """Ends the file; one that holds nothing is removed."""
        self._stream.close()
        if not self._end:
            self.path.unlink(missing_ok=True)


class Storage:
    """Places the weights of one graph.

    `external` says whether anything went to the data file, `layers` which kind each layer got.
    """

    def __init__(self, file: WeightFile, recipe: Recipe) -> None:
        self.file = file
        self.recipe = recipe
        self.external = False
        self.layers: dict[str, str] = {}

    def tensor(self, name: str, array: Array) -> onnx.TensorProto:
        """The initializer for a tensor that keeps its type."""
        array = np.asarray(array, order="C")
        if array.nbytes < INLINE:
            return numpy_helper.from_array(array, name)
        self.external = True
        tensor = onnx.TensorProto(
            name=name,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            dims=array.shape,
            data_location=TensorProto.EXTERNAL,
        )
        entries = (
            ("location", self.file.path.name),
            ("offset", self.file.add(array)),
            ("length", array.nbytes),
        )
        for key, value in entries:
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    def matmul(self, graph: GraphBuilder, x: str, weight: Array, name: str) -> str:
        """x [..., in] times weight [in, out], in the graph's compute type."""
        kind = self._kind(graph, name, weight)
        if kind == "int8":
            return _dynamic_int8(graph, x, weight, name)
        if kind == "fp8":
            return self._float8(graph, x, weight, name)
        return graph.op("MatMul", x, self.weight(graph, weight, name, axis=1))

    def weight(self, graph: GraphBuilder, weight: Array, name: str, axis: int) -> str:
        """A value equal to `weight` up to precision; `axis` counts its output channels."""
        kind = self._kind(graph, name, weight)
        if kind != "w8":
            return graph.tensor(weight, f"{name}.weight")
        values, scale = quantize(weight, axis)
        value = graph.tensor(values, f"{name}.weight")
        return graph.op("DequantizeLinear", value, graph.tensor(scale, f"{name}.scale"), axis=axis)

    def _kind(self, graph: GraphBuilder, name: str, weight: Array) -> str:
        path = graph.path(name)
        return self.layers.setdefault(path, self.recipe.kind(path, weight.size))

    def _float8(self, graph: GraphBuilder, x: str, weight: Array, name: str) -> str:
        """Both factors in float8e4m3fn; the weight is stored folded."""
        path = graph.path(name)
        values, scale = quantize_float8(weight)
        zero = graph.tensor(np.zeros((), ml_dtypes.float8_e4m3fn), "float8.zero")
        into = graph.tensor(np.array(self.recipe.scales[path], np.float32), f"{name}.input_scale")
        x = graph.op("QuantizeLinear", x, into, zero)
        x = graph.op("DequantizeLinear", x, into, zero)
        w = graph.tensor(values, f"{name}.weight")
        step = graph.tensor(np.array(scale, np.float32), f"{name}.scale")
        return graph.op("MatMul", x, graph.op("DequantizeLinear", w, step, zero))


def _dynamic_int8(graph: GraphBuilder, x: str, weight: Array, name: str) -> str:
    """The pattern ONNX Runtime fuses into one product of uint8 and int8."""
    values, scale = quantize(weight, axis=1)
    value = graph.tensor(values, f"{name}.weight")
    scales = graph.tensor(scale, f"{name}.scale")
    integers, step, zero = graph.ops("DynamicQuantizeLinear", 3, x)
    y = graph.op("MatMulInteger", integers, value, zero)
    y = graph.op("Cast", y, to=TensorProto.FLOAT)
    return graph.op("Mul", y, graph.op("Mul", step, scales))


def quantize(weight: Array, axis: int) -> tuple[Array, Array]:
    """int8 values of `weight`'s shape and float32 scales [channels]: weight ≈ values * scale."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.maximum(np.abs(weight).max(axis=others), 1e-12).astype(np.float32) / np.float32(127)
    shape = [1] * weight.ndim
    shape[axis] = -1
    values = np.clip(np.rint(weight / scale.reshape(shape)), -127, 127).astype(np.int8)
    return values, scale


def quantize_float8(weight: Array) -> tuple[Array, float]:
    """float8e4m3fn values of `weight`'s shape and one scale: weight ≈ values * scale.

    The scale is one of float16, since it multiplies in that type.
    """
    scale = float(np.float16(max(float(np.abs(weight).max()), 1e-3) / FLOAT8_MAX))
    values = np.clip(weight / np.float32(scale), -FLOAT8_MAX, FLOAT8_MAX)
    return values.astype(ml_dtypes.float8_e4m3fn), scale


def dequantize(values: Array, scale: Array, axis: int) -> Array:
    """The float32 weights that `values` and `scale` stand for; `quantize` gives both again."""
    shape = [1] * values.ndim
    shape[axis] = -1
    limit = np.float32(127)
    top = scale * limit
    # 127 * scale is rounded, and dividing it by 127 may miss scale by one step.
    for neighbour in (np.nextafter(top, np.float32(0)), np.nextafter(top, np.float32(np.inf))):
        top = np.where(top / limit == scale, top, neighbour)
    weight = values.astype(np.float32) * scale.reshape(shape)
    extreme = np.sign(values).astype(np.float32) * top.reshape(shape)
    restored: Array = np.where(np.abs(values) == 127, extreme, weight)
    return restored
