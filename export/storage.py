"""How weights are stored in a bundle: their precision, and the data files graphs share.

A `WeightFile` holds tensors by content, so graphs with the same weights share the bytes. `Storage`
turns a weight into graph nodes for one precision. Weights of at most `small` elements stay
float32: they are the layers next to pixels and latents, where errors show, and little of the size.
Tensors under `INLINE` bytes stay inside the graph, where shapes and constants must be.

| precision | matrices and convolutions | computes in |
| --- | --- | --- |
| `fp32` | float32 | float32 |
| `w8` | int8, symmetric, one scale per output channel, DequantizeLinear | float32, unpacked once |
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

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

    def add(self, data: bytes) -> int:
        """The offset at which `data` stands in the file."""
        key = hashlib.sha256(data).hexdigest()
        if key not in self._offsets:
            padding = -self._end % ALIGNMENT
            self._stream.write(b"\0" * padding + data)
            self._offsets[key] = self._end + padding
            self._end += padding + len(data)
        return self._offsets[key]

    def close(self) -> None:
        """Ends the file; one that holds nothing is removed."""
        self._stream.close()
        if not self._end:
            self.path.unlink(missing_ok=True)


class Storage(Protocol):
    """Places weights for one precision."""

    precision: str
    external: bool
    """Whether anything went to the data file."""

    def tensor(self, name: str, array: Array) -> onnx.TensorProto:
        """The initializer for a tensor that keeps its type."""

    def matmul(self, graph: GraphBuilder, x: str, weight: Array, name: str) -> str:
        """x [..., in] times weight [in, out]."""

    def weight(self, graph: GraphBuilder, weight: Array, name: str, axis: int) -> str:
        """A float32 value equal to `weight` up to precision; `axis` counts its output channels."""


class Float32Storage:
    """Everything as it is."""

    precision = "fp32"

    def __init__(self, file: WeightFile, small: int = 0) -> None:
        self.file = file
        self.small = small
        self.external = False

    def tensor(self, name: str, array: Array) -> onnx.TensorProto:
        array = np.asarray(array, order="C")
        if array.nbytes < INLINE:
            return numpy_helper.from_array(array, name)
        self.external = True
        tensor = onnx.TensorProto(
            name=name,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            dims=array.shape,
            data_location=onnx.TensorProto.EXTERNAL,
        )
        entries = (
            ("location", self.file.path.name),
            ("offset", self.file.add(array.tobytes())),
            ("length", array.nbytes),
        )
        for key, value in entries:
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    def matmul(self, graph: GraphBuilder, x: str, weight: Array, name: str) -> str:
        return graph.op("MatMul", x, self.weight(graph, weight, name, axis=1))

    def weight(self, graph: GraphBuilder, weight: Array, name: str, axis: int) -> str:
        return graph.tensor(weight, f"{name}.weight")


class Int8Storage(Float32Storage):
    """int8 weights that ONNX Runtime unpacks to float32 when it opens the graph."""

    precision = "w8"

    def weight(self, graph: GraphBuilder, weight: Array, name: str, axis: int) -> str:
        if weight.size <= self.small:
            return graph.tensor(weight, f"{name}.weight")
        values, scale = quantize(weight, axis)
        value = graph.tensor(values, f"{name}.weight")
        scales = graph.tensor(scale, f"{name}.scale")
        return graph.op("DequantizeLinear", value, scales, axis=axis)


def quantize(weight: Array, axis: int) -> tuple[Array, Array]:
    """int8 values of `weight`'s shape and float32 scales [channels]: weight ≈ values * scale."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.maximum(np.abs(weight).max(axis=others), 1e-12).astype(np.float32) / np.float32(127)
    shape = [1] * weight.ndim
    shape[axis] = -1
    values = np.clip(np.rint(weight / scale.reshape(shape)), -127, 127).astype(np.int8)
    return values, scale


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


STORAGES: dict[str, type[Float32Storage]] = {"fp32": Float32Storage, "w8": Int8Storage}
