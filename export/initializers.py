"""Reads the weights of a bundle's ONNX graphs back as float32, whatever precision they are in.

It knows graphs, data files and `DequantizeLinear`, and nothing of the models. The bundle's digests
must have been checked. Only variants of ONNX Runtime can be read; compiled engines keep no weights
that could be taken out.

| stored | read |
| --- | --- |
| float32, inside the graph or in the data file | float32, the same bits |
| int8 and float32 scales per output channel | float32 values that quantize to the same again |

int8 weights are those of `DequantizeLinear` or of `MatMulInteger`.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.errors import ExportError
from export.storage import dequantize
from runtime.bundle import Bundle, Variant

Array = NDArray[Any]

ENGINE = "onnxruntime"
# The most exact first.
READABLE = ("fp32", "w8", "int8")
# What a model's parameter is called in a graph; shapes, constants and tables are not parameters.
_PARAMETER = re.compile(r"(\.weight|\.bias|/table)$")


def readable_variant(bundle: Bundle, component: str) -> Variant:
    """The component's most exact variant whose weights can be read."""
    variants = bundle.manifest.components[component].variants
    found = {v.precision: v for v in reversed(variants) if v.engine == ENGINE}
    for precision in READABLE:
        if precision in found:
            return found[precision]
    have = ", ".join(f"{v.engine} {v.precision}" for v in variants)
    raise ExportError(
        f"{bundle.folder}: {component}: expected an {ENGINE} variant in {' or '.join(READABLE)}, "
        f"found {have}; restore from a bundle that has one"
    )


class Initializers:
    """The named weights of one component."""

    def __init__(self, bundle: Bundle, component: str) -> None:
        self.component = component
        self.variant = readable_variant(bundle, component)
        self._bundle = bundle
        self._path = bundle.path(self.variant.files[0])
        graph = self._graph()
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._unpacked = {n.input[0]: n for n in graph.node if n.op_type == "DequantizeLinear"}
        self._read: dict[str, Array] = {}

    def read(self, name: str) -> Array:
        """The float32 value of the initializer `name`."""
        if name not in self._read:
            array = self._array(name)
            if array.dtype == np.int8:
                array = self._dequantized(name, array)
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise self.error(f"{name}: expected finite float32 or int8 with scales")
            self._read[name] = array
        return self._read[name]

    def unread(self) -> list[str]:
        """The parameters nobody asked for."""
        return sorted(n for n in self._tensors if _PARAMETER.search(n) and n not in self._read)

    def error(self, message: str) -> ExportError:
        """The error to raise where the graph is not one of this exporter."""
        return ExportError(f"{self._path}: {message}; the bundle does not fit this exporter")

    def _graph(self) -> Any:
        try:
            return onnx.load_model(self._path, load_external_data=False).graph
        except DecodeError as error:
            raise self.error(f"expected an ONNX model: {error}") from error

    def _dequantized(self, name: str, values: Array) -> Array:
        node = self._unpacked.get(name)
        if node is None:
            # An integer product: the scales of its columns stand beside it.
            return dequantize(values, self._array(name.removesuffix("weight") + "scale"), 1)
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        axis = int(attributes.get("axis", 1))
        scale = self._array(node.input[1])
        symmetric = len(node.input) == 2 and not attributes.get("block_size")
        if not symmetric or axis >= values.ndim or scale.shape != (values.shape[axis],):
            raise self.error(f"{name}: expected one scale per output channel and no zero point")
        return dequantize(values, scale, axis)

    def _array(self, name: str) -> Array:
        if name not in self._tensors:
            raise self.error(
                f"expected the weights {name}, found none: another architecture, or a graph "
                "written by something else"
            )
        tensor = self._tensors[name]
        if tensor.data_location != TensorProto.EXTERNAL:
            array: Array = numpy_helper.to_array(tensor)
            return array
        return self._external(tensor)

    def _external(self, tensor: Any) -> Array:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        beside = PurePosixPath(self.variant.files[0].path).parent
        path = str(beside / entries.get("location", ""))
        files = {file.path: file for file in self.variant.files[1:]}
        if path not in files:
            raise self.error(f"{tensor.name}: its data file {path!r} is not listed in the manifest")
        data = np.memmap(self._bundle.path(files[path]), np.uint8, mode="r")
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
        start, shape = int(entries.get("offset", 0)), tuple(tensor.dims)
        end = start + int(np.prod(shape)) * dtype.itemsize
        if not 0 <= start <= end <= data.size:
            raise self.error(f"{tensor.name}: bytes {start} to {end} are not in {path}")
        array: Array = np.frombuffer(data[start:end].tobytes(), dtype).reshape(shape)
        return array
